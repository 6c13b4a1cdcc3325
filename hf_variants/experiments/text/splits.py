# Copyright 2026 The hf_variants authors. MIT licence.
"""How a text, or documents, are cut into train, validation and test."""

import array
import random
from collections.abc import Iterable, Sequence

import numpy as np

from .split_files import SPLITS

SPLIT_SEED = 20260101  # fixed: a change would move documents between train and test


def shares(fractions: list[float], own: Iterable[str]) -> list[float]:
    """By what shares train is cut where the source has the splits `own`: none is cut off for test where it has one."""
    train, validation, _ = fractions
    if "test" not in own or train + validation <= 0:
        return fractions
    return [train / (train + validation), validation / (train + validation), 0.0]


def cut(texts: list[str], fractions: list[float]) -> dict[str, list[str]]:
    """Splits one text by position; several as whole documents in a seeded order, by their share of the characters."""
    if len(texts) == 1:
        return {split: [texts[0][start:end]] for split, (start, end) in cut_text(len(texts[0]), fractions).items()}
    chosen = cut_documents(array.array("q", map(len, texts)), fractions)
    return {split: [texts[i] for i in rows.tolist()] for split, rows in chosen.items()}


def cut_text(length: int, fractions: list[float]) -> dict[str, tuple[int, int]]:
    """Where the part of each split begins and ends in one text of so many characters."""
    edges = _edges(length, fractions)
    return {s: (edges[i], edges[i + 1]) for i, s in enumerate(SPLITS) if fractions[i] > 0}


def cut_documents(lengths: Sequence[int], fractions: list[float]) -> dict[str, np.ndarray]:
    """The numbers of the documents of each split, rising; `lengths` are their characters."""
    order = array.array("q", range(len(lengths)))
    random.Random(SPLIT_SEED).shuffle(order)
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64)[np.asarray(order, dtype=np.int64)])
    edges = np.searchsorted(ends, _edges(int(ends[-1]) if len(ends) else 0, fractions), side="right")
    places = zip(SPLITS, edges, edges[1:], fractions, strict=False)
    return {split: np.sort(order[start:end]) for split, start, end, share in places if share > 0}


def _edges(count: int, fractions: list[float]) -> list[int]:
    return [round(count * sum(fractions[:i])) for i in range(len(fractions) + 1)]


def first_characters(characters: int, fraction: float) -> int:
    """How many characters `data_fraction` keeps."""
    return max(1, round(fraction * characters))


def first_documents(texts: list[str], fraction: float) -> list[str]:
    """The first `fraction` of the characters, the last document cut short."""
    left, kept = first_characters(sum(map(len, texts)), fraction), []
    for text in texts:
        kept.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return kept
