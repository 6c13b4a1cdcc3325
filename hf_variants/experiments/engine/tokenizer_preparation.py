# Copyright 2026 The hf_variants authors. MIT licence.
"""A tokenizer of one's own as a folder that `AutoTokenizer` loads: trained on train, measured on validation.

The folder also holds a record: what was asked for, what came out, and the fingerprint of the text. Where the source
has a test split of its own, nothing of that is read.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ...hub.export import new_partial
from ..checking import InputError, check_range, non_defaults
from ..files import read_json, write_json
from ..labelled.corpus import load_labelled, skipped_rows
from ..machine.environment import environment
from ..notes import note
from ..objectives.registry import objective_class
from ..recipes.labels import LabelArguments
from ..recipes.recipe import Recipe
from ..recipes.sections import TEXT_FIELDS, DataArguments, TokenizerArguments
from ..text.corpora import load_but_test
from ..text.shards import open_shards
from ..text.streams import Survey, TextStream, TrainingText, survey
from ..text.tokenizer import tokenize_chunks
from ..text.tokenizer_training import TRAINED, train_tokenizer
from .record import TOKENIZER_RECORD, differing_keys

TOKENIZER_SCHEMA = 1
BATCH = 16  # chunks of text that are tokenized at a time


@dataclass
class Request:
    """What tokenizer is asked for, and what it is trained on. `labels` are those of a recipe with labelled data."""

    tokenizer: TokenizerArguments
    data: DataArguments
    model_max_length: int
    labels: LabelArguments | None = None

    def __post_init__(self) -> None:
        check_range("--model_max_length", self.model_max_length, low=1)
        if self.tokenizer.tokenizer not in TRAINED:
            raise InputError(
                f"tokenizer.tokenizer: '{self.tokenizer.tokenizer}' is no kind that is trained; "
                f"allowed: {', '.join(TRAINED)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """What decides the result, for a record: fields that are at their default are left out."""
        sections = {"tokenizer": self.tokenizer, "data": self.data, "labels": self.labels}
        content = {name: non_defaults(section) for name, section in sections.items() if section is not None}
        content["data"] = {name: value for name, value in content["data"].items() if name in TEXT_FIELDS}
        return content | {"model_max_length": self.model_max_length}


def request_of(recipe: Recipe, model_max_length: int | None = None) -> Request:
    """The tokenizer that a recipe trains for itself; its texts are no longer than the recipe's blocks."""
    is_labelled = objective_class(recipe.objective.objective).labelled
    length = recipe.data.block_size if model_max_length is None else model_max_length
    return Request(recipe.tokenizer, recipe.data, length, recipe.labels if is_labelled else None)


def prepare_tokenizer(request: Request, folder: Path) -> dict[str, Any]:
    """Trains, measures and saves the tokenizer; returns the record. One that is there already is left as it is.

    Raises InputError, and writes nothing, where the data or the request is wrong or `folder` holds something else.
    """
    old = check_folder(folder, request)
    stream = _stream(request)
    train, validation = survey(stream, "train"), survey(stream, "validation")
    if old is not None:
        if old["train"]["fingerprint"] != train.fingerprint:
            raise InputError(f"{folder}: was trained on another text of this name; use another --output_dir")
        return old
    text = _Observed(stream.documents("train"), train)
    tokenizer = train_tokenizer(request.tokenizer, text, request.model_max_length)
    asked = {"tokenizer": request.tokenizer.tokenizer, "vocab_size_asked": request.tokenizer.vocab_size}
    record = (
        {"schema": TOKENIZER_SCHEMA}
        | asked
        | {"vocab_size": len(tokenizer), "data_fraction": request.data.data_fraction}
    )
    record |= {"request": request.to_dict(), "train": train.to_dict()}
    record["validation"] = measure(tokenizer, TrainingText(stream.documents("validation")), validation)
    record["environment"] = environment()
    _save(tokenizer, record, folder.resolve())
    return record


def _stream(request: Request) -> TextStream:
    """The documents by split. Labelled rows are cut by strata, so that those of train here are those of the recipe.

    Of a train split that is streamed they are those of the sample that the recipe's own tokenizer is trained on.
    """
    if request.data.streaming:
        shards = open_shards(request.data)
        splits = {"train": shards.sample(request.data.sample_characters)}
        return TextStream(shards.name, splits | {"validation": partial(shards.documents, "validation")})
    texts = load_but_test(request.data) if request.labels is None else _labelled_texts(request.data, request.labels)
    return TextStream(request.data.dataset, {split: partial(iter, found) for split, found in texts.items()})


def _labelled_texts(data: DataArguments, labels: LabelArguments) -> dict[str, list[str]]:
    corpus = load_labelled(data, labels)
    if corpus.skipped:
        note(f"{corpus.name}: {skipped_rows(corpus.skipped)}")
    return {split: examples.texts + (examples.pairs or []) for split, examples in corpus.splits.items()}


class _Observed(TrainingText):
    """The text of a survey, whose alphabet is known, with a progress bar where there is a terminal."""

    def __init__(self, documents: Any, found: Survey) -> None:
        super().__init__(documents)
        self.alphabet, self.characters = found.alphabet, found.characters

    def __iter__(self) -> Iterator[str]:
        with tqdm(total=self.characters, disable=None, unit="char", unit_scale=True, leave=False) as bar:
            for chunk in super().__iter__():
                yield chunk
                bar.update(len(chunk))


def measure(tokenizer: PreTrainedTokenizerBase, text: Iterable[str], found: Survey) -> dict[str, Any]:
    """How a tokenizer cuts a split: tokens, and these per word and character.

    A word is what stands between white space; tokens per word are also called fertility. `unknown_rate` is the share
    of tokens that are the unknown one.
    """
    words = tokens = unknown = 0
    chunks = iter(text)
    while batch := list(islice(chunks, BATCH)):
        words += sum(len(chunk.split()) for chunk in batch)
        for ids in tokenize_chunks(tokenizer, batch):
            tokens += len(ids)
            unknown += ids.count(tokenizer.unk_token_id)
    if tokens == 0:
        raise InputError("tokenizer: the validation split tokenizes to nothing")
    return found.to_dict() | {
        "words": words,
        "tokens": tokens,
        "tokens_per_word": tokens / words,
        "characters_per_token": found.characters / tokens,
        "bytes_per_token": found.bytes / tokens,
        "unknown_rate": unknown / tokens,
    }


# ---- the folder ----------------------------------------------------------------------------------------------------


def check_folder(folder: Path, request: Request) -> dict[str, Any] | None:
    """The record of the same request that the folder holds, or None where it is missing or empty.

    Raises InputError where it holds anything else.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not names and not folder.is_file():
        return None
    if TOKENIZER_RECORD not in names or "tokenizer.json" not in names:
        what = f"holds {', '.join(names[:3])}" if names else "is a file"
        raise InputError(f"{folder}: {what}, and no tokenizer of this program; use another --output_dir")
    record = read_json(folder / TOKENIZER_RECORD)
    if not isinstance(record, dict) or not {"request", "train"} <= record.keys():
        raise InputError(f"{folder / TOKENIZER_RECORD}: is no record of this program; use another --output_dir")
    changed = differing_keys(record["request"], request.to_dict())
    if changed:
        raise InputError(f"{folder}: holds another tokenizer ({'; '.join(changed[:3])}); use another --output_dir")
    return record


def _save(tokenizer: PreTrainedTokenizerBase, record: dict[str, Any], folder: Path) -> None:
    """Writes the folder under a temporary name and renames it, so that there is never half of it."""
    partial = new_partial(folder)
    try:
        tokenizer.save_pretrained(partial)
        write_json(partial / TOKENIZER_RECORD, record)
        partial.rename(folder)  # in place of an empty one, too
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
