# Copyright 2026 The hf_variants authors. MIT licence.
"""Documents that are read anew for every pass, and their text in chunks that no word stretches across.

Memory stays flat: one row, or one piece of a text file, is held at a time.
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checking import InputError
from .cleaning import clean
from .corpora import add_document
from .files import TEXT_SUFFIXES, read_pieces, read_rows, require_text, suffix_of
from .questions import as_documents

CHUNK = 50_000  # characters that a tokenizer is trained on at a time
# No tokenizer joins what stands before with what stands behind: white space runs are whole, and a space goes with the
# word that follows it.
BETWEEN_WORDS = re.compile(r"(?<=\S)[ \n](?=\S)")


@dataclass(frozen=True)
class LongText:
    """The first `end` characters of a text file, or all, read in pieces."""

    file: Path
    end: int | None = None

    def __iter__(self) -> Iterator[str]:
        place = 0
        for piece in read_pieces(self.file):
            if self.end is not None and place >= self.end:
                return
            yield piece[: None if self.end is None else self.end - place]
            place += len(piece)


Document = str | LongText
Documents = Callable[[], Iterable[Document]]  # each call begins again


def pieces(document: Document) -> Iterable[str]:
    """The text of a document, in one piece or several."""
    return [document] if isinstance(document, str) else document


def _length(document: Document) -> int:
    return sum(map(len, pieces(document)))


def _first(document: Document, characters: int) -> Document:
    """The first so many characters of a document."""
    if isinstance(document, str):
        return document[:characters]
    return LongText(document.file, characters if document.end is None else min(characters, document.end))


# ---- sources -------------------------------------------------------------------------------------------------------


@dataclass
class TextStream:
    """Documents by split."""

    name: str
    splits: dict[str, Documents]

    def documents(self, split: str) -> Documents:
        """The documents of a split. Raises InputError where there is no such split."""
        if split not in self.splits:
            raise InputError(f"data: {self.name} has no {split} split; there are: {', '.join(self.splits) or 'none'}")
        return self.splits[split]


def of_file(file: Path, columns: Sequence[str]) -> Iterator[Document]:
    """The documents of a file; a text file is one, which need not fit into memory."""
    if suffix_of(file) in TEXT_SUFFIXES:
        require_text(file, columns)
        return iter([LongText(file)])
    return as_documents(read_rows(file, columns))


def beginning(documents: Documents, characters: int) -> Iterator[Document]:
    """The first so many characters, the last document cut short."""
    for document in documents():
        part = _first(document, characters)  # of a long text nothing behind it is read
        yield part
        characters -= _length(part)
        if characters <= 0:
            return


# ---- what is trained on --------------------------------------------------------------------------------------------


class TrainingText:
    """The text of documents in chunks that no word stretches across. Each iteration reads it anew."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[str]:
        for document in self.documents():
            yield from chunks(pieces(document))

    @functools.cached_property
    def alphabet(self) -> set[str]:
        """Every character of the text."""
        found: set[str] = set()
        for chunk in self:
            found.update(chunk)
        return found

    def cleaned(self, steps: Sequence[str]) -> "TrainingText":
        """The same after the steps of cleaning.py; itself where there are none."""
        return TrainingText(lambda: (clean(chunk, steps) for chunk in self)) if steps else self


def chunks(texts: Iterable[str]) -> Iterator[str]:
    """A text given in pieces, as pieces of CHUNK characters or little more, cut between words."""
    rest = ""
    for text in texts:
        rest, start = rest + text, 0
        while match := BETWEEN_WORDS.search(rest, start + CHUNK):
            yield rest[start : match.start()]
            start = match.start()
        rest = rest[start:]
    if rest:
        yield rest


@dataclass
class Survey:
    """What there is in a split."""

    fingerprint: str  # as corpora.fingerprint of this split alone
    documents: int
    characters: int
    bytes: int  # in UTF-8
    alphabet: set[str] = dataclasses.field(repr=False)

    def to_dict(self) -> dict[str, int | str]:
        """For a record."""
        return {name: value for name, value in vars(self).items() if name != "alphabet"}


def survey(stream: TextStream, split: str) -> Survey:
    """Reads a split once. Raises InputError where it is missing, or holds nothing but white space."""
    digest, found = hashlib.sha256(), Survey("", 0, 0, 0, set())
    for document in stream.documents(split)():
        found.documents += 1
        found.bytes += add_document(digest, split, pieces(document))
        for piece in pieces(document):
            found.characters += len(piece)
            found.alphabet.update(piece)
    if all(character.isspace() for character in found.alphabet):
        raise InputError(f"data: {stream.name}: the {split} split is empty")
    found.fingerprint = "sha256:" + digest.hexdigest()
    return found
