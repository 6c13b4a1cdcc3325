# Copyright 2026 The hf_variants authors. MIT licence.
"""What a finished classifier's record says beside its metrics: threshold, intervals over examples, curves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .classification_scores import SCORES, best_threshold, bootstrap_interval
from .labelled import Examples
from .metrics import load_metric
from .metrics.classes import one_hot

POINTS = 200  # of a precision-recall curve that are kept
BINS = 15
INTERVALS = {
    "binary": ("average_precision", "roc_auc", "f1", "accuracy"),
    "single_label_classification": ("accuracy",),
}
Scores = Mapping[str, Any]


def tuned_threshold(kind: str, validation: Scores) -> float | list[float] | None:
    """The threshold with the highest F1 on validation, or one per label; None where the most probable class counts."""
    if kind not in ("binary", "multi_label_classification"):
        return None
    return best_threshold(validation["label"], validation["probability"])


def tuned_metrics(kind: str, scores: Scores, threshold: float | list[float] | None) -> dict[str, float]:
    """F1 at the tuned threshold, under a name of its own."""
    if threshold is None:
        return {}
    found = load_metric("f1").score({**scores, "threshold": threshold})
    names = ("f1",) if kind == "binary" else ("f1_macro", "f1_micro")
    return {f"{name}_tuned": found[name] for name in names}


def intervals(
    kind: str, scores: Scores, threshold: float | list[float] | None, resamples: int
) -> dict[str, dict[str, Any]]:
    """By metric: its value on the split and its 95 % bootstrap interval over examples; none with 0 `resamples`."""
    if not resamples:
        return {}
    found = {
        name: bootstrap_interval(name, {n: v for n, v in scores.items() if n != "threshold"}, resamples)
        for name in INTERVALS.get(kind, ())
    }
    if kind == "binary" and threshold is not None:
        found["f1_tuned"] = bootstrap_interval("f1", {**scores, "threshold": np.float64(threshold)}, resamples)
    if kind not in INTERVALS:
        found["loss"] = bootstrap_interval(SCORES["loss"], scores, resamples)
    return {name: {"value": i.value, "ci95": list(i.interval), "resamples": i.resamples} for name, i in found.items()}


def curves(kind: str, scores: Scores, label_names: Sequence[str]) -> dict[str, Any]:
    """Small tables that plots are drawn from: precision-recall, reliability, confusion; JSON values."""
    if kind == "binary":
        label, chance = scores["label"], scores["probability"].astype(np.float64)
        found = np.stack([1 - chance, chance], axis=1)
        return {
            "precision_recall": precision_recall(label, chance),
            "reliability": reliability(label == 1, chance),
            "confusion": confusion(label, found.argmax(1), len(label_names)),
        }
    if kind == "single_label_classification":
        chance, label = scores["probability"].astype(np.float64), scores["label"]
        right = chance.argmax(1) == label
        return {
            "reliability": reliability(right, chance.max(1)),
            "confusion": confusion(label, chance.argmax(1), len(label_names)),
        }
    if kind == "multi_label_classification":
        label, chance = scores["label"].ravel(), scores["probability"].astype(np.float64).ravel()
        return {
            "precision_recall_micro": precision_recall(label, chance),
            "reliability": reliability(label == 1, chance),
        }
    return {}


def precision_recall(label: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    """Points `recall`, `precision` at falling thresholds, POINTS at most, and the share of positives."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(label, chance)
    order = np.unique(np.linspace(0, len(recall) - 1, min(POINTS, len(recall))).round().astype(int))
    places = order[::-1]
    return {
        "recall": [round(float(value), 5) for value in recall[places]],
        "precision": [round(float(value), 5) for value in precision[places]],
        "prevalence": float(label.mean()),
    }


def reliability(right: np.ndarray, confidence: np.ndarray) -> dict[str, list[float]]:
    """Per bin of equal width from 0 to 1: mean confidence, share that is right, and how many (empty ones left out)."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    kept = counts > 0
    means = [np.bincount(places, weights=w, minlength=BINS)[kept] / counts[kept] for w in (confidence, right)]
    return {
        "confidence": means[0].round(5).tolist(),
        "accuracy": means[1].round(5).tolist(),
        "count": counts[kept].tolist(),
    }


def confusion(label: np.ndarray, found: np.ndarray, classes: int) -> list[list[int]]:
    """Counts by true class (rows) and predicted class (columns)."""
    return (one_hot(label, classes).T @ one_hot(found, classes)).tolist()


def prediction_rows(examples: Examples, scores: Scores) -> list[dict[str, Any]]:
    """A row per example: its number, text, second text, label where there is one, and what was predicted."""
    columns = {name: scores[name] for name in ("label", "probability", "prediction", "loss") if name in scores}
    rows = []
    for number, text in enumerate(examples.texts):
        pair = {} if examples.pairs is None else {"pair": examples.pairs[number]}
        values = {name: np.asarray(column[number]).tolist() for name, column in columns.items()}
        rows.append({"example": number, "text": text} | pair | values)
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One JSON line per row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
