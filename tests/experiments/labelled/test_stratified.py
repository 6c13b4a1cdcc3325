# Copyright 2026 The hf_variants authors. MIT licence.
"""Strata keep their shares in cuts and subsets, and equal texts stay together."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_variants.experiments.labelled.strata import RARE, strata_of, stratified_order, stratified_split
from hf_variants.experiments.recipes.labels import MULTI, REGRESSION, SINGLE

SHARES = st.sampled_from([(0.9, 0.05, 0.05), (0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (0.5, 0.2, 0.1), (1 / 3, 1 / 3, 1 / 3)])
STRATA = st.lists(st.integers(0, 12), min_size=1, max_size=200)


@pytest.mark.hunt
@given(STRATA, SHARES, st.integers(0, 5))
def test_parts_are_disjoint_and_every_stratum_keeps_its_share(strata, fractions, seed):
    parts = stratified_split(strata, fractions, seed)
    rows = np.concatenate(parts)
    assert len(set(rows.tolist())) == len(rows) and all(np.all(np.diff(part) > 0) for part in parts)
    if sum(fractions) > 0.999:
        assert len(rows) == len(strata)
    for stratum, count in Counter(strata).items():
        found = [sum(strata[row] == stratum for row in part) for part in parts]
        assert all(abs(n - count * share) < 1 for n, share in zip(found, fractions, strict=True)), (found, count)
        assert found[0] >= 1
    again = stratified_split(strata, fractions, seed)
    assert all(np.array_equal(one, two) for one, two in zip(parts, again, strict=True))


@pytest.mark.hunt
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=150), SHARES)
def test_groups_stay_together(rows, fractions):
    groups = [group for _, group in rows]
    parts = stratified_split([stratum for stratum, _ in rows], fractions, 0, groups)
    found = [{groups[row] for row in part} for part in parts]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    largest = max(Counter(groups).values())
    for part, share in zip(parts, fractions, strict=True):
        assert abs(len(part) - share * len(rows)) <= 4 * largest + 1  # four strata


def test_small_strata_do_not_favour_a_part():
    sizes = [len(part) for part in stratified_split([i // 10 for i in range(2000)], [0.9, 0.05, 0.05], 0)]
    assert sizes == [1800, 100, 100]
    sizes = [len(part) for part in stratified_split(list(range(400)), [0.8, 0.1, 0.1], 0)]
    assert sizes == [400, 0, 0]  # a class of one example is for training


def test_seeds_differ():
    one, two = (stratified_split([0] * 100, [0.5, 0.5, 0], seed)[0] for seed in (0, 1))
    assert not np.array_equal(one, two)


@pytest.mark.hunt
@given(STRATA, st.integers(0, 200))
def test_any_beginning_of_the_order_is_stratified(strata, count):
    order = stratified_order(strata, 0)
    assert sorted(order.tolist()) == list(range(len(strata)))
    count = min(count, len(strata))
    found = Counter(strata[row] for row in order[:count])
    kinds = Counter(strata)
    for stratum, size in kinds.items():
        # a common threshold lies within half a row of each stratum's share, and ties at it add one more
        assert abs(found[stratum] - count * size / len(strata)) <= 1 + len(kinds) / 2


def test_a_beginning_has_exact_shares_where_it_can():
    order = stratified_order([0] * 50 + [1] * 50 + [2] * 100, 0)
    for count in (4, 40, 100):
        assert np.bincount(np.repeat([0, 1, 2], [50, 50, 100])[order[:count]]).tolist() == [count // 4] * 2 + [
            count // 2
        ]


def test_strata_of_classes_scores_and_combinations():
    assert strata_of(np.array([2, 0, 1]), SINGLE) == [2, 0, 1]
    tenths = Counter(strata_of(np.linspace(0, 5, 1000, dtype=np.float32), REGRESSION))
    assert len(tenths) == 10 and set(tenths.values()) == {100}
    common = [[1, 0, 0]] * RARE + [[0, 0, 0]] * 3
    strata = strata_of(np.array([*common, [1, 1, 0], [1, 1, 1], [0, 1, 0]]), MULTI)
    assert strata == [(0,)] * RARE + [()] * 3 + [1, 2, 1]


@pytest.mark.parametrize("fractions", [(0.9, 0.05, 0.05), (0.6, 0.2, 0.2)])
def test_a_rare_label_is_always_trained_on(fractions):
    labels = np.zeros((500, 4), dtype=np.int64)
    labels[::3, 0] = labels[::5, 1] = labels[7, 2] = labels[[30, 31], 3] = 1
    train, validation, test = stratified_split(strata_of(labels, MULTI), fractions, 0)
    assert labels[train].any(axis=0).all() and len(validation) and len(test)
