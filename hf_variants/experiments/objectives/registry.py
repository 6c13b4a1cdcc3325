# Copyright 2026 The hf_variants authors. MIT licence.
"""The objectives that a recipe may name.

An objective is a small subclass of `Objective` (base.py), which says what it may override. A recipe may name one of
its own: `objective: my_objective.py:MyObjective`.
"""

import importlib.util
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ..checking import InputError
from ..recipes.sections import ObjectiveArguments
from .base import Objective, check_objective
from .causal_lm import CausalLanguageModeling
from .masked_lm import MaskedLanguageModeling
from .text_classification import TextClassification

OBJECTIVES: dict[str, type[Objective]] = {
    "masked_lm": MaskedLanguageModeling,
    "causal_lm": CausalLanguageModeling,
    "text_classification": TextClassification,
}


def objective_class(name: str) -> type[Objective]:
    """The class of the objective that a recipe names. Raises InputError where there is none."""
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise InputError(f"objective.objective: '{name}'; allowed: {', '.join(OBJECTIVES)}, path/to/file.py:ClassName")
    return _load_class(Path(path), class_name)


def build_objective(arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> Objective:
    """The objective that the recipe names, given the run's tokenizer."""
    return objective_class(arguments.objective)(arguments, tokenizer)


def _load_class(path: Path, class_name: str) -> type[Objective]:
    if not path.is_file():
        raise InputError(f"objective.objective: {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = vars(module).get(class_name)
    if found is None:
        raise InputError(f"objective.objective: {path} has no class {class_name}")
    check_objective(found, f"objective.objective: {path}: {class_name}")
    return found
