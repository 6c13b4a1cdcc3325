# Copyright 2026 The hf_variants authors. MIT licence.
"""Rows of one file, or pieces of one text, as they are read: a file need not fit into memory."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checking import InputError, NotUtf8Error
from .delimited import RECORD, read_records, refuse_twice

TEXT_SUFFIXES = (".txt", ".txt.gz")
LINES = (".jsonl", ".jsonl.gz")
SUFFIXES = (*TEXT_SUFFIXES, *LINES, ".csv", ".tsv", ".parquet")
BLOCK = 1 << 20  # bytes that are decoded at a time
ROWS = 4096  # rows of a table that are in memory at a time

LINE, ROW = "line {}", "row {} (0 is the first)"
NO_JSON = (ValueError, RecursionError)  # ValueError also of a number with thousands of digits

Row = tuple[Any, ...]


@dataclass
class Rows:
    """The rows of one file or table, read once, from the first to the last. The one that was read last has a place.

    `columns` are those whose values a row holds, `have` the names of all that were seen; `counted` is what a row is
    called by its number.
    """

    source: str
    counted: str
    columns: Sequence[str]
    numbered: Iterator[tuple[int, Row]]
    have: list[str] = field(default_factory=list)
    number: int = -1

    def __iter__(self) -> Iterator[Row]:
        for number, values in self.numbered:
            self.number = number
            yield values

    @property
    def place(self) -> str:
        """Where the last row stands, such as `train.csv: row 17 (1 is the first below the header)`."""
        return f"{self.source}: {self.counted.format(self.number)}"


def suffix_of(path: Path) -> str:
    """Which of SUFFIXES a file's name ends with. Raises InputError where it is none of them."""
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"data.dataset: {path}: unknown kind of file; allowed: {', '.join(SUFFIXES)}")
    return suffix


def read_rows(path: Path, columns: Sequence[str]) -> Rows:
    """The values of `columns` in each row; a text file is a single row with a single value.

    Raises InputError, some of it only when the rows are asked for: for another kind of file, a column that there is
    not, text that is not UTF-8, and whatever else can't be read.
    """
    if suffix_of(path) in TEXT_SUFFIXES:
        require_text(path, columns)
        return Rows(str(path), "the text", columns, iter([(0, ("".join(read_pieces(path)),))]))
    return table_rows(path, columns, complete=True)


def table_rows(path: Path, columns: Sequence[str], complete: bool) -> Rows:
    """The same of a file that is no text. Unless they must be `complete`, a value that there is not is None."""
    suffix, have = suffix_of(path), []
    if suffix in LINES:
        return Rows(str(path), LINE, columns, _read_jsonl(path, columns, complete, have), have)
    read, counted = (_read_parquet, ROW) if suffix == ".parquet" else (_read_delimited, RECORD)
    return Rows(str(path), counted, columns, read(path, columns, complete, have), have)


def require_text(path: Path, columns: Sequence[str]) -> None:
    """Raises InputError where a text file is asked for several columns; it has no more than its text."""
    if len(columns) > 1:
        raise InputError(f"data.dataset: {path}: a text file has no columns {', '.join(columns)}")


def read_pieces(path: Path) -> Iterator[str]:
    """The text of a file in pieces of about BLOCK characters, without a mark of its byte order.

    Raises InputError where it is not UTF-8.
    """
    begun = False
    for piece in _pieces(path):
        yield piece if begun else piece.removeprefix("\ufeff")
        begun = begun or piece != ""


def _pieces(path: Path) -> Iterator[str]:
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    with _readable(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while block := file.read(BLOCK):
            yield from _decoded(decoder, block, path, before)
            before += len(block)
        yield from _decoded(decoder, b"", path, before, final=True)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def _decoded(
    decoder: codecs.IncrementalDecoder, block: bytes, path: Path, before: int, final: bool = False
) -> Iterator[str]:
    kept, broken = len(decoder.getstate()[0]), None  # bytes of a character that the last block cut in two
    try:
        text = decoder.decode(block, final)
    except UnicodeDecodeError as error:
        text, broken = error.object[: error.start].decode("utf-8"), before - kept + error.start
    yield text
    if broken is not None:
        raise NotUtf8Error(f"{path}: not UTF-8 at byte {broken}")


def read_lines(path: Path) -> Iterator[str]:
    """Lines without their line feeds. `splitlines` would also cut at U+2028, which JSON may hold as it is."""
    rest = ""
    for piece in read_pieces(path):
        *lines, rest = (rest + piece).split("\n")
        yield from lines
    if rest:
        yield rest


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1. Raises InputError, naming the line."""
    number, lines = 0, read_lines(path)
    while True:
        try:
            line = next(lines, None)
        except NotUtf8Error as error:
            raise InputError(f"{error}, in line {number + 1}") from None
        if line is None:
            return
        number += 1
        if line.strip():
            yield number, line.removesuffix("\r")


Numbered = Iterator[tuple[int, Row]]  # rows by their numbers, which Rows says how to read


def _read_jsonl(path: Path, columns: Sequence[str], complete: bool, have: list[str]) -> Numbered:
    names = dict.fromkeys(have)
    for number, line in numbered_lines(path):
        try:
            content = json.loads(line)
            values = [content[column] for column in columns] if complete else list(map(content.get, columns))
        except (*NO_JSON, KeyError, TypeError, AttributeError):
            fields = f" with a field {' and '.join(map(repr, columns))}" if complete else ""
            raise InputError(f"{path}: {LINE.format(number)}: not a JSON object{fields}") from None
        if not complete and not content.keys() <= names.keys():
            have += [name for name in content if name not in names]
            names = dict.fromkeys(have)
        yield number, tuple(values)


def _read_delimited(path: Path, columns: Sequence[str], complete: bool, have: list[str]) -> Numbered:
    records = read_records(path, read_lines(path))
    _, header = next(records)
    have += header
    if complete:
        require_columns(path, header, columns)
    refuse_twice(path, header, columns)
    places = [header.index(column) if column in header else None for column in columns]
    for number, record in records:
        yield number, tuple(None if place is None else record[place] for place in places)


def _read_parquet(path: Path, columns: Sequence[str], complete: bool, have: list[str]) -> Numbered:
    from pyarrow import parquet

    with _is_table(path), parquet.ParquetFile(path) as file:
        have += file.schema_arrow.names
        if complete:
            require_columns(path, have, columns)
        number, wanted = 0, [column for column in dict.fromkeys(columns) if column in have]
        for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
            missing = [None] * batch.num_rows
            values = (batch[column].to_pylist() if column in wanted else missing for column in columns)
            yield from enumerate(zip(*values, strict=True), number)
            number += batch.num_rows


@contextmanager
def _is_table(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError) as error:  # pyarrow's parser errors are ValueErrors
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def require_columns(where: Path | str, have: Sequence[str], columns: Sequence[str]) -> None:
    """Raises InputError for the first of `columns` that is not among those that there are."""
    for column in columns:
        if column not in have:
            raise InputError(f"{where}: no column '{column}'; there are: {', '.join(map(str, have))}")
