# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark cases of the similarities: both forms are checked to be the same, and memory is a real peak."""

import pytest

from hf_variants.experiments.benchmarks import suite as benchmarking
from hf_variants.experiments.benchmarks.cases import similarities as benchmark_similarities
from hf_variants.experiments.benchmarks.suite import CASES, Case, DifferentError, Sides
from hf_variants.experiments.reports.benchmark import table


@pytest.mark.parametrize("similarity", ["cosine", "gaussian", "euclidean"])
def test_naive_and_fast_forms_agree_and_a_wrong_one_is_refused(similarity, monkeypatch):
    monkeypatch.setattr(benchmark_similarities, "LENGTH", 128)
    benchmark_similarities.similarity_sides(similarity, 64, 1, naive=True).check()
    exact = benchmark_similarities.naive_scores
    wrong = lambda name, query, key, scale: exact(name, query, key, 1.2 * scale)  # noqa: E731
    monkeypatch.setattr(benchmark_similarities, "naive_scores", wrong)
    with pytest.raises(DifferentError, match="differ"):
        benchmark_similarities.similarity_sides(similarity, 64, 1, naive=True).check()


def test_every_similarity_has_a_fast_and_a_naive_case_at_both_widths():
    for similarity in ("cosine", "gaussian", "euclidean"):
        for width in (256, 768):
            assert CASES[f"{similarity}_hidden{width}"].target is not None
            assert CASES[f"naive_{similarity}_hidden{width}"].target is None
    assert CASES["memory_gaussian_1x2048"].unit == "MiB" and CASES["memory_gaussian_1x2048"].target == 1.20


def test_a_case_of_memory_compares_what_its_sides_return(capsys):
    sides = Sides(lambda: None, iter([30.0, 20.0, 25.0]).__next__, iter([10.0, 10.0, 10.0]).__next__)
    result = benchmarking.measure(Case("memory", ("a", "b"), 1.2, lambda: sides, "MiB"), rounds=9)
    assert result["ours"] == {"name": "a", "median_mib": 25.0, "quartiles_mib": [22.5, 27.5]}
    assert (result["ratio"], result["rounds"], result["verdict"]) == (2.5, 3, "over")
    assert "25.0 (22.5–27.5) MiB" in table([result])


def test_the_naive_form_needs_the_memory_of_all_scores(monkeypatch):
    monkeypatch.setattr(benchmark_similarities, "MEMORY_LENGTH", 512)
    naive, fast = (benchmark_similarities.step_memory("gaussian", naive) for naive in (True, False))
    assert naive > 1.2 * fast > 0
