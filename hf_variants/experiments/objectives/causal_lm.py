# Copyright 2026 The hf_variants authors. MIT licence.
"""The causal language modelling objective: each position predicts a later token of the same block."""

import copy
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from .. import configs
from ..checking import InputError
from ..recipes.sections import ObjectiveArguments
from ..text.corpora import Corpus
from ..text.tokenizer import separator_id
from .base import IGNORED, Objective
from .generation import (
    CannotWriteError,
    answer_questions,
    opening,
    prediction_horizon,
    sample_texts,
    summarise_answers,
)

NO_BYTES = (
    "no bits_per_byte: the tokenizer does not give the text back byte for byte (byte-level BPE and characters do)"
)


class CausalLanguageModeling(Objective):
    """GPT-2's objective: position t predicts token t + h of its block, h being the model's `prediction_horizon` (1).

    A block of n tokens gives n - h predictions. With `cross_document_attention: false` positions start again after
    each document separator: documents don't see each other, and none is predicted from the one before.
    """

    auto_class = "AutoModelForCausalLM"
    metrics = ("cross_entropy", "perplexity", "bits_per_byte", "token_accuracy")

    def __init__(self, arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(arguments, tokenizer)
        self.horizon = 1
        self.separator = separator_id(tokenizer)
        if self.separator is None and not arguments.cross_document_attention:
            raise InputError("objective.cross_document_attention: false needs a tokenizer with an eos or sep token")
        table = bytes_per_token(tokenizer)
        self.bytes = None if table is None else torch.from_numpy(table)
        if table is None:
            self.metrics = tuple(name for name in self.metrics if name != "bits_per_byte")

    def for_model(self, config: PreTrainedConfig) -> "CausalLanguageModeling":
        """This objective with the model's prediction horizon, which decides how many tokens of a batch count."""
        bound = copy.copy(self)
        bound.horizon = configs.prediction_horizon(config)
        return bound

    def prepare(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], int]:
        """Token ids `(batch, seq)` -> {"input_ids", "labels"} of that shape, and how many tokens are predicted.

        Labels are the ids themselves (`losses` shifts), -100 where there is nothing before to predict from. Without
        attention across documents there are "position_ids" as well.
        """
        places = self._places(rows)
        batch = {"input_ids": rows, "labels": np.where(places > 0, rows, IGNORED)}
        if not self.arguments.cross_document_attention:
            batch["position_ids"] = places
        return batch, max(1, int((places >= self.horizon).sum()))

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """How many tokens of its block, or of its document inside the block, stand before each token."""
        index = np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
        if self.arguments.cross_document_attention:
            return index
        starts = np.zeros(rows.shape, dtype=np.int64)
        starts[:, 1:] = np.where(rows[:, :-1] == self.separator, index[:, 1:], 0)
        return index - np.maximum.accumulate(starts, axis=1)

    def losses(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Per predicted token: "loss" in nats, `(predicted,)`, and where it has no gradient, as in evaluation, also
        "prediction", "label" and "bytes" (UTF-8 bytes of text that the token stands for; absent where the tokenizer
        has no exact table)."""
        horizon = prediction_horizon(model)
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        logits = model(**inputs, use_cache=False).logits  # with a cache, packed documents would see each other
        targets = _targets(batch["labels"], batch.get("position_ids"), horizon).flatten()
        logits = logits.flatten(0, 1).float()
        scored = targets != IGNORED
        loss = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")[scored]
        if loss.requires_grad:  # the rest takes several passes over the logits, and a training step has no use for it
            return {"loss": loss}
        found = {"loss": loss, "prediction": logits.argmax(-1)[scored], "label": targets[scored]}
        return found if self.bytes is None else found | {"bytes": self.bytes.to(targets.device)[found["label"]]}

    # ---- what a finished model writes ------------------------------------------------------------------------------

    def finish(self, model: PreTrainedModel, corpus: Corpus, block_size: int) -> dict[str, Any]:
        """For the record: "samples", "answers" and "remarks"; under "metrics", by split, what its last mark gets."""
        remarks = [] if self.bytes is not None else [NO_BYTES]
        found: dict[str, Any] = {}
        for name, part in (("samples", self._samples), ("answers", self._answers)):
            try:
                found |= part(model, corpus, block_size)
            except CannotWriteError as error:
                remarks.append(f"no {name}: {error}")
        return found | ({"remarks": remarks} if remarks else {})

    def _answers(self, model: PreTrainedModel, corpus: Corpus, block_size: int) -> dict[str, Any]:
        split = "test" if "test" in corpus.questions else "validation"
        questions = corpus.questions.get(split, [])[: self.arguments.answer_questions]
        if not questions:
            return {}
        summary = summarise_answers(answer_questions(model, self.tokenizer, questions, block_size))
        metrics = {split: {"exact_match": summary["exact_match"]}}
        return {"answers": {"split": split} | summary, "metrics": metrics}

    def _samples(self, model: PreTrainedModel, corpus: Corpus, block_size: int) -> dict[str, Any]:
        a = self.arguments
        if a.samples == 0:
            return {}
        prompts: list[Any] = [self._beginning(model, corpus, number) for number in range(a.samples)]
        if a.sample_prompts:
            count = max(a.samples, len(a.sample_prompts))
            prompts = [a.sample_prompts[i % len(a.sample_prompts)] for i in range(count)]
        size, temperature = a.sample_tokens, a.sample_temperature
        texts = sample_texts(model, self.tokenizer, prompts, size, temperature, block_size, a.eval_seed)
        return {"samples": texts}

    def _beginning(self, model: PreTrainedModel, corpus: Corpus, number: int) -> list[int]:
        """The token that a document follows; where that says nothing to the model, how one of validation begins."""
        follows = len(corpus.splits["train"]) > 1 and self.arguments.cross_document_attention
        horizon = prediction_horizon(model)
        if horizon == 1 and follows and self.separator is not None:
            return [self.separator]
        return opening(self.tokenizer, corpus, number, horizon)


def _targets(labels: torch.Tensor, places: torch.Tensor | None, horizon: int) -> torch.Tensor:
    """Labels `(batch, seq)` moved to the positions that predict them; -100 where those lie in another document."""
    if places is not None:
        labels = torch.where(places >= horizon, labels, IGNORED)
    targets = torch.full_like(labels, IGNORED)
    targets[:, :-horizon] = labels[:, horizon:]
    return targets


def bytes_per_token(tokenizer: PreTrainedTokenizerBase) -> np.ndarray | None:
    """UTF-8 bytes that each token id stands for, int64 `(len(tokenizer),)`, or None where that is not exact.

    Exact for byte-level BPE and for characters. Special tokens are not text: 0 bytes, an unknown character included,
    so that bits per byte are never flattered.
    """
    if tokenizer.backend_tokenizer is None:
        return None
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    names, special = tokenizer.get_vocab(), set(tokenizer.all_special_ids)
    ordinary = {i: name for name, i in names.items() if i not in special}
    if _is_byte_level(backend):
        added = {token["id"]: token["content"] for token in backend["added_tokens"]}
        sizes = {i: len(_utf8(added[i])) if i in added else len(name) for i, name in ordinary.items()}
    elif _is_characters(backend, ordinary.values()):
        sizes = {i: len(_utf8(name)) for i, name in ordinary.items()}
    else:
        return None
    table = np.zeros(max(names.values()) + 1, dtype=np.int64)
    table[list(sizes)] = list(sizes.values())
    return table


def _is_byte_level(backend: dict[str, Any]) -> bool:
    """Whether every token of the vocabulary is written with one letter per byte, and nothing is changed before."""
    parts = [backend["pre_tokenizer"] or {}, backend["decoder"] or {}]
    parts += parts[0].get("pretokenizers", [])
    kinds = [part.get("type") for part in parts]
    prefix = any(part.get("type") == "ByteLevel" and part["add_prefix_space"] for part in parts[:1] + parts[2:])
    return kinds[1] == "ByteLevel" and kinds.count("ByteLevel") > 1 and backend["normalizer"] is None and not prefix


def _is_characters(backend: dict[str, Any], names: Iterable[str]) -> bool:
    """Whether every token is a single character of the text as it is."""
    is_plain = backend["model"]["type"] == "WordLevel" and backend["normalizer"] is None
    return is_plain and all(len(name) == 1 for name in names)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
