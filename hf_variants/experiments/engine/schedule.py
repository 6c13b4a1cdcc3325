# Copyright 2026 The hf_variants authors. MIT licence.
"""Budgets, phases and the learning rate, all as pure functions of the recipe and the step.

With `constant_with_decay` one run answers for several budgets: a trunk at constant learning rate, and for each
compared budget B a short branch that leaves the trunk at (1 - decay_fraction)·B and decays to its end at B: the
warm-up–stable–decay schedule of arXiv:2404.06395. That a short decay stands in for a whole run of that length is shown
in arXiv:2405.18392. After a branch the run goes back to the trunk, so that no budget's result depends on another's.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from ..checking import InputError
from ..recipes.recipe import Recipe
from ..recipes.sections import TrainingArguments
from ..text.blocks import Order


@dataclass(frozen=True)
class Phase:
    """Optimizer steps `start` … `end` - 1 of one kind. `until_seconds` ends it by time instead."""

    kind: Literal["trunk", "decay"]
    start: int
    end: int
    budget: float | None = None  # the compared budget (share of the whole) that this phase ends at
    until_seconds: float | None = None


@dataclass(frozen=True)
class Schedule:
    """When a run does what: which examples each step reads, the budget in steps, and its phases."""

    order: Order
    training: TrainingArguments  # the recipe's, with its budget in steps
    phases: list[Phase]


def schedule_of(recipe: Recipe, order: Order) -> Schedule:
    """The schedule of a recipe whose data is read in this order. Raises InputError where there is none."""
    training = in_steps(recipe.training, order.steps_per_epoch)
    return Schedule(order, training, plan(training, recipe.data.block_size))


NEVER = 2**62  # end of a phase that only time ends


def in_steps(arguments: TrainingArguments, steps_per_epoch: float) -> TrainingArguments:
    """The same with a budget in epochs as one in optimizer steps, a started step counting whole."""
    if arguments.max_epochs is None:
        return arguments
    steps = math.ceil(arguments.max_epochs * steps_per_epoch - 1e-9)
    return dataclasses.replace(arguments, max_epochs=None, max_steps=steps)


def total_steps(arguments: TrainingArguments, block_size: int) -> int:
    """The budget in optimizer steps; a started step counts whole."""
    if arguments.max_steps is not None:
        return arguments.max_steps
    return math.ceil(arguments.max_tokens / (arguments.batch_size * block_size))


def plan(arguments: TrainingArguments, block_size: int) -> list[Phase]:
    """The phases of a run, in order.

    Raises InputError where the warm-up does not fit before the first decay, or a budget has no step of its own.
    """
    if arguments.max_seconds is not None:
        return _plan_by_time(arguments)
    total = total_steps(arguments, block_size)
    if arguments.schedule != "constant_with_decay":
        _check_warmup(arguments.warmup_steps, total)
        return [Phase("decay", 0, total, budget=1.0)]
    phases, position = [], 0
    for share in arguments.budgets:
        end = round(share * total)
        if end <= (phases[-1].end if phases else 0):
            raise InputError(
                f"training.budgets: {share} of {total} steps ends at step {end}; allowed: different steps, above 0"
            )
        start = end - round(arguments.decay_fraction * end)
        _check_warmup(arguments.warmup_steps, start)
        phases += [Phase("trunk", position, start), Phase("decay", start, end, budget=share)]
        position = start
    return phases


def _plan_by_time(arguments: TrainingArguments) -> list[Phase]:
    if arguments.schedule != "constant_with_decay":
        raise InputError("training.max_seconds: needs schedule constant_with_decay")
    decay_from = arguments.max_seconds * (1 - arguments.decay_fraction)
    return [
        Phase("trunk", 0, NEVER, until_seconds=decay_from),
        Phase("decay", NEVER, NEVER, budget=1.0, until_seconds=arguments.max_seconds),
    ]


def _check_warmup(warmup: int, limit: int) -> None:
    if warmup > limit:
        raise InputError(f"training.warmup_steps: {warmup} is beyond step {limit}, where the first decay begins")


def learning_rate(arguments: TrainingArguments, phase: Phase, step: int, seconds: float = 0.0) -> float:
    """The learning rate of optimizer step `step` (counted from 0) in `phase`."""
    low, high = arguments.min_learning_rate, arguments.learning_rate
    if phase.kind == "trunk" or step < arguments.warmup_steps:
        return high * min(1.0, (step + 1) / max(1, arguments.warmup_steps))
    if phase.until_seconds is not None:
        begin = phase.until_seconds * (1 - arguments.decay_fraction)
        progress = min(1.0, (seconds - begin) / max(1e-9, phase.until_seconds - begin))
    else:
        begin = max(phase.start, arguments.warmup_steps)
        progress = (step - begin) / max(1, phase.end - begin)
    shape = 0.5 * (1 + math.cos(math.pi * progress)) if arguments.schedule == "cosine" else 1 - progress
    return low + (high - low) * shape
