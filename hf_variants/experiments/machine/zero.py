# Copyright 2026 The hf_variants authors. MIT licence.
"""Models whose gradients, moments and (stage 3) weights DeepSpeed spreads over processes: ZeRO, arXiv:1910.02054.

- Accelerate's launcher says in the environment what is wanted. Accelerate itself is not told: on CPUs it ignores
  DeepSpeed, and elsewhere it would leave no step of the loop to us. So there is one path for CPUs and GPUs.
- Weights are float32, and precision is the loop's own autocast, so that `bf16` means what it means elsewhere.
- The loop and its checkpoints see a plain AdamW over whole parameters; what DeepSpeed holds is read and written only
  when a state_dict is made or loaded. Files hold whole tensors, and know nothing of DeepSpeed.
"""

import contextlib
import copy
import functools
import importlib.util
import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin
from accelerate.utils.environment import parse_flag_from_env
from torch import nn

from ..checking import InputError
from ..recipes.recipe import Recipe
from ..recipes.sections import TrainingArguments

FLAG = "ACCELERATE_USE_DEEPSPEED"
PARTS = "ACCELERATE_GRADIENT_ACCUMULATION_STEPS"  # Accelerate would take it instead of the recipe's
INSTALL = "it is not installed; pip install 'deepspeed>=0.19.8,<0.20'"
STAGES = (2, 3)
OFFLOADS = ("none", "cpu")
MOMENTS = ("exp_avg", "exp_avg_sq")
# What its configuration may hold. Of what the recipe says as well, only the same, or "auto".
FROM_RECIPE = (
    *("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps"),
    "gradient_clipping",
)
PRECISION = ("fp16", "bf16")
IGNORED = ("steps_per_print", "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer")
TUNING = (
    *("stage", "offload_optimizer", "offload_param", "overlap_comm", "reduce_scatter", "reduce_bucket_size"),
    *("allgather_partitions", "allgather_bucket_size", "contiguous_gradients", "round_robin_gradients"),
    *("sub_group_size", "stage3_max_live_parameters", "stage3_max_reuse_distance", "stage3_prefetch_bucket_size"),
    *("stage3_param_persistence_threshold", "stage3_gather_16bit_weights_on_model_save"),
)


# ---- what is asked for ---------------------------------------------------------------------------------------------


def is_wanted() -> bool:
    """Whether the launcher was asked for DeepSpeed."""
    return parse_flag_from_env(FLAG)


def is_installed() -> bool:
    """Whether DeepSpeed can be imported."""
    return importlib.util.find_spec("deepspeed") is not None


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Nothing that looks into the environment in here hears of DeepSpeed, or of its number of micro-batches."""
    hidden = {name: os.environ.pop(name) for name in (FLAG, PARTS) if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def keep_to(device: torch.device) -> None:
    """Has DeepSpeed use the kind of device that the run uses; it decides when it is imported, and would look."""
    os.environ.setdefault("DS_ACCELERATOR", device.type)


def check(recipe: Recipe, world: int) -> None:
    """Raises InputError where a recipe cannot be trained under ZeRO by `world` processes."""
    training = recipe.training
    if not is_installed():
        raise InputError(f"DeepSpeed: {INSTALL}")
    if world < 2:
        raise InputError(f"DeepSpeed: num_processes is {world}, and ZeRO shares a model; allowed: 2 or more")
    if recipe.growth.stages or training.train == "gradual":  # ZeRO has one count of steps for many parameters
        raise InputError("DeepSpeed: a model that grows or thaws cannot be shared by ZeRO; allowed: FSDP2, DDP")
    if training.mixed_precision == "fp16":
        raise InputError("training.mixed_precision: fp16 is not supported under DeepSpeed; allowed there: no, bf16")
    for name in ("torch_compile", "log_layer_gradients"):
        if getattr(training, name):
            raise InputError(f"training.{name}: is not supported under DeepSpeed; allowed: false, or FSDP2, DDP")
    settings(training, world)


def settings(training: TrainingArguments, world: int) -> dict[str, Any]:
    """DeepSpeed's configuration: how ZeRO works from the launcher, batches and clipping from the recipe.

    Raises InputError for what is not supported, or contradicts the recipe.
    """
    try:
        given = DeepSpeedPlugin().deepspeed_config
    except (ValueError, OSError) as error:
        raise InputError(f"DeepSpeed: {error}") from None
    parts = training.gradient_accumulation_steps
    ours = {
        "train_batch_size": training.batch_size,
        "train_micro_batch_size_per_gpu": training.batch_size // (world * parts),
        "gradient_accumulation_steps": parts,
        "gradient_clipping": training.max_grad_norm or 0.0,
    }
    _check_sections(given, ours)
    rest = {"zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False, "steps_per_print": math.inf}
    return ours | rest | {"zero_optimization": _zero_section(given["zero_optimization"])}


def _check_sections(given: dict[str, Any], ours: dict[str, Any]) -> None:
    allowed = ("zero_optimization", *FROM_RECIPE, *PRECISION, *IGNORED)
    for name, value in given.items():
        if name not in allowed:
            raise InputError(f"DeepSpeed: '{name}' in its configuration; allowed: {', '.join(allowed)}")
        default = 1 if name == "gradient_accumulation_steps" else None  # Accelerate's, where a file doesn't say
        if name in FROM_RECIPE and value not in ("auto", default, ours[name]):
            raise InputError(f"DeepSpeed: {name} is {value}, and {ours[name]} by the recipe; allowed: auto")
        if name in PRECISION and value.get("enabled") not in ("auto", False, None):
            raise InputError(f"DeepSpeed: {name} in its configuration; allowed: training.mixed_precision")


def _zero_section(given: dict[str, Any]) -> dict[str, Any]:
    zero = {name: value for name, value in given.items() if value != "auto"}
    for name in zero:
        if name not in TUNING:
            raise InputError(f"DeepSpeed: zero_optimization.{name} is not supported; allowed: {', '.join(TUNING)}")
    if zero.get("stage") not in STAGES:
        raise InputError(f"DeepSpeed: the ZeRO stage is {zero.get('stage')}; allowed: 2, 3")
    for name in ("offload_optimizer", "offload_param"):
        section = zero.pop(name, None) or {}
        device = section.get("device", "none")
        if device not in OFFLOADS or section.get("ratio", 1.0) != 1.0:
            raise InputError(f"DeepSpeed: {name} to {device}; allowed: {', '.join(OFFLOADS)}, without a ratio")
        if device == "cpu":
            zero[name] = section
    return zero


# ---- the engine ----------------------------------------------------------------------------------------------------


class Zero:
    """DeepSpeed's engine, made again for every model that the loop installs."""

    def __init__(
        self,
        accelerator: Accelerator,
        training: TrainingArguments,
        build: Callable[[nn.Module, TrainingArguments], torch.optim.AdamW],
    ) -> None:
        """Raises InputError for a value that DeepSpeed refuses."""
        self.accelerator, self.training, self.build = accelerator, training, build
        self.settings = settings(training, accelerator.num_processes)
        self.engine: Any = None
        from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

        try:
            DeepSpeedZeroConfig(**self.settings["zero_optimization"])
        except ValueError as error:
            raise InputError(f"DeepSpeed: zero_optimization: {error}") from None

    def install(self, model: nn.Module) -> tuple[nn.Module, torch.optim.AdamW]:
        """Spreads a whole model, in place. Returns what to call instead of it, and its optimizer for all but steps."""
        import deepspeed

        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        self.release()
        self.optimizer = self.build(model, self.training)
        self.optimizer.register_state_dict_pre_hook(self._show_state)
        self.optimizer.register_load_state_dict_post_hook(self._take_state)
        if self.accelerator.mixed_precision != "no":
            _keep_autocast(model, self.accelerator.autocast)
        inner, how = self.build(model, self.training), copy.deepcopy(self.settings)
        self.engine = deepspeed.initialize(model=model, optimizer=inner, config=how, dist_init_required=False)[0]
        self.engine.no_sync = contextlib.nullcontext  # ZeRO's raises, and Accelerate calls what it finds
        return self.engine, self.optimizer

    def release(self) -> None:
        """Ends the engine, if there is one. Its model is of no use after that."""
        if self.engine is not None:
            self.engine.destroy()
        self.engine = self.optimizer = None

    def backward(self, loss: torch.Tensor) -> None:
        """As Accelerate's: divides by the micro-batches, and averages gradients over processes."""
        self.engine.set_gradient_accumulation_boundary(self.accelerator.sync_gradients)
        self.engine.backward(loss)

    def update(self) -> float:
        """Clips the gradients, updates the weights; returns the norm before. Where that isn't finite, all stays."""
        for ours, theirs in zip(self.optimizer.param_groups, self.engine.basic_optimizer.param_groups, strict=True):
            theirs["lr"] = ours["lr"]
        self.engine.step()
        return float(self.engine.get_global_grad_norm())

    def whole(self, parameter: nn.Parameter) -> torch.Tensor:
        """A parameter of the installed model, whole, on each process; every process must call this."""
        import deepspeed

        with deepspeed.zero.GatheredParameters([parameter]):
            return parameter.detach().clone()

    # ---- the moments -----------------------------------------------------------------------------------------------

    def _show_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Lets the loop's optimizer have the state that DeepSpeed's has, before its state_dict is made."""
        state = next(iter(self.engine.basic_optimizer.state.values()), None)
        if state is None:  # no step has been done
            return
        self._link()
        for group in optimizer.param_groups:
            for p in group["params"]:
                optimizer.state[p] = {"step": state["step"].clone()} | {name: Moment(p, name) for name in MOMENTS}

    def _take_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Gives DeepSpeed's optimizer the state that was loaded into the loop's."""
        known = dict(optimizer.state)
        optimizer.state.clear()
        steps = {float(values["step"]) for values in known.values()}
        if len(steps) > 1:
            raise InputError("DeepSpeed: some parameters have trained longer than others; allowed: FSDP2, DDP")
        if not steps:
            return
        for flat in self._flats():
            moments = {name: torch.zeros_like(flat, requires_grad=False) for name in MOMENTS}
            self.engine.basic_optimizer.state[flat] = {"step": torch.tensor(*steps, device=flat.device)} | moments
        self._link()
        for parameter, values in known.items():
            for name in MOMENTS:
                Moment(parameter, name).set(values[name])

    def _flats(self) -> list[torch.Tensor]:
        """This process's parts of the parameters, as DeepSpeed's optimizer has them."""
        zero = self.engine.optimizer
        is_3 = self.settings["zero_optimization"]["stage"] == 3
        return zero.fp32_partitioned_groups_flat if is_3 else zero.single_partition_of_fp32_groups

    def _link(self) -> None:
        """Has stage 2 look where the moments lie: it does so once, when the first of the groups has been stepped."""
        zero = self.engine.optimizer
        if self.settings["zero_optimization"]["stage"] == 2:
            zero._hp_optimizer_states_linked = False
            zero._lazy_init_hp_params_optimizer_state()


@dataclass
class Moment:
    """A moment of a parameter, spread over processes."""

    parameter: nn.Parameter
    name: str

    def full_tensor(self) -> torch.Tensor:
        """The moment with its parameter's whole shape, on each process; every process must call this."""
        from deepspeed.utils import safe_get_full_optimizer_state

        return safe_get_full_optimizer_state(self.parameter, self.name)

    def set(self, value: torch.Tensor) -> None:
        """Keeps this process's part of a whole moment."""
        from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

        if not hasattr(self.parameter, "ds_tensor"):
            safe_set_full_optimizer_state(self.parameter, value, self.name)
            return
        # DeepSpeed's own division of a whole value fails where its size is no multiple of the processes
        size, rank = self.parameter.ds_tensor.numel(), torch.distributed.get_rank()
        padded = nn.functional.pad(value.flatten(), (0, size * torch.distributed.get_world_size() - value.numel()))
        safe_set_local_optimizer_state(self.parameter, padded.narrow(0, rank * size, size), self.name)


def _keep_autocast(model: nn.Module, autocast: Callable[[], Any]) -> None:
    """Has the model switch autocast on itself: DeepSpeed's engine switches off what it was not told of."""
    forward = model.forward

    @functools.wraps(forward)
    def with_autocast(*args: Any, **kwargs: Any) -> Any:
        with autocast():
            return forward(*args, **kwargs)

    model.forward = with_autocast
