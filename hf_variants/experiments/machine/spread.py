# Copyright 2026 The hf_variants authors. MIT licence.
"""How a run's model lies on its processes: whole on each of them, or its parameters spread over all (FSDP2).

Both have the same methods, so that the loop need not know which one it has. What every process must call is said so.
"""

import functools
from collections.abc import Callable

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils.environment import parse_flag_from_env
from torch import nn
from transformers import PreTrainedModel

from ..checking import InputError
from .sharding import agree_on_weights, blank_copy, gather, shard, spread_again, whole

SEEN_AS_WHOLE = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)  # as Accelerate sees it

Clip = Callable[[list[nn.Parameter], float], torch.Tensor]  # to a norm; returns the norm before


class Spread:
    """Each process has the whole model: alone, under DDP, or in whatever other way Accelerate runs it."""

    is_whole = True  # whether the model that trains can be read and filled as it is

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def place(self, model: PreTrainedModel) -> None:
        """Spreads a whole model, in place, before it gets an optimizer. Every process must call this."""

    def prepare(
        self, model: PreTrainedModel, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """What to call in place of a model that was placed, and its optimizer."""
        return self.accelerator.prepare(model, optimizer)

    def stepping(self, optimizer: torch.optim.Optimizer) -> tuple[Clip, torch.optim.Optimizer]:
        """What clips gradients and what updates weights in every step; `optimizer` is what `prepare` gave."""
        if self.accelerator.distributed_type in SEEN_AS_WHOLE and self.accelerator.scaler is None:
            # Here Accelerate's wrappers change nothing, but look for packages on the disk in every step.
            return torch.nn.utils.clip_grad_norm_, optimizer.optimizer
        return self.accelerator.clip_grad_norm_, optimizer

    def whole_model(self, model: PreTrainedModel, everywhere: bool = False) -> PreTrainedModel | None:
        """The placed model with whole parameters, on the main process or on all. Every process must call this."""
        return model

    def evaluated(self, model: PreTrainedModel) -> None:
        """Tidies up behind forward passes that no backward pass followed."""


class Sharded(Spread):
    """FSDP2: `shard(model)` spreads the parameters, in place."""

    is_whole = False

    def __init__(self, accelerator: Accelerator, shard: Callable[[PreTrainedModel], None]) -> None:
        super().__init__(accelerator)
        self.shard = shard

    def place(self, model: PreTrainedModel) -> None:
        agree_on_weights(model)
        self.blank = blank_copy(model)
        self.shard(model)

    def prepare(
        self, model: PreTrainedModel, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        if self.accelerator.is_fsdp2:
            return super().prepare(model, optimizer)
        return model, self.accelerator.prepare(optimizer)  # Accelerate would take the model for a whole one

    def stepping(self, optimizer: torch.optim.Optimizer) -> tuple[Clip, torch.optim.Optimizer]:
        clip = self.accelerator.clip_grad_norm_
        return lambda parameters, limit: whole(clip(parameters, limit)), optimizer

    def whole_model(self, model: PreTrainedModel, everywhere: bool = False) -> PreTrainedModel | None:
        return gather(model, self.blank, everywhere or self.accelerator.is_main_process)

    def evaluated(self, model: PreTrainedModel) -> None:
        spread_again(model)


def wants_sharding() -> bool:
    """Whether the launcher was asked for FSDP."""
    return parse_flag_from_env("ACCELERATE_USE_FSDP")


def spread_of(accelerator: Accelerator) -> Spread:
    """How the launcher wants models to lie; Accelerate ignores that FSDP2 was asked for on CPUs.

    Raises InputError for what it doesn't do.
    """
    if accelerator.is_fsdp2:
        plugin = accelerator.state.fsdp_plugin
        if plugin.activation_checkpointing:
            raise InputError(
                "FSDP: fsdp_activation_checkpointing does nothing here; allowed: training.gradient_checkpointing"
            )
        plugin.auto_wrap_policy = None  # it would look for layers in a model that is sharded already
        return Sharded(accelerator, functools.partial(shard, plugin=plugin))
    is_ignored = accelerator.distributed_type == DistributedType.MULTI_CPU and wants_sharding()
    return Sharded(accelerator, shard) if is_ignored else Spread(accelerator)
