# Copyright 2026 The hf_variants authors. MIT licence.
"""Several processes are one run: the same losses and data on any number of them, stops that all agree on."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import PartialState
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.record import read_metrics
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.files import read_json
from hf_variants.experiments.machine.sharding import blank_copy, fill
from hf_variants.experiments.machine.spread import spread_of
from hf_variants.experiments.recipes.recipe import Recipe
from tests.experiments.engine.test_growing import LAYERS, LORA, deepening, recipe
from tests.helpers.forked import Prepare, train
from tests.helpers.tiny import MODEL, tiny_recipe

STEPS = 50
LONG = {"max_steps": STEPS, "budgets": [1.0], "eval_every": 25, "log_every": 1, "checkpoint_every": 0,
        "batch_size": 8, "learning_rate": 1e-3}  # fmt: skip
SHARDED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
QUIET = {"embd_pdrop": 0.0}


def encoder(folder: Path) -> Recipe:
    overrides = MODEL | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return tiny_recipe(folder, model={"overrides": overrides}, training=LONG)


def decoder(folder: Path) -> Recipe:
    return recipe(folder, {"type": "nanogpt", "overrides": LAYERS | QUIET | {"num_hidden_layers": 2}}, [], **LONG)


def growing(folder: Path) -> Recipe:
    """New adapters, whose weights are drawn at random, and then new layers that come in gradually."""
    stages = [
        {"fraction": 0.3, "operation": "deepen", "init": "identity", "lora": LORA | {"mlp": "lora"}},
        {"fraction": 0.6, "operation": "deepen", "init": "gradual", "ramp_steps": 5},
    ]
    overrides = LAYERS | QUIET | {"num_hidden_layers": 1}
    return recipe(folder, {"type": "nanogpt", "overrides": overrides}, stages, **LONG)


def watch(folder: Path, stop_after: int, stop_rank: int, number: int) -> None:
    """Has this process write down the rows of each step and how its model is spread, and maybe ask itself to stop."""
    from torch.distributed.tensor import DTensor

    from hf_variants.experiments.engine import loop

    original, rank, done = loop.Loop._step, int(os.environ.get("RANK", 0)), [0]

    def step(self: Any, phase: Any, parts: Any) -> None:
        sharded = [isinstance(p, DTensor) and p.to_local().numel() < p.numel() for p in self.model.parameters()]
        rows = torch.cat([part["input_ids"] for part in parts]).tolist()
        seen = {"step": self.progress.step, "rows": rows, "processes": self.accelerator.num_processes}
        seen |= {"sharded": sum(sharded) > len(sharded) / 2, "model": type(self.model).__name__}
        with (folder / f"steps-{rank}.jsonl").open("a") as file:
            file.write(json.dumps(seen) + "\n")
        done[0] += 1
        if done[0] == stop_after and rank == stop_rank:
            os.kill(os.getpid(), number)
        original(self, phase, parts)

    loop.Loop._step = step


def watch_accelerate_shard(*arguments: Any) -> None:
    """The same, and Accelerate's FSDP2 is used, which it ignores on a CPU unless it is told that it isn't there."""
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    from hf_variants.experiments.engine import run

    watch(*arguments)
    original = run.new_accelerator

    def sharding(*rest: Any) -> Any:
        accelerator = original(*rest)
        accelerator.state.distributed_type = DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP  # it is copied from there now and then
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            reshard_after_forward=True,
            cpu_ram_efficient_loading=False,
        )
        return accelerator

    run.new_accelerator = sharding


def seen(folder: Path) -> list[dict[str, Any]]:
    """What all processes wrote down, those of a step joined."""
    by_rank = [read_metrics(path) for path in sorted(folder.glob("steps-*.jsonl"))]
    joined = []
    for first in by_rank[0]:
        same = [line for lines in by_rank for line in lines if line["step"] == first["step"]]
        assert len(same) == first["processes"]
        joined.append(first | {"rows": [row for line in same for row in line["rows"]]})
    return joined


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl") if line["event"] == "train"]


def run(recipe: Recipe, folder: Path, count: int, stop: tuple[int, int, int] = (0, 0, 0), prepare: Prepare = watch,
        **env: str) -> list[int]:  # fmt: skip
    folder.mkdir(exist_ok=True)
    return train(recipe, folder / "run", count, prepare, folder, *stop, **env)


@pytest.mark.slow
@pytest.mark.parametrize("make", [encoder, decoder, growing])
def test_two_processes_have_the_losses_of_one(make, tmp_path):
    whole, spread, shards, by_accelerate = (tmp_path / name for name in ("one", "ddp", "fully_shard", "accelerate"))
    assert run(make(tmp_path), whole, 1) == [0]
    assert run(make(tmp_path), spread, 2) == [0, 0]
    assert run(make(tmp_path), shards, 2, **SHARDED) == [0, 0]
    assert run(make(tmp_path), by_accelerate, 2, prepare=watch_accelerate_shard) == [0, 0]
    one, ddp, *sharded = map(seen, (whole, spread, shards, by_accelerate))
    assert {line["processes"] for line in one} == {1} and not any(line["sharded"] for line in one + ddp)
    assert {(line["processes"], line["model"]) for line in ddp} == {(2, "DistributedDataParallel")}
    assert all(line["processes"] == 2 and line["sharded"] for lines in sharded for line in lines)
    rows = [line["rows"] for line in one]
    assert len(rows) == STEPS and all([line["rows"] for line in lines] == rows for lines in (ddp, *sharded))
    assert len(losses(whole / "run")) == STEPS
    for folder in (spread, shards, by_accelerate):
        assert losses(folder / "run") == pytest.approx(losses(whole / "run"), abs=1e-5)
        marks = [read_json(run / "run" / "record.json")["marks"][-1]["test"]["loss"] for run in (whole, folder)]
        assert marks[0] == pytest.approx(marks[1], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, SHARDED])
def test_a_run_goes_on_with_another_number_of_processes(environment, tmp_path):
    """From 2 processes to 1 and back, stopped by a signal that only one of the processes got."""
    whole, mixed = tmp_path / "whole", tmp_path / "mixed"
    assert run(growing(tmp_path), whole, 1) == [0]
    assert run(growing(tmp_path), mixed, 2, (18, 1, signal.SIGTERM), **environment) == [143, 143]
    assert run(growing(tmp_path), mixed, 1, (7, 0, signal.SIGTERM)) == [143]
    assert run(growing(tmp_path), mixed, 2, (10, 0, signal.SIGINT), **environment) == [130, 130]
    assert run(growing(tmp_path), mixed, 2, **environment) == [0, 0]
    one, several = seen(whole), seen(mixed)
    assert [(line["step"], line["rows"]) for line in one] == [(line["step"], line["rows"]) for line in several]
    assert [line["processes"] for line in several] == [2] * 18 + [1] * 7 + [2] * 25
    assert losses(mixed / "run") == pytest.approx(losses(whole / "run"), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_write_that_fails_leaves_the_checkpoint_before_it(count, tmp_path):
    """RLIMIT_FSIZE stands for a full disk: the grown model no longer fits."""
    small = deepening(tmp_path, checkpoint_every=5, budgets=[1.0])
    assert train(small, tmp_path / "run", count, limit_file_size, 80_000) == [2] * count
    log = "".join(path.read_text() for path in tmp_path.glob("run-*.log"))
    newest = tmp_path / "run" / "checkpoints" / "update-000000010"
    [error] = [line for line in log.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {newest.with_name('update-000000015')}: could not be written (")
    assert "File too large" in error and error.endswith(f"; the same command goes on from {newest}")
    assert "Traceback" not in log and not list(newest.parent.glob("*.partial"))
    assert train(small, tmp_path / "run", count) == [0] * count
    assert f"resumed from {newest} at step 10" in (tmp_path / "run-0.log").read_text()


def sees_another_loss() -> None:
    """Has the second process see a loss that falls by more than enough in every evaluation."""
    from hf_variants.experiments.engine import loop

    original, falls = loop.evaluate_split, [0.0]

    def evaluate(*given: Any) -> dict[str, float]:
        values = original(*given)
        falls[0] += 1000.0 * int(os.environ["RANK"])
        return values | {"loss": values["loss"] - falls[0]}

    loop.evaluate_split = evaluate


@pytest.mark.slow
def test_all_grow_where_the_first_process_sees_a_plateau(tmp_path):
    """Machines may round differently: one that alone decided to grow would wait for the others for ever."""
    stages = [{"plateau": {"evaluations": 1, "min_delta": 100.0}, "operation": "deepen", "init": "identity"}]
    made = deepening(tmp_path, stages, max_steps=8, budgets=[1.0], eval_every=2, checkpoint_every=0)
    assert train(made, tmp_path / "run", 2, sees_another_loss) == [0, 0]
    assert [stage["step"] for stage in read_json(tmp_path / "run" / "record.json")["stages"]] == [4]


def limit_file_size(size: int) -> None:
    """Has this process fail to write beyond `size` bytes of a file."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


# ---- without processes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("environment", "words"), [
    ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "Megatron-LM: its state has no place in our checkpoints"),
    ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed: its state .* allowed: .*, FSDP2 .training/launch/fsdp2.yaml"),
    ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "FSDP: version 1 is not supported"),
    ({"WORLD_SIZE": "2"}, "2 processes were started, but Accelerate has each run alone"),
])  # fmt: skip
def test_what_would_run_alone_or_save_broken_is_refused(environment, words, monkeypatch, tmp_path):
    PartialState()  # of one process, as where Accelerate joins none
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words):
        run_recipe(encoder(tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_blank_copy_keeps_ties_and_hooks():
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=8, vocab_size=11))
    blank = blank_copy(model)
    assert {p.device.type for p in blank.parameters()} == {"meta"}
    filled = fill(blank, dict(model.named_parameters()))
    assert filled.lm_head.weight is filled.transformer.wte.weight and isinstance(filled, nn.Module)
    ids = torch.arange(8)[None]
    assert torch.equal(filled.eval()(ids).logits, model.eval()(ids).logits)


def test_checkpointing_by_the_launcher_is_refused_and_not_ignored():
    plugin = SimpleNamespace(activation_checkpointing=True)
    accelerator = SimpleNamespace(is_fsdp2=True, state=SimpleNamespace(fsdp_plugin=plugin))
    with pytest.raises(InputError, match="allowed: training.gradient_checkpointing"):
        spread_of(accelerator)
