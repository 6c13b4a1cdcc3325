# Copyright 2026 The hf_variants authors. MIT licence.
"""The documents of a data set as a stream: the same ones that `load_corpus` holds, but read anew for every pass.

Memory stays flat: one row, or one piece of a text file, is held at a time. A source without a validation split is read
once more before, to cut it as `load_corpus` does, and so is one of which `data_fraction` keeps a part; what stays of
each document then is its length (8 bytes) and a mark.
"""

import array
import dataclasses
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checking import InputError
from ..recipes.sections import DataArguments
from .builtin import load_builtin
from .cleaning import clean
from .corpora import add_document
from .files import TEXTS, read_pieces, read_rows, require_text, suffix_of
from .questions import as_documents
from .sources import hub_rows, hub_tables, local_files, text_columns
from .split_files import SPLITS
from .splits import cut_documents, cut_text, first_characters, shares

CHUNK = 50_000  # characters that a tokenizer is trained on at a time
# No tokenizer joins what stands before with what stands behind: white space runs are whole, and a space goes with the
# word that follows it.
BETWEEN_WORDS = re.compile(r"(?<=\S)[ \n](?=\S)")


@dataclass(frozen=True)
class LongText:
    """Characters `start` to `end` of texts and of text files, one after the other, read in pieces."""

    sources: tuple[str | Path, ...]
    start: int = 0
    end: int | None = None

    def __iter__(self) -> Iterator[str]:
        place = 0
        for source in self.sources:
            for piece in read_pieces(source) if isinstance(source, Path) else [source]:
                if self.end is not None and place >= self.end:
                    return
                yield piece[max(0, self.start - place) : None if self.end is None else self.end - place]
                place += len(piece)


Document = str | LongText
Documents = Callable[[], Iterable[Document]]  # each call begins again


def pieces(document: Document) -> Iterable[str]:
    """The text of a document, in one piece or several."""
    return [document] if isinstance(document, str) else document


def _length(document: Document) -> int:
    return sum(map(len, pieces(document)))


def _part(document: Document, start: int, end: int) -> Document:
    """Characters `start` to `end` of a document that begins at its sources' first character."""
    if isinstance(document, str):
        return document[start:end]
    return dataclasses.replace(document, start=start, end=end if document.end is None else min(end, document.end))


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


def stream_corpus(arguments: DataArguments) -> TextStream:
    """What `data` names. Raises InputError where there is none; what is wrong inside is found when it is read."""
    return TextStream(arguments.dataset, _complete(_sources(arguments), arguments))


def _sources(arguments: DataArguments) -> dict[str, Documents]:
    name, columns = arguments.dataset, text_columns(arguments)
    if name.startswith("builtin/"):
        return {split: functools.partial(iter, texts) for split, texts in load_builtin(name)[0].items()}
    local = local_files(arguments)
    if local is not None:
        return {split: functools.partial(_of_files, files, columns, name, split) for split, files in local.items()}
    return {
        split: functools.partial(of_hub, table, columns, where, name, split)
        for split, table, where in hub_tables(arguments, streaming=True)
    }


def _of_files(files: Sequence[Path], columns: Sequence[str], name: str, split: str) -> Iterator[Document]:
    return itertools.chain.from_iterable(of_file(file, columns, name, split) for file in files)


def of_hub(table: Any, columns: Sequence[str], where: str, name: str, split: str) -> Iterator[Document]:
    return as_documents(hub_rows(table, columns, where), name, split)


def of_file(file: Path, columns: Sequence[str], name: str, split: str) -> Iterator[Document]:
    if suffix_of(file) in TEXTS:
        require_text(file, columns)
        return iter([LongText((file,))])
    return as_documents(read_rows(file, columns), name, split)


def _complete(sources: dict[str, Documents], arguments: DataArguments) -> dict[str, Documents]:
    """Joins, cuts and shortens splits as `load_corpus` does."""
    if arguments.join_splits:
        sources = {"train": functools.partial(_joined, sources)}
    if "validation" not in sources and "train" in sources:
        own_test = {split: documents for split, documents in sources.items() if split == "test"}
        sources = _cut(sources["train"], shares(arguments.split_fractions, own_test)) | own_test
    if arguments.data_fraction < 1 and "train" in sources:
        limit = first_characters(sum(map(_length, sources["train"]())), arguments.data_fraction)
        sources = sources | {"train": functools.partial(beginning, sources["train"], limit)}
    return sources


def _joined(sources: dict[str, Documents]) -> Iterator[Document]:
    """The documents of all splits; as many as there are splits, or fewer, are one text."""
    documents = itertools.chain.from_iterable(sources[split]() for split in SPLITS if split in sources)
    first = list(itertools.islice(documents, len(SPLITS) + 1))
    if len(first) > len(SPLITS):
        return itertools.chain(first, documents)
    parts = [(document,) if isinstance(document, str) else document.sources for document in first]
    return iter([LongText(tuple(itertools.chain.from_iterable(parts)))])


def _cut(documents: Documents, fractions: list[float]) -> dict[str, Documents]:
    lengths = array.array("q", map(_length, documents()))
    if len(lengths) == 1:
        places = cut_text(lengths[0], fractions)
        return {split: functools.partial(_one_part, documents, *place) for split, place in places.items()}
    chosen = {split: np.zeros(len(lengths), dtype=np.int8) for split in SPLITS}
    for split, rows in (found := cut_documents(lengths, fractions)).items():
        chosen[split][rows] = 1
    return {split: functools.partial(_chosen, documents, chosen[split].tobytes()) for split in found}


def _one_part(documents: Documents, start: int, end: int) -> Iterator[Document]:
    return (_part(document, start, end) for document in documents())


def _chosen(documents: Documents, marks: bytes) -> Iterator[Document]:
    return itertools.compress(documents(), marks)


def beginning(documents: Documents, characters: int) -> Iterator[Document]:
    """The first so many characters, the last document cut short."""
    for document in documents():
        part = _part(document, 0, characters)  # of a long text nothing behind it is read
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
