# Copyright 2026 The hf_variants authors. MIT licence.
"""Thresholds chosen on validation, and bootstrap intervals over the examples of a test split.

A score is a function of an evaluation's arrays (`{"label": (n,), "probability": (n,), …}`) that gives one number and
raises ValueError where it is undefined. The scores of SCORES can be taken of many resamples at once, since a resample
is nothing but a count of how often each example is in it: examples are sorted once, and the counts are summed up.

Over examples the bootstrap says what another test split of the same kind could have shown of *these* models. What
another seed would have trained is a different question, which `significance` answers from several runs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .classes import THRESHOLD, has_both, one_hot
from .thresholds import _group_ends

Arrays = Mapping[str, Any]  # of numpy


Values = Callable[[np.ndarray], np.ndarray]  # counts (resamples, n) -> a score (resamples,), NaN where undefined


_CHUNK = 128  # resamples that are held in memory at once


_MOST_DRAWS = 10  # per resample that is wanted; a score undefined more often than that has no interval


# ---- scores of many resamples --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CountedScore:
    """A score that can also be taken of many resamples at once, given how often each example is in them."""

    name: str
    prepare: Callable[[Arrays], Values]

    def __call__(self, arrays: Arrays) -> float:
        """The score of the examples as they are."""
        value = float(self.prepare(arrays)(np.ones((1, len(arrays["label"]))))[0])
        if np.isnan(value):
            raise ValueError(f"{self.name}: undefined, since the examples are of one class")
        return value


def _ranked(arrays: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order of falling probability, the labels in it, and where its stretches of equal probability end."""
    _binary(arrays)
    order = np.argsort(-arrays["probability"], kind="stable")
    return order, arrays["label"][order].astype(np.float64), _group_ends(arrays["probability"][order])


def _average_precision(arrays: Arrays) -> Values:
    order, label, ends = _ranked(arrays)

    def values(counts: np.ndarray) -> np.ndarray:
        counts = counts[:, order]
        called = np.cumsum(counts, axis=1)[:, ends]
        right = np.cumsum(counts * label, axis=1)[:, ends]
        precision = right / np.maximum(called, 1)
        total = right[:, -1]
        sums = (np.diff(right, axis=1, prepend=0) * precision).sum(axis=1)
        return _where((total > 0) & (total < called[:, -1]), sums, total)

    return values


def _roc_auc(arrays: Arrays) -> Values:
    order, label, ends = _ranked(arrays)

    def values(counts: np.ndarray) -> np.ndarray:
        counts = counts[:, order]
        positives = np.cumsum(counts * label, axis=1)[:, ends]
        negatives = np.cumsum(counts * (1 - label), axis=1)[:, ends]
        above = (positives + np.hstack([np.zeros((len(counts), 1)), positives[:, :-1]])) / 2  # a tie is half a win
        wins = (np.diff(negatives, axis=1, prepend=0) * above).sum(axis=1)
        pairs = positives[:, -1] * negatives[:, -1]
        return _where(pairs > 0, wins, pairs)

    return values


def _macro(of_label: Callable[[Arrays], Values]) -> Callable[[Arrays], Values]:
    """The mean over those labels (classes, each against the rest) that have both kinds of examples in the split.

    It is undefined for a resample in which one of them has not, so that it is always a mean over the same labels.
    """

    def prepare(arrays: Arrays) -> Values:
        label, probability = arrays["label"], arrays["probability"]
        if probability.ndim != 2:
            raise ValueError(f"a macro mean is over labels; the probabilities are of shape {probability.shape}")
        label = one_hot(label, probability.shape[1]) if label.ndim == 1 else label
        columns = [i for i in range(label.shape[1]) if has_both(label[:, i])]
        parts = [of_label({"label": label[:, i], "probability": probability[:, i]}) for i in columns]
        if not parts:
            return lambda counts: np.full(len(counts), np.nan)
        return lambda counts: np.mean([values(counts) for values in parts], axis=0)

    return prepare


def _binary(arrays: Arrays) -> None:
    """Raises ValueError unless there is one probability and one label per example."""
    if arrays["probability"].ndim != 1 or arrays["label"].ndim != 1:
        shape = arrays["probability"].shape
        raise ValueError(f"a score of the positive class takes (n,) probabilities of it; they are of shape {shape}")


def _f1(arrays: Arrays) -> Values:
    _binary(arrays)
    threshold = arrays.get("threshold")
    found = arrays["probability"] >= (THRESHOLD if threshold is None else float(threshold))
    positive = arrays["label"] == 1

    def values(counts: np.ndarray) -> np.ndarray:
        total, called, right = counts @ positive, counts @ found, counts @ (positive & found)
        return _where((total > 0) & (total < counts.sum(axis=1)), 2 * right, total + called)

    return values


def _accuracy(arrays: Arrays) -> Values:
    probability, threshold = arrays["probability"], arrays.get("threshold")
    if arrays["label"].ndim != 1:
        raise ValueError(f"accuracy takes one label per example; the labels are of shape {arrays['label'].shape}")
    if probability.ndim == 2:
        right = probability.argmax(axis=1) == arrays["label"]
    else:
        found = probability >= (THRESHOLD if threshold is None else float(threshold))
        right = found == (arrays["label"] == 1)
    return lambda counts: counts @ right / counts.sum(axis=1)


def _loss(arrays: Arrays) -> Values:
    return lambda counts: counts @ arrays["loss"].astype(np.float64) / counts.sum(axis=1)


def _where(defined: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)


# Plain names are of binary tasks and their positive class, macro means of others; accuracy and loss of both.
SCORES = {
    name: CountedScore(name, prepare)
    for name, prepare in {
        "average_precision": _average_precision,
        "roc_auc": _roc_auc,
        "average_precision_macro": _macro(_average_precision),
        "roc_auc_macro": _macro(_roc_auc),
        "f1": _f1,
        "accuracy": _accuracy,
        "loss": _loss,
    }.items()
}


Score = str | CountedScore | Callable[[dict[str, Any]], float]


# ---- bootstrap -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BootstrapInterval:
    """A score of the examples as they are, and its percentile interval (Efron 1979) over resamples of them.

    `undefined` counts the resamples that were drawn again because the score was undefined for them.
    """

    value: float
    interval: tuple[float, float]
    level: float
    resamples: int
    undefined: int


@dataclass(frozen=True)
class PairedBootstrap:
    """The difference of two models' scores on the same examples, and its percentile interval.

    `p` is two-sided: twice the share of resamples on the rarer side of zero, (k + 1) / (resamples + 1), at most 1.
    """

    difference: float
    interval: tuple[float, float]
    p: float
    level: float
    resamples: int
    undefined: int


def bootstrap_interval(
    score: Score, arrays: Mapping[str, Any], resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> BootstrapInterval:
    """The score of a split with its percentile interval; the rows of all arrays are drawn together.

    `score` is a name of SCORES or a function of arrays. What in `arrays` is no array of n rows ("label_names", a
    "threshold") stays as it is. Raises ValueError where the score is undefined for the split or for nine draws in ten.
    """
    score, size = _score_of(score), _check(arrays, resamples, level)
    value = score(arrays)
    values, undefined = _resampled(lambda draws: _values(score, arrays, size, draws), size, resamples, seed)
    return BootstrapInterval(value, _percentiles(values, level), level, resamples, undefined)


def paired_bootstrap(
    score: Score,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedBootstrap:
    """The score of `a` minus that of `b`, with its percentile interval; both get the same resamples.

    Raises ValueError where their labels are not the same in the same order, and as `bootstrap_interval` does.
    """
    score, size = _score_of(score), _check(a, resamples, level)
    if _check(b, resamples, level) != size or not np.array_equal(a["label"], b["label"]):
        raise ValueError("paired bootstrap: the two models were not scored on the same examples in the same order")
    difference = score(a) - score(b)
    values, undefined = _resampled(
        lambda draws: _values(score, a, size, draws) - _values(score, b, size, draws), size, resamples, seed
    )
    rarer = min(int((values <= 0).sum()), int((values >= 0).sum()))
    p = min(1.0, 2 * (rarer + 1) / (resamples + 1))
    return PairedBootstrap(difference, _percentiles(values, level), p, level, resamples, undefined)


def _score_of(score: Score) -> Callable[[Any], float]:
    if isinstance(score, str) and score not in SCORES:
        raise ValueError(f"score '{score}'; allowed: {', '.join(SCORES)}, or a function of arrays")
    return SCORES[score] if isinstance(score, str) else score


def _check(arrays: Mapping[str, Any], resamples: int, level: float) -> int:
    """How many examples there are."""
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"bootstrap: {resamples} resamples at level {level}; allowed: 1 or more, between 0 and 1")
    size = len(arrays["label"])
    if not size or len(arrays.get("probability", arrays["label"])) != size:
        raise ValueError("bootstrap: there are no examples, or not equally many labels and probabilities")
    return size


def _resampled(
    values_of: Callable[[np.ndarray], np.ndarray], size: int, resamples: int, seed: int
) -> tuple[np.ndarray, int]:
    """`resamples` defined values, and how many undefined ones came between them."""
    found: list[np.ndarray] = []
    defined = undefined = 0
    for draws in _draws(size, resamples, seed):
        values = values_of(draws)
        kept = np.flatnonzero(~np.isnan(values))[: resamples - defined]
        found.append(values[kept])
        defined += len(kept)
        seen = kept[-1] + 1 if defined == resamples else len(values)
        undefined += int(np.isnan(values[:seen]).sum())
        if defined == resamples:
            return np.concatenate(found), undefined
    raise ValueError(
        f"bootstrap: the score is undefined for {undefined} of {undefined + defined} resamples of {size} examples, "
        "so there are too few of one class for an interval"
    )


def _draws(size: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of rows drawn with replacement, `(_CHUNK, size)`; the same for every score of a split of this size."""
    rng = np.random.default_rng(seed)
    for _ in range(_MOST_DRAWS * -(-resamples // _CHUNK)):
        yield rng.integers(size, size=(_CHUNK, size))


def _values(score: Callable[[Any], float], arrays: Mapping[str, Any], size: int, draws: np.ndarray) -> np.ndarray:
    """The score of each resample, NaN where it is undefined."""
    if isinstance(score, CountedScore):
        offsets = np.arange(len(draws))[:, None] * size
        counts = np.bincount((draws + offsets).ravel(), minlength=draws.size).reshape(len(draws), size)
        return score.prepare(arrays)(counts.astype(np.float64))
    return np.array([_value(score, _take(arrays, size, rows)) for rows in draws])


def _value(score: Callable[[Any], float], arrays: dict[str, Any]) -> float:
    try:
        return float(score(arrays))
    except ValueError:
        return float("nan")


def _take(arrays: Mapping[str, Any], size: int, rows: np.ndarray) -> dict[str, Any]:
    return {
        name: value[rows] if isinstance(value, np.ndarray) and value.ndim and len(value) == size else value
        for name, value in arrays.items()
    }


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
