# Copyright 2026 The hf_variants authors. MIT licence.
"""Variants of transformer blocks as real Hugging Face models, compared honestly with their baselines.

Importing the package registers every variant with the Auto classes of transformers, and loads nothing but torch and
transformers.
"""

from .auto import register

__version__ = "0.1.0"

register()
