# Copyright 2026 The hf_variants authors. MIT licence.
"""The objective of labelled text: its losses, what a run of each kind leaves behind, early stopping, resuming."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_variants.experiments import contract
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.best import BestModel
from hf_variants.experiments.engine.loop import Loop
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.objectives.classifier_record import intervals
from hf_variants.experiments.objectives.text_classification import TextClassification
from hf_variants.experiments.recipes.sections import ObjectiveArguments
from hf_variants.experiments.records import RunRecord
from hf_variants.experiments.reports.cards import run_card
from tests.helpers.tiny_labelled import labelled_recipe, write_examples

KINDS = {
    "binary": {},
    "classes": {"labels.label_column": "kind"},
    "labels": {"labels.label_columns": ["saw", "we"]},
    "number": {"labels.label_column": "score", "labels.problem_type": "regression"},
}
METRICS = {
    "binary": {"loss", "average_precision", "roc_auc", "f1", "f1_tuned", "accuracy", "matthews", "calibration_error"},
    "classes": {"loss", "accuracy", "f1_macro", "matthews", "calibration_error"},
    "labels": {"loss", "average_precision_macro", "roc_auc_macro", "f1_macro_tuned", "f1_micro_tuned"},
    "number": {"loss", "pearson", "spearman"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_label_trains_and_is_scored(kind, tmp_path):
    record = run_recipe(labelled_recipe(tmp_path, KINDS[kind]), tmp_path / "run").to_json()
    for split in ("validation", "test"):
        assert METRICS[kind] <= set(record["marks"][-1][split]), split
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 32
    assert rows[0]["text"] == json.loads((tmp_path / "examples" / "test.jsonl").read_text().splitlines()[0])["text"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "final")
    assert record["selection"]["metric"] in record["marks"][-1]["validation"]
    assert ("classification_threshold" in model.config.to_dict()) == (kind in ("binary", "labels"))
    assert model.config.problem_type is not None


def test_predictions_of_the_run_are_those_of_the_loaded_model(tmp_path):
    record = run_recipe(labelled_recipe(tmp_path), tmp_path / "run").to_json()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "final")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "final")
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    for row in rows[:8]:
        found = classify([row["text"]], truncation=True, max_length=16)[0]
        scores = {one["label"]: one["score"] for one in found}
        assert scores["1"] == pytest.approx(row["probability"], abs=1e-5)
    assert record["classification"]["threshold"] == model.config.classification_threshold


def test_cleaning_is_recorded_in_the_configuration(tmp_path):
    changes = {"tokenizer.clean": ["urls", "lower_case"], "training.max_epochs": 1}
    run_recipe(labelled_recipe(tmp_path, changes), tmp_path / "run")
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "final").config
    assert config.text_cleaning == ["lower_case", "urls"]


def test_the_record_says_how_many_words_have_a_pretrained_vector(tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {' '.join(['0.5'] * 8)}\n" for word in ("good", "bad", "elsewhere")))
    changes = {"model.model_type": "bigru", "model.overrides": {}, "tokenizer.tokenizer": "words"}
    recipe = labelled_recipe(tmp_path, changes | {"training.max_epochs": 1})
    recipe.model.overrides = {"embedding_size": 8, "hidden_size": 6}
    assert run_recipe(recipe, tmp_path / "without").word_vectors is None
    recipe.model.word_vectors = str(vectors)
    found = run_recipe(recipe, tmp_path / "with").to_json()["word_vectors"]
    words = len(AutoTokenizer.from_pretrained(tmp_path / "with" / "final")) - 2  # but [PAD] and [UNK]
    assert found == {"found": 2, "missing": words - 2, "share": pytest.approx(2 / words)}
    card = run_card(contract.read(RunRecord, tmp_path / "with" / "record.json"))
    assert f"2 of {words} words have a pretrained vector" in card


def test_labels_too_rare_for_an_interval_end_no_run():
    label = np.eye(40, dtype=np.int64)[:, :30]  # each label once in 40 examples: hardly any resample has all of them
    scores = {"label": label, "probability": np.random.default_rng(0).random(label.shape), "label_names": None}
    assert intervals("multi_label_classification", scores, None, 20) == {}
    assert intervals("multi_label_classification", scores | {"label": label[:, :1], "probability":
                     scores["probability"][:, :1]}, None, 20)  # fmt: skip


def test_one_logit_serves_two_classes(tmp_path):
    changes = {"model.overrides": {"num_labels": 1}}
    record = run_recipe(labelled_recipe(tmp_path, changes), tmp_path / "run").to_json()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "final")
    assert model.config.num_labels == 1
    assert model.config.id2label == {0: "1"}
    assert METRICS["binary"] <= set(record["marks"][-1]["test"])


# ---- losses --------------------------------------------------------------------------------------------------------


class Model(torch.nn.Module):
    """Gives the logits that it was given."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.found = logits

    def forward(self, **_):
        return type("Output", (), {"logits": self.found})


def test_losses_are_weighted_and_smoothed_in_training_and_plain_in_evaluation(tmp_path):
    write_examples(tmp_path)
    changes = {"objective.class_weights": "balanced", "objective.label_smoothing": 0.1}
    objective = prepare(labelled_recipe(tmp_path, changes)).objective
    logits, labels = torch.tensor([[1.0, -1.0], [0.5, 2.0], [0.0, 0.0]]), torch.tensor([0, 1, 1])
    batch = {"input_ids": torch.zeros(3, 2), "labels": labels}
    counts = np.bincount(prepare(labelled_recipe(tmp_path)).corpus.splits["train"].labels)
    weights = torch.tensor(64 / (2 * counts), dtype=torch.float32)
    smooth = F.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(objective.losses(Model(logits), batch)["loss"], smooth * weights[labels])
    scores = objective.score(Model(logits), batch)
    torch.testing.assert_close(scores["loss"], F.cross_entropy(logits, labels, reduction="none"))
    torch.testing.assert_close(scores["probability"], logits.softmax(-1)[:, 1])
    assert float((weights[torch.from_numpy(np.repeat([0, 1], counts))]).mean()) == pytest.approx(1)


def test_balanced_labels_weigh_their_positives(tmp_path):
    changes = KINDS["labels"] | {"objective.class_weights": "balanced"}
    prepared = prepare(labelled_recipe(tmp_path, changes))
    labels = prepared.corpus.splits["train"].labels
    positives = labels.sum(axis=0)
    assert prepared.objective.weights.tolist() == pytest.approx(((64 - positives) / positives).tolist())


def test_a_regression_has_no_classes_to_weigh_or_smooth(tmp_path):
    for name in ("class_weights", "label_smoothing"):
        changes = KINDS["number"] | {f"objective.{name}": "balanced" if name == "class_weights" else 0.1}
        with pytest.raises(InputError, match=f"objective.{name}: a regression has no classes"):
            prepare(labelled_recipe(tmp_path, changes))


# ---- unlabelled test splits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, -1])
def test_a_test_split_of_placeholders_gets_predictions_and_no_score(label, tmp_path):
    folder = write_examples(tmp_path)
    rows = [json.loads(line) | {"label": label} for line in (folder / "test.jsonl").read_text().splitlines()]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    record = run_recipe(labelled_recipe(tmp_path), tmp_path / "run").to_json()
    assert "test" not in record["marks"][-1]
    assert "why_unlabelled" in record["data"]["splits"]["test"]
    found = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(found) == 32
    assert all("label" not in row and 0 <= row["probability"] <= 1 for row in found)


# ---- early stopping and resuming -----------------------------------------------------------------------------------


def losses(record: dict) -> list[float]:
    return [point["validation_loss"] for point in record["curve"] if "validation_loss" in point]


def test_early_stopping_ends_the_run_and_keeps_the_best_model(tmp_path):
    changes = {"training.early_stopping": 2, "training.max_epochs": 30, "training.learning_rate": 0.05,
               "objective.selection_metric": "loss"}  # fmt: skip
    record = run_recipe(labelled_recipe(tmp_path, changes), tmp_path / "run").to_json()
    found, mark = losses(record), record["marks"][-1]
    assert record["steps"] < 30 * 8
    assert mark["best_step"] == 4 * (1 + int(np.argmin(found)))
    assert record["steps"] == mark["best_step"] + 2 * 4
    assert mark["validation"]["loss"] == min(found)
    assert mark["examples"] == 30 * 64  # the budget that it was given


def test_a_model_without_a_correlation_is_the_worst_choice_and_no_error(tmp_path):
    """One that says the same of every text has none, and is how training may begin."""
    arguments = ObjectiveArguments(objective="text_classification", selection_metric="spearman")
    objective = TextClassification(arguments, None).for_labels("regression", ["score"])
    best, progress = BestModel(2, objective, tmp_path), SimpleNamespace(best=None, best_step=0, step=1, bad=0)
    found = [{"loss": 3.0}, {"loss": 2.0, "pearson": 0.1, "spearman": -0.9}, {"loss": 1.0}]
    assert [best.saw(progress, values) for values in found] == [True, True, False]


NO_METRICS = {
    "two classes": ("single_label_classification", ["no", "yes"], ("spearman", "f1_macro")),
    "classes": ("single_label_classification", ["a", "b", "c"], ("spearman", "average_precision", "f1")),
    "labels": ("multi_label_classification", ["toxic", "insult"], ("accuracy", "f1/rude")),
    "a number": ("regression", ["score"], ("accuracy", "matthews")),
}


@pytest.mark.parametrize("case", NO_METRICS)
def test_a_metric_that_the_labels_do_not_have_is_an_error_before_training(case):
    problem_type, names, wrong = NO_METRICS[case]
    for name in wrong:
        arguments = ObjectiveArguments(objective="text_classification", selection_metric=name)
        with pytest.raises(InputError, match=f"objective.selection_metric: '{name}'; allowed: .*loss"):
            TextClassification(arguments, None).for_labels(problem_type, names)


def test_what_a_rehearsal_finds_is_what_an_evaluation_finds(tmp_path):
    record = run_recipe(labelled_recipe(tmp_path, {"training.max_epochs": 1}), tmp_path / "run").to_json()
    objective = TextClassification(ObjectiveArguments(objective="text_classification"), None)
    found = objective.for_labels("single_label_classification", ["no", "yes"]).rehearse()
    assert {*found, "f1_tuned"} == record["marks"][-1]["validation"].keys()  # a threshold is tuned at the end only


class KilledError(Exception):
    pass


def kill_after(monkeypatch, updates: int) -> None:
    original = Loop._after_step

    def dying(self, phase):
        original(self, phase)
        if self.progress.updates == updates:
            raise KilledError

    monkeypatch.setattr(Loop, "_after_step", dying)


MODES = {
    "full": {},
    "lora": {"training.train": "lora", "training.lora_rank": 2},
    "frozen": {"training.train": "frozen"},
    "gradual": {"training.train": "gradual"},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("updates", [2, *(pytest.param(late, marks=pytest.mark.slow) for late in (7, 12, 16))])
def test_a_killed_run_ends_as_an_undisturbed_one(mode, updates, tmp_path, monkeypatch):
    changes = MODES[mode] | {"training.early_stopping": 3}
    recipe = labelled_recipe(tmp_path, changes)
    whole = run_recipe(recipe, tmp_path / "whole").to_json()
    with monkeypatch.context() as patch:
        kill_after(patch, min(updates, whole["steps"]))
        with pytest.raises(KilledError):
            run_recipe(recipe, tmp_path / "killed")
    again = run_recipe(recipe, tmp_path / "killed").to_json()
    first, second = (load_file(tmp_path / name / "final" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    strip = [{n: v for n, v in mark.items() if n != "seconds"} for mark in (whole["marks"][-1], again["marks"][-1])]
    assert strip[0] == strip[1]
    assert whole["curve"] == again["curve"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.early_stopping": 2, "training.schedule": "constant_with_decay"}, "early_stopping: needs schedule"),
        ({"training.batch_size": 65}, "training.batch_size: 65; the train split has 64 examples"),
        ({"objective.objective": "masked_lm", "training.train": "lora"}, "train and early_stopping are for labelled"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run_recipe(labelled_recipe(tmp_path, changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
