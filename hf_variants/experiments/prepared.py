# Copyright 2026 The hf_variants authors. MIT licence.
"""What a recipe makes of its data: splits in the form that a run reads, their tokenizer, and the objective.

There are two forms with the same methods: text in packed blocks (here) and labelled examples (labelled_data.py).
"""

import copy
import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from .arguments import DataArguments, InputError, Recipe, TrainingArguments
from .corpora import Corpus, load_corpus
from .data import BlockOrder, PackedBlocks, build_tokenizer, separator_id, tokenize_documents
from .labelled_data import PreparedExamples, prepare_examples
from .objectives import FixedEvaluation, build_objective, objective_class


@dataclass
class PreparedText:
    """Packed text, tokenizer and objective of a recipe, ready for any number of models."""

    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase
    objective: Any
    blocks: dict[str, PackedBlocks]
    data: DataArguments

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record."""
        train = Counter(self.blocks["train"].tokens.tolist())
        shares = np.asarray(list(train.values())) / len(self.blocks["train"].tokens)
        splits = {
            name: {"characters": sum(map(len, self.corpus.splits[name])), "tokens": len(b.tokens), "blocks": len(b)}
            for name, b in self.blocks.items()
        }
        about = {"name": self.corpus.name, "license": self.corpus.license, "hub_id": self.corpus.hub_id}
        about |= {"language": self.corpus.language, "fingerprint": self.corpus.fingerprint}
        return about | {"splits": splits, "unigram_entropy": float(-(shares * np.log(shares)).sum())}

    def order(self, training: TrainingArguments) -> BlockOrder:
        """Which blocks make up each optimizer step."""
        return BlockOrder(self.blocks["train"], training.batch_size, training.seed, self.data.random_phase)

    def evaluations(self, recipe: Recipe) -> dict[str, FixedEvaluation]:
        """The splits that a model is evaluated on."""
        return {split: self._evaluation(recipe, split) for split in ("validation", "test") if split in self.blocks}

    def _evaluation(self, recipe: Recipe, split: str) -> FixedEvaluation:
        data, blocks = recipe.data, self.blocks[split]
        rows, new = blocks.all_rows(data.max_eval_blocks), None
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
        self, model: PreTrainedModel, recipe: Recipe, evaluations: Any, accelerator: Any, folder: Any
    ) -> dict[str, Any]:
        """What the objective has a finished model do, for the record."""
        if not accelerator.is_main_process or not hasattr(self.objective, "finish"):
            return {}
        return self.objective.finish(model, self.corpus, self.data.block_size)

    def for_model(self, config: PreTrainedConfig) -> "PreparedText":
        """The same with the objective as this model needs it. Raises InputError where blocks are too short for it."""
        horizon, stride = getattr(config, "prediction_horizon", 1), self.data.eval_stride
        if horizon > self.data.block_size - (stride or 1):
            raise InputError(
                f"data: block_size {self.data.block_size} is below prediction_horizon {horizon} + eval_stride "
                f"{stride or 1}"
            )
        if not hasattr(self.objective, "for_model"):
            return self
        return dataclasses.replace(self, objective=self.objective.for_model(config))


Prepared = PreparedText | PreparedExamples


def prepare(recipe: Recipe) -> Prepared:
    """Reads the data, trains or loads the tokenizer, and brings the splits into the form that the objective needs."""
    cls = objective_class(recipe.objective.objective)
    return prepare_examples(recipe, cls) if getattr(cls, "labelled", False) else _prepare_text(recipe)


def _prepare_text(recipe: Recipe) -> PreparedText:
    if recipe.training.train != "full" or recipe.training.early_stopping is not None:
        raise InputError(f"training: train and early_stopping are for labelled data, not {recipe.objective.objective}")
    corpus = load_corpus(recipe.data)
    size = recipe.data.block_size
    tokenizer = build_tokenizer(recipe.tokenizer, corpus, size)
    objective = build_objective(recipe.objective, tokenizer)
    if objective.auto_class != "AutoModelForCausalLM" and recipe.data.eval_stride is not None:
        raise InputError(f"data.eval_stride: is for causal_lm; objective.objective is {recipe.objective.objective}")
    if objective.auto_class == "AutoModelForCausalLM" and corpus.questions and separator_id(tokenizer) is None:
        raise InputError("tokenizer: answers need an eos or sep token that ends them; this tokenizer has neither")
    blocks = {s: PackedBlocks(tokenize_documents(tokenizer, texts), size, s) for s, texts in corpus.splits.items()}
    return PreparedText(corpus, tokenizer, objective, blocks, copy.copy(recipe.data))
