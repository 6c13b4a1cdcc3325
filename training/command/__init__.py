# Copyright 2026 The hf_variants authors. MIT licence.
"""The command `hf-variants`. It lies beside hf_variants, whose import loads torch, so that help comes at once."""
