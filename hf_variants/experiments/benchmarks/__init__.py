# Copyright 2026 The hf_variants authors. MIT licence.
"""Timing by alternating rounds in one process, and against another commit."""
