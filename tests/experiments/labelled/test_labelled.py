# Copyright 2026 The hf_variants authors. MIT licence.
"""Every source of labelled text gives the same kind of corpus, and says in one line what is wrong with it."""

import csv
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.labelled.corpus import Examples, LabelledCorpus, fingerprint
from hf_variants.experiments.labelled.tables import read_table
from tests.helpers.labelled_tables import SIX, SPLITS, folder, load, six, table, write

# ---- sources -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".jsonl.gz", ".parquet", ".txt", ".txt.gz"])
@pytest.mark.parametrize("labels", [[0, 2, 1, 2], ["bad", "so so", "good", "so so"]])
def test_folders_of_every_kind(tmp_path, suffix, labels):
    texts = [" one, with a comma ", 'a "quote"', "NA", "u\u2028ne \x0c ligne ||| plus"]
    content = pandas.DataFrame({"text": texts, "label": labels})
    corpus = load(folder(tmp_path, suffix, train=content, validation=content, test=content))
    names = ["0", "1", "2"] if labels[0] == 0 else ["bad", "good", "so so"]
    assert corpus.label_names == names and corpus.problem_type == "single_label_classification"
    for split in SPLITS:
        examples = corpus.splits[split]
        assert examples.texts == texts and examples.pairs is None and examples.labels.dtype == np.int64
        assert [names[label] for label in examples.labels] == list(map(str, labels))
    assert corpus.hub_id is None and corpus.skipped == {}
    json.dumps(corpus.describe())


@pytest.mark.hunt
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)),
        min_size=1,
    ).filter(lambda rows: all(text.strip() for _, text in rows)),
    st.sampled_from(["\n", "\r\n"]),
)
def test_lines_of_label_and_text_come_back(tmp_path, rows, newline):
    content = "".join(f"{label} ||| {text}{newline}" for label, text in rows)
    found = read_table(write(tmp_path / "a.txt", content), ["text", "label"])
    assert found.rows(["label", "text"]) == [(str(label), text) for label, text in rows]


@pytest.mark.hunt
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text()), min_size=1))
def test_fields_of_a_table_come_back(tmp_path, rows):
    rows = [(one, two.encode("utf-8", "ignore").decode()) for one, two in rows]
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("x", "text"), *rows])
    before = csv.field_size_limit()
    assert read_table(path, ["x", "text"]).rows(["x", "text"]) == rows
    assert csv.field_size_limit() == before


IN_A_TAB = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"))


@pytest.mark.hunt
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(IN_A_TAB, IN_A_TAB), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_fields_between_tabs_come_back_quotes_and_all(tmp_path, rows, newline):
    content = newline.join("\t".join(row) for row in [("x", "text"), *rows])
    assert read_table(write(tmp_path / "a.tsv", content), ["x", "text"]).rows(["x", "text"]) == rows


def test_the_data_folder_serves_names_of_sub_folders(tmp_path, monkeypatch):
    (tmp_path / "group" / "task").mkdir(parents=True)
    folder(tmp_path / "group" / "task", ".parquet", train=table(), validation=table())
    monkeypatch.setenv("HF_VARIANTS_DATA", str(tmp_path))
    corpus = load("group/task")
    assert corpus.name == "group/task" and corpus.hub_id is None and set(corpus.splits) == {"train", "validation"}


def test_the_hub_gives_names_of_classes(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def loaded(labels: list, feature: Any) -> Any:
        features = datasets.Features({"text": datasets.Value("string"), "label": feature})
        content = {"text": [f"text {i}" for i in range(len(labels))], "label": labels}
        part = datasets.Dataset.from_dict(content, features=features)
        return datasets.DatasetDict({"train": part, "validation": part})

    feature = datasets.ClassLabel(names=["2 stars", "1 star", "3"])
    found = loaded([0, 1, 1, 2], feature)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: found)
    corpus = load("someone/stars")
    assert corpus.label_names == ["2 stars", "1 star", "3"] and corpus.hub_id == "someone/stars"
    assert corpus.splits["train"].labels.tolist() == [0, 1, 1, 2]
    assert load("someone/stars", label_names=["7", "8", "9"]).splits["train"].labels.tolist() == [0, 1, 1, 2]
    with pytest.raises(InputError, match="label_names: 2 names; the data set has 3: 2 stars, 1 star, 3"):
        load("someone/stars", label_names=["a", "b"])
    with pytest.raises(InputError, match=r"someone/stars \(train\): no column 'x'; there are: text, label"):
        load("someone/stars", label_column="x")
    found = loaded([[0, 2], [], [1], [1]], datasets.List(feature))
    corpus = load("someone/stars", label_list_column="label")
    assert corpus.label_names == ["2 stars", "1 star", "3"] and corpus.splits["train"].labels[0].tolist() == [1, 0, 1]
    found = loaded([0, 1, 3, 1], datasets.Value("int64"))
    found["test"] = loaded([-1, -1, -1], datasets.Value("int64"))["train"]
    corpus = load("someone/stars")
    assert corpus.label_names == ["0", "1", "3"]
    assert corpus.splits["test"].why_unlabelled == "all 3 labels are -1"


def test_a_url(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", table(100))
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("urllib.request.urlretrieve", lambda url, target: Path(target).write_bytes(path.read_bytes()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(load("https://example.org/a.csv", sha256=digest).splits["train"]) == 90


# ---- labels --------------------------------------------------------------------------------------------------------


def test_numbers_and_their_names(tmp_path):
    content = table(100, label=["1.0", "5", " 3 ", "3"] * 25)
    path = folder(tmp_path, train=content, validation=content)
    corpus = load(path)
    assert corpus.label_names == ["1", "3", "5"]  # numbers keep their order
    assert load(path, label_names=["5", "3", "1"]).splits["train"].labels[:4].tolist() == [2, 0, 1, 1]
    names = [f"n{i}" for i in range(6)]
    assert load(path, label_names=names).splits["train"].labels[:3].tolist() == [1, 5, 3]
    with pytest.raises(InputError, match="row 2 .*label 5; allowed: 0 to 2"):
        load(path, label_names=["a", "b", "c"])
    with pytest.raises(InputError, match="allowed: texts alone, or different numbers alone"):
        load(path, label_names=["1", "3", "five"])


def test_texts_and_their_names(tmp_path):
    content = table(100, label=["pos", "neg"] * 50)
    path = folder(tmp_path, ".jsonl", train=content, validation=content)
    assert load(path).label_names == ["neg", "pos"]
    assert load(path, label_names=["pos", "neg"]).splits["train"].labels[:2].tolist() == [0, 1]
    with pytest.raises(InputError, match="line 1: label 'pos'; allowed: a, b"):
        load(path, label_names=["a", "b"])


def test_booleans_are_numbers(tmp_path):
    content = table(100, label=[True, False] * 50)
    corpus = load(folder(tmp_path, ".parquet", train=content, validation=content))
    assert corpus.label_names == ["0", "1"] and corpus.splits["train"].labels[:2].tolist() == [1, 0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_regression(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", table(200, label=np.linspace(0, 5, 200).tolist()))
    corpus = load(path)
    assert corpus.problem_type == "regression" and len(corpus.label_names) == 1
    assert corpus.splits["train"].labels.dtype == np.float32 and corpus.splits["train"].labels.ndim == 1
    low, high = corpus.describe()["splits"]["train"]["label_range"]
    assert low == pytest.approx(0, abs=0.2) and high == pytest.approx(5, abs=0.2)
    whole = write(tmp_path / f"b{suffix}", table(200, classes=6))
    assert load(whole, problem_type="regression").problem_type == "regression"
    assert load(whole).problem_type == "single_label_classification"


def test_a_stray_fraction_makes_no_regression(tmp_path):
    path = write(tmp_path / "a.csv", table(200, label=["0.5", *["0", "1"] * 99, "1"]))
    with pytest.raises(
        InputError, match="row 1 .*label 0.5 is no whole number; if it is a score: labels.problem_type"
    ):
        load(path)
    assert load(path, on_bad_row="skip").skipped == {"train": 1}


def test_six_columns_in_one_file(tmp_path):
    content = six()
    path = write(tmp_path / "train.csv", content)
    several = load(path, text_column="comment_text", label_columns=SIX, split_fractions=[0.6, 0.2, 0.2])
    assert several.problem_type == "multi_label_classification" and several.label_names == SIX
    for split, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        examples = several.splits[split]
        assert examples.labels.shape == (len(examples), 6) and abs(len(examples) - 400 * share) <= 2
        rows = [int(text.removeprefix("c ")) for text in examples.texts]
        assert np.array_equal(examples.labels, content[SIX].to_numpy()[rows])
        assert abs(examples.labels[:, 0].mean() - content["toxic"].mean()) < 0.03
    malicious = load(
        path, text_column="comment_text", label_columns=SIX, any_of=True, label_names=["harmless", "malicious"]
    )
    assert malicious.problem_type == "single_label_classification" and malicious.label_names[1] == "malicious"
    rows = [int(text.removeprefix("c ")) for text in malicious.splits["train"].texts]
    assert np.array_equal(malicious.splits["train"].labels, content[SIX].to_numpy()[rows].max(axis=1))
    shares = [part["label_shares"]["malicious"] for part in malicious.describe()["splits"].values()]
    assert max(shares) - min(shares) < 0.03


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_lists_of_labels(tmp_path, suffix):
    cells = [[0], [2, 1], [2], []] * 30
    content = table(120, labels=[str(cell) for cell in cells] if suffix == ".csv" else cells)
    corpus = load(write(tmp_path / f"train{suffix}", content), label_list_column="labels")
    assert corpus.problem_type == "multi_label_classification" and corpus.label_names == ["0", "1", "2"]
    numbers = [int(text.rsplit(" ", 1)[1]) for text in corpus.splits["train"].texts]
    assert corpus.splits["train"].labels.tolist() == [[int(k in cells[i]) for k in range(3)] for i in numbers]


def test_lists_of_names_and_a_file_of_names(tmp_path):
    content = table(90, labels=["joy", "anger,joy", "['fear']"] * 30)
    corpus = load(write(tmp_path / "a.csv", content), label_list_column="labels")
    assert corpus.label_names == ["anger", "fear", "joy"] and corpus.splits["train"].labels.sum() == 27 * 4
    write(tmp_path / "labels.txt", "fear\njoy\nanger\n")
    (tmp_path / "a.csv").unlink()
    corpus = load(folder(tmp_path, train=content), label_list_column="labels")
    assert corpus.label_names == ["fear", "joy", "anger"]
    corpus = load(folder(tmp_path, train=table(90, 3)))
    assert corpus.label_names == ["fear", "joy", "anger"] and set(corpus.splits["train"].labels) == {0, 1, 2}
    with pytest.raises(InputError, match="label 3; allowed: 0 to 2"):
        load(folder(tmp_path, train=table(90, 4)))


def test_pairs(tmp_path):
    content = table(100, other=[f"second {i}" for i in range(100)])
    corpus = load(write(tmp_path / "a.tsv", content), pair_column="other")
    for examples in corpus.splits.values():
        assert [text.split()[-1] for text in examples.texts] == [text.split()[-1] for text in examples.pairs]


# ---- splits --------------------------------------------------------------------------------------------------------


def test_validation_is_cut_from_train_and_test_stays(tmp_path):
    held = pandas.DataFrame({"text": ["held out", "text number 3"], "label": [0, 1]})
    corpus = load(folder(tmp_path, train=table(200, 4), test=held), split_fractions=[0.6, 0.2, 0.2])
    assert corpus.splits["test"].texts == list(held["text"]) and len(corpus.splits["validation"]) == 50
    assert np.bincount(corpus.splits["train"].labels).max() - np.bincount(corpus.splits["train"].labels).min() <= 2
    assert not set(corpus.splits["train"].texts) & set(corpus.splits["validation"].texts)
    assert corpus.describe()["splits"]["test"]["also_in_train"] in (0, 1)


def test_equal_texts_never_get_into_two_splits(tmp_path):
    texts = [f"{'Same' if i % 2 else 'same'}  {' ' * (i % 3)}text {i % 37}" for i in range(300)]
    corpus = load(
        write(tmp_path / "a.csv", table(300, text=texts, label=[i % 37 % 2 for i in range(300)])),
        split_fractions=[0.5, 0.25, 0.25],
    )
    keys = [set(examples.keys()) for examples in corpus.splits.values()]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    assert sum(map(len, corpus.splits.values())) == 300
    assert [part.get("also_in_train") for part in corpus.describe()["splits"].values()] == [None, 0, 0]


def test_fractions_and_joined_splits(tmp_path):
    folder(tmp_path, train=table(100), test=table(50))
    corpus = load(tmp_path, join_splits=True, split_fractions=[0.5, 0.5, 0.0])
    # the 50 texts of test stand in train as well, and stay with their equals
    assert sum(map(len, corpus.splits.values())) == 150 and set(corpus.splits) == {"train", "validation"}
    part = load(tmp_path / "train.csv", split_fractions=[0.3, 0.1, 0.1])
    assert [len(examples) for examples in part.splits.values()] == [30, 10, 10]
    with pytest.raises(InputError, match="train and validation must be cut"):
        load(tmp_path / "train.csv", split_fractions=[1.0, 0.0, 0.0])
    with pytest.raises(InputError, match="leave none for validation"):
        load(write(tmp_path / "few.csv", table(2)), split_fractions=[0.8, 0.1, 0.1])


def test_training_subsets_lie_within_each_other(tmp_path):
    path = write(tmp_path / "a.parquet", table(1000, 4))
    whole = load(path)
    found = []
    for count in (8, 80, 400):
        corpus = load(path, max_train_examples=count)
        assert np.bincount(corpus.splits["train"].labels).tolist() == [count // 4] * 4
        assert corpus.splits["validation"].texts == whole.splits["validation"].texts
        assert corpus.splits["test"].texts == whole.splits["test"].texts
        assert corpus.fingerprint != whole.fingerprint
        found.append(set(corpus.splits["train"].texts))
    tenth = load(path, data_fraction=0.1).splits["train"].texts
    assert len(tenth) == 90 and found[0] < found[1] < set(tenth) < found[2] < set(whole.splits["train"].texts)
    assert len(load(path, data_fraction=0.1, max_train_examples=20).splits["train"]) == 20
    assert len(load(path, max_train_examples=10**6).splits["train"]) == 900


def test_the_fingerprint_sees_texts_pairs_labels_and_boundaries():
    def of(texts, pairs=None, labels=(0, 1), split="train"):
        return fingerprint({split: Examples(texts, pairs, None if labels is None else np.array(labels))})

    kinds = [
        of(["ab", "c"]),
        of(["a", "bc"]),
        of(["ab", "c"], ["x", "y"]),
        of(["ab", "c"], ["xy", ""]),
        of(["ab", "c"], labels=(1, 0)),
        of(["ab", "c"], labels=(0.0, 1.0)),
        of(["ab", "c"], labels=((0, 1), (1, 0))),
        of(["ab", "c"], labels=None),
        of(["ab", "c"], split="test"),
    ]
    assert len(set(kinds)) == len(kinds) and of(["ab", "c"]) == kinds[0]


# ---- unlabelled and one-sided splits -------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "reason"), [(0, "are 0"), (-1, "are -1"), ("", "are missing"), ("?", "are ?")])
def test_a_test_split_of_placeholders_is_unlabelled(tmp_path, label, reason):
    test = table(488, label=[label] * 488)
    corpus = load(folder(tmp_path, train=table(), validation=table(), test=test))
    examples = corpus.splits["test"]
    assert examples.labels is None and examples.why_unlabelled == f"all 488 labels {reason}"
    assert len(examples.texts) == 488
    assert corpus.describe()["splits"]["test"]["why_unlabelled"] == f"all 488 labels {reason}"


def test_the_placeholders_of_minbert(tmp_path):
    write(tmp_path / "test.txt", "".join(f"0 ||| review {i} ||| more\n" for i in range(488)))
    folder(tmp_path, ".txt", train=table(), validation=table())
    assert load(tmp_path).splits["test"].why_unlabelled == "all 488 labels are 0"
    with pytest.raises(InputError, match="join_splits: the test split .* is unlabelled: all 488 labels are 0"):
        load(tmp_path, join_splits=True)


def test_other_unlabelled_test_splits(tmp_path):
    folder(tmp_path, train=six(200), validation=six(200), test=six(30).drop(columns=SIX))
    arguments = {"text_column": "comment_text", "label_columns": SIX}
    assert load(tmp_path, **arguments).splits["test"].why_unlabelled == "there is no column 'toxic'"
    folder(tmp_path, test=six(30).assign(**dict.fromkeys(SIX, 0)))
    assert load(tmp_path, **arguments).splits["test"].why_unlabelled == "all 30 labels are 0, 0, 0, 0, 0, 0"
    folder(tmp_path, test=six(30).assign(toxic=1))
    corpus = load(tmp_path, any_of=True, label_names=["no", "yes"], **arguments)
    assert corpus.splits["test"].why_unlabelled == "all 30 labels are 'yes'"
    folder(tmp_path, test=six(30).drop(columns="threat"))
    with pytest.raises(InputError, match="test.csv: no column 'threat'"):
        load(tmp_path, **arguments)


def test_a_constant_score_is_unlabelled(tmp_path):
    scores = table(100, label=np.linspace(0, 5, 100))
    test = table(20, label=[-1.0] * 20)
    corpus = load(folder(tmp_path, ".parquet", train=scores, validation=scores, test=test))
    assert corpus.problem_type == "regression" and corpus.splits["test"].why_unlabelled == "all 20 labels are -1"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_train_and_validation_need_two_classes(tmp_path, split):
    tables = {"train": table(), "validation": table()} | {split: table(245, 1)}
    with pytest.raises(InputError, match=f"all 245 labels of the {split} split are '0'|never occur in train: 1"):
        load(folder(tmp_path, **tables), label_names=["0", "1"])
    with pytest.raises(InputError, match="all 36 labels of the train split are '0'"):
        load(write(tmp_path / "a.csv", table(40, 1)))


def test_labels_that_train_lacks(tmp_path):
    folder(tmp_path, train=table(40, 2), validation=table(40, 3))
    with pytest.raises(InputError, match=r"validation.csv: row 3 \(.*label 2; allowed: 0 to 1"):
        load(tmp_path)
    with pytest.raises(InputError, match="labels of the validation split that never occur in train: good"):
        load(tmp_path, label_names=["bad", "so so", "good"])
    assert load(tmp_path, on_bad_row="skip").skipped == {"validation": 13}


# ---- real data -----------------------------------------------------------------------------------------------------


def real(name: str, **settings: Any) -> LabelledCorpus:
    root = Path(os.environ.get("HF_VARIANTS_DATA", "none"))
    if not (root / name).exists():
        pytest.skip(f"HF_VARIANTS_DATA has no {name}")
    return load(name, **settings)


@pytest.mark.parametrize(
    ("name", "classes", "settings"),
    [
        ("sst5", 5, {}),
        ("cfimdb", 2, {}),
        ("davidson_hate", 3, {"label_names": ["hate", "offensive", "neither"]}),
        ("glue/sst2", 2, {}),
        ("glue/cola", 2, {}),
        ("glue/rte", 2, {"text_column": "text_a", "pair_column": "text_b"}),
        ("glue/mrpc", 2, {"text_column": "text_a", "pair_column": "text_b"}),
        ("jigsaw/extra_balanced_any", 2, {"text_column": "comment_text", "label_column": "malicious"}),
    ],
)
def test_real_classes(name, classes, settings):
    corpus = real(name, **settings)
    assert corpus.problem_type == "single_label_classification" and len(corpus.label_names) == classes
    assert all(examples.labels is not None for examples in corpus.splits.values()) and not corpus.skipped
    assert (corpus.splits["train"].pairs is not None) == ("pair_column" in settings)
    assert {"sst5": 8544, "cfimdb": 1707, "glue/rte": 2290}.get(name, len(corpus.splits["train"])) == len(
        corpus.splits["train"]
    )


def test_real_jigsaw():
    text = {"text_column": "comment_text"}
    with pytest.raises(
        InputError, match=r"jigsaw/binary/train.parquet: row \d+ \(0 is the first\): the label is miss"
    ):
        real("jigsaw/binary", label_column="malicious", **text)
    corpus = real("jigsaw/binary", label_column="malicious", on_bad_row="skip", **text)
    assert corpus.skipped == {"train": 13024, "validation": 1627, "test": 1628}
    toxic = real("jigsaw/binary", label_column="toxic", **text)
    assert toxic.describe()["splits"]["train"]["label_shares"]["1"] == pytest.approx(0.106, abs=0.001)
    several = real("jigsaw/multilabel", label_columns=SIX, **text)
    assert several.splits["test"].labels.sum(axis=0).tolist() == [112, 13, 59, 3, 55, 10]
    any_of = real("jigsaw/multilabel", label_columns=SIX, any_of=True, **text)
    malicious = real("jigsaw/multilabel", label_column="malicious", **text)
    assert np.array_equal(any_of.splits["train"].labels, malicious.splits["train"].labels)
    assert any_of.fingerprint == malicious.fingerprint != several.fingerprint


def test_real_lists_and_scores():
    corpus = real("goemotions", label_list_column="labels")
    assert corpus.label_names[0] == "admiration" and corpus.label_names[27] == "neutral"
    assert corpus.splits["train"].labels.shape == (43410, 28)
    assert corpus.describe()["splits"]["test"]["also_in_train"] >= 21
    small = real("goemotions", label_list_column="labels", max_train_examples=1000)
    shares = small.splits["train"].labels.mean(axis=0), corpus.splits["train"].labels.mean(axis=0)
    assert np.abs(shares[0] - shares[1]).max() < 0.01
    corpus = real("glue/stsb", text_column="text_a", pair_column="text_b")
    assert corpus.problem_type == "regression" and corpus.describe()["splits"]["test"]["label_range"] == [0.0, 5.0]
