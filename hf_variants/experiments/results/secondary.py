# Copyright 2026 The hf_variants authors. MIT licence.
"""Sentences on what a comparison measured beside the metric that it compares by: right answers, gradients by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..tables import DASH
from . import significance

EXACT = "exact_match"
PART = 0.2  # of the points at which gradients were recorded: early and late in training


def secondary_sentences(results: Mapping[str, Any]) -> list[str]:
    """The sentences of a comparison without cells; none where nothing of the kind was measured."""
    return answer_sentences(results) + gradient_sentences(results)


def answer_sentences(results: Mapping[str, Any]) -> list[str]:
    """The share of right answers of every arm against the baseline's, paired by seed, corrected over the arms."""
    split, baseline = results["split"], results["baseline"]
    found = {arm: row["metrics"].get(split, {}).get(EXACT) for arm, row in results["arms"].items()}
    if results["metric"] == EXACT or found.get(baseline) is None:
        return []
    shares = {arm: summary["per_seed"] for arm, summary in found.items() if summary is not None}
    others = [arm for arm in shares if arm != baseline and set(shares[arm]) & set(shares[baseline])]
    paired = [significance.paired_difference(shares[arm], shares[baseline]) for arm in others]
    corrected = significance.holm([pair.p for pair in paired])
    return [
        significance.verdict_sentence(
            arm, baseline, pair, f"in exact answers on {split}", p, "of all questions", lower_is_better=False
        )
        for arm, pair, p in zip(others, paired, corrected, strict=True)
    ]


def gradient_sentences(results: Mapping[str, Any]) -> list[str]:
    """Per arm, how the first layer's gradient compares with the last one's, early and late in training."""
    sentences = []
    for arm, row in results["arms"].items():
        early, late = (ratio_text(part) for part in early_and_late(row.get("layer_gradients") or {"norms": []}))
        if DASH not in (early, late):
            sentences.append(
                f"{arm}: the first layer's gradient norm is {early} times the last one's early in training, {late} "
                "times late."
            )
    return sentences


def early_and_late(gradients: Mapping[str, Any]) -> tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]]:
    """The first and the last fifth of the recorded gradient norms."""
    norms = gradients["norms"]
    count = max(1, round(PART * len(norms)))
    return norms[:count], norms[-count:]


def ratio_text(part: Sequence[Sequence[float]]) -> str:
    """First layer's norm over the last one's, as a geometric mean of points; a dash where no point has both."""
    ratios = [norms[0] / norms[-1] for norms in part if len(norms) > 1 and norms[0] > 0 and norms[-1] > 0]
    return f"{np.exp(np.mean(np.log(ratios))):.2f}" if ratios else DASH
