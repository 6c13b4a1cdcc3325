# Copyright 2026 The hf_variants authors. MIT licence.
"""Any text goes from file to batch, or is refused in a line: emoji, right to left, NUL, half surrogates, no text."""

import csv
import gzip
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pyarrow import parquet

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.steps import StepDataset
from hf_variants.experiments.labelled.tables import read_table
from hf_variants.experiments.recipes.recipe import recipe_from_dict
from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.cleaning import STEPS, clean
from hf_variants.experiments.text.files import SUFFIXES, read_rows
from hf_variants.experiments.text.questions import as_documents
from hf_variants.experiments.text.streams import TrainingText
from hf_variants.experiments.text.tokenizer import tokenize_documents
from hf_variants.experiments.text.tokenizer_training import TRAINED, train_tokenizer

PIECES = st.sampled_from(
    [
        *("", " ", "\t", "\n", "\r", "\r\n", "\x00", "\x0b", "\x1c", "\x7f", "\x85", "\xa0", "\xad", "\u2028"),
        *("a", "the cat", "don't", "Don’t", "e\u0301", "é", "\u0301\u0302", "ﬁ", "İ", "ſ", "Σς", "x" * 300, "1,5"),
        *("שלום", "\u202eمرحبا\u202c", "हिन्दी", "日本語", "ไทย", "\u3000", "\ufeff", "\ufffd", "\uffff"),
        *("\U0010ffff", "😀", "👩\u200d👩\u200d👧🏽", "🇩🇪", "[PAD]", "[UNK]", "[CLS]", "[MASK]", "<|endoftext|>"),
        *("▁", "Ġ", "##a", "'", '"', '""', ",", "|||", "label ||| x", "\nAnswer:"),
    ]
)  # fmt: skip
# Whole texts too: lists of pieces seldom repeat one.
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=9).map("".join) | st.builds(
    lambda piece, times: piece * times, PIECES, st.sampled_from([1, 2, 70, 1000])
)
HALVES = st.sampled_from(["\ud800", "a\udfff", "\udc00\ud800 b"])  # no characters, but a JSON file can hold them
TABLE_ROWS = st.lists(st.tuples(TEXTS | HALVES, TEXTS), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("texts")


# ---- files ---------------------------------------------------------------------------------------------------------


def as_bytes(suffix: str, rows: list[tuple[str, str]]) -> bytes:
    """A file of this kind with a column `text` and another; a text file is the texts alone."""
    if suffix.endswith(".gz"):
        return gzip.compress(as_bytes(suffix.removesuffix(".gz"), rows))
    if suffix == ".txt":
        return "\n".join(text for text, _ in rows).encode("utf-8", "surrogatepass")
    if suffix == ".jsonl":
        return "".join(json.dumps({"text": text, "other": other}) + "\n" for text, other in rows).encode()
    if suffix == ".parquet":
        columns = [[text.encode("utf-8", "replace").decode() for text in column] for column in zip(*rows, strict=True)]
        parquet.write_table(pyarrow.table(dict(zip(("text", "other"), columns, strict=True))), sink := io.BytesIO())
        return sink.getvalue()
    if suffix == ".tsv":
        lines = ["\t".join(row) + "\n" for row in [("text", "other"), *rows]]
        return "".join(lines).encode("utf-8", "surrogatepass")
    content = io.StringIO(newline="")
    csv.writer(content, quoting=csv.QUOTE_ALL).writerows([("text", "other"), *rows])
    return content.getvalue().encode("utf-8", "surrogatepass")


def write(folder: Path, suffix: str, content: bytes) -> Path:
    path = folder / f"text{suffix}"
    path.write_bytes(content)
    return path


def documents(path: Path) -> list[str]:
    return list(as_documents(read_rows(path, ["text"])))


@pytest.mark.hunt
@given(suffix=st.sampled_from(SUFFIXES), rows=TABLE_ROWS)
def test_texts_come_back_from_every_kind_of_file(folder, suffix, rows):
    if suffix == ".tsv":  # whose fields hold no tabs and no line ends
        rows = [tuple(re.sub("[\t\r\n]", " ", text) for text in row) for row in rows]
    path = write(folder, suffix, as_bytes(suffix, rows))
    texts = [text for text, _ in rows]
    whole = not any("\ud800" <= character <= "\udfff" for character in "".join(texts))
    if suffix == ".parquet":  # which can't hold them at all
        texts, whole = [text.encode("utf-8", "replace").decode() for text in texts], True
    if not whole:
        with pytest.raises(InputError, match="surrogate|not UTF-8|can't decode"):
            documents(path)
        return
    whole_text = "\n".join(texts).removeprefix("\ufeff")  # there it is a mark of the byte order
    assert documents(path) == ([whole_text] if suffix.startswith(".txt") else texts)
    if not suffix.startswith(".txt"):
        assert [row[0] for row in read_table(path, ["text"]).rows(["text"])] == texts


@pytest.mark.hunt
@given(
    suffix=st.sampled_from(SUFFIXES),
    rows=TABLE_ROWS,
    place=st.integers(0, 400),
    damage=st.binary(max_size=6) | st.sampled_from([b'"', b",", b"\n", b"\x00", b"null", b"[", b"9" * 400, b"1e999"]),
    kept=st.integers(0, 400),
)
def test_a_damaged_file_is_read_or_refused(folder, suffix, rows, place, damage, kept):
    content = as_bytes(suffix, rows)
    place = place % (len(content) + 1)
    path = write(folder, suffix, content[:place] + damage + content[place + kept % 7 :][: kept * 50])
    for read in (documents, lambda path: read_table(path, ["text", "label"]).rows(["text"])):
        try:
            assert isinstance(read(path), list)
        except KeyError as error:  # there is no such column; whoever asks calls `require` first
            assert error.args == ("text",)
        except InputError as error:
            assert str(error).strip()


# ---- tokenizers ----------------------------------------------------------------------------------------------------


def train(kind: str, texts: list[str], **options: Any) -> Any:
    arguments = TokenizerArguments(tokenizer=kind, **({"vocab_size": 500} | options))
    return train_tokenizer(arguments, TrainingText(lambda: texts), 16)


def check_round_trip(kind: str, tokenizer: Any, text: str, known: set[str]) -> None:
    """Fail unless a text's ids are in the vocabulary and say what this kind of tokenizer says of it."""
    ids = tokenize_documents(tokenizer, [text]).tolist()
    assert all(0 <= token < len(tokenizer) for token in ids)
    decoded = tokenizer.decode(ids)
    if kind == "bpe":
        assert decoded == text
    if kind == "character" and not any(token in text for token in tokenizer.all_special_tokens):
        assert decoded == "".join(character if character in known else "[UNK]" for character in text)


@pytest.mark.hunt
@pytest.mark.parametrize("kind", TRAINED)
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=3),
    other=TEXTS,
    lowercase=st.booleans(),
    steps=st.just([]) | st.lists(st.sampled_from(STEPS), unique=True, max_size=2),
)
def test_every_tokenizer_learns_and_reads_any_text(kind, texts, other, lowercase, steps):
    try:
        tokenizer = train(kind, texts, lowercase=lowercase, clean=steps)
    except InputError as error:
        assert "found no token in the train split" in str(error) or "alone make" in str(error)
        return
    known = set("".join(clean(text, steps) for text in texts))
    for text in [*texts, other]:
        if steps:
            assert tokenizer.decode(tokenizer(text)["input_ids"]) is not None
        else:
            check_round_trip(kind, tokenizer, text, known)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["a", " ", "😀", "e\u0301", "ab "])
@pytest.mark.parametrize("kind", TRAINED)
def test_a_line_of_a_megabyte(kind, unit):
    begin, line = time.process_time(), unit * (2**20 // len(unit.encode()))
    try:
        tokenizer = train(kind, [line, "a filler b 😀"])
    except InputError as error:
        assert "found no token" in str(error)
    else:
        check_round_trip(kind, tokenizer, line, set(line))
    assert time.process_time() - begin < 60  # about 1; anything quadratic takes hours


# ---- batches -------------------------------------------------------------------------------------------------------


@pytest.mark.hunt
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=12),
    suffix=st.sampled_from([".txt", ".jsonl", ".csv", ".parquet"]),
    kind=st.sampled_from(TRAINED),
    objective=st.sampled_from(["masked_lm", "causal_lm", "text_classification"]),
    sizes=st.tuples(st.integers(2, 9), st.integers(1, 4)),
)
@example(["\x00"] * 12, ".jsonl", "character", "causal_lm", (2, 1))
def test_any_text_becomes_batches_or_is_refused(folder, texts, suffix, kind, objective, sizes):
    rows = [(text, str(number % 2)) for number, text in enumerate(texts)]
    if objective == "text_classification":
        assume(suffix != ".txt")
    content = {
        "model": {"model_type": "minbert"},
        "data": {"dataset": str(write(folder, suffix, as_bytes(suffix, rows))), "block_size": sizes[0],
                 "split_fractions": [0.6, 0.2, 0.2]},
        "labels": {"label_column": "other"},
        "tokenizer": {"tokenizer": kind, "vocab_size": 500},
        "objective": {"objective": objective},
        "training": {"max_steps": 2, "batch_size": sizes[1]},
    }  # fmt: skip
    try:
        prepared = prepare(recipe := recipe_from_dict(content))
    except InputError as error:
        assert str(error).strip()
        return
    batch = StepDataset(prepared.order(recipe.training), prepared.objective, 0, 1, 0, 1)[0]
    assert batch["input_ids"].shape[0] == sizes[1] and batch["input_ids"].shape[1] >= 1
    assert batch["input_ids"].min() >= 0 and batch["input_ids"].max() < len(prepared.tokenizer)
    assert all(array.dtype.is_floating_point is False or np.isfinite(array).all() for array in batch.values())
    json.dumps(prepared.describe())
