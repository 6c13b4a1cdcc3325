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

from .checking import InputError

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
    return _read_parquet(path, columns) if suffix == ".parquet" else _read_csv(path, columns, suffix)


def require_text(path: Path, columns: Sequence[str]) -> None:
    """Raises InputError where a text file is asked for several columns; it has no more than its text."""
    if len(columns) > 1:
        raise InputError(f"data.dataset: {path}: a text file has no columns {', '.join(columns)}")


def read_pieces(path: Path) -> Iterator[str]:
    """The text of a file in pieces of about BLOCK characters. Raises InputError where it is not UTF-8."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    with _readable(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while block := file.read(BLOCK):
            yield _decode(decoder, block, path, before)
            before += len(block)
        yield _decode(decoder, b"", path, before, final=True)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, path: Path, before: int, final: bool = False) -> str:
    kept = len(decoder.getstate()[0])  # bytes of a character that the last block cut in two
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {before - kept + error.start}") from None


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends. `splitlines` would also cut at U+2028, which JSON may hold as it is."""
    rest = ""
    for piece in read_pieces(path):
        *lines, rest = (rest + piece).split("\n")
        yield from lines
    yield rest


def _read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            row = tuple(content[column] for column in columns)
        except (ValueError, RecursionError, KeyError, TypeError):  # ValueError also of thousands of digits
            fields = " and ".join(f"'{column}'" for column in columns)
            raise InputError(f"{path}: line {number}: not a JSON object with a field {fields}") from None
        yield row


def _read_csv(path: Path, columns: Sequence[str], suffix: str) -> Iterator[Row]:
    import pandas

    options = {"sep": "\t" if suffix == ".tsv" else ",", "keep_default_na": False, "dtype": str}
    with _is_table(path), pandas.read_csv(path, chunksize=ROWS, **options) as chunks:
        for chunk in chunks:
            require_columns(path, chunk.columns, columns)
            yield from zip(*(chunk[column].tolist() for column in columns), strict=True)


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
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def require_columns(where: Path | str, have: Sequence[str], columns: Sequence[str]) -> None:
    """Raises InputError for the first of `columns` that is not among those that there are."""
    for column in columns:
        if column not in have:
            raise InputError(f"{where}: no column '{column}'; there are: {', '.join(map(str, have))}")
