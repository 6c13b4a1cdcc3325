# Copyright 2026 The hf_variants authors. MIT licence.
"""What reports say of growth: the right numbers in the right cells, in words that claim no more than they show."""

import re
from dataclasses import replace

import pytest

from hf_variants.experiments.records import Receipt
from hf_variants.experiments.reports.growth import (
    card_sections,
    jump_text,
    operation_text,
    report_sections,
    speedup_sentence,
)
from hf_variants.experiments.results.secondary import ratio_text
from hf_variants.experiments.results.verdicts import answer_sentences, gradient_sentences
from tests.helpers import sample_comparison as sample


@pytest.fixture
def results():
    return sample.built(sample.growth_comparison(), sample.growth_records(), sample.growth_timing())


def table_rows(text, *cells):
    """The cells of every table row that begins with these."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if tuple(row[: len(cells)]) == cells]


def section(results, title):
    return re.split(r"(?m)^## ", "\n\n".join(report_sections(results)).split(f"## {title}\n")[1])[0]


def test_growth_table(results):
    text = section(results, "Growth")
    before = sum(sample.trunk_loss("stack", seed, 500_000, grown=False) for seed in sample.NOISE) / 3
    assert table_rows(text, "stack", "1") == [
        ["stack", "1", "500 k", "deepen (stack, copy)", "3 → 6", "3 → 6", "160,000", "160,000",
         f"{before:.3f} → {before + 0.5:.3f}", "+0.500 ± 0.000", "2"]
    ]  # fmt: skip
    (diverged,) = table_rows(text, "diverge", "2")
    assert diverged[3:6] == ["diverge", "12", "6 → 12"] and diverged[-2:] == ["0", "0"]
    assert "(growth.png)" in text and not table_rows(text, "scratch")


def test_words_for_jumps_and_operations(results):
    stage = results.arms["stack"].stages[0]
    for jump, ci95, text in (
        (0.0, (0.0, 0.0), "0"), (-2.5e-7, None, "-2.5e-07"), (0.25, (0.2, 0.3), "+0.250 ± 0.050"),
        (-0.25, None, "-0.250"),
    ):  # fmt: skip
        assert jump_text(replace(stage, jump=jump, jump_ci95=ci95)) == text
    arguments = {"times": 2, "placement": "middle", "init": "gradual"}
    receipt = Receipt(operation="deepen", arguments=arguments, lora={"rank": 8, "alpha": 16})
    assert operation_text(receipt) == "deepen (middle, gradual), LoRA rank 8"
    assert operation_text(Receipt()) == "-"


def test_what_only_some_seeds_did_is_said():
    records = sample.growth_records()
    records[-1]["stages"] = [records[-1]["stages"][0] | {"tokens": 800_000}]
    text = section(sample.built(sample.growth_comparison(), records), "Growth")
    assert table_rows(text, "stack", "1")[0][2] == "600 k (500 k to 800 k)"
    assert table_rows(text, "stack", "2 (2 of 3 seeds)")


def test_a_receipt_that_says_nothing_is_dashes():
    record = sample.growth_record("stack", 0)
    for stage in record["stages"]:
        stage["receipt"] = {}
    results = sample.built(sample.growth_comparison(), [sample.growth_record("scratch", 0), record])
    (row,) = table_rows(section(results, "Growth"), "stack", "1")
    assert row[3:5] == ["160,000", "160,000"]  # columns of dashes are left out


def test_speedup_table_and_sentence(results):
    text = section(results, "Speed-up")
    (row,) = table_rows(text, "diverge", "FLOPs")
    assert row[2:5] == ["5.66e+12", "8.00e+12", "1.41"] and row[-1] == "sooner"
    (row,) = table_rows(text, "stack", "seconds")
    assert row[2:] == ["-", "80.0 s", "-", "-", "-", "3", "not reached after 0.72 of the cost: 0.101 short"]
    assert speedup_sentence(results) == (
        "The final loss of scratch is reached sooner by diverge (tokens 1.41, FLOPs 1.41, seconds 1.41); "
        "not reached within its budget by stack (tokens, FLOPs, seconds)."
    )


def test_bounds_and_omissions_are_said():
    records = sample.growth_records()
    for record in records:
        if record["arm"] == "diverge":
            for mark in record["marks"]:
                mark["test"]["loss"] -= 1.0
    records = [record for record in records if (record["arm"], record["seed"]) != ("stack", 0)]
    text = section(sample.built(sample.growth_comparison(), records), "Speed-up")
    (row,) = table_rows(text, "diverge", "tokens")
    assert row[2] == "at most 1.0 M" and row[4] == "at least 4.00" and row[-1] == "at its first mark already"
    assert "* stack, seconds: left out, no timing of a quiet run for both arms." in text
    assert "not later than at its first mark by diverge (tokens at least 4.00, FLOPs at least 4.00);" in text


def test_gradient_ratios(results):
    text = section(results, "Gradients by layer")
    assert table_rows(text, "scratch") == [["scratch", "12", "0.37", "12", "0.37"]]  # 1 / e
    assert table_rows(text, "diverge") == [["diverge", "3 to 6", "0.90", "12", "0.90"]]  # exp(-0.1)
    assert "(layer_gradients.png)" in text


def test_gradients_and_right_answers_are_among_the_verdicts():
    records = sample.growth_records()
    shares = {"scratch": (0.2, 0.3, 0.25), "diverge": (0.32, 0.41, 0.37), "stack": (0.2, 0.3, 0.25)}
    for record in records:
        record["marks"][-1]["test"]["exact_match"] = shares[record["arm"]][record["seed"]]
    results = sample.built(sample.growth_comparison(), records, sample.growth_timing())
    found = [sentence.text for sentence in (*answer_sentences(results), *gradient_sentences(results))]
    assert list(results.verdicts[-len(found) :]) == found
    # one test: of stack nothing is left to be tested
    assert found[0] == (
        "diverge is better than scratch by 0.117 of all questions (95 % CI 0.102 to 0.131) in exact answers on test; "
        "Holm p=0.00082, n=3 seeds."
    )
    assert found[1] == "stack and scratch are equal in all 3 seeds in exact answers on test."
    gradients = "the first layer's gradient norm is 0.37 times the last one's early in training, 0.37 times late."
    assert found[2] == f"scratch: {gradients}"


def test_ratios_are_geometric_means_of_points_that_have_both():
    assert ratio_text([[1.0, 5.0, 2.0], [8.0, 1.0], [0.0, 1.0], [3.0]]) == "2.00"  # of 1/2 and 8
    assert ratio_text([[0.0, 1.0], [3.0]]) == "-"


def test_accuracy_by_number_of_equations(results):
    text = section(results, "Accuracy by chain length")
    assert [row[0] for row in table_rows(text)[2:]] == ["1", "2", "10"]
    (row,) = table_rows(text, "10")
    low, high = results.arms["diverge"].answers_by_equations["10"].ci95
    assert row[1] == "50" and row[3] == f"0.380 ({low:.3f} to {high:.3f})"
    for arm in ("scratch", "stack"):
        results = sample.altered(results, lambda c, arm=arm: c["arms"][arm]["answers_by_equations"].pop("10"))
    assert table_rows(section(results, "Accuracy by chain length"), "10")[0][2::2] == ["-", "-"]


def test_sections_are_there_only_with_what_they_show(results):
    assert report_sections(sample.built(sample.comparison(), sample.records(), sample.timing())) == []
    records = sample.growth_records()
    for record in records:
        del record["answers"]
        for point in record["curve"]:
            del point["layer_grad_norms"]
    report = "\n".join(report_sections(sample.built(sample.growth_comparison(), records)))
    assert "## Growth" in report and "Gradients" not in report and "chain length" not in report
    assert card_sections(results, "scratch") == []
    assert "merged" not in "".join(card_sections(results, "diverge"))
    results = sample.altered(results, lambda c: c["arms"]["diverge"]["stages"][0]["receipt"].update(lora={"rank": 4}))
    assert "merged" in "".join(card_sections(results, "diverge"))
