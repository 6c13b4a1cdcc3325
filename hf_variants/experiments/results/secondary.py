# Copyright 2026 The hf_variants authors. MIT licence.
"""What a comparison measured beside the metric that it compares by: right answers, gradients by layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tables import DASH
from . import significance
from .contracts import LayerGradients, Results
from .significance import PairedDifference

EXACT = "exact_match"
Norms = Sequence[Sequence[float]]  # by point and layer
PART = 0.2  # of the points at which gradients were recorded: early and late in training


@dataclass(frozen=True)
class AnswerTest:
    """The share of right answers of an arm against the baseline's."""

    arm: str
    difference: PairedDifference
    p_holm: float | None


def answer_tests(results: Results) -> list[AnswerTest]:
    """Of every arm, paired by seed and corrected over the arms; none where arms are compared by that anyway."""
    found = {arm: results.summary(arm, EXACT) for arm in results.arms}
    if results.metric == EXACT or found.get(results.baseline) is None:
        return []
    shares = {arm: summary.per_seed for arm, summary in found.items() if summary is not None}
    base = shares[results.baseline]
    others = [arm for arm in shares if arm != results.baseline and set(shares[arm]) & set(base)]
    paired = [significance.paired_difference(shares[arm], base) for arm in others]
    corrected = significance.holm([pair.p for pair in paired])
    return [AnswerTest(arm, pair, p) for arm, pair, p in zip(others, paired, corrected, strict=True)]


def early_and_late(gradients: LayerGradients) -> tuple[Norms, Norms]:
    """The first and the last fifth of the recorded gradient norms."""
    norms = gradients.norms
    count = max(1, round(PART * len(norms)))
    return norms[:count], norms[-count:]


def ratio_text(part: Norms) -> str:
    """First layer's norm over the last one's, as a geometric mean of points; a dash where no point has both."""
    ratios = [norms[0] / norms[-1] for norms in part if len(norms) > 1 and norms[0] > 0 and norms[-1] > 0]
    return f"{np.exp(np.mean(np.log(ratios))):.2f}" if ratios else DASH
