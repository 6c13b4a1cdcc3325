# Copyright 2026 The hf_variants authors. MIT licence.
"""The growth stages of a run: when the next one is due, how the model gets there, and there again after a crash.

A model's stage is a number: 0 is the model of the recipe, k what the first k growth steps make of it. Between two
stages adapters are merged and what came in gradually is folded, so that each growth starts from a plain model.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from ... import growth
from ..checking import InputError
from ..models.costs import training_flops_per_token
from ..recipes.recipe import Recipe
from ..recipes.stages import Stage, starts
from ..text.blocks import Order
from .fine_tuning import freeze_encoder, gradual_stages
from .prepared import Prepared
from .schedule import Schedule, total_steps

GROWS = {"deepen": growth.deepen, "diverge": growth.diverge, "unfreeze": growth.unfreeze}
CANNOT_GROW = (ValueError, NotImplementedError)  # what growth says of a model that cannot grow so


@dataclass
class GrowthState:
    """Where a run stands; saved with every checkpoint."""

    stage: int = 0
    since: int = 0  # the optimizer step before which this stage began
    flops: float = 0.0
    stage_tokens: list[int] = field(default_factory=lambda: [0])  # trained in each stage so far
    best: float | None = None  # validation loss
    bad: int = 0  # evaluations in a row that brought no improvement


class Growing:
    """What becomes of a model while it trains, by stages: here nothing, for the runs that have none."""

    stages: Sequence[Stage] = ()

    def check(self, model: PreTrainedModel) -> None:
        """Raises InputError where a copy of `model` can't go through all stages."""

    # ---- when --------------------------------------------------------------------------------------------------

    def is_due(self, state: GrowthState, step: int) -> bool:
        """Whether the next stage begins before optimizer step `step`."""
        return False

    def before_step(self, model: PreTrainedModel, state: GrowthState, step: int) -> float:
        """Readies the model for a step; returns what the step's learning rate is multiplied by."""
        return 1.0

    def saw_step(self, state: GrowthState, flops_per_token: float, order: Order, step: int) -> None:
        """Counts the optimizer step before `step`."""

    def saw_loss(self, state: GrowthState, loss: float) -> None:
        """Counts one evaluation on validation."""

    # ---- how ---------------------------------------------------------------------------------------------------

    def flops_per_token(self, model: PreTrainedModel, length: int) -> float:
        """What a step of this stage costs per token; 0 where nobody asks."""
        return 0.0

    def about(self, state: GrowthState) -> dict[str, Any]:
        """What every line of metrics says of the stages."""
        return {}

    def grow(self, model: PreTrainedModel, state: GrowthState, step: int) -> growth.Growth:
        """Takes `model` in place to the next stage. Raises ValueError where it can't grow so."""
        raise ValueError("there is no next stage")

    def at(self, number: int) -> PreTrainedModel:
        """A model of stage `number`, with weights that do not matter. Leaves random state behind as it was."""
        raise ValueError(f"there is no stage {number}")

    def finish(self, model: PreTrainedModel) -> None:
        """Makes a plain model of one in some stage, in place: adapters are merged, gradual layers folded."""


class StagedGrowing(Growing):
    """Grows a model along the stages of a recipe.

    `fresh()` builds the model of stage 0; the weights that it starts with do not matter. `inputs` are the keyword
    arguments of a forward pass on which each growth is measured.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        total_steps: int,
        tokens_per_step: int,
        fresh: Callable[[], PreTrainedModel],
        inputs: dict[str, torch.Tensor],
    ) -> None:
        self.stages, self.fresh, self.inputs = list(stages), fresh, inputs
        self.starts = starts(stages, total_steps, tokens_per_step)

    # ---- when --------------------------------------------------------------------------------------------------

    def is_due(self, state: GrowthState, step: int) -> bool:
        if state.stage == len(self.stages):
            return False
        stage, start = self.stages[state.stage], self.starts[state.stage]
        if start is not None and step >= start:
            return True
        if stage.flops is not None:
            return state.flops >= stage.flops
        return stage.plateau is not None and state.bad >= stage.plateau.evaluations

    def saw_step(self, state: GrowthState, flops_per_token: float, order: Order, step: int) -> None:
        read = order.tokens(step) - order.tokens(step - 1)
        state.flops += flops_per_token * read
        state.stage_tokens[-1] += read

    def saw_loss(self, state: GrowthState, loss: float) -> None:
        stage = self.stages[state.stage] if state.stage < len(self.stages) else None
        min_delta = stage.plateau.min_delta if stage is not None and stage.plateau is not None else 0.0
        improved = state.best is None or loss < state.best - min_delta
        state.best, state.bad = (loss, 0) if improved else (state.best, state.bad + 1)

    def before_step(self, model: PreTrainedModel, state: GrowthState, step: int) -> float:
        if state.stage == 0:
            return 1.0
        stage, since = self.stages[state.stage - 1], step - state.since
        if stage.ramp_steps:  # new layers come in gradually (arXiv:1511.06951)
            growth.set_scale(model, min(1.0, max(0, since) / stage.ramp_steps))
        return min(1.0, (since + 1) / max(1, stage.rewarm_steps))  # the rate comes back linearly after a growth

    # ---- how ---------------------------------------------------------------------------------------------------

    def flops_per_token(self, model: PreTrainedModel, length: int) -> float:
        return training_flops_per_token(model, length)

    def about(self, state: GrowthState) -> dict[str, Any]:
        return {"flops": state.flops, "stage_tokens": list(state.stage_tokens)}

    def grow(self, model: PreTrainedModel, state: GrowthState, step: int) -> growth.Growth:
        self.finish(model)
        grown = self._operate(model, self.stages[state.stage], self.inputs)
        state.stage += 1
        state.since, state.best, state.bad = step, None, 0
        state.stage_tokens.append(0)
        return grown

    def finish(self, model: PreTrainedModel) -> None:
        if growth.in_lora_stage(model):
            growth.merge_lora(model)
        growth.fold_scale(model)

    def _operate(self, model: PreTrainedModel, stage: Stage, inputs: dict[str, torch.Tensor] | None) -> growth.Growth:
        grown = GROWS[stage.operation](model, **stage.arguments(), probe=inputs)
        if stage.lora is not None:
            lora = stage.lora
            receipt = growth.start_lora_stage(model, lora.rank, lora.alpha, lora.dropout, lora.mlp)
            grown.receipt["lora"] = receipt
        return grown

    def at(self, number: int) -> PreTrainedModel:
        with torch.random.fork_rng():
            model = self.fresh()
            for stage in self.stages[:number]:
                self.finish(model)
                self._operate(model, stage, None)
        return model

    def check(self, model: PreTrainedModel) -> None:
        trial = copy.deepcopy(model)
        with torch.random.fork_rng():
            for number, stage in enumerate(self.stages, 1):
                try:
                    self.finish(trial)
                    self._operate(trial, stage, None)
                except CANNOT_GROW as error:
                    message = " ".join(str(error).split())
                    raise InputError(f"growth.stages: number {number}, {stage.operation}: {message}") from None


def build_growing(
    recipe: Recipe, prepared: Prepared, schedule: Schedule, fresh: Callable[[], PreTrainedModel]
) -> Growing:
    """What grows (or thaws) the recipe's model, as `fresh` builds it.

    Raises InputError where stages do not fit the budget.
    """
    training, stages, is_gradual = schedule.training, recipe.growth.parsed(), recipe.training.train == "gradual"
    if not stages and not is_gradual:
        return Growing()
    if stages and (training.train != "full" or training.early_stopping is not None):
        raise InputError("growth: is for training.train: full, without early_stopping")
    if training.max_seconds is not None:
        raise InputError("growth: a budget in seconds has no fixed steps; allowed: training.max_tokens or max_steps")

    def begin() -> PreTrainedModel:
        model = fresh()
        if training.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        if is_gradual:
            freeze_encoder(model)
        return model

    if is_gradual:
        stages = [Stage(**stage) for stage in gradual_stages(begin())]
    inputs = {name: torch.from_numpy(array) for name, array in prepared.sample(2).items() if name != "labels"}
    steps = total_steps(training, recipe.data.block_size)
    tokens_per_step = training.batch_size * schedule.order.typical_length
    return StagedGrowing(stages, steps, tokens_per_step, begin, inputs)
