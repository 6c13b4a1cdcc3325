# Copyright 2026 The hf_variants authors. MIT licence.
"""Where the parts of the checkout lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARDS = ROOT / "model_cards"
PROGRAMS = ROOT / "tests" / "programs"  # what tests run in processes of their own
LIBRARY_GUIDE = ROOT / "hf_variants" / "README.md"  # what works with the models, and how
TRAINING = ROOT / "training"
