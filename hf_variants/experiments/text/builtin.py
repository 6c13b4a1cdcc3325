# Copyright 2026 The hf_variants authors. MIT licence.
"""Corpora that need no download: the language reference of CPython, and made-up arithmetic."""

import functools
import random
from collections.abc import Callable, Sequence

from ..checking import InputError
from .questions import ANSWER
from .splits import SPLIT_SEED, cut


def load_builtin(name: str) -> tuple[dict[str, list[str]], str]:
    """The documents of a built-in corpus by split, and its licence."""
    if name not in BUILTIN:
        raise InputError(f"data.dataset: '{name}'; built in are: {', '.join(BUILTIN)}")
    texts, license = BUILTIN[name]()
    return cut(texts, [0.9, 0.05, 0.05]), license


def _pydoc() -> tuple[list[str], str]:
    """The language reference that ships with every CPython: its topics in a seeded order, as one text.

    One text, because a few topics hold most of the characters: splits of whole topics would be far from their shares.
    """
    from pydoc_data.topics import topics

    names = sorted(topics)
    random.Random(SPLIT_SEED).shuffle(names)
    return ["\n\n".join(topics[name] for name in names)], "PSF-2.0"


def _arithmetic(lengths: Sequence[int] = (2, 3), count: int = 6000) -> tuple[list[str], str]:
    """Made-up chains of so many additions, subtractions and doublings, each step written out in the answer.

    All numbers lie in 0 … 20, and no question comes twice, so that none is in two splits. The answer ends with the
    result after ####, as GSM8K's do.
    """
    rng, documents = random.Random(SPLIT_SEED), {}
    while len(documents) < count:
        question, steps, value = _chain(rng, rng.randint(1, 9), rng.choice(lengths))
        documents[question] = f"Question: {question}{ANSWER} {', '.join(steps)} #### {value}"
    return list(documents.values()), "CC0-1.0"


def _chain(rng: random.Random, value: int, length: int) -> tuple[str, list[str], int]:
    """A question such as `(7 + 5) * 2 - 3`, its steps, and its value."""
    text, steps = str(value), []
    for number in range(length):
        operators = ["+"] * (value < 20) + ["-"] * (value > 0) + ["*"] * (0 < value <= 10 and "*" not in text)
        operator = rng.choice(operators)
        other = 2 if operator == "*" else rng.randint(1, min(9, value if operator == "-" else 20 - value))
        text = f"({text})" if operator == "*" and number else text
        result = {"+": value + other, "-": value - other, "*": value * other}[operator]
        steps.append(f"{value} {operator} {other} = {result}")
        text, value = f"{text} {operator} {other}", result
    return text, steps, value


BUILTIN: dict[str, Callable[[], tuple[list[str], str]]] = {
    "builtin/pydoc": _pydoc,
    "builtin/arithmetic": _arithmetic,
    "builtin/arithmetic_chains": functools.partial(_arithmetic, tuple(range(1, 9)), 12000),
}


QUESTIONS = ("builtin/arithmetic", "builtin/arithmetic_chains")  # these consist of questions with answers
