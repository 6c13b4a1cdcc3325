# Copyright 2026 The hf_variants authors. MIT licence.
"""What the cells of a row say about its label: a class, several labels at once, or a number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checking import InputError
from ..recipes.labels import ANY_OF_NAMES, MULTI, REGRESSION, SINGLE, LabelArguments

NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)
LARGEST = 2**53  # up to here every whole number is itself in floating point
STRAY = 0.01  # so small a share of labels that are no whole numbers are mistakes rather than scores
SHOWN = 10  # of a longer list, an error message shows so many

Value = int | float | str | None


class BadRowError(ValueError):
    """What is wrong with one row; whoever reads the rows knows which it is."""


class UnknownLabelError(BadRowError):
    """The label of a row is none of those that there may be; it may be that of a whole class."""


def read_cell(value: Any) -> Value:
    """The number or the text in a cell, None where it is empty: `1`, `"1"`, `"1.0"` and `True` are the number 1.

    Raises BadRowError for anything else.
    """
    if isinstance(value, str):
        if not NUMBER.fullmatch(value.strip()):
            return value.strip() or None
        value = float(value)
    if value is None or isinstance(value, float) and not value.is_integer():
        return value
    if not isinstance(value, (int, float)):  # a bool is an int
        raise BadRowError(f"label {value!r:.60}; a number or a text is expected")
    if abs(value) > LARGEST:
        raise BadRowError(f"label {value!r:.30} is too large; allowed: up to {LARGEST}")
    return int(value)


def read_list(value: Any) -> list[Value]:
    """The labels in one cell: a list, or text such as `2,5` or `[2, 5]`. Raises BadRowError for anything else."""
    if isinstance(value, str) and value.strip():
        return [read_cell(part.strip().strip("'\"")) for part in value.strip().strip("[]").split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        return [read_cell(item) for item in value]
    raise BadRowError("the label is missing" if value in (None, "") else f"labels {value!r:.60}; a list is expected")


def occurrences(rows: Sequence[tuple[Any, ...]], row: tuple[Any, ...]) -> int:
    """How many of `rows` have the labels of `row`."""
    wanted = _comparable(row)
    return sum(_comparable(other) == wanted for other in rows)


def same_in_all(rows: Sequence[tuple[Any, ...]]) -> str | None:
    """What the labels of all rows are, in words, where they do not differ; None where they do."""
    first = _comparable(rows[0]) if rows else None
    if first is None or any(_comparable(row) != first for row in rows):
        return None
    one = f"are {', '.join(map(str, first))}" if set(first) != {"None"} else "are missing"
    return f"all {len(rows)} labels {one}"


def _comparable(row: tuple[Any, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(cell if isinstance(cell, (list, tuple)) else read_cell(cell)) for cell in row)
    except BadRowError:
        return tuple(map(repr, row))


# ---- one reading for all rows --------------------------------------------------------------------------------------


@dataclass
class Scheme:
    """How labels are read: the kind of problem, the names of the labels by id, and the ids of what the data holds."""

    arguments: LabelArguments
    problem_type: str
    names: list[str]
    lookup: dict[int | str, int] = field(default_factory=dict)

    def read(self, cells: Sequence[Any]) -> int | float | list[int]:
        """The label of a row from the cells of its label columns. Raises BadRowError."""
        if self.arguments.label_columns:
            flags = [_flag(cell, name) for cell, name in zip(cells, self.arguments.label_columns, strict=True)]
            return max(flags) if self.arguments.any_of else flags
        if self.problem_type == MULTI:
            ids = {self._id(cell) for cell in read_list(cells[0])}
            return [int(label in ids) for label in range(len(self.names))]
        return _score(read_cell(cells[0])) if self.problem_type == REGRESSION else self._id(read_cell(cells[0]))

    def array(self, labels: list[Any]) -> np.ndarray:
        """int64 `(n,)`, int64 `(n, labels)` or float32 `(n,)`."""
        if self.problem_type == MULTI:
            return np.array(labels, dtype=np.int64).reshape(-1, len(self.names))
        return np.array(labels, dtype=np.float32 if self.problem_type == REGRESSION else np.int64)

    def _id(self, cell: Value) -> int:
        if cell is None:
            raise BadRowError("the label is missing")
        if cell not in self.lookup:
            raise UnknownLabelError(self._complaint(cell))
        return self.lookup[cell]

    def _complaint(self, cell: int | float | str) -> str:
        numeric = not isinstance(next(iter(self.lookup)), str)
        if isinstance(cell, str) == numeric:
            kinds = ("a text", "numbers") if numeric else ("a number", "texts")
            return f"label {cell!r:.60} is {kinds[0]}, the others are {kinds[1]}"
        if isinstance(cell, float):
            return f"label {cell} is no whole number" + (
                "; if it is a score: labels.problem_type: regression" if np.isfinite(cell) else ""
            )
        keys = list(self.lookup)
        is_range = keys in (list(range(len(keys))), list(range(1, len(keys) + 1)))
        return f"label {cell!r:.60}; allowed: " + (f"{keys[0]} to {keys[-1]}" if is_range else _some(keys))


def find_scheme(arguments: LabelArguments, rows: list[tuple[Any, ...]], given: list[str] | None) -> Scheme:
    """The scheme of `rows`, the cells of the label columns in the training data.

    `given` are names that come with the data, in the order of their ids. Raises InputError where the rows hold nothing
    that could be a label.
    """
    if arguments.any_of:
        return Scheme(arguments, SINGLE, arguments.label_names or list(ANY_OF_NAMES))
    if arguments.label_columns:
        return Scheme(arguments, MULTI, arguments.label_names or list(arguments.label_columns))
    cells = [cell for (value,) in rows for cell in _cells(arguments, value)]
    if arguments.label_list_column is None and _is_regression(arguments, cells, given):
        return Scheme(arguments, REGRESSION, [arguments.label_column])
    names, lookup = _names(arguments, cells, given)
    return Scheme(arguments, MULTI if arguments.label_list_column else SINGLE, names, lookup)


def _cells(arguments: LabelArguments, value: Any) -> list[int | float | str]:
    """The labels in one cell, none where it is bad: the row is complained about when it is read."""
    try:
        cells = read_list(value) if arguments.label_list_column else [read_cell(value)]
    except BadRowError:
        return []
    return [cell for cell in cells if cell is not None]


def _is_regression(arguments: LabelArguments, cells: list[int | float | str], given: list[str] | None) -> bool:
    if arguments.problem_type is not None or arguments.label_names or given:
        return arguments.problem_type == REGRESSION
    numbers = [cell for cell in cells if not isinstance(cell, str) and np.isfinite(cell)]
    broken = sum(isinstance(number, float) for number in numbers)
    return 2 * len(numbers) >= len(cells) and broken > STRAY * len(numbers)


def _names(
    arguments: LabelArguments, cells: list[int | float | str], given: list[str] | None
) -> tuple[list[str], dict[int | str, int]]:
    """The names of the classes, and the id of each text or number that stands for one.

    The commoner of texts and numbers are the labels. Texts are names. Numbers are ids where names are known, unless
    these are numbers themselves; without names, the sorted numbers are the classes. Ids count from 0, or from 1 where
    all of 1 to n occur for n names and 0 does not.
    """
    texts = sum(isinstance(cell, str) for cell in cells)
    kind = str if 2 * texts > len(cells) else int
    names = arguments.label_names or given
    if not names:
        found = sorted({cell for cell in cells if isinstance(cell, kind) and (kind is str or cell >= 0)})
        if not found:
            raise InputError(_nothing_found(arguments, cells))
        return list(map(str, found)), {cell: label for label, cell in enumerate(found)}
    if given and len(names) != len(given) and kind is int:
        raise InputError(f"labels.label_names: {len(names)} names; the data set has {len(given)}: {_some(given)}")
    if kind is str:
        return names, {name: label for label, name in enumerate(names)}
    keys = (None if given else _numbers(names)) or _ids(len(names), cells)
    return names, {key: label for label, key in enumerate(keys)}


def _ids(count: int, cells: list[int | float | str]) -> list[int]:
    """The ids of so many classes, as the cells count them."""
    first = int(0 not in cells and set(range(1, count + 1)).issubset(cells))
    return list(range(first, first + count))


def _numbers(names: list[str]) -> list[int | float]:
    """The names as numbers, if that is what they are. Raises InputError where only some are."""
    numbers = [cell for cell in map(read_cell, names) if isinstance(cell, (int, float))]
    if numbers and len(set(numbers)) != len(names):
        raise InputError(f"labels.label_names: {_some(names)}; allowed: texts alone, or different numbers alone")
    return numbers


def _some(names: Sequence[int | float | str]) -> str:
    return ", ".join(map(str, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")


def _nothing_found(arguments: LabelArguments, cells: list[int | float | str]) -> str:
    column = arguments.columns()[0]
    if not cells:
        return f"column '{column}' holds no label in any row"
    allowed = "texts, or whole numbers from 0 (or list labels.label_names)"
    return f"column '{column}' holds {cells[0]!r:.60}; allowed: {allowed}"


def _flag(value: Any, column: str) -> int:
    cell = read_cell(value)
    if cell is None:
        raise BadRowError(f"the label is missing in column '{column}'")
    if cell not in (0, 1):
        raise BadRowError(f"label {cell!r:.60} in column '{column}'; allowed: 0 and 1")
    return int(cell)


def _score(cell: Value) -> float:
    if cell is None:
        raise BadRowError("the label is missing")
    if isinstance(cell, str):
        raise BadRowError(f"label {cell!r:.60} is no number")
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(cell)):
            raise BadRowError(f"label {cell} is not finite")
    return float(cell)
