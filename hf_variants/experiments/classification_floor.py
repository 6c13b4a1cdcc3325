# Copyright 2026 The hf_variants authors. MIT licence.
"""The floor of a comparison of classifiers: what TF-IDF and logistic regression make of the same examples."""

from typing import Any

import numpy as np

from . import classification_report as report
from .arguments import InputError
from .floors import tfidf_floor
from .labelled_data import PreparedExamples
from .metrics import summarise_scores


def floor_record(prepared: PreparedExamples, resamples: int) -> dict[str, Any]:
    """The floor's metrics by split, and what a classifier's record says; with the fingerprint of the data.

    Raises InputError for a regression and for pairs of texts, which have no such floor.
    """
    kind, examples = prepared.objective.kind, prepared.examples
    if kind == "regression" or prepared.corpus.splits["train"].pairs is not None:
        raise InputError("floor: is for classes or labels of single texts")
    texts = {split: found.source.texts for split, found in examples.items()}
    labels = {split: found.labels for split, found in examples.items() if found.labels is not None}
    others = {split: found for split, found in texts.items() if split != "train"}
    chances = tfidf_floor(texts["train"], labels["train"], others, validation_labels=labels["validation"])
    scores = {split: _scores(prepared, labels[split], chances[split]) for split in chances if split in labels}
    threshold = report.tuned_threshold(kind, scores["validation"])
    about = {"kind": kind, "label_names": prepared.objective.label_names, "threshold": threshold}
    if "test" in scores:
        about["intervals"] = report.intervals(kind, scores["test"], threshold, resamples)
        about["curves"] = report.curves(kind, scores["test"], prepared.objective.label_names)
    metrics = {
        split: summarise_scores(found, prepared.objective.metrics) | report.tuned_metrics(kind, found, threshold)
        for split, found in scores.items()
    }
    return {"fingerprint": prepared.corpus.fingerprint, "metrics": metrics, "classification": about}


def _scores(prepared: PreparedExamples, label: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    """An evaluation's arrays, the loss included."""
    safe = np.clip(chance.astype(np.float64), 1e-12, 1 - 1e-12)
    if label.ndim == 2:
        loss = -np.where(label == 1, np.log(safe), np.log1p(-safe)).mean(axis=1)
    elif chance.ndim == 2:
        loss = -np.log(safe[np.arange(len(label)), label])
    else:
        loss = -np.where(label == 1, np.log(safe), np.log1p(-safe))
    return {"probability": chance, "label": label, "loss": loss} | prepared.objective.about_scores()
