# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of text classification: batches of similar lengths, and features of a frozen encoder read once.

The texts are as long as the sentences of SST-5 are in WordPieces (26 on average), with random words.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from ....bert.configuration_minbert import MinBertConfig
from ....bert.modeling_minbert import MinBertForSequenceClassification
from ...engine.fine_tuning import FineTuning
from ...engine.optimizer import build_optimizer
from ...engine.prepared_examples import PreparedExamples
from ...labelled.corpus import Examples
from ...labelled.examples import BucketedOrder, TokenizedExamples
from ...machine.timing import training_step
from ...objectives.text_classification import TextClassification
from ...recipes.sections import ObjectiveArguments, TrainingArguments
from ..suite import DEVICE, DifferentError, Sides, assert_close, case

FIXED = 128  # what system C padded every text to
EPOCHS = 5
SIZES = {"vocab_size": 2000, "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
         "intermediate_size": 1024, "num_labels": 5, "max_position_embeddings": FIXED}  # fmt: skip


class _Lengths:
    """Stands for a tokenizer: a text is its number of tokens, written out."""

    model_input_names = ("input_ids", "attention_mask")
    pad_token_id, padding_side = 0, "right"

    def num_special_tokens_to_add(self, pair: bool) -> int:
        return 0

    def __call__(self, texts: Sequence[str], *_: object, **__: object) -> dict[str, list[np.ndarray]]:
        rng = np.random.default_rng(0)
        return {"input_ids": [rng.integers(1, SIZES["vocab_size"], size=int(text)) for text in texts]}


def sentences(count: int) -> TokenizedExamples:
    """Examples of five classes, as long as sentences are."""
    rng = np.random.default_rng(1)
    lengths = rng.normal(26, 11, size=count).clip(4, 66).astype(int)
    examples = Examples([str(length) for length in lengths], labels=rng.integers(5, size=count))
    return TokenizedExamples(_Lengths(), examples, FIXED)


def batches(examples: TokenizedExamples, size: int, width: int | None = None) -> list[dict[str, torch.Tensor]]:
    """One epoch in batches padded to their longest, or all to `width`."""
    order, found = BucketedOrder(examples, size, 0), []
    for step in range(order.steps_per_epoch):
        batch = {name: torch.from_numpy(array) for name, array in order.rows(step).items()}
        if width is not None:
            missing = width - batch["input_ids"].shape[1]
            padded = {n: torch.nn.functional.pad(t, (0, missing)) for n, t in batch.items() if n != "labels"}
            batch |= padded
        found.append({name: tensor.to(DEVICE) for name, tensor in batch.items()})
    return found


def train(
    model: PreTrainedModel,
    objective: TextClassification,
    optimizer: torch.optim.Optimizer,
    epoch: Sequence[dict[str, torch.Tensor]],
    epochs: int = 1,
) -> None:
    """Whole training steps."""
    for _ in range(epochs):
        for batch in epoch:
            training_step(model, optimizer, lambda batch=batch: objective.losses(model, batch)["loss"])


def _objective() -> TextClassification:
    arguments = ObjectiveArguments(objective="text_classification")
    return TextClassification(arguments, None).for_labels("single_label_classification", [*"abcde"])


def _optimizer(model: PreTrainedModel) -> torch.optim.Optimizer:
    return build_optimizer(model, TrainingArguments(max_steps=1, learning_rate=1e-4))


@case("minbert_bucketed_vs_bert_fixed", "minbert, similar lengths", "transformers' BERT, all 128", target=1 / 3)
def minbert_bucketed() -> Sides:
    """An epoch of 128 sentences in batches of 32: ours padded to the longest of a batch, the other's to 128."""
    examples, objective = sentences(128), _objective()
    bert = BertForSequenceClassification(BertConfig(**SIZES, attn_implementation="sdpa")).to(DEVICE).train()
    ours = MinBertForSequenceClassification(MinBertConfig(**SIZES, attn_implementation="sdpa")).to(DEVICE).train()
    ours.load_state_dict(bert.state_dict())
    mine, padded = batches(examples, 32), batches(examples, 32, FIXED)

    def check() -> None:
        with torch.no_grad():
            for first, second in zip(mine, padded, strict=True):
                found, expected = objective.logits(ours.eval(), first), objective.logits(bert.eval(), second)
                assert_close(found, expected)
        ours.train(), bert.train()

    ours_trains = functools.partial(train, ours, objective, _optimizer(ours), mine)
    bert_trains = functools.partial(train, bert, objective, _optimizer(bert), padded)
    return Sides(check, ours_trains, bert_trains)


@case("frozen_features", "frozen encoder, features read once", "full training", target=1 / 5)
def frozen_features() -> Sides:
    """Five epochs of 128 sentences, reading the features included."""
    examples, objective = sentences(128), _objective()
    full = MinBertForSequenceClassification(MinBertConfig(**SIZES, attn_implementation="sdpa")).to(DEVICE).train()
    epoch, optimizer = batches(examples, 32), _optimizer(full)
    frozen = MinBertForSequenceClassification(MinBertConfig(**SIZES, attn_implementation="sdpa")).to(DEVICE)
    frozen.load_state_dict(full.state_dict())
    work = functools.partial(_train_frozen, frozen, objective, examples)

    def check() -> None:
        played: list[torch.Tensor] = []

        def look(head: PreTrainedModel, batch: dict[str, torch.Tensor]) -> None:
            played.append(objective.logits(head, batch))

        _train_frozen(frozen, objective, examples, epochs=0, look=look)
        with torch.no_grad():
            for found, batch in zip(played, epoch, strict=True):
                assert_close(found.detach(), objective.logits(full.eval(), batch))
        full.train()

    return Sides(check, work, lambda: train(full, objective, optimizer, epoch, EPOCHS))


def _train_frozen(
    model: PreTrainedModel,
    objective: TextClassification,
    examples: TokenizedExamples,
    epochs: int = EPOCHS,
    look: Callable[[PreTrainedModel, dict[str, torch.Tensor]], object] | None = None,
) -> None:
    """Reads the features and trains the head on them; then the model has its encoder again."""
    tuning = FineTuning(TrainingArguments(max_steps=1, train="frozen", eval_batch_size=32), model)
    tuning.freeze()
    prepared = PreparedExamples(None, None, objective, {"train": examples}, None)
    epoch = batches(tuning.start(prepared).examples["train"], 32)
    if tuning.encoder is None:
        raise DifferentError("the features are not enough for the head")
    if look is not None:
        for batch in epoch:
            look(model.eval(), batch)
    train(model.train(), objective, _optimizer(model), epoch, epochs)
    setattr(model, model.base_model_prefix, tuning.encoder)
