# Copyright 2026 The hf_variants authors. MIT licence.
"""Processes, devices, checkpoints, signals and clocks."""
