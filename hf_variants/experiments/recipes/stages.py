# Copyright 2026 The hf_variants authors. MIT licence.
"""When and how a model grows while it trains: the `growth` section of a recipe.

    growth:
      stages:
        - {fraction: 0.25, operation: diverge, num_blocks: 6, lora: {rank: 8}}
        - {plateau: {evaluations: 3}, operation: deepen, times: 2, init: identity, rewarm_steps: 100}

A stage begins at a share of the budget, after so many tokens or FLOPs, or when the validation loss no longer falls
(AutoGrow, arXiv:1906.02909). It lasts until the next one; adapters that it trains are merged at its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from ..checking import InputError, Range, about, check_types, refuse_unknown

OPERATIONS = {
    "diverge": ("num_blocks",),
    "deepen": ("times", "placement", "init"),
    "unfreeze": ("layers",),
}
STARTS = ("fraction", "tokens", "flops", "plateau")


@dataclass
class Plateau:
    """A stage begins after `evaluations` in a row without an improvement of `min_delta` nats on validation."""

    evaluations: int = about("evaluations in a row that bring no improvement", 3, allowed=Range(1))
    min_delta: float = about("what counts as an improvement, in nats", 0.01, allowed=Range(0))
    latest: float | None = about(
        "share of the budget at which the stage begins in any case", allowed=Range(0, 1, low_open=True)
    )

    def __post_init__(self) -> None:
        check_types(self, "growth.stages: plateau")


@dataclass
class Lora:
    """Attention weights are frozen and get adapters (arXiv:2106.09685); the feed-forward sublayers as `mlp` says."""

    rank: int = about("rank of the adapters", 8, allowed=Range(1))
    alpha: int = about("their output is multiplied by alpha / rank", 16, allowed=Range(1))
    dropout: float = about("dropout on their input", 0.0, allowed=Range(0, 0.999))
    mlp: Literal["full", "lora", "frozen"] = about("feed-forward sublayers: trained, adapted, or neither", "full")

    def __post_init__(self) -> None:
        check_types(self, "growth.stages: lora")


@dataclass
class Stage:
    """One growth step and what follows it."""

    operation: str = about("diverge, deepen, or unfreeze", "")
    fraction: float | None = about("begins at this share of the budget; 0: before the first step", allowed=Range(0))
    tokens: int | None = about("begins after so many tokens", allowed=Range(0))
    flops: float | None = about("begins after so many training FLOPs", allowed=Range(0))
    plateau: dict | None = about("begins when validation no longer improves; see Plateau")
    num_blocks: int | None = about("diverge: distinct blocks from here on")
    times: int = about("deepen: so many times as many layers", 2, allowed=Range(2))
    placement: Literal["interleave", "stack", "middle"] = about("deepen: where the new layers go", "interleave")
    init: Literal["copy", "identity", "gradual"] = about("deepen: what the new layers do at first", "copy")
    ramp_steps: int = about("gradual: steps in which the new layers come in", 0, allowed=Range(0))
    layers: int | None = about("unfreeze: so many layers train from here on, the last ones")
    lora: dict | None = about("train adapters of the attention weights in this stage; see Lora")
    moments: Literal["copy", "zero", "rewarm"] = about("what new parameters take of the optimizer's moments", "copy")
    rewarm_steps: int = about("steps in which the learning rate comes back linearly", 0, allowed=Range(0))

    def __post_init__(self) -> None:
        check_types(self, "growth.stages")
        if self.operation not in OPERATIONS:
            raise InputError(f"growth.stages: operation '{self.operation}'; allowed: {', '.join(OPERATIONS)}")
        given = [name for name in STARTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(f"growth.stages: give exactly one of {', '.join(STARTS)} (found: {given or 'none'})")
        self._check_operation()
        self.plateau = _part(Plateau, self.plateau, "plateau")
        self.lora = _part(Lora, self.lora, "lora")

    def _check_operation(self) -> None:
        if (self.num_blocks is not None) != (self.operation == "diverge"):
            raise InputError("growth.stages: num_blocks is for diverge, which needs it")
        if (self.layers is not None) != (self.operation == "unfreeze"):
            raise InputError("growth.stages: layers is for unfreeze, which needs it")
        if (self.ramp_steps > 0) != (self.init == "gradual"):
            raise InputError("growth.stages: ramp_steps is for init gradual, which needs it")

    def arguments(self) -> dict[str, Any]:
        """What the operation is called with."""
        return {name: getattr(self, name) for name in OPERATIONS[self.operation]}

    @property
    def keeps_function(self) -> bool:
        """Whether the model computes the same afterwards by definition, so that nothing needs to be measured."""
        return self.operation == "unfreeze"


Section = TypeVar("Part", Plateau, Lora, Stage)


def _part(cls: type[Section], content: dict[str, Any] | None, where: str) -> Section | None:
    if content is None:
        return None
    refuse_unknown(content, [field.name for field in fields(cls)], f"growth.stages: {where}")
    return cls(**content)


@dataclass
class GrowthArguments:
    """When and how the model grows (see `Stage`); a list of stages, in the recipe file only."""

    stages: list[dict] = about("growth steps in the order in which they happen", factory=list)

    def __post_init__(self) -> None:
        check_types(self, "growth")
        self.parsed()

    def parsed(self) -> list[Stage]:
        """The stages, checked. Raises InputError."""
        return [_part(Stage, content, "stage") for content in self.stages]


def starts(stages: Sequence[Stage], total_steps: int, tokens_per_step: int) -> list[int | None]:
    """The optimizer steps before which stages begin; for a plateau the latest one; None where nothing fixes one.

    Raises InputError where one lies beyond the budget, or not after the one before it.
    """
    found = [_start(stage, total_steps, tokens_per_step) for stage in stages]
    last = -1
    for number, step in enumerate(found, 1):
        if step is None:
            continue
        if not last < step < total_steps:
            raise InputError(
                f"growth.stages: number {number} begins at step {step}; allowed: {last + 1} to {total_steps - 1}"
            )
        last = step
    return found


def _start(stage: Stage, total_steps: int, tokens_per_step: int) -> int | None:
    if stage.tokens is not None:
        return -(-stage.tokens // tokens_per_step)
    share = stage.fraction if stage.plateau is None else stage.plateau.latest
    return None if share is None else round(share * total_steps)


__all__ = ["GrowthArguments", "Lora", "Plateau", "Stage", "starts"]
