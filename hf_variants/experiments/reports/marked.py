# Copyright 2026 The hf_variants authors. MIT licence.
"""Generated parts of documents that are otherwise written by hand: what stands between two marks.

The marks of a part are the lines `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from pathlib import Path

from ..checking import InputError


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a part."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def split_at_marks(document: str, name: str, where: Path) -> tuple[str, str, str]:
    """What a document has before, in and behind a part. Raises InputError unless it has each of its marks once."""
    begin, end = marks(name)
    before, found, rest = document.partition(begin)
    within, ended, after = rest.partition(end)
    if not (found and ended) or any(document.count(mark) > 1 for mark in (begin, end)):
        raise InputError(f"{where}: has not one line {begin} and one {end} after it, for the table")
    return before, within, after


def read_document(path: Path) -> str:
    """A document's text. Raises InputError where it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None


def with_part(document: str, name: str, text: str, where: Path) -> str:
    """The document with another text between the marks of a part. Raises InputError unless it has each once."""
    before, _, after = split_at_marks(document, name, where)
    begin, end = marks(name)
    return f"{before}{begin}\n{text}\n{end}{after}"


def check_marks(path: Path, name: str) -> None:
    """Raises InputError unless a file is there and has the marks of a part, each once."""
    split_at_marks(read_document(path), name, path)


def put_between_marks(path: Path, name: str, text: str) -> None:
    """Replaces a part of a file. Raises InputError where the file does not have each of its marks once."""
    path.write_text(with_part(read_document(path), name, text, path), encoding="utf-8")
