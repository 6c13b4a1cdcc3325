# Copyright 2026 The hf_variants authors. MIT licence.
"""Means with intervals, paired differences, Holm's correction, and the verdict that they justify.

Seeds are the unit of replication, and there are few of them, so every interval is Student's t.
Arms share data order and evaluation masks seed by seed; the difference is therefore taken per seed (paired).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .contracts import Summary, Test

CONFIDENCE = 0.95


ALPHA = 0.05


LEAST_FOR_MEDIAN = 6  # values: the range of five holds the median in 94 % of cases, that of three in 75 %


BETTER = "better"


WORSE = "worse"


NO_DIFFERENCE = "no difference detected"


EQUAL = "equal in every seed"


EQUAL_IN_ONE = "equal in the one seed"


ONE_SEED = "one seed: no interval"


NO_VARIATION = "no variation between seeds: no interval"


# Sample deviations below this share of the values are rounding, not variation between seeds.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class PairedDifference:
    """`arm - against` over the seeds both have; `ci95` and `p` are None where the data cannot support them."""

    difference: float
    ci95: tuple[float, float] | None
    p: float | None
    seeds: int


Difference = PairedDifference | Test


def mean_and_ci(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Mean and 95 % t interval, in the unit of `values`; the interval is None for a single value.

    Raises ValueError when there is no value, or one is not finite (a run that diverged).
    """
    array = _finite(values)
    mean = float(array.mean())
    if array.size == 1:
        return mean, None
    deviation = _deviation(array)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, array.size - 1)) * deviation / math.sqrt(array.size)
    return mean, (mean - half, mean + half)


def summary_of(per_seed: Mapping[str, float]) -> Summary:
    """The values of all seeds with their mean and interval."""
    mean, ci95 = mean_and_ci(list(per_seed.values()))
    return Summary(per_seed=per_seed, mean=mean, ci95=ci95)


def paired_difference(arm: Mapping[str, float], against: Mapping[str, float]) -> PairedDifference:
    """Paired t test of `arm - against`; both map a seed to a value, and only seeds found in both count.

    Raises ValueError when no seed is in both. When all differences are equal there is nothing to estimate an error
    from and nothing to test: no p-value is given, and an interval (of no width) only where several are all zero.
    """
    seeds = [seed for seed in arm if seed in against]
    if not seeds:
        raise ValueError("no seed was run for both arms, so they cannot be compared in pairs")
    first, second = _finite([arm[seed] for seed in seeds]), _finite([against[seed] for seed in seeds])
    differences = first - second
    mean = float(differences.mean())
    scale = float(np.abs(np.concatenate([first, second])).max())
    deviation = _deviation(differences, scale)
    if np.abs(differences).max() <= _ROUNDING * scale:
        return PairedDifference(0.0, (0.0, 0.0) if len(seeds) > 1 else None, None, len(seeds))
    if len(seeds) == 1 or deviation == 0.0:
        return PairedDifference(mean, None, None, len(seeds))
    error = deviation / math.sqrt(len(seeds))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(seeds) - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, len(seeds) - 1))
    return PairedDifference(mean, (mean - half, mean + half), p, len(seeds))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction, in the order given; None (no test was possible) stays None and is not counted."""
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * p))
        corrected[index] = running
    return corrected


def verdict(paired: Difference, p_holm: float | None = None, lower_is_better: bool = True, caveat: str = "") -> str:
    """`better`, `worse`, `no difference detected`, `equal in every (the one) seed`, or why nothing can be said.

    A difference is detected when the interval excludes zero, Holm's p is below 0.05, and no caveat speaks against it.
    """
    if paired.p is None and paired.difference == 0.0:
        return EQUAL_IN_ONE if paired.seeds == 1 else EQUAL
    if paired.ci95 is None:
        return ONE_SEED if paired.seeds == 1 else NO_VARIATION
    p = paired.p if p_holm is None else p_holm
    low, high = paired.ci95
    if low <= 0.0 <= high or p is None or p >= ALPHA or caveat:
        return NO_DIFFERENCE
    return BETTER if (paired.difference < 0) == lower_is_better else WORSE


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(list(values), dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values to average")
    if not np.isfinite(array).all():
        raise ValueError(f"a value is not finite ({array.tolist()}): a run that diverged has no mean")
    return array


def _deviation(array: np.ndarray, scale: float | None = None) -> float:
    if array.size == 1:
        return 0.0
    deviation = float(array.std(ddof=1))
    scale = float(np.abs(array).max()) if scale is None else scale
    return 0.0 if deviation <= _ROUNDING * scale else deviation
