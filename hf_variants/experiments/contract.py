# Copyright 2026 The hf_variants authors. MIT licence.
"""The base of typed objects with a JSON form: what passes between rooms and lies in files.

A field without a default is always written. One with a default is left out where it has that value, unless it is
declared `always`: that is how older files lack what was added later.
"""

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from .checking import InputError
from .files import read_json

SCHEMA = 1  # of records and results

AnyContract = TypeVar("AnyContract", bound="Contract")


def always(default: Any) -> Any:
    """A field that is written although it has its default."""
    return field(default=default, metadata={"always": True})


@dataclass(frozen=True, kw_only=True)
class Contract:
    """An object with a JSON form. What is read is written again as it was: in its order, and with what is unknown."""

    written: tuple[str, ...] = field(default=(), repr=False, compare=False)
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls: type[AnyContract], content: Any, where: str = "") -> AnyContract:
        """Reads the object. Raises InputError, beginning with `where`, for another schema and for what is missing."""
        if not isinstance(content, Mapping):
            raise InputError(f"{where or cls.__name__}: a {type(content).__name__}; an object is expected")
        readers = _readers(cls)
        schema = content.get("schema")
        if "schema" in readers and schema != SCHEMA:
            raise InputError(f"{where or cls.__name__}: schema {schema!r}, this version reads {SCHEMA}")
        for name in required(cls):
            if name not in content:
                raise InputError(f"{where or cls.__name__}: has no {name!r}")
        known, unknown = {}, {}
        for name, value in content.items():
            if name not in readers:
                unknown[name] = value
                continue
            reader = readers[name]
            known[name] = value if reader is None or value is None else reader(value, _inside(where, name))
        return cls(**known, unknown=unknown, written=tuple(content))

    def to_json(self) -> dict[str, Any]:
        """The object as plain JSON values."""
        values = {name: getattr(self, name) for name in _readers(type(self))}
        defaults = _defaults(type(self))
        names = dict.fromkeys((*self.written, *values, *self.unknown))
        found = {}
        for name in names:
            if name in self.unknown:
                found[name] = self.unknown[name]
            elif name in self.written or values[name] != defaults[name]:
                found[name] = plain(values[name])
        return found


def read(cls: type[AnyContract], path: Path) -> AnyContract:
    """The object in a JSON file. Raises InputError, which names the file."""
    return cls.from_json(read_json(path), str(path))


def plain(value: Any) -> Any:
    """A value as JSON has it: contracts as objects, tuples as lists."""
    if isinstance(value, Contract):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


# ---- fields ---------------------------------------------------------------------------------------------------------

Reader = Callable[[Any, str], Any]
_OWN = ("written", "unknown")


@functools.cache
def required(cls: type[Contract]) -> tuple[str, ...]:
    """The names without which there is no such object."""
    return tuple(f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)


@functools.cache
def _defaults(cls: type[Contract]) -> dict[str, Any]:
    """The values with which a field is left out; `MISSING` for those that are always written."""
    found = {}
    for f in fields(cls):
        default = f.default if f.default_factory is MISSING else f.default_factory()
        found[f.name] = MISSING if f.metadata.get("always") else default
    return found


@functools.cache
def _readers(cls: type[Contract]) -> dict[str, Reader | None]:
    """How the value of each field is read; None for a value that JSON has as it is."""
    hints = typing.get_type_hints(cls)
    return {f.name: _reader(hints[f.name]) for f in fields(cls) if f.name not in _OWN}


def _reader(hint: Any) -> Reader | None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Contract):
        return hint.from_json
    if origin in (typing.Union, types.UnionType):
        return _reader_of_union([t for t in inner if t is not type(None)])
    if origin is tuple:
        return _reader_of_list(_reader(inner[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _reader_of_mapping(_reader(inner[1]))
    return None


def _inside(where: str, name: str) -> str:
    """`results.json: arms.highway`: a place in a file."""
    return f"{where}.{name}" if ": " in where or not where else f"{where}: {name}"


def _reader_of_list(each: Reader | None) -> Reader:
    def read_each(value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: a {type(value).__name__}; a list is expected")
        return tuple(value if each is None else [each(v, where) for v in value])

    return read_each


def _reader_of_mapping(each: Reader | None) -> Reader:
    def read_each(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: a {type(value).__name__}; an object is expected")
        return value if each is None else {n: v if v is None else each(v, _inside(where, n)) for n, v in value.items()}

    return read_each


def _reader_of_union(inner: list[Any]) -> Reader | None:
    """Of several contracts, the first one whose names are all there."""
    if len(inner) == 1:
        return _reader(inner[0])
    contracts = [t for t in inner if isinstance(t, type) and issubclass(t, Contract)]

    def read_each(value: Any, where: str) -> Any:
        names = set(value) if isinstance(value, Mapping) else set()
        fitting = (cls for cls in contracts if set(required(cls)) <= names)
        return next(fitting, contracts[0]).from_json(value, where)

    return read_each if contracts else None
