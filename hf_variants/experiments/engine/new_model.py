# Copyright 2026 The hf_variants authors. MIT licence.
"""The model that a run begins with, and whether it can learn from the data: its inputs and its labels."""

import copy

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from ..checking import InputError
from ..machine.environment import default_device
from ..models.build import REFUSED, build_model, is_of_table, reason_of
from ..models.head_order import align_head, head_order
from ..recipes.recipe import Recipe
from .prepared import Prepared


def check_block(model: PreTrainedModel, prepared: Prepared) -> None:
    """Raises InputError where a new model on the CPU can't read the longest input: some types count positions from an
    offset."""
    if model.config._attn_implementation == "flex_attention":
        _check_flex_attention(model.config)
    if model.config._attn_implementation not in ("eager", "sdpa", None):  # others may need another device
        return
    batch = {name: torch.from_numpy(array) for name, array in prepared.sample(1).items()}
    was_training = model.training
    try:
        with torch.no_grad():  # in eval mode no random number is drawn
            prepared.objective.losses(model.eval(), batch)
    except InputError:
        raise
    except REFUSED as error:
        too_long = any(words in str(error) for words in ("out of range", "out of bounds"))
        kind, size = model.config.model_type, batch["input_ids"].shape[1]
        if not too_long and is_of_table(kind):
            raise  # our own refuse what they can't do before
        hint = "; raise max_position_embeddings" if too_long else ""
        raise InputError(f"model: {kind} cannot read a block of {size} tokens ({reason_of(error)}){hint}") from None
    model.train(was_training)


def _check_flex_attention(config: PreTrainedConfig) -> None:
    fields = config.to_dict()
    for name in ("attention_probs_dropout_prob", "attn_pdrop", "attention_dropout"):
        if fields.get(name):
            raise InputError(f"model: {name} is {fields[name]}; allowed with flex_attention: 0")
    if default_device() == "cpu":
        raise InputError("model.attn_implementation: flex_attention trains on a GPU only; allowed here: eager, sdpa")


def new_model(recipe: Recipe, config: PreTrainedConfig, prepared: Prepared) -> PreTrainedModel:
    """The model that a run begins with; `config` stays as it is. Raises InputError where it can't be had."""
    model = build_model(recipe.model, copy.deepcopy(config), prepared.objective.auto_class, prepared.tokenizer)
    if keeps_head(recipe, prepared):
        align_head(model, recipe.model, prepared.class_names, bool(recipe.labels.label_names))
    return model


def check_head(recipe: Recipe, prepared: Prepared) -> None:
    """Raises InputError where a pretrained head has labels of which nothing says what they are in the data."""
    if keeps_head(recipe, prepared):
        head_order(recipe.model, prepared.class_names, bool(recipe.labels.label_names))


def keeps_head(recipe: Recipe, prepared: Prepared) -> bool:
    """Whether the model comes with a head for classes, or labels, of its own."""
    return recipe.model.pretrained and bool(prepared.class_names)
