# Copyright 2026 The hf_variants authors. MIT licence.
"""Area under the ROC curve: how often a positive example is ranked above a negative one."""

import numpy as np
from sklearn.metrics import roc_auc_score

from hf_variants.experiments.metrics import classes


class RocAuc(classes.ClassMetric):
    """The share of pairs of a positive and a negative example in which the positive one is the more probable.

    Pairs of equal probability count half, so that a constant score gets .5 (Hanley and McNeil 1982). Binary:
    `roc_auc`. Undefined for a label without positives, or without negatives.
    """

    about = "Area under the receiver operating characteristic curve (ROC-AUC)."
    paper = "Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 143(1), 1982"

    def measure(self, examples: classes.ScoredExamples, bins: int) -> dict[str, float]:
        """`roc_auc`, or per label, macro and undefined; multi-class: each class against the rest."""
        if examples.task == classes.BINARY:
            return {"roc_auc": float(roc_auc_score(examples.label, examples.probability))}
        return classes.by_label("roc_auc", examples, self.of_label)

    def of_label(self, label: np.ndarray, probability: np.ndarray) -> float | None:
        """Of one label, 0 or 1; None where it is undefined."""
        return roc_auc_score(label, probability) if classes.has_both(label) else None
