# Copyright 2026 The hf_variants authors. MIT licence.
"""F1: the harmonic mean of precision and recall, at a given threshold."""

import numpy as np
from sklearn.metrics import f1_score

from hf_variants.experiments.metrics import classes


class F1(classes.ClassMetric):
    """2 TP / (2 TP + FP + FN). Binary: `f1` of the positive class at the threshold (.5 unless given).

    Multi-class: of the most probable class, per class and macro (micro would be the accuracy). Multi-label: at the
    thresholds, per label, macro, and `f1_micro` over all decisions together, those of undefined labels included.
    Undefined for a label without positives; 0 where there are some and none is found.
    """

    about = "F1 of the positive class (binary), per label, macro and, for multi-label tasks, micro."
    paper = "van Rijsbergen, Information Retrieval, 2nd edition, Butterworths 1979, chapter 7"

    def measure(self, examples: classes.ScoredExamples, bins: int) -> dict[str, float]:
        """`f1`, or per label, macro and undefined, and for a multi-label task micro."""
        label, found = examples.label, examples.decisions()
        if examples.task == classes.BINARY:
            return {"f1": float(f1_score(label, found))}
        if examples.task == classes.MULTI_LABEL:
            results = self._by_label(examples.names, label, found)
            return results | {"f1_micro": float(f1_score(label, found, average="micro"))}
        count = len(examples.names)
        return self._by_label(examples.names, classes.one_hot(label, count), classes.one_hot(found, count))

    def _by_label(self, names: tuple[str, ...], label: np.ndarray, found: np.ndarray) -> dict[str, float]:
        columns = zip(names, label.T, found.T, strict=True)
        return classes.named("f1", {name: f1_score(y, guess) if y.any() else None for name, y, guess in columns})
