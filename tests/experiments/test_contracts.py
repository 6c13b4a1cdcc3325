# Copyright 2026 The hf_variants authors. MIT licence.
"""Every committed record and results file goes through its typed object and comes out byte by byte the same."""

import json

import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.contract import plain
from hf_variants.experiments.records import Floor, Mark, NGramFloor, Pair, RunRecord, Timing, Trial
from hf_variants.experiments.results.contracts import NoSpeedup, Overview, Results, Test, read_results
from tests.helpers.places import ROOT
from tests.helpers.sample_comparison import record

CARDS = ROOT / "model_cards"
OTHERS = ("convex_hull.json", "analysis.json", "benchmark.json", "context_curve.json")  # not of a comparison's


BESIDE = {"floor.json": Floor, "ngrams.json": NGramFloor, "timing.json": Timing}  # the records of runs


def read(path):
    content = json.loads(path.read_text("utf-8"))
    name = path.name
    if name == "results.json":
        return read_results(content, str(path))
    if name == "pairs.json":
        return [Pair.from_json(pair, str(path)) for pair in content]
    if name in BESIDE:
        return BESIDE[name].from_json(content, str(path))
    return (Trial if name.startswith("tune-") else RunRecord).from_json(content, str(path))


def inner(value):
    """All contracts within a value."""
    if isinstance(value, (list, tuple)):
        return [found for each in value for found in inner(each)]
    if isinstance(value, dict):
        return inner(list(value.values()))
    return [value, *inner(list(vars(value).values()))] if hasattr(value, "unknown") else []


@pytest.mark.parametrize("folder", sorted(path.name for path in CARDS.iterdir() if (path / "results.json").exists()))
def test_committed_files_survive_a_round_trip(folder):
    paths = [path for path in (CARDS / folder).rglob("*.json") if path.name not in OTHERS]
    assert len(paths) > 2
    for path in paths:
        found = read(path)
        assert json.dumps(plain(found), allow_nan=False) == json.dumps(json.loads(path.read_text("utf-8"))), path
        unknown = [(type(each).__name__, *each.unknown) for each in inner(found) if each.unknown]
        assert not unknown, path


def test_what_is_read_is_typed():
    found = read(CARDS / "demo" / "results.json")
    assert isinstance(found, Results)
    tests = [test for rows in found.views.values() for test in rows]
    assert {type(test) for test in tests} == {Test}
    assert all(isinstance(end, float) for test in tests for end in test.ci95 or ())
    assert isinstance(read(CARDS / "conv_vs_gpt" / "results.json"), Overview)
    grown = read(CARDS / "growth_schedules" / "results.json")
    assert any(isinstance(row, NoSpeedup) for row in grown.speedups) or all(row.verdict for row in grown.speedups)


def test_optional_names_stay_absent_and_unknown_ones_stay():
    found = RunRecord.from_json(record("highway", 0) | {"colour": "green"})
    assert found.samples == () and "samples" not in found.to_json()
    assert found.to_json()["colour"] == "green"


@pytest.mark.parametrize(
    ("change", "text"),
    [({"schema": 2}, "x.json: schema 2, this version reads 1"), ({"marks": None}, None), ({"marks": [{}]}, "tokens")],
)
def test_what_is_wrong_is_said(change, text):
    content = record("highway", 0) | change
    if text is None:
        del content["marks"]
        text = "x.json: has no 'marks'"
    with pytest.raises(InputError, match=text):
        RunRecord.from_json(content, "x.json")


def test_a_place_within_a_file_is_named():
    content = json.loads((CARDS / "demo" / "results.json").read_text("utf-8"))
    del content["views"]["equal_tokens"][0]["view"]
    with pytest.raises(InputError, match="^results.json: views.equal_tokens: has no 'view'$"):
        read_results(content, "results.json")
    with pytest.raises(InputError, match="^results.json: arms: a list; an object is expected$"):
        read_results(content | {"arms": []}, "results.json")
    with pytest.raises(InputError, match="^results.json: missing: a str; a list is expected$"):
        read_results(content | {"missing": "none", "views": {}}, "results.json")


def test_what_is_left_out_and_what_is_said_to_be_unknown():
    trial = Trial(trial=0, settings={}, seed=1, tokens=None, validation_loss=None)
    assert list(trial.to_json()) == ["trial", "settings", "seed", "tokens", "validation_loss"]
    assert Trial.from_json(trial.to_json() | {"chosen": None}).to_json()["chosen"] is None
    assert Trial.from_json(trial.to_json()) == trial


def test_a_mark_is_built_with_names():
    mark = Mark(tokens=5, steps=1, flops=1.0, seconds=0.5, validation={"loss": 2.0})
    assert mark.to_json() == {"tokens": 5, "steps": 1, "flops": 1.0, "seconds": 0.5, "validation": {"loss": 2.0}}
    assert mark.metrics("test") == {}
