# Copyright 2026 The hf_variants authors. MIT licence.
"""Where the shards of a stream come from, what is held out of them, and what they are known by."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pandas
import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.sections import DataArguments
from hf_variants.experiments.text import corpora, shards, sources
from hf_variants.experiments.text.corpora import load_corpus
from hf_variants.experiments.text.shards import ShardedText, files_fingerprint, open_shards
from hf_variants.experiments.text.streaming import Place, TokenizedShards, read_tokens
from hf_variants.experiments.text.streams import pieces
from hf_variants.experiments.text.tokenizer import separator_id
from tests.helpers.places import PROGRAMS

ROWS = [f"row {number} of many" for number in range(60)]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three shards without a validation split."""
    (tmp_path / "crawl").mkdir()
    for number in range(3):
        lines = (json.dumps({"text": row}) for row in ROWS[20 * number : 20 * number + 20])
        (tmp_path / "crawl" / f"part-{number}.jsonl").write_text("\n".join(lines))
    return tmp_path


def arguments(dataset: Path | str, **changes: Any) -> DataArguments:
    return DataArguments(dataset=str(dataset), streaming=True, **changes)


def texts(found: ShardedText, split: str) -> list[str]:
    return ["".join(pieces(document)) for document in found.documents(split)]


def test_a_pattern_names_shards_of_which_the_first_documents_are_held_out(folder, monkeypatch):
    found = open_shards(arguments(folder / "crawl" / "part-*.jsonl", held_out_documents=15))
    assert [len(found.splits[split]) for split in ("train", "validation", "test")] == [3, 1, 1]
    assert texts(found, "validation") == ROWS[:15] and texts(found, "test") == ROWS[15:30]
    assert texts(found, "train") == texts(found, "train") == ROWS[30:] and found.hub_id is None
    monkeypatch.setenv("HF_VARIANTS_DATA", str(folder))
    by_name = open_shards(arguments("crawl/*.jsonl", held_out_documents=15))
    assert texts(by_name, "train") == ROWS[30:] and by_name.fingerprint == found.fingerprint
    corpus = load_corpus(DataArguments(dataset="crawl/*.jsonl"))  # in memory too
    assert sorted(text for split in corpus.splits.values() for text in split) == sorted(ROWS)
    assert corpus.hub_id is None


def test_what_cannot_be_held_out_is_named(folder):
    with pytest.raises(InputError, match="held_out_documents: 31 each for validation, test; .* has 60 documents"):
        open_shards(arguments(folder / "crawl" / "*", held_out_documents=31))
    (folder / "one.txt").write_text("a text\n" * 99)
    with pytest.raises(InputError, match="a text file is one document, of which nothing can be held out"):
        open_shards(arguments(folder / "one.txt"))
    with pytest.raises(InputError, match="no file matches, here or in HF_VARIANTS_DATA"):
        open_shards(arguments(folder / "crawl" / "*.parquet"))


def test_own_splits_are_left_as_they_are(folder):
    (folder / "crawl").rename(folder / "train")
    (folder / "test.txt").write_text("a test")
    found = open_shards(arguments(folder, held_out_documents=5))
    assert texts(found, "test") == ["a test"] and texts(found, "validation") == ROWS[:5]
    (folder / "validation.txt").write_text("to validate")
    found = open_shards(arguments(folder, held_out_documents=5))
    assert texts(found, "train") == ROWS and texts(found, "validation") == ["to validate"]
    assert load_corpus(DataArguments(dataset=str(folder))).splits["train"] == ROWS


def test_a_sample_is_the_beginnings_of_shards(folder):
    found = open_shards(arguments(folder / "crawl" / "*", held_out_documents=1))
    size = len(ROWS[20])
    sample = ["".join(pieces(document)) for document in found.sample(3 * (size + 5))()]
    assert sample == [ROWS[2], ROWS[3][:6], ROWS[20], ROWS[21][:5], ROWS[40], ROWS[41][:5]]
    assert len(list(found.sample(10**6)())) == 58


def test_a_fingerprint_knows_content_but_not_times_or_folders(folder, monkeypatch):
    monkeypatch.setattr(shards, "PIECE", 8)
    files = sorted((folder / "crawl").iterdir())
    before = files_fingerprint({"train": files})
    os.utime(files[0], (1, 1))
    (folder / "crawl").rename(folder / "moved")
    files = sorted((folder / "moved").iterdir())
    assert files_fingerprint({"train": files}) == before
    assert files_fingerprint({"train": files[:2], "validation": files[2:]}) != before
    content = files[1].read_text()
    for other in ("X" + content[1:], content[:-1] + "X", content + " "):
        files[1].write_text(other)
        assert files_fingerprint({"train": files}) != before
    files[1].write_text(content)
    assert files_fingerprint({"train": files}) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_of_the_hub_are_read_in_their_order_by_every_worker(tmp_path, monkeypatch, workers):
    """`datasets` gives each worker of a DataLoader other rows, where it is asked in the usual way."""
    for number in range(3):
        rows = {"text": ROWS[20 * number : 20 * number + 20], "n": range(20)}
        pandas.DataFrame(rows).to_parquet(tmp_path / f"{number}.parquet")
    files = sorted(map(str, tmp_path.glob("*.parquet")))
    asked = []

    def load_dataset(name: str, config: str | None, **options: Any) -> Any:
        asked.append(options)
        return load("parquet", data_files={"train": files}, cache_dir=str(tmp_path / "cache"), streaming=True)

    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    commit = "0123456789abcdef0123456789abcdef01234567"
    found = open_shards(arguments("someone/something", dataset_revision=commit, held_out_documents=10))
    assert asked == [{"revision": commit, "streaming": True}] and found.hub_id == "someone/something"
    assert commit in found.identity and found.size == {"shards": 3}
    assert texts(found, "validation") == ROWS[:10] and texts(found, "train") == ROWS[20:]
    tokenizer = corpora_tokenizer()
    text = TokenizedShards(found.splits["train"], tokenizer)
    tokens = [ids for _, ids in read_tokens(text, [2, 0, 1], Place(0, 5, 0), workers)]
    expected = [*ROWS[45:], *ROWS[20:40]]
    separator = tokenizer.decode([separator_id(tokenizer)])
    assert tokenizer.decode([i for ids in tokens for i in ids]) == "".join(row + separator for row in expected)


class TransportError(Exception):
    """As the client's library calls what the network did."""


@pytest.mark.parametrize("error", [TransportError("timed out"), ConnectionError("Server\nDisconnected")])
def test_a_connection_that_is_lost_is_one_line(error):
    class Table:
        column_names = ["text"]

        def select_columns(self, _: list[str]) -> "Table":
            return self

        def iter(self, batch_size: int) -> Any:
            yield {"text": ["a"] * batch_size}
            raise error

    rows = iter(sources.hub_rows(Table(), ["text"], "data: someone/something (train)"))
    assert next(rows) == ("a",)
    with pytest.raises(InputError, match=r"something \(train\): could not be read \(\w+: \w+ \w+\); the same"):
        list(rows)


def corpora_tokenizer() -> Any:
    """Characters of the rows, and a separator."""
    from hf_variants.experiments.recipes.sections import TokenizerArguments
    from hf_variants.experiments.text.tokenizer import build_tokenizer

    corpus = corpora.Corpus("rows", {"train": ROWS, "validation": ROWS})
    return build_tokenizer(TokenizerArguments(), corpus, 16)


@pytest.mark.slow
def test_a_data_set_is_streamed_from_a_real_hub_and_offline_from_the_cache():
    program = PROGRAMS / "stream_from_hub.py"
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 8 and all(found.values()), found
