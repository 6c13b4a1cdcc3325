# Copyright 2026 The hf_variants authors. MIT licence.
"""Runs that grow: no jump where none may be, exact resume around a growth, true costs, models that load."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine import loop, optimizer
from hf_variants.experiments.engine.record import read_metrics
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.files import read_json
from hf_variants.experiments.recipes.recipe import Recipe, merge, recipe_from_dict
from tests.experiments.engine.test_loop import assert_same_run, run_with_kills
from tests.helpers.tiny import CAUSAL, write_text

LAYERS = {"hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 16, "embd_pdrop": 0.1}
LORA = {"rank": 2, "alpha": 4}
DIVERGING = [
    {"fraction": 0.3, "operation": "diverge", "num_blocks": 2, "lora": LORA, "rewarm_steps": 3},
    {"fraction": 0.6, "operation": "diverge", "num_blocks": 4, "lora": LORA | {"mlp": "lora"}, "moments": "zero"},
]
DEEPENING = [
    {"fraction": 0.3, "operation": "deepen", "init": "identity", "placement": "stack"},
    {"fraction": 0.6, "operation": "deepen", "init": "gradual", "ramp_steps": 5, "moments": "rewarm"},
]


def recipe(folder: Path, model: dict[str, Any], stages: list[dict], **training: Any) -> Recipe:
    """20 steps on random sentences, with an early budget between the two growths."""
    base = {"max_steps": 20, "budgets": [0.5, 1.0], "eval_every": 4, "log_every": 2, "checkpoint_every": 3}
    changes = {"data": {"dataset": str(write_text(folder))}, "training": base | {"warmup_steps": 2} | training}
    content = merge(CAUSAL, changes) | {"growth": {"stages": stages}}
    return recipe_from_dict(content | {"model": {"model_type": model["type"], "overrides": model["overrides"]}})


def diverging(folder: Path, stages: list[dict] = DIVERGING, **training: Any) -> Recipe:
    overrides = LAYERS | {"num_hidden_layers": 4, "num_blocks": 1}
    return recipe(folder, {"type": "progressive_gpt", "overrides": overrides}, stages, **training)


def deepening(folder: Path, stages: list[dict] = DEEPENING, **training: Any) -> Recipe:
    return recipe(folder, {"type": "nanogpt", "overrides": LAYERS | {"num_hidden_layers": 1}}, stages, **training)


BOTH = pytest.mark.parametrize("make", [diverging, deepening])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[[Any], tuple[dict[str, Any], Path]]:
    """The record and the folder of a run to its end, made once for each kind of growth."""

    @functools.cache
    def run(make: Any) -> tuple[dict[str, Any], Path]:
        folder = tmp_path_factory.mktemp("undisturbed")
        return run_recipe(make(folder), folder / "run").to_json(), folder / "run"

    return run


@BOTH
def test_a_growth_that_changes_nothing_leaves_the_loss_where_it_was(make, undisturbed):
    record, _ = undisturbed(make)
    assert [stage["step"] for stage in record["stages"]] == [6, 12]
    for stage in record["stages"]:
        assert stage["loss_after"] == pytest.approx(stage["loss_before"], abs=1e-6)
        assert stage["receipt"]["max_difference"] <= 1e-6


def test_copying_jumps_and_says_so(tmp_path):
    record = run_recipe(deepening(tmp_path, [{"fraction": 0.5, "operation": "deepen"}]), tmp_path / "run").to_json()
    stage = record["stages"][0]
    assert abs(stage["loss_after"] - stage["loss_before"]) > 1e-4 and stage["receipt"]["max_difference"] > 1e-3


def test_a_model_may_grow_before_the_first_step(tmp_path):
    recipe = deepening(tmp_path, [{"fraction": 0, "operation": "deepen", "times": 3}])
    record = run_recipe(recipe, tmp_path / "run").to_json()
    assert record["stages"][0]["step"] == 0 and record["marks"][-1]["stage_tokens"] == [0, 20 * 4 * 16]


@BOTH
@pytest.mark.parametrize("moments", [
    [6], *(pytest.param(some, marks=pytest.mark.slow) for some in ([7, 9], [5, 4], [13, 1], [12, 8])),
])  # fmt: skip
def test_killed_around_a_growth_a_run_ends_as_if_never_killed(make, moments, undisturbed, tmp_path, monkeypatch):
    _, whole = undisturbed(make)
    run_with_kills(monkeypatch, make(tmp_path), tmp_path / "killed", moments)
    assert_same_run(whole, tmp_path / "killed")


@BOTH
def test_killed_in_the_middle_of_a_growth(make, undisturbed, tmp_path, monkeypatch):
    _, whole = undisturbed(make)
    original = loop.Loop._install

    def dying(self, model):
        if self.progress.growth.stage == 2:
            raise KeyboardInterrupt
        original(self, model)

    monkeypatch.setattr(loop.Loop, "_install", dying)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(make(tmp_path), tmp_path / "killed")
    monkeypatch.setattr(loop.Loop, "_install", original)
    run_recipe(make(tmp_path), tmp_path / "killed")
    assert_same_run(whole, tmp_path / "killed")


@BOTH
def test_an_early_budget_does_not_touch_the_rest(make, tmp_path):
    run_recipe(make(tmp_path), tmp_path / "two")
    run_recipe(make(tmp_path, budgets=[1.0]), tmp_path / "one")
    first, second = (load_file(tmp_path / name / "final" / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stage_that_begins_where_a_budget_ends_is_no_part_of_it(tmp_path):
    stages = [{"fraction": 0.5, "operation": "deepen", "init": "copy"}]
    run_recipe(deepening(tmp_path, stages), tmp_path / "run")
    grown = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["event"] == "growth"]
    assert [(line["step"], line["phase"]) for line in grown] == [(10, "trunk")]
    [early, _] = read_json(tmp_path / "run" / "record.json")["marks"]
    assert (early["steps"], early["stage_tokens"]) == (10, [640])


@BOTH
def test_costs_are_those_of_the_stages(make, tmp_path):
    record = run_recipe(make(tmp_path), tmp_path / "run").to_json()
    per_step = 4 * 16
    early, last = record["marks"]
    assert early["stage_tokens"] == [6 * per_step, 4 * per_step]
    assert last["stage_tokens"] == [6 * per_step, 6 * per_step, 8 * per_step]
    rates = [record["stages"][0]["flops_per_token"][0], *(s["flops_per_token"][1] for s in record["stages"])]
    for mark in record["marks"]:
        wanted = sum(tokens * rate for tokens, rate in zip(mark["stage_tokens"], rates, strict=False))
        assert mark["flops"] == pytest.approx(wanted)
    assert record["parameters"] == record["trainable_parameters"]


@BOTH
def test_the_final_model_is_plain_and_loads(make, tmp_path):
    run_recipe(make(tmp_path), tmp_path / "run")
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "final", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model.config.num_hidden_layers == 4 and len(model.transformer.h) == 4
    assert model.generate(torch.ones(1, 3, dtype=torch.long), max_new_tokens=4).shape == (1, 7)


def test_the_optimizer_holds_what_is_trained_in_each_stage(tmp_path, monkeypatch):
    seen = []
    original = optimizer.check_optimizer

    def checking(model, held):
        seen.append(sum(p.requires_grad for p in model.parameters()))
        original(model, held)

    for module in (optimizer, loop):  # where one is built, and the end of a run
        monkeypatch.setattr(module, "check_optimizer", checking)
    run_recipe(diverging(tmp_path, budgets=[1.0]), tmp_path / "run")
    assert len(seen) == 4 and len(set(seen)) >= 3  # three optimizers, and once more at the end


def test_norms_of_a_step_that_is_skipped_are_left_out(tmp_path, monkeypatch):
    """fp16's scaler goes on after infinite gradients; at the end of the run no record could be written of them."""
    found = iter([[float("inf")], [float("nan")]])
    monkeypatch.setattr(loop, "layer_gradient_norms", lambda *_: next(found, [1.0]))
    recipe = deepening(tmp_path, log_layer_gradients=True, budgets=[1.0], max_steps=8)
    record = run_recipe(recipe, tmp_path / "run").to_json()
    points = [point["steps"] for point in record["curve"] if "layer_grad_norms" in point]
    assert points == [6, 8]


@pytest.mark.parametrize("limit", [1.0, None])
def test_gradient_norms_by_layer_follow_the_model(limit, tmp_path):
    recipe = deepening(tmp_path, log_layer_gradients=True, budgets=[1.0], max_grad_norm=limit)
    record = run_recipe(recipe, tmp_path / "run").to_json()
    norms = {point["steps"]: point["layer_grad_norms"] for point in record["curve"] if "layer_grad_norms" in point}
    assert {step: len(layers) for step, layers in norms.items()}[4] == 1
    assert len(norms[10]) == 2 and len(norms[20]) == 4
    assert all(norm > 0 for norm in norms[20])


@pytest.mark.parametrize(("stages", "message"), [
    ([{"fraction": 0.5, "operation": "diverge", "num_blocks": 3}], "number 1, diverge: .*num_blocks"),
    ([{"fraction": 0.5, "operation": "deepen"}, {"fraction": 0.4, "operation": "deepen"}], "number 2 begins at step"),
    ([{"fraction": 0.5, "operation": "deepen"}], "diverge"),
])  # fmt: skip
def test_what_cannot_grow_is_said_before_anything_is_written(stages, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run_recipe(diverging(tmp_path, stages), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@BOTH
def test_a_snapshot_of_any_stage_is_a_plain_model(make, tmp_path):
    run_recipe(make(tmp_path, snapshot_every=4, budgets=[1.0]), tmp_path / "run")
    sizes = {}
    for folder in sorted((tmp_path / "run" / "snapshots").iterdir()):
        model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"]
        sizes[folder.name[-2:]] = len(model.transformer.h)
    assert [sizes[step] for step in ("04", "08", "16")] == [1, 2, 4]


def test_a_budget_in_seconds_does_not_grow(tmp_path):
    with pytest.raises(InputError, match="allowed: training.max_tokens or max_steps"):
        run_recipe(diverging(tmp_path, max_steps=None, max_seconds=1.0, budgets=[1.0]), tmp_path / "run")


def test_stages_are_told_line_by_line(tmp_path):
    run_recipe(diverging(tmp_path), tmp_path / "run")
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["event"] == "growth"]
    # the branch to the early budget grows no further than the trunk had at that step
    assert [(line["step"], line["stage"]) for line in lines] == [(6, 1), (12, 2)]
