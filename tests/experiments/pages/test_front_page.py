# Copyright 2026 The hf_variants authors. MIT licence.
"""The front page: what a comparison's verdict says of arms and cells, and what it says beside it."""

import json
from pathlib import Path

import pytest

from hf_variants.experiments.pages.front_page import Entry, front_page, verdict_lines
from hf_variants.experiments.pages.sources import Sources
from tests.helpers import sample_comparison as sample


def results_of(*seeds, timing=True):
    records = [record for record in sample.records() if record["seed"] in seeds]
    return sample.built(sample.comparison(), records, sample.timing() if timing else None)


def page_of(folder: Path, results) -> str:
    (folder / results.name).mkdir()
    (folder / results.name / "results.json").write_text(json.dumps(results.to_json()))
    path = Path("training/comparisons") / f"{results.name}.yaml"
    return front_page([Entry(results.name, results.question, path, published=True)], Sources(folder))


def test_arms_are_grouped_by_verdict_and_view():
    lines = verdict_lines(results_of(0, 1, 2))
    assert lines[0] == "at equal tokens: **worse**: highway; **no difference detected**: residual_wide"
    assert [line.split(":")[0] for line in lines] == [
        "at equal tokens",
        "at equal training time",
        "at equal training FLOPs",
    ]


def test_cells_that_a_view_says_nothing_of_are_named():
    overview = sample.overview_of(timed=results_of(0, 1, 2), untimed=results_of(0, 1, 2, timing=False))
    of_time = next(line for line in verdict_lines(overview) if line.startswith("at equal training time"))
    assert "highway in timed" in of_time
    assert of_time.endswith("**nothing can be said** (see the report): untimed")
    assert not any("nothing can be said" in line for line in verdict_lines(overview) if "equal tokens" in line)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_gradients_are_summed_up_where_seeds_allow_no_verdict(tmp_path, seeds):
    records = [record for record in sample.growth_records() if record["seed"] in seeds]
    for record in records:
        record["marks"][-1]["test"]["exact_match"] = 0.1 * record["seed"]
    page = page_of(tmp_path, sample.built(sample.growth_comparison(), records, sample.growth_timing()))
    assert ("* scratch: the first layer's gradient norm is 0.37 times" in page) == (len(seeds) == 1)
    assert "* diverge and scratch are equal in" in page and "in exact answers on test." in page
