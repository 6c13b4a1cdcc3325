# Copyright 2026 The hf_variants authors. MIT licence.
"""What a finished classifier's record says beside its metrics: threshold, intervals over examples, curves."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..labelled.corpus import Examples
from ..metrics import load_metric
from ..metrics.bootstrap import bootstrap_interval
from ..metrics.curves import curves
from ..metrics.thresholds import best_threshold

__all__ = ["curves", "intervals", "prediction_rows", "tuned_metrics", "tuned_threshold", "write_rows"]
INTERVALS = {
    "binary": ("average_precision", "roc_auc", "f1", "accuracy"),
    "single_label_classification": ("accuracy",),
    "multi_label_classification": ("average_precision_macro", "roc_auc_macro"),
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
    """By metric: its value on the split and its 95 % bootstrap interval over examples; none with 0 `resamples`.

    A metric that is undefined for most resamples, as with labels of one or two examples each, has no interval.
    """
    if not resamples:
        return {}
    plain = {name: value for name, value in scores.items() if name != "threshold"}
    wanted = {name: (name, plain) for name in INTERVALS.get(kind, ("loss",))}
    if kind == "binary" and threshold is not None:
        wanted["f1_tuned"] = "f1", plain | {"threshold": np.float64(threshold)}
    found = {}
    for name, (score, arrays) in wanted.items():
        with contextlib.suppress(ValueError):
            found[name] = bootstrap_interval(score, arrays, resamples)
    return {name: {"value": i.value, "ci95": list(i.interval), "resamples": i.resamples} for name, i in found.items()}


def prediction_rows(examples: Examples, scores: Scores) -> list[dict[str, Any]]:
    """A row per example: its row in the source, text, second text, label where there is one, and what was predicted.

    Rows are numbered as error messages about them do, or from 0 where examples come from no source.
    """
    columns = {name: scores[name] for name in ("label", "probability", "prediction", "loss") if name in scores}
    places = range(len(examples)) if examples.rows is None else examples.rows
    rows = []
    for number, (place, text) in enumerate(zip(places, examples.texts, strict=True)):
        pair = {} if examples.pairs is None else {"pair": examples.pairs[number]}
        values = {name: np.asarray(column[number]).tolist() for name, column in columns.items()}
        rows.append({"row": place, "text": text} | pair | values)
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One JSON line per row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
