# Copyright 2026 The hf_variants authors. MIT licence.
"""Labelled splits, tokenizer and objective of a recipe, ready for any number of models."""

import copy
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from tokenizers import processors
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..checking import InputError
from ..labelled.corpus import LabelledCorpus, load_labelled
from ..labelled.examples import BucketedOrder, TokenizedExamples
from ..objectives import classifier_record as report
from ..objectives.base import LabelledObjective
from ..objectives.evaluations import Evaluation, LabelledEvaluation
from ..recipes.labels import REGRESSION
from ..recipes.recipe import Recipe
from ..recipes.sections import DataArguments, TrainingArguments
from ..text.cleaning import check_steps
from ..text.corpora import Corpus
from ..text.tokenizer import build_tokenizer

PREDICTIONS = "predictions.jsonl"  # of the test split, in a run's folder


# ---- the prepared data of a recipe ---------------------------------------------------------------------------------


@dataclass
class PreparedExamples:
    """Labelled splits, tokenizer and objective of a recipe, ready for any number of models.

    `features` holds what the last frozen encoder read, by what it is, so that runs which share it read once.
    """

    corpus: LabelledCorpus
    tokenizer: PreTrainedTokenizerBase
    objective: LabelledObjective
    examples: dict[str, TokenizedExamples]
    data: DataArguments
    features: dict[Any, Any] = field(default_factory=dict)

    @property
    def class_names(self) -> list[str] | None:
        """The names of classes or labels, in the order of their ids; None for a regression."""
        return None if self.corpus.problem_type == REGRESSION else self.corpus.label_names

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record."""
        about = self.corpus.describe()
        for name, examples in self.examples.items():
            about["splits"][name] |= {"tokens": int(examples.lengths.sum()), "examples": len(examples)}
        return about

    def order(self, training: TrainingArguments) -> BucketedOrder:
        """Which examples make up each optimizer step."""
        return BucketedOrder(self.examples["train"], training.batch_size, training.seed)

    def evaluations(self, recipe: Recipe) -> dict[str, Evaluation]:
        """The splits that a model is evaluated on: those with labels."""
        size = recipe.training.eval_batch_size
        return {
            split: LabelledEvaluation(self.examples[split], self.objective, size)
            for split in ("validation", "test")
            if split in self.examples and self.examples[split].labels is not None
        }

    def sample(self, count: int, typical: bool = False) -> dict[str, np.ndarray]:
        """A batch of `count` training examples: the longest ones, or typical ones of neighbouring lengths."""
        order = np.argsort(-self.examples["train"].lengths, kind="stable")
        if typical:
            lengths = self.examples["train"].lengths[order]
            middle = int(np.searchsorted(-lengths, -lengths.mean()))
            order = np.roll(order, count // 2 - middle)
        return self.examples["train"].batch(np.resize(order, count))

    def config_settings(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """What the data decides of a model's configuration: labels, problem type, and how text is cleaned.

        Two classes have one logit where the recipe overrides `num_labels` with 1, and two otherwise.
        """
        names = dict(enumerate(self.corpus.label_names))
        kind = self.corpus.problem_type
        if overrides.get("num_labels") == 1 and self.objective.kind == "binary":
            names, kind = {0: names[1]}, "multi_label_classification"
        pad = {"pad_token_id": self.tokenizer.pad_token_id}
        if kind == "regression":
            return {"problem_type": kind, "num_labels": 1} | pad
        back = {name: number for number, name in names.items()}
        return {"problem_type": kind, "num_labels": len(names), "id2label": names, "label2id": back} | pad

    def budget(self, training: TrainingArguments, share: float, steps: int) -> dict[str, int]:
        """What arms are matched by at a mark: the examples of a share of the budget, whatever their lengths.

        `steps` is what was trained up to the mark: less where training was stopped early.
        """
        total = None if training.max_steps is None else round(share * training.max_steps)
        return {"examples": training.batch_size * (total or steps)}

    def for_model(self, config: PreTrainedConfig) -> "PreparedExamples":
        """Itself: every model of labelled examples has the same task."""
        return self

    def finish(
        self,
        model: PreTrainedModel,
        recipe: Recipe,
        evaluations: dict[str, Evaluation],
        accelerator: Accelerator,
        folder: Path,
    ) -> dict[str, Any]:
        """Threshold, intervals and curves for the record; predictions on test, which need no labels, for a file.

        The threshold goes into the model's configuration as `classification_threshold`.
        """
        objective, kind = self.objective, self.objective.kind
        found = {split: each.last or each.scores(model, accelerator) for split, each in evaluations.items()}
        threshold = report.tuned_threshold(kind, found["validation"])
        if threshold is not None:
            model.config.classification_threshold = threshold
        if recipe.tokenizer.clean:  # which the saved tokenizer does itself
            model.config.text_cleaning = list(check_steps(recipe.tokenizer.clean))
        about = {"kind": kind, "label_names": objective.label_names, "threshold": threshold}
        if "test" in self.examples:
            if "test" not in found:
                unlabelled = LabelledEvaluation(self.examples["test"], objective, recipe.training.eval_batch_size)
                found["test"] = unlabelled.scores(model, accelerator)
            if accelerator.is_main_process:
                rows = report.prediction_rows(self.examples["test"].source, found["test"])
                report.write_rows(folder / PREDICTIONS, rows)
        if "test" in evaluations:
            about["intervals"] = report.intervals(kind, found["test"], threshold, recipe.objective.bootstrap_samples)
            about["curves"] = report.curves(kind, found["test"], objective.label_names)
        metric, lower = objective.selection
        metrics = {split: report.tuned_metrics(kind, found[split], threshold) for split in evaluations}
        selection = {"metric": metric, "lower_is_better": lower}
        return {"metrics": metrics, "classification": about, "selection": selection}

    def with_features(self, features: dict[str, dict[str, np.ndarray]]) -> "PreparedExamples":
        """The same with an encoder's features of every split in place of its text."""
        changed = {split: self.examples[split].with_features(arrays) for split, arrays in features.items()}
        return dataclasses.replace(self, examples=changed)


def prepare_examples(recipe: Recipe, objective_class: type[LabelledObjective]) -> PreparedExamples:
    """Reads labelled data, trains or loads the tokenizer, and tokenizes every split.

    Raises InputError for what only blocks of text can have.
    """
    if recipe.training.max_tokens is not None:
        raise InputError(
            "training.max_tokens: examples differ in length; allowed here: max_epochs, max_steps, max_seconds"
        )
    corpus = load_labelled(recipe.data, recipe.labels)
    tokenizer = _build_tokenizer(recipe, corpus)
    limits = {"validation": recipe.data.max_eval_blocks, "test": recipe.data.max_eval_blocks}
    examples = {
        split: TokenizedExamples(tokenizer, found, recipe.data.block_size, limits.get(split))
        for split, found in corpus.splits.items()
    }
    objective = objective_class(recipe.objective, tokenizer).for_corpus(corpus)
    return PreparedExamples(corpus, tokenizer, objective, examples, copy.copy(recipe.data))


def _build_tokenizer(recipe: Recipe, corpus: LabelledCorpus) -> PreTrainedTokenizerBase:
    """The recipe's tokenizer, trained on all texts of the train split, second texts too; it can pad."""
    texts = {split: examples.texts + (examples.pairs or []) for split, examples in corpus.splits.items()}
    tokenizer = build_tokenizer(recipe.tokenizer, Corpus(corpus.name, texts), recipe.data.block_size)
    tokenizer.model_max_length = recipe.data.block_size  # of a loaded one too: thresholds hold for this length
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError("tokenizer: batches need a padding token, and this tokenizer has neither that nor an eos")
        tokenizer.pad_token = tokenizer.eos_token
    if corpus.splits["train"].pairs is not None:
        separate_pairs(tokenizer)
    return tokenizer


def separate_pairs(tokenizer: PreTrainedTokenizerBase) -> None:
    """Lets a tokenizer that puts nothing between the texts of a pair put its sep token there, or else its eos token.

    It is saved so: `tokenizer(text, pair)` gives everyone what the model was trained on. Raises InputError where it
    cannot, for a model would have to guess where the second text begins.
    """
    if tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False):
        return
    token = tokenizer.sep_token or tokenizer.eos_token
    backend = tokenizer.backend_tokenizer if isinstance(tokenizer, PreTrainedTokenizerFast) else None
    if token is None or backend is None or tokenizer.num_special_tokens_to_add(pair=False):
        raise InputError(
            "labels.pair_column: the tokenizer puts no token between the texts of a pair; allowed: one that does, for "
            "example wordpiece, unigram or bpe"
        )
    template = processors.TemplateProcessing(
        single=["$A"], pair=["$A", token, "$B"], special_tokens=[(token, tokenizer.convert_tokens_to_ids(token))]
    )
    before = backend.post_processor
    backend.post_processor = template if before is None else processors.Sequence([before, template])
