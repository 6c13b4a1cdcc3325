# Copyright 2026 The hf_variants authors. MIT licence.
"""AdamW over exactly the parameters that train, in a group with weight decay and one without."""

from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ... import growth
from ..machine.sharding import whole
from ..recipes.sections import TrainingArguments

# Modules that multiply by their matrices, however these lie: Conv1D is the linear layer of GPT-2, transposed.
LINEAR_MAPS = (
    *(nn.Linear, nn.Bilinear, Conv1D, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention),
)


def parameter_groups(model: torch.nn.Module, arguments: TrainingArguments) -> list[dict[str, Any]]:
    """Two groups: with weight decay, and without.

    With scope `matrices` all matrices decay, with `linear` those of linear maps alone: no embedding then, also where
    the output layer has the same weight. Vectors (norms and biases) never do.
    """
    modules = list(model.modules())
    tables = {id(m.weight) for m in modules if isinstance(m, (nn.Embedding, nn.EmbeddingBag))}
    maps = {id(p) for m in modules if isinstance(m, LINEAR_MAPS) for p in m.parameters(recurse=False)} - tables
    trained = [p for p in model.parameters() if p.requires_grad]

    def decays(p: nn.Parameter) -> bool:
        return p.ndim >= 2 and (arguments.weight_decay_scope == "matrices" or id(p) in maps)

    return [
        {"params": [p for p in trained if decays(p)], "weight_decay": arguments.weight_decay},
        {"params": [p for p in trained if not decays(p)], "weight_decay": 0.0},
    ]


def build_optimizer(model: torch.nn.Module, arguments: TrainingArguments) -> torch.optim.AdamW:
    """AdamW (arXiv:1711.05101) over exactly the parameters that require gradients."""
    groups = [g for g in parameter_groups(model, arguments) if g["params"]]
    optimizer = torch.optim.AdamW(
        groups,
        lr=arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
        fused=True,
    )
    check_optimizer(model, optimizer)
    return optimizer


def check_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Raises RuntimeError unless the optimizer's parameters are those of `model` that require gradients, once each."""
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    wanted = {id(p) for p in model.parameters() if p.requires_grad}
    if set(held) != wanted or len(held) != len(wanted):
        raise RuntimeError(f"the optimizer holds {len(held)} parameters, {len(wanted)} require gradients")


def layer_gradient_norms(model: torch.nn.Module, scale: float = 1.0) -> list[float]:
    """The gradient norm of each layer, times `scale`; a layer that is applied several times counts once."""
    _, layers = growth.find_layers(model)
    grads = [[p.grad for p in layer.parameters() if p.grad is not None] for layer in layers]
    return [scale * float(whole(torch.nn.utils.get_total_norm(g))) if g else 0.0 for g in grads]
