# Copyright 2026 The hf_variants authors. MIT licence.
"""Speed-up to the baseline's final loss: by hand, never extrapolated, and only where something grows."""

import math

import pytest

from hf_variants.experiments.results import speedup
from hf_variants.experiments.results.contracts import Reach
from hf_variants.experiments.results.speedup import AT_MOST, NOT_REACHED, REACHED, reach
from tests.helpers import sample_comparison as sample


def rows(records=None, comparison=None, timing=True):
    results = sample.built(
        comparison or sample.growth_comparison(),
        sample.growth_records() if records is None else records,
        sample.growth_timing() if timing else None,
    )
    return {(row["arm"], row["cost"]): row for row in results.to_json()["speedups"]}


def with_losses(arm, losses, seeds=(0, 1, 2)):
    """The records, with other final losses of an arm; the same noise of seeds as in the baseline."""
    records = sample.growth_records()
    for record in records:
        if record["arm"] == arm and record["seed"] in seeds:
            for mark, loss in zip(record["marks"], losses, strict=True):
                mark["test"]["loss"] = loss + sample.NOISE[record["seed"]]
    return records


def test_reach_is_log_linear_between_two_marks():
    found = reach([1.0, 4.0, 16.0], [3.0, 2.5, 2.1], 2.2)
    assert (found.outcome, found.cost, found.gap) == (REACHED, pytest.approx(4.0 * 4.0**0.75), 0.0)
    assert reach([1.0, 4.0], [3.0, 2.5], 2.5) == Reach(outcome=REACHED, cost=4.0, gap=0.0)


def test_the_first_time_counts_where_losses_rise_again():
    assert reach([1.0, 2.0, 4.0, 8.0], [3.0, 2.0, 2.6, 1.0], 2.5).cost == pytest.approx(2**0.5)


def test_nothing_is_extrapolated():
    assert reach([1.0, 4.0], [2.0, 1.5], 2.0) == Reach(outcome=AT_MOST, cost=1.0, gap=0.0)
    found = reach([1.0, 4.0, 8.0], [3.0, 2.5, 2.7], 2.2)
    assert (found.outcome, found.cost, found.gap) == (NOT_REACHED, None, pytest.approx(0.3))


def test_speedup_is_the_geometric_mean_of_paired_ratios():
    """Seed by seed the target lies at 0.5 + noise of the way from 2 to 4 M tokens, so the ratio is 2^(0.5 - noise)."""
    row = rows()["diverge", "tokens"]
    shares = [0.5 + noise for noise in sample.NOISE.values()]
    assert row["outcome"] == REACHED and row["seeds"] == 3
    assert row["speedup"] == pytest.approx(2 ** (1 - sum(shares) / 3))
    assert [found["cost"] for found in row["per_seed"].values()] == pytest.approx([2e6 * 2**share for share in shares])
    assert row["cost_reached"] == pytest.approx(sum(2e6 * 2**share for share in shares) / 3)
    assert row["ci95"][0] < row["speedup"] < row["ci95"][1]
    assert math.sqrt(row["ci95"][0] * row["ci95"][1]) == pytest.approx(row["speedup"])
    assert row["target"] == pytest.approx(2.2 + sum(sample.NOISE.values()) / 3)


def test_each_cost_is_what_the_stages_cost():
    found = rows(with_losses("stack", (3.2, 2.4, 2.0)))
    # 0.5 M tokens at 0.5, 1.5 M at 1 and 2 M at 2 MFLOPs: marks at 1.75 and 5.75 TFLOPs, the target half-way
    flops = found["stack", "flops"]
    assert [s["cost"] for s in flops["per_seed"].values()] == pytest.approx([math.sqrt(1.75e12 * 5.75e12)] * 3)
    assert flops["speedup"] == pytest.approx(8e12 / math.sqrt(1.75e12 * 5.75e12))
    seconds = found["stack", "seconds"]
    assert seconds["per_seed"]["1"]["cost"] == pytest.approx(math.sqrt(17.5 * 57.5))
    assert seconds["baseline_cost"] == pytest.approx(80.0)
    assert found["stack", "tokens"]["speedup"] == pytest.approx(math.sqrt(2))
    assert flops["share_spent"] == pytest.approx(5.75 / 8)


def test_holm_is_over_the_whole_table_and_the_verdict_follows():
    found = rows()
    tested = [row for row in found.values() if row["p"] is not None]
    assert len(tested) == 3
    assert found["diverge", "tokens"]["p_holm"] == pytest.approx(3 * found["diverge", "tokens"]["p"], rel=1e-3)
    assert found["diverge", "tokens"]["verdict"] == speedup.SOONER


def test_no_difference_and_one_seed_are_said():
    records = sample.growth_records()
    for record in records:
        if record["arm"] == "diverge":
            loss = {0: 2.15, 1: 2.18, 2: 1.9}[record["seed"]]
            record["marks"][-1]["test"]["loss"] = loss
    row = rows(records)["diverge", "tokens"]
    assert row["ci95"][0] < 1 < row["ci95"][1] and row["verdict"] == "no difference detected"
    row = rows([record for record in sample.growth_records() if record["seed"] == 0])["diverge", "tokens"]
    assert row["speedup"] > 1 and row["ci95"] is None and row["verdict"] == "one seed: no interval"


def test_not_reached_says_how_close_and_in_how_many_seeds():
    row = rows()["stack", "flops"]
    assert (row["outcome"], row["seeds_not_reached"], row["speedup"]) == (NOT_REACHED, 3, None)
    assert row["gap"] == pytest.approx(0.1 + sum(sample.NOISE.values()) / 3)
    row = rows(with_losses("diverge", (2.9, 2.5, 2.25), seeds=(1,)))["diverge", "tokens"]
    assert (row["outcome"], row["seeds_not_reached"]) == (NOT_REACHED, 1)
    assert row["gap"] == pytest.approx(0.05) and row["speedup"] is None


def test_already_there_at_the_first_mark_is_a_bound():
    row = rows(with_losses("diverge", (2.1, 2.0, 1.9)))["diverge", "tokens"]
    assert (row["outcome"], row["speedup"], row["ci95"], row["p"]) == (AT_MOST, pytest.approx(4.0), None, None)
    row = rows(with_losses("diverge", (2.1, 2.0, 1.9), seeds=(0,)))["diverge", "tokens"]
    assert row["outcome"] == AT_MOST


def test_higher_is_better():
    """Accuracy is 1 - loss / 4, so that the same marks meet the same target."""
    found = rows(comparison=sample.growth_comparison() | {"metric": "accuracy"})
    assert found["diverge", "tokens"]["speedup"] == pytest.approx(rows()["diverge", "tokens"]["speedup"])
    assert found["stack", "tokens"]["gap"] == pytest.approx(rows()["stack", "tokens"]["gap"] / 4)
    assert found["stack", "tokens"]["target"] == pytest.approx(1 - rows()["stack", "tokens"]["target"] / 4)


def test_what_cannot_be_read_says_why():
    assert "timing" in rows(timing=False)["stack", "seconds"]["reason"]
    records = [r for r in sample.growth_records() if (r["arm"] == "stack") == (r["seed"] == 2)]
    assert rows(records)["stack", "tokens"]["reason"] == "no seed was run for both arms"


def test_without_growth_there_is_no_speedup():
    assert "speedups" not in sample.built(sample.comparison(), sample.records(), sample.timing()).to_json()
