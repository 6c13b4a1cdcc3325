# Copyright 2026 The hf_variants authors. MIT licence.
"""The objective of labelled text: classes, several labels at once, or a number; for any sequence classifier."""

import copy

import numpy as np
import torch
from torch.nn import functional as F

from ..checking import InputError
from ..labelled.corpus import LabelledCorpus
from ..metrics import LOWER_IS_BETTER, summarise_scores
from .base import LabelledObjective, selected
from .frozen_features import FEATURES, play_features

SCORED = {
    "binary": ("average_precision", "roc_auc", "f1", "accuracy", "matthews", "calibration_error"),
    "single_label_classification": ("accuracy", "f1", "matthews", "calibration_error"),
    "multi_label_classification": ("average_precision", "roc_auc", "f1", "calibration_error"),
    "regression": ("correlation",),
}
# What models are chosen by on validation; higher is better, but for the loss.
SELECTION = {
    "binary": "average_precision",
    "single_label_classification": "accuracy",
    "multi_label_classification": "average_precision_macro",
    "regression": "loss",
}


class TextClassification(LabelledObjective):
    """Cross-entropy over classes, binary cross-entropy over labels, or squared error.

    Evaluation knows neither class weights nor label smoothing (arXiv:1512.00567, section 7): its loss is plain.
    """

    auto_class = "AutoModelForSequenceClassification"

    def for_corpus(self, corpus: LabelledCorpus) -> "TextClassification":
        """This objective with the labels of `corpus`."""
        bound = self.for_labels(corpus.problem_type, corpus.label_names)
        bound.weights = self._weights(corpus)
        if bound.kind == "regression" and self.arguments.label_smoothing:
            raise InputError("objective.label_smoothing: a regression has no classes")
        return bound

    def for_labels(self, problem_type: str, label_names: list[str]) -> "TextClassification":
        """This objective with these labels, all of one weight.

        Raises InputError where the metric that models are to be chosen by is none of theirs.
        """
        bound = copy.copy(self)
        is_binary = problem_type == "single_label_classification" and len(label_names) == 2
        bound.label_names, bound.kind = label_names, "binary" if is_binary else problem_type
        bound.metrics, bound.weights = ("cross_entropy", *SCORED[bound.kind]), None
        if self.arguments.selection_metric:
            selected(self.arguments.selection_metric, bound.rehearse(), bound)
        return bound

    def rehearse(self) -> dict[str, float]:
        """What an evaluation finds, by name; the values are those of a perfect model on made-up examples."""
        if self.kind == "regression":
            labels = torch.tensor([0.0, 1.0])
            logits = labels[:, None]
        elif self.kind == "multi_label_classification":
            labels = logits = torch.tensor([[0.0], [1.0]]).expand(2, len(self.label_names))
        else:
            labels, logits = torch.arange(len(self.label_names)), torch.eye(len(self.label_names))
        found = self.probabilities(logits) | {"loss": self._loss(logits, labels, None, 0.0), "label": labels.long()}
        return summarise_scores({n: v.numpy() for n, v in found.items()} | self.about_scores(), self.metrics)

    def _weights(self, corpus: LabelledCorpus) -> torch.Tensor | None:
        """What the loss of each class is multiplied by, `(classes,)`; of several labels: that of their positives."""
        if self.arguments.class_weights == "none":
            return None
        labels = corpus.splits["train"].labels
        if corpus.problem_type == "regression":
            raise InputError("objective.class_weights: a regression has no classes")
        if labels.ndim == 2:
            positives = labels.sum(axis=0).clip(min=1)
            return torch.from_numpy((len(labels) - positives) / positives).float()
        counts = np.bincount(labels, minlength=len(corpus.label_names)).clip(min=1)
        return torch.from_numpy(len(labels) / (len(counts) * counts)).float()

    @property
    def selection(self) -> tuple[str, bool]:
        """The metric that models are chosen by on validation, and whether lower is better."""
        name = self.arguments.selection_metric or SELECTION[self.kind]
        return name, name in LOWER_IS_BETTER

    @property
    def undefined(self) -> dict[str, float]:
        """What a metric counts as in choosing models where it is undefined: a correlation, for a constant number."""
        return {"spearman": -1.0, "pearson": -1.0} if self.kind == "regression" else {}

    # ---- losses ------------------------------------------------------------------------------------------------

    def prepare(self, batch: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[dict[str, np.ndarray], int]:
        """A padded batch as it is, and how many examples it has."""
        return batch, len(batch["labels"])

    def logits(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The model's logits `(batch, labels)` in float32, from text or from a frozen encoder's features."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        if FEATURES[0] in inputs or FEATURES[1] in inputs:
            return play_features(model, inputs).float()
        return model(**inputs).logits.float()

    def losses(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Per example "loss" with gradient, `(batch,)`: weighted and smoothed as the recipe says."""
        logits, labels = self.logits(model, batch), batch["labels"]
        weights = None if self.weights is None else self.weights.to(logits.device)
        return {"loss": self._loss(logits, labels, weights, self.arguments.label_smoothing)}

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, smoothing: float
    ) -> torch.Tensor:
        if self.kind == "regression":
            return F.mse_loss(logits.squeeze(-1), labels.float(), reduction="none")
        if self.kind == "multi_label_classification":
            target = labels.float() * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=weights).mean(-1)
        if logits.shape[-1] == 1:  # one logit for two classes
            logits = F.pad(logits, (1, 0))
        loss = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        return loss if weights is None else loss * weights[labels]

    def score(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Per example what `probabilities` gives, and "loss" and "label" where there are labels."""
        logits = self.logits(model, batch)
        found = self.probabilities(logits)
        if "labels" not in batch:
            return found
        return found | {"loss": self._loss(logits, batch["labels"], None, 0.0), "label": batch["labels"]}

    def probabilities(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """By name: the "probability" of the positive class `(batch,)`, of each class or label `(batch, labels)`; or a
        regression's "prediction" `(batch,)`."""
        if self.kind == "regression":
            return {"prediction": logits.squeeze(-1)}
        if self.kind == "multi_label_classification":
            return {"probability": logits.sigmoid()}
        if self.kind == "binary":
            margin = logits[:, -1] - logits[:, 0] if logits.shape[-1] == 2 else logits[:, 0]
            return {"probability": margin.sigmoid()}
        return {"probability": logits.softmax(-1)}
