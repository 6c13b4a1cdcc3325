# Copyright 2026 The hf_variants authors. MIT licence.
"""Which layers of a model train."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from .layers import find_layers, summarize
from .operations import Growth


def unfreeze(model: PreTrainedModel, layers: int, probe: Any = None) -> Growth:
    """Let the last `layers` layers train, in place; one more than there are takes the embeddings and all else too.

    What is defined after the layers (a norm, a pooler) trains with the last of them. The function stays, so `probe` is
    not looked at.

    Raises:
        ValueError: `layers` is not between 1 and one more than there are, or the model has no list of layers.
    """
    name, stack = find_layers(model)
    if not 1 <= layers <= len(stack) + 1:
        raise ValueError(f"layers is {layers}; allowed: 1 to {len(stack) + 1}")
    before = sum(p.numel() for p in model.parameters() if p.requires_grad)
    first = len(stack) - layers
    places = {id(p): number for number, layer in enumerate(stack) for p in layer.parameters()}
    embedded = {id(p) for module in _before_layers(model, name) for p in module.parameters()}
    for parameter in model.parameters():
        if not parameter.is_floating_point():
            continue
        is_low = id(parameter) in embedded or places.get(id(parameter), len(stack)) < first
        if first < 0 or not is_low:
            parameter.requires_grad_(True)
    named = list(model.named_parameters())
    receipt = {
        "operation": "unfreeze",
        "arguments": {"layers": layers},
        "layers": name,
        "trainable_parameters": [before, sum(p.numel() for _, p in named if p.requires_grad)],
        "frozen": summarize((full, p) for full, p in named if not p.requires_grad),
        "max_difference": 0.0,
    }
    return Growth(receipt, {full: full for full, _ in named})


def _before_layers(model: PreTrainedModel, name: str) -> list[nn.Module]:
    """The children of the encoder that are defined before the one with the layers: embeddings of all kinds."""
    stack, found = model.get_submodule(name), []
    for child in model.base_model.children():
        if any(module is stack for module in child.modules()):
            break
        found.append(child)
    return found
