# Copyright 2026 The hf_variants authors. MIT licence.
"""What a comparison's quiet run times of each arm: its model in the state in which it trains, on its own batch."""

from collections.abc import Callable, Mapping

import torch

from ..engine.fine_tuning import FineTuning
from ..engine.optimizer import build_optimizer
from ..engine.prepared import Prepared
from ..engine.setup import set_up
from ..machine.environment import default_device
from ..machine.timing import Timed, precision_context, stages_in_one, time_models
from ..recipes.recipe import Recipe
from ..records import Timing


def one_batch(prepared: Prepared, size: int) -> Callable[[torch.nn.Module], torch.Tensor]:
    """A function of a model: the losses of one fixed training batch of `size` blocks or examples."""
    arrays = prepared.sample(size, typical=True)
    batch = {name: torch.from_numpy(array).to(default_device()) for name, array in arrays.items()}
    return lambda model: prepared.objective.losses(model, batch)["loss"]


FROZEN = ("inference_ms", "inference_batch", "peak_memory_mb")  # what a quiet run can say of a frozen encoder


def timed_arm(recipe: Recipe, prepared: Prepared) -> dict[str, Timed]:
    """What is timed of an arm, by what to add to its name: itself, or its growth stages `@0`, `@1`, …

    A frozen encoder is timed as a whole. Its features are computed once for all steps, so that only what is said of
    inference and memory holds (`FROZEN`).
    """
    setup = set_up(recipe, prepared)
    prepared, growing = setup.prepared, setup.growing
    if growing.stages:
        models = {f"@{number}": growing.at(number) for number in range(len(growing.stages) + 1)}
    else:
        models = {"": setup.new_model()}
        FineTuning(recipe.training, models[""]).freeze()
    size = recipe.training.batch_size // recipe.training.gradient_accumulation_steps
    tokens = prepared.sample(size, typical=True)
    tokens = int(tokens["attention_mask"].sum() if "attention_mask" in tokens else tokens["input_ids"].size)
    inputs = prepared.sample(recipe.training.eval_batch_size, typical=True)
    inputs = {n: torch.from_numpy(a).to(default_device()) for n, a in inputs.items() if n != "labels"}
    losses, precision = one_batch(prepared, size), precision_context(recipe.training.mixed_precision)
    moved = {name: model.to(default_device()) for name, model in models.items()}
    return {
        name: Timed(model, build_optimizer(model, recipe.training), losses, tokens, inputs, precision)
        for name, model in moved.items()
    }


def quiet_run(recipes: Mapping[str, Recipe], prepared: Callable[[Recipe], Prepared], rounds: int) -> Timing:
    """The content of `timing.json`: every arm by its recipe, in turns, each in the precision that it trains in."""
    candidates = {
        f"{arm}{stage}": timed
        for arm, recipe in recipes.items()
        for stage, timed in timed_arm(recipe, prepared(recipe)).items()
    }
    timed = time_models(candidates, rounds)
    arms = stages_in_one(timed["arms"])
    frozen = [arm for arm, recipe in recipes.items() if recipe.training.train == "frozen"]
    said = arms | {arm: {name: arms[arm][name] for name in FROZEN} for arm in frozen}
    return Timing.from_json(timed | {"arms": said})
