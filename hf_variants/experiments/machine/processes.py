# Copyright 2026 The hf_variants authors. MIT licence.
"""Several processes that act as one: how they are started, and how they agree on what one of them knows."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from accelerate.utils.environment import parse_flag_from_env

from ..checking import InputError, StoppedError
from ..recipes.recipe import Recipe
from .checkpoints import WRITE_ERRORS, newest_checkpoint
from .spread import wants_sharding

UNSUPPORTED = {  # what keeps state where our checkpoints would miss it: the launcher's flag for it, and its name
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def new_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """An Accelerator for this recipe; earlier runs of the same process leave no setting behind.

    Raises InputError where the recipe can't be run so, or the processes would run by themselves.
    """
    training, world = recipe.training, int(os.environ.get("WORLD_SIZE", 1))
    _check_environment()
    AcceleratorState._reset_state()
    try:
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
    per_step = accelerator.num_processes * training.gradient_accumulation_steps
    if training.batch_size % per_step:
        raise InputError(
            f"training.batch_size: {training.batch_size} is not divisible by {per_step} (processes × micro-batches)"
        )
    return accelerator


def _check_environment() -> None:
    """On a CPU Accelerate ignores these, so its state doesn't tell."""
    for flag, name in UNSUPPORTED.items():
        if parse_flag_from_env(flag):
            allowed = "DDP (training/launch/ddp.yaml), FSDP2 (training/launch/fsdp2.yaml)"
            raise InputError(f"{name}: its state has no place in our checkpoints; allowed: {allowed}")
    if wants_sharding() and os.environ.get("FSDP_VERSION", "1") != "2":
        raise InputError("FSDP: version 1 is not supported; set fsdp_version: 2 (training/launch/fsdp2.yaml)")


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
            failure = (error.strerror if isinstance(error, OSError) else None) or str(error)
    failure = told(failure)
    if failure is None:
        return
    kept = newest_checkpoint(path.parent)
    onward = f"the same command goes on from {kept}" if kept else "there is no checkpoint before it"
    end_all(accelerator, InputError(f"{path}: could not be written ({failure}); {onward}"))
