# Copyright 2026 The hf_variants authors. MIT licence.
"""The machinery of a benchmark: cases with two sides, which are checked, timed in turns and put into a table.

A new case is a function with `@case` that returns `Sides`, in a file of the folder cases/: nothing
else names it. A ratio is the median over rounds of the time of ours / reference, with the 95 % interval of that
median, or the range of fewer than six rounds. It is `over` where all of that lies above the target; a claim of "at
least three times as fast" has the target 1/3.
"""

import copy
import functools
import importlib
import os
import pkgutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from scipy.stats import binom
from torch import nn

from ..machine.environment import default_device
from ..machine.timing import LEAST_ROUNDS, alternate, quartiles

DEVICE = default_device()
MAX_SECONDS = 6.0  # so that all cases take less than a quarter of an hour on two cores


# ---- the suite -----------------------------------------------------------------------------------------------------


class DifferentError(Exception):
    """A case does not compare what it says: its sides differ in what they share, or one of them is broken."""


@dataclass(frozen=True)
class Sides:
    """What a case times: one unit of work a side. `check` raises DifferentError unless they may be compared.

    In a case of another unit than ms, the sides are not timed, but return the quantity.
    """

    check: Callable[[], None]
    ours: Callable[[], Any]
    reference: Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """A registered case; `names` are those of our side and of the reference."""

    name: str
    names: tuple[str, str]
    target: float | None
    build: Callable[[], Sides]
    unit: Literal["ms", "MiB"] = "ms"


CASES: dict[str, Case] = {}


def case(
    name: str, ours: str, reference: str, target: float | None = None, unit: Literal["ms", "MiB"] = "ms"
) -> Callable[[Callable[[], Sides]], Callable[[], Sides]]:
    """Registers a function that builds the sides; `target` is the highest ratio ours / reference that is fine."""

    def register(build: Callable[[], Sides]) -> Callable[[], Sides]:
        if name in CASES:
            raise ValueError(f"case {name!r} is registered twice")
        CASES[name] = Case(name, (ours, reference), target, build, unit)
        return build

    return register


def load_cases() -> dict[str, Case]:
    """All cases, by name: importing a module of cases/ registers those in it."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent / "cases")]):
        importlib.import_module(f"{__package__}.cases.{module.name}")
    return CASES


def measure(case: Case, rounds: int, max_seconds: float = MAX_SECONDS) -> dict[str, Any]:
    """Checks, then times one case, in fewer rounds where they take longer than `max_seconds`, but 3 or more.

    Raises DifferentError where the check fails.
    """
    torch.manual_seed(0)
    sides = case.build()
    sides.check()
    values = measurements(sides, case.unit, rounds, max_seconds)
    return summarise_case(case.name, case.names, values, case.unit, case.target)


def summarise_case(
    name: str,
    names: tuple[str, str],
    values: Mapping[str, Sequence[float]],
    unit: str = "ms",
    target: float | None = None,
) -> dict[str, Any]:
    """What is reported of a case, from what every round gave for its two sides, "ours" and "reference"."""
    ratios = [a / b for a, b in zip(values["ours"], values["reference"], strict=True)]
    low, high = median_interval(ratios)
    over = target is not None and low > target
    return {
        "name": name,
        "unit": unit,
        "ours": summary(names[0], values["ours"], unit),
        "reference": summary(names[1], values["reference"], unit),
        "rounds": len(ratios),
        "ratio": statistics.median(ratios),
        "ratio_interval": [low, high],
        "target": target,
        "verdict": None if target is None else "over" if over else "ok",
    }


def with_cost(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns, with the seconds that it took: by the clock, and of all cores and child processes."""
    began, cpu = time.perf_counter(), sum(os.times()[:4])
    return work() | {"seconds": time.perf_counter() - began, "cpu_seconds": sum(os.times()[:4]) - cpu}


def measurements(sides: Sides, unit: str, rounds: int, max_seconds: float) -> dict[str, list[float]]:
    """What every round gave for the two sides, which take turns: seconds, or what they return, in few rounds."""
    both = {"ours": sides.ours, "reference": sides.reference}
    if unit == "ms":
        return alternate(both, rounds, max_seconds=max_seconds)
    turns = [{name: side() for name, side in both.items()} for _ in range(min(rounds, LEAST_ROUNDS))]
    return {name: [turn[name] for turn in turns] for name in both}


def summary(name: str, values: Sequence[float], unit: str = "ms") -> dict[str, Any]:
    """Median and quartiles of one side, of seconds in milliseconds."""
    factor = 1e3 if unit == "ms" else 1
    suffix = unit.lower()
    return {
        "name": name,
        f"median_{suffix}": factor * statistics.median(values),
        f"quartiles_{suffix}": [factor * q for q in quartiles(values)],
    }


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the median, from order statistics; of fewer than six values their range."""
    ordered = sorted(values)
    index = max(0, int(binom.ppf(0.025, len(ordered), 0.5)) - 1)
    return ordered[index], ordered[-1 - index]


# ---- helpers for cases ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenBatch:
    """A model's inputs `(batch, seq)`, and the gradient of its last hidden state `(batch, seq, hidden)`."""

    inputs: dict[str, torch.Tensor]
    gradient: torch.Tensor


def random_ids(config: Any, rows: int, length: int) -> torch.Tensor:
    """The same random ids `(rows, length)` at every call, none of them 0."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, config.vocab_size, (rows, length), generator=generator).to(DEVICE)


def random_batch(config: Any, rows: int, length: int, padded: bool) -> TokenBatch:
    """Random ids and gradient; where `padded`, the rows end at different places and a mask says so."""
    inputs = {"input_ids": random_ids(config, rows, length)}
    if padded:
        ends = torch.linspace(length // 2, length, rows).long()
        inputs["attention_mask"] = (torch.arange(length) < ends[:, None]).long().to(DEVICE)
    # Random, because the mean of the squares, say, is the same for whatever a LayerNorm returns: no gradient at all.
    gradient = torch.randn(rows, length, config.hidden_size, generator=torch.Generator().manual_seed(2))
    return TokenBatch(inputs, gradient.to(DEVICE))


def forward_backward(model: nn.Module, batch: TokenBatch) -> torch.Tensor:
    """One forward and backward pass; returns the last hidden state `(batch, seq, hidden)`.

    The optimizer's update is left out: it is the same on both sides, and would only hide their difference.
    """
    model.zero_grad()
    hidden = model(**batch.inputs).last_hidden_state
    hidden.backward(batch.gradient)
    return hidden.detach()


def with_method(model: nn.Module, kind: type[nn.Module], name: str, function: Callable[..., Any]) -> nn.Module:
    """A copy of the net in which the method `name` of every module of a kind is `function`."""
    changed = copy.deepcopy(model)
    for module in changed.modules():
        if isinstance(module, kind):
            setattr(module, name, functools.partial(function, module))
    return changed


def trained(model: nn.Module, batch: TokenBatch) -> Callable[[], Any]:
    """The work of one side: a training step without the update, dropout on."""
    return lambda: forward_backward(model.train(), batch)


def assert_same(ours: nn.Module, reference: nn.Module, batch: TokenBatch, exact: bool = False) -> None:
    """Raises DifferentError unless outputs on real tokens and all gradients agree, with dropout off.

    Allowed is what `assert_close` and `assert_same_gradients` allow; nothing where `exact`.
    """
    real = batch.inputs.get("attention_mask", torch.ones_like(batch.inputs["input_ids"])).bool()
    outputs = [forward_backward(model.eval(), batch)[real] for model in (ours, reference)]
    assert_close(*outputs, allowed=0 if exact else 1e-5)
    assert_same_gradients(ours, reference, exact)


def assert_close(
    found: torch.Tensor, expected: torch.Tensor, what: str = "outputs differ", allowed: float = 1e-5
) -> None:
    """Raises DifferentError unless no value is more than `allowed` from what is expected (their size is about 1)."""
    far = (found - expected).abs().max().item()
    if not far <= allowed:  # NaN is no equality either
        raise DifferentError(f"{what} by {far:.2e}; allowed are {allowed:.0e}")


def assert_same_gradients(ours: nn.Module, reference: nn.Module, exact: bool = False) -> None:
    """Raises DifferentError unless all gradients agree to 1e-4 of their largest entry, or `exact`ly."""
    expected = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    if expected.keys() != found.keys():
        raise DifferentError(
            f"only one side has a gradient for {', '.join(sorted(expected.keys() ^ found.keys())[:3])}"
        )
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    for name, gradient in expected.items():
        # The second term is for gradients that are zero but for rounding, as those of the keys' biases.
        allowed = 0 if exact else 1e-4 * gradient.abs().max().item() + 1e-6 * largest
        assert_close(found[name], gradient, f"the gradients of {name} differ", allowed)
