# Copyright 2026 The hf_variants authors. MIT licence.
"""Mean negative log-likelihood per scored token, in nats."""

import datasets
import evaluate
import numpy as np


class CrossEntropy(evaluate.Metric):
    """`compute(predictions=losses)` -> {"loss": nats per token}; the mean over tokens, not over batches."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Mean negative log-likelihood per scored token, in nats.",
            citation="",
            inputs_description="predictions: the negative log-likelihood of each scored token, in nats.",
            features=datasets.Features({"predictions": datasets.Value("float64")}),
        )

    def _compute(self, predictions: list[float]) -> dict[str, float]:
        return {"loss": float(np.mean(predictions, dtype=np.float64))}

    def score(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        """The metric of an evaluation's per-token arrays (uses "loss")."""
        return self.compute(predictions=scores["loss"].astype(np.float64))
