# Copyright 2026 The hf_variants authors. MIT licence.
"""What is learned from a block of tokens.

An objective is a small class with three things: `prepare` makes inputs and labels, `losses` scores a model's output
per token, and `metrics` names the `evaluate.Metric` classes that summarise an evaluation. It may have two more:
`for_model(config)` gives the objective as this model needs it, and `finish(model, corpus, block_size)` what a finished
model adds to the record (a dictionary). A recipe may name one of its own: `objective: my_objective.py:MyObjective`.
"""

import importlib.util
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..checking import InputError
from ..recipes.sections import ObjectiveArguments
from .causal_lm import CausalLanguageModeling
from .masked_lm import MaskedLanguageModeling
from .text_classification import TextClassification

OBJECTIVES: dict[str, type] = {
    "masked_lm": MaskedLanguageModeling,
    "causal_lm": CausalLanguageModeling,
    "text_classification": TextClassification,
}


def objective_class(name: str) -> type:
    """The class of the objective that a recipe names. Raises InputError where there is none."""
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise InputError(f"objective.objective: '{name}'; allowed: {', '.join(OBJECTIVES)}, path/to/file.py:ClassName")
    return _load_class(Path(path), class_name)


def build_objective(arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> Any:
    """The objective that the recipe names, given the run's tokenizer."""
    return objective_class(arguments.objective)(arguments, tokenizer)


def _load_class(path: Path, class_name: str) -> type:
    if not path.is_file():
        raise InputError(f"objective.objective: {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, class_name):
        raise InputError(f"objective.objective: {path} has no class {class_name}")
    return getattr(module, class_name)
