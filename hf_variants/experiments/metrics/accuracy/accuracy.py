# Copyright 2026 The hf_variants authors. MIT licence.
"""Accuracy: the share of right decisions."""

from sklearn.metrics import accuracy_score

from hf_variants.experiments.metrics import classes


class Accuracy(classes.ClassMetric):
    """Binary, at the threshold (.5 unless given), and multi-class, of the most probable class: `accuracy`.

    Multi-label: per label and macro, where guessing "no" looks good for a rare label, and `accuracy_subset`, the share
    of examples with all labels right. Refused where all examples have one class: such labels are often placeholders.
    """

    about = "Share of right decisions; for multi-label tasks per label, macro, and of examples with all labels right."

    def measure(self, examples: classes.ScoredExamples, bins: int) -> dict[str, float]:
        """`accuracy`; for a multi-label task per label, macro and subset."""
        label, found = examples.label, examples.decisions()
        if examples.task != classes.MULTI_LABEL:
            return {"accuracy": float(accuracy_score(label, found))}
        columns = zip(examples.names, label.T, found.T, strict=True)
        results = classes.named("accuracy", {name: accuracy_score(truth, guess) for name, truth, guess in columns})
        return results | {"accuracy_subset": float(accuracy_score(label, found))}
