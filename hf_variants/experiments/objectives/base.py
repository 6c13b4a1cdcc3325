# Copyright 2026 The hf_variants authors. MIT licence.
"""What an objective is: what is learned from a batch, how a model is scored on it, and what it does when finished."""

import difflib
import inspect
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..checking import InputError
from ..labelled.corpus import LabelledCorpus
from ..recipes.sections import ObjectiveArguments
from ..text.corpora import Corpus

IGNORED = -100  # the label where nothing is predicted
ALIKE = 0.8  # names that are so alike are one, misspelt

Batch = dict[str, np.ndarray]
Tensors = dict[str, torch.Tensor]


class Objective(ABC):
    """What is learned from blocks of tokens. A subclass has `auto_class`, `prepare`, `losses`; the rest has defaults.

    `auto_class` is the Auto class of the models that learn it, and `metrics` are the `evaluate.Metric` classes that
    summarise an evaluation, by their names in `metrics.NAMES`. Neither needs a model: an objective is shared by runs.
    """

    auto_class: str = ""
    metrics: tuple[str, ...] = ("cross_entropy",)
    labelled = False  # whether it learns from labelled examples, and not from text alone

    def __init__(self, arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raises InputError where the recipe asks for what it does not do, or the tokenizer lacks a token."""
        self.arguments, self.tokenizer = arguments, tokenizer

    @abstractmethod
    def prepare(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[Batch, int]:
        """Token ids, int64 `(batch, seq)` -> a model's inputs and "labels", and how many labels count.

        The arrays have `batch` as their first dimension: they are cut along it for processes and micro-batches. `rng`
        is the only source of chance; for a step of a seed it is always the same.
        """

    @abstractmethod
    def losses(self, model: torch.nn.Module, batch: Tensors) -> Tensors:
        """Per label that counts: "loss" in nats with its gradient, `(labels,)`.

        A step minimises the sum over the whole global batch, divided by what `prepare` counted. Without gradient, as
        in an evaluation, there is also what `metrics` read: "prediction" and "label" for `token_accuracy`, "bytes" of
        text for `bits_per_byte`, each `(labels,)`.
        """

    def score(self, model: torch.nn.Module, batch: Tensors) -> Tensors:
        """What an evaluation reads of a batch, without gradient: by default what `losses` gives."""
        return self.losses(model, batch)

    def for_model(self, config: PreTrainedConfig) -> "Objective":
        """The objective as a model of this configuration needs it: itself where that is the same for all."""
        return self

    def finish(self, model: PreTrainedModel, corpus: Corpus, block_size: int) -> dict[str, Any]:
        """What a finished model adds to the record, as JSON values, on the main process alone.

        Under "metrics", by split, it may have what the last mark gets.
        """
        return {}

    @property
    def selection(self) -> tuple[str, bool]:
        """The metric that models are chosen by on validation, and whether lower is better."""
        return "loss", True

    @property
    def undefined(self) -> dict[str, float]:
        """What a metric counts as in choosing models where an evaluation lacks it."""
        return {}


class LabelledObjective(Objective):
    """What is learned from labelled examples: `prepare` gets padded batches by name, "labels" among them."""

    labelled = True
    kind: str  # "binary", "single_label_classification", "multi_label_classification" or "regression"
    label_names: list[str]

    @abstractmethod
    def for_corpus(self, corpus: LabelledCorpus) -> "LabelledObjective":
        """The objective with the labels of `corpus`."""

    def about_scores(self) -> dict[str, Any]:
        """What the metrics have to know beside the scores of examples."""
        return {"label_names": self.label_names}


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The model inside what DDP and torch.compile put around it."""
    if isinstance(model, PreTrainedModel):  # Accelerate's own function looks for packages on the disk
        return model
    return next((part for part in model.modules() if isinstance(part, PreTrainedModel)), model)


def selected(metric: str, values: dict[str, float], objective: Objective) -> float:
    """The value of `values` that models are chosen by, or the worst there is where this model has none of it.

    Raises InputError where the objective has no such metric.
    """
    known = objective.undefined | values
    if metric not in known:
        raise InputError(f"objective.selection_metric: '{metric}'; allowed: {', '.join(known)}")
    return known[metric]


def check_objective(cls: object, where: str) -> None:
    """Raises InputError where `cls` is no whole objective, or has a public name that is another's, misspelt.

    Helpers of one's own may have any other name.
    """
    if not (inspect.isclass(cls) and issubclass(cls, Objective)):
        raise InputError(f"{where}: is no objective; allowed: a subclass of {__package__}.Objective")
    ours = next(base for base in cls.__mro__ if base.__module__.startswith(f"{__package__}."))
    known = [name for name in dir(ours) if not name.startswith("_")]
    own = {name for base in cls.__mro__[: cls.__mro__.index(ours)] for name in vars(base) if not name.startswith("_")}
    for name in sorted(own - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
        if near:
            raise InputError(
                f"{where}: '{name}' is nothing that {ours.__name__} has; did you mean '{near[0]}'? (a helper that is "
                f"called so begins with an underscore: '_{name}')"
            )
    missing = sorted(cls.__abstractmethods__) + ([] if cls.auto_class else ["auto_class"])
    if missing:
        raise InputError(f"{where}: lacks {', '.join(missing)}; see {__package__}.Objective")
