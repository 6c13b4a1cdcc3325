# Copyright 2026 The hf_variants authors. MIT licence.
"""Where text comes from, how it is cut and cleaned, and how it becomes rows of tokens."""
