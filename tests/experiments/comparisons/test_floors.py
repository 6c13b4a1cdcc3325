# Copyright 2026 The hf_variants authors. MIT licence.
"""The TF-IDF floor: shapes for every task, a strength chosen on validation, and known figures on real data."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hf_variants.experiments.comparisons import floor as floors
from hf_variants.experiments.comparisons.floor import tfidf_floor
from hf_variants.experiments.metrics import load_metric

pytestmark = pytest.mark.filterwarnings("error")
DATA = Path(os.environ.get("HF_VARIANTS_DATA", "nowhere"))
THEMES = ["good fine great", "bad poor awful", "blue red green"]


def texts(classes, seed=0):
    """A text per class number, of its theme's words among others."""
    rng = np.random.default_rng(seed)
    others = ["the", "a", "film", "was", "I", "thought"]
    return [" ".join(rng.permutation([*rng.choice(others, 5), rng.choice(THEMES[c].split())])) for c in classes]


@pytest.mark.parametrize("count", [2, 3])
def test_classes(count):
    train, test = (np.random.default_rng(seed).integers(count, size=60) for seed in (0, 1))
    found = tfidf_floor(texts(train), train, {"test": texts(test, 1), "other": ["", "unheard"]})
    assert found["test"].shape == ((60,) if count == 2 else (60, 3)) and len(found["other"]) == 2
    assert load_metric("accuracy").score({"probability": found["test"], "label": test})["accuracy"] > 0.9
    again = tfidf_floor(texts(train), train, {"test": texts(test, 1)})
    assert np.array_equal(found["test"], again["test"])


def test_several_labels_of_which_one_never_and_one_always_occurs():
    first, second = (np.random.default_rng(seed).integers(2, size=60) for seed in (0, 1))
    both = [f"{a} {b}" for a, b in zip(texts(first), texts(second + 1, 1), strict=True)]
    labels = np.stack([first, second, np.zeros(60, int), np.ones(60, int)], axis=1)
    found = tfidf_floor(both, labels, {"test": both})["test"]
    assert found.shape == (60, 4) and not found[:, 2].any() and (found[:, 3] == 1).all()
    scores = load_metric("roc_auc").score({"probability": found, "label": labels})
    assert scores["roc_auc/0"] > 0.95 and scores["roc_auc_undefined"] == 2


def test_a_class_that_train_has_not_gets_no_probability():
    labels = np.array([0, 3] * 10)
    found = tfidf_floor(texts(labels // 3), labels, {"test": ["good", "bad"]})["test"]
    assert found.shape == (2, 4) and not found[:, 1:3].any() and found[0].argmax() == 0 and found[1].argmax() == 3


def test_the_strength_with_the_lowest_loss_on_validation_is_taken(monkeypatch):
    train, validation = (np.random.default_rng(seed).integers(2, size=60) for seed in (0, 1))
    noisy = np.where(np.arange(60) % 3, validation, 1 - validation)  # a third is wrong: confidence does not pay
    splits = {"validation": texts(validation, 1), "test": texts(train, 2)}

    def alone(strength):
        monkeypatch.setattr(floors, "DEFAULT_C", strength)
        return tfidf_floor(texts(train), train, splits)["test"]

    clear, unsure = (tfidf_floor(texts(train), train, splits, labels)["test"] for labels in (validation, noisy))
    assert np.array_equal(clear, alone(floors.STRENGTHS[-1])) and np.array_equal(unsure, alone(floors.STRENGTHS[0]))


@pytest.mark.parametrize(
    ("train", "labels", "validation", "words"),
    [
        (["a b"], [0, 1], None, "train has 1 texts and 2 labels"),
        (["a b", "c"], [1, 1], None, "all 2 train labels are 1"),
        (["!", "?"], [0, 1], None, "no word in the train texts"),
        (["a b", "c"], [0, 1], [0], "validation has 2 texts and 1 labels"),
    ],
)
def test_what_is_refused(train, labels, validation, words):
    with pytest.raises(ValueError, match=f"TF-IDF floor: .*{words}"):
        tfidf_floor(train, np.array(labels), {"validation": ["a", "b"]}, validation and np.array(validation))


def read(folder, text, label):
    if not (DATA / folder).is_dir():
        pytest.skip(f"HF_VARIANTS_DATA has no {folder}")
    tables = {split: pq.read_table(DATA / folder / f"{split}.parquet") for split in ("train", "validation", "test")}
    return {s: (t[text].to_pylist(), t[label].to_numpy().astype(int)) for s, t in tables.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "text", "label", "least"),
    [
        ("jigsaw/binary", "comment_text", "toxic", {"average_precision": 0.826, "roc_auc": 0.961}),
        ("sst5", "text", "label", {"accuracy": 0.4}),
        ("cfimdb", "text", "label", {"accuracy": 0.89}),
    ],
)
def test_floors_of_real_data(folder, text, label, least):
    data = read(folder, text, label)
    splits = {split: data[split][0] for split in ("validation", "test")}
    found = tfidf_floor(*data["train"], splits, data["validation"][1])["test"]
    for metric, value in least.items():
        score = load_metric(metric).score({"probability": found, "label": data["test"][1]})[metric]
        assert value <= score < value + 0.04
