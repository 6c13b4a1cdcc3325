# Copyright 2026 The hf_variants authors. MIT licence.
"""The trials in which a comparison's hyperparameters are tuned: as many for each arm, with the same draws."""

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..checking import InputError, as_mapping, as_whole, check_range, refuse_unknown
from ..recipes.recipe import Recipe
from ..recipes.sections import BUDGETS
from ..records import Trial

if TYPE_CHECKING:
    from .comparison import Comparison

TUNE_KEYS = ("trials", "seed", "max_tokens", "max_steps", "max_epochs", "space", "arm_space")


def check_tune(comparison: "Comparison", where: str) -> None:
    """Raises InputError, beginning with `where`, for a `tune` that can't be carried out."""
    tune = comparison.tune
    refuse_unknown(tune, TUNE_KEYS, f"{where}: tune")
    check_range(f"{where}: tune.trials", as_whole(tune.get("trials", 0), f"{where}: tune.trials"), low=1)
    own = as_mapping(tune.get("arm_space") or {}, f"{where}: tune.arm_space")
    refuse_unknown(own, list(comparison.arms), f"{where}: tune.arm_space")
    for name, space in {"space": tune.get("space"), **own}.items():
        as_mapping(space or {}, f"{where}: tune, {name}")
    if tune.get("seed") is None or tune["seed"] in comparison.seeds:
        raise InputError(f"{where}: tune.seed must be given and differ from seeds {comparison.seeds}")
    as_whole(tune["seed"], f"{where}: tune.seed")
    for arm in comparison.arms:
        trial_recipes(comparison, arm)


def trial_settings(comparison: "Comparison", arm: str) -> list[dict[str, Any]]:
    """The settings of an arm's trials: `trials` different draws from `space` and the arm's own `arm_space`.

    A list is drawn from evenly, `{low, high}` log-uniformly. All arms get the same draws of what they share, so that
    none is luckier in its learning rates than another.
    """
    tune = comparison.tune
    shared, own = tune.get("space") or {}, (tune.get("arm_space") or {}).get(arm) or {}
    shared_rng, own_rng = random.Random(tune["seed"]), random.Random(f"{tune['seed']}/{arm}")
    if not shared:
        return _different_draws(own_rng, own, tune["trials"], arm)
    # different in what is shared: were one refused for the sake of an arm's own draw, the arms would fall out of step
    common = _different_draws(shared_rng, shared, tune["trials"], arm)
    return [draw | {name: _draw(own_rng, choices) for name, choices in own.items()} for draw in common]


def _different_draws(rng: random.Random, space: dict[str, Any], count: int, arm: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    for _ in range(1000):
        if len(seen) == count:
            return seen
        settings = {name: _draw(rng, choices) for name, choices in space.items()}
        if settings not in seen:
            seen.append(settings)
    raise InputError(f"tune: the space of arm {arm} holds fewer than {count} different settings")


def trial_recipes(comparison: "Comparison", arm: str) -> list[tuple[dict[str, Any], Recipe]]:
    """Settings and recipe of every trial of an arm."""
    tune = comparison.tune
    budget = {name: tune[name] for name in ("max_tokens", "max_steps", "max_epochs") if name in tune}
    if budget:
        budget = dict.fromkeys(BUDGETS) | budget
    return [
        (settings, comparison.recipe(arm, tune["seed"], settings, budgets=[1.0], **budget))
        for settings in trial_settings(comparison, arm)
    ]


def with_choice(trials: Sequence[Trial]) -> list[Trial]:
    """The trials as results have them: without fingerprints, and the one marked whose settings are used."""
    finite = [trial for trial in trials if trial.validation_loss is not None]
    best = min(finite, key=trial_score, default=None)
    apart = {"recipe_fingerprint": "", "written": ()}
    return [dataclasses.replace(trial, chosen=trial is best, **apart) for trial in trials]


def trial_score(trial: Trial) -> float:
    """What a trial is chosen by, lower is better: its validation loss, or the metric that its objective selects by."""
    found = trial.selection
    if found is None:
        return trial.validation_loss
    return found.value if found.lower_is_better else -found.value


def _draw(rng: random.Random, choices: Any) -> Any:
    if isinstance(choices, list) and choices:
        return rng.choice(choices)
    if isinstance(choices, dict) and set(choices) == {"low", "high"}:
        try:
            low, high = float(choices["low"]), float(choices["high"])
        except (TypeError, ValueError):
            low = high = math.nan
        if not 0 < low <= high < math.inf:
            raise InputError(f"tune: {choices!r}; numbers low and high above 0 are expected, low first")
        return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.3g}")
    raise InputError(f"tune: {choices!r}; a list or {{low, high}} is expected")
