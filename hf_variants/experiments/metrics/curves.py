# Copyright 2026 The hf_variants authors. MIT licence.
"""Small tables that the figures of classification are drawn from, so that records need not keep every probability."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from .calibration_error.calibration_error import expected_error

RECALL = np.linspace(0, 1, 101)
BINS = 15
Columns = dict[str, Any]


def curves(kind: str, scores: Mapping[str, Any], label_names: Sequence[str]) -> dict[str, Any]:
    """By name of a figure, its table: precision_recall, reliability, confusion; those that the kind of label has."""
    if kind == "regression":
        return {}
    label, chance = np.asarray(scores["label"]), scores["probability"].astype(np.float64)
    if kind == "multi_label_classification":  # all decisions together
        label, chance = label.ravel(), chance.ravel()
    if kind != "single_label_classification":
        found = {"precision_recall": precision_recall(label, chance), "reliability": reliability(label, chance)}
        return found | ({"confusion": confusion(label, chance >= 0.5, 2)} if kind == "binary" else {})
    best = chance.argmax(axis=1)
    return {
        "reliability": reliability(best == label, chance.max(axis=1)) | {"of": "predicted"},
        "confusion": confusion(label, best, len(label_names)),
    }


def precision_recall(label: np.ndarray, chance: np.ndarray) -> Columns:
    """The precision of the highest threshold that reaches each recall of RECALL (steps, as the area's are).

    `label` `(n,)` is 0 or 1, `chance` `(n,)` the probability of 1. Also "average_precision", and "prevalence": the
    share of positives, which is the precision of guessing.
    """
    precision, recall, _ = precision_recall_curve(label, chance)
    precision, recall = precision[::-1][1:], recall[::-1][1:]  # rising recall, without the made-up point at 0
    at = precision[np.searchsorted(recall, RECALL - 1e-12)]
    area = float(average_precision_score(label, chance))
    return {"precision": at.round(4).tolist(), "average_precision": area, "prevalence": float(np.mean(label))}


def reliability(right: np.ndarray, chance: np.ndarray) -> Columns:
    """How often what is said with a probability is so, over BINS bins of equal width (arXiv:1706.04599, figure 1).

    Lists over bins, None where one is empty: mean "probability" and "observed" share; and "share" of the examples.
    Also the "expected_error". "of" says what is predicted with that probability: the positive class, or the predicted
    one. `right` `(n,)` is whether it is so.
    """
    place = np.digitize(chance, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    sizes = np.bincount(place, minlength=BINS)
    sums = [np.bincount(place, weights, minlength=BINS) for weights in (chance, np.asarray(right, dtype=float))]
    mean, observed = (
        [round(float(s / n), 4) if n else None for s, n in zip(found, sizes, strict=True)] for found in sums
    )
    error = float(expected_error(np.asarray(right, dtype=int), chance, BINS))
    share = (sizes / sizes.sum()).round(6).tolist()
    return {"probability": mean, "observed": observed, "share": share, "expected_error": error, "of": "positive"}


def confusion(label: np.ndarray, found: np.ndarray, classes: int) -> list[list[int]]:
    """Counts by true class (rows) and predicted class (columns)."""
    return confusion_matrix(label, np.asarray(found, dtype=int), labels=range(classes)).tolist()
