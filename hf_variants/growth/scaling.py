# Copyright 2026 The hf_variants authors. MIT licence.
"""Layers that come in gradually (Gradual DropIn, arXiv:1511.06951): what they write is scaled from 0 to 1.

The scale is a forward hook on a layer's last linear maps, so no parameter has another name. It is not saved with a
model: `fold_scale` first, or `lora_stages.save_stage`, which does it on a copy.
"""

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn


class OutputScale:
    """A forward hook that multiplies a module's output by `scale`."""

    def __init__(self, scale: float):
        self.scale = scale

    def __call__(self, module: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        return output * self.scale


def scales(model: nn.Module) -> dict[str, OutputScale]:
    """Return the scale of every module that has one, by the module's name."""
    found = {}
    for name, module in model.named_modules():
        for hook in module._forward_hooks.values():
            if isinstance(hook, OutputScale):
                found[name] = hook
    return found


def remove_scales(model: nn.Module) -> dict[str, OutputScale]:
    """Take all scales off, and return them as `scales` does."""
    found = scales(model)
    for name in found:
        hooks = model.get_submodule(name)._forward_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, OutputScale)]:
            del hooks[key]
    return found


def put_scales(model: nn.Module, found: dict[str, OutputScale]) -> None:
    """Put scales on the modules that have these names now."""
    for name, scale in found.items():
        model.get_submodule(name).register_forward_hook(scale)


def copy_scales(source: nn.Module, target: nn.Module) -> None:
    """Set the scales of `target`, a copy of `source`, to what those of `source` are now."""
    found = scales(target)
    for name, scale in scales(source).items():
        found[name].scale = scale.scale


def set_scale(model: nn.Module, s: float) -> None:
    """Set how much of what gradual layers write counts: 0 is a model without them, 1 one that has them whole.

    Raises:
        ValueError: `s` is not from 0 to 1, or the model has no such layers.
    """
    if not 0 <= s <= 1:
        raise ValueError(f"s is {s}; allowed: 0 to 1")
    found = scales(model)
    if not found:
        raise ValueError("the model has no gradual layers; allowed: after deepen(…, init='gradual'), until fold_scale")
    for scale in found.values():
        scale.scale = float(s)


def fold_scale(model: nn.Module) -> None:
    """Multiply the scale of gradual layers into their weights and biases and remove it; the function stays.

    A model without gradual layers stays as it is. An optimizer's moments do not follow: fold at 1, or begin afresh.

    Raises:
        ValueError: the model is in a LoRA stage, whose adapters are scaled as well.
    """
    found = scales(model)
    if any(isinstance(model.get_submodule(name), BaseTunerLayer) for name in found):
        raise ValueError("the model is in a LoRA stage; allowed: merge_lora first")
    for name, scale in remove_scales(model).items():
        with torch.no_grad():
            for parameter in model.get_submodule(name).parameters():
                parameter.mul_(scale.scale)
