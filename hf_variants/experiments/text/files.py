# Copyright 2026 The hf_variants authors. MIT licence.
"""Rows of one file, or pieces of one text, as they are read: a file need not fit into memory."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..checking import InputError, NotUtf8Error
from .delimited import read_records, refuse_twice

TEXTS = (".txt", ".txt.gz")
LINES = (".jsonl", ".jsonl.gz")
SUFFIXES = (*TEXTS, *LINES, ".csv", ".tsv", ".parquet")
BLOCK = 1 << 20  # bytes that are decoded at a time
ROWS = 4096  # rows of a table that are in memory at a time

Row = tuple[Any, ...]


def suffix_of(path: Path) -> str:
    """Which of SUFFIXES a file's name ends with. Raises InputError where it is none of them."""
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"data.dataset: {path}: unknown kind of file; allowed: {', '.join(SUFFIXES)}")
    return suffix


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The values of `columns` in each row; a text file is a single row with a single value.

    Raises InputError, some of it only when the rows are asked for: for another kind of file, a column that there is
    not, text that is not UTF-8, and whatever else can't be read.
    """
    suffix = suffix_of(path)
    if suffix in TEXTS:
        require_text(path, columns)
        return iter([("".join(read_pieces(path)),)])
    if suffix in LINES:
        return _read_jsonl(path, columns)
    return _read_parquet(path, columns) if suffix == ".parquet" else _read_delimited(path, columns)


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


def _read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        try:
            content = json.loads(line)
            row = tuple(content[column] for column in columns)
        except (ValueError, RecursionError, KeyError, TypeError):  # ValueError also of thousands of digits
            fields = " and ".join(f"'{column}'" for column in columns)
            raise InputError(f"{path}: line {number}: not a JSON object with a field {fields}") from None
        yield row


def _read_delimited(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    records = read_records(path, read_lines(path))
    _, header = next(records)
    require_columns(path, header, columns)
    refuse_twice(path, header, columns)
    places = [header.index(column) for column in columns]
    for _, record in records:
        yield tuple(record[place] for place in places)


def _read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    from pyarrow import parquet

    with _is_table(path), parquet.ParquetFile(path) as file:
        require_columns(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(batch_size=ROWS, columns=list(columns)):
            yield from zip(*(batch[column].to_pylist() for column in columns), strict=True)


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
