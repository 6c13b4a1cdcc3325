# Copyright 2026 The hf_variants authors. MIT licence.
"""Tables of labelled text by split, from files, a URL or the Hub, in which every row knows where it comes from.

A `.txt` file holds a line `label ||| text` for each example, as the data of minBERT does; the text goes on to the end
of the line and may hold ` ||| ` again. How `.csv` and `.tsv` files are read, text/delimited.py says. The file
`labels.txt` of a folder has the names of the labels, one a line, in the order of their ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checking import InputError
from ..recipes.sections import DataArguments
from ..text.files import LINE, TEXT_SUFFIXES, Row, Rows, numbered_lines, suffix_of, table_rows
from ..text.sources import download, find_local, hub_rows, hub_tables, is_url
from ..text.split_files import LABELS, split_files

SEPARATOR, MARKED = " ||| ", ("label", "text")


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
    if suffix_of(path) in TEXT_SUFFIXES:
        return table_of(Rows(str(path), LINE, MARKED, _read_marked(path), list(MARKED)), columns)
    return table_of(table_rows(path, columns, complete=False), columns)


def table_of(rows: Rows, columns: Sequence[str]) -> Table:
    """All rows, with those of `columns` that they have. Raises InputError where they can't be read."""
    numbers, values = [], []
    for row in rows:
        numbers.append(rows.number)
        values.append(row)
    by_name = dict(zip(rows.columns, zip(*values, strict=True) if values else [()] * len(rows.columns), strict=True))
    found = {name: list(by_name[name]) for name in columns if name in rows.have}
    return Table(rows.source, rows.counted, numbers, found, rows.have)


def _read_marked(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in numbered_lines(path):
        label, mark, text = line.partition(SEPARATOR)
        if not mark:
            raise InputError(
                f"{path}: {LINE.format(number)}: no '{SEPARATOR}'; a text file of labelled data has lines "
                "`label ||| text`"
            )
        yield number, (label, text)


def _from_hub(arguments: DataArguments, columns: Sequence[str]) -> dict[str, Table]:
    tables = {}
    for split, part, where in hub_tables(arguments):
        wanted = [name for name in columns if name in part.column_names]
        rows = hub_rows(part, wanted, where.removeprefix("data: "))
        rows.have += part.column_names
        tables[split] = table_of(rows, wanted)
        names = {name: _class_names(part.features[name]) for name in wanted}
        tables[split].names = {name: found for name, found in names.items() if found}
    return tables


def _class_names(feature: Any) -> list[str] | None:
    """The names of a `ClassLabel`, or of a list of such."""
    import datasets

    one = feature.feature if isinstance(feature, (datasets.List, datasets.LargeList)) else feature
    return one.names if isinstance(one, datasets.ClassLabel) else None
