# Copyright 2026 The hf_variants authors. MIT licence.
"""The optimizer over exactly the parameters that train: AdamW, or Muon on hidden matrices and AdamW on the rest."""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ... import growth
from ..checking import InputError
from ..machine.sharding import whole
from ..recipes.sections import TrainingArguments
from .muon import MuonWithAdamW, is_muons

# Modules that multiply by their matrices, however these lie: Conv1D is the linear layer of GPT-2, transposed.
LINEAR_MAPS = (
    *(nn.Linear, nn.Bilinear, Conv1D, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention),
)


def parameter_groups(
    model: torch.nn.Module, arguments: TrainingArguments, apart: Collection[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Two groups: with weight decay, and without. Those `apart` are in neither.

    With scope `matrices` all matrices decay, with `linear` those of linear maps alone: no embedding then, also where
    the output layer has the same weight. Vectors (norms and biases) never do.
    """
    maps = {id(p) for m in model.modules() if isinstance(m, LINEAR_MAPS) for p in m.parameters(recurse=False)}
    maps -= _tables(model)
    left_out = {id(p) for p in apart}
    trained = [p for p in model.parameters() if p.requires_grad and id(p) not in left_out]

    def decays(p: nn.Parameter) -> bool:
        return p.ndim >= 2 and (arguments.weight_decay_scope == "matrices" or id(p) in maps)

    return [
        {"params": [p for p in trained if decays(p)], "weight_decay": arguments.weight_decay},
        {"params": [p for p in trained if not decays(p)], "weight_decay": 0.0},
    ]


def _tables(model: nn.Module) -> set[int]:
    return {id(m.weight) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))}


# ---- Muon ----------------------------------------------------------------------------------------------------------


def hidden_matrices(model: nn.Module) -> dict[nn.Parameter, int]:
    """The matrices that Muon is for, and of how many maps, side by side in the second dimension, each consists.

    These are the weights of nn.Linear and Conv1D within layers, that is within any nn.ModuleList, whether they train
    or not. Not among them, and so AdamW's:
    - embeddings, position tables and all that stands outside of layers: heads, tied or not, poolers;
    - vectors: biases, norms, and maps from or to a single number, such as scalar gates;
    - adapters (LoRA): what acts is the product of the two, and orthogonal factors don't make its change orthogonal;
    - convolutions of torch and other weights of 3 dimensions, for which Muon is not defined (conv_gpt's compressors
      and expanders are linear maps of whole windows, and are among the hidden matrices);
    - GRU and LSTM: stacks of gates, applied at every position, for which Muon has not been shown to help.

    GPT-2's c_attn is queries, keys and values in one weight. They are orthogonalized apart, which Jordan et al. found
    to be better. Together they would share their singular directions, and the part with the smallest gradients would
    get the smallest update; and a net would train otherwise than its twin with three weights.
    """
    lists = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    tables, found = _tables(model), {}
    for name, module in model.named_modules():
        is_map = name.startswith(lists) and ".lora_" not in name and isinstance(module, (nn.Linear, Conv1D))
        if is_map and id(module.weight) not in tables and min(module.weight.shape) > 1:
            found[module.weight] = _parts(name, module)
    return found


def _parts(name: str, module: nn.Linear | Conv1D) -> int:
    """How many maps are fused; others than GPT-2's may be cut in other ways, so they are taken for one."""
    is_fused = isinstance(module, Conv1D) and name.removesuffix(".base_layer").endswith(".c_attn")
    return module.nf // module.nx if is_fused and module.nf % module.nx == 0 else 1


def check_hidden_matrices(model: nn.Module, arguments: TrainingArguments) -> None:
    """Raises InputError where Muon is asked for, and there is nothing for it to do."""
    if arguments.optimizer != "muon":
        return
    if not hidden_matrices(model):
        raise InputError(
            f"training.optimizer: muon is for matrices of linear maps in layers, and {type(model).__name__} has none; "
            "allowed: adamw"
        )


def muon_rate(arguments: TrainingArguments, rate: float) -> float:
    """Muon's learning rate where AdamW's is `rate`: both follow one schedule."""
    peak = arguments.muon_learning_rate
    return rate if peak is None else rate * (peak / arguments.learning_rate)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, arguments: TrainingArguments) -> None:
    """Gives all groups the learning rate of a step, Muon's their own."""
    for group in optimizer.param_groups:
        group["lr"] = muon_rate(arguments, rate) if is_muons(group) else rate


# ---- the optimizer -------------------------------------------------------------------------------------------------


def build_optimizer(model: torch.nn.Module, arguments: TrainingArguments) -> torch.optim.AdamW | MuonWithAdamW:
    """The recipe's optimizer over exactly the parameters that require gradients: AdamW (arXiv:1711.05101) or Muon.

    With Muon AdamW alone, where no hidden matrix trains: in a stage that trains a head or adapters.
    """
    hidden = hidden_matrices(model) if arguments.optimizer == "muon" else {}
    hidden = {p: parts for p, parts in hidden.items() if p.requires_grad}
    groups = [g for g in parameter_groups(model, arguments, hidden) if g["params"]]
    adamw = {
        "lr": arguments.learning_rate,
        "betas": (arguments.adam_beta1, arguments.adam_beta2),
        "eps": arguments.adam_epsilon,
        "fused": True,
    }
    if hidden:
        by_parts = [{"params": [p for p in hidden if hidden[p] == n], "parts": n} for n in sorted({*hidden.values()})]
        muon = {"lr": muon_rate(arguments, arguments.learning_rate), "momentum": arguments.muon_momentum}
        muon |= {"weight_decay": arguments.weight_decay}
        optimizer = MuonWithAdamW(by_parts, groups, muon, adamw)
    else:
        optimizer = torch.optim.AdamW(groups, **adamw)
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
