# Copyright 2026 The hf_variants authors. MIT licence.
"""What a recipe makes of its data: splits in the form that a run reads, their tokenizer, and the objective.

There are three forms: text in packed blocks, text whose train split is streamed (both here), and labelled examples
(prepared_examples.py). `Prepared` is what they have in common.
"""

import copy
import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from .. import configs
from ..checking import InputError
from ..labelled.corpus import LabelledCorpus
from ..objectives.base import Objective
from ..objectives.evaluations import Evaluation, FixedEvaluation
from ..objectives.registry import build_objective, objective_class
from ..recipes.recipe import Recipe
from ..recipes.sections import DataArguments, TrainingArguments
from ..text.blocks import BlockOrder, Order, PackedBlocks
from ..text.builtin import QUESTIONS
from ..text.corpora import Corpus, load_corpus
from ..text.questions import as_question
from ..text.shards import ShardedText, open_shards
from ..text.streaming import BlockStream, StreamOrder, TokenizedShards
from ..text.streams import Document, TrainingText, pieces
from ..text.tokenizer import build_tokenizer, document_parts, separator_id, tokenize_documents
from .prepared_examples import prepare_examples


class Prepared(Protocol):
    """A recipe's data, tokenizer and objective, ready for any number of models."""

    corpus: Corpus | LabelledCorpus
    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    data: DataArguments

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes or labels that a model tells apart; None where it does something else."""

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record."""

    def order(self, training: TrainingArguments) -> Order:
        """What each optimizer step reads. Raises InputError where train is too short for one."""

    def evaluations(self, recipe: Recipe) -> dict[str, Evaluation]:
        """The splits that a model is evaluated on."""

    def sample(self, count: int, typical: bool = False) -> dict[str, np.ndarray]:
        """A batch of `count` training texts as the objective prepares it: the longest ones, or `typical` ones."""

    def config_settings(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """What the data decides of a model's configuration, the vocabulary apart. `overrides` are the recipe's."""

    def budget(self, training: TrainingArguments, share: float, steps: int) -> dict[str, int]:
        """What arms are matched by at a mark beside its tokens; `steps` were done where a `share` was the budget."""

    def for_model(self, config: PreTrainedConfig) -> "Prepared":
        """The same with the objective as this model needs it. Raises InputError where texts are too short for it."""

    def finish(
        self,
        model: PreTrainedModel,
        recipe: Recipe,
        evaluations: dict[str, Evaluation],
        accelerator: Accelerator,
        folder: Path,
    ) -> dict[str, Any]:
        """What is found out with a finished model, for the record; files go to `folder`. Called on every process."""


@dataclass
class PreparedText:
    """Packed text, tokenizer and objective of a recipe, ready for any number of models."""

    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    blocks: dict[str, PackedBlocks]
    data: DataArguments

    @property
    def class_names(self) -> list[str] | None:
        """None: text has no labels."""
        return None

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record."""
        train = Counter(self.blocks["train"].tokens.tolist())
        shares = np.asarray(list(train.values())) / len(self.blocks["train"].tokens)
        return self._about() | {"unigram_entropy": float(-(shares * np.log(shares)).sum())}

    def _about(self) -> dict[str, Any]:
        splits = {
            name: {"characters": sum(map(len, self.corpus.splits[name])), "tokens": len(b.tokens), "blocks": len(b)}
            for name, b in self.blocks.items()
        }
        about = {"name": self.corpus.name, "license": self.corpus.license, "hub_id": self.corpus.hub_id}
        about |= {"language": self.corpus.language, "fingerprint": self.corpus.fingerprint}
        return about | {"splits": splits}

    def order(self, training: TrainingArguments) -> BlockOrder:
        """Which blocks make up each optimizer step."""
        return BlockOrder(self.blocks["train"], training.batch_size, training.seed, self.data.random_phase)

    def evaluations(self, recipe: Recipe) -> dict[str, Evaluation]:
        """The splits that a model is evaluated on."""
        return {split: self._evaluation(recipe, split) for split in ("validation", "test") if split in self.blocks}

    def _evaluation(self, recipe: Recipe, split: str) -> FixedEvaluation:
        data, blocks = recipe.data, self.blocks[split]
        spread = data.spread_eval_blocks and not data.streaming
        rows, new = blocks.all_rows(data.max_eval_blocks, spread), None
        if data.eval_stride is not None:
            rows, new = blocks.windows(data.eval_stride, data.max_eval_blocks)
        return FixedEvaluation(rows, self.objective, recipe.objective.eval_seed, recipe.training.eval_batch_size, new)

    def sample(self, count: int, typical: bool = False) -> dict[str, np.ndarray]:
        """A batch of `count` training blocks, as the objective prepares it; repeated where there are fewer."""
        rows = self.blocks["train"].all_rows(count)
        return self.objective.prepare(np.resize(rows, (count, rows.shape[1])), np.random.default_rng(0))[0]

    def config_settings(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """What the data decides of a new model's configuration, the vocabulary apart."""
        return {}

    def budget(self, training: TrainingArguments, share: float, steps: int) -> dict[str, int]:
        """What arms are matched by at a mark beside its tokens."""
        return {}

    def finish(
        self,
        model: PreTrainedModel,
        recipe: Recipe,
        evaluations: dict[str, Evaluation],
        accelerator: Accelerator,
        folder: Path,
    ) -> dict[str, Any]:
        """What the objective has a finished model do, for the record."""
        if not accelerator.is_main_process:
            return {}
        return self.objective.finish(model, self.corpus, self.data.block_size)

    def for_model(self, config: PreTrainedConfig) -> "PreparedText":
        """The same with the objective as this model needs it. Raises InputError where blocks are too short for it."""
        horizon, stride = configs.prediction_horizon(config), self.data.eval_stride
        if horizon > self.data.block_size - (stride or 1):
            raise InputError(
                f"data: block_size {self.data.block_size} is below prediction_horizon {horizon} + eval_stride "
                f"{stride or 1}"
            )
        return dataclasses.replace(self, objective=self.objective.for_model(config))


@dataclass
class PreparedStream(PreparedText):
    """The same where train is streamed: `blocks` are of the evaluation splits, and `corpus` has train's first text."""

    shards: ShardedText
    text: TokenizedShards

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record. What is not known without reading all of train is left out."""
        about = self._about()
        splits = {"train": self.shards.size} | about["splits"]
        return about | {"splits": splits, "fingerprint_of": self.shards.identity, "unigram_entropy": None}

    def order(self, training: TrainingArguments) -> StreamOrder:
        """Which blocks make up each optimizer step."""
        return StreamOrder(self.text, self.data, training)

    def sample(self, count: int, typical: bool = False) -> dict[str, np.ndarray]:
        """A batch of `count` training blocks, as the objective prepares it; repeated where there are fewer."""
        stream = BlockStream(self.text, self.data.block_size, count, is_shuffled=False, random_phase=False)
        rows = next(stream.windows(stream.beginning())).rows.astype(np.int64)
        return self.objective.prepare(np.resize(rows, (count, rows.shape[1])), np.random.default_rng(0))[0]


def prepare(recipe: Recipe) -> Prepared:
    """Reads the data, trains or loads the tokenizer, and brings the splits into the form that the objective needs."""
    cls = objective_class(recipe.objective.objective)
    if cls.labelled:
        if recipe.data.streaming:
            raise InputError(f"data.streaming: is for language modelling, not {recipe.objective.objective}")
        return prepare_examples(recipe, cls)
    if recipe.training.train != "full" or recipe.training.early_stopping is not None:
        raise InputError(f"training: train and early_stopping are for labelled data, not {recipe.objective.objective}")
    return _prepare_stream(recipe) if recipe.data.streaming else _prepare_text(recipe)


def _prepare_text(recipe: Recipe) -> PreparedText:
    corpus = load_corpus(recipe.data)
    size = recipe.data.block_size
    tokenizer = build_tokenizer(recipe.tokenizer, corpus, size)
    objective = _objective(recipe, tokenizer, bool(corpus.questions))
    blocks = {s: PackedBlocks(tokenize_documents(tokenizer, texts), size, s) for s, texts in corpus.splits.items()}
    return PreparedText(corpus, tokenizer, objective, blocks, copy.copy(recipe.data))


def _objective(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, has_questions: bool) -> Objective:
    objective = build_objective(recipe.objective, tokenizer)
    if objective.auto_class != "AutoModelForCausalLM" and recipe.data.eval_stride is not None:
        raise InputError(f"data.eval_stride: is for causal_lm; objective.objective is {recipe.objective.objective}")
    if objective.auto_class == "AutoModelForCausalLM" and has_questions and separator_id(tokenizer) is None:
        raise InputError("tokenizer: answers need an eos or sep token that ends them; this tokenizer has neither")
    return objective


# ---- a train split that is streamed --------------------------------------------------------------------------------

FIRST = 10_000  # characters of each of the first documents of train that are kept


def _prepare_stream(recipe: Recipe) -> PreparedStream:
    data, size = recipe.data, recipe.data.block_size
    if recipe.training.max_epochs is not None:
        raise InputError(
            "training.max_epochs: the length of a stream is not known; allowed with data.streaming: max_tokens, "
            "max_steps, max_seconds"
        )
    shards = open_shards(data)
    tokenizer = build_tokenizer(recipe.tokenizer, TrainingText(shards.sample(data.sample_characters)), size)
    wanted = None if data.max_eval_blocks is None else data.max_eval_blocks * size
    held = [split for split in ("validation", "test") if split in shards.splits]
    splits = {split: _first_texts(shards.documents(split), tokenizer, wanted) for split in held}
    corpus = _stream_corpus(recipe, shards, splits)
    objective = _objective(recipe, tokenizer, bool(corpus.questions))
    blocks = {s: PackedBlocks(tokenize_documents(tokenizer, texts), size, s) for s, texts in splits.items()}
    text = TokenizedShards(shards.splits["train"], tokenizer)
    return PreparedStream(corpus, tokenizer, objective, blocks, copy.copy(data), shards, text)


def _stream_corpus(recipe: Recipe, shards: ShardedText, splits: dict[str, list[str]]) -> Corpus:
    """The text that is in memory. Raises InputError where a split has none."""
    data, asks = recipe.data, recipe.data.question_column is not None or recipe.data.dataset in QUESTIONS
    first = ("".join(itertools.islice(document_parts(document, None), 1))[:FIRST]
             for document in shards.documents("train"))  # fmt: skip
    train = list(itertools.islice(itertools.dropwhile(lambda text: not text.strip(), first), 2))
    questions = {split: list(map(as_question, texts)) for split, texts in splits.items() if asks}
    license = data.license or shards.license
    corpus = Corpus(shards.name, {"train": train} | splits, license, data.language, shards.hub_id, questions)
    corpus.fingerprint = shards.fingerprint
    return corpus


def _first_texts(documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, tokens: int | None) -> list[str]:
    """The documents that hold the first so many tokens of a split; a text file is cut off behind these."""
    if tokens is None:
        return ["".join(pieces(document)) for document in documents]
    texts: list[str] = []
    for document in documents:
        texts.append("")
        for part in [document] if isinstance(document, str) else document_parts(document, None):
            texts[-1] += part
            tokens -= len(tokenize_documents(tokenizer, [part]))
            if tokens <= 0:
                return texts
    return texts
