# Copyright 2026 The hf_variants authors. MIT licence.
"""Cuts and subsets in which every stratum keeps its share, the same for the same seed."""

import random
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from ..recipes.labels import MULTI, REGRESSION

RARE = 20  # a combination of labels with fewer rows is no stratum of its own


def strata_of(labels: np.ndarray, problem_type: str) -> list[Hashable]:
    """The stratum of each row: its class, its tenth of the scores, or its combination of labels.

    Combinations with fewer than RARE rows are pooled by the rarest label that they hold, so that a rare label gets
    into every split as far as it goes.
    """
    if problem_type == REGRESSION:
        return np.searchsorted(np.quantile(labels, np.arange(1, 10) / 10), labels).tolist()
    if problem_type != MULTI:
        return labels.tolist()
    rows = [tuple(np.flatnonzero(row).tolist()) for row in labels]
    counts, frequency = Counter(rows), labels.sum(axis=0)
    return [row if counts[row] >= RARE or not row else min(row, key=lambda label: frequency[label]) for row in rows]


def stratified_split(
    strata: Sequence[Hashable],
    fractions: Sequence[float],
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> list[np.ndarray]:
    """The rows (rising indices) of each part, `fractions` of every stratum; what they lack to 1 is left out.

    In every stratum each part differs from its share by less than one row, and the parts as wholes hardly more; the
    first part gets a row of every stratum, so that no class is known to a later one alone. Rows of the same group stay
    together, in the stratum of the first of them; then the parts may differ by the size of a group.
    """
    shares = [*fractions, max(0.0, 1 - sum(fractions))]
    rng, carry = random.Random(seed), [0.0] * len(shares)
    parts: list[list[int]] = [[] for _ in shares]
    for units in _units(strata, range(len(strata)) if groups is None else groups).values():
        rng.shuffle(units)
        units.sort(key=len, reverse=True)  # stable: equal sizes stay shuffled
        needs = _apportion(sum(map(len, units)), shares, carry)
        for unit in units:
            part = max(range(len(shares)), key=needs.__getitem__)
            needs[part] -= len(unit)
            parts[part] += unit
    return [np.array(sorted(part), dtype=np.int64) for part in parts[:-1]]


def _units(strata: Sequence[Hashable], groups: Sequence[Hashable]) -> dict[Hashable, list[list[int]]]:
    """The rows of each group, listed by stratum."""
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    units: dict[Hashable, list[list[int]]] = {}
    for rows in members.values():
        units.setdefault(strata[rows[0]], []).append(rows)
    return units


def _apportion(count: int, shares: Sequence[float], carry: list[float]) -> list[int]:
    """Whole numbers that sum to `count`, each less than 1 from its share of it.

    `carry` is what earlier strata owe to each part. It decides who is rounded up, and is brought up to date.
    """
    quotas = [round(count * share, 9) for share in shares]
    needs = [int(quota) for quota in quotas]
    wishes = [carry[i] + quota - needs[i] for i, quota in enumerate(quotas)]
    able = [i for i, quota in enumerate(quotas) if quota > needs[i]]
    able.sort(key=lambda i: (i > 0 or needs[0] > 0, -wishes[i]))  # the first part comes first where it has none yet
    for i in able[: count - sum(needs)]:
        needs[i] += 1
    carry[:] = [owed + quota - need for owed, quota, need in zip(carry, quotas, needs, strict=True)]
    return needs


def stratified_order(strata: Sequence[Hashable], seed: int) -> np.ndarray:
    """All rows in an order of which any beginning holds every stratum by its share, to about a row."""
    rng, places = random.Random(seed), []
    for units in _units(strata, range(len(strata))).values():
        rng.shuffle(units)
        places += [((rank + 0.5) / len(units), rng.random(), row) for rank, (row,) in enumerate(units)]
    return np.array([row for _, _, row in sorted(places)], dtype=np.int64)
