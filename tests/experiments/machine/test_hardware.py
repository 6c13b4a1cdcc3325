# Copyright 2026 The hf_variants authors. MIT licence.
"""What a record says of speed, and the recipe's switch for torch.compile."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.machine import hardware, timing
from hf_variants.experiments.records import Mark
from tests.helpers.tiny import tiny_recipe


@pytest.mark.parametrize(
    ("device", "half", "single"),
    [
        ("NVIDIA H100 80GB HBM3", 989, 67),
        ("NVIDIA H100 PCIe", 756, 51),
        ("NVIDIA A100-SXM4-40GB", 312, 19.5),
        ("NVIDIA L4", 121, 30.3),
        ("NVIDIA L40S", 362, 91.6),
        ("NVIDIA GeForce RTX 4090", 165.2, 82.6),
    ],
)
def test_a_device_is_found_by_the_words_of_its_name(device, half, single):
    for precision, expected in (("bf16", half), ("fp16", half), ("no", single)):
        assert hardware.peak_flops(device, precision) == pytest.approx(1e12 * expected)


def test_utilisation_is_left_out_where_it_is_not_known():
    assert hardware.peak_flops("Somebody's L400", "bf16") is None
    assert hardware.model_flops_utilisation(1e12, 2.0, None, 1) is None
    assert hardware.model_flops_utilisation(0.0, 2.0, 1e12, 1) is None
    assert hardware.model_flops_utilisation(1e12, 2.0, 1e12, 2) == pytest.approx(0.25)


def test_a_gpu_adds_memory_and_utilisation(monkeypatch):
    last = Mark(tokens=1000, steps=1, seconds=2.0, flops=2 * 67e12 / 4)
    monkeypatch.setattr(hardware.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(hardware.torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    monkeypatch.setattr(hardware.torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    found = hardware.speed(last, "no", devices=1)
    assert found == pytest.approx({"tokens_per_second": 500, "peak_memory_mb": 3, "mfu": 0.25})


def test_memory_is_measured_once_the_process_is_warm(monkeypatch):
    passes, before = [], []
    monkeypatch.setattr(timing, "peak_memory_mb", lambda step: before.append(len(passes)) or 1.0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_positions=4, n_embd=4, n_layer=1, n_head=1))
    ids = torch.arange(4)[None]

    def losses(model):
        passes.append(model.training)
        return model(ids, labels=ids).loss

    timed = timing.Timed(model, torch.optim.SGD(model.parameters()), losses, 4, {"input_ids": ids})
    found = timing.time_models({"a": timed, "b": timed}, rounds=1)
    assert before == [1, 1] and found["arms"]["a"]["peak_memory_mb"] == 1.0


@pytest.mark.slow
def test_a_compiled_run_ends_as_one_without(tmp_path):
    quiet = {"overrides": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    short = {"max_steps": 6, "budgets": [1.0], "warmup_steps": 1}
    plain, compiled = (
        run_recipe(tiny_recipe(tmp_path, model=quiet, training=short | {"torch_compile": switch}), tmp_path / name)
        for name, switch in (("plain", False), ("compiled", True))
    )
    for first, second in zip(plain.marks, compiled.marks, strict=True):
        assert second.test["loss"] == pytest.approx(first.test["loss"], abs=1e-4)
    assert plain.parameters == compiled.parameters and plain.speed["tokens_per_second"] > 0
