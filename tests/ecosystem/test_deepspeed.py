# Copyright 2026 The hf_variants authors. MIT licence.
"""ZeRO on two CPU processes (gloo): the losses of one plain process, and checkpoints that both go on from."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hf_variants.experiments.analysis.evaluation import load_model
from hf_variants.experiments.engine.record import read_metrics
from hf_variants.experiments.files import read_json
from hf_variants.experiments.machine.zero import is_installed
from hf_variants.experiments.recipes.recipe import Recipe
from tests.experiments.engine.test_growing import LAYERS, recipe
from tests.experiments.engine.test_processes import LONG, QUIET, STEPS, losses, run, seen, watch
from tests.helpers.tiny import MODEL, tiny_recipe
from tests.helpers.tiny_labelled import labelled_recipe
from tests.training.test_launch import ACCELERATE, start

pytestmark = [
    pytest.mark.ecosystem,
    pytest.mark.skipif(not is_installed(), reason="DeepSpeed spreads the model"),
]
CLIPPED = LONG | {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5}


def encoder(folder: Path, **training: Any) -> Recipe:
    # an odd width, so that parameters and moments are no multiples of the processes
    odd = {"hidden_size": 18, "intermediate_size": 33, "vocab_size": 41}
    overrides = MODEL | odd | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return tiny_recipe(folder, model={"overrides": overrides}, training=CLIPPED | training)


def decoder(folder: Path, **training: Any) -> Recipe:
    overrides = LAYERS | QUIET | {"num_hidden_layers": 2}
    return recipe(folder, {"type": "nanogpt", "overrides": overrides}, [], **CLIPPED | training)


def zero(folder: Path, stage: int, **changes: Any) -> dict[str, str]:
    """The environment that asks for a stage, by a configuration in which even the smallest parameters are spread."""
    section: dict[str, Any] = {"stage": stage, "stage3_param_persistence_threshold": 0, "reduce_bucket_size": "auto"}
    path = folder / f"zero{stage}.json"
    path.write_text(json.dumps({"zero_optimization": section | changes, "gradient_clipping": "auto"}))
    return {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(path)}


def watch_zero(folder: Path, *rest: Any) -> None:
    """Has this process write down how many numbers it holds of the model and of a moment."""
    from hf_variants.experiments.engine import loop

    original, rank = loop.Loop._after_step, int(os.environ.get("RANK", 0))

    def after_step(self: Any, phase: Any) -> None:
        inner = self.optimizer if self.zero is None else self.zero.engine.basic_optimizer
        held = {"weights": sum(p.numel() for p in self.plain_model.parameters())}
        held["moments"] = sum(state["exp_avg"].numel() for state in inner.state.values())
        (folder / f"held-{rank}.json").write_text(json.dumps(held))
        original(self, phase)

    loop.Loop._after_step = after_step
    watch(folder, *rest)


def data(folder: Path) -> list[tuple[int, list[list[int]]]]:
    """The rows of each step, in an order that does not depend on who read them in which micro-batch."""
    return [(line["step"], sorted(line["rows"])) for line in seen(folder)]


@pytest.mark.parametrize("make", [encoder, decoder])
def test_two_processes_under_zero_have_the_losses_of_one(make, tmp_path):
    plain = tmp_path / "one"
    assert run(make(tmp_path), plain, 1, prepare=watch_zero) == [0]
    rows, whole = data(plain), read_json(plain / "held-0.json")
    assert len(losses(plain / "run")) == STEPS
    for stage in (2, 3):
        folder = tmp_path / f"zero{stage}"
        assert run(make(tmp_path), folder, 2, prepare=watch_zero, **zero(tmp_path, stage)) == [0, 0]
        assert {(line["processes"], line["model"]) for line in seen(folder)} == {(2, "DeepSpeedEngine")}
        held = read_json(folder / "held-0.json")
        assert held["moments"] < 0.6 * whole["moments"]
        assert held["weights"] == (0 if stage == 3 else whole["weights"])
        assert data(folder) == rows
        assert losses(folder / "run") == pytest.approx(losses(plain / "run"), abs=1e-5)
        norms = [[m["grad_norm"] for m in read_metrics(f / "run" / "metrics.jsonl") if m["event"] == "train"]
                 for f in (plain, folder)]  # fmt: skip
        assert norms[1] == pytest.approx(norms[0], rel=1e-4) and max(norms[0]) > CLIPPED["max_grad_norm"]
        same_model(plain / "run" / "final", folder / "run" / "final")


def parameters(folder: Path) -> dict[str, torch.Tensor]:
    """Those of an exported folder, which loads."""
    [name] = read_json(folder / "config.json")["architectures"]
    return load_model(str(folder), "AutoModelFor" + name.partition("For")[2])[0].state_dict()


def same_model(expected: Path, found: Path) -> None:
    """Two exported folders load, and hold nearly the same weights."""
    whole, shared = parameters(expected), parameters(found)
    assert whole.keys() == shared.keys()
    for name, value in whole.items():
        torch.testing.assert_close(shared[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("make", [encoder, decoder])
def test_a_run_goes_on_without_zero_and_back(make, stage, tmp_path):
    made = make(tmp_path, max_steps=20, eval_every=10)
    plain, mixed, environment = tmp_path / "plain", tmp_path / "mixed", zero(tmp_path, stage)
    assert run(made, plain, 1) == [0]
    assert run(made, mixed, 2, (7, 1, signal.SIGTERM), **environment) == [143, 143]
    assert run(made, mixed, 1, (3, 0, signal.SIGTERM)) == [143]
    assert run(made, mixed, 2, (4, 0, signal.SIGINT), **environment) == [130, 130]
    assert run(made, mixed, 2, **environment) == [0, 0]
    assert data(mixed) == data(plain)
    assert [line["processes"] for line in seen(mixed)] == [2] * 7 + [1] * 3 + [2] * 10
    assert losses(mixed / "run") == pytest.approx(losses(plain / "run"), abs=1e-5)
    same_model(plain / "run" / "final", mixed / "run" / "final")


@pytest.mark.parametrize("stage", [2, 3])
def test_moments_and_weights_may_lie_in_main_memory(stage, tmp_path):
    cpu = {"device": "cpu"}
    offload = {"offload_optimizer": cpu} | ({"offload_param": cpu} if stage == 3 else {})
    plain, folder, short = tmp_path / "one", tmp_path / "offloaded", {"max_steps": 10, "eval_every": 5}
    assert run(encoder(tmp_path, **short), plain, 1) == [0]
    environment = zero(tmp_path, stage, **offload)
    assert run(encoder(tmp_path, **short), folder, 2, (4, 0, signal.SIGTERM), **environment) == [143, 143]
    assert run(encoder(tmp_path, **short), folder, 2, **environment) == [0, 0]
    assert losses(folder / "run") == pytest.approx(losses(plain / "run"), abs=1e-5)


def labelled(folder: Path, train: str) -> Recipe:
    """Fine-tuning that stops early, without dropout."""
    quiet = {f"model.overrides.{name}": 0.0 for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")}
    changes = {"training.train": train, "training.lora_rank": 2}
    changes |= {"training.early_stopping": 2, "training.max_epochs": 6, "training.learning_rate": 0.05}
    return labelled_recipe(folder, quiet | changes | {"training.snapshot_every": 4 if train == "full" else 0})


@pytest.mark.parametrize("train", ["full", "lora"])
def test_the_best_model_and_snapshots_are_whole(train, tmp_path):
    plain, folder, made = tmp_path / "one", tmp_path / "zero", labelled(tmp_path, train)
    assert run(made, plain, 1) == [0]
    assert run(made, folder, 2, **zero(tmp_path, 3)) == [0, 0]
    marks = [read_json(f / "run" / "record.json")["marks"][-1] for f in (plain, folder)]
    assert marks[0]["best_step"] == marks[1]["best_step"]
    assert marks[0]["test"]["loss"] == pytest.approx(marks[1]["test"]["loss"], abs=1e-4)
    for name in ["final", "snapshots/step-00000004"][: 2 if train == "full" else 1]:
        whole, found = (parameters(f / "run" / name) for f in (plain, folder))
        assert {n: p.shape for n, p in whole.items()} == {n: p.shape for n, p in found.items()}


def test_a_diverged_run_keeps_the_checkpoints_before(tmp_path):
    made = encoder(tmp_path, learning_rate=1e25, warmup_steps=0, checkpoint_every=1, max_grad_norm=None)
    assert run(made, tmp_path, 2, **zero(tmp_path, 2)) == [2, 2]
    log = (tmp_path / "run-0.log").read_text()
    assert "error: training: the gradient norm is inf at step" in log and "Traceback" not in log
    for path in (tmp_path / "run" / "checkpoints").glob("update-*/model.safetensors"):
        assert all(torch.isfinite(value).all() for value in load_file(path).values())


@pytest.mark.parametrize("stage", [2, 3])
def test_autocast_is_not_switched_off(stage, tmp_path):
    made = encoder(tmp_path, max_steps=4, eval_every=2, mixed_precision="bf16")
    assert run(made, tmp_path, 2, prepare=watch_autocast, **zero(tmp_path, stage)) == [0, 0]
    assert set((tmp_path / "types-0.txt").read_text().split()) == {"torch.bfloat16"}


def watch_autocast(folder: Path, *rest: Any) -> None:
    """Has this process tell DeepSpeed that autocast is on, as on a GPU, and write down what a layer computes in."""
    from hf_variants.experiments.machine import zero

    asked, original, rank = torch.is_autocast_enabled, zero.Zero.install, int(os.environ["RANK"])
    torch.is_autocast_enabled = lambda *device: asked(*device) if device else True

    def install(self: Any, model: torch.nn.Module) -> Any:
        def note(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
            with (folder / f"types-{rank}.txt").open("a") as file:
                file.write(f"{output.dtype}\n")

        next(m for m in model.modules() if isinstance(m, torch.nn.Linear)).register_forward_hook(note)
        return original(self, model)

    zero.Zero.install = install


def test_what_is_not_supported_ends_with_exit_code_2(tmp_path):
    made = encoder(tmp_path, log_layer_gradients=True)
    assert run(made, tmp_path, 2, **zero(tmp_path, 2)) == [2, 2]
    words = "error: training.log_layer_gradients: is not supported under DeepSpeed; allowed: false, or FSDP2, DDP"
    assert [line for line in (tmp_path / "run-0.log").read_text().splitlines() if line.startswith("error")] == [words]
    assert not (tmp_path / "run").exists()
    assert run(encoder(tmp_path), tmp_path, 2, **zero(tmp_path, 3, reduce_bucket_size="large")) == [2, 2]
    assert "error: DeepSpeed: zero_optimization: 1 validation error" in (tmp_path / "run-0.log").read_text()


@pytest.mark.parametrize("stage", [2, 3])
def test_the_launcher_starts_it(stage, tmp_path):
    launcher = [*ACCELERATE, f"training/launch/deepspeed_zero{stage}.yaml"]
    code = start(launcher, tmp_path).wait()
    assert code == 0, (tmp_path / "log").read_text()
    assert read_json(tmp_path / "run" / "record.json")["environment"]["processes"] == 2
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 6 + 1 + 2  # written once
