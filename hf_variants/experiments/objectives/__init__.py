# Copyright 2026 The hf_variants authors. MIT licence.
"""What is learned and how it is scored. A recipe may name an objective of one's own, see `registry`."""

from .base import IGNORED, LabelledObjective, Objective
from .causal_lm import CausalLanguageModeling
from .masked_lm import MaskedLanguageModeling
from .text_classification import TextClassification

__all__ = ["IGNORED", "CausalLanguageModeling", "LabelledObjective", "MaskedLanguageModeling", "Objective",
           "TextClassification"]  # fmt: skip
