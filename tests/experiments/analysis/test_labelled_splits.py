# Copyright 2026 The hf_variants authors. MIT licence.
"""What a finished classifier is evaluated on: never on rows that training cut off for it to learn from."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hf_variants.experiments.analysis.recorded_splits import Reading, find_split, recorded_reading
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.labelled.corpus import load_labelled_split
from hf_variants.experiments.recipes.labels import LabelArguments
from hf_variants.experiments.recipes.sections import DataArguments
from tests.helpers.labelled_tables import folder, load, table, write

FRACTIONS = [0.5, 0.25, 0.25]


def reading_of(path: Path, data_fraction: float = 1.0, fractions: list[float] = FRACTIONS, **labels: Any) -> Reading:
    """What a recipe that cut the data of `path` records."""
    data = {"split_fractions": fractions, "data_fraction": data_fraction}
    sections = (DataArguments(dataset=str(path), **data), LabelArguments(**labels))
    return Reading(*map(dataclasses.asdict, sections), load(path, **data, **labels).fingerprint)


def find(path: Path, reading: Reading | None, split: str = "test", labels: dict | None = None, **data: Any):
    return find_split({"dataset": str(path)} | data, labels or {}, split, reading)


@pytest.fixture
def file(tmp_path) -> Path:
    return write(tmp_path / "a.csv", table())


# ---- cut as in training --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"label_names": ["no", "yes"]},
        {"data_fraction": 0.5},
        {"max_train_examples": 8, "problem_type": "single_label_classification"},
    ],
)
def test_only_the_split_that_training_cut_is_scored(file, settings):
    reading = reading_of(file, **settings)
    parts = {split: find(file, reading, split) for split in ("train", "validation", "test")}
    assert {how for _, how in parts.values()} == {"cut as in training"}
    texts = {split: found.examples.texts for split, (found, _) in parts.items()}
    wanted = load(file, split_fractions=FRACTIONS, **settings)
    assert texts == {split: wanted.splits[split].texts for split in texts}
    assert not set(texts["test"]) & set(texts["train"]) and len(texts["test"]) == 10
    assert parts["test"][0].label_names == settings.get("label_names", ["0", "1"])


@pytest.mark.parametrize("place", ["b.csv", "c.parquet"])
def test_the_same_rows_under_another_name_are_known(file, tmp_path, place):
    copy = write(tmp_path / place, table())
    found, how = find(copy, reading_of(file))
    assert how == "cut as in training" and len(found.examples) == 10


def test_other_data_is_scored_as_a_whole(file, tmp_path):
    reading = reading_of(file)
    more = write(tmp_path / "more.csv", table(50))
    other = write(tmp_path / "other.csv", table().rename(columns={"label": "kind"}))
    assert [len(find(path, None)[0].examples) for path in (file, more)] == [40, 50]
    assert (len(find(more, reading)[0].examples), find(more, reading)[1]) == (50, "")
    assert len(find(other, reading, labels={"label_column": "kind"})[0].examples) == 40


def test_a_changed_file_is_refused_unless_one_says_how_to_read_it(file):
    reading = reading_of(file)
    write(file, table(48))
    with pytest.raises(InputError, match=r"a.csv: training cut it .* but has read other rows .* --split all takes"):
        find(file, reading)
    assert len(find(file, reading, "all")[0].examples) == 48
    found, how = find(file, reading, split_fractions=[0.5, 0.25, 0.25])
    assert len(found.examples) == 12 and how == "cut by the fractions 0.5 0.25 0.25"


def test_labels_may_be_given_again_but_no_others(file):
    write(file, table(extra=[i % 3 for i in range(40)]))
    reading = reading_of(file, label_names=["no", "yes"])
    again = {"label_column": "label", "label_names": ["no", "yes"], "on_bad_row": "skip"}
    assert find(file, reading, labels=again)[1] == "cut as in training"
    assert find(file, reading, labels={"label_names": ["bad", "good"]})[0].label_names == ["bad", "good"]
    with pytest.raises(InputError, match="by other texts or labels than are asked for; leave --text_column"):
        find(file, reading, labels={"label_column": "extra", "label_names": ["a", "b", "c"]})
    with pytest.raises(InputError, match="no column 'lable'"):
        find(file, reading, labels={"label_column": "lable"})


def test_a_split_that_training_did_not_cut(file, tmp_path):
    """Train and validation are cut from train, test is as it was; with no share for test there is none."""
    both = tmp_path / "both"
    both.mkdir()
    folder(both, train=table(), test=table(12, text=[f"other {i}" for i in range(12)]))
    reading = reading_of(both)
    assert [find(both, reading, split)[1] for split in ("validation", "test")] == ["cut as in training", ""]
    assert len(find(both, reading)[0].examples) == 12
    with pytest.raises(InputError, match="a.csv has no test split; there are: train, validation"):
        find(file, reading_of(file, fractions=[0.5, 0.5, 0.0]))


def test_fractions_are_for_what_has_no_splits(file, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    folder(whole, train=table(), validation=table(), test=table())
    for name in (whole, "builtin/docstrings"):
        with pytest.raises(InputError, match="--split_fractions: .* there is no test split of it to be cut"):
            find(name, None, split_fractions=FRACTIONS)
    assert find(whole, reading_of(whole))[1] == ""


# ---- what a model's folder records ---------------------------------------------------------------------------------


def test_records_are_found_wherever_a_model_lies(tmp_path):
    sections = {"data": {"dataset": "a.csv"}, "labels": {}}
    about = {"fingerprint": "sha256:1", "problem_type": "single_label_classification"}
    run, wanted = tmp_path / "run", Reading(sections["data"], sections["labels"], "sha256:1")
    for name in ("final", "snapshots/step-00000004", "model", "arm", "elsewhere"):
        (run / name).mkdir(parents=True)
    assert recorded_reading(str(run / "final")) is None
    record = json.dumps({"recipe": sections | {"name": "r"}, "data": about})
    (run / "record.json").write_text(record)
    shutil.copy(run / "record.json", run / "model")
    (run / "arm" / "results.json").write_text(json.dumps({"reading": sections, "data": about}))
    for name in ("final", "snapshots/step-00000004", "model", "arm"):
        assert recorded_reading(str(run / name)) == wanted, name
    assert recorded_reading(str(run / "elsewhere")) is None
    (run / "model" / "record.json").write_text(json.dumps({"recipe": sections, "data": {"fingerprint": "of blocks"}}))
    assert recorded_reading(str(run / "model")) is None  # of a language model


# ---- rows of the source --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "first"), [("a.csv", 1), ("a.jsonl", 1), ("a.parquet", 0)])
def test_examples_know_their_row_and_skipped_ones_are_counted(tmp_path, name, first):
    content = table()
    content.loc[0, "text"], content.loc[5, "text"], content.loc[39, "label"] = "", "  ", 7
    path = write(tmp_path / name, content)
    labels = LabelArguments(on_bad_row="skip", label_names=["n", "p"])
    found = load_labelled_split(DataArguments(dataset=str(path)), labels, "test")
    assert found.skipped == 3 and len(found.examples) == 37
    for text, row in zip(found.examples.texts, found.examples.rows, strict=True):
        assert text == f"text number {row - first}"
    cut, _ = find(path, None, split_fractions=FRACTIONS, labels={"on_bad_row": "skip", "label_names": ["n", "p"]})
    assert cut.skipped == 3 and len(cut.examples) < 12
    for text, row in zip(cut.examples.texts, cut.examples.rows, strict=True):
        assert text == f"text number {row - first}"


def test_rows_of_joined_splits_say_which(tmp_path):
    second = table(10, text=[f"second {i}" for i in range(10)])
    corpus = load(folder(tmp_path, train=table(), test=second), join_splits=True, split_fractions=FRACTIONS)
    found = {row: text for part in corpus.splits.values() for row, text in zip(part.rows, part.texts, strict=True)}
    assert len(found) == 50
    assert (found["train:1"], found["test:1"], found["test:10"]) == ("text number 0", "second 0", "second 9")
