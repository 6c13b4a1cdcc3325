# Copyright 2026 The hf_variants authors. MIT licence.
"""A stream gives the documents that `load_corpus` holds, cut and shortened alike, and chunks that cut no word."""

import json
from pathlib import Path
from typing import Any

import datasets
import pandas
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
from hf_variants.experiments.text.split_files import SPLITS
from hf_variants.experiments.text.streams import TextStream, TrainingText, chunks, pieces, stream_corpus, survey

ROWS = [f"row {n} of the naïve table, {'long ' * (n % 7)}end" for n in range(90)]
TEXT = "".join(f"line {n}: ünïcode\n" for n in range(200))


def write(path: Path, rows: list[str]) -> None:
    """The rows as a file of the kind that its name says; as one text where that has no rows."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({"text": row}) for row in rows))
    elif path.suffix == ".parquet":
        pandas.DataFrame({"text": rows}).to_parquet(path)
    elif path.suffix == ".csv":
        pandas.DataFrame({"text": rows}).to_csv(path, index=False)
    else:
        path.write_text("\n".join(rows))


def sources(folder: Path) -> dict[str, str]:
    """Data of every shape: one text, rows, folders with all splits or some."""
    for name in ("rows.jsonl", "rows.csv", "rows.parquet"):
        write(folder / name, ROWS)
    (folder / "text.txt").write_text(TEXT)
    for name, suffix, splits in [
        ("texts", ".txt", SPLITS), ("tables", ".csv", SPLITS), ("no_test", ".jsonl", SPLITS[:2]),
        ("own_test", ".parquet", ("train", "test")),
    ]:  # fmt: skip
        (folder / name).mkdir()
        for number, split in enumerate(splits):
            write(folder / name / f"{split}{suffix}", ROWS[number::3])
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, str]:
    return sources(tmp_path_factory.mktemp("sources"))


def texts(stream: TextStream, split: str) -> list[str]:
    return ["".join(pieces(document)) for document in stream.documents(split)()]


NAMES = ("rows.jsonl", "rows.csv", "rows.parquet", "text.txt", "texts", "tables", "no_test", "own_test")
OPTIONS = ({}, {"join_splits": True}, {"data_fraction": 0.3}, {"split_fractions": [0.5, 0.3, 0.0]},
           {"join_splits": True, "data_fraction": 0.21, "split_fractions": [0.6, 0.2, 0.2]})  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
def test_a_stream_is_the_corpus(data, monkeypatch, name, options):
    monkeypatch.setattr(text_files, "BLOCK", 50)
    monkeypatch.setattr(text_files, "ROWS", 40)
    check_stream(DataArguments(dataset=data[name], **options))


@pytest.mark.parametrize("name", ["builtin/pydoc", "builtin/arithmetic"])
def test_a_stream_of_what_is_built_in_is_the_corpus(name):
    check_stream(DataArguments(dataset=name, data_fraction=0.3))


def check_stream(arguments: DataArguments) -> None:
    """Compares all splits with `load_corpus`, and the survey with the text."""
    corpus, stream = load_corpus(arguments), stream_corpus(arguments)
    assert list(stream.splits) == list(corpus.splits)
    for split in corpus.splits:
        for _ in range(2):  # every pass begins again
            assert texts(stream, split) == corpus.splits[split]
    found, train = survey(stream, "train"), corpus.splits["train"]
    assert found.fingerprint == fingerprint({"train": train}) and found.documents == len(train)
    assert (found.characters, found.bytes) == (sum(map(len, train)), len("".join(train).encode()))
    assert found.alphabet == set("".join(train))


def test_as_few_rows_as_splits_are_joined_to_one_text(tmp_path):
    write(tmp_path / "few.jsonl", ROWS[:3])
    check_stream(DataArguments(dataset=str(tmp_path / "few.jsonl"), join_splits=True))


def test_questions_with_answers_are_the_documents_of_the_corpus(tmp_path):
    rows = [{"q": f"{n} + 1?", "a": n + 1} for n in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = DataArguments(dataset=str(tmp_path / "a.jsonl"), question_column="q", answer_column="a")
    assert texts(stream_corpus(arguments), "train") == load_corpus(arguments).splits["train"]


def on_hub(monkeypatch, **splits: list[str]) -> list[tuple]:
    """Puts a data set in place of the Hub's; returns how it is then asked for."""
    asked = []

    def load_dataset(name: str, config: str | None, **options: Any) -> dict[str, Any]:
        asked.append((name, config, options))
        tables = {split: datasets.Dataset.from_dict({"text": rows, "n": rows}) for split, rows in splits.items()}
        return {split: t.to_iterable_dataset() if options["streaming"] else t for split, t in tables.items()}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_a_data_set_of_the_hub_is_streamed(monkeypatch):
    asked = on_hub(monkeypatch, train=ROWS, test=ROWS[:5])
    arguments = DataArguments(dataset="someone/something", dataset_config="en", dataset_revision="v1")
    stream = stream_corpus(arguments)
    assert asked == [("someone/something", "en", {"revision": "v1", "streaming": True})]
    corpus = load_corpus(arguments)
    assert {split: texts(stream, split) for split in stream.splits} == corpus.splits and len(asked) == 2
    with pytest.raises(InputError, match="someone/something .train.: no column 'body'; there are: text, n"):
        stream_corpus(DataArguments(dataset="someone/something", text_column="body"))


def test_a_stream_of_the_hub_without_declared_columns(monkeypatch):
    table = datasets.IterableDataset.from_generator(lambda: iter([{"text": "a b"}, {"text": "c"}]))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": table, "validation": table})
    assert texts(stream_corpus(DataArguments(dataset="someone/something")), "train") == ["a b", "c"]


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    """Of a folder with its own splits not even the other files."""
    for split in SPLITS:
        write(tmp_path / f"{split}.jsonl", ROWS)
    (tmp_path / "test.jsonl").write_bytes(b"\xff")
    (tmp_path / "train.jsonl").write_text('{"text": "first"}\n{')
    stream = stream_corpus(DataArguments(dataset=str(tmp_path)))
    documents = iter(stream.documents("train")())
    assert next(documents) == "first"
    with pytest.raises(InputError, match="train.jsonl: line 2"):
        next(documents)
    assert texts(stream, "validation") == ROWS


def test_missing_and_empty_splits_are_named(tmp_path):
    write(tmp_path / "validation.txt", ROWS)
    stream = stream_corpus(DataArguments(dataset=str(tmp_path), data_fraction=0.5))
    with pytest.raises(InputError, match="has no train split; there are: validation"):
        survey(stream, "train")
    (tmp_path / "train.txt").write_text(" \n\u3000")
    with pytest.raises(InputError, match="the train split is empty"):
        survey(stream_corpus(DataArguments(dataset=str(tmp_path))), "train")


def test_half_a_surrogate_pair_is_named(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "ok \\ud83d\\ude00"}\n{"text": "bad \\ud83d"}\n')
    write(tmp_path / "validation.jsonl", ROWS)
    stream = stream_corpus(DataArguments(dataset=str(tmp_path)))
    with pytest.raises(InputError, match="train: row 1: half of a surrogate pair"):
        survey(stream, "train")


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
