# Copyright 2026 The hf_variants authors. MIT licence.
"""Average precision: the area under the precision-recall curve of a positive class, summed in steps."""

import numpy as np
from sklearn.metrics import average_precision_score

from hf_variants.experiments.metrics import classes


class AveragePrecision(classes.ClassMetric):
    """Sum over thresholds of (recall - the recall before) x precision; examples of equal probability are one step.

    Nothing is interpolated, since a straight line between two points of this curve is too optimistic (Davis and
    Goadrich 2006). A constant score gets the share of positives, the floor of this metric. Binary: `average_precision`
    of the positive class alone; the negative class, which nearly always has the higher one, has no part in it.
    Undefined for a label without positives, or without negatives.
    """

    about = "Area under the precision-recall curve (AUC-PR) as average precision; of the positive class where binary."
    paper = "Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006"

    def measure(self, examples: classes.ScoredExamples, bins: int) -> dict[str, float]:
        """`average_precision`, or per label, macro and undefined; multi-class: each class against the rest."""
        if examples.task == classes.BINARY:
            return {"average_precision": float(average_precision_score(examples.label, examples.probability))}
        return classes.by_label("average_precision", examples, self.of_label)

    def of_label(self, label: np.ndarray, probability: np.ndarray) -> float | None:
        """Of one label, 0 or 1; None where it is undefined."""
        return average_precision_score(label, probability) if classes.has_both(label) else None
