# Copyright 2026 The hf_variants authors. MIT licence.
"""What a model costs: parameters, and FLOPs per token."""

from collections.abc import Callable
from typing import Any

import torch

from ..configs import padding_token


def count_parameters(model: torch.nn.Module) -> dict[str, int]:
    """All and trainable parameters, shared ones once."""
    every = list(model.parameters())
    return {
        "parameters": sum(p.numel() for p in every),
        "trainable_parameters": sum(p.numel() for p in every if p.requires_grad),
    }


def training_flops_per_token(model: torch.nn.Module, block_size: int) -> float:
    """FLOPs of one forward and backward pass per token, counted by torch's FlopCounterMode on one block.

    Counts matrix products and attention (in its plain form, so that every kernel counts the same); the rest is noise.
    """
    flops = _count_flops(model, block_size, lambda output: output.logits.float().sum().backward())
    model.zero_grad(set_to_none=True)
    return flops


@torch.no_grad()
def forward_flops_per_token(model: torch.nn.Module, block_size: int) -> float:
    """FLOPs of one forward pass per token, counted in the same way."""
    return _count_flops(model, block_size, lambda output: None)


def _count_flops(model: torch.nn.Module, block_size: int, then: Callable[[Any], None]) -> float:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    device = next(model.parameters()).device
    token = 1 if padding_token(model.config) == 0 else 0  # some models warn of padding
    ids = torch.full((1, block_size), token, device=device)
    was_training = model.training
    model.eval()  # dropout would draw from the generators
    cudnn = torch.backends.cudnn.flags(enabled=False)  # whose recurrent nets are one operation without a count
    with cudnn, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        then(model(input_ids=ids))
    model.train(was_training)
    return counter.get_total_flops() / block_size
