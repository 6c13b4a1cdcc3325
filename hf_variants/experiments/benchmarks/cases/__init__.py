# Copyright 2026 The hf_variants authors. MIT licence.
"""One file for each kind of benchmark; importing it registers its cases."""
