# Copyright 2026 The hf_variants authors. MIT licence.
"""Perplexity: the exponential of the mean negative log-likelihood per scored token."""

import datasets
import evaluate
import numpy as np


class Perplexity(evaluate.Metric):
    """`compute(predictions=losses)` -> {"perplexity": exp(mean)}. For masked models: pseudo-perplexity."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="exp of the mean negative log-likelihood per scored token.",
            citation="",
            inputs_description="predictions: the negative log-likelihood of each scored token, in nats.",
            features=datasets.Features({"predictions": datasets.Value("float64")}),
        )

    def _compute(self, predictions: list[float]) -> dict[str, float]:
        return {"perplexity": float(np.exp(np.mean(predictions, dtype=np.float64)))}

    def score(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        """The metric of an evaluation's per-token arrays (uses "loss")."""
        return self.compute(predictions=scores["loss"].astype(np.float64))
