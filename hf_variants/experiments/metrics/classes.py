# Copyright 2026 The hf_variants authors. MIT licence.
"""What the metrics of classification share: their inputs, checked, and the names of what they return.

An evaluation hands over one dictionary of arrays over its n examples:

    task         "probability"                                     "label"
    binary       (n,), of the positive class                       (n,) of 0 and 1
    multi-class  (n, classes), a row sums to 1; 3 classes or more  (n,) of class numbers
    multi-label  (n, labels), each on its own                      (n, labels) of 0 and 1

and, where there are any, "label_names" and "threshold" (a positive decision is probability >= threshold; .5). The
shapes alone say which task it is. The names of the results say what was averaged over what: a plain name, such as
`average_precision`, is of a binary task and its positive class, and never a mean over classes; `…/toxic` is of one
label (in a multi-class task: of that class against the rest), and `…_macro` the unweighted mean of those. A label for
which a metric is undefined has no `…/label`, is left out of `…_macro`, and is counted by `…_undefined`, which is
there only where there are any.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import evaluate
import numpy as np

BINARY, MULTI_CLASS, MULTI_LABEL = "binary", "multi-class", "multi-label"
THRESHOLD = 0.5
_SUM = 0.01  # how far the probabilities of one example may be from 1 together: bfloat16 rounds them that much

# evaluate takes the first of these that fits the first example.
FEATURES = [
    datasets.Features({"predictions": predictions, "references": references})
    for predictions, references in (
        (datasets.Value("float64"), datasets.Value("int64")),
        (datasets.Sequence(datasets.Value("float64")), datasets.Value("int64")),
        (datasets.Sequence(datasets.Value("float64")), datasets.Sequence(datasets.Value("int64"))),
    )
]
INPUTS = """predictions: probabilities, references: labels. Per example: one of the positive class and 0 or 1 (binary),
a list over classes and a class number (multi-class, 3 classes or more), or a list over labels and a list of 0 and 1
(multi-label). Options that every metric of classification takes and uses where it needs them: label_names,
threshold (a number, or one per label; .5), bins (15)."""


@dataclass(frozen=True)
class ScoredExamples:
    """Checked inputs of one split. `threshold` is `(labels,)` for a multi-label task, a number otherwise."""

    task: str
    probability: np.ndarray  # float64
    label: np.ndarray  # int64
    names: tuple[str, ...]  # of labels or classes; none for a binary task
    threshold: float | np.ndarray

    def decisions(self) -> np.ndarray:
        """What is predicted, in the shape of `label`: the most probable class (the first of equals), or 0 and 1."""
        if self.task == MULTI_CLASS:
            return self.probability.argmax(axis=1)
        return (self.probability >= self.threshold).astype(np.int64)

    def columns(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """By name of label or class: whether each example has it (0 or 1) and its probability, both `(n,)`."""
        truth = self.label
        if self.task == MULTI_CLASS:
            truth = one_hot(self.label, len(self.names))
        return {name: (truth[:, i], self.probability[:, i]) for i, name in enumerate(self.names)}


def one_hot(classes: np.ndarray, count: int) -> np.ndarray:
    """Class numbers `(n,)` -> `(n, count)` of 0 and 1."""
    return (classes[:, None] == np.arange(count)).astype(np.int64)


class ClassMetric(evaluate.Metric):
    """A metric of classification: a subclass says `about`, `paper` and how its `measure` is taken of `ScoredExamples`.

    `compute(predictions=probabilities, references=labels, …)` and `score(scores)` give the same flat dictionary.
    """

    about = ""
    paper = ""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.about, citation=self.paper, inputs_description=INPUTS, features=FEATURES
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        label_names: Sequence[str] | None = None,
        threshold: float | Sequence[float] | None = None,
        bins: int = 15,
    ) -> dict[str, float]:
        try:
            examples = check_examples(predictions, references, label_names, threshold)
            return self.measure(examples, bins)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def measure(self, examples: ScoredExamples, bins: int) -> dict[str, float]:
        """The results by name. Raises ValueError where there is none."""
        raise NotImplementedError

    def score(self, scores: Mapping[str, Any]) -> dict[str, float]:
        """The metric of an evaluation's arrays (uses "probability", "label", "label_names" and "threshold").

        Raises ValueError, which names the metric, for wrong shapes or values, and where the metric is undefined: for
        a binary or a multi-class task when all examples have one class, for a multi-label one when no label is left.
        """
        options = {name: scores.get(name) for name in ("label_names", "threshold")}
        return self._compute(scores["probability"], scores["label"], **options)


def by_label(
    metric: str, examples: ScoredExamples, measure: Callable[[np.ndarray, np.ndarray], float | None]
) -> dict[str, float]:
    """`measure(label, probability)` of every label or class, named as `named` does; None where it is undefined."""
    return named(metric, {name: measure(*column) for name, column in examples.columns().items()})


def named(metric: str, values: Mapping[str, float | None]) -> dict[str, float]:
    """`metric/label` of every label, `metric_macro` and `metric_undefined`. Raises ValueError where all are None."""
    defined = {name: float(value) for name, value in values.items() if value is not None}
    if not defined:
        raise ValueError(f"undefined for every label ({', '.join(values)}): each has examples of one kind only")
    results = {f"{metric}/{name}": value for name, value in defined.items()}
    results[f"{metric}_macro"] = float(np.mean(list(defined.values())))
    missing = len(values) - len(defined)
    return results | ({f"{metric}_undefined": float(missing)} if missing else {})


def has_both(label: np.ndarray) -> bool:
    """Whether there are positives and negatives."""
    return bool(0 < label.sum() < label.size)


# ---- checks --------------------------------------------------------------------------------------------------------


def check_examples(
    probability: Any, label: Any, label_names: Sequence[str] | None = None, threshold: Any = None
) -> ScoredExamples:
    """The inputs of a metric, checked, and which task they are of. Raises ValueError for what is wrong with them."""
    probability, label = _numbers("probability", probability), _numbers("label", label)
    task = _task(probability, label)
    if not np.isfinite(probability).all() or probability.min() < 0 or probability.max() > 1:
        raise ValueError("a probability is not from 0 to 1 (logits? apply sigmoid or softmax first)")
    if task == MULTI_CLASS and np.abs(probability.sum(axis=1) - 1).max() > _SUM:
        raise ValueError("the probabilities of an example do not sum to 1, as those of a multi-class task must")
    classes = probability.shape[1] if task == MULTI_CLASS else 2
    if (label != np.trunc(label)).any() or label.min() < 0 or label.max() >= classes:
        raise ValueError(f"a label is not one of 0 to {classes - 1}, which a {task} task of this shape has")
    if task != MULTI_LABEL and label.min() == label.max():
        raise ValueError(f"all {label.size} examples have the label {label[0]:.0f} (placeholders?); two are needed")
    names = () if task == BINARY else _names(label_names, probability.shape[1])
    return ScoredExamples(
        task, probability, label.astype(np.int64), names, _threshold(threshold, task, probability.shape)
    )


def _numbers(what: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: numbers are expected, equally many for every example") from None
    if array.size == 0:
        raise ValueError(f"{what}: there are no examples")
    return array


def _task(probability: np.ndarray, label: np.ndarray) -> str:
    shapes = f"probability {probability.shape}, label {label.shape}"
    if len(probability) != len(label):
        raise ValueError(f"{shapes}: not equally many examples")
    if probability.ndim == 1 and label.ndim == 1:
        return BINARY
    if probability.ndim == 2 and label.shape == probability.shape:
        return MULTI_LABEL
    if probability.ndim == 2 and label.ndim == 1 and probability.shape[1] > 2:
        return MULTI_CLASS
    if probability.ndim == 2 and label.ndim == 1:
        raise ValueError(f"{shapes}: give a binary task as (n,), the probabilities of the positive class alone")
    raise ValueError(f"{shapes}; allowed: (n,) and (n,), (n, classes) and (n,), (n, labels) and (n, labels)")


def _names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = tuple(map(str, range(count) if names is None else names))
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"label_names: {count} different names are expected, not {list(names)}")
    return names


def _threshold(threshold: Any, task: str, shape: tuple[int, ...]) -> float | np.ndarray:
    if task == MULTI_CLASS:
        if threshold is not None:
            raise ValueError("threshold: a multi-class task has none, its most probable class is predicted")
        return THRESHOLD
    array = _numbers("threshold", THRESHOLD if threshold is None else threshold)
    allowed = "a number" if task == BINARY else f"a number, or one for each of {shape[1]} labels"
    if array.shape not in ((), shape[1:]) or not np.isfinite(array).all():
        raise ValueError(f"threshold: {threshold}; allowed: {allowed}")
    return float(array) if task == BINARY else np.broadcast_to(array, shape[1:])
