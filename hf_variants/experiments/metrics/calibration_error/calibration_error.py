# Copyright 2026 The hf_variants authors. MIT licence.
"""Expected calibration error, and the Brier score: how far probabilities are from frequencies."""

import numpy as np

from hf_variants.experiments.metrics import classes


class CalibrationError(classes.ClassMetric):
    """Guo et al. 2017 (arXiv:1706.04599), equation 3: over bins B of equal width, sum of |B|/n x |acc(B) - conf(B)|.

    Bin m of M holds the probabilities in ((m - 1)/M, m/M], the first one 0 as well; M is `bins`, 15 unless given.
    Multi-class, as in the paper: the probability is that of the predicted class, and acc the share of right ones.
    Binary and multi-label: the probability is that of the positive class (label), and acc the share of positives.
    The value depends on the bins and is biased upwards for few examples; the Brier score has neither fault.

    `brier` (binary) is the mean of (probability - label)^2; multi-class, as Brier (1950) has it, of the sum of that
    over classes, from 0 to 2. Multi-label: both per label and macro.
    """

    about = "Expected calibration error over bins of equal width (15), and the Brier score."
    paper = "Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017, arXiv:1706.04599"

    def measure(self, examples: classes.ScoredExamples, bins: int) -> dict[str, float]:
        """`calibration_error` and `brier`; for a multi-label task per label and macro."""
        label, probability = examples.label, examples.probability
        if examples.task == classes.BINARY:
            error, brier = expected_error(label, probability, bins), np.mean((probability - label) ** 2)
        elif examples.task == classes.MULTI_CLASS:
            truth = classes.one_hot(label, len(examples.names))
            error = expected_error(examples.decisions() == label, probability.max(axis=1), bins)
            brier = np.mean(np.sum((probability - truth) ** 2, axis=1))
        else:
            columns = examples.columns()
            errors = {name: expected_error(*column, bins) for name, column in columns.items()}
            briers = {name: np.mean((chance - truth) ** 2) for name, (truth, chance) in columns.items()}
            return classes.named("calibration_error", errors) | classes.named("brier", briers)
        return {"calibration_error": error, "brier": float(brier)}


def expected_error(right: np.ndarray, probability: np.ndarray, bins: int) -> float:
    """Expected calibration error of probabilities `(n,)` of events `(n,)`, 0 or 1."""
    if bins < 1:
        raise ValueError(f"bins: {bins}; allowed: from 1 up")
    place = np.digitize(probability, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = np.bincount(place, weights=right - probability, minlength=bins)
    return float(np.abs(gaps).sum() / len(probability))
