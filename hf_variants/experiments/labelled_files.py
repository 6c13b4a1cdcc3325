# Copyright 2026 The hf_variants authors. MIT licence.
"""Tables of labelled text by split, from files, a URL or the Hub, in which every row knows where it comes from.

A `.txt` file holds a line `label ||| text` for each example, as the data of minBERT does; the text goes on to the end
of the line and may hold ` ||| ` again. In `.csv` and `.tsv` files double quotes enclose a field and stand doubled
inside one. The file `labels.txt` of a folder has the names of the labels, one a line, in the order of their ids.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .arguments import DataArguments, InputError
from .corpora import SPLITS, download, find_local, is_url, load_hub, split_files
from .text_files import suffix_of

MARK = " ||| "
LINE, RECORD, ROW = "line {}", "row {} (1 is the first below the header)", "row {} (0 is the first)"


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
    if (local / "labels.txt").is_file():
        names = [line for line in _decode(local / "labels.txt").splitlines() if line.strip()]
        for table in tables.values():
            table.names = dict.fromkeys(columns, names)
    return tables, None


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """The rows of one file, with those of `columns` that it has. Raises InputError."""
    suffix = suffix_of(path)
    if suffix == ".parquet":
        return _read_parquet(path, columns)
    if suffix in (".csv", ".tsv"):
        return _read_csv(path, columns, "\t" if suffix == ".tsv" else ",")
    return _read_jsonl(path, columns) if suffix in (".jsonl", ".jsonl.gz") else _read_marked(path, columns)


def _decode(path: Path, separator: str | None = None) -> str:
    """The text of a file. With a `separator`, an error counts the file's records, otherwise its lines."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        place = LINE.format(before.count("\n") + 1)
        if separator is not None:
            row = sum(1 for _ in csv.reader(io.StringIO(before + "?", newline=""), delimiter=separator)) - 1
            place = RECORD.format(row) if row else "the header"
        raise InputError(f"{path}: not UTF-8 at byte {error.start}, in {place}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers. `splitlines` would also cut at U+2028 and at form feeds."""
    for number, line in enumerate(_decode(path).split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _read_marked(path: Path, columns: Sequence[str]) -> Table:
    numbers, labels, texts = [], [], []
    for number, line in _lines(path):
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
    for number, line in _lines(path):
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


def _read_csv(path: Path, columns: Sequence[str], separator: str) -> Table:
    records = _records(path, separator)
    if not records or records[0][0] > 0:
        raise InputError(f"{path}: the first line is empty; a header with the names of the columns is expected")
    (_, header), *rows = records
    for number, record in rows:
        if len(record) != len(header):
            raise InputError(f"{path}: {RECORD.format(number)}: {len(record)} fields, the header has {len(header)}")
    for name in columns:
        if header.count(name) > 1:
            raise InputError(f"{path}: column '{name}' stands there {header.count(name)} times")
    found = {name: [row[header.index(name)] for _, row in rows] for name in columns if name in header}
    return Table(str(path), RECORD, [number for number, _ in rows], found, header)


def _records(path: Path, separator: str) -> list[tuple[int, list[str]]]:
    """The records that are not blank, with their numbers; the header's is 0."""
    records: list[list[str]] = []
    with _long_fields():
        text = _decode(path, separator)
        try:
            for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
                records.append(record)  # one by one, so that an error knows how many came before
        except csv.Error as error:
            place = RECORD.format(len(records)) if records else "the header"
            rule = "double quotes enclose a field and stand doubled inside one"
            raise InputError(f"{path}: {place}: {error}; {rule}") from None
    return [(number, record) for number, record in enumerate(records) if record]


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)  # of the whole process, hence put back
    try:
        yield
    finally:
        csv.field_size_limit(before)


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
    loaded, tables = load_hub(arguments), {}
    for split in [name for name in SPLITS if name in loaded]:
        part = loaded[split]
        found = {name: list(part[name]) for name in columns if name in part.column_names}
        names = {name: _class_names(part.features[name]) for name in found}
        tables[split] = Table(
            f"{arguments.dataset} ({split})",
            ROW,
            range(part.num_rows),
            found,
            list(part.column_names),
            {name: classes for name, classes in names.items() if classes},
        )
    return tables


def _class_names(feature: Any) -> list[str] | None:
    """The names of a `ClassLabel`, or of a list of such."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
