# Copyright 2026 The hf_variants authors. MIT licence.
"""Arms that end at different costs are not compared at equal time; what they cost stands beside their scores."""

import re
from typing import Any

import pytest

from hf_variants.experiments.reports.cards import model_card
from hf_variants.experiments.reports.report import console_table, report_markdown
from tests.helpers import sample_comparison as sample


def single_marks() -> list[dict[str, Any]]:
    """Runs that were evaluated once, at equal examples."""
    records = sample.records()
    for record in records:
        record["marks"] = [record["marks"][-1] | {"examples": 64_000}]
        record["seconds"] *= {"residual": 1, "highway": 3, "residual_wide": 1}[record["arm"]]
    return records


@pytest.fixture
def results():
    return sample.built(sample.comparison(), single_marks(), sample.timing())


def cells(text: str, arm: str) -> list[str]:
    """An arm's row of the table of costs."""
    section = text.split("### At equal training time")[1].split("###")[0]
    (row,) = re.findall(rf"^\| {arm} \| (.*) \|$", section, flags=re.MULTILINE)
    return row.split(" | ")


def test_cost_is_tokens_times_the_quiet_seconds_per_token(results):
    assert results.views["equal_time"] == ()
    assert results.arms["residual"].quiet_seconds == pytest.approx(4e6 * 1.2e-5)
    assert results.arms["highway"].quiet_seconds == pytest.approx(4e6 * 1.5e-5)
    score = {arm: f"{results.summary(arm).mean:.3f}" for arm in results.arms}
    sentence = (
        "No verdict at equal training time between highway and residual: training took 1.25 times as long (60.0 s "
        f"against 48.0 s, at the speed of the quiet run), for a test loss of {score['highway']} against "
        f"{score['residual']}."
    )
    assert sentence in results.verdicts and sentence in model_card(results, "highway")


def test_the_table_has_both_costs_and_the_score_of_every_arm(results):
    report = report_markdown(results)
    assert cells(report, "highway")[:4] == ["60.0", "1.25", "300", "3.00"]
    assert cells(report, "residual")[:4] == ["48.0", "1.00", "100", "1.00"]
    assert re.search(r"\nhighway +60.0 +1.25 +300 +3.00 +", console_table(results))
    loss = results.summary("highway")
    assert cells(report, "highway")[4] == f"{loss.mean:.3f} ± {loss.mean - loss.ci95[0]:.3f}"
    assert "left out, " in report


def test_costs_of_different_sources_are_not_divided():
    """A frozen encoder has no speed from the quiet run."""
    timing = sample.timing()
    timing["arms"]["highway"] = {"inference_ms": 9.0, "inference_batch": [8, 64], "peak_memory_mb": 512.0}
    results = sample.built(sample.comparison(), single_marks(), timing)
    assert results.arms["highway"].quiet_seconds is None
    assert cells(report_markdown(results), "highway")[:4] == ["-", "-", "300", "3.00"]
    (sentence,) = [s for s in results.verdicts if s.startswith("No verdict") and "highway" in s]
    assert "took 3.00 times as long (300 s against 100 s, as the runs took beside whatever else ran)" in sentence
    (other,) = [s for s in results.verdicts if s.startswith("No verdict") and "residual_wide" in s]
    assert "took 1.10 times as long" in other and "at the speed of the quiet run" in other


def test_nothing_is_said_where_arms_are_compared_at_equal_time():
    for records in (sample.records(), single_marks()):
        timing = sample.timing()
        for arm in timing["arms"].values():
            arm["seconds_per_token"] = 1.2e-5
        results = sample.built(sample.comparison(), records, timing)
        assert results.views["equal_time"]
        assert "In place of a verdict" not in report_markdown(results)
        assert not any(sentence.startswith("No verdict at equal") for sentence in results.verdicts)
