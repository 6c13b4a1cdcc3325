# Copyright 2026 The hf_variants authors. MIT licence.
"""A grown model as a plain one: progressive_gpt → nanogpt → transformers' GPT-2, with the same function."""

import copy
from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    GPT2Model,
    PreTrainedModel,
)

from ..gpt.configuration_nanogpt import GPT2_NAMES, NanoGptConfig
from ..gpt.modeling_nanogpt import NanoGptForCausalLM, NanoGptForSequenceClassification, NanoGptModel
from .operations import block_order, check_plain

# What follows a model's name in its class, and the class that takes its place.
NANOGPT = {
    "ForCausalLM": NanoGptForCausalLM,
    "ForSequenceClassification": NanoGptForSequenceClassification,
    "Model": NanoGptModel,
}
GPT2 = {
    "ForCausalLM": GPT2LMHeadModel,
    "ForSequenceClassification": GPT2ForSequenceClassification,
    "Model": GPT2Model,
}
# Fields of a configuration that speak of the class or the file that it came with.
OF_THE_CLASS = ("model_type", "auto_map", "architectures", "transformers_version", "num_blocks", "_name_or_path")


def to_nanogpt(model: PreTrainedModel) -> PreTrainedModel:
    """Return a plain nanogpt with the same function as a progressive_gpt: each layer has weights of its own.

    The head stays (`NanoGptForCausalLM` for a causal model), as do precision, device and mode; nothing is shared.

    Raises:
        ValueError: the model is neither progressive_gpt nor nanogpt, or is in a LoRA stage or has gradual layers.
    """
    _check(model)
    return _rebuilt(model, NANOGPT, NanoGptConfig(**_fields(model)))


def to_gpt2(model: PreTrainedModel) -> PreTrainedModel:
    """Return transformers' GPT-2 with the same function as a nanogpt or a progressive_gpt (`GPT2LMHeadModel`, …).

    As in every GPT-2 of transformers, a forward pass on left-padded rows needs `position_ids`; `generate` makes them.

    Raises:
        ValueError: see `to_nanogpt`.
    """
    _check(model)
    names = {ours: theirs for theirs, ours in GPT2_NAMES.items()}
    return _rebuilt(model, GPT2, GPT2Config(**{names.get(name, name): v for name, v in _fields(model).items()}))


def _check(model: PreTrainedModel) -> None:
    if model.config.model_type not in ("nanogpt", "progressive_gpt"):
        raise ValueError(f"the model is a {model.config.model_type}; allowed: nanogpt, progressive_gpt")
    check_plain(model)


def _fields(model: PreTrainedModel) -> dict[str, Any]:
    fields = {name: value for name, value in model.config.to_dict().items() if name not in OF_THE_CLASS}
    return copy.deepcopy(fields) | {"attn_implementation": model.config._attn_implementation}


def _rebuilt(
    model: PreTrainedModel, classes: dict[str, type[PreTrainedModel]], config: NanoGptConfig | GPT2Config
) -> PreTrainedModel:
    """Return a model of the class that fits the head, with the model's weights, every layer's own."""
    new_class = next(new for role, new in classes.items() if type(model).__name__.endswith(role))
    with torch.random.fork_rng(devices=[]):
        rebuilt = new_class(config)
    stack, old = "h." if new_class in (NanoGptModel, GPT2Model) else "transformer.h.", model.state_dict()
    state = {name: value for name, value in old.items() if not name.startswith(stack)}
    blocks, layers = getattr(model.config, "num_blocks", model.config.num_hidden_layers), config.num_hidden_layers
    for layer, block in enumerate(block_order(blocks, layers)):
        own = f"{stack}{block}."
        state |= {f"{stack}{layer}.{n.removeprefix(own)}": v for n, v in old.items() if n.startswith(own)}
    rebuilt.to(dtype=model.dtype, device=model.device).load_state_dict(state)
    if model.can_generate():
        rebuilt.generation_config = copy.deepcopy(model.generation_config)
    return rebuilt.train(model.training)
