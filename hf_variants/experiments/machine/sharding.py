# Copyright 2026 The hf_variants authors. MIT licence.
"""Models whose parameters are spread over processes by FSDP2, and the same whole again.

Only training steps and evaluations see a sharded model. For all else (checkpoints, growth, the finished model) its
parameters are gathered into a plain one, and a plain one is sharded when it is trained on. So files hold whole
tensors, and know nothing of the number of processes.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from accelerate import FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from ... import growth


def shard(model: PreTrainedModel, plugin: FullyShardedDataParallelPlugin | None = None) -> None:
    """Spreads the parameters of `model` over all processes, in place: each layer's by themselves, then the rest.

    `plugin` is Accelerate's, and says how. Accelerate's own division fails for a BERT whose head has the embeddings'
    weight: it takes the embeddings by themselves.
    """
    how: dict[str, Any] = {}
    if plugin is not None:
        how = {"reshard_after_forward": plugin.reshard_after_forward, "offload_policy": plugin.cpu_offload}
        how["mp_policy"] = plugin.mixed_precision_policy or MixedPrecisionPolicy()
    try:
        layers: Iterable[nn.Module] = growth.find_layers(model)[1]
    except ValueError:  # not a stack of layers: all is gathered at once
        layers = ()
    for layer in layers:
        fully_shard(layer, **how)
    fully_shard(model, **how)


def spread_again(model: nn.Module) -> None:
    """Spreads what a forward pass without a backward one left gathered: the parameters outside of layers."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def agree_on_weights(model: nn.Module) -> None:
    """Gives every process the parameters and buffers of the first: what was drawn at random may differ by process."""
    for tensor in (*model.parameters(), *model.buffers()):
        torch.distributed.broadcast(tensor.detach(), 0)


def blank_copy(model: PreTrainedModel) -> PreTrainedModel:
    """The same model with parameters that take no memory; shared ones stay shared."""
    empty = {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, empty)


def fill(blank: PreTrainedModel, values: Mapping[str, torch.Tensor]) -> PreTrainedModel:
    """A copy of a `blank_copy` that has these parameters, by name."""
    named = blank.named_parameters()
    return copy.deepcopy(blank, {id(p): nn.Parameter(values[name], p.requires_grad) for name, p in named})


def whole(value: Any) -> Any:
    """A tensor that is spread over processes as a plain one, on each of them; anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def gather(model: PreTrainedModel, blank: PreTrainedModel, keep: bool) -> PreTrainedModel | None:
    """A plain model with the state of a sharded one. Every process must call this; None where it doesn't `keep` it."""
    values = {}
    for name, parameter in model.named_parameters():
        value = whole(parameter).detach()
        if keep:
            values[name] = value.clone()
    if not keep:
        return None
    plain = fill(blank, values)
    buffers = dict(model.named_buffers())
    for name, buffer in plain.named_buffers():
        buffer.copy_(buffers[name])
    growth.copy_scales(model, plain)
    return plain.train(model.training)


def whole_state(state: Any, keep: bool = True) -> Any:
    """An optimizer's state_dict, or a part of one, with whole tensors. Every process must call this.

    Where a process doesn't `keep` them, None stands in their place, so that no memory is held.
    """
    if isinstance(state, Mapping):
        return {key: whole_state(value, keep) for key, value in state.items()}
    value = whole(state)
    return value if keep or value is state else None


def spread_like(parameter: DTensor, value: torch.Tensor) -> DTensor:
    """A whole tensor that every process has, spread as `parameter` is."""
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)


def spread_state(optimizer: torch.optim.Optimizer) -> None:
    """Spreads an optimizer's whole tensors as its parameters are spread, in place."""
    for parameter, state in optimizer.state.items():
        if isinstance(parameter, DTensor):
            for name, value in state.items():
                if isinstance(value, torch.Tensor) and value.ndim and not isinstance(value, DTensor):
                    state[name] = spread_like(parameter, value)
