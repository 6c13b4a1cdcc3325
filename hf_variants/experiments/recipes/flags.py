# Copyright 2026 The hf_variants authors. MIT licence.
"""A flag for every field of a recipe, and the command line that says the same again."""

import argparse
import dataclasses
import shlex
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal

from ..checking import InputError, parse_overrides
from .recipe import SECTIONS
from .sections import BUDGETS
from .stages import GrowthArguments

WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}  # of a flag that is on or off


def recipe_flags(parser: argparse.ArgumentParser, only: dict[str, Sequence[str]] | None = None) -> None:
    """Adds a flag for every field of every section, or for those fields of some; absent flags leave no trace."""
    for section, cls in SECTIONS.items():
        if cls is GrowthArguments or (only is not None and section not in only):  # a list of mappings is no flag
            continue
        group = parser.add_argument_group(section, cls.__doc__)
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if only is None or field.name in only[section]:
                add_flag(group, field, hints[field.name])


def add_flag(parser: argparse._ArgumentGroup, field: dataclasses.Field, hint: Any) -> None:
    """Adds the flag of one field of a dataclass of arguments, which leaves no trace where it is not given."""
    kind = next((kind for kind in typing.get_args(hint) if kind is not type(None)), hint) if _is_union(hint) else hint
    how: dict[str, Any] = {"type": kind, "metavar": kind.__name__.upper() if kind in (int, float, str) else None}
    if typing.get_origin(kind) is Literal:
        how = {"choices": typing.get_args(kind)}
    elif typing.get_origin(kind) is list:
        item = typing.get_args(kind)[0]
        how = {"type": item, "nargs": "+", "metavar": item.__name__.upper()}
    elif kind is dict:
        how = {"type": _overrides_flag, "metavar": "FIELD=VALUE,…"}
    elif kind is bool:
        how = {"type": _on_or_off, "nargs": "?", "const": True, "metavar": "true|false"}
    common = {"default": argparse.SUPPRESS, "dest": field.name, "help": help_of(field)}
    parser.add_argument(f"--{field.name}", **how, **common)
    if kind is bool and field.default is True:
        common["help"] = f"the opposite of --{field.name}"
        parser.add_argument(f"--no_{field.name}", action="store_false", **common)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def help_of(field: dataclasses.Field) -> str:
    """What a field says, what it may be, and its default, for argparse."""
    is_set = field.default not in (dataclasses.MISSING, None, "") and not isinstance(field.default, bool)
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    notes = [str(field.metadata["allowed"])] if field.metadata["allowed"] is not None else []
    if is_set or (isinstance(default, list) and default):
        notes.append(f"default: {_as_flag(default)}")
    elif default is True:
        notes.append("default: true")
    return (field.metadata["help"] + (f" [{'; '.join(notes)}]" if notes else "")).replace("%", "%%")


def _on_or_off(text: str) -> bool:
    if text.lower() not in WORDS:
        raise argparse.ArgumentTypeError(f"'{text}'; allowed: {', '.join(WORDS)}")
    return WORDS[text.lower()]


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
    """The command line that makes the same again: the program, --config, --output_dir and the recipe's flags."""
    parts = [program, f"--config {options.config}", f"--output_dir {options.output_dir}"]
    for values in flags_as_recipe(options).values():
        parts += [f"--{n} {_as_flag(v)}" for n, v in values.items() if v is not None or n not in BUDGETS]
    return " ".join(parts)


def _as_flag(value: Any) -> str:
    if isinstance(value, dict):
        return shlex.quote(",".join(f"{name}={item}" for name, item in value.items()))
    return shlex.join(map(str, value if isinstance(value, list) else [value]))
