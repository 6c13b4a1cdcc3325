# Copyright 2026 The hf_variants authors. MIT licence.
"""Spearman's and Pearson's correlation, the measures of the semantic textual similarity benchmark."""

from collections.abc import Mapping

import datasets
import evaluate
import numpy as np
from scipy import stats


class Correlation(evaluate.Metric):
    """`compute(predictions=scores, references=scores)` -> {"spearman": -1 … 1, "pearson": -1 … 1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Spearman's rank correlation and Pearson's correlation.",
            citation="",
            inputs_description="predictions, references: numbers.",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def score(self, scores: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The metric of an evaluation's arrays (uses "prediction" and "label"); empty where it is undefined.

        A regression that says the same of every text is how training begins, and no error.
        """
        try:
            return self._compute(scores["prediction"].tolist(), scores["label"].tolist())
        except ValueError:
            return {}

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        if len(predictions) < 2 or np.ptp(predictions) == 0 or np.ptp(references) == 0:
            raise ValueError("correlation: it takes two values or more, and neither side may be constant")
        return {
            "spearman": float(stats.spearmanr(predictions, references).statistic),
            "pearson": float(stats.pearsonr(predictions, references).statistic),
        }
