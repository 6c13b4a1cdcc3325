# Copyright 2026 The hf_variants authors. MIT licence.
"""`evaluate_model.py --task text_classification` as its user meets it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hf_variants.experiments.analysis import classification as classification_evaluation
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.figures import classification as classification_figures
from tests.helpers.tiny_labelled import labelled_recipe, write_examples
from training import evaluate_model

KINDS = {
    "binary": {"labels.label_names": ["bad", "good"]},
    "classes": {"labels.label_column": "kind"},
    "labels": {"labels.label_columns": ["saw", "we"]},
    "number": {"labels.label_column": "score", "labels.problem_type": "regression"},
}
FLAGS = {
    "binary": ["--label_names", "bad", "good"],
    "classes": ["--label_column", "kind"],
    "labels": ["--label_columns", "saw", "we"],
    "number": ["--label_column", "score"],
}
METRICS = {
    "binary": {"loss", "average_precision", "roc_auc", "f1", "f1_tuned", "accuracy", "matthews"},
    "classes": {"loss", "accuracy", "f1_macro"},
    "labels": {"loss", "average_precision_macro", "average_precision/saw", "roc_auc/we", "f1_macro_tuned"},
    "number": {"loss", "pearson", "spearman"},
}
INTERVALS = {
    "binary": {"average_precision", "roc_auc", "f1", "accuracy", "f1_tuned"},
    "classes": {"accuracy"},
    "labels": {"average_precision_macro", "roc_auc_macro"},
    "number": {"loss"},
}
FIGURES = {
    "binary": {"precision_recall.png", "reliability.png", "confusion.png"},
    "classes": {"reliability.png", "confusion.png"},
    "labels": {"precision_recall.png", "reliability.png"},
    "number": set(),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with `examples` and a model of each kind of label, KIND/final."""
    folder = tmp_path_factory.mktemp("classifiers")
    write_examples(folder)
    for kind, changes in KINDS.items():
        run_recipe(labelled_recipe(folder, changes | {"training.max_epochs": 1}), folder / kind)
    return folder


@pytest.fixture(scope="module")
def evaluated(trained) -> dict[str, Path]:
    """What the program leaves for the test split, by kind of label."""
    for kind in KINDS:
        given = ["--dataset", trained / "examples", "--output_dir", trained / kind / "out", *FLAGS[kind]]
        assert evaluate(trained / kind / "final", *given) == 0
    return {kind: trained / kind / "out" for kind in KINDS}


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Draws no figures, which takes most of the time."""
    monkeypatch.setattr(classification_figures, "plot_evaluation", lambda *_: None)


def evaluate(model: Path, *options: Any) -> int:
    """The exit code."""
    given = ["--model_dir", model, "--task", "text_classification", *options]
    with pytest.raises(SystemExit) as stop:
        evaluate_model.main(list(map(str, given)))
    return stop.value.code


def rows_of(folder: Path, split: str = "test") -> list[dict[str, Any]]:
    return read_rows(folder / "examples" / f"{split}.jsonl")


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


# ---- what is written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_label_gets_its_metrics_intervals_and_figures(evaluated, kind):
    found = metrics(evaluated[kind])
    assert METRICS[kind] <= set(found["metrics"])
    assert set(found["intervals"]) == INTERVALS[kind]
    for interval in found["intervals"].values():
        assert interval["ci95"][0] <= interval["value"] <= interval["ci95"][1]
    assert {path.name for path in evaluated[kind].glob("*.png")} == FIGURES[kind]
    assert all((evaluated[kind] / name).stat().st_size > 5000 for name in FIGURES[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_that_the_run_recorded(trained, evaluated, kind):
    """Also at the threshold that was tuned on validation: it lies in the model's configuration."""
    recorded = json.loads((trained / kind / "record.json").read_text())["marks"][-1]["test"]
    found = metrics(evaluated[kind])["metrics"]
    for name in METRICS[kind]:
        assert found[name] == pytest.approx(recorded[name], abs=1e-5), name


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_in_the_order_of_the_data(trained, evaluated, kind):
    found, rows = read_rows(evaluated[kind] / "predictions.jsonl"), rows_of(trained)
    assert [row["text"] for row in found] == [row["text"] for row in rows]
    assert [row["row"] for row in found] == list(range(1, 33))  # lines of the file
    sizes = {"binary": None, "classes": 3, "labels": 2}
    if kind == "number":
        assert [row["label"] for row in found] == pytest.approx([row["score"] for row in rows])
        assert all(isinstance(row["prediction"], float) for row in found)
    elif sizes[kind] is None:
        assert [row["label"] for row in found] == [row["label"] for row in rows]
        assert all(0 < row["probability"] < 1 for row in found)
    else:
        assert all(len(row["probability"]) == sizes[kind] for row in found)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_by_length_hold_every_example_once(evaluated, kind):
    slices = metrics(evaluated[kind])["slices"]
    assert sum(part["examples"] for part in slices["length"]) == 32
    ends = [end for part in slices["length"] for end in part["tokens"]]
    assert ends == sorted(ends)
    assert ("label" in slices) == (kind != "number")
    assert all(("correct" in part) == (kind != "number") for part in slices["length"])


def test_slices_by_label_carry_its_name_and_agree_with_the_predictions(evaluated):
    rows, parts = read_rows(evaluated["binary"] / "predictions.jsonl"), metrics(evaluated["binary"])["slices"]["label"]
    assert [part["label"] for part in parts] == ["bad", "good"]
    for label, part in enumerate(parts):
        own = [row for row in rows if row["label"] == label]
        assert part["examples"] == len(own)
        assert part["loss"] == pytest.approx(sum(row["loss"] for row in own) / len(own))
        assert part["correct"] == sum((row["probability"] >= 0.5) == label for row in own) / len(own)
    assert [part["label"] for part in metrics(evaluated["labels"])["slices"]["label"]] == ["saw", "we"]


@pytest.mark.usefixtures("undrawn")
def test_examples_of_one_length_are_one_slice(trained, tmp_path):
    """The tokenizer puts two tokens of its own around four words."""
    rows = [{"text": f"the day was {word}", "label": n} for n, word in enumerate(["cold", "good"])]
    file = write_csv(tmp_path / "alike.csv", rows)
    assert evaluate(trained / "binary" / "final", "--dataset", file, "--output_dir", tmp_path / "out") == 0
    assert [part["tokens"] for part in metrics(tmp_path / "out")["slices"]["length"]] == [[6, 6]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_worst_errors_are_the_predictions_with_the_highest_loss(evaluated, kind):
    worst, rows = metrics(evaluated[kind])["worst"], read_rows(evaluated[kind] / "predictions.jsonl")
    assert len(worst) == classification_evaluation.WORST
    assert [row["loss"] for row in worst] == sorted((row["loss"] for row in rows), reverse=True)[: len(worst)]
    assert worst[0] == rows[worst[0]["row"] - 1]


# ---- other data ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_single_file_is_any_split(trained, evaluated, tmp_path, split):
    file = write_csv(tmp_path / "rows.csv", rows_of(trained))
    given = ["--dataset", file, "--split", split, "--output_dir", tmp_path / "out"]
    assert evaluate(trained / "binary" / "final", *given) == 0
    assert metrics(tmp_path / "out")["metrics"] == metrics(evaluated["binary"])["metrics"]


UNLABELLED = {
    "no column": ({}, "there is no column 'label'"),
    "placeholders": ({"label": -1}, "all 32 labels are -1"),
    "one class": ({"label": 1}, "all 32 labels are 1"),
    "empty": ({"label": ""}, "all 32 labels are missing"),
}


@pytest.mark.parametrize("case", UNLABELLED)
@pytest.mark.parametrize("where", ["alone", "beside train"])
def test_an_unlabelled_split_gets_predictions_and_no_score(trained, tmp_path, capfd, case, where):
    label, why = UNLABELLED[case]
    (tmp_path / "data").mkdir()
    file = write_csv(tmp_path / "data" / "test.csv", [{"text": row["text"]} | label for row in rows_of(trained)])
    if where == "beside train":
        write_csv(tmp_path / "data" / "train.csv", rows_of(trained, "train"))
        file = file.parent
    assert evaluate(trained / "binary" / "final", "--dataset", file, "--output_dir", tmp_path / "out") == 0
    assert f"no score: the test split is unlabelled, {why}\n" in capfd.readouterr().out
    found = metrics(tmp_path / "out")
    assert found["metrics"] == {} and found["why_unlabelled"] == why
    rows = read_rows(tmp_path / "out" / "predictions.jsonl")
    assert len(rows) == 32 and not list((tmp_path / "out").glob("*.png"))
    assert all(0 < row["probability"] < 1 and "label" not in row and "loss" not in row for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_text_alone_is_predicted_with_the_labels_of_the_model(trained, evaluated, tmp_path, kind):
    file = write_csv(tmp_path / "rows.csv", [{"text": row["text"]} for row in rows_of(trained)])
    assert evaluate(trained / kind / "final", "--dataset", file, "--output_dir", tmp_path / "out") == 0
    name = "prediction" if kind == "number" else "probability"
    found, wanted = (read_rows(out / "predictions.jsonl") for out in (tmp_path / "out", evaluated[kind]))
    assert [row[name] for row in found] == [row[name] for row in wanted]


@pytest.mark.usefixtures("undrawn")
def test_any_of_several_columns_is_one_label(trained, tmp_path):
    given = ["--dataset", trained / "examples", "--label_columns", "saw", "we", "--any_of"]
    assert evaluate(trained / "binary" / "final", *given, "--output_dir", tmp_path / "out") == 0
    found = read_rows(tmp_path / "out" / "predictions.jsonl")
    assert [row["label"] for row in found] == [max(row["saw"], row["we"]) for row in rows_of(trained)]
    assert [part["label"] for part in metrics(tmp_path / "out")["slices"]["label"]] == ["bad", "good"]  # the model's


@pytest.mark.usefixtures("undrawn")
def test_names_in_another_order_are_matched_to_the_models(trained, evaluated, tmp_path):
    """0 is called good then, and 1 bad, so that every label is the other one."""
    given = ["--dataset", trained / "examples", "--label_names", "Good", "Bad", "--output_dir", tmp_path / "out"]
    assert evaluate(trained / "binary" / "final", *given) == 0
    found, before = (read_rows(out / "predictions.jsonl") for out in (tmp_path / "out", evaluated["binary"]))
    assert [row["label"] for row in found] == [1 - row["label"] for row in before]
    assert [row["probability"] for row in found] == pytest.approx([row["probability"] for row in before])
    assert metrics(tmp_path / "out")["metrics"]["accuracy"] == pytest.approx(
        1 - metrics(evaluated["binary"])["metrics"]["accuracy"]
    )


@pytest.mark.usefixtures("undrawn")
def test_names_may_stand_in_the_label_column(trained, evaluated, tmp_path):
    rows = [row | {"label": ["bad", "good"][row["label"]]} for row in rows_of(trained)]
    file = write_csv(tmp_path / "rows.csv", rows)
    assert evaluate(trained / "binary" / "final", "--dataset", file, "--output_dir", tmp_path / "out") == 0
    assert metrics(tmp_path / "out")["metrics"] == metrics(evaluated["binary"])["metrics"]


@pytest.mark.usefixtures("undrawn")
def test_bad_rows_are_named_or_left_out(trained, evaluated, tmp_path, capfd):
    bad = [{"text": "", "label": 1}, {"text": "the day", "label": 7}, {"text": "we", "label": "nan"}]
    rows = [{"text": row["text"], "label": row["label"]} for row in rows_of(trained)]
    file = write_csv(tmp_path / "rows.csv", rows[:5] + bad + rows[5:])
    given = ["--dataset", file, *FLAGS["binary"], "--output_dir", tmp_path / "out"]
    assert evaluate(trained / "binary" / "final", *given) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"error: {file}: row 6 (1 is the first below the header): the text")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert evaluate(trained / "binary" / "final", *given, "--on_bad_row", "skip") == 0
    assert "bad rows that were skipped: test 3\n" in capfd.readouterr().out
    found = metrics(tmp_path / "out")
    assert found["metrics"] == metrics(evaluated["binary"])["metrics"]
    assert found["data"] == {"split": "test", "cut": "", "examples": 32, "skipped": 3}
    predicted = read_rows(tmp_path / "out" / "predictions.jsonl")
    assert [row["row"] for row in predicted] == [*range(1, 6), *range(9, 36)]


# ---- data that training cut ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_of_a_file_that_training_cut_only_the_test_split_is_scored(trained, tmp_path, capfd):
    """Its labels need not be given again."""
    content = rows_of(trained, "train") + rows_of(trained)
    file = write_csv(tmp_path / "rows.csv", [row | {"text": f"{row['text']} {n}"} for n, row in enumerate(content)])
    changes = {"data.dataset": str(file), "data.split_fractions": [0.6, 0.2, 0.2], "labels.label_column": "kind"}
    record = run_recipe(labelled_recipe(tmp_path, changes | {"training.max_epochs": 1}), tmp_path / "run").to_json()
    given = ["--dataset", file, "--output_dir", tmp_path / "out"]
    assert evaluate(tmp_path / "run" / "final", *given) == 0
    assert f"{file}: of it the test split, cut as in training, " in capfd.readouterr().out
    found, count = metrics(tmp_path / "out"), record["data"]["splits"]["test"]["rows"]
    assert found["data"] == {"split": "test", "cut": "cut as in training", "examples": count, "skipped": 0}
    for name in METRICS["classes"]:
        assert found["metrics"][name] == pytest.approx(record["marks"][-1]["test"][name], abs=1e-5), name
    predicted = read_rows(tmp_path / "out" / "predictions.jsonl")
    assert predicted == [row | {"loss": pytest.approx(row["loss"], abs=1e-5), "probability": pytest.approx(
        row["probability"], abs=1e-5)} for row in read_rows(tmp_path / "run" / "predictions.jsonl")]  # fmt: skip
    assert all(row["text"].endswith(f" {row['row'] - 1}") for row in predicted)
    assert evaluate(tmp_path / "run" / "final", *given, "--split", "all", "--label_column", "kind") == 0
    assert metrics(tmp_path / "out")["data"]["examples"] == 96
    cut = ["--split_fractions", 0.6, 0.2, 0.2, "--label_column", "kind"]
    assert evaluate(tmp_path / "run" / "final", *given, *cut) == 0
    assert metrics(tmp_path / "out")["metrics"] == found["metrics"]
    assert evaluate(tmp_path / "run" / "final", *given, "--label_column", "label") == 2
    assert "training cut it into splits by other texts or labels" in capfd.readouterr().err


def test_figures_show_the_name_of_the_folder_alone(trained, tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(classification_figures, "plot_evaluation", lambda _, __, name, ___: names.append(name))
    for model in (trained / "binary" / "final", f"{trained}/binary/final/"):
        assert evaluate(model, "--dataset", trained / "examples", "--output_dir", tmp_path / "out") == 0
    assert names == ["final", "final"]


# ---- what does not fit ---------------------------------------------------------------------------------------------


WRONG = {
    "fewer names": ("classes", FLAGS["binary"], "the model has 3 labels (a, b, c), the data 2 (bad, good)"),
    "more classes": ("binary", FLAGS["classes"], "the model has 2 labels (bad, good), the data 3 (a, b, c)"),
    "other names": (
        "classes",
        ["--label_column", "label", "--label_names", "c", "b", "d"],
        "the labels of the model are a, b, c, those of the data c, b, d; say with --label_names what the labels",
    ),
    "a number": ("binary", FLAGS["number"], "the model has 2 labels, the data a number"),
    "no number": ("number", [], "the model is for regression, the data for single_label"),
    "several labels": ("binary", FLAGS["labels"], "the model is for single_label_classification, the data for multi"),
    "one label": ("labels", [], "the model is for multi_label_classification, the data for single"),
    "column": ("binary", ["--label_column", "lable"], "train.jsonl: no column 'lable'; there are: text, label"),
    "text": ("binary", ["--text_column", "body"], "train.jsonl: no column 'body'"),
    "any of none": ("binary", ["--any_of"], "labels.any_of: needs label_columns"),
    "bad row": ("binary", ["--on_bad_row", "drop"], "labels.on_bad_row: 'drop'"),
    "length": ("binary", ["--block_size", "17"], "--block_size: 17; allowed: up to"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_line(trained, tmp_path, capfd, case):
    kind, flags, words = WRONG[case]
    given = ["--dataset", trained / "examples", *flags, "--output_dir", tmp_path / "out"]
    assert evaluate(trained / kind / "final", *given) == 2
    error = capfd.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_column_that_was_asked_for_must_be_in_a_single_file(trained, tmp_path, capfd):
    file = write_csv(tmp_path / "rows.csv", rows_of(trained))
    given = ["--dataset", file, "--label_column", "lable", "--output_dir", tmp_path / "out"]
    assert evaluate(trained / "binary" / "final", *given) == 2
    assert "rows.csv: no column 'lable'" in capfd.readouterr().err


def test_a_split_that_is_not_there_is_named(trained, tmp_path, capfd):
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data" / "train.csv", rows_of(trained))
    write_csv(tmp_path / "data" / "validation.csv", rows_of(trained))
    given = ["--dataset", tmp_path / "data", "--output_dir", tmp_path / "out"]
    assert evaluate(trained / "binary" / "final", *given) == 2
    assert "has no test split; there are: train, validation" in capfd.readouterr().err
