# Copyright 2026 The hf_variants authors. MIT licence.
"""The programs; in the wheel hf_variants.training, with recipes/, comparisons/ and launch/."""
