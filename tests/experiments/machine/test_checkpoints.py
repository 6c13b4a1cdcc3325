# Copyright 2026 The hf_variants authors. MIT licence.
"""Checkpoints on disk: whole or not there, and the newest whole one is used; signals that ask for one."""

import itertools
import os
import signal
from pathlib import Path

import pytest
import torch

from hf_variants.experiments import files as durable
from hf_variants.experiments.checking import InputError, StoppedError
from hf_variants.experiments.engine import loop
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.files import remove_folder
from hf_variants.experiments.machine.checkpoints import (
    WRITE_ERRORS,
    load_optimizer,
    load_random_state,
    load_weights,
    newest_checkpoint,
    prune_checkpoints,
    random_state,
    save_checkpoint,
    written_checkpoints,
)
from hf_variants.experiments.machine.signals import StopSignals
from tests.experiments.engine.test_loop import assert_same_run
from tests.helpers.tiny import tiny_recipe


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    return model, optimizer


def write(folder: Path, update: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model, optimizer = trained()
    path = folder / f"update-{update:09d}"
    save_checkpoint(path, model, optimizer.state_dict(), {"progress": {"step": update}}, [random_state()] * 2)
    return model, optimizer


def test_what_was_saved_comes_back(tmp_path):
    model, optimizer = write(tmp_path, 1)
    drawn = torch.rand(1)
    other, others = trained()
    newest = newest_checkpoint(tmp_path)
    load_weights(newest, other)
    load_optimizer(newest, others)
    load_random_state(newest, 0)
    assert torch.equal(other.weight, model.weight) and torch.equal(torch.rand(1), drawn)
    first, second = optimizer.state_dict(), others.state_dict()
    assert [group["params"] for group in first["param_groups"]] == [
        group["params"] for group in second["param_groups"]
    ]
    assert torch.equal(first["state"][0]["exp_avg"], second["state"][0]["exp_avg"])


FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "random-0.safetensors"]


@pytest.mark.parametrize(("name", "size"), [*itertools.product(FILES, [0, 30, None]), ("random-1.safetensors", 30)])
def test_the_newest_whole_one_is_used(tmp_path, name, size):
    write(tmp_path, 9), write(tmp_path, 12)
    file = tmp_path / "update-000000012" / name
    if size is None:
        file.unlink()
    else:
        os.truncate(file, size)
    assert newest_checkpoint(tmp_path) == tmp_path / "update-000000009"


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write(tmp_path, 3)
    monkeypatch.setattr(
        "hf_variants.experiments.machine.checkpoints.save_file", lambda *_: (tmp_path / "no" / "x").touch()
    )
    for update in (3, 6):
        with pytest.raises(WRITE_ERRORS):
            write(tmp_path, update)
    assert os.listdir(tmp_path) == ["update-000000003"]
    assert newest_checkpoint(tmp_path) == tmp_path / "update-000000003"


def test_old_ones_and_remains_are_removed(tmp_path):
    for update in (3, 6, 9):
        write(tmp_path, update)
    (tmp_path / "update-000000012.partial").mkdir()
    prune_checkpoints(tmp_path, 2)
    assert [path.name for path in written_checkpoints(tmp_path)] == ["update-000000006", "update-000000009"]
    assert len(os.listdir(tmp_path)) == 2


def test_broken_ones_are_not_kept_in_place_of_whole_ones(tmp_path):
    for update in (3, 4, 6):
        write(tmp_path, update)
    os.truncate(tmp_path / "update-000000006" / "model.safetensors", 30)
    prune_checkpoints(tmp_path, 1)
    assert newest_checkpoint(tmp_path) == tmp_path / "update-000000004" and len(os.listdir(tmp_path)) == 1


def test_a_run_without_a_readable_checkpoint_says_that_it_begins_again(tmp_path, monkeypatch, capsys):
    recipe = tiny_recipe(tmp_path, training={"max_steps": 4, "budgets": [1.0], "checkpoint_every": 2})
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(loop.Loop, "_finish_branch", lambda *_: 1 / 0)
        run_recipe(recipe, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("update-*/state.json"):
        path.unlink()
    run_recipe(recipe, tmp_path / "run")
    assert capsys.readouterr().out.count("is broken, and is passed over") == 2


def test_a_run_without_the_lines_that_its_checkpoint_knows_of_is_refused(tmp_path, monkeypatch):
    recipe = tiny_recipe(tmp_path, training={"max_steps": 4, "budgets": [1.0], "checkpoint_every": 4, "log_every": 1})
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(loop.Loop, "_finish_branch", lambda *_: 1 / 0)
        run_recipe(recipe, tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    for lose in (lambda: os.truncate(metrics, 30), metrics.unlink):
        lose()
        with pytest.raises(InputError, match="metrics.jsonl: is shorter than when update-000000004 was written"):
            run_recipe(recipe, tmp_path / "run")


def test_the_final_model_has_reached_the_disk_before_checkpoints_are_dropped(tmp_path, monkeypatch):
    synced, original = [], durable._sync
    monkeypatch.setattr(durable, "_sync", lambda path: synced.append(path.name) or original(path))
    run_recipe(tiny_recipe(tmp_path, training={"max_steps": 2, "budgets": [1.0], "warmup_steps": 0}), tmp_path / "run")
    record = next(place for place, name in enumerate(synced) if name.startswith("record.json"))
    assert "model.safetensors" in synced[:record] and "tokenizer.json" in synced[:record]


def test_a_removal_that_is_killed_leaves_no_half_folder(tmp_path, monkeypatch):
    write(tmp_path, 3)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    remove_folder(tmp_path / "update-000000003")
    assert written_checkpoints(tmp_path) == [] and newest_checkpoint(tmp_path) is None


# ---- signals -------------------------------------------------------------------------------------------------------


def test_signals_are_remembered_and_a_second_interrupt_is_not(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt), StopSignals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    monkeypatch.setenv("LOCAL_RANK", "0")  # a launcher passes on what the terminal has sent already
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signals.received == signal.SIGINT


@pytest.mark.parametrize("every", [0, 6])
def test_a_signal_in_the_last_evaluation_is_not_lost(tmp_path, monkeypatch, every):
    """With a checkpoint of the last step the evaluation is made again, else it is in the one that is written then."""
    training = {"max_steps": 6, "budgets": [1.0], "checkpoint_every": every, "eval_every": 5}
    recipe = tiny_recipe(tmp_path, training=training)
    run_recipe(recipe, tmp_path / "whole")
    original = loop.Loop._finish_branch
    monkeypatch.setattr(
        loop.Loop, "_finish_branch", lambda *given: signal.raise_signal(signal.SIGTERM) or original(*given)
    )
    with pytest.raises(StoppedError, match="SIGTERM at step 6: ") as stopped:
        run_recipe(recipe, tmp_path / "stopped")
    assert stopped.value.code == 143 and not (tmp_path / "stopped" / "record.json").exists()
    monkeypatch.setattr(loop.Loop, "_finish_branch", original)
    run_recipe(recipe, tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_that_is_asked_to_stop_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    recipe = tiny_recipe(tmp_path, training={"max_steps": 10, "checkpoint_every": 0, "eval_every": 5})
    run_recipe(recipe, tmp_path / "whole")
    original = loop.Loop._step
    for step, number, code in ((3, signal.SIGTERM, 143), (9, signal.SIGINT, 130)):

        def asked(self, *rest, step=step, number=number):
            if self.progress.step == step:
                signal.raise_signal(number)
            original(self, *rest)

        monkeypatch.setattr(loop.Loop, "_step", asked)
        with pytest.raises(StoppedError, match=f"{signal.Signals(number).name} at step {step + 1}: ") as stopped:
            run_recipe(recipe, tmp_path / "stopped")
        assert stopped.value.code == code
    monkeypatch.setattr(loop.Loop, "_step", original)
    run_recipe(recipe, tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
