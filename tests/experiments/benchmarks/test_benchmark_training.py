# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark's training loops and bigru: their checks find sides that differ. Nothing here asserts a time."""

import pytest
import torch
from transformers import Trainer

from hf_variants.experiments.benchmarks.cases import gru as benchmark_gru
from hf_variants.experiments.benchmarks.cases import training_loop as benchmark_training
from hf_variants.experiments.benchmarks.cases.training_loop import Size
from hf_variants.experiments.benchmarks.suite import DifferentError

TINY = Size(hidden_size=16, layers=1, rows=2, length=8, steps=2)


@pytest.fixture(scope="module")
def start():
    """The setting of a tiny model."""
    return benchmark_training.setting(TINY)


@pytest.fixture
def in_setting(start, monkeypatch):
    """Sides that share that setting, which takes a second to prepare."""
    monkeypatch.setattr(benchmark_training, "setting", lambda size: start)


def run_both(sides):
    for side in (sides.ours, sides.reference, sides.ours, sides.reference):
        side()


def test_our_loop_is_the_bare_one_bit_for_bit(in_setting):
    sides = benchmark_training.bare_sides(TINY)
    sides.check()
    run_both(sides)
    assert sides.ours.args[0].progress.step == TINY.steps


def test_another_learning_rate_is_found(in_setting, monkeypatch):
    build = benchmark_training.build_optimizer

    def faster(model, arguments):
        optimizer = build(model, arguments)
        optimizer.param_groups[0]["lr"] *= 1.001
        return optimizer

    monkeypatch.setattr(benchmark_training, "build_optimizer", faster)
    with pytest.raises(DifferentError, match=r"after 5 steps .* differs by"):
        benchmark_training.bare_sides(TINY).check()


def test_our_loop_has_the_losses_of_trainer(in_setting, capsys):
    sides = benchmark_training.trainer_sides(TINY)
    sides.check()
    run_both(sides)
    assert capsys.readouterr().out == ""


def test_other_losses_than_trainers_are_found(in_setting, monkeypatch):
    compute = Trainer.compute_loss
    monkeypatch.setattr(Trainer, "compute_loss", lambda *args, **kwargs: 1.01 * compute(*args, **kwargs))
    with pytest.raises(DifferentError, match="losses differ"):
        benchmark_training.trainer_sides(TINY).check()


# ---- bigru ---------------------------------------------------------------------------------------------------------


SIZES = {"rows": 4, "embedding_size": 6, "hidden_size": 5}
COPIES = pytest.mark.parametrize("copied", [benchmark_gru.padded_copy, benchmark_gru.packed_copy])


@COPIES
@pytest.mark.parametrize("shortest", [3, 70])
def test_bigru_is_checked_and_a_changed_weight_is_found(copied, shortest):
    sides = benchmark_gru.gru_sides(copied, shortest, 70, **SIZES)
    sides.check()
    run_both(sides)
    with torch.no_grad():
        sides.check.args[0].layers[0].backwards.weight_hh_l0[0] += 1
    with pytest.raises(DifferentError, match="outputs differ"):
        sides.check()


def test_a_state_that_has_read_padding_is_found():
    sides = benchmark_gru.gru_sides(benchmark_gru.padded_copy, 3, 70, **SIZES)
    backwards = sides.check.args[1].layers[0].backwards
    backwards.forward = lambda hidden, order: torch.nn.GRU.forward(backwards, hidden.flip(1))[0].flip(1)
    with pytest.raises(DifferentError, match="outputs differ"):
        sides.check()
