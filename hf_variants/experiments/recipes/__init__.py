# Copyright 2026 The hf_variants authors. MIT licence.
"""Recipes: the sections of a YAML file, their flags, and growth stages."""
