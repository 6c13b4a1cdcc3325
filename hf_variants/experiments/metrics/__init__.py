# Copyright 2026 The hf_variants authors. MIT licence.
"""Metrics as `evaluate.Metric` classes that work offline, one folder each.

`evaluate.load("hf_variants/experiments/metrics/perplexity")` loads one from a checkout; `load_metric("perplexity")`
gives the same class without evaluate's loader. Those of tokens and those of classification have `score(scores)`, which
computes them from an evaluation's arrays, per token or per example.
"""

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checking import DivergedError, InputError

NAMES = {
    "cross_entropy": "CrossEntropy",
    "perplexity": "Perplexity",
    "token_accuracy": "TokenAccuracy",
    "bits_per_byte": "BitsPerByte",
    "exact_match": "ExactMatch",
    "correlation": "Correlation",
    "average_precision": "AveragePrecision",
    "roc_auc": "RocAuc",
    "f1": "F1",
    "accuracy": "Accuracy",
    "matthews": "Matthews",
    "calibration_error": "CalibrationError",
}
LOWER_IS_BETTER = (
    *("loss", "perplexity", "bits_per_byte"),
    *("calibration_error", "calibration_error_macro", "brier", "brier_macro"),
)
CLASSIFICATION = ("average_precision", "roc_auc", "f1", "accuracy", "matthews", "calibration_error")


@functools.cache
def load_metric(name: str):
    """The metric called `name`, ready to `compute`. Raises InputError for a name that is not in NAMES."""
    if name not in NAMES:
        raise InputError(f"metric '{name}'; allowed: {', '.join(NAMES)}")
    module = importlib.import_module(f".{name}.{name}", __package__)
    return getattr(module, NAMES[name])(keep_in_memory=True)


def summarise_scores(scores: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    """The named metrics of an evaluation's arrays. Raises DivergedError where a loss is not finite."""
    if not np.isfinite(scores["loss"]).all():
        raise DivergedError("evaluation: the loss is not finite; the run has diverged (lower training.learning_rate)")
    results: dict[str, float] = {}
    for name in names:
        try:
            results |= load_metric(name).score(scores)
        except ValueError as error:
            raise InputError(f"evaluation: {error}") from None
    return {name: float(value) for name, value in results.items()}
