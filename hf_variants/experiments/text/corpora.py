# Copyright 2026 The hf_variants authors. MIT licence.
"""Text by name: built-in, a local file or folder, a URL with its digest, or a data set of the Hub.

Whatever the source, the result is the same: lists of documents under `train`, `validation` and (where there is one)
`test`, and a fingerprint of exactly that text. A row of questions and answers becomes the document

    Question: {question}
    Answer: {answer}

and what stands before the answer, up to and with the colon, is the prompt that a finished model answers.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..checking import InputError
from ..recipes.sections import DataArguments
from .builtin import QUESTIONS, load_builtin
from .questions import as_documents, as_question
from .sources import hub_name, open_rows, text_columns
from .split_files import SPLITS
from .splits import cut, first_documents, shares


@dataclass
class Corpus:
    """Documents by split. `hub_id` is set only where the text came from the Hub under that name.

    `questions` holds (prompt, answer) pairs of validation and test where the documents are questions with answers.
    """

    name: str
    splits: dict[str, list[str]]
    license: str | None = None
    language: str = "en"
    hub_id: str | None = None
    questions: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    fingerprint: str = field(default="", init=False)

    def __post_init__(self) -> None:
        for split in ("train", "validation"):
            if not any(text.strip() for text in self.splits.get(split, [])):
                raise InputError(f"data: {self.name}: the {split} split is empty")
        if "test" in self.splits and not any(text.strip() for text in self.splits["test"]):
            raise InputError(f"data: {self.name}: the test split is empty")
        self.fingerprint = fingerprint(self.splits)


def fingerprint(splits: dict[str, list[str]]) -> str:
    """sha256 over the documents of all splits, in order, boundaries included."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for text in splits.get(split, []):
            add_document(digest, split, [text])
    return "sha256:" + digest.hexdigest()


def add_document(digest: Any, split: str, pieces: Iterable[str]) -> int:
    """Adds a document to a fingerprint, and returns its bytes in UTF-8. Its pieces are read twice."""
    size = sum(len(_utf8(piece)) for piece in pieces)
    digest.update(f"{split}:{size}:".encode())
    for piece in pieces:
        digest.update(_utf8(piece))
    return size


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def load_corpus(arguments: DataArguments) -> Corpus:
    """The corpus that `data` names. Raises InputError where there is none, or where it holds no text."""
    name = arguments.dataset
    splits, license, asks = _sources(arguments)
    questions = {split: list(map(as_question, splits[split])) for split in SPLITS[1:] if asks and split in splits}
    return Corpus(name, splits, arguments.license or license, arguments.language, hub_name(name), questions)


def load_but_test(arguments: DataArguments) -> dict[str, list[str]]:
    """The documents of train and validation, as `load_corpus` has them; one may be missing or empty.

    Where the source has a test split of its own, nothing of that is read.
    """
    splits, _, _ = _sources(arguments, but_test=not arguments.join_splits)
    return {split: texts for split, texts in splits.items() if split != "test"}


def load_split(arguments: DataArguments, split: str) -> list[str]:
    """The documents of one split of what `data` names, as `load_corpus` has them; the others may be missing."""
    splits, _, _ = _sources(arguments)
    if not any(text.strip() for text in splits.get(split, [])):
        have = ", ".join(name for name, texts in splits.items() if any(text.strip() for text in texts))
        raise InputError(f"data: {arguments.dataset} has no text in a {split} split; there are: {have or 'none'}")
    return splits[split]


def _sources(arguments: DataArguments, but_test: bool = False) -> tuple[dict[str, list[str]], str | None, bool]:
    """Documents by split, the licence where it is known, and whether they are questions with answers.

    `but_test` leaves a test split that there is empty.
    """
    name, asks = arguments.dataset, arguments.question_column is not None
    if name.startswith("builtin/"):
        splits, license = load_builtin(name)
        return _complete(splits, arguments), license, name in QUESTIONS
    found = open_rows(arguments, text_columns(arguments))
    found |= {"test": []} if but_test and "test" in found else {}
    splits = {split: [text for rows in parts for text in as_documents(rows)] for split, parts in found.items()}
    return _complete(splits, arguments), None, asks


def _complete(splits: dict[str, list[str]], arguments: DataArguments) -> dict[str, list[str]]:
    """Cuts a source that has no validation split, and shortens train to `data_fraction`."""
    if arguments.join_splits:
        splits = {"train": [text for split in SPLITS for text in splits.get(split, [])]}
        if len(splits["train"]) <= len(SPLITS):
            splits["train"] = ["".join(splits["train"])]
    if "validation" not in splits:
        own = {name: texts for name, texts in splits.items() if name == "test"}
        splits = cut(splits.get("train", []), shares(arguments.split_fractions, own)) | own
    if arguments.data_fraction < 1 and "train" in splits:
        splits = splits | {"train": first_documents(splits["train"], arguments.data_fraction)}
    return {name: splits[name] for name in SPLITS if name in splits}
