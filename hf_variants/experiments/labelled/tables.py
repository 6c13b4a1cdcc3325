# Copyright 2026 The hf_variants authors. MIT licence.
"""Tables of labelled text by split, from files, a URL or the Hub, in which every row knows where it comes from.

A `.txt` file holds a line `label ||| text` for each example, as the data of minBERT does; the text goes on to the end
of the line and may hold ` ||| ` again. How `.csv` and `.tsv` files are read, text/delimited.py says. The file
`labels.txt` of a folder has the names of the labels, one a line, in the order of their ids.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checking import InputError
from ..recipes.sections import DataArguments
from ..text.delimited import ROW as RECORD
from ..text.delimited import read_records, refuse_twice
from ..text.files import numbered_lines, read_lines, suffix_of
from ..text.sources import download, find_local, hub_tables, is_url
from ..text.split_files import LABELS, split_files

MARK = " ||| "
LINE, ROW = "line {}", "row {} (0 is the first)"


@dataclass
class Table:
    """Columns of one split. `columns` holds those asked for that there are, `have` the names of all.

    `names` are names of classes that come with the data, in the order of their ids, by column.
    """

    source: str
    counted: str
    numbers: Sequence[int]
    columns: dict[str, list[Any]]
    have: list[str]
    names: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int) -> str:
        """Where a row stands, such as `train.csv: row 17 (1 is the first below the header)`."""
        return f"{self.source}: {self.counted.format(self.numbers[row])}"

    def require(self, columns: Sequence[str]) -> None:
        """Raises InputError for the first column that is missing."""
        for column in columns:
            if column not in self.columns:
                raise InputError(f"{self.source}: no column '{column}'; there are: {', '.join(map(str, self.have))}")

    def rows(self, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """The cells of `columns` in every row."""
        return list(zip(*(self.columns[column] for column in columns), strict=True))


def read_tables(arguments: DataArguments, columns: Sequence[str]) -> tuple[dict[str, Table], str | None]:
    """The splits that `data` names, with those of `columns` that they have; and their name on the Hub, if any.

    Raises InputError where there is no such data, or where a file is broken.
    """
    name = arguments.dataset
    if is_url(name):
        return {"train": read_table(download(name, arguments.sha256), columns)}, None
    local = find_local(name)
    if local is None:
        return _from_hub(arguments, columns), name
    tables = {split: read_table(file, columns) for split, file in split_files(local).items()}
    if (local / LABELS).is_file():
        names = [line for _, line in numbered_lines(local / LABELS)]
        for table in tables.values():
            table.names = dict.fromkeys(columns, names)
    return tables, None


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """The rows of one file, with those of `columns` that it has. Raises InputError."""
    suffix = suffix_of(path)
    if suffix == ".parquet":
        return _read_parquet(path, columns)
    if suffix in (".csv", ".tsv"):
        return _read_delimited(path, columns)
    return _read_jsonl(path, columns) if suffix in (".jsonl", ".jsonl.gz") else _read_marked(path, columns)


def _read_marked(path: Path, columns: Sequence[str]) -> Table:
    numbers, labels, texts = [], [], []
    for number, line in numbered_lines(path):
        label, mark, text = line.partition(MARK)
        if not mark:
            raise InputError(
                f"{path}: {LINE.format(number)}: no '{MARK}'; a text file of labelled data has lines `label ||| text`"
            )
        numbers.append(number)
        labels.append(label)
        texts.append(text)
    found = {"label": labels, "text": texts}
    return Table(str(path), LINE, numbers, {name: found[name] for name in columns if name in found}, list(found))


def _read_jsonl(path: Path, columns: Sequence[str]) -> Table:
    numbers, rows, have = [], [], {}
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # ValueError also of a number with thousands of digits
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{path}: {LINE.format(number)}: not a JSON object")
        numbers.append(number)
        have |= dict.fromkeys(row)
        rows.append({name: row.get(name) for name in columns})
    found = {name: [row[name] for row in rows] for name in columns if name in have}
    return Table(str(path), LINE, numbers, found, list(have))


def _read_delimited(path: Path, columns: Sequence[str]) -> Table:
    records = read_records(path, read_lines(path))
    _, header = next(records)
    refuse_twice(path, header, columns)
    places = {name: header.index(name) for name in columns if name in header}
    numbers, found = [], {name: [] for name in places}
    for number, record in records:
        numbers.append(number)
        for name, place in places.items():
            found[name].append(record[place])
    return Table(str(path), RECORD, numbers, found, header)


def _read_parquet(path: Path, columns: Sequence[str]) -> Table:
    import pyarrow.parquet

    try:
        have = pyarrow.parquet.read_schema(path).names
        wanted = [name for name in dict.fromkeys(columns) if name in have]
        table = pyarrow.parquet.read_table(path, columns=wanted)
        found = {name: table[name].to_pylist() for name in wanted}
    except (ValueError, OSError, KeyError) as error:  # pyarrow's errors are of these kinds
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    return Table(str(path), ROW, range(table.num_rows), found, have)


def _from_hub(arguments: DataArguments, columns: Sequence[str]) -> dict[str, Table]:
    tables = {}
    for split, part, where in hub_tables(arguments):
        found = {name: list(part[name]) for name in columns if name in part.column_names}
        names = {name: _class_names(part.features[name]) for name in found}
        classes = {name: found for name, found in names.items() if found}
        have = list(part.column_names)
        tables[split] = Table(where.removeprefix("data: "), ROW, range(part.num_rows), found, have, classes)
    return tables


def _class_names(feature: Any) -> list[str] | None:
    """The names of a `ClassLabel`, or of a list of such."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
