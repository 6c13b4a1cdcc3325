# Copyright 2026 The hf_variants authors. MIT licence.
"""A comparison file: arms as changes to a base recipe, seeds, tuning; read and checked."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checking import InputError, as_mapping, as_whole, check_range, refuse_unknown
from ..objectives.registry import objective_class
from ..recipes.recipe import SECTIONS, Recipe, merge, read_yaml, recipe_from_dict, set_dotted
from ..recipes.sections import BUDGETS
from ..reports.samples import SAMPLES
from ..results.results import Compared
from .tuning import check_tune

KEYS = (
    *("name", "question", "recipe", "baseline", "arms", "seeds", "parameter_matched", "tune", "timing_rounds"),
    *("cells", "metric", "floor", "own_budgets"),
)


ARM_KEYS = ("description", "seeds", "model", "data", "tokenizer", "objective", "training", "growth")


_ARM = re.compile(r"\w[\w.+=-]*")  # it is part of names of files


RESERVED = ("report.md", "README.md", SAMPLES)  # an arm's card lies beside them


@dataclass
class Comparison:
    """A comparison file, checked."""

    name: str
    question: str
    base: dict[str, Any]
    baseline: str
    arms: dict[str, dict[str, Any]]
    seeds: list[int]
    parameter_matched: dict[str, str] = field(default_factory=dict)
    tune: dict[str, Any] | None = None
    tuned_in: str | None = None
    timing_rounds: int = 20
    metric: str | None = None
    floor: bool = False
    own_budgets: bool = False
    command: str = ""

    def seeds_of(self, arm: str) -> list[int]:
        """The seeds of an arm: the comparison's, or fewer where the arm says so."""
        return self.arms[arm].get("seeds", self.seeds)

    def compared(self) -> Compared:
        """What results need to know of it."""
        return Compared(
            name=self.name,
            question=self.question,
            command=self.command,
            baseline=self.baseline,
            arms={arm: about.get("description") or "" for arm, about in self.arms.items()},
            seeds=self.seeds,
            seeds_of={arm: self.seeds_of(arm) for arm in self.arms},
            metric=self.metric,
            parameter_matched=self.parameter_matched,
            own_budgets=self.own_budgets,
            tuned_in=self.tuned_in,
        )

    def recipe(self, arm: str, seed: int, settings: dict[str, Any] | None = None, **training: Any) -> Recipe:
        """The full recipe of one run: base, then the arm's changes, then tuned `settings` (dotted names)."""
        changes = {name: value for name, value in self.arms[arm].items() if name in SECTIONS}
        content = merge(merge(self.base, changes), set_dotted(settings or {}))
        content = merge(content, {"name": arm, "description": self.arms[arm].get("description", "")})
        content = merge(content, {"training": {"seed": seed} | training})
        return recipe_from_dict(content, f"arm {arm}")


def load_comparison(path: str | Path, overrides: dict[str, Any] | None = None) -> Comparison:
    """Reads and checks a comparison file. `overrides` are changes to its base recipe. Raises InputError.

    The `cells` of a file are not looked at: `cells.load_cells` reads those.
    """
    content = read_yaml(path)
    base = merge(read_base(content, path), overrides or {})
    return comparison_from_dict({**content, "name": content.get("name") or Path(path).stem}, base, str(path))


def read_base(content: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """The base recipe of a comparison file's content. Raises InputError where a key is unknown or missing."""
    refuse_unknown(content, KEYS, str(path))
    for key in ("recipe", "arms", "baseline", "seeds"):
        if not content.get(key):
            raise InputError(f"{path}: {key} is missing")
    as_mapping(content["arms"], f"{path}: arms")
    base = content["recipe"]
    if isinstance(base, str):
        return read_yaml(Path(path).parent / base)
    return as_mapping(base, f"{path}: recipe")


def comparison_from_dict(content: dict[str, Any], base: dict[str, Any], where: str) -> Comparison:
    """A checked comparison from a file's content and its base recipe. Raises InputError, beginning with `where`."""
    for key in ("arms", "parameter_matched", "tune"):
        as_mapping(content.get(key) or {}, f"{where}: {key}")
    check_range(
        f"{where}: timing_rounds", as_whole(content.get("timing_rounds", 20), f"{where}: timing_rounds"), low=1
    )
    comparison = Comparison(
        name=content["name"],
        question=content.get("question", ""),
        base=base,
        baseline=content["baseline"],
        arms={arm: changes or {} for arm, changes in content["arms"].items()},
        seeds=content["seeds"],
        parameter_matched=content.get("parameter_matched") or {},
        tune=content.get("tune"),
        tuned_in=content.get("tuned_in"),
        timing_rounds=content.get("timing_rounds", 20),
        metric=content.get("metric"),
        floor=content.get("floor", False),
        own_budgets=content.get("own_budgets", False),
    )
    _check(comparison, where)
    return comparison


def _check(comparison: Comparison, where: str) -> None:
    arms, seeds = comparison.arms, comparison.seeds
    for name in ("name", "question", *(["metric"] if comparison.metric is not None else [])):
        if not isinstance(getattr(comparison, name), str):
            raise InputError(f"{where}: {name} {getattr(comparison, name)!r}; text is expected")
    for arm in arms:
        if not isinstance(arm, str) or not _ARM.fullmatch(arm):
            raise InputError(f"{where}: arm {arm!r}: is no name for a file; allowed: letters, digits, _, -, +, =, .")
    if comparison.baseline not in list(arms):
        raise InputError(f"{where}: baseline '{comparison.baseline}'; allowed: {', '.join(arms)}")
    if not isinstance(seeds, list) or not all(type(s) is int for s in seeds) or len(set(seeds)) < len(seeds):
        raise InputError(f"{where}: seeds {seeds}; a list of different whole numbers is expected")
    for pair in comparison.parameter_matched.items():
        for arm in pair:
            if arm not in list(arms):
                raise InputError(f"{where}: parameter_matched names '{arm}'; allowed: {', '.join(arms)}")
    for arm, changes in arms.items():
        if f"{arm}.md" in RESERVED:
            raise InputError(f"{where}: arm {arm}: the name is taken by a file; choose another")
        refuse_unknown(as_mapping(changes, f"{where}: arm {arm}"), ARM_KEYS, f"{where}: arm {arm}")
        if not isinstance(changes.get("description") or "", str):
            raise InputError(f"{where}: arm {arm}: description {changes['description']!r}; text is expected")
        _check_alike(comparison, arm, where)
        own = comparison.seeds_of(arm)
        if not isinstance(own, list) or not own or not all(seed in seeds for seed in own):
            raise InputError(f"{where}: arm {arm}: seeds {own}; allowed: some of {seeds}")
    if comparison.tune is not None:
        check_tune(comparison, where)


def _check_alike(comparison: Comparison, arm: str, where: str) -> None:
    """Arms differ in model and optimization; on other data, objectives or budgets they could not be compared."""
    recipe = comparison.recipe(arm, comparison.seeds[0])
    other = comparison.recipe(comparison.baseline, comparison.seeds[0])
    is_labelled = objective_class(recipe.objective.objective).labelled
    if is_labelled:  # a prediction per example: it may be read in any tokens, and cut at any length
        recipe.data.block_size = other.data.block_size
    for section in ("data", "objective") + (() if is_labelled else ("tokenizer",)):
        if getattr(recipe, section) != getattr(other, section):
            raise InputError(f"{where}: arm {arm} has another {section} than {comparison.baseline}")
    for name in () if comparison.own_budgets else (*BUDGETS, "batch_size", "budgets"):
        if getattr(recipe.training, name) != getattr(other.training, name):
            raise InputError(f"{where}: arm {arm} has another training.{name} than {comparison.baseline}")
