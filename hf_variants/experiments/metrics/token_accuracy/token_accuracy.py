# Copyright 2026 The hf_variants authors. MIT licence.
"""Share of scored tokens whose most probable prediction is right."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score


class TokenAccuracy(evaluate.Metric):
    """`compute(predictions=ids, references=ids)` -> {"accuracy": share in 0 … 1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Share of scored tokens whose most probable prediction is right.",
            citation="",
            inputs_description="predictions, references: token ids of the scored tokens.",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}

    def score(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        """The metric of an evaluation's per-token arrays (uses "prediction" and "label")."""
        return self.compute(predictions=scores["prediction"], references=scores["label"])
