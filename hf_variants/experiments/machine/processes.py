# Copyright 2026 The hf_variants authors. MIT licence.
"""Several processes that act as one: how they are started, and how they agree on what one of them knows."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, broadcast_object_list
from accelerate.utils.environment import parse_flag_from_env
from torch import nn

from ..checking import InputError, StoppedError
from ..recipes.recipe import Recipe
from . import zero
from .checkpoints import WRITE_ERRORS, newest_checkpoint
from .sharding import shard

REFUSED = {  # what keeps state where our checkpoints would miss it: the launcher's flag for it, and its name
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def new_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """An Accelerator for this recipe; earlier runs of the same process leave no setting behind.

    Raises InputError where the recipe can't be run so, or the processes would run by themselves.
    """
    training, world = recipe.training, int(os.environ.get("WORLD_SIZE", 1))
    _check_environment(recipe, world)
    AcceleratorState._reset_state()
    try:
        with zero.hidden():
            accelerator = Accelerator(
                # not told so, Accelerate ignores that there are several processes on a CPU
                cpu=world > 1 and not torch.accelerator.is_available(),
                mixed_precision=training.mixed_precision,
                gradient_accumulation_steps=training.gradient_accumulation_steps,
                log_with=training.trackers or None,
                project_dir=folder,
                dynamo_backend="inductor" if training.torch_compile else None,
            )
    except (ValueError, ImportError) as error:
        raise InputError(f"training: {error}") from None
    if accelerator.num_processes != world:
        raise InputError(
            f"{world} processes were started, but Accelerate has each run alone; for a CPU set ACCELERATE_USE_CPU=true"
        )
    if training.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("training.mixed_precision: fp16 does nothing on a CPU; allowed there: no, bf16")
    if zero.is_wanted():
        zero.keep_to(accelerator.device)
    per_step = accelerator.num_processes * training.gradient_accumulation_steps
    if training.batch_size % per_step:
        raise InputError(
            f"training.batch_size: {training.batch_size} is not divisible by {per_step} (processes × micro-batches)"
        )
    return accelerator


def _check_environment(recipe: Recipe, world: int) -> None:
    """On a CPU Accelerate ignores these, so its state doesn't tell."""
    for flag, name in REFUSED.items():
        if parse_flag_from_env(flag):
            raise InputError(f"{name}: its state has no place in our checkpoints; allowed: DDP, FSDP2, DeepSpeed")
    if _wants_sharding() and os.environ.get("FSDP_VERSION", "1") != "2":
        raise InputError("FSDP: version 1 is not supported; set fsdp_version: 2 (training/launch/fsdp2.yaml)")
    if zero.is_wanted():
        zero.check(recipe, world)


def _wants_sharding() -> bool:
    return parse_flag_from_env("ACCELERATE_USE_FSDP")


def own_sharding(accelerator: Accelerator) -> Callable[[nn.Module], None] | None:
    """What shards a model where FSDP2 is asked for; Accelerate ignores that on CPUs.

    Raises InputError for what it doesn't do.
    """
    if accelerator.is_fsdp2:
        plugin = accelerator.state.fsdp_plugin
        if plugin.activation_checkpointing:
            raise InputError(
                "FSDP: fsdp_activation_checkpointing does nothing here; allowed: training.gradient_checkpointing"
            )
        plugin.auto_wrap_policy = None  # it would look for layers in a model that is sharded already
        return functools.partial(shard, plugin=plugin)
    is_ignored = accelerator.distributed_type == DistributedType.MULTI_CPU and _wants_sharding()
    return shard if is_ignored else None


def told(value: Any) -> Any:
    """What the main process says; every process must call this."""
    return broadcast_object_list([value])[0]


def end_all(accelerator: Accelerator, error: InputError | StoppedError) -> NoReturn:
    """Raises `error`; in all processes but the main one without its words, so that they are said once."""
    if not accelerator.is_main_process:
        error.args = ("",)
    raise error


def write_together(accelerator: Accelerator, path: Path, write: Callable[[], None]) -> None:
    """Has the main process `write()` to `path`; every process must call this.

    Raises InputError in all of them where that fails; it says from where the run can go on.
    """
    failure = None
    if accelerator.is_main_process:
        try:
            write()
        except WRITE_ERRORS as error:
            failure = getattr(error, "strerror", None) or str(error)
    failure = told(failure)
    if failure is None:
        return
    kept = newest_checkpoint(path.parent)
    onward = f"the same command goes on from {kept}" if kept else "there is no checkpoint before it"
    end_all(accelerator, InputError(f"{path}: could not be written ({failure}); {onward}"))
