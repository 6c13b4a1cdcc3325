# Copyright 2026 The hf_variants authors. MIT licence.
"""Which files and splits are train, validation and test: none is passed over in silence, and train is used whole."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.labelled.corpus import load_labelled
from hf_variants.experiments.recipes.labels import LabelArguments
from hf_variants.experiments.recipes.sections import DataArguments
from hf_variants.experiments.text import sources as corpora
from hf_variants.experiments.text.corpora import load_corpus
from hf_variants.experiments.text.shards import open_shards
from hf_variants.experiments.text.split_files import SPLITS, split_files, split_shards


def sentences(split: str, count: int = 40) -> list[dict]:
    return [{"text": f"{split} sentence {n}", "label": n % 2} for n in range(count)]


def write(folder: Path, *names: str) -> Path:
    """A folder with files of these names, each of 40 rows that say where they come from."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        rows = sentences(name.split("/")[-1].split(".")[0])
        if ".csv" in name or ".tsv" in name:
            mark = "," if ".csv" in name else "\t"
            lines = [mark.join(("text", "label")), *(mark.join((row["text"], str(row["label"]))) for row in rows)]
        else:
            lines = [json.dumps(row) for row in rows]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def texts_of(name: str) -> dict[str, dict[str, list[str]]]:
    """The texts of each split by reader: into memory, in shards, and as labelled examples."""
    data, sharded = DataArguments(dataset=name), open_shards(DataArguments(dataset=name, held_out_documents=2))
    return {
        "memory": load_corpus(data).splits,
        "shards": {split: list(sharded.documents(split)) for split in sharded.splits},
        "labelled": {split: part.texts for split, part in load_labelled(data, LabelArguments()).splits.items()},
    }


# ---- folders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
@pytest.mark.parametrize("form", ["{}.csv", "{}.jsonl", "{}.tsv", "{}-00000-of-00001.jsonl", "{}/part.jsonl"])
def test_validation_has_four_names(tmp_path, caplog, name, form):
    write(tmp_path, "train.csv", form.format(name), "test.csv")
    for reader, found in texts_of(str(tmp_path)).items():
        assert [len(found[split]) for split in SPLITS] == [40, 40, 40], reader
        assert not {text.split()[0] for text in found["validation"]} & {"train", "test"}, reader
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train.csv", "train.tsv"], "train.csv and train.tsv are both the train split; keep one of them"),
        (["train.jsonl", "train-00001.jsonl"], "train.jsonl and train-00001.jsonl are both the train split"),
        (["train.jsonl", "train/1.jsonl"], "train.jsonl and train/1.jsonl are both the train split"),
        (["train.csv", "dev.csv", "validation.csv"], "dev.csv and validation.csv are both the validation split"),
        (["train.csv", "dev-1.csv", "val-1.csv"], "dev-1.csv and val-1.csv are both the validation split"),
        (["train.jsonl", "validation.json"], "validation.json: no such file is read; allowed: .txt, .txt.gz, .jsonl"),
        (["train.jsonl", "test.jsonl.zst"], "test.jsonl.zst: no such file is read"),
        (["train.csv", "test.csv.gz"], "test.csv.gz: no such file is read"),
        (["train/1.jsonl", "train/2.jsonl.zst"], "train/2.jsonl.zst: no such file is read"),
        (
            ["train.csv", "validation_a.csv", "validation_b.csv"],
            "has validation_a.csv, validation_b.csv, and no valid",
        ),
        (["train.csv", "validation.csv", "test_hidden.csv"], "has test_hidden.csv, and no test; rename the one"),
        (["extra.csv"], "no file named train or validation or test with one of .txt"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, names, words):
    write(tmp_path, *names)
    for look in (split_shards, split_files):
        with pytest.raises(InputError, match=words) as error:
            look(tmp_path)
        assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_the_matched_half_of_a_split_stands_for_it(tmp_path, caplog):
    write(tmp_path, "train.tsv", "dev_matched.tsv", "dev_mismatched.tsv", "test_matched.tsv", "test_mismatched.tsv")
    found = split_files(tmp_path)
    assert {split: file.name for split, file in found.items()} == {
        "train": "train.tsv", "validation": "dev_matched.tsv", "test": "test_matched.tsv"
    }  # fmt: skip
    assert "dev_mismatched.tsv, test_mismatched.tsv: not read" in caplog.text


def test_other_data_in_a_folder_is_named_and_other_files_are_not(tmp_path, caplog):
    write(tmp_path, "train.csv", "unlabelled.jsonl", "more/a.csv", "test.csv", "test_hidden.csv", "labels.txt")
    for name in ("README.md", "train.py", "plot.png", ".hidden.csv"):
        (tmp_path / name).write_text("x")
    assert set(split_files(tmp_path)) == {"train", "test"}
    assert f"{tmp_path}: test_hidden.csv, more/, unlabelled.jsonl: not read; the files that are read" in caplog.text
    for name in ("labels.txt", "README.md", "train.py", "plot.png", ".hidden.csv"):
        assert name not in caplog.text


def test_shards_are_one_split_for_texts_and_too_many_files_for_labels(tmp_path):
    write(tmp_path, "train-1.jsonl", "train-2.jsonl", "train/3.jsonl", "dev.csv")
    assert [file.name for file in split_shards(tmp_path)["train"]] == ["3.jsonl", "train-1.jsonl", "train-2.jsonl"]
    with pytest.raises(InputError, match=r"the train split lies in 3 files \(3.jsonl, train-1.jsonl, train-2.jsonl\)"):
        split_files(tmp_path)


# ---- a test split of the source's own ------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["memory", "shards", "labelled"])
def test_nothing_of_train_is_lost_where_the_source_has_train_and_test(tmp_path, reader):
    write(tmp_path, "train.jsonl", "test.jsonl")
    found = texts_of(str(tmp_path))[reader]
    own = [row["text"] for row in sentences("train")]
    assert sorted([*found["train"], *found["validation"]]) == sorted(own)
    assert found["test"] == [row["text"] for row in sentences("test")] and len(found["validation"]) >= 2


def test_one_text_is_cut_into_train_and_validation_alone(tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"line {n}\n" for n in range(100)))
    (tmp_path / "test.txt").write_text("of its own")
    data = DataArguments(dataset=str(tmp_path), split_fractions=[0.6, 0.2, 0.2])
    splits = load_corpus(data).splits
    assert splits["train"][0] + splits["validation"][0] == (tmp_path / "train.txt").read_text()
    assert len(splits["train"][0]) == round(0.75 * len((tmp_path / "train.txt").read_text()))
    assert splits["test"] == ["of its own"]


# ---- the Hub -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """A data set of the Hub with splits of these names, as the cache of `datasets` gives it."""
    import datasets

    def give(*names: str) -> None:
        tables = {name: datasets.Dataset.from_list(sentences(name)) for name in names}

        def load(*_, streaming: bool = False, **__):
            return {name: part.to_iterable_dataset() if streaming else part for name, part in tables.items()}

        monkeypatch.setattr(datasets, "load_dataset", load)
        monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: SimpleNamespace(hash="0"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    return give


@pytest.mark.parametrize("names", [["train", "dev", "test"], ["train", "val", "test"], ["train", "validation", "test"],
                                   ["train", "validation_matched", "test_matched"]])  # fmt: skip
def test_splits_of_the_hub_go_by_the_same_names(hub, names, monkeypatch):
    hub(*names)
    monkeypatch.setattr("hf_variants.experiments.text.shards._revision", lambda _: "0")
    for reader, found in texts_of("someone/something").items():
        assert [{text.split()[0] for text in found[split]} for split in SPLITS] == [{name} for name in names], reader


def test_splits_of_the_hub_that_are_not_read_are_named_or_refused(hub, caplog):
    hub("train", "test", "unsupervised")
    assert set(load_corpus(DataArguments(dataset="some/films")).splits) == set(SPLITS)
    assert "data: some/films: unsupervised: not read; the splits that are read are called train, valid" in caplog.text
    hub("train", "dev", "validation")
    with pytest.raises(InputError, match="some/both: dev and validation are both the validation split"):
        load_labelled(DataArguments(dataset="some/both"), LabelArguments())
    hub("train", "test", "validation_easy", "validation_hard")
    with pytest.raises(
        InputError, match="has validation_easy, validation_hard, and no validation; read it from a fold"
    ):
        load_labelled(DataArguments(dataset="some/hard"), LabelArguments())
    hub("train_r1", "dev_r1")
    with pytest.raises(InputError, match="some/rounds"):
        load_labelled(DataArguments(dataset="some/rounds"), LabelArguments())


def test_a_digest_names_no_folder_of_ones_own():
    with pytest.raises(InputError, match="data.sha256: '../..'; allowed: 64 hexadecimal digits"):
        corpora.download("https://example.org/token", "../..")
