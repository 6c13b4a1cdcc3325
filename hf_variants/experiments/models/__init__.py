# Copyright 2026 The hf_variants authors. MIT licence.
"""A recipe's model: built anew or loaded, and what it costs."""
