# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark's machinery: the check comes first, the table says what was measured. Nothing here asserts a time."""

import json
from types import SimpleNamespace

import pytest
import torch

from hf_variants.experiments.benchmarks import suite as benchmarking
from hf_variants.experiments.benchmarks.cases import encoders as benchmark_encoders
from hf_variants.experiments.benchmarks.suite import CASES, Case, DifferentError, Sides, case
from hf_variants.experiments.machine import timing
from training import benchmark


def nothing():
    pass


def refuse():
    raise DifferentError("outputs differ by 1.00e+00")


@pytest.fixture
def cases(monkeypatch):
    """A suite of two quick cases, one of which has sides that differ."""
    for name in list(CASES):
        monkeypatch.delitem(CASES, name)
    for name, names, target, check in (("same", ("fast", "slow"), 1e9, nothing), ("differs", "ab", None, refuse)):
        build = lambda check=check: Sides(check, nothing, nothing)  # noqa: E731
        monkeypatch.setitem(CASES, name, Case(name, tuple(names), target, build))


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        benchmark.main(list(arguments))
    return stop.value.code


def clock(monkeypatch, ours, reference):
    """Makes every measurement come out as given, in seconds."""
    monkeypatch.setattr(benchmarking, "alternate", lambda *args, **options: {"ours": ours, "reference": reference})


def test_the_table_and_the_json_say_the_ratio(cases, monkeypatch, tmp_path, capsys):
    clock(monkeypatch, [0.3, 0.2, 0.5], [0.2, 0.2, 0.25])
    assert run("--only", "same", "--output", str(tmp_path / "bench.json")) == 0
    header, _, line = capsys.readouterr().out.splitlines()[-3:]
    assert line.startswith("same  fast / slow") and line.split()[-1] == "ok"
    for value, title in (("1.500", "ratio"), ("0.667x", "speed-up"), ("300.0 (250.0–400.0) ms", "  ours")):
        assert line.index(value) + len(value) == header.rindex(title) + len(title)
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["cases"][0]["ratio"] == pytest.approx(1.5)
    assert content["cases"][0]["ratio_interval"] == pytest.approx([1.0, 2.0])
    assert content["cases"][0]["rounds"] == 3
    assert content["cases"][0]["reference"] == {"name": "slow", "median_ms": 200.0, "quartiles_ms": [200.0, 225.0]}
    assert {"torch", "device", "threads", "load_average"} <= set(content["environment"])


def test_sides_that_differ_end_in_exit_code_1_after_the_other_cases(cases, tmp_path, capsys):
    assert run("--rounds", "2", "--output", str(tmp_path / "bench.json")) == 1
    printed = capsys.readouterr()
    assert "error: differs: the two sides can't be compared: outputs differ by" in printed.err
    assert printed.out.splitlines()[-1].startswith("same ")
    content = json.loads((tmp_path / "bench.json").read_text())
    assert list(content["different"]) == ["differs"] and len(content["cases"]) == 1


@pytest.mark.parametrize(("target", "verdict"), [(1.0, "over"), (1.5, "ok"), (3.0, "ok"), (None, None)])
def test_over_only_where_the_whole_interval_is_above_the_target(target, verdict, monkeypatch):
    clock(monkeypatch, [1.2 + 0.1 * i for i in range(9)], [1.0] * 9)
    result = benchmarking.measure(Case("x", ("a", "b"), target, lambda: Sides(nothing, nothing, nothing)), 9)
    assert result["verdict"] == verdict
    assert result["ratio_interval"] == pytest.approx([1.3, 1.9])


def test_over_target_is_printed_but_fails_nothing(cases, monkeypatch, capsys):
    monkeypatch.setitem(CASES, "slow", Case("slow", ("a", "b"), 1.0, CASES["same"].build))
    clock(monkeypatch, [2.0] * 5, [1.0] * 5)
    assert run("--only", "slow") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["1.00", "over"]


def test_what_each_case_costs_is_printed_and_written(cases, tmp_path, capsys):
    assert run("--only", "same", "--rounds", "1", "--output", str(tmp_path / "bench.json")) == 0
    printed = capsys.readouterr().err.splitlines()
    assert printed[0].startswith("same … 0.") and printed[1].startswith("all: ")
    (result,) = json.loads((tmp_path / "bench.json").read_text())["cases"]
    assert result["seconds"] >= 0 and result["cpu_seconds"] >= 0


def test_the_table_goes_between_the_marks_of_a_document(cases, monkeypatch, tmp_path, capsys):
    clock(monkeypatch, [0.3, 0.2, 0.5], [0.2, 0.2, 0.25])
    document, results = tmp_path / "page.md", str(tmp_path / "bench.json")
    document.write_text("before\n<!-- benchmark -->\nold\n<!-- /benchmark -->\nafter\n")
    assert run("--output", results) == 1
    for _ in range(2):
        assert run("--input", results, "--markdown", str(document)) == 1
        before, mark, about, *rest = document.read_text().splitlines()
        assert (before, mark) == ("before", "<!-- benchmark -->") and about.startswith("Measured: date 2")
        assert ", commit " in about and ", torch " in about and ", threads " in about
        assert rest[3].startswith("| same | fast / slow | 300.0 (250.0–400.0) ms |")
        assert rest[5].startswith("differs: the two sides can't be compared") and rest[6:] == [
            "<!-- /benchmark -->",
            "after",
        ]
    capsys.readouterr()
    document.write_text("no marks")
    assert run("--input", results, "--markdown", str(document)) == 2
    assert "has not one line <!-- benchmark -->" in capsys.readouterr().err
    with monkeypatch.context() as patch:  # nothing is timed for a document that can't take the table
        patch.setattr(benchmark, "run_cases", None)
        for path in (document, tmp_path / "none.md"):
            assert run("--markdown", str(path)) == 2
            assert capsys.readouterr().err.startswith(f"error: {path}: ")
    (tmp_path / "other.json").write_text("{}")
    for wrong in (("--input", str(tmp_path / "other.json")), ("--input", results, "--only", "same")):
        assert run(*wrong) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_list_and_wrong_names(cases, capsys):
    assert run("--list") == 0
    assert capsys.readouterr().out.split() == ["same", "differs"]
    assert run("--only", "sme") == 2
    assert capsys.readouterr().err == "error: --only: 'sme'; allowed: same, differs\n"
    for wrong in (("--rounds", "0"), ("--max_seconds", "-1"), ("--max_seconds", "nan")):
        assert run(*wrong) == 2
        assert capsys.readouterr().err.startswith(f"error: {wrong[0]}: ")
    with pytest.raises(ValueError, match="twice"):
        case("same", "a", "b")(nothing)


def test_all_suites_are_registered(capsys):
    assert run("--list") == 0
    names = set(capsys.readouterr().out.split())
    assert names == set(CASES) and len(names) == 44
    assert {"minbert_8x512_padded", "highway_scalar_gates"} <= names
    assert {
        "conv_gpt_train_1x16384_window",
        "nanogpt_write_8x256",
        "conv_gpt_write_8x1024",
        "lora_stage_width192",
        "minbert_bucketed_vs_bert_fixed",
        "frozen_features",
        "naive_gaussian_hidden768",
        "bigru_32x256_vs_padded",
        "loop_vs_bare",
        "loop_vs_trainer",
    } <= names


def test_median_interval():
    assert benchmarking.median_interval([3.0]) == (3.0, 3.0)
    assert benchmarking.median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    low, high = benchmarking.median_interval(list(range(1, 22)))
    assert (low, high) == (6, 16)  # the textbook's ranks for 21 values


# ---- rounds --------------------------------------------------------------------------------------------------------


def test_both_sides_take_turns():
    turns = []
    timing.alternate({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2, warm_up=1)
    assert turns == ["a", "b"] * 3


@pytest.mark.parametrize(
    ("rounds", "limit", "turns", "kept"),
    [
        (21, {}, 24, 21),  # 3 more to warm up
        (21, {"max_seconds": 100}, 1 + 5, 5),  # the last one begins after 100 seconds
        (21, {"max_seconds": 210}, 2 + 9, 9),
        (21, {"max_seconds": 0}, 3, 3),  # a first turn beyond the limit counts
        (2, {"max_seconds": 0}, 2, 2),
    ],
)
def test_slow_cases_get_fewer_rounds_but_three(rounds, limit, turns, kept, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def work():
        now[0] += 10

    seconds = timing.alternate({"a": work, "b": work}, rounds, **limit)
    assert now[0] == 20 * turns
    assert seconds == {"a": [10.0] * kept, "b": [10.0] * kept}


# ---- the checks of the encoders' cases -----------------------------------------------------------------------------


@pytest.mark.parametrize("padded", [False, True])
def test_minbert_is_checked_and_a_changed_weight_is_found(padded):
    sides = benchmark_encoders.minbert_sides(64, 1, 16, padded)
    sides.check()
    sides.ours(), sides.reference()
    model = sides.check.args[0]
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias[0] += 0.1
    with pytest.raises(DifferentError, match="outputs differ"):
        sides.check()


def test_a_gradient_that_differs_is_found():
    sides = benchmark_encoders.minbert_sides(64, 1, 16, False)
    sides.check.args[0].encoder.layer[0].output.dense.bias.register_hook(lambda gradient: 2 * gradient)
    with pytest.raises(DifferentError, match=r"gradients of encoder.layer.0.output.dense.bias"):
        sides.check()


@pytest.mark.parametrize("gate_type", ["feature", "scalar"])
def test_highway_checks_pass_and_a_wrong_mix_is_found(gate_type, monkeypatch):
    sides = benchmark_encoders.highway_sides(gate_type, layers=1, rows=1)
    sides.check()
    monkeypatch.setattr(benchmark_encoders, "naive_join", lambda output, update, stream, normed: stream + update)
    with pytest.raises(DifferentError, match="outputs differ"):
        sides.check()
