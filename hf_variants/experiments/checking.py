# Copyright 2026 The hf_variants authors. MIT licence.
"""What is wrong with an input, said in one line: errors, and checks of types, ranges and names."""

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

LARGEST = 10**15  # of whole numbers: products of two of them still fit into what counts steps and tokens


class InputError(ValueError):
    """Something the user gave is wrong. Programs print it as one line and exit with code 2."""


class NotUtf8Error(InputError):
    """A file is not UTF-8; raised behind all text that stands before the bad byte."""


class DivergedError(InputError):
    """The loss of a run is no longer finite."""


@dataclass(frozen=True)
class Range:
    """Which numbers are allowed: from `low` to `high`, these included unless they are open; no end where None."""

    low: float
    high: float | None = None
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        low = value > self.low if self.low_open else value >= self.low
        return low and (self.high is None or (value < self.high if self.high_open else value <= self.high))

    def __str__(self) -> str:
        if self.high is None:
            return f"above {self.low}" if self.low_open else f"from {self.low} up"
        high = self.high if isinstance(self.high, int) else format(self.high, ".6g")
        return f"{'above' if self.low_open else 'from'} {self.low} {'to below' if self.high_open else 'to'} {high}"

    def check(self, where: str, value: float) -> None:
        """Raises InputError unless `value` lies within."""
        if value not in self:
            raise InputError(f"{where}: {value}; allowed: {self}")


def about(
    text: str, default: Any = None, factory: Callable[[], Any] | None = None, allowed: Range | None = None
) -> Any:
    """A field of a dataclass of arguments: what it says, its default, and for numbers what they may be.

    `check_types` holds the field, or each item of a list, to `allowed`; help shows it.
    """
    metadata = {"help": text, "allowed": allowed}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def non_defaults(arguments: Any) -> dict[str, Any]:
    """The fields of a dataclass of arguments that differ from their default."""
    found = {}
    for f in dataclasses.fields(arguments):
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if getattr(arguments, f.name) != default:
            found[f.name] = getattr(arguments, f.name)
    return found


def refuse_unknown(content: dict[str, Any], allowed: Sequence[str], where: str) -> None:
    """Raises InputError for the first key that is not allowed, with the nearest allowed one."""
    for key in content:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(allowed)}"
            raise InputError(f"{where}: unknown key '{key}'; {hint}")


def parse_overrides(text: str) -> dict[str, Any]:
    """`a=1,b=two` as a mapping, values read as YAML."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise InputError(f"--overrides {text}: write field=value,field=value")
    try:
        return {name.strip(): yaml.safe_load(value) for name, _, value in pairs}
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise InputError(f"--overrides {text}: a value is not valid YAML") from None


def check_types(arguments: Any, section: str) -> None:
    """Compares each field with its annotation, in place: YAML reads `1e-3` as a string, so numbers are converted.

    Then with the range that the field declares (`about`), but for what is None.
    """
    hints = typing.get_type_hints(type(arguments))
    for f in dataclasses.fields(arguments):
        value = _convert(getattr(arguments, f.name), hints[f.name], f"{section}.{f.name}")
        setattr(arguments, f.name, value)
    for f in dataclasses.fields(arguments):
        if (allowed := f.metadata.get("allowed")) is not None:
            value = getattr(arguments, f.name)
            for item in value if isinstance(value, list) else [] if value is None else [value]:
                allowed.check(f"{section}.{f.name}", item)


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if dict in inner and type(None) not in inner:
            value = parse_overrides(value) if isinstance(value, str) else (value or {})  # null drops a base's mapping
        if value is None and type(None) in inner:
            return None
        return _convert(value, next(t for t in inner if t is not type(None)), where)
    if origin is Literal:
        value = "no" if value is False and "no" in inner else value  # YAML reads a bare `no` as false
        if value not in inner:
            raise InputError(f"{where}: '{value}'; allowed: {', '.join(map(str, inner))}")
        return value
    if origin is list:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: {value!r}; a list is expected")
        return [_convert(v, inner[0], where) for v in value]
    return _convert_plain(value, hint, where)


def _convert_plain(value: Any, kind: type, where: str) -> Any:
    if kind is not str and isinstance(value, str) and kind in (int, float):
        try:
            value = float(value)
        except ValueError:
            raise InputError(f"{where}: '{value}'; a number is expected") from None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and kind in (int, float):
        _check_size(value, kind, where)
    if is_number and kind is float:
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where}: {value!r}; {kind.__name__} is expected")
    return value


def _check_size(value: int | float, kind: type, where: str) -> None:
    if value != value or abs(value) == math.inf:
        raise InputError(f"{where}: {value}; a finite number is expected")
    largest = LARGEST if kind is int else sys.float_info.max
    if abs(value) > largest:
        raise InputError(f"{where}: a number this large; allowed: up to {largest:.0e}")  # it may have no end of digits


def check_range(where: str, value: float, low: float, high: float | None = None, low_open: bool = False) -> None:
    """Raises InputError unless low <= value <= high (low < value where `low_open`)."""
    Range(low, high, low_open).check(where, value)


def as_mapping(value: Any, where: str) -> dict[str, Any]:
    """`value`, if it is one. Raises InputError otherwise."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: {value!r}; a mapping is expected")
    return value


def as_whole(value: Any, where: str) -> int:
    """`value`, if it is a whole number. Raises InputError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{where}: {value!r}; a whole number is expected")
    return value


class StoppedError(Exception):
    """A run ended before its end because a signal asked it to; its message is empty in all processes but one.

    `code` is 128 + the signal's number, 143 for SIGTERM: what a shell reports of a program that the signal ended. The
    rules that schedulers have for preempted jobs therefore fit (SLURM's RequeueExit, podFailurePolicy of Kubernetes).
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number
