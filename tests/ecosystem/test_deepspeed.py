# Copyright 2026 The hf_variants authors. MIT licence.
"""ZeRO on two CPU processes (gloo): the losses of one plain process, and checkpoints that both go on from."""

import importlib.util
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_variants.experiments.arguments import Recipe
from hf_variants.experiments.record import read_json, read_metrics
from tests.experiments.test_growing import LAYERS, recipe
from tests.experiments.test_processes import LONG, QUIET, STEPS, losses, run, seen, watch
from tests.experiments.tiny import MODEL, tiny_recipe

pytestmark = [
    pytest.mark.ecosystem,
    pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed spreads the model"),
]
CLIPPED = LONG | {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5}


def encoder(folder: Path, **training: Any) -> Recipe:
    # an odd width, so that parameters and moments are no multiples of the processes
    odd = {"hidden_size": 18, "intermediate_size": 33, "vocab_size": 41}
    overrides = MODEL | odd | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return tiny_recipe(folder, model={"overrides": overrides}, training=CLIPPED | training)


def decoder(folder: Path, **training: Any) -> Recipe:
    overrides = LAYERS | QUIET | {"num_hidden_layers": 2}
    return recipe(folder, {"type": "nanogpt", "overrides": overrides}, [], **CLIPPED, **training)


def zero(folder: Path, stage: int, **changes: Any) -> dict[str, str]:
    """The environment that asks for a stage, by a configuration in which even the smallest parameters are spread."""
    section: dict[str, Any] = {"stage": stage, "stage3_param_persistence_threshold": 0, "reduce_bucket_size": "auto"}
    path = folder / f"zero{stage}.json"
    path.write_text(json.dumps({"zero_optimization": section | changes, "gradient_clipping": "auto"}))
    return {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(path)}


def watch_zero(folder: Path, *rest: Any) -> None:
    """Has this process write down how many numbers it holds of the model and of a moment."""
    from hf_variants.experiments import loop

    original, rank = loop.Loop._after_step, int(os.environ.get("RANK", 0))

    def after_step(self: Any, phase: Any) -> None:
        inner = self.optimizer if self.zero is None else self.zero.engine.basic_optimizer
        held = {"weights": sum(p.numel() for p in self.plain_model.parameters())}
        held["moments"] = sum(state["exp_avg"].numel() for state in inner.state.values())
        (folder / f"held-{rank}.json").write_text(json.dumps(held))
        original(self, phase)

    loop.Loop._after_step = after_step
    watch(folder, *rest)


@pytest.mark.parametrize("make", [encoder, decoder])
def test_two_processes_under_zero_have_the_losses_of_one(make, tmp_path):
    plain = tmp_path / "one"
    assert run(make(tmp_path), plain, 1, prepare=watch_zero) == [0]
    rows, whole = [line["rows"] for line in seen(plain)], read_json(plain / "held-0.json")
    assert len(losses(plain / "run")) == STEPS
    for stage in (2, 3):
        folder = tmp_path / f"zero{stage}"
        assert run(make(tmp_path), folder, 2, prepare=watch_zero, **zero(tmp_path, stage)) == [0, 0]
        shared = seen(folder)
        assert {(line["processes"], line["model"]) for line in shared} == {(2, "DeepSpeedEngine")}
        held = read_json(folder / "held-0.json")
        assert held["moments"] < 0.6 * whole["moments"]
        assert held["weights"] == (0 if stage == 3 else whole["weights"])
        assert [line["rows"] for line in shared] == rows
        assert losses(folder / "run") == pytest.approx(losses(plain / "run"), abs=1e-5)
        norms = [[m["grad_norm"] for m in read_metrics(f / "run" / "metrics.jsonl") if m["event"] == "train"]
                 for f in (plain, folder)]  # fmt: skip
        assert norms[1] == pytest.approx(norms[0], rel=1e-4) and max(norms[0]) > CLIPPED["max_grad_norm"]
        same_model(plain / "run" / "final", folder / "run" / "final")


def same_model(expected: Path, found: Path) -> None:
    """Two exported folders load, and hold nearly the same weights."""
    from hf_variants.experiments.evaluation import load_model

    auto = "AutoModelForMaskedLM" if "minbert" in (expected / "config.json").read_text() else "AutoModelForCausalLM"
    weights = [load_model(str(folder), auto)[0].state_dict() for folder in (expected, found)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("make", [encoder, decoder])
def test_a_run_goes_on_without_zero_and_back(make, stage, tmp_path):
    whole, mixed, environment = tmp_path / "whole", tmp_path / "mixed", zero(tmp_path, stage)
    assert run(make(tmp_path), whole, 1) == [0]
    assert run(make(tmp_path), mixed, 2, (18, 1, signal.SIGTERM), **environment) == [143, 143]
    assert run(make(tmp_path), mixed, 1, (7, 0, signal.SIGTERM)) == [143]
    assert run(make(tmp_path), mixed, 2, (10, 0, signal.SIGINT), **environment) == [130, 130]
    assert run(make(tmp_path), mixed, 2, **environment) == [0, 0]
    one, several = seen(whole), seen(mixed)
    assert [(line["step"], line["rows"]) for line in one] == [(line["step"], line["rows"]) for line in several]
    assert [line["processes"] for line in several] == [2] * 18 + [1] * 7 + [2] * 25
    assert losses(mixed / "run") == pytest.approx(losses(whole / "run"), abs=1e-5)
    same_model(whole / "run" / "final", mixed / "run" / "final")
