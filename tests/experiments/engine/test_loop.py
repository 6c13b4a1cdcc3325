# Copyright 2026 The hf_variants authors. MIT licence.
"""What every training run promises: exact resume, exact accumulation, an optimizer that holds what it should."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from hf_variants import growth
from hf_variants.experiments.checking import DivergedError, InputError
from hf_variants.experiments.engine import loop
from hf_variants.experiments.engine import optimizer as optimizers
from hf_variants.experiments.engine import setup as setups
from hf_variants.experiments.engine.record import WALL_CLOCK_FIELDS, read_metrics
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.recipes.recipe import merge, read_yaml, recipe_from_dict
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM
from tests.helpers.models import HEADS, TINY, tiny_config
from tests.helpers.places import TRAINING
from tests.helpers.tiny import tiny_content, tiny_recipe


class KilledError(Exception):
    """Stands for the process ending."""


def lines(folder: Path) -> list[dict]:
    """metrics.jsonl without what a clock decides."""
    return [
        {k: v for k, v in line.items() if k not in WALL_CLOCK_FIELDS}
        for line in read_metrics(folder / "metrics.jsonl")
    ]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "final" / "model.safetensors")


def assert_same_run(a: Path, b: Path) -> None:
    assert lines(a) == lines(b)
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def run_with_kills(monkeypatch, recipe, folder: Path, moments: list[int]) -> None:
    """Runs; dies after each of `moments` updates of this process's life; starts again."""
    original = loop.Loop._after_step
    for moment in moments:
        left = [moment]

        def dying(self, phase, left=left):
            original(self, phase)
            left[0] -= 1
            if left[0] == 0:
                raise KilledError

        monkeypatch.setattr(loop.Loop, "_after_step", dying)
        with pytest.raises(KilledError):
            run_recipe(recipe, folder)
    monkeypatch.setattr(loop.Loop, "_after_step", original)
    run_recipe(recipe, folder)


@pytest.mark.parametrize("moments", [[1, 4], [9], [11, 3], [17, 7]])
def test_a_killed_run_ends_as_if_never_killed(tmp_path, monkeypatch, moments):
    recipe = tiny_recipe(tmp_path, training={"gradient_accumulation_steps": 2})
    run_recipe(recipe, tmp_path / "whole")
    run_with_kills(monkeypatch, recipe, tmp_path / "killed", moments)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_checkpoints_without_a_word_on_whose_they_are_are_refused(tmp_path):
    (tmp_path / "run" / "checkpoints" / "update-000000003").mkdir(parents=True)
    with pytest.raises(InputError, match="run: holds checkpoints, and no recipe.json"):
        run_recipe(tiny_recipe(tmp_path), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoints"]


def test_a_kill_inside_a_checkpoint_write_leaves_the_previous_one(tmp_path, monkeypatch):
    recipe = tiny_recipe(tmp_path)
    run_recipe(recipe, tmp_path / "whole")
    original, calls = loop.save_checkpoint, []

    def torn(folder, *rest):
        calls.append(folder)
        if len(calls) == 3:
            partial = folder.with_name(folder.name + ".partial")
            partial.mkdir(parents=True)
            (partial / "model.safetensors").write_bytes(b"half")
            raise KilledError
        original(folder, *rest)

    monkeypatch.setattr(loop, "save_checkpoint", torn)
    with pytest.raises(KilledError):
        run_recipe(recipe, tmp_path / "killed")
    monkeypatch.setattr(loop, "save_checkpoint", original)
    run_recipe(recipe, tmp_path / "killed")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_branches_do_not_touch_the_trunk(tmp_path):
    one = run_recipe(tiny_recipe(tmp_path, training={"budgets": [1.0]}), tmp_path / "one").to_json()
    two = run_recipe(tiny_recipe(tmp_path), tmp_path / "two").to_json()
    assert one["marks"][-1]["test"] == two["marks"][-1]["test"]
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [mark["steps"] for mark in two["marks"]] == [10, 20]


def test_accumulation_gives_the_same_losses_as_one_big_batch(tmp_path):
    # losses and not weights: a key bias has no gradient but rounding noise, which Adam blows up to full steps
    quiet = {"overrides": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    run_recipe(tiny_recipe(tmp_path, model=quiet), tmp_path / "one")
    run_recipe(tiny_recipe(tmp_path, model=quiet, training={"gradient_accumulation_steps": 4}), tmp_path / "four")
    for one, four in zip(lines(tmp_path / "one"), lines(tmp_path / "four"), strict=True):
        assert one["loss"] == pytest.approx(four["loss"], abs=1e-5)


def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch):
    recipe = tiny_recipe(tmp_path)
    record = run_recipe(recipe, tmp_path / "run").to_json()
    monkeypatch.setattr(loop.Loop, "run", None)
    assert run_recipe(recipe, tmp_path / "run").to_json() == record


def test_a_changed_recipe_is_refused_and_nothing_is_lost(tmp_path):
    run_recipe(tiny_recipe(tmp_path), tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match="learning_rate: 0.01 → 0.02"):
        run_recipe(tiny_recipe(tmp_path, training={"learning_rate": 0.02}), tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    assert weights(tmp_path / "run")


def test_a_diverging_run_says_so(tmp_path):
    wild = {"learning_rate": 1e30, "max_grad_norm": None, "warmup_steps": 0}
    with pytest.raises(DivergedError, match="diverged"):
        run_recipe(tiny_recipe(tmp_path, training=wild), tmp_path / "run")


@pytest.mark.parametrize("limit", [1.0, None])
def test_a_bad_gradient_of_a_good_loss_reaches_no_weight(limit, tmp_path, monkeypatch):
    def spoil(recipe: Any, *rest: Any) -> torch.nn.Module:
        model = build(recipe, *rest)
        next(model.parameters()).register_hook(lambda gradient: gradient * math.inf)
        return model

    build = setups.new_model
    monkeypatch.setattr(setups, "new_model", spoil)
    recipe = tiny_recipe(tmp_path, training={"max_grad_norm": limit})
    with pytest.raises(DivergedError, match="gradient norm is (nan|inf) at step 0"):
        run_recipe(recipe, tmp_path / "run")


@pytest.mark.slow
def test_the_loss_falls_below_the_unigram_entropy(tmp_path):
    demo = read_yaml(TRAINING / "recipes" / "demo.yaml")
    short = {"max_steps": 1200, "budgets": [1.0], "eval_every": 600}
    record = run_recipe(recipe_from_dict(merge(demo, {"training": short})), tmp_path / "run").to_json()
    assert record["marks"][-1]["test"]["loss"] < record["data"]["unigram_entropy"] - 0.3


def test_one_piece_schedules_are_evaluated_on_the_way(tmp_path):
    training = {"schedule": "linear", "budgets": [1.0], "eval_every": 8}
    record = run_recipe(tiny_recipe(tmp_path, training=training), tmp_path / "run").to_json()
    assert [p["steps"] for p in record["curve"] if "validation_loss" in p] == [8, 16]
    assert len(record["marks"]) == 1 and "test" in record["marks"][0]


def test_the_optimizer_holds_exactly_what_requires_gradients():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[0].weight.requires_grad_(False)
    arguments = tiny_recipe_training()
    optimizer = optimizers.build_optimizer(model, arguments)
    model[1].bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="3 parameters, 2 require"):
        optimizers.check_optimizer(model, optimizer)


def tiny_recipe_training():
    from hf_variants.experiments.recipes.sections import TrainingArguments

    return TrainingArguments(max_steps=1)


def test_weight_decay_scopes():
    model = torch.nn.ModuleDict(
        {"e": torch.nn.Embedding(3, 2), "l": torch.nn.Linear(2, 2), "n": torch.nn.LayerNorm(2)}
    )
    arguments = tiny_recipe_training()
    decayed, plain = optimizers.parameter_groups(model, arguments)
    assert [p.shape for p in decayed["params"]] == [(3, 2), (2, 2)] and plain["weight_decay"] == 0
    arguments.weight_decay_scope = "linear"
    decayed, plain = optimizers.parameter_groups(model, arguments)
    assert [p.shape for p in decayed["params"]] == [(2, 2)] and len(plain["params"]) == 4


def decayed_names(model: torch.nn.Module, scope: str) -> set[str]:
    arguments = tiny_recipe_training()
    arguments.weight_decay_scope = scope
    decayed, plain = optimizers.parameter_groups(model, arguments)
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.parameters()))
    inside = {id(p) for p in decayed["params"]}
    return {name for name, p in model.named_parameters() if id(p) in inside}


def check_decay(model: torch.nn.Module) -> None:
    """By shape and by where a parameter is looked up, not by the class that multiplies by it."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    wanted = {name for name, p in model.named_parameters() if p.ndim >= 2}
    assert decayed_names(model, "matrices") == wanted
    wanted -= {name for name, p in model.named_parameters() if id(p) in tables}
    assert decayed_names(model, "linear") == wanted and wanted
    assert not any(word in name.lower() for name in wanted for word in ("embedding", "wte", "wpe", "norm", "bias"))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("row", "auto"), HEADS, ids=[f"{row.model_type}-{auto.__name__}" for row, auto in HEADS])
def test_all_matrices_but_embeddings_decay_in_every_model(row, auto, tied):
    model = row.classes[auto](tiny_config(row.model_type, tie_word_embeddings=tied))
    head = model.get_output_embeddings()
    assert head is None or (head.weight is model.get_input_embeddings().weight) == tied
    check_decay(model)
    if head is not None:
        decayed = [p for name, p in model.named_parameters() if name in decayed_names(model, "linear")]
        assert any(p is head.weight for p in decayed) != tied


GPT2_SIZES = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24, "vocab_size": 40}


@pytest.mark.parametrize("tied", [True, False])
def test_linear_maps_decay_alike_in_gpt2_and_bert_of_transformers(tied):
    """GPT-2's weights lie transposed, in a class of its own."""
    gpt2 = GPT2LMHeadModel(GPT2Config(**GPT2_SIZES, tie_word_embeddings=tied))
    bert = BertForMaskedLM(BertConfig(**TINY, tie_word_embeddings=tied))
    for model in (gpt2, bert):
        check_decay(model)
    names = decayed_names(gpt2, "linear")
    assert {name.split(".")[-2] for name in names} - {"lm_head"} == {"c_attn", "c_proj", "c_fc"}
    assert len(names) == (8 if tied else 9)  # of two layers with four each
    assert ("lm_head.weight" in names) != tied
    assert ("cls.predictions.decoder.weight" in decayed_names(bert, "linear")) != tied


@pytest.mark.parametrize("scope", ["linear", "matrices"])
def test_gpt2_decays_what_its_twin_does(scope):
    nanogpt = NanoGptForCausalLM(tiny_config("nanogpt"))
    sizes = []
    for model in (nanogpt, growth.to_gpt2(nanogpt)):
        sizes.append(sorted(model.get_parameter(name).numel() for name in decayed_names(model, scope)))
    assert sizes[0] == sizes[1]


def test_a_budget_in_seconds_ends_and_decays(tmp_path):
    training = {"max_steps": None, "max_seconds": 1.0, "budgets": [1.0], "checkpoint_every": 0}
    record = run_recipe(tiny_recipe(tmp_path, training=training), tmp_path / "run").to_json()
    rates = [
        line["learning_rate"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["event"] == "train"
    ]
    assert 1.0 <= record["seconds"] < 3.0 and rates[-1] < max(rates)


def test_tensorboard_gets_the_curves(tmp_path):
    run_recipe(tiny_recipe(tmp_path, training={"trackers": ["tensorboard"]}), tmp_path / "run")
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))


def test_snapshots_load(tmp_path):
    from transformers import AutoModelForMaskedLM

    run_recipe(tiny_recipe(tmp_path, training={"snapshot_every": 5}), tmp_path / "run")
    found = sorted(p.name for p in (tmp_path / "run" / "snapshots").iterdir())
    assert found == ["step-00000005", "step-00000010", "step-00000015"]
    AutoModelForMaskedLM.from_pretrained(tmp_path / "run" / "snapshots" / found[0])


@pytest.mark.slow
def test_sigkill_at_random_moments(tmp_path):
    """The real thing: another process, killed by the system, started again with the same command."""
    content = tiny_content(tmp_path, training={"max_steps": 300, "checkpoint_every": 20})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    program = TRAINING / "train.py"
    command = [sys.executable, str(program), "--config", str(tmp_path / "recipe.yaml"), "--output_dir"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    rng, killed = random.Random(os.getpid()), 0
    for _ in range(4):
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_for_growth(tmp_path / "killed" / "metrics.jsonl", process)
        time.sleep(rng.uniform(0, 1.0))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, capture_output=True)
    assert killed >= 1
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def _wait_for_growth(path: Path, process: subprocess.Popen) -> None:
    """Until the file has more lines than it had, or the process ended."""
    before = len(read_metrics(path))
    while process.poll() is None and len(read_metrics(path)) <= before:
        time.sleep(0.05)
