# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of growth: a step of a LoRA stage against a full training step of the same model.

A step is forward, backward, clipping and AdamW's update, which a LoRA stage does for fewer parameters.
"""

import copy
import functools
from typing import Any

import torch
from transformers import PreTrainedModel

from .... import growth
from ....gpt.configuration_nanogpt import NanoGptConfig
from ....gpt.modeling_nanogpt import NanoGptForCausalLM
from ...engine.optimizer import build_optimizer
from ...machine.timing import training_step
from ...recipes.sections import TrainingArguments
from ..suite import DEVICE, DifferentError, Sides, assert_close, case, random_ids


def stage_step(model: PreTrainedModel, optimizer: torch.optim.Optimizer, ids: torch.Tensor) -> None:
    """One whole training step on ids `(batch, seq)`."""
    training_step(model, optimizer, lambda: model(ids, labels=ids, use_cache=False).loss)


def gradients(model: PreTrainedModel, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradients of the mean loss by a parameter's plain name."""
    model.zero_grad()
    model(ids, labels=ids, use_cache=False).loss.backward()
    named = {name.replace(".base_layer", ""): p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return named


def assert_stage_trains_alike(stage: PreTrainedModel, full: PreTrainedModel, ids: torch.Tensor) -> None:
    """Raises DifferentError unless a new stage computes what the full model does, with the same gradients.

    Adapters start at zero, so gradients of what trains on both sides are the same; the rest is adapters and frozen.
    """
    with torch.no_grad():
        assert_close(stage(ids, use_cache=False).logits, full(ids, use_cache=False).logits)
    found, expected = gradients(stage, ids), gradients(full, ids)
    if not any(".lora_" in name for name in found) or not set(expected) - set(found):
        raise DifferentError("the stage has no adapters, or freezes nothing")
    for name in set(found) & set(expected):
        allowed = 1e-4 * expected[name].abs().max().item() + 1e-7
        assert_close(found[name], expected[name], f"the gradients of {name} differ", allowed)


def stage_sides(config: NanoGptConfig, rows: int, **lora: Any) -> Sides:
    """A step of a LoRA stage and a full one, on `rows` sequences as long as the configuration allows."""
    full = NanoGptForCausalLM(config).to(DEVICE).train()
    stage = copy.deepcopy(full)
    growth.start_lora_stage(stage, **lora)
    ids = random_ids(config, rows, config.max_position_embeddings)
    arguments = TrainingArguments(max_steps=1, learning_rate=1e-4)
    staged = functools.partial(stage_step, stage, build_optimizer(stage, arguments), ids)
    whole = functools.partial(stage_step, full, build_optimizer(full, arguments), ids)
    return Sides(functools.partial(assert_stage_trains_alike, stage, full, ids), staged, whole)


def growing_config(hidden_size: int, layers: int) -> NanoGptConfig:
    """A nanogpt of heads of 32 and a context of 256."""
    sizes = {"hidden_size": hidden_size, "num_hidden_layers": layers, "num_attention_heads": hidden_size // 32}
    return NanoGptConfig(**sizes, vocab_size=256, max_position_embeddings=256, attn_implementation="sdpa")


@case("lora_stage_width192", "LoRA stage", "full training", target=1.20)
def lora_stage_width192() -> Sides:
    """System E's width and depth, adapters of rank 8 on attention."""
    return stage_sides(growing_config(192, 12), rows=4)


@case("lora_stage_width384", "LoRA stage", "full training", target=1.00)
def lora_stage_width384() -> Sides:
    """Twice that width."""
    return stage_sides(growing_config(384, 6), rows=4)


@case("lora_stage_width768", "LoRA stage", "full training", target=1.00)
def lora_stage_width768() -> Sides:
    """The width of the smallest GPT-2."""
    return stage_sides(growing_config(768, 3), rows=4)
