# Copyright 2026 The hf_variants authors. MIT licence.
"""A new variant: its files, written from templates, and its places in a clone."""
