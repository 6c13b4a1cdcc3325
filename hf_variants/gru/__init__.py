# Copyright 2026 The hf_variants authors. MIT licence.
"""Recurrent encoders. The files are flat because this folder is what a model repository on the Hub holds."""
