# Copyright 2026 The hf_variants authors. MIT licence.
"""One run, from a recipe to its record: the loop, its data, growth, fine-tuning and the best model."""
