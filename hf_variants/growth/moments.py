# Copyright 2026 The hf_variants authors. MIT licence.
"""What an optimizer knows of each parameter, carried over a growth by the parameters' names."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import nn

Moments = Literal["copy", "zero", "rewarm"]
State = dict[str, dict[str, Any]]


def optimizer_state_by_name(model: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Return `{parameter's name: {exp_avg, exp_avg_sq, step}}` of those that have been stepped; nothing is copied.

    That is AdamW's state; of a parameter that Muon steps it is `{momentum_buffer}`.
    """
    state = optimizer.state
    return {name: state[p] for name, p in model.named_parameters() if p in state and state[p]}


def load_optimizer_state_by_name(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, str | None],
    moments: Moments = "copy",
) -> None:
    """Give a new optimizer of a grown model what was known of the parameters before (`Growth.sources`).

    A parameter that was there before keeps its state. For a copy of one,
    - "copy" takes its source's moments and step;
    - "zero" takes its source's step and moments of zero. Bias correction is over, so the first update is about
      (1 - beta1) / sqrt(1 - beta2) times the learning rate: 0.45 times at (0.9, 0.95), 3.2 times at (0.9, 0.999);
    - "rewarm" takes nothing: zero moments and step 0, so bias correction begins again and the first update is as
      large as the learning rate.
    Muon has no bias correction, and its updates are equally large from the first: there "zero" is the same as
    "rewarm".
    Where nothing is known (adapters, what was frozen before, weights that start at zero) all are as "rewarm"; the
    state of what is frozen now is dropped. State that the optimizer has already is replaced.

    Raises:
        ValueError: `moments` is not allowed, or a state does not fit its parameter. Nothing is changed then.
    """
    if moments not in get_args(Moments):
        raise ValueError(f"moments is {moments!r}; allowed: {', '.join(get_args(Moments))}")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    seen: set[str] = set()
    loaded: dict[nn.Parameter, dict[str, Any]] = {}
    parameters = dict(model.named_parameters())
    for name, source in sources.items():
        is_copy = source in seen
        seen.add(source)
        parameter = parameters.get(name)  # None: it has been wrapped since, and is frozen
        if parameter is None or id(parameter) not in held or source not in state:
            continue
        if is_copy and moments == "rewarm":
            continue
        loaded[parameter] = _values(name, parameter, state[source], zero=is_copy and moments == "zero")
    optimizer.state.clear()
    optimizer.state.update(loaded)


def _values(name: str, parameter: nn.Parameter, state: Mapping[str, Any], zero: bool) -> dict[str, Any]:
    """Return a copy of a state; with `zero`, of what has the parameter's shape only zeros."""
    values = {}
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            values[key] = value
            continue
        if value.ndim and value.shape != parameter.shape:
            raise ValueError(f"{key} of {name} has the shape {tuple(value.shape)}; allowed: {tuple(parameter.shape)}")
        values[key] = torch.zeros_like(value) if zero and value.ndim else value.clone()
    return values
