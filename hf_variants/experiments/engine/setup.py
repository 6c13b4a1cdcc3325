# Copyright 2026 The hf_variants authors. MIT licence.
"""What a recipe comes to, checked before anything is trained or written: data, then schedule, configuration, growth.

Whoever needs the model of a recipe comes here: a run, a comparison's checks and quiet run, the benchmarks.
"""

import functools
from dataclasses import dataclass

from transformers import PreTrainedConfig, PreTrainedModel

from ..models.build import build_config
from ..recipes.recipe import Recipe
from .growing import Growing, build_growing
from .new_model import new_model
from .prepared import Prepared, prepare
from .schedule import Schedule, plan, schedule_of


@dataclass(frozen=True)
class Setup:
    """A recipe with all that follows from it and its data. `prepared` has the objective as this model needs it."""

    recipe: Recipe
    prepared: Prepared
    schedule: Schedule
    config: PreTrainedConfig
    growing: Growing

    def new_model(self) -> PreTrainedModel:
        """The model that the run begins with, drawn from the global generators. Raises InputError."""
        return new_model(self.recipe, self.config, self.prepared)


def set_up(recipe: Recipe, prepared: Prepared | None = None) -> Setup:
    """What the recipe comes to, with its data where that is at hand. Raises InputError where it can't be run."""
    if prepared is None:
        if recipe.training.max_epochs is None:  # else how many steps those are is known with the data
            plan(recipe.training, recipe.data.block_size)
        prepared = prepare(recipe)
    schedule = schedule_of(recipe, prepared.order(recipe.training))
    task = prepared.config_settings(recipe.model.overrides)
    config = build_config(recipe.model, prepared.tokenizer, recipe.data.block_size, task)
    bound = prepared.for_model(config)
    fresh = functools.partial(new_model, recipe, config, bound)
    return Setup(recipe, bound, schedule, config, build_growing(recipe, bound, schedule, fresh))
