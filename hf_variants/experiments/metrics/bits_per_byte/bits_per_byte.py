# Copyright 2026 The hf_variants authors. MIT licence.
"""Bits per byte: the code length of a text by the model, per byte of its UTF-8, so that tokenizers can be compared."""

import datasets
import evaluate
import numpy as np


class BitsPerByte(evaluate.Metric):
    """`compute(predictions=losses, references=bytes)` -> {"bits_per_byte": total nats / ln 2 / total bytes}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Negative log-likelihood of a text in bits, per byte of its UTF-8.",
            citation="",
            inputs_description="predictions: negative log-likelihood of each scored token, in nats; "
            "references: UTF-8 bytes of text that each of them stands for.",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: list[float], references: list[int]) -> dict[str, float]:
        size = int(np.sum(references, dtype=np.int64))
        if size == 0:
            raise ValueError("bits per byte: the scored tokens stand for no bytes of text")
        return {"bits_per_byte": float(np.sum(predictions, dtype=np.float64) / np.log(2) / size)}

    def score(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        """The metric of an evaluation's per-token arrays (uses "loss" and "bytes")."""
        return self.compute(predictions=scores["loss"].astype(np.float64), references=scores["bytes"])
