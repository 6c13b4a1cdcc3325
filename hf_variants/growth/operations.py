# Copyright 2026 The hf_variants authors. MIT licence.
"""The two growth steps: blocks that served several layers diverge, or the model gets deeper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn
from transformers import PreTrainedModel

from . import layers as lists
from .lora_stages import in_lora_stage
from .probing import find_writers, make_probe, probe_outputs, writers_of
from .scaling import OutputScale, scales

Placement = Literal["interleave", "stack", "middle"]
Init = Literal["copy", "identity", "gradual"]
# More than any rounding: a change of the function where there must be none. Relative to the largest output.
CHANGED = 1e-4


@dataclass(frozen=True)
class Growth:
    """What a growth step did.

    Args:
        receipt: for the record, JSON values only: operation and arguments, layers, blocks and parameters `[before,
            after]`, parameters added and trainable, what is frozen, and `max_difference`, the largest change of an
            output on the probe, which it describes too.
        sources: for each parameter of the model, in the model's order, the name of the parameter that it was, or of
            which it is a copy; None if it is neither. Of several with one source the first is the source itself.
    """

    receipt: dict[str, Any]
    sources: dict[str, str | None]


# ---- which layer comes from where ----------------------------------------------------------------------------------


def layer_order(count: int, times: int, placement: Placement) -> list[int]:
    """Return which of `count` layers each of `times * count` layers comes from.

    - interleave: 0, 0, 1, 1, 2, 2;
    - stack: 0, 1, 2, 0, 1, 2 (Gong et al., 2019);
    - middle: the first and the last `max(1, count // 4)` layers stay where they are, and those between them are
      repeated in their order, perhaps not to the end the last time: 0, 1, 2, 1, 2, 1, 2, 3 (after MIDAS, Saunshi et
      al., arXiv:2409.19044). Fewer than 3 layers have no middle, and are stacked.
    """
    if placement == "interleave":
        return [layer for layer in range(count) for _ in range(times)]
    ends = max(1, count // 4) if placement == "middle" and count >= 3 else 0
    middle = [ends + position % (count - 2 * ends) for position in range(times * count - 2 * ends)]
    return [*range(ends), *middle, *range(count - ends, count)]


def block_order(num_blocks: int, new_num_blocks: int) -> list[int]:
    """Return which of `num_blocks` blocks each of `new_num_blocks` comes from."""
    return [block * num_blocks // new_num_blocks for block in range(new_num_blocks)]


# ---- the operations ------------------------------------------------------------------------------------------------


def diverge(model: PreTrainedModel, num_blocks: int, probe: Mapping[str, torch.Tensor] | None = None) -> Growth:
    """Give a progressive_gpt `num_blocks` blocks instead of fewer, in place: each new one is a copy.

    The function changes by exactly 0. `probe` holds the arguments of a forward pass on which that is measured; None
    takes random ids.

    Raises:
        ValueError: the model is another, its blocks don't become more, or a block would serve layers that had
            different ones. The model is then as it was.
    """
    check_plain(model)
    if model.config.model_type != "progressive_gpt":
        raise ValueError(f"diverge works on progressive_gpt, this is {model.config.model_type}; allowed: deepen")
    had, layers = model.config.num_blocks, model.config.num_hidden_layers
    allowed = [n for n in range(had + 1, layers + 1) if layers % n == 0 and n % had == 0]
    if num_blocks not in allowed:
        raise ValueError(
            f"num_blocks is {num_blocks}; allowed: {', '.join(map(str, allowed)) or 'none'}, a multiple of the "
            f"{had} that there are and a divisor of num_hidden_layers, which is {layers}"
        )
    order = block_order(had, num_blocks)
    step = _Step(model, "diverge", {"num_blocks": num_blocks}, order, probe)
    with lists.undone_on_error(model, step.layers):
        lists.rearrange(step.layers, order)
        lists.set_blocks(model, num_blocks)
        return step.measured(exact=True)


def deepen(
    model: PreTrainedModel,
    times: int,
    placement: Placement = "interleave",
    init: Init = "copy",
    probe: Mapping[str, torch.Tensor] | None = None,
) -> Growth:
    """Give a model `times` times as many layers, in place; the new ones are copies, placed as `layer_order` says.

    With init "copy" that is all, and the function changes. With "identity" the last linear maps of the new layers'
    sublayers are zero, so that these layers hand on what they get, and the function changes by exactly 0. With
    "gradual" they are copies whose output is multiplied by `set_scale`, 0 at first; `fold_scale` ends it.

    Args:
        probe: the arguments of a forward pass on which the change is measured; None takes random ids.

    Raises:
        ValueError: an argument is not allowed, the model has no single list of layers (`find_layers`) or shares
            blocks, its configuration can't say what it would be, or its layers can't start as the identity (post-norm
            ones can't). The model is then as it was.
    """
    check_plain(model)
    _check_deepening(model, times, placement, init)
    _, layers = lists.find_layers(model)
    order = layer_order(len(layers), times, placement)
    arguments = {"times": times, "placement": placement, "init": init}
    step = _Step(model, "deepen", arguments, order, probe)
    with lists.undone_on_error(model, step.layers):
        is_new = lists.rearrange(step.layers, order)
        lists.set_layers(model, order)
        new = [layer for layer, new in zip(step.layers, is_new, strict=True) if new]
        lists.check_configuration(model, step.name, step.layers)
        if init != "copy":
            step.start_as_identity(new, find_writers(model, new, step.probe), init)
        return step.measured(exact=init != "copy")


def _check_deepening(model: PreTrainedModel, times: int, placement: str, init: str) -> None:
    if not isinstance(times, int) or times < 2:
        raise ValueError(f"times is {times}; allowed: 2 or more")
    for name, value, allowed in (("placement", placement, get_args(Placement)), ("init", init, get_args(Init))):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    config = model.config
    if config.model_type == "progressive_gpt" and config.num_blocks != config.num_hidden_layers:
        raise ValueError(
            f"{config.num_hidden_layers} layers share {config.num_blocks} blocks; allowed: diverge to "
            f"{config.num_hidden_layers} blocks first"
        )


def check_plain(model: PreTrainedModel) -> None:
    """Raise ValueError if a model is in a LoRA stage or has gradual layers."""
    if in_lora_stage(model):
        raise ValueError("the model is in a LoRA stage; allowed: merge_lora first")
    if scales(model):
        raise ValueError("the model has gradual layers; allowed: fold_scale first")


# ---- one step ------------------------------------------------------------------------------------------------------


class _Step:
    """What is known before a growth step, and the account of it afterwards."""

    def __init__(
        self,
        model: PreTrainedModel,
        operation: str,
        arguments: dict[str, Any],
        order: Sequence[int],
        probe: Mapping[str, torch.Tensor] | None,
    ):
        self.model, self.order = model, order
        self.name, self.layers = lists.find_layers(model)
        self.probe = make_probe(model, probe)
        self.output, self.before = probe_outputs(model, self.probe)
        self.receipt = {"operation": operation, "arguments": arguments}
        self.sizes = [self._sizes()]
        self.zeroed: set[int] = set()

    def _sizes(self) -> dict[str, int]:
        parameters = sum(p.numel() for p in self.model.parameters())
        layers = self.model.config.num_hidden_layers
        return {"layers": layers, "blocks": len(self.layers), "parameters": parameters}

    def start_as_identity(self, new: Sequence[nn.Module], names: Sequence[str], init: str) -> None:
        """Make what the new layers write zero, or scale it by zero."""
        for module in (module for layer in new for module in writers_of(layer, names)):
            if init == "gradual":
                module.register_forward_hook(OutputScale(0.0))
                continue
            for parameter in module.parameters():
                with torch.no_grad():
                    parameter.zero_()
                self.zeroed.add(id(parameter))

    def measured(self, exact: bool) -> Growth:
        """Return what was done. Raise ValueError if the function changed and should not have."""
        _, after = probe_outputs(self.model, self.probe)
        difference = float((after - self.before).abs().max())
        if exact and not difference <= CHANGED * float(self.before.abs().max()):
            raise ValueError(
                f"{type(self.model).__name__}: its outputs would change by {difference:.2g} where nothing may change; "
                "perhaps a layer depends on its place; allowed: init 'copy'"
            )
        self.sizes.append(self._sizes())
        named = list(self.model.named_parameters())
        self.receipt |= {key: [sizes[key] for sizes in self.sizes] for key in self.sizes[0]}
        self.receipt |= {
            "added": self.sizes[1]["parameters"] - self.sizes[0]["parameters"],
            "trainable_parameters": sum(p.numel() for _, p in named if p.requires_grad),
            "frozen": lists.summarize((name, p) for name, p in named if not p.requires_grad),
            "max_difference": difference,
            "probe": {"output": self.output, "shape": list(after.shape), "dtype": str(after.dtype)},
        }
        return Growth(self.receipt, {name: self._source(name, parameter) for name, parameter in named})

    def _source(self, name: str, parameter: nn.Parameter) -> str | None:
        if id(parameter) in self.zeroed:
            return None
        if not name.startswith(f"{self.name}."):
            return name
        position, rest = name.removeprefix(f"{self.name}.").split(".", 1)
        return f"{self.name}.{self.order[int(position)]}.{rest}"
