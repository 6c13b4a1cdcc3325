# Copyright 2026 The hf_variants authors. MIT licence.
"""A split prepared once, so that every model is asked the same questions."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from ..labelled.examples import TokenizedExamples
from ..metrics import summarise_scores
from .base import IGNORED, LabelledObjective, Objective


class Evaluation(ABC):
    """A split with the objective that says how a model is scored on it."""

    objective: Objective
    last: dict[str, Any] | None = None  # what was found last, where it is kept: a finished model is not read again

    @abstractmethod
    def scores(self, model: torch.nn.Module, accelerator: Accelerator) -> dict[str, Any]:
        """What the objective's metrics read, over the whole split. Every process gets all of it, in one order."""


class LabelledEvaluation(Evaluation):
    """One labelled split in batches of similar length, always the same ones."""

    def __init__(self, examples: TokenizedExamples, objective: LabelledObjective, batch_size: int) -> None:
        self.examples, self.objective, self.batch_size = examples, objective, batch_size

    @torch.no_grad()
    def scores(self, model: torch.nn.Module, accelerator: Accelerator) -> dict[str, Any]:
        """Per example of the split, in its order: "loss", "probability", "label" (see the objective's `score`)."""
        was_training = model.training
        model.eval()
        order = np.argsort(self.examples.lengths, kind="stable")
        parts: list[dict[str, torch.Tensor]] = []
        for start in range(0, len(order), self.batch_size):
            arrays = self.examples.batch(order[start : start + self.batch_size])
            batch = {name: torch.from_numpy(array).to(accelerator.device) for name, array in arrays.items()}
            with accelerator.autocast():
                parts.append(self.objective.score(model, batch))
        model.train(was_training)
        back = np.argsort(order)
        found = {name: torch.cat([part[name] for part in parts]).cpu().numpy()[back] for name in parts[0]}
        self.last = found | self.objective.about_scores()
        return self.last


class FixedEvaluation(Evaluation):
    """One split prepared once with a fixed seed, so that every model and every moment is asked the same questions.

    Where only a part of `rows` is to be scored, `new` of the same shape says which tokens.
    """

    def __init__(
        self, rows: np.ndarray, objective: Objective, seed: int, batch_size: int, new: np.ndarray | None = None
    ) -> None:
        self.batch, _ = objective.prepare(rows, np.random.default_rng([seed, 3]))
        if new is not None:
            self.batch["labels"] = np.where(new, self.batch["labels"], IGNORED)
        self.objective, self.batch_size, self.size = objective, batch_size, len(rows)

    @torch.no_grad()
    def scores(self, model: torch.nn.Module, accelerator: Accelerator) -> dict[str, np.ndarray]:
        """Per token of the split: loss (nats), prediction, label. Every process gets all of them, in one order."""
        was_training = model.training
        model.eval()
        parts: list[dict[str, torch.Tensor]] = []
        for start in range(0, self.size, self.batch_size):
            parts.append(self._score(model, accelerator, start))
        model.train(was_training)
        return {name: torch.cat([p[name] for p in parts]).cpu().numpy() for name in parts[0]}

    def _score(self, model: torch.nn.Module, accelerator: Accelerator, start: int) -> dict[str, torch.Tensor]:
        rows = slice(start, min(start + self.batch_size, self.size))
        batch = {
            n: torch.from_numpy(np.ascontiguousarray(v[rows])).to(accelerator.device) for n, v in self.batch.items()
        }
        with accelerator.autocast():
            return self.objective.score(model, batch)


def evaluate_split(model: torch.nn.Module, evaluation: Evaluation, accelerator: Accelerator) -> dict[str, float]:
    """The objective's metrics over one prepared split, e.g. {"loss": 1.92, "perplexity": 6.82, "accuracy": 0.43}."""
    return summarise_scores(evaluation.scores(model, accelerator), evaluation.objective.metrics)
