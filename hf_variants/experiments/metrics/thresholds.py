# Copyright 2026 The hf_variants authors. MIT licence.
"""Thresholds of classifiers, chosen on validation."""

import numpy as np

from .classes import THRESHOLD, has_both


def best_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float | list[float]:
    """The threshold with the highest F1 of the positive class, exactly, over all distinct cuts of the examples.

    `labels` and `probabilities` are `(n,)`, or `(n, labels)` for one threshold per label. A threshold lies midway
    between neighbouring probabilities (below the lowest: midway to 0), so that it does not hang on one example; of
    equally good ones the nearest to .5 is taken, then the lower one. A label of `(n, labels)` that has no positives
    gets .5. Choose it on validation: on test it is optimistic. Raises ValueError for `(n,)` labels of one class.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if labels.shape != probabilities.shape or labels.ndim not in (1, 2) or not labels.size:
        raise ValueError(f"threshold: labels {labels.shape}, probabilities {probabilities.shape}; they must agree")
    if not np.isfinite(probabilities).all():
        raise ValueError("threshold: a probability is not finite")
    if labels.ndim == 2:
        pairs = zip(labels.T, probabilities.T, strict=True)
        return [_best_cut(label, chance) if label.any() else THRESHOLD for label, chance in pairs]
    if not has_both(labels):
        raise ValueError(f"threshold: all {labels.size} labels are {labels[0]}; it takes positives and negatives")
    return _best_cut(labels, probabilities)


def _best_cut(label: np.ndarray, probability: np.ndarray) -> float:
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    ends = _group_ends(ordered)
    found = np.cumsum(label[order])[ends]  # true positives where everything down to a group is called positive
    # One division of two integers: equal values of F1 are equal floats, and ties are real ties.
    f1 = 2 * found / (ends + 1 + label.sum())
    lower = np.append(ordered[ends[1:]], 0.0)
    middle = lower + (ordered[ends] - lower) / 2
    cuts = np.where(middle > lower, middle, ordered[ends])  # neighbours so close that rounding joins them
    best = cuts[f1 == f1.max()]
    return float(min(best, key=lambda cut: (abs(cut - THRESHOLD), cut)))


def _group_ends(ordered: np.ndarray) -> np.ndarray:
    """The last place of every stretch of equal values."""
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
