# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark of LoRA stages: its check finds a stage that is none. Nothing here asserts a time."""

import pytest
import torch

from hf_variants.experiments.benchmarks.cases import growth as benchmark_growth
from hf_variants.experiments.benchmarks.suite import DifferentError, load_cases
from hf_variants.gpt.configuration_nanogpt import NanoGptConfig


def tiny() -> NanoGptConfig:
    return NanoGptConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, vocab_size=32, max_position_embeddings=12
    )


@pytest.mark.parametrize("mlp", ["full", "lora", "frozen"])
def test_both_sides_of_a_stage_train(mlp):
    sides = benchmark_growth.stage_sides(tiny(), rows=2, rank=2, mlp=mlp)
    sides.check()
    sides.ours()
    sides.reference()


def test_a_stage_that_has_learned_is_no_fair_side():
    sides = benchmark_growth.stage_sides(tiny(), rows=2, rank=2)
    for parameter in sides.ours.args[0].parameters():
        torch.nn.init.normal_(parameter)
    with pytest.raises(DifferentError, match="differ"):
        sides.check()


def test_a_plain_model_is_no_stage(monkeypatch):
    monkeypatch.setattr(benchmark_growth.growth, "start_lora_stage", lambda model, **lora: None)
    with pytest.raises(DifferentError, match="no adapters"):
        benchmark_growth.stage_sides(tiny(), rows=2).check()


def test_the_cases_are_registered():
    assert {f"lora_stage_width{width}" for width in (192, 384, 768)} <= set(load_cases())
