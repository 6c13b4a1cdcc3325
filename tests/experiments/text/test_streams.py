# Copyright 2026 The hf_variants authors. MIT licence.
"""Documents are read anew for every pass, know where they stand, and are cut into chunks that cut no word."""

import functools
import json
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.sections import DataArguments
from hf_variants.experiments.text import files as text_files
from hf_variants.experiments.text import streams
from hf_variants.experiments.text.cleaning import clean
from hf_variants.experiments.text.corpora import fingerprint, load_corpus
from hf_variants.experiments.text.streams import (
    Documents,
    TextStream,
    TrainingText,
    beginning,
    chunks,
    of_file,
    pieces,
    survey,
)

ROWS = [f"row {n} of the naïve table, {'long ' * (n % 7)}end" for n in range(90)]
TEXT = "".join(f"line {n}: ünïcode\n" for n in range(200))


def write(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(json.dumps({"text": row}) for row in rows))
    return path


def texts(documents: Documents) -> list[str]:
    return ["".join(pieces(document)) for document in documents()]


# ---- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("characters", [1, 49, 50, 51, 777, len(TEXT), 10**6])
def test_the_beginning_of_a_long_text_ends_where_it_is_told_to(tmp_path, monkeypatch, characters):
    monkeypatch.setattr(text_files, "BLOCK", 50)
    (tmp_path / "a.txt").write_text(TEXT)
    part = functools.partial(beginning, functools.partial(of_file, tmp_path / "a.txt", ["text"]), characters)
    for _ in range(2):  # every pass begins again
        assert texts(part) == [TEXT[:characters]]
    shorter = functools.partial(beginning, part, characters // 2 + 1)
    assert texts(shorter) == [TEXT[:characters][: characters // 2 + 1]]


def test_the_beginning_of_rows_cuts_the_last_one(tmp_path):
    rows = functools.partial(of_file, write(tmp_path / "a.jsonl", ROWS), ["text"])
    assert texts(functools.partial(beginning, rows, len(ROWS[0]) + 3)) == [ROWS[0], ROWS[1][:3]]


def test_a_survey_counts_what_there_is(tmp_path):
    path = write(tmp_path / "a.jsonl", ROWS)
    found = survey(TextStream("a", {"train": functools.partial(of_file, path, ["text"])}), "train")
    assert found.fingerprint == fingerprint({"train": ROWS}) and found.documents == len(ROWS)
    assert (found.characters, found.bytes) == (sum(map(len, ROWS)), len("".join(ROWS).encode()))
    assert found.alphabet == set("".join(ROWS))


def test_no_row_is_read_before_it_is_asked_for(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "first"}\n{')
    documents = of_file(tmp_path / "train.jsonl", ["text"])
    assert next(documents) == "first"
    with pytest.raises(InputError, match="train.jsonl: line 2"):
        next(documents)


def test_missing_and_empty_splits_are_named():
    stream = TextStream("mine", {"validation": lambda: [" \n\u3000"]})
    with pytest.raises(InputError, match="mine has no train split; there are: validation"):
        survey(stream, "train")
    with pytest.raises(InputError, match="the validation split is empty"):
        survey(stream, "validation")


def test_a_bad_text_is_named_where_it_stands(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "ok \\ud83d\\ude00"}\n\n{"text": "bad \\ud83d"}\n')
    with pytest.raises(InputError, match="a.jsonl: line 3: half of a surrogate pair"):
        list(of_file(tmp_path / "a.jsonl", ["text"]))
    (tmp_path / "b.jsonl").write_text('{"text": 3}\n')
    with pytest.raises(InputError, match="b.jsonl: line 1: text is expected, found 3"):
        list(of_file(tmp_path / "b.jsonl", ["text"]))
    (tmp_path / "a.csv").write_text('q,a\nwhy,so\n"why\nAnswer:",so\n')
    with pytest.raises(InputError, match=r"a.csv: row 2 \(1 is the first below the header\): the question contains"):
        list(of_file(tmp_path / "a.csv", ["q", "a"]))


def test_a_row_of_the_hub_is_named_where_it_stands(monkeypatch):
    table = datasets.Dataset.from_dict({"text": ["a", None]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": table})
    with pytest.raises(InputError, match=r"someone/something \(train\): row 1 \(0 is the first\): text is expected"):
        load_corpus(DataArguments(dataset="someone/something"))


# ---- chunks --------------------------------------------------------------------------------------------------------

# What a chunk must not change: the parts that each kind of tokenizer counts.
SPLITTERS = {
    "bpe": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "wordpiece": pre_tokenizers.BertPreTokenizer(),
    "words": pre_tokenizers.Whitespace(),
}
PARTS = st.text(alphabet="ab1'.é日 \n\t\u00a0\u2028\u0301\x1c", max_size=12)


@given(st.lists(PARTS, max_size=12), st.integers(1, 30))
@pytest.mark.hunt
def test_chunks_lose_nothing_and_cut_no_word(parts, size):
    whole, before = "".join(parts), streams.CHUNK
    streams.CHUNK = size
    try:
        found = list(chunks(parts))
    finally:
        streams.CHUNK = before
    assert "".join(found) == whole
    for splitter in SPLITTERS.values():
        counted = [word for chunk in found for word, _ in splitter.pre_tokenize_str(chunk)]
        assert counted == [word for word, _ in splitter.pre_tokenize_str(whole)]


def test_chunks_of_a_long_text_are_near_their_size(monkeypatch):
    monkeypatch.setattr(streams, "CHUNK", 100)
    found = list(chunks([TEXT[:1500], TEXT[1500:]]))
    assert "".join(found) == TEXT and all(100 <= len(chunk) <= 120 for chunk in found[:-1])
    assert list(chunks(["x" * 5000, "y" * 5000])) == ["x" * 5000 + "y" * 5000]  # no place to cut


def test_cleaned_text_is_cleaned_document_by_document():
    documents = ["See http://x.org now", "@me SAID"]
    text = TrainingText(lambda: documents).cleaned(["urls", "lower_case"])
    assert list(text) == [clean(document, ["urls", "lower_case"]) for document in documents]
    assert text.alphabet == set("".join(text)) and "S" not in text.alphabet
    assert TrainingText(lambda: documents).cleaned([]).alphabet == set("".join(documents))
