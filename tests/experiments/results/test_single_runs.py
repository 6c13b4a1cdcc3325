# Copyright 2026 The hf_variants authors. MIT licence.
"""Single runs beside intervals: differences are paired by seed, and the sentence counts what it says."""

from dataclasses import replace

import pytest

from hf_variants.experiments.results.significance import NO_DIFFERENCE, WORSE
from hf_variants.experiments.results.single_runs import SeededDifference, seeded_differences, worth_of_seeds
from tests.helpers import sample_comparison as sample


def difference(runs, verdict):
    return SeededDifference("a", "new", "old", runs, sum(runs) / len(runs), (-1.0, 1.0), verdict)


def test_differences_are_those_of_the_seeds_and_of_the_last_budget():
    results = sample.built(sample.comparison(), sample.records(), sample.timing())
    found = seeded_differences("demo", results)
    assert [one.arm for one in found] == [arm for arm in results.arms if arm != results.baseline]
    for one in found:
        scores = [results.arms[arm].metrics["test"]["loss"].per_seed for arm in (one.arm, one.against)]
        assert one.runs == tuple(scores[0][seed] - scores[1][seed] for seed in scores[1])
        assert one.mean == pytest.approx(sum(one.runs) / len(one.runs))
        assert one.interval[0] < one.mean < one.interval[1]


def test_one_seed_has_no_interval_to_show():
    records = [record for record in sample.records() if record["seed"] == 0]
    assert seeded_differences("demo", sample.built(sample.comparison(), records, None)) == []


def test_other_metrics_than_the_loss_are_left_out():
    results = sample.built(sample.comparison(), sample.records(), sample.timing())
    assert seeded_differences("demo", replace(results, metric="accuracy")) == []


def test_the_sentence_counts():
    text = worth_of_seeds([
        difference((0.1, 0.2, 0.3), WORSE),
        difference((-0.4, 0.2, 0.1), NO_DIFFERENCE),
        difference((0.1, 0.2, 0.1, 0.1, 0.1), NO_DIFFERENCE),
    ])  # fmt: skip
    assert "Of 3 differences" in text and "over 3 or 5 seeds each, 1 is detected" in text
    assert "In 1 of the 2 others" in text and text.endswith("up to 0.40 nats.")
    with pytest.raises(ValueError, match="no difference"):
        worth_of_seeds([])
