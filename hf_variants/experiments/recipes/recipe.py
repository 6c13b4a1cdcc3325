# Copyright 2026 The hf_variants authors. MIT licence.
"""A recipe: its sections, filled from one YAML file and then from command-line flags."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..checking import InputError, refuse_unknown
from .labels import LabelArguments
from .sections import DataArguments, ModelArguments, ObjectiveArguments, TokenizerArguments, TrainingArguments
from .stages import GrowthArguments

SECTIONS: dict[str, type] = {
    "model": ModelArguments,
    "data": DataArguments,
    "tokenizer": TokenizerArguments,
    "objective": ObjectiveArguments,
    "training": TrainingArguments,
    "growth": GrowthArguments,
    "labels": LabelArguments,
}


@dataclass
class Recipe:
    """One experiment: everything that decides what a run computes."""

    name: str
    description: str
    model: ModelArguments
    data: DataArguments
    tokenizer: TokenizerArguments
    objective: ObjectiveArguments
    training: TrainingArguments
    growth: GrowthArguments = field(default_factory=GrowthArguments)
    labels: LabelArguments = field(default_factory=LabelArguments)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, sections nested."""
        return dataclasses.asdict(self)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError where it is missing, unreadable or not a mapping."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        json.dumps(content, default=str, skipkeys=True)  # raises ValueError where an alias contains itself
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; a YAML file is expected") from None
    except RecursionError:
        raise InputError(f"{path}: not valid YAML: it is nested too deep, or contains itself") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueErrors: not UTF-8, February 30, endless digits
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a mapping is expected, found {type(content).__name__}")
    return content


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `changes` laid over it, mappings merged key by key."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def set_dotted(settings: dict[str, Any]) -> dict[str, Any]:
    """`{"training.learning_rate": 1e-3}` as nested mappings. Raises InputError where that can't be."""
    nested: dict[str, Any] = {}
    for dotted, value in settings.items():
        if not isinstance(dotted, str):
            raise InputError(f"{dotted!r}: no field; write section.field")
        *parents, last = dotted.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(f"{dotted}: '{parent}' has a value of its own beside it")
        if isinstance(place.get(last), dict):
            raise InputError(f"{dotted}: has a value of its own beside '{dotted}.{next(iter(place[last]))}'")
        place[last] = value
    return nested


def recipe_from_dict(content: dict[str, Any], where: str = "recipe") -> Recipe:
    """A validated recipe from nested mappings (a recipe file's content). Unknown keys raise InputError."""
    refuse_unknown(content, ["name", "description", *SECTIONS], where)
    sections = {}
    for section, cls in SECTIONS.items():
        values = content.get(section) or {}
        if not isinstance(values, dict):
            raise InputError(f"{where}: {section} must be a mapping, found {values!r}")
        refuse_unknown(values, [f.name for f in dataclasses.fields(cls)], f"{where}: {section}")
        sections[section] = cls(**values)
    return Recipe(name=str(content.get("name", "run")), description=str(content.get("description", "")), **sections)
