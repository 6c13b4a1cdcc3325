# Copyright 2026 The hf_variants authors. MIT licence.
"""Rows as documents, and a row of questions and answers as a prompt with its answer."""

from collections.abc import Iterator

from ..checking import InputError
from .files import Rows

ANSWER = "\nAnswer:"  # ends a prompt; without the space, which BPE joins with the word that follows


def as_documents(rows: Rows) -> Iterator[str]:
    """One document per row: the text itself, or a question with its answer. Raises InputError, naming the row."""
    for values in rows:
        if len(values) == 2 and type(values[1]) is int:  # {"answer": 42} in a JSON file
            values = (values[0], str(values[1]))
        texts = [_text(value, rows) for value in values]
        if len(texts) == 2 and ANSWER in texts[0]:
            raise InputError(f"{rows.place}: the question contains a line that begins with 'Answer:'")
        yield texts[0] if len(texts) == 1 else f"Question: {texts[0]}{ANSWER} {texts[1]}"


def as_question(document: str) -> tuple[str, str]:
    """The (prompt, answer) of a document made from a question; the prompt ends with `Answer:`."""
    prompt, mark, answer = document.partition(ANSWER)
    return prompt + mark, answer.strip()


def has_half_pair(text: str) -> bool:
    """Whether half of a surrogate pair stands alone in a text: JSON can say so, and no tokenizer takes it."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in set(text))


def _text(value: object, rows: Rows) -> str:
    if not isinstance(value, str):
        raise InputError(f"{rows.place}: text is expected, found {value!r}")
    if has_half_pair(value):
        raise InputError(f"{rows.place}: half of a surrogate pair, which is no character")
    return value
