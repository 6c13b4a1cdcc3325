# Copyright 2026 The hf_variants authors. MIT licence.
"""Reports and model cards in Markdown."""
