# Copyright 2026 The hf_variants authors. MIT licence.
"""The floor of a comparison of classifiers: what TF-IDF and logistic regression make of the same examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from ..checking import InputError
from ..engine.prepared_examples import PreparedExamples
from ..metrics import summarise_scores
from ..objectives import classifier_record as report
from ..records import Classification, Floor


def floor_record(prepared: PreparedExamples, resamples: int) -> Floor:
    """The floor's metrics by split, and what a classifier's record says; with the fingerprint of the data.

    Raises InputError for a regression and for pairs of texts, which have no such floor.
    """
    kind, examples = prepared.objective.kind, prepared.examples
    if kind == "regression" or prepared.corpus.splits["train"].pairs is not None:
        raise InputError("floor: is for classes or labels of single texts")
    texts = {split: found.source.texts for split, found in examples.items()}
    labels = {split: found.labels for split, found in examples.items() if found.labels is not None}
    others = {split: found for split, found in texts.items() if split != "train"}
    chances = tfidf_floor(texts["train"], labels["train"], others, validation_labels=labels["validation"])
    scores = {split: _scores(prepared, labels[split], chances[split]) for split in chances if split in labels}
    threshold = report.tuned_threshold(kind, scores["validation"])
    about = {"kind": kind, "label_names": prepared.objective.label_names, "threshold": threshold}
    if "test" in scores:
        about["intervals"] = report.intervals(kind, scores["test"], threshold, resamples)
        about["curves"] = report.curves(kind, scores["test"], prepared.objective.label_names)
    metrics = {
        split: summarise_scores(found, prepared.objective.metrics) | report.tuned_metrics(kind, found, threshold)
        for split, found in scores.items()
    }
    said = Classification.from_json(about)
    return Floor(fingerprint=prepared.corpus.fingerprint, metrics=metrics, classification=said)


def _scores(prepared: PreparedExamples, label: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    """An evaluation's arrays, the loss included."""
    safe = np.clip(chance.astype(np.float64), 1e-12, 1 - 1e-12)
    if label.ndim == 2:
        loss = -np.where(label == 1, np.log(safe), np.log1p(-safe)).mean(axis=1)
    elif chance.ndim == 2:
        loss = -np.log(safe[np.arange(len(label)), label])
    else:
        loss = -np.where(label == 1, np.log(safe), np.log1p(-safe))
    return {"probability": chance, "label": label, "loss": loss} | prepared.objective.about_scores()


STRENGTHS = (1.0, 4.0, 16.0, 64.0, 256.0)  # inverse strengths C of the L2 penalty that are tried on validation


DEFAULT_C = 4.0  # where there are no validation labels


VALIDATION = "validation"


_STEPS = 2000  # of L-BFGS at most; hundreds are needed


# Words of one letter count ("I", "u"); the pair matters more than a cut-off, so rare ones stay.
_WORDS = {"ngram_range": (1, 2), "sublinear_tf": True, "lowercase": True, "token_pattern": r"(?u)\b\w+\b"}


def tfidf_floor(
    train_texts: Sequence[str],
    train_labels: np.ndarray,
    texts_by_split: Mapping[str, Sequence[str]],
    validation_labels: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Probabilities for every split of `texts_by_split`, as the metrics of classification take them.

    `train_labels` 0 and 1, `(n,)`: the probability of 1, `(n,)`. Class numbers `(n,)`: multinomial, `(n, classes)`,
    classes counted up to the highest in train. 0 and 1 `(n, labels)`: one model per label against the rest. With
    `validation_labels` and a split "validation", C is the one of STRENGTHS with the lowest log loss there, otherwise
    DEFAULT_C. The same inputs give the same result; `seed` is for scikit-learn. Raises ValueError where texts and
    labels are not equally many, there is no word in the texts, or all labels are one class.
    """
    labels = np.asarray(train_labels)
    _check(train_texts, labels, "train")
    words = TfidfVectorizer(**_WORDS)
    try:
        train = words.fit_transform(train_texts)
    except ValueError:
        raise ValueError("TF-IDF floor: there is no word in the train texts") from None
    splits = {split: words.transform(texts) for split, texts in texts_by_split.items()}
    strengths = [DEFAULT_C]
    if validation_labels is not None:
        _check(texts_by_split.get(VALIDATION, ()), np.asarray(validation_labels), VALIDATION)
        strengths = list(STRENGTHS)
    best, lowest = {}, np.inf
    for strength in strengths:
        found = _fit_predict(train, labels, splits, strength, seed)
        loss = 0.0 if len(strengths) == 1 else _loss(np.asarray(validation_labels), found[VALIDATION])
        if loss < lowest:
            best, lowest = found, loss
    return best


def _check(texts: Sequence[str], labels: np.ndarray, split: str) -> None:
    if not len(texts) or len(texts) != len(labels):
        raise ValueError(f"TF-IDF floor: {split} has {len(texts)} texts and {len(labels)} labels")
    if split == "train" and labels.ndim == 1 and labels.min() == labels.max():
        raise ValueError(f"TF-IDF floor: all {len(labels)} train labels are {labels[0]}; two classes are needed")


def _fit_predict(
    train: csr_matrix, labels: np.ndarray, splits: Mapping[str, csr_matrix], strength: float, seed: int
) -> dict[str, np.ndarray]:
    if labels.ndim == 1:
        predicted = _one_model(train, labels, splits, strength, seed)
        return {split: p[:, 1] if p.shape[1] == 2 else p for split, p in predicted.items()}
    columns = [_one_model(train, labels[:, i], splits, strength, seed, 2) for i in range(labels.shape[1])]
    return {split: np.stack([column[split][:, 1] for column in columns], axis=1) for split in splits}


def _one_model(
    train: csr_matrix,
    labels: np.ndarray,
    splits: Mapping[str, csr_matrix],
    strength: float,
    seed: int,
    classes: int | None = None,
) -> dict[str, np.ndarray]:
    """Probabilities `(n, classes)` of every split; 0 for a class that does not occur in train."""
    seen = np.unique(labels).astype(int)
    classes = classes or seen[-1] + 1
    found = {split: np.zeros((texts.shape[0], classes)) for split, texts in splits.items()}
    if len(seen) == 1:  # a label that all or none of the examples have
        for values in found.values():
            values[:, seen[0]] = 1.0
        return found
    model = LogisticRegression(C=strength, max_iter=_STEPS, random_state=seed).fit(train, labels)
    for split, texts in splits.items():
        found[split][:, seen] = model.predict_proba(texts)
    return found


def _loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; of several labels, the mean over them as well."""
    if probabilities.ndim == 2 and labels.ndim == 1:
        return float(log_loss(labels, probabilities, labels=range(probabilities.shape[1])))
    chance = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), 1e-15, 1)
    return float(-np.log(chance).mean())
