# Copyright 2026 The hf_variants authors. MIT licence.
"""A finished classifier on labelled text that it was not trained with: metrics, slices, worst errors, predictions."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..checking import InputError
from ..labelled.corpus import Examples
from ..labelled.examples import TokenizedExamples
from ..labelled.matching import UnmatchedError, has_names, match_labels
from ..metrics import summarise_scores
from ..objectives import classifier_record as report
from ..objectives.evaluations import LabelledEvaluation
from ..objectives.text_classification import TextClassification
from ..recipes.sections import ObjectiveArguments

SLICES = 4  # by length
WORST = 20
TASK = "--task text_classification"


def classify(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    label_names: list[str],
    problem_type: str,
    max_length: int,
    batch_size: int = 32,
    resamples: int = 1000,
    stated: bool = False,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a classifier does on a split, and a row per example.

    The former are {"metrics", "intervals", "curves", "slices", "worst", "label_names"}.

    Metrics use the threshold of the model's configuration where it has one (`…_tuned`). For a split without labels
    only the rows are filled, and where nothing names its labels (`label_names` is empty) they are the model's. The
    labels of the data are brought into the order of the model's, by their names (labelled/matching.py); `stated` are
    names that the user gave in that order. Raises InputError where model and data do not have the same labels.
    """
    if label_names:
        check_labels(model, label_names, problem_type)
        examples, label_names = as_the_model_has_them(model, examples, label_names, problem_type, stated)
    else:
        label_names, problem_type = own_labels(model)
    arguments = ObjectiveArguments(objective="text_classification")
    objective = TextClassification(arguments, tokenizer).for_labels(problem_type, label_names)
    tokenized = TokenizedExamples(tokenizer, examples, max_length)
    accelerator = Accelerator()
    scores = LabelledEvaluation(tokenized, objective, batch_size).scores(model.to(accelerator.device), accelerator)
    rows = report.prediction_rows(examples, scores)
    if examples.labels is None:
        return {"metrics": {}, "why_unlabelled": examples.why_unlabelled}, rows
    kind, threshold = objective.kind, model.config.to_dict().get("classification_threshold")
    found = {
        "metrics": summarise_scores(scores, objective.metrics) | report.tuned_metrics(kind, scores, threshold),
        "intervals": report.intervals(kind, scores, threshold, resamples),
        "curves": report.curves(kind, scores, objective.label_names),
        "slices": slices(kind, scores, tokenized.lengths),
        "worst": worst(rows),
        "label_names": objective.label_names,
    }
    return found, rows


def own_labels(model: PreTrainedModel) -> tuple[list[str], str]:
    """The label names of a model, and its problem type: by its outputs where its configuration does not say."""
    names = [model.config.id2label[number] for number in range(model.config.num_labels)]
    default = "regression" if len(names) == 1 else "single_label_classification"
    return names, model.config.problem_type or default


def check_labels(model: PreTrainedModel, wanted: list[str], problem_type: str) -> None:
    """Raises InputError where the data has another number of labels than the model, or they are of another kind."""
    (own, _), size, made_for = own_labels(model), model.config.num_labels, model.config.problem_type
    if problem_type == "regression" and size != 1:
        raise InputError(f"{TASK}: the model has {size} labels, the data a number")
    one_logit = size == 1 and problem_type == "single_label_classification" and len(wanted) == 2
    if not one_logit and size != len(wanted):
        names = f"the model has {size} labels ({', '.join(own)}), the data {len(wanted)} ({', '.join(wanted)})"
        raise InputError(f"{TASK}: {names}; --label_names says what there may be")
    fits = (None, problem_type) + (("multi_label_classification",) if one_logit else ())
    if made_for not in fits:
        raise InputError(f"{TASK}: the model is for {made_for}, the data for {problem_type}")


def as_the_model_has_them(
    model: PreTrainedModel, examples: Examples, names: list[str], problem_type: str, stated: bool
) -> tuple[Examples, list[str]]:
    """Examples whose labels are the model's, and their names: the model's, or the data's where it has none.

    Raises InputError where nothing says which label of the data is which of the model.
    """
    if problem_type == "regression":
        return examples, names
    try:
        places = match_labels(own_labels(model)[0], names, stated)
    except UnmatchedError as error:
        advice = "say with --label_names what the labels of the data are called, in the order of the model's"
        raise InputError(f"{TASK}: {error}; {advice}") from None
    named = has_names(own_labels(model)[0])
    ordered = [name for _, name in sorted(zip(places, names, strict=True))]
    if named and model.config.num_labels == len(names):
        ordered = own_labels(model)[0]
    if examples.labels is None:
        return examples, ordered
    back = np.argsort(places)
    labels = examples.labels[:, back] if examples.labels.ndim == 2 else np.asarray(places)[examples.labels]
    return dataclasses.replace(examples, labels=labels), ordered


def slices(kind: str, scores: Mapping[str, Any], lengths: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """The same scores by length (quarters of the examples) and by label: "examples", "loss" and share "correct"."""
    correct = _correct(kind, scores)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, SLICES + 1), method="nearest"))
    edges = np.repeat(edges, 2) if len(edges) == 1 else edges  # all of one length
    by_length = []
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = (lengths >= low if number == 0 else lengths > low) & (lengths <= high)
        first = int(low) if number == 0 else int(low) + 1
        by_length.append({"tokens": [first, int(high)]} | _slice(scores, correct, inside))
    if kind == "regression":
        return {"length": by_length}
    return {"length": by_length, "label": _by_label(scores, correct)}


def _by_label(scores: Mapping[str, Any], correct: np.ndarray | None) -> list[dict[str, Any]]:
    label, names = scores["label"], scores["label_names"]
    members = [label == n if label.ndim == 1 else label[:, n] == 1 for n in range(len(names))]
    return [{"label": name} | _slice(scores, correct, rows) for name, rows in zip(names, members, strict=True)]


def _slice(scores: Mapping[str, Any], correct: np.ndarray | None, rows: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"examples": int(rows.sum())}
    if rows.any():
        found["loss"] = float(scores["loss"][rows].mean())
        if correct is not None:
            found["correct"] = float(correct[rows].mean())
    return found


def _correct(kind: str, scores: Mapping[str, Any]) -> np.ndarray | None:
    """Whether each example is right: its most probable class, or all its labels at .5; None for a regression."""
    if kind == "regression":
        return None
    chance, label = scores["probability"], scores["label"]
    if kind == "single_label_classification":
        return chance.argmax(1) == label
    right = (chance >= 0.5) == (label == 1)
    return right.all(axis=1) if right.ndim == 2 else right


def worst(rows: Sequence[Mapping[str, Any]], count: int = WORST) -> list[dict[str, Any]]:
    """The examples with the highest loss, highest first."""
    return [dict(row) for row in sorted(rows, key=lambda row: -row["loss"])[:count]]
