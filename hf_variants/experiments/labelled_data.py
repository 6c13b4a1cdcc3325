# Copyright 2026 The hf_variants authors. MIT licence.
"""From labelled text to batches: examples cut at a length, batches of similar lengths, padded to their longest.

As with packed text, batch `step` of a run is a pure function of (seed, step), so that nothing has a position to save.
"""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import processors
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from . import classification_report as report
from .arguments import DataArguments, InputError, Recipe, TrainingArguments
from .corpora import Corpus
from .data import build_tokenizer
from .labelled import Examples, LabelledCorpus, load_labelled
from .text_cleaning import check_steps

POOL = 64  # batches among which examples are sorted by length
PREDICTIONS = "predictions.jsonl"  # of the test split, in a run's folder
FEATURES = ("first_hidden_state", "pooler_output")  # of a frozen encoder, in place of the text


class TokenizedExamples:
    """The token ids of examples `(n,)`, cut at `max_length`, and their labels; padded only in batches.

    With a `limit`, so many of them are taken at even distances: files may be sorted by label. An example without any
    token (a tokenizer of words may find none) is one padding token that is masked. Raises InputError where special
    tokens alone fill `max_length`.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, examples: Examples, max_length: int, limit: int | None = None
    ) -> None:
        if limit is not None and limit < len(examples):
            examples = examples.take(np.linspace(0, len(examples) - 1, limit).round().astype(int))
        specials = tokenizer.num_special_tokens_to_add(pair=examples.pairs is not None)
        if max_length <= specials:  # tokenizers would not cut at all
            what = "a pair of texts" if examples.pairs is not None else "a text"
            raise InputError(f"block_size: {max_length}; allowed: more than the {specials} special tokens of {what}")
        names = [name for name in tokenizer.model_input_names if name in ("input_ids", "token_type_ids")]
        encoded = tokenizer(
            examples.texts,
            examples.pairs,
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            verbose=False,
        )
        self.arrays = {name: [np.asarray(row, dtype=np.int64) for row in encoded[name]] for name in names}
        self.source, self.labels = examples, examples.labels
        self.pad, self.left = tokenizer.pad_token_id or 0, tokenizer.padding_side == "left"
        self.lengths = np.asarray([len(row) for row in self.arrays["input_ids"]])
        self.features: dict[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The model's inputs `(rows, longest)` and "labels" where there are any."""
        labels = {} if self.labels is None else {"labels": self.labels[rows]}
        if self.features is not None:
            return {name: values[rows] for name, values in self.features.items()} | labels
        width = max(1, int(self.lengths[rows].max()))
        batch = {
            name: self._padded([values[row] for row in rows], width, self.pad if name == "input_ids" else 0)
            for name, values in self.arrays.items()
        }
        batch["attention_mask"] = self._padded([np.ones(self.lengths[row], dtype=np.int64) for row in rows], width, 0)
        return batch | labels

    def _padded(self, rows: Sequence[np.ndarray], width: int, value: int) -> np.ndarray:
        padded = np.full((len(rows), width), value, dtype=np.int64)
        for target, row in zip(padded, rows, strict=True):
            target[slice(width - len(row), None) if self.left else slice(len(row))] = row
        return padded

    def with_features(self, features: dict[str, np.ndarray]) -> "TokenizedExamples":
        """The same with what an encoder made of each example in place of its tokens."""
        changed = copy.copy(self)
        changed.features = features
        return changed


class BucketedOrder:
    """Which examples make up step `step`: every epoch is a new permutation, in which neighbours have similar lengths.

    Examples are permuted, sorted by length inside pools of POOL batches, cut into batches, and the batches permuted.
    An epoch leaves out the examples that fill no batch, other ones each time.
    """

    def __init__(self, examples: TokenizedExamples, batch_size: int, seed: int) -> None:
        if len(examples) < batch_size:
            raise InputError(f"training.batch_size: {batch_size}; the train split has {len(examples)} examples")
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.steps_per_epoch = len(examples) // batch_size
        self.typical_length = max(1, round(float(examples.lengths.mean())))
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._tokens_before = [0]  # of each epoch that was looked at

    def indices(self, step: int) -> np.ndarray:
        """The examples `(batch_size,)` of optimizer step `step`."""
        return self._epoch(step // self.steps_per_epoch)[0][step % self.steps_per_epoch]

    def rows(self, step: int) -> dict[str, np.ndarray]:
        """The padded batch of optimizer step `step`."""
        return self.examples.batch(self.indices(step))

    def tokens(self, step: int) -> int:
        """How many tokens, padding apart, the steps before `step` read."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        while len(self._tokens_before) <= epoch:
            last = len(self._tokens_before) - 1
            self._tokens_before.append(self._tokens_before[-1] + int(self._epoch(last)[1][-1]))
        return self._tokens_before[epoch] + int(self._epoch(epoch)[1][inside])

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Batches of an epoch, int64 `(steps, batch_size)`, and tokens before each of its steps and after the last."""
        if epoch not in self._epochs:
            self._epochs = {epoch: self._draw(np.random.default_rng([self.seed, epoch, 1]))}
        return self._epochs[epoch]

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        order = rng.permutation(len(self.examples))[: self.steps_per_epoch * self.batch_size]
        size = POOL * self.batch_size
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        lengths = self.examples.lengths
        ordered = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = ordered.reshape(self.steps_per_epoch, self.batch_size)[rng.permutation(self.steps_per_epoch)]
        return batches, np.concatenate([[0], np.cumsum(lengths[batches].sum(axis=1))])


class LabelledEvaluation:
    """One labelled split in batches of similar length, always the same ones."""

    def __init__(self, examples: TokenizedExamples, objective: Any, batch_size: int) -> None:
        self.examples, self.objective, self.batch_size = examples, objective, batch_size
        self.last: dict[str, Any] | None = None  # what was found last: a finished model is not read a second time

    @torch.no_grad()
    def scores(self, model: torch.nn.Module, accelerator: Any) -> dict[str, Any]:
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


# ---- the prepared data of a recipe ---------------------------------------------------------------------------------


@dataclass
class PreparedExamples:
    """Labelled splits, tokenizer and objective of a recipe, ready for any number of models.

    `features` holds what the last frozen encoder read, by what it is, so that runs which share it read once.
    """

    corpus: LabelledCorpus
    tokenizer: PreTrainedTokenizerBase
    objective: Any
    examples: dict[str, TokenizedExamples]
    data: DataArguments
    features: dict[Any, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record."""
        about = self.corpus.describe()
        for name, examples in self.examples.items():
            about["splits"][name] |= {"tokens": int(examples.lengths.sum()), "examples": len(examples)}
        return about

    def order(self, training: TrainingArguments) -> BucketedOrder:
        """Which examples make up each optimizer step."""
        return BucketedOrder(self.examples["train"], training.batch_size, training.seed)

    def evaluations(self, recipe: Recipe) -> dict[str, LabelledEvaluation]:
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
        self, model: PreTrainedModel, recipe: Recipe, evaluations: dict[str, Any], accelerator: Any, folder: Path
    ) -> dict[str, Any]:
        """Threshold, intervals and curves for the record; predictions on test, which need no labels, for a file.

        The threshold goes into the model's configuration as `classification_threshold`.
        """
        objective, kind = self.objective, self.objective.kind
        found = {s: e.last or e.scores(model, accelerator) for s, e in evaluations.items()}
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


def prepare_examples(recipe: Recipe, objective_class: type) -> PreparedExamples:
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
    backend = getattr(tokenizer, "backend_tokenizer", None)
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
