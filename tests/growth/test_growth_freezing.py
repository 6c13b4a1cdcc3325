# Copyright 2026 The hf_variants authors. MIT licence.
"""Unfreezing a model layer by layer from its end: what trains at each step, what the receipt says, what is refused."""

from collections.abc import Callable

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
)

from hf_variants import growth
from hf_variants.bert.configuration_minbert import MinBertConfig
from hf_variants.bert.modeling_minbert import MinBertForSequenceClassification
from hf_variants.growth.freezing import unfreeze

LAYERS = 3
BERT = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 10}  # fmt: skip
DISTIL = {
    "vocab_size": 20,
    "dim": 8,
    "n_layers": LAYERS,
    "n_heads": 2,
    "hidden_dim": 16,
    "max_position_embeddings": 10,
}
GPT2 = {"vocab_size": 20, "n_embd": 8, "n_layer": LAYERS, "n_head": 2, "n_positions": 10, "pad_token_id": 0}
BUILD: dict[str, Callable[[], PreTrainedModel]] = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**BERT)),
    "minbert": lambda: MinBertForSequenceClassification(MinBertConfig(**BERT)),
    "distilbert": lambda: DistilBertForSequenceClassification(DistilBertConfig(**DISTIL)),
    "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(**GPT2)),
}
# The list of layers, what stands before it, and what of the encoder stands after it.
PARTS = {
    "bert": ("bert.encoder.layer", ("bert.embeddings.",), ("bert.pooler.",)),
    "minbert": ("bert.encoder.layer", ("bert.embeddings.",), ("bert.pooler.",)),
    "distilbert": ("distilbert.transformer.layer", ("distilbert.embeddings.",), ()),
    "gpt2": ("transformer.h", ("transformer.wte.", "transformer.wpe."), ("transformer.ln_f.",)),
}


def frozen(kind: str) -> tuple[PreTrainedModel, str]:
    """A model of which only the head trains, and the name of its list of layers."""
    model = BUILD[kind]()
    model.base_model.requires_grad_(False)
    return model, growth.find_layers(model)[0]


def trains(model: PreTrainedModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kind", BUILD)
def test_one_more_layer_trains_at_each_step_and_the_embeddings_last(kind):
    model, layers = frozen(kind)
    expected, before, after = PARTS[kind]
    assert layers == expected
    every, head = {name for name, _ in model.named_parameters()}, trains(model)
    assert head
    for step in range(1, LAYERS + 1):
        unfreeze(model, step)
        wanted = tuple(f"{layers}.{number}." for number in range(LAYERS - step, LAYERS)) + after
        assert trains(model) == head | {name for name in every if name.startswith(wanted)}
        assert not any(name.startswith(before) for name in trains(model))
    unfreeze(model, LAYERS + 1)
    assert trains(model) == every


@pytest.mark.parametrize("kind", BUILD)
def test_the_receipt_says_what_trains_and_what_does_not(kind):
    model, layers = frozen(kind)
    head = sum(p.numel() for p in model.parameters() if p.requires_grad)
    step = unfreeze(model, 2)
    receipt = step.receipt
    counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (receipt["operation"], receipt["arguments"]) == ("unfreeze", {"layers": 2})
    assert receipt["layers"] == layers and receipt["max_difference"] == 0.0
    assert receipt["trainable_parameters"] == [head, counted]
    assert sum(receipt["frozen"].values()) == sum(p.numel() for p in model.parameters()) - counted
    assert any(name.startswith(f"{layers}.*.") for name in receipt["frozen"])
    assert unfreeze(model, LAYERS + 1).receipt["frozen"] == {}


@pytest.mark.parametrize("kind", BUILD)
def test_parameters_keep_their_names_and_the_model_its_function(kind):
    model, _ = frozen(kind)
    model.eval()
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        before = model(ids).logits
        step = unfreeze(model, 1)
        assert torch.equal(model(ids).logits, before)
    names = [name for name, _ in model.named_parameters()]
    assert step.sources == dict(zip(names, names, strict=True))


@pytest.mark.parametrize("kind", BUILD)
def test_a_gradient_reaches_what_trains_and_nothing_else(kind):
    model, _ = frozen(kind)
    unfreeze(model, 1)
    model(torch.arange(1, 9)[None], labels=torch.tensor([1])).loss.backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == trains(model)


def test_what_trains_already_is_not_frozen():
    model = BUILD["bert"]()
    every = {name for name, _ in model.named_parameters()}
    assert unfreeze(model, 1).receipt["trainable_parameters"][0] == sum(p.numel() for p in model.parameters())
    assert trains(model) == every


@pytest.mark.parametrize("layers", [0, -1, LAYERS + 2])
def test_a_number_of_layers_that_there_is_not_is_named_and_nothing_changes(layers):
    model, _ = frozen("bert")
    before = trains(model)
    with pytest.raises(ValueError, match=f"layers is {layers}; allowed: 1 to {LAYERS + 1}"):
        unfreeze(model, layers)
    assert trains(model) == before


def test_a_model_without_a_list_of_layers_is_named():
    model, _ = frozen("bert")
    model.config.num_hidden_layers = 2
    with pytest.raises(ValueError, match="BertForSequenceClassification has none for a ModuleList of its 2 layers"):
        unfreeze(model, 1)
