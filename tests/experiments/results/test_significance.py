# Copyright 2026 The hf_variants authors. MIT licence.
"""Intervals, paired tests and Holm's correction against values worked out by hand or from printed t tables."""

import math

import pytest

from hf_variants.experiments.results.significance import (
    EQUAL,
    EQUAL_IN_ONE,
    NO_DIFFERENCE,
    NO_VARIATION,
    ONE_SEED,
    PairedDifference,
    holm,
    mean_and_ci,
    paired_difference,
    verdict,
)
from hf_variants.experiments.results.verdicts import verdict_sentence
from hf_variants.experiments.results.wording import format_p


def test_interval_of_three_values_by_hand():
    mean, (low, high) = mean_and_ci([1.0, 2.0, 3.0])
    half = 4.302653 * 1.0 / math.sqrt(3)  # t table: 0.975, 2 degrees of freedom; the standard deviation is 1
    assert mean == 2.0
    assert low == pytest.approx(2.0 - half, abs=1e-5)
    assert high == pytest.approx(2.0 + half, abs=1e-5)


def test_one_value_has_no_interval_and_equal_values_have_a_width_of_zero():
    assert mean_and_ci([1.5]) == (1.5, None)
    assert mean_and_ci([0.1 + 0.2, 0.3, 0.3]) == (pytest.approx(0.3), (pytest.approx(0.3), pytest.approx(0.3)))
    mean, (low, high) = mean_and_ci([0.1 + 0.2, 0.3, 0.3])
    assert low == mean == high


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_no_value_and_diverged_values_are_refused(values):
    with pytest.raises(ValueError, match="no values|not finite"):
        mean_and_ci(values)


def test_paired_difference_by_hand():
    paired = paired_difference({"0": 2.1, "1": 2.3, "2": 2.2, "9": 7.0}, {"2": 2.0, "1": 2.0, "0": 2.0})
    error = 0.1 / math.sqrt(3)  # the differences are 0.1, 0.3, 0.2
    t = 0.2 / error
    # Student's t with 2 degrees of freedom has a closed tail: p = 1 - t / sqrt(t² + 2).
    assert paired.difference == pytest.approx(0.2)
    assert paired.p == pytest.approx(1 - t / math.sqrt(t * t + 2))
    assert paired.ci95 == pytest.approx((0.2 - 4.302653 * error, 0.2 + 4.302653 * error), abs=1e-6)
    assert paired.seeds == 3


def test_pairing_removes_what_the_seeds_share():
    shared = {"0": 1.0, "1": 5.0, "2": 9.0}
    arm = {"0": 1.101, "1": 5.099, "2": 9.1}
    paired = paired_difference(arm, shared)
    assert paired.p < 0.001
    assert verdict(paired) == "worse"


def test_one_seed_no_common_seed_and_no_variation():
    one = paired_difference({"0": 2.0}, {"0": 1.0, "1": 1.0})
    assert (one.ci95, one.p, one.seeds) == (None, None, 1)
    assert verdict(one) == ONE_SEED
    with pytest.raises(ValueError, match="no seed"):
        paired_difference({"0": 1.0}, {"1": 1.0})
    same = paired_difference({"0": 2.0, "1": 3.0}, {"0": 2.0, "1": 3.0})
    assert (same.ci95, same.p, verdict(same)) == ((0.0, 0.0), None, EQUAL)
    once = paired_difference({"0": 2.0}, {"0": 2.0, "1": 1.0})
    assert (once.difference, once.ci95, verdict(once)) == (0.0, None, EQUAL_IN_ONE)
    assert verdict_sentence("a", "b", once, "on test") == "a and b are equal in the one seed on test."
    assert verdict_sentence("a", "b", same, "on test") == "a and b are equal in all 2 seeds on test."
    shifted = paired_difference({"0": 2.1, "1": 3.1}, {"0": 2.0, "1": 3.0})
    assert (shifted.ci95, shifted.p, verdict(shifted)) == (None, None, NO_VARIATION)


def test_holm_known_values():
    # statsmodels.stats.multitest.multipletests([.01, .04, .03, .005], method="holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_verdict_needs_interval_and_holm():
    found = PairedDifference(-0.2, (-0.3, -0.1), 0.02, 3)
    assert verdict(found, 0.02) == "better"
    assert verdict(found, 0.02, lower_is_better=False) == "worse"
    assert verdict(found, 0.06) == NO_DIFFERENCE
    assert verdict(found, 0.02, caveat="only by interpolation") == NO_DIFFERENCE
    assert verdict(PairedDifference(0.1, (-0.1, 0.3), 0.2, 3), 0.2) == NO_DIFFERENCE


def test_sentences():
    worse = PairedDifference(0.21, (0.15, 0.27), 0.003, 3)
    assert verdict_sentence("highway", "residual", worse, "at 4.0 M tokens on test") == (
        "highway is worse than residual by 0.210 nats (95 % CI 0.150 to 0.270) at 4.0 M tokens on test; "
        "p=0.0030, n=3 seeds."
    )
    better = PairedDifference(-0.21, (-0.27, -0.15), 0.003, 3)
    sentence = verdict_sentence("a", "b", better, "here", p_holm=0.006)
    assert sentence == "a is better than b by 0.210 nats (95 % CI 0.150 to 0.270) here; Holm p=0.0060, n=3 seeds."
    unclear = verdict_sentence("a", "b", PairedDifference(0.01, (-0.1, 0.12), 0.8, 3), "here")
    assert unclear.startswith("No difference detected between a and b here")
    assert "-0.100 to +0.120" in unclear
    assert "no verdict" in verdict_sentence("a", "b", PairedDifference(0.01, None, None, 1), "here")
    assert "by one amount" in verdict_sentence("a", "b", PairedDifference(0.01, None, None, 2), "here")


def test_p_values_are_never_rounded_to_zero():
    assert [format_p(p) for p in (None, 0.04123, 0.00123, 3e-7, 1.0)] == ["-", "0.041", "0.0012", "<0.0001", "1.00"]
