# Copyright 2026 The hf_variants authors. MIT licence.
"""Matthews' correlation: the correlation between decisions and labels, which a rare class does not inflate."""

from sklearn.metrics import matthews_corrcoef

from hf_variants.experiments.metrics import classes


class Matthews(classes.ClassMetric):
    """(TP x TN - FP x FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN)), from -1 to 1.

    Binary, at the threshold (.5 unless given), and multi-class, in Gorodkin's generalisation (2004): `matthews`.
    Multi-label: per label and macro. 0 where all decisions are the same; undefined for a label of which all examples
    are the same.
    """

    about = "Matthews' correlation coefficient (MCC, phi); for multi-class tasks the R_K of Gorodkin."
    paper = "Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, 2004"

    def measure(self, examples: classes.ScoredExamples, bins: int) -> dict[str, float]:
        """`matthews`; for a multi-label task per label, macro and undefined."""
        label, found = examples.label, examples.decisions()
        if examples.task != classes.MULTI_LABEL:
            return {"matthews": float(matthews_corrcoef(label, found))}
        columns = zip(examples.names, label.T, found.T, strict=True)
        values = {
            name: matthews_corrcoef(truth, guess) if classes.has_both(truth) else None
            for name, truth, guess in columns
        }
        return classes.named("matthews", values)
