# Copyright 2026 The hf_variants authors. MIT licence.
"""Comparisons: arms, seeds, cells, tuning and floors, run and kept in a folder."""
