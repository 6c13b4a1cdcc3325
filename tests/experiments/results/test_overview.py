# Copyright 2026 The hf_variants authors. MIT licence.
"""The overview over cells: one correction for all tests, verdicts that claim no more, and what is missing."""

import json
import re
from dataclasses import replace

import pytest

from hf_variants.experiments.records import Classification, Floor
from hf_variants.experiments.reports.overview import overview_markdown, overview_table
from hf_variants.experiments.results import significance
from hf_variants.experiments.results.verdicts import main_test
from hf_variants.experiments.results.wording import OWN_BUDGET, at
from tests.experiments.reports.test_cards import UNSET
from tests.helpers import sample_comparison as sample


def of_seeds(*seeds):
    return sample.built(sample.comparison(), [r for r in sample.records() if r["seed"] in seeds], sample.timing())


@pytest.fixture
def overview():
    return sample.overview_of(first=of_seeds(0, 1, 2), second=of_seeds(0))


def all_tests(overview):
    return [row for cell in overview.cells.values() for row in cell.tests]


def test_holm_is_over_all_tests_of_all_cells():
    overview = sample.overview_of(first=of_seeds(0, 1, 2), second=of_seeds(0, 1, 2))
    rows = all_tests(overview)
    # Per cell: two arms at two budgets, at equal time and at equal FLOPs, and one matched pair that is no baseline.
    assert overview.tests_corrected == len(rows) == 2 * (4 + 2 + 2 + 1)
    assert [row.p_holm for row in rows] == significance.holm([row.p for row in rows])
    smallest = min(rows, key=lambda row: row.p)
    assert smallest.p_holm == pytest.approx(18 * smallest.p)


def test_an_arm_that_is_another_under_a_second_name_makes_no_tests_more():
    twin = [r | {"arm": "twin", "seconds": 1 + r["seconds"]} for r in sample.records() if r["arm"] == "highway"]
    comparison = sample.comparison()
    comparison["arms"]["twin"] = comparison["arms"]["highway"]
    overview = sample.overview_of(a=sample.built(comparison, sample.records() + twin), b=of_seeds(0, 1, 2))
    rows = [row for row in all_tests(overview) if row.view == "equal_tokens"]
    p_of = {(row.arm, row.budget): row.p_holm for row in rows[:6]}
    assert all(p == p_of["highway", budget] for (arm, budget), p in p_of.items() if arm == "twin")
    assert overview.tests_corrected < len(all_tests(overview))


def test_runs_that_cost_alike_are_one_test_at_equal_tokens_and_at_equal_flops():
    records = sample.records()
    for record in records:
        for mark in record["marks"]:
            mark["flops"] = 1e6 * mark["tokens"]
    overview = sample.overview_of(a=sample.built(sample.comparison(), records, sample.timing()))
    rows = all_tests(overview)
    tokens, flops = (main_test(overview.cells["a"], view, "highway") for view in ("equal_tokens", "equal_flops"))
    assert flops.p == tokens.p and flops.p_holm == tokens.p_holm
    assert overview.tests_corrected == len(rows) - 2
    assert "; rows that compare the same runs are one test" in overview_markdown(overview)


def test_what_one_cell_detects_may_not_hold_over_many():
    alone = sample.overview_of(first=of_seeds(0, 1, 2))
    row = main_test(alone.cells["first"], "equal_tokens", "highway")
    assert row.verdict == "worse"
    many = sample.overview_of(**{f"cell{i}": of_seeds(0, 1, 2) for i in range(12)})
    again = main_test(many.cells["cell0"], "equal_tokens", "highway")
    assert again.p == row.p and again.p_holm > row.p_holm
    for row in all_tests(many):
        assert (row.verdict in ("better", "worse")) <= (row.p_holm < 0.05)


def test_a_matched_pair_with_the_baseline_is_one_test():
    records = sample.records()
    for record in records:
        record["parameters"] = 350_000
    cell = sample.overview_of(a=sample.built(sample.comparison(), records)).cells["a"]
    matched = [row for row in cell.tests if row.parameters]
    assert [row.view for row in matched] == ["equal_tokens", "equal_tokens", "parameter_matched"]
    assert {(row.arm, row.against) for row in matched[:2]} == {
        ("highway", "residual"),
        ("residual_wide", "residual"),
    }


def test_arms_and_ratios(overview):
    arm = overview.cells["first"].arms["highway"]
    assert arm.training_speed_ratio == pytest.approx(0.8) and arm.inference_speed_ratio == pytest.approx(0.8)
    assert arm.metrics["loss"].ci95 and arm.parameters == 400_000
    assert "per_seed" not in json.dumps(overview.to_json())
    busy = sample.overview_of(a=sample.built(sample.comparison(), sample.records())).cells["a"].arms
    assert busy["highway"].training_speed_ratio == pytest.approx(1.0)
    assert busy["highway"].inference_speed_ratio is None


def test_one_seed_has_no_interval_and_no_verdict(overview):
    cell = overview.cells["second"]
    assert cell.seeds == (0,) and {row.verdict for row in cell.tests} == {"one seed: no interval"}
    assert "at equal tokens (4.0 M tokens) no verdict from one seed, +0.196 nats" in cell.verdict
    report = overview_markdown(overview)
    assert "One seed only, so no interval and no verdict: second." in report
    assert "+0.196 (1 seed)" in report


def test_verdicts(overview):
    first = overview.cells["first"].verdict
    assert first.startswith("first: highway against residual (1.14 times the parameters, trains 0.80 times as fast): ")
    row = main_test(overview.cells["first"], "equal_tokens", "highway")
    low, high = row.ci95
    assert (
        f"at equal tokens (4.0 M tokens) {row.verdict}, +0.200 nats (95 % CI {low:+.3f} to {high:+.3f}, Holm p"
        in first
    )
    assert "at equal tokens worse in 1 of 2 cells (first), no verdict from one seed in 1 of 2 cells (second)" in (
        overview.verdict
    )
    assert "it trains 0.80 times as fast" in overview.verdict
    assert overview.verdict.endswith("Not all runs are finished in later.")


def test_cells_without_runs_are_listed(overview):
    assert overview.missing == {"later": ("residual-seed0", "highway-seed0")}
    assert "Not finished yet, the whole cell: later** (residual-seed0, highway-seed0)" in overview_markdown(overview)
    empty = sample.overview_of()
    assert empty.verdict.startswith("Nothing to compare yet")
    assert "later" in overview_markdown(empty) and overview_table(empty)
    only_baseline = sample.overview_of(a=sample.built(sample.comparison(), sample.records()[:3]))
    assert "only the baseline has finished runs" in only_baseline.cells["a"].verdict


def test_the_report_has_every_cell_arm_and_test(overview):
    report = overview_markdown(overview)
    for name, cell in overview.cells.items():
        assert f"* {cell.verdict}\n" in report and f"[report]({name}/report.md)" in report
        for arm, row in cell.arms.items():
            assert f"| {name} | {arm} | {row.parameters:,} |" in report
        for row in cell.tests:
            assert f"| {name} | {row.arm} | {row.against} |" in report
    assert "(context_length.png)" in report
    assert f"over all {overview.tests_corrected} tests of all cells" in report
    assert "context_length" not in overview_markdown(sample.overview_of(a=of_seeds(0, 1, 2)))


def test_a_cell_s_floor_is_below_its_arms_and_arms_without_timing_are_named():
    timing = sample.timing()
    del timing["arms"]["highway"]
    results = sample.built(sample.comparison(), sample.records(), timing)
    said = Classification(kind="binary", label_names=("no", "yes"))
    floor = Floor(fingerprint="", metrics={"test": {"loss": 1.23456}}, classification=said)
    results = replace(results, floor=floor)
    report = overview_markdown(sample.overview_of(a=results, b=of_seeds(0, 1, 2)))
    lines = [line for line in report.splitlines() if line.startswith(("| a |", "| b |"))]
    assert lines[3].startswith("| a | floor: TF-IDF + logistic regression | - | 1.235 | - |")
    assert lines[4].startswith("| b | residual |") and lines[3].count("|") == lines[2].count("|")
    assert "speed is that of training itself: a (highway)." in report and "busy" not in report


def test_a_cell_that_was_timed_on_a_busy_machine_is_named_and_claims_nothing_at_equal_time():
    timing = sample.timing()
    timing["arms"]["highway"]["train_step_ms_quartiles"] = [40.0, 140.0]
    overview = sample.overview_of(a=sample.built(sample.comparison(), sample.records(), timing), b=of_seeds(0, 1, 2))
    verdicts = [main_test(overview.cells[cell], "equal_time", "highway").verdict for cell in "ab"]
    assert verdicts == ["no difference detected", "worse"]
    assert "the middle half of the training steps of highway in a spans 1.60 times" in overview_markdown(overview)


def test_tables_are_whole_and_nothing_unset_is_rendered(overview):
    causal = sample.built(sample.comparison(), sample.causal_records(), sample.timing())
    for made in (overview, sample.overview_of(), sample.overview_of(a=causal)):
        for text in (overview_markdown(made), overview_table(made)):
            assert not UNSET.search(text), UNSET.search(text)
            for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
                assert len({len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    report = overview_markdown(sample.overview_of(a=causal))
    assert "| bits per byte ± 95 % CI |" in report and "nats per token" in report
    table = overview_table(overview).split("\n\n")[0].splitlines()
    assert len({len(line) for line in table}) == 1 and len(table) == 2 + 6


def test_budgets_are_named_in_the_unit_of_the_cells():
    results = replace(of_seeds(0, 1, 2), budget_unit="examples")
    overview = sample.overview_of(first=results)
    report = overview_markdown(overview)
    assert "at equal examples" in overview.verdict and "difference, equal examples" in report
    assert re.search(r"[kM] examples", report) and "equal tokens" not in report
    assert at("equal_tokens", 1, OWN_BUDGET) == at("parameter_matched", 1, OWN_BUDGET)
    assert at("equal_tokens", 1, OWN_BUDGET) == "at the end of each arm's own budget"
