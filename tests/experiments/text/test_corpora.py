# Copyright 2026 The hf_variants authors. MIT licence.
"""Every source gives the same kind of corpus, and says in one line what is wrong with it."""

import gzip
import hashlib
import json
import os
import re
from pathlib import Path

import pandas
import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.sections import DataArguments
from hf_variants.experiments.text.corpora import Corpus, fingerprint, load_corpus, load_split
from hf_variants.experiments.text.questions import ANSWER, as_question
from hf_variants.experiments.text.splits import cut

TEXT = "".join(f"line {i}\n" for i in range(100))


def load(path: Path | str, **changes) -> Corpus:
    return load_corpus(DataArguments(dataset=str(path), **changes))


def test_one_text_is_cut_by_position(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    corpus = load(tmp_path / "a.txt", split_fractions=[0.6, 0.2, 0.2])
    assert "".join(corpus.splits[s][0] for s in ("train", "validation", "test")) == TEXT
    assert len(corpus.splits["train"][0]) == round(0.6 * len(TEXT))


def test_documents_are_cut_whole_and_disjoint():
    texts = [f"document {i} " * (1 + i % 7) for i in range(200)]
    splits = cut(texts, [0.8, 0.1, 0.1])
    assert sorted(sum(splits.values(), [])) == sorted(texts)
    assert abs(sum(map(len, splits["train"])) / sum(map(len, texts)) - 0.8) < 0.02
    assert cut(texts, [0.8, 0.1, 0.1]) == splits


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".jsonl", ".csv", ".tsv", ".parquet"])
def test_folders_of_every_kind(tmp_path, suffix):
    rows = ["one, with a comma", "two\twith a tab" if suffix != ".tsv" else "two", "NA"]
    table = pandas.DataFrame({"body": rows})
    for split in ("train", "validation", "test"):
        path = tmp_path / f"{split}{suffix}"
        if suffix == ".txt":
            path.write_text("\n".join(rows))
        elif suffix == ".txt.gz":
            path.write_bytes(gzip.compress("\n".join(rows).encode()))
        elif suffix == ".jsonl":
            path.write_text("\n".join(json.dumps({"body": row}) for row in rows))
        elif suffix == ".parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    corpus = load(tmp_path, text_column="body")
    expected = ["\n".join(rows)] if "txt" in suffix else rows
    assert corpus.splits == {split: expected for split in ("train", "validation", "test")}


def test_the_data_folder_serves_names(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.txt").write_text(TEXT)
    monkeypatch.setenv("HF_VARIANTS_DATA", str(tmp_path))
    assert load("mine").splits["train"][0].startswith("line 0")


def test_a_url_needs_its_digest(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="only read with the digest"):
        load("https://example.org/a.txt")


def test_a_url_is_checked_and_kept(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(TEXT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    fetched = []

    def fetch(url, target):
        fetched.append(url)
        Path(target).write_text(TEXT)

    monkeypatch.setattr("urllib.request.urlretrieve", fetch)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    assert load("https://example.org/a.txt", sha256=digest).splits["train"]
    load("https://example.org/a.txt", sha256=digest)
    assert len(fetched) == 1
    with pytest.raises(InputError, match="the recipe says 00"):
        load("https://example.org/a.txt", sha256="00")


def test_pydoc_is_built_in():
    corpus = load("builtin/pydoc")
    sizes = {split: len(texts[0]) for split, texts in corpus.splits.items()}
    assert sum(sizes.values()) > 300_000 and 0.04 < sizes["test"] / sum(sizes.values()) < 0.06
    assert corpus.license == "PSF-2.0" and corpus.hub_id is None


@pytest.mark.parametrize(("name", "count", "lengths"), [
    ("builtin/arithmetic", 6000, {2, 3}), ("builtin/arithmetic_chains", 12000, set(range(1, 9))),
])  # fmt: skip
def test_arithmetic_is_exact_and_no_question_is_in_two_splits(name, count, lengths):
    corpus = load(name)
    documents = [text for texts in corpus.splits.values() for text in texts]
    assert len({as_question(text)[0] for text in documents}) == len(documents) == count
    assert {text.count("=") for text in documents} == lengths
    assert len(corpus.questions["test"]) >= 200 and corpus.license == "CC0-1.0"
    for text in documents:
        prompt, answer = as_question(text)
        chain, result = answer.split(" #### ")
        question = prompt.removeprefix("Question: ").removesuffix(ANSWER)
        assert eval(question) == int(result) and all(0 <= int(n) <= 20 for n in re.findall(r"\d+", text))
        assert all(eval(left) == int(right) for left, right in (step.split(" = ") for step in chain.split(", ")))
    assert load(name).fingerprint == corpus.fingerprint


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_questions_and_answers(tmp_path, suffix):
    table = pandas.DataFrame({"q": [f"What is {n}?" for n in range(40)], "a": [f"it is\n#### {n}" for n in range(40)]})
    path = tmp_path / f"all{suffix}"
    {".csv": table.to_csv, ".parquet": table.to_parquet}.get(
        suffix, lambda p: table.to_json(p, orient="records", lines=True)
    )(path)
    corpus = load(path, question_column="q", answer_column="a")
    assert "Question: What is 1?\nAnswer: it is\n#### 1" in corpus.splits["train"]
    assert set(corpus.questions) == {"validation", "test"}
    for split, pairs in corpus.questions.items():
        for text, (prompt, answer) in zip(corpus.splits[split], pairs, strict=True):
            assert text == f"{prompt} {answer}" and prompt.endswith("?\nAnswer:") and answer.startswith("it is\n####")
    assert load(path, text_column="q").questions == {}


def test_bad_questions_are_named(tmp_path):
    _write(tmp_path / "a.jsonl", '{"q": "x\\nAnswer: 2", "a": 3}')
    with pytest.raises(InputError, match="a.jsonl: line 1: the question contains a line that begins with 'Answer:'"):
        load(tmp_path / "a.jsonl", question_column="q", answer_column="a")
    with pytest.raises(InputError, match="no column 'b'|with a field 'q' and 'b'"):
        load(tmp_path / "a.jsonl", question_column="q", answer_column="b")
    _write(tmp_path / "a.txt", TEXT)
    with pytest.raises(InputError, match="a text file has no columns q, a"):
        load(tmp_path / "a.txt", question_column="q", answer_column="a")
    with pytest.raises(InputError, match="both question_column and answer_column"):
        DataArguments(dataset="x", question_column="q")


def test_one_split_is_enough_to_evaluate(tmp_path):
    _write(tmp_path / "test.txt", TEXT)
    arguments = DataArguments(dataset=str(tmp_path))
    assert load_split(arguments, "test") == [TEXT]
    with pytest.raises(InputError, match="no text in a validation split; there are: test"):
        load_split(arguments, "validation")
    _write(tmp_path / "a.txt", TEXT)
    whole = load(tmp_path / "a.txt")
    assert load_split(DataArguments(dataset=str(tmp_path / "a.txt")), "test") == whole.splits["test"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "nowhere", "is no file"),
        (lambda p: _write(p / "a.doc", "x"), "unknown kind of file"),
        (lambda p: _write(p / "a.txt", ""), "train split is empty"),
        (lambda p: _write(p / "a.txt", b"ok \xff"), "not UTF-8 at byte 3"),
        (lambda p: _write(p / "a.csv", "x,y\n1,2\n"), "no column 'text'; there are: x, y"),
        (lambda p: _write(p / "a.jsonl", '{"text": "a"}\n{"body": 1}\n'), "line 2"),
        (lambda p: _write(p / "a.parquet", "no table"), "a.parquet"),
    ],
)
def test_bad_sources(tmp_path, monkeypatch, make, words):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError) as error:
        load(make(tmp_path))
    assert words in str(error.value) and "\n" not in str(error.value)


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_unknown_built_in():
    with pytest.raises(InputError, match="built in are: builtin/pydoc"):
        load("builtin/none")


def test_the_fingerprint_sees_boundaries_and_splits():
    parts = [{"train": ["ab", "c"]}, {"train": ["a", "bc"]}, {"train": ["ab"], "test": ["c"]}, {"train": ["ab", "C"]}]
    assert len({fingerprint(splits) for splits in parts}) == 4
    assert fingerprint({"train": ["é"]}) == fingerprint({"train": ["é"]})


def test_data_fraction_keeps_the_beginning(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    whole, tenth = load(tmp_path / "a.txt"), load(tmp_path / "a.txt", data_fraction=0.1)
    assert whole.splits["train"][0].startswith(tenth.splits["train"][0])
    assert len(tenth.splits["train"][0]) == round(0.1 * len(whole.splits["train"][0]))
    assert tenth.splits["validation"] == whole.splits["validation"]


@pytest.mark.skipif(
    not Path(os.environ.get("HF_VARIANTS_DATA", "none")).exists(), reason="HF_VARIANTS_DATA is not set"
)
def test_real_tiny_shakespeare():
    corpus = load("tiny_shakespeare")
    assert len(set(corpus.splits["train"][0])) == 65
