# Copyright 2026 The hf_variants authors. MIT licence.
"""Rows of comma- and tab-separated files, as a stream, for texts and for labelled examples alike.

In a `.csv` file (RFC 4180) double quotes enclose a field, which may then hold commas and line ends, and stand doubled
inside one. A `.tsv` file (IANA's text/tab-separated-values, and GLUE's) knows no quotes: every tab ends a field and
every line a row. Every row must have as many fields as the header: nothing is shifted, filled up or cut off.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..checking import InputError, NotUtf8Error
from ..notes import note

RECORD = "row {} (1 is the first below the header)"
QUOTES = "double quotes enclose a field and stand doubled inside one"
TABS = "a .tsv file knows no quotes: every tab ends a field and every line a row"
LONGEST_FIELD = 2**31 - 1  # characters of a field
MOST_ROWS_IN_ONE = 1000  # lines that look like rows of their own; no more are held to be told

_LONE_RETURN = re.compile(r"(?<=\r)(?!\n)")
_QUOTED = re.compile(r'(?:^|\t)("[^\t]*""[^\t]*")(?:\t|$)')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_records(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The header, whose number is 0, and the rows that are not blank, with their numbers.

    `lines` are those of the file `path`, without line feeds. Raises InputError, with file and row, for a header that
    is missing, another number of fields than the header's, and quotes that do not enclose a field; and for a row of a
    CSV file that spans lines which all look like rows of their own: they do where a text begins with a quotation mark.
    """
    records = _tabs(path, lines) if path.name.endswith(".tsv") else _commas(path, lines)
    number, width = 0, 0
    while (record := _next(records, path, number)) is not None:
        if number == 0:
            if not record:
                break
            width = len(record)
        elif record and len(record) != width:
            rule = f"; {TABS}" if path.name.endswith(".tsv") else ""
            raise InputError(f"{path}: {RECORD.format(number)}: {len(record)} fields, the header has {width}{rule}")
        if record:
            yield number, record
        number += 1
    if width == 0:
        raise InputError(f"{path}: the first line is empty; a header with the names of the columns is expected")


def refuse_twice(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    """Raises InputError for the first of `columns` that the header has more than once."""
    for column in columns:
        if header.count(column) > 1:
            raise InputError(f"{path}: column '{column}' stands there {header.count(column)} times")


def _next(records: Iterator[list[str]], path: Path, number: int) -> list[str] | None:
    """The next record, None behind the last."""
    place = RECORD.format(number) if number else "the header"
    before = csv.field_size_limit(LONGEST_FIELD)  # of the whole process, hence put back
    try:
        return next(records, None)
    except NotUtf8Error as error:
        raise InputError(f"{error}, in {place}") from None
    except csv.Error as error:
        raise InputError(f"{path}: {place}: {error}; {QUOTES}") from None
    finally:
        csv.field_size_limit(before)


def _tabs(path: Path, lines: Iterable[str]) -> Iterator[list[str]]:
    for line in lines:
        line = line.removesuffix("\r")
        if '""' in line and (quoted := _QUOTED.search(line)):
            note(f"{path}: {quoted[1]:.60} is taken as it stands; {TABS}")
        yield line.split("\t") if line else []


def _commas(path: Path, lines: Iterable[str]) -> Iterator[list[str]]:
    source = _Lines(path, lines)
    for number, record in enumerate(csv.reader(source, strict=True)):
        if source.look_like_rows() and _swallows(record, source.held):
            raise source.refusal(number, len(source.held))
        source.width, source.number = source.width or len(record), number + 1
        source.held, source.is_held = [], True
        yield record


class _Lines:
    """Lines for a csv.reader, with their ends. Those of the record being read are held for as long as each of them
    has as many fields by itself as the header."""

    def __init__(self, path: Path, lines: Iterable[str]) -> None:
        self.path, self.lines = path, self._with_ends(lines)
        self.width, self.number = 0, 0  # fields of the header; records before this one
        self.held: list[list[str]] = []
        self.is_held = True

    @staticmethod
    def _with_ends(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if "\r" in line:
                yield from _LONE_RETURN.split(line + "\n")
            else:
                yield line + "\n"

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        if self.width > 1 and self.is_held:
            fields = line.rstrip("\r\n").split(",")
            self.held.append(fields)
            self.is_held = len(fields) == self.width
            if self.is_held and len(self.held) > MOST_ROWS_IN_ONE:
                raise self.refusal(self.number, f"more than {MOST_ROWS_IN_ONE}")
        return line

    def look_like_rows(self) -> bool:
        """Whether the record that was just read has several lines, each with as many fields as the header."""
        return self.is_held and len(self.held) > 1

    def refusal(self, number: int, count: int | str) -> InputError:
        """What to raise for a record that has swallowed others."""
        return InputError(
            f"{self.path}: {RECORD.format(number)}: spans {count} lines, each of which looks like a row of its own: "
            "what a double quote opens ends at the next (enclose a text that has quotes, and double its own)"
        )


def _swallows(record: Sequence[str], lines: Sequence[Sequence[str]]) -> bool:
    """Whether each line of a record has, where its other fields stand, what could be those of a row.

    The record's own other fields are those of its first and last line. They stand there without quotes: a file that
    encloses its fields has no mark that opens one by mistake.
    """
    (place, *more) = [number for number, field in enumerate(record) if "\n" in field] or [None]
    if place is None or more:
        return False
    own = lines[0][:place] + [record[place]] + lines[-1][place + 1 :]
    others = [number for number in range(len(record)) if number != place]
    return own == list(record) and all(_kind(line[n]) == _kind(record[n]) for line in lines for n in others)


def _kind(field: str) -> str:
    if not field.strip():
        return "empty"
    if _NUMBER.fullmatch(field):
        return "number"
    return "text" if field == field.strip() else "part of a sentence"
