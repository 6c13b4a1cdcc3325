# Copyright 2026 The hf_variants authors. MIT licence.
"""Folders that load anywhere: written, tried in a process of their own, and published."""
