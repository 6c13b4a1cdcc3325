# Copyright 2026 The hf_variants authors. MIT licence.
"""results.json from made-up records whose every number can be worked out by hand."""

import copy
import json
import math

import pytest

from hf_variants.experiments.reports.report import report_markdown
from hf_variants.experiments.results.views import VIEWS, _shared_cost
from hf_variants.experiments.results.wording import describe_budget, short_count
from tests.helpers import sample_comparison as sample


def build_results(*inputs):
    """results.json, as it is written."""
    return sample.built(*inputs).to_json()


@pytest.fixture
def results():
    return build_results(sample.comparison(), sample.records(), sample.timing(), sample.tuning())


def row_of(results, view, arm, against="residual"):
    rows = [row for row in results["views"][view] if (row["arm"], row["against"]) == (arm, against)]
    return rows[-1]


def test_deterministic_and_independent_of_the_records_order(results):
    again = build_results(sample.comparison(), sample.records()[::-1], sample.timing(), sample.tuning())
    assert json.dumps(again) == json.dumps(results)
    assert "finished" not in json.dumps(results)
    json.dumps(results, allow_nan=False)


def test_inputs_are_not_changed():
    records, timing = sample.records(), sample.timing()
    before = copy.deepcopy((records, timing))
    build_results(sample.comparison(), records, timing, None)
    assert (records, timing) == before


def test_arms(results):
    arm = results["arms"]["highway"]
    losses = [sample.mark("highway", seed, 4_000_000)["test"]["loss"] for seed in (0, 1, 2)]
    test = arm["metrics"]["test"]["loss"]
    assert test["per_seed"] == dict(zip("012", losses, strict=True))
    assert test["mean"] == pytest.approx(sum(losses) / 3)
    assert test["ci95"][0] < min(losses) < max(losses) < test["ci95"][1]
    assert arm["best_seed"] == 0
    assert (arm["tokens"], arm["steps"], arm["seconds"]) == (4_000_000, 976, 100.0)
    assert arm["train_step_ms"] == 62.5
    assert "seed" not in arm["hyperparameters"]["training"]
    assert list(results["arms"]) == list(sample.comparison()["arms"])
    assert (results["split"], results["seeds"], results["missing"]) == ("test", [0, 1, 2], [])


def test_best_seed_is_chosen_on_validation_not_on_test():
    records = [sample.record("residual", seed) for seed in (0, 1)]
    records[1]["marks"][-1]["validation"]["loss"] = 1.0
    records[0]["marks"][-1]["test"]["loss"] = 0.5
    assert build_results(sample.comparison(), records)["arms"]["residual"]["best_seed"] == 1


def test_curve_is_the_mean_and_range_over_seeds(results):
    curve = results["arms"]["residual"]["curve"]
    losses = [sample.loss("residual", seed, 100_000) for seed in (0, 1, 2)]
    assert curve["quantity"] == "validation_loss"
    assert curve["tokens"][0] == 100_000
    assert (curve["low"][0], curve["high"][0]) == (min(losses), max(losses))
    assert curve["mean"][0] == pytest.approx(sum(losses) / 3)


def test_curve_falls_back_to_training_loss():
    record = sample.record("residual", 0)
    for point in record["curve"]:
        del point["validation_loss"]
    assert build_results(sample.comparison(), [record])["arms"]["residual"]["curve"]["quantity"] == "train_loss"


def test_equal_tokens_has_a_row_per_budget_and_arm(results):
    rows = results["views"]["equal_tokens"]
    assert [(row["arm"], row["budget"]) for row in rows] == [
        (arm, budget) for arm in ("highway", "residual_wide") for budget in sample.BUDGETS
    ]
    expected = sum(0.2 + 0.4 * noise for noise in sample.NOISE.values()) / 3
    assert rows[1]["difference"] == pytest.approx(expected)
    assert rows[1]["verdict"] == "worse"
    assert all(row["p_holm"] >= row["p"] for row in rows)


def test_holm_is_over_all_rows_of_the_view(results):
    rows = results["views"]["equal_tokens"]
    smallest = min(rows, key=lambda row: row["p"])
    assert smallest["p_holm"] == pytest.approx(4 * smallest["p"])


def test_arms_that_have_not_parted_yet_are_one_test():
    about, twins = sample.comparison(), []
    about["arms"]["later"] = {"description": "highway until 1 M tokens, and something else then"}
    for seed in sample.NOISE:
        twins.append(sample.record("highway", seed) | {"arm": "later"})
        for split in ("validation", "test"):
            twins[-1]["marks"][-1][split]["loss"] += 0.1 * (1 + seed)
    rows = build_results(about, sample.records() + twins, sample.timing())["views"]["equal_tokens"]
    one, other = (row for row in rows if row["arm"] in ("highway", "later") and row["budget"] == sample.BUDGETS[0])
    assert {**one, "arm": ""} == {**other, "arm": ""}
    smallest = min(rows, key=lambda row: row["p"])
    assert len(rows) == 6 and smallest["p_holm"] == pytest.approx(5 * smallest["p"])


def test_an_arm_that_is_the_baseline_is_no_test():
    about = sample.comparison()
    about["arms"]["twin"] = {"description": "the baseline"}
    twins = [sample.record("residual", seed) | {"arm": "twin"} for seed in sample.NOISE]
    results = build_results(about, sample.records() + twins, sample.timing())
    rows = results["views"]["equal_tokens"]
    assert [(row["p"], row["p_holm"], row["verdict"]) for row in rows if row["arm"] == "twin"] == [
        (None, None, "equal in every seed")
    ] * 2
    smallest = min((row for row in rows if row["p"] is not None), key=lambda row: row["p"])
    assert smallest["p_holm"] == pytest.approx(4 * smallest["p"])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"max_eval_blocks": 400, "spread_eval_blocks": True}, "400 at even distances"),
        ({"max_eval_blocks": 400, "spread_eval_blocks": False}, "the first 400"),
        ({"max_eval_blocks": 400, "spread_eval_blocks": True, "eval_stride": 8}, "the first 400"),
        ({"max_eval_blocks": 15_625, "spread_eval_blocks": True}, None),
        ({"max_eval_blocks": None}, None),
    ],
)
def test_it_is_said_which_part_of_a_split_was_evaluated(data, words):
    records = sample.records()
    for record in records:
        record["recipe"]["data"] = {"name": "tiny_shakespeare"} | data
    results = sample.built(sample.comparison(), records, sample.timing())
    splits = results.data.splits
    assert [splits[name].get("evaluated") for name in ("train", "validation", "test")] == [None, words, words]
    assert (f"15,625 blocks, evaluated: {words}" in report_markdown(results)) == (words is not None)


def test_equal_time_interpolates_in_log_cost_by_hand(results):
    row = row_of(results, "equal_time", "highway")
    # residual ends after 4 M tokens · 12 µs = 48 s; highway needs 15 µs a token: marks at 15 s and 60 s.
    share = math.log(48 / 15) / math.log(60 / 15)
    differences = []
    for seed in sample.NOISE:
        first, last = (sample.mark("highway", seed, tokens)["test"]["loss"] for tokens in sample.BUDGETS)
        baseline = sample.mark("residual", seed, 4_000_000)["test"]["loss"]
        differences.append(first + share * (last - first) - baseline)
    assert row["budget"] == pytest.approx(48.0)
    assert row["tokens"] == {"highway": 3_200_000, "residual": 4_000_000}
    assert row["interpolated"] == ["highway"]
    assert row["difference"] == pytest.approx(sum(differences) / 3)
    assert row["verdict"] == "worse"


def timing_of(**scales):
    """The timing, an arm's seconds per token being so many times the residual net's."""
    timing = sample.timing()
    for arm, scale in scales.items():
        timing["arms"][arm]["seconds_per_token"] = 1.2e-5 * scale
    return timing


def test_a_fast_arm_s_late_mark_meets_a_slow_arm_s_early_one():
    """Three times as fast: marks at 4 s and 16 s against 12 s and 48 s. Near 12 s both have a mark, near 16 s not."""
    row = row_of(
        build_results(sample.comparison(), sample.records(), timing_of(highway=1 / 3)), "equal_time", "highway"
    )
    assert row["budget"] == pytest.approx(12.0)
    assert row["tokens"] == {"highway": 3_000_000, "residual": 1_000_000}
    assert row["interpolated"] == ["highway"]
    assert row["marks"]["residual"] == [{"tokens": 1_000_000, "cost": pytest.approx(12.0)}]
    assert [m["cost"] for m in row["marks"]["highway"]] == pytest.approx([4.0, 16.0])
    share = math.log(12 / 4) / math.log(16 / 4)
    differences = []
    for seed in sample.NOISE:
        first, last = (sample.mark("highway", seed, tokens)["test"]["loss"] for tokens in sample.BUDGETS)
        baseline = sample.mark("residual", seed, 1_000_000)["test"]["loss"]
        differences.append(first + share * (last - first) - baseline)
    assert row["difference"] == pytest.approx(sum(differences) / 3)
    # Worse at equal tokens, better at equal time, and no interpolation speaks for it.
    assert row["verdict"] == "better" and "caveat" not in row


def test_arms_of_like_speed_are_compared_where_the_first_ends(results):
    row = row_of(results, "equal_time", "highway")
    assert [m["tokens"] for m in row["marks"]["highway"]] == list(sample.BUDGETS)
    assert row["marks"]["residual"] == [{"tokens": 4_000_000, "cost": pytest.approx(48.0)}]


@pytest.mark.parametrize(
    ("speed", "budgets", "share"),
    [(1.0, [0.3, 1], 1.0), (1.2, [0.3, 1], 1 / 1.2), (1.55, [0.15, 0.3, 1], 1 / 1.55), (2, [0.3, 1], 0.3),
     (3, [0.3, 1], 0.3), (3, [0.1, 0.3, 1], 0.3), (4, [0.1, 0.3, 1], 0.25), (6, [0.1, 0.3, 1], 0.1),
     (4, [0.3, 1], None)],
)  # fmt: skip
def test_where_arms_of_other_speed_are_compared(speed, budgets, share):
    """`share` is of the slow arm's time: near the fast arm's end, or a bit earlier where the marks are closer."""
    found = _shared_cost([budgets, [budget / speed for budget in budgets]])
    assert found == (None if share is None else pytest.approx(share))


def test_where_the_fast_arm_ends_too_early_the_budget_that_is_missing_is_named():
    results = build_results(sample.comparison(), sample.records(), timing_of(highway=0.2))
    omitted = [row for row in results["views_omitted"]["equal_time"] if row["arm"] == "highway"]
    assert omitted[0]["reason"] == (
        "highway ends at 9.6 s of training and residual is first evaluated at 12.0 s of training: it would need "
        "extrapolation, or a first share in training.budgets of at most 0.2"
    )


def test_what_the_best_seed_wrote_is_kept():
    arms = build_results(sample.comparison(), sample.causal_records())["arms"]
    assert arms["highway"]["best_seed"] == 0
    assert arms["highway"]["samples"][0]["text"] == "```\n# highway 0"
    assert arms["highway"]["answers"]["correct"] == 2 and arms["highway"]["remarks"]
    assert "samples" not in build_results(sample.comparison(), sample.records())["arms"]["highway"]


@pytest.mark.parametrize(
    ("objective", "unit"),
    [("masked_lm", "nats per masked token"), ("causal_lm", "nats per token"), ("mine.py:Mine", "nats")],
)
def test_units(objective, unit):
    records = sample.causal_records()
    for record in records:
        record["recipe"]["objective"]["objective"] = objective
    assert build_results(sample.comparison(), records)["unit"] == unit
    bits = build_results(sample.comparison() | {"metric": "bits_per_byte"}, records)
    assert (bits["unit"], bits["lower_is_better"]) == ("bits per byte", True)


def test_a_verdict_that_rests_on_interpolation_alone_is_withheld(results):
    row = row_of(results, "equal_flops", "residual_wide")
    assert row["ci95"][0] > 0 and row["p_holm"] < 0.05
    assert row["difference_at_next_mark"] == pytest.approx(
        row_of(results, "equal_tokens", "residual_wide")["difference"]
    )
    assert row["verdict"] == "no difference detected"
    assert "next mark" in row["caveat"]


def test_at_equal_time_nothing_is_detected_by_a_timing_of_a_busy_machine(results):
    timing = sample.timing()
    timing["arms"]["residual"]["train_step_ms_quartiles"] = [40.0, 66.0]  # 0.52 of the median
    timing["arms"]["highway"]["train_step_ms_quartiles"] = [40.0, 65.0]
    found = build_results(sample.comparison(), sample.records(), timing)
    steady, busy = (row_of(each, "equal_time", "highway") for each in (results, found))
    assert steady["verdict"] == "worse" and "caveat" not in steady
    assert busy == steady | {"verdict": "no difference detected", "caveat": "the timing of residual is unsteady"}
    assert "next mark" in row_of(results, "equal_flops", "residual_wide")["caveat"]
    assert found["views"]["equal_tokens"] == results["views"]["equal_tokens"]
    assert found["arms"]["residual"]["unsteady"] == pytest.approx(0.52)
    assert all("unsteady" not in found["arms"][arm] for arm in ("highway", "residual_wide"))
    assert all("unsteady" not in row for row in results["arms"].values())


def test_equal_cost_is_never_extrapolated():
    records = sample.records()
    for record in records:
        record["marks"] = record["marks"][-1:]
    results = build_results(sample.comparison(), records, sample.timing(), None)
    assert results["views"]["equal_time"] == []
    assert "extrapolation" in results["views_omitted"]["equal_time"][0]["reason"]
    # Equal FLOPs per token need no interpolation, so one mark is enough.
    for record in records:
        record["flops_per_token"] = 2e6
        record["marks"][0]["flops"] = 2e6 * record["marks"][0]["tokens"]
    rows = build_results(sample.comparison(), records)["views"]["equal_flops"]
    assert [row["interpolated"] for row in rows] == [[], []]


def test_without_timing_the_time_view_says_why():
    results = build_results(sample.comparison(), sample.records())
    assert "timing" in results["views_omitted"]["equal_time"][0]["reason"]
    assert results["arms"]["highway"]["train_step_ms"] is None
    assert results["arms"]["highway"]["tokens_per_second"] == pytest.approx(4e4)
    assert results["arms"]["highway"]["speed_source"] == "training runs"


def test_parameter_matched(results):
    rows = results["views"]["parameter_matched"]
    assert [(row["arm"], row["against"]) for row in rows] == [("highway", "residual_wide")]
    comparison = sample.comparison() | {"parameter_matched": {}}
    rows = build_results(comparison, sample.records())["views"]["parameter_matched"]
    assert [(row["arm"], row["against"]) for row in rows] == [("residual_wide", "highway")]
    comparison["parameter_matched"] = {"highway": "residual"}
    omitted = build_results(comparison, sample.records())["views_omitted"]["parameter_matched"]
    assert "1.143 times" in omitted[0]["reason"]
    with pytest.raises(ValueError, match="'wide' is not one of"):
        build_results(comparison | {"parameter_matched": {"wide": "residual"}}, sample.records())


def test_one_seed_gives_no_interval_and_no_verdict():
    results = build_results(sample.comparison(), [r for r in sample.records() if r["seed"] == 0], sample.timing())
    assert results["arms"]["highway"]["metrics"]["test"]["loss"]["ci95"] is None
    for view in VIEWS:
        assert {row["verdict"] for row in results["views"][view]} == {"one seed: no interval"}
    assert "no verdict" in results["verdict"]


def test_validation_is_used_when_a_run_has_no_test():
    records = sample.records()
    del records[0]["marks"][-1]["test"]
    assert build_results(sample.comparison(), records)["split"] == "validation"


def test_unfinished_runs_are_listed_and_paired_out():
    records = [r for r in sample.records() if (r["arm"], r["seed"]) != ("highway", 2)]
    results = build_results(sample.comparison(), records)
    assert results["missing"] == [{"arm": "highway", "seed": 2}]
    assert row_of(results, "equal_tokens", "highway")["seeds"] == 2
    assert row_of(results, "equal_tokens", "residual_wide")["seeds"] == 3


def test_higher_is_better_for_accuracy():
    results = build_results(sample.comparison() | {"metric": "accuracy"}, sample.records())
    row = row_of(results, "equal_tokens", "highway")
    assert row["difference"] < 0
    assert row["verdict"] == "worse"


def test_environment_lists_what_differs():
    records = sample.records()
    records[-1]["environment"] = records[-1]["environment"] | {"threads": 8}
    environment = build_results(sample.comparison(), records)["environment"]
    assert environment["threads"] == [2, 8]
    assert environment["torch"] == "2.13.0"


def test_diverged_trials_become_null(results):
    assert [trial["validation_loss"] for trial in results["tuning"]["highway"]] == [2.1, None]


def broken(change):
    records = sample.records()
    change(records)
    return records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[4]["marks"][0]["test"].update(loss=math.nan), "arm highway, seed 1: diverged, test loss is nan"),
        (lambda r: r.append(r[0]), "two records of one run"),
        (lambda r: r[0]["data"].update(fingerprint="sha256:33"), "different data"),
        (lambda r: r[0].update(arm="other"), "'other' is not one of"),
        (lambda r: r[0].update(schema=2), "schema 2"),
        (lambda r: r[0].update(marks=[]), "no evaluation mark"),
        (lambda r: r.__delitem__(slice(0, 3)), "baseline 'residual' has no finished run"),
    ],
)
def test_bad_records_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        build_results(sample.comparison(), broken(change))


def test_words_for_budgets():
    assert [short_count(n) for n in (950, 4_000_000, 29_555_778, 2_500)] == ["950", "4.0 M", "29.6 M", "2.5 k"]
    assert describe_budget("equal_time", 48.04) == "48.0 s of training"
    assert describe_budget("equal_flops", 8e12) == "8.00e+12 training FLOPs"


# ---- what only some arms have --------------------------------------------------------------------------------------


@pytest.fixture
def growing():
    return build_results(sample.growth_comparison(), sample.growth_records(), sample.growth_timing())


def test_growth_steps_are_means_over_seeds(growing):
    first, second = growing["arms"]["stack"]["stages"]
    before = [sample.trunk_loss("stack", seed, 500_000, grown=False) for seed in sample.NOISE]
    assert (first["stage"], first["seeds"], first["operation"], first["tokens"]) == (1, 3, "deepen", 500_000)
    assert first["loss_before"] == pytest.approx(sum(before) / 3)
    assert first["loss_after"] == pytest.approx(sum(before) / 3 + 0.5)
    assert first["jump"] == pytest.approx(0.5) and first["jump_ci95"] == pytest.approx([0.5, 0.5])
    assert first["max_difference"] == 2.0  # the largest of 1.5, 1.75 and 2.0
    assert first["receipt"]["max_difference"] == 1.5 and first["receipt"]["layers"] == [3, 6]
    assert (second["parameters"], second["flops_per_token"]) == (220_000, [1e6, 2e6])
    assert [stage["jump"] for stage in growing["arms"]["diverge"]["stages"]] == [0.0, 0.0]
    assert growing["arms"]["stack"]["hyperparameters"]["growth"]["stage_2"] == {
        "tokens": 2_000_000,
        "operation": "deepen",
    }


def test_seeds_that_grew_later_or_less_often():
    records = [sample.growth_record("scratch", 0), *(sample.growth_record("stack", seed) for seed in (0, 1))]
    records[2]["stages"] = [records[2]["stages"][0] | {"tokens": 700_000}]
    first, second = build_results(sample.growth_comparison(), records)["arms"]["stack"]["stages"]
    assert (first["tokens"], first["tokens_range"], first["seeds"]) == (600_000, [500_000, 700_000], 2)
    assert (second["seeds"], second["jump_ci95"]) == (1, None)


def test_layer_gradients_are_means_while_seeds_have_as_many_layers():
    records = sample.growth_records()
    for record in records:
        record["curve"] = record["curve"][:2]
        for point in record["curve"]:
            point["layer_grad_norms"] = [1.0 + record["seed"], 4.0]
    records[-1]["curve"][1]["layer_grad_norms"] = [7.0, 7.0, 7.0]
    del records[0]["curve"][0]["layer_grad_norms"]
    arms = build_results(sample.growth_comparison(), records)["arms"]
    assert arms["diverge"]["layer_gradients"] == {"tokens": [50_000, 100_000], "norms": [[2.0, 4.0], [2.0, 4.0]]}
    assert arms["stack"]["layer_gradients"]["norms"] == [[2.0, 4.0], [1.0, 4.0]]  # the first seed's
    assert arms["scratch"]["layer_gradients"]["tokens"] == [100_000]


def test_answers_are_pooled_by_the_number_of_equations(growing):
    found = growing["arms"]["diverge"]["answers_by_equations"]
    assert list(found) == ["1", "2", "10"]
    ten = found["10"]
    assert (ten["questions"], ten["correct"], ten["seeds"]) == (150, 20 + 19 + 18, 3)
    assert ten["accuracy"] == pytest.approx(57 / 150)
    z, n, share = 1.959964, 150, 57 / 150  # Wilson (1927)
    middle, half = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert ten["ci95"] == pytest.approx([(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)], rel=1e-6)


def test_views_of_growing_arms_know_what_each_stage_costs(growing):
    row = row_of(growing, "equal_flops", "stack", "scratch")
    assert row["budget"] == pytest.approx(5.75e12)


def test_arms_that_do_not_grow_have_nothing_of_it(results):
    found = set(results) | {key for row in results["arms"].values() for key in row}
    assert not found & {"speedups", "stages", "layer_gradients", "answers_by_equations"}
    assert "growth" not in results["arms"]["highway"]["hyperparameters"]
