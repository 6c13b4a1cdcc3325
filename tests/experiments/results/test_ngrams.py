# Copyright 2026 The hf_variants authors. MIT licence.
"""What is said of arms that n-grams beat: first, with numbers, and only of those."""

from dataclasses import replace

import pytest

from hf_variants.experiments.records import ConstantAnswer, NGramFloor
from hf_variants.experiments.reports.report import report_markdown
from hf_variants.experiments.results.contracts import Results
from hf_variants.experiments.results.ngrams import (
    above_trigram,
    cells_sentence,
    constant_sentence,
    losses_of,
    reference_losses,
    trigram_sentence,
)
from hf_variants.experiments.results.overview import AboutCell, build_overview
from tests.helpers import sample_comparison as sample

RECORDS = sample.records()


def with_trigram(loss: float, **changes) -> Results:
    """The sample comparison beside n-grams of which the trigram has this loss."""
    floor = NGramFloor(
        fingerprint=RECORDS[0]["data"]["fingerprint"],
        split="test",
        sides=2,
        predicted=1000,
        tokens_seen=2_000_000,
        tokens_whole=4_000_000,
        seen=(4.0, 3.0, loss, loss - 0.1, loss - 0.05),
        whole=(4.0, 2.9, loss - 0.2, loss - 0.4, loss - 0.5),
    )
    return sample.built(sample.comparison(), RECORDS, ngrams=replace(floor, **changes))


LOSSES = losses_of(with_trigram(0.0))


def between() -> float:
    """A loss that some arms reach, and some do not."""
    low, high = sorted(LOSSES.values())[0], sorted(LOSSES.values())[-1]
    return (low + high) / 2


def test_nothing_is_said_where_every_arm_reaches_the_trigram():
    results = with_trigram(max(LOSSES.values()) + 0.1)
    assert above_trigram(results) == [] and trigram_sentence(results) == ""
    assert not results.verdicts[0].startswith("No arm")


def test_the_first_sentence_says_that_no_arm_reaches_it():
    results = with_trigram(min(LOSSES.values()) - 0.1)
    assert above_trigram(results) == list(LOSSES)
    assert results.verdict.startswith("No arm reaches the trigram of the same 2.0 M training tokens")
    assert results.verdicts[0] == trigram_sentence(results)
    for arm, loss in LOSSES.items():
        assert f"{arm} {loss:.3f}" in results.verdicts[0]
    text = report_markdown(results)
    assert "| the tokens of a run | 2,000,000 | 4.000 | 3.000 |" in text and "| all of train | 4,000,000 |" in text


def test_only_the_arms_above_it_are_named():
    results = with_trigram(between())
    above = {arm for arm, loss in LOSSES.items() if loss > between()}
    assert 0 < len(above) < len(LOSSES) and set(above_trigram(results)) == above
    sentence = trigram_sentence(results)
    assert "not reach the trigram" in sentence
    assert {arm for arm in LOSSES if f"{arm} {LOSSES[arm]:.3f}" in sentence} == above


@pytest.mark.parametrize("changes", [{"split": "validation"}, {"seen": (4.0, 3.0)}], ids=["split", "orders"])
def test_what_is_not_comparable_is_not_compared(changes):
    results = with_trigram(0.0, **changes)
    assert above_trigram(results) == [] and trigram_sentence(results) == ""


def test_n_grams_of_other_data_are_refused():
    with pytest.raises(ValueError, match="made from other data"):
        with_trigram(0.0, fingerprint="another")


def test_plots_have_the_trigram_and_the_best_order():
    assert [name for name, _ in reference_losses(with_trigram(1.5))] == ["trigram (1.50)", "4-gram (1.40)"]
    best = with_trigram(1.5, seen=(4.0, 3.0, 1.5, 1.6, 1.7))
    assert reference_losses(best) == [("trigram (1.50)", 1.5)]
    without = replace(best, ngrams=None)
    assert [name for name, _ in reference_losses(without)] == [f"unigram entropy ({without.data.unigram_entropy:.2f})"]


def test_the_overview_says_in_which_cells():
    losses = sorted(LOSSES.values())
    results = {"a": with_trigram(losses[0] - 1), "b": with_trigram(between()), "c": with_trigram(losses[-1] + 1)}
    about = {name: AboutCell("", 16) for name in results}
    overview = build_overview("demo", "", "", about, results)
    sentence = cells_sentence(overview.cells)
    assert "no arm reaches it in a" in sentence and " in b" in sentence and " in c" not in sentence
    assert overview.verdict.startswith(sentence)
    assert cells_sentence({"c": overview.cells["c"]}) == ""


def test_constant_answers_are_compared_with_those_of_arms():
    causal = [sample.written(record) for record in sample.records()]
    answer = ConstantAnswer(answer="20", exact_match=0.6, questions=40)
    base = with_trigram(9.0).ngrams
    results = sample.built(sample.comparison(), causal, ngrams=replace(base, constant_answer=answer))
    assert constant_sentence(results).startswith('Always answering "20" is right in 60.0 % of the questions; ')
    assert constant_sentence(results).endswith("are no better.") and constant_sentence(results) in results.verdicts
    better = replace(base, constant_answer=replace(answer, exact_match=0.1))
    assert constant_sentence(replace(results, ngrams=better)).endswith("every arm is better.")
    assert constant_sentence(with_trigram(9.0)) == ""
