# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark's machinery: equality comes first, the table says what was measured. Nothing here asserts a time."""

import json

import pytest
import torch

from hf_variants.experiments import timing
from training import benchmark
from training.benchmark import DifferentError, Sides


def nothing():
    pass


def refuse():
    raise DifferentError("outputs differ by 1.00e+00")


@pytest.fixture
def cases(monkeypatch):
    """A suite of two quick cases, one of which has sides that differ."""
    monkeypatch.setattr(benchmark, "CASES", {})
    benchmark.case("same", "fast", "slow", target=1e9)(lambda: Sides(nothing, nothing, nothing))
    benchmark.case("differs", "wrong", "right")(lambda: Sides(refuse, nothing, nothing))


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        benchmark.main(list(arguments))
    return stop.value.code


def clock(monkeypatch, ours, reference):
    """Makes every measurement come out as given, in seconds."""
    monkeypatch.setattr(benchmark, "alternate", lambda cases, rounds: {"ours": ours, "reference": reference})


def test_the_table_and_the_json_say_the_ratio(cases, monkeypatch, tmp_path, capsys):
    clock(monkeypatch, [0.3, 0.2, 0.5], [0.2, 0.2, 0.25])
    assert run("--only", "same", "--output", str(tmp_path / "bench.json")) == 0
    header, line = capsys.readouterr().out.splitlines()[-2:]
    assert line.startswith("same  fast / slow") and line.split()[-1] == "ok"
    assert line.index("1.500") == header.index("ratio")
    assert line.index("300.0 (250.0–400.0)") == header.index("ours ms")
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["cases"][0]["ratio"] == pytest.approx(1.5)
    assert content["cases"][0]["ratio_interval"] == pytest.approx([1.0, 2.0])
    assert content["cases"][0]["reference"] == {"name": "slow", "median_ms": 200.0, "quartiles_ms": [200.0, 225.0]}
    assert {"torch", "device", "threads", "load_average"} <= set(content["environment"])


def test_sides_that_differ_end_in_exit_code_1_after_the_other_cases(cases, tmp_path, capsys):
    assert run("--rounds", "2", "--output", str(tmp_path / "bench.json")) == 1
    printed = capsys.readouterr()
    assert "error: differs: the two sides do not compute the same: outputs differ by" in printed.err
    assert printed.out.splitlines()[-1].startswith("same ")
    content = json.loads((tmp_path / "bench.json").read_text())
    assert list(content["different"]) == ["differs"] and len(content["cases"]) == 1


@pytest.mark.parametrize(("target", "verdict"), [(1.0, "over"), (1.5, "ok"), (3.0, "ok"), (None, None)])
def test_over_only_where_the_whole_interval_is_above_the_target(target, verdict, monkeypatch):
    clock(monkeypatch, [1.2 + 0.1 * i for i in range(9)], [1.0] * 9)
    case = benchmark.Case("x", ("a", "b"), target, lambda: Sides(nothing, nothing, nothing))
    result = benchmark.measure(case, 9)
    assert result["verdict"] == verdict
    assert result["ratio_interval"] == pytest.approx([1.3, 1.9])


def test_over_target_is_printed_but_fails_nothing(cases, monkeypatch, capsys):
    benchmark.case("slow", "a", "b", target=1.0)(lambda: Sides(nothing, nothing, nothing))
    clock(monkeypatch, [2.0] * 5, [1.0] * 5)
    assert run("--only", "slow") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["1.00", "over"]


def test_list_and_wrong_names(cases, capsys):
    assert run("--list") == 0
    assert capsys.readouterr().out.split() == ["same", "differs"]
    assert run("--only", "sme") == 2
    assert capsys.readouterr().err == "error: --only: 'sme'; allowed: same, differs\n"
    assert run("--rounds", "0") == 2
    with pytest.raises(ValueError, match="twice"):
        benchmark.case("same", "a", "b")(nothing)


def test_median_interval():
    assert benchmark.median_interval([3.0]) == (3.0, 3.0)
    assert benchmark.median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    low, high = benchmark.median_interval(list(range(1, 22)))
    assert (low, high) == (6, 16)  # the textbook's ranks for 21 values


def test_both_sides_take_turns():
    turns = []
    timing.alternate({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2, warm_up=1)
    assert turns == ["a", "b"] * 3


# ---- the equality checks of the real cases -------------------------------------------------------------------------


@pytest.mark.parametrize("padded", [False, True])
def test_minbert_is_checked_and_a_changed_weight_is_found(padded):
    sides = benchmark.minbert_sides(64, 1, 16, padded)
    sides.check()
    sides.ours(), sides.reference()
    model = sides.check.args[0]
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias[0] += 0.1
    with pytest.raises(DifferentError, match="outputs differ"):
        sides.check()


def test_a_gradient_that_differs_is_found():
    sides = benchmark.minbert_sides(64, 1, 16, False)
    sides.check.args[0].encoder.layer[0].output.dense.bias.register_hook(lambda gradient: 2 * gradient)
    with pytest.raises(DifferentError, match=r"gradients of encoder.layer.0.output.dense.bias"):
        sides.check()


@pytest.mark.parametrize("gate_type", ["feature", "scalar"])
def test_highway_checks_pass_and_a_wrong_mix_is_found(gate_type, monkeypatch):
    sides = benchmark.highway_sides(gate_type, layers=1, rows=1)
    sides.check()
    monkeypatch.setattr(benchmark, "naive_join", lambda output, update, stream, normed: stream + update)
    with pytest.raises(DifferentError, match="outputs differ"):
        sides.check()
