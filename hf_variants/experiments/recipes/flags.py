# Copyright 2026 The hf_variants authors. MIT licence.
"""A flag for every field of a recipe, and the command line that says the same again."""

import argparse
import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from ..checking import InputError, parse_overrides
from .recipe import SECTIONS
from .sections import BUDGETS
from .stages import GrowthArguments


def recipe_flags(parser: argparse.ArgumentParser, only: dict[str, Sequence[str]] | None = None) -> None:
    """Adds a flag for every field of every section, or for those fields of some; absent flags leave no trace."""
    from transformers import HfArgumentParser

    for section, cls in SECTIONS.items():
        if cls is GrowthArguments or (only is not None and section not in only):  # a list of mappings is no flag
            continue
        flags = HfArgumentParser(cls, add_help=False, argument_default=argparse.SUPPRESS)
        group = parser.add_argument_group(section, cls.__doc__)
        for action in flags._actions:
            if only is not None and action.dest not in only[section]:
                continue
            action.default = argparse.SUPPRESS
            if action.dest == "overrides":
                action.type = _overrides_flag
            group._add_action(action)


def _overrides_flag(text: str) -> dict[str, Any]:
    try:
        return parse_overrides(text)
    except InputError as error:  # argparse would replace the words of a ValueError with its own
        raise argparse.ArgumentTypeError(str(error)) from None


def flags_as_recipe(namespace: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given, as a nested mapping to merge over a recipe file. A budget replaces the file's."""
    given = dict(vars(namespace))
    if any(name in given for name in BUDGETS):
        given = dict.fromkeys(BUDGETS) | given
    nested = {
        section: {f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given}
        for section, cls in SECTIONS.items()
    }
    return {section: values for section, values in nested.items() if values}


def command(program: str, options: argparse.Namespace) -> str:
    """The command line that makes the same again: --config, --output_dir and the recipe's flags."""
    parts = [
        f"accelerate launch training/{program}",
        f"--config {options.config}",
        f"--output_dir {options.output_dir}",
    ]
    for values in flags_as_recipe(options).values():
        parts += [f"--{n} {_as_flag(v)}" for n, v in values.items() if v is not None or n not in BUDGETS]
    return " ".join(parts)


def _as_flag(value: Any) -> str:
    if isinstance(value, dict):
        return shlex.quote(",".join(f"{name}={item}" for name, item in value.items()))
    return shlex.join(map(str, value if isinstance(value, list) else [value]))
