# Copyright 2026 The hf_variants authors. MIT licence.
"""Pretrained word vectors from a text file (word2vec, GloVe, fastText) into a model's embedding.

A line is a word and its numbers, separated by spaces; the first line may give the number of lines and of dimensions
instead. The file may be compressed by gzip. It is read line by line, as such files are large.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..checking import InputError
from ..records import WordVectors


def load_word_vectors(
    model: PreTrainedModel | nn.Embedding, tokenizer: PreTrainedTokenizerBase, path: str | Path
) -> WordVectors:
    """Copies the vectors of a text file to the rows of the tokenizer's words, in place; other rows stay as they are.

    `found_vectors` then knows of the model how many words that were.

    A word is looked up as the vocabulary writes it, so a tokenizer that lower-cases finds lower-case words. Where a
    file has a word twice the first vector counts. The numbers of words that are not in the vocabulary are counted but
    not read.

    Raises InputError, and changes nothing: the file is missing or damaged, a line has another number of dimensions
    than the embedding or something that is no finite number, no word of the vocabulary is in it, or the embedding has
    fewer rows than the vocabulary.
    """
    embedding = _embedding(model)
    special = set(tokenizer.all_special_ids)
    ids = {word: index for word, index in tokenizer.get_vocab().items() if index not in special}
    rows, size = embedding.weight.shape
    highest = max(ids.values(), default=-1)
    if highest >= rows:
        raise InputError(f"word vectors: the tokenizer has an id {highest}; the embedding has {rows} rows")
    vectors: dict[int, list[float]] = {}
    for place, word, numbers in _entries(Path(path), size):
        if word in ids and ids[word] not in vectors:
            vectors[ids[word]] = _parse(numbers, place)
    if not vectors:
        raise InputError(f"{path}: has none of the {len(ids)} words of the vocabulary; do both write them alike?")
    with torch.no_grad():
        found = torch.tensor(list(vectors), device=embedding.weight.device)
        embedding.weight[found] = torch.tensor(list(vectors.values())).to(embedding.weight)
    _REPORTS[embedding] = WordVectors(
        found=len(vectors), missing=len(ids) - len(vectors), share=len(vectors) / len(ids)
    )
    return _REPORTS[embedding]


def found_vectors(model: PreTrainedModel | nn.Embedding) -> WordVectors | None:
    """For a run's record; None for a model that got no vectors."""
    return _REPORTS.get(_embedding(model))


_REPORTS: WeakKeyDictionary[nn.Module, WordVectors] = WeakKeyDictionary()


def _embedding(model: PreTrainedModel | nn.Embedding) -> nn.Module:
    return model if isinstance(model, nn.Embedding) else model.get_input_embeddings()


def _entries(path: Path, size: int) -> Iterator[tuple[str, str, list[str]]]:
    """Where each line is, its word, and its `size` numbers, still as text."""
    for number, line in _lines(path):
        place = f"{path}: line {number}"
        fields = line.rstrip(" \r\n").split(" ")
        if fields == [""]:
            continue
        if number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
            if int(fields[1]) != size:
                raise InputError(f"{place}: the vectors have {fields[1]} dimensions; the embedding has {size}")
            continue
        # some files have words with spaces in them, which a line with too many numbers must not be taken for
        extra = fields[1:-size]
        if len(fields) <= size or (extra and all(map(_is_number, extra))):
            raise InputError(f"{place}: a word and {len(fields) - 1} numbers; the embedding has {size} dimensions")
        yield place, " ".join(fields[:-size]), fields[-size:]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that may be compressed, counted from 1. Only a line feed ends one: words hold odd spaces."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        opened = gzip.open if compressed else open
        with opened(path, "rt", encoding="utf-8", errors="replace", newline="\n") as lines:
            yield from enumerate(lines, start=1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; a text file of word vectors is expected") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: a damaged gzip file: {error}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse(numbers: list[str], place: str) -> list[float]:
    for text in numbers:
        if not (_is_number(text) and math.isfinite(float(text))):
            raise InputError(f"{place}: '{text}' is not a finite number")
    return [float(text) for text in numbers]
