# Copyright 2026 The hf_variants authors. MIT licence.
"""Pretrained weights: from the Hub, a folder or an installed package, whole or some layers, in any model they fit."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    DistilBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .. import growth
from ..auto import TABLE
from .arguments import InputError, ModelArguments
from .corpora import find_model
from .data import load_tokenizer
from .label_matching import UnmatchedError, match_labels


def source_config(arguments: ModelArguments) -> PreTrainedConfig:
    """The configuration that pretrained weights are to be loaded into: their own, or that of `model_type`."""
    own = _own_config(arguments)
    layers = {"num_hidden_layers": len(arguments.keep_layers)} if arguments.keep_layers else {}
    if arguments.keep_layers and not all(0 <= layer < own.num_hidden_layers for layer in arguments.keep_layers):
        raise InputError(
            f"model.keep_layers: {arguments.keep_layers}; allowed: layers from 0 to {own.num_hidden_layers - 1}"
        )
    if arguments.model_type in (None, own.model_type):
        return type(own).from_dict(own.to_dict() | layers)
    if arguments.model_type not in transformers.CONFIG_MAPPING:
        raise InputError(f"model.model_type: '{arguments.model_type}'; allowed: a type that is registered")
    if arguments.model_type == "distilbert":
        if own.model_type != "bert":
            raise InputError(f"model: distilbert takes layers of bert; {arguments.name_or_path} is {own.model_type}")
        return _distilbert_config(own, **layers)
    cls = transformers.CONFIG_MAPPING[arguments.model_type]
    known = cls().to_dict().keys() - {"model_type", "architectures", "auto_map", "transformers_version"}
    _refuse_to_drop(own, known, arguments)
    return cls(**{name: value for name, value in own.to_dict().items() if name in known} | layers)


def _refuse_to_drop(own: PreTrainedConfig, known: Iterable[str], arguments: ModelArguments) -> None:
    """Raises InputError where weights of one of our variants would be read by a model that lacks what makes it one.

    No key need be missing then: a gaussian similarity_bert has minbert's weights, and another attention.
    """
    if own.model_type not in {row.model_type for row in TABLE}:
        return
    fields = type(own).__dataclass_fields__.keys() - PreTrainedConfig.__dataclass_fields__.keys()
    kept = {name: value for name, value in own.to_dict().items() if name in known}
    neutral = type(own)(**kept | {name: value for name, value in _NEUTRAL.items() if name in fields})
    for name in sorted(fields - set(known), key=lambda field: (field not in _NEUTRAL, field)):
        value = getattr(own, name)
        if value != getattr(neutral, name):
            raise InputError(
                f"model.model_type: {arguments.model_type} has no {name}, and the weights of {arguments.name_or_path} "
                f"were trained with {value!r}; allowed: {own.model_type}, or leave it out"
            )


# The fields that make a variant its baseline and whose defaults do not.
_NEUTRAL = {"skip_connection": "residual", "num_levels": 0}


def _own_config(arguments: ModelArguments) -> PreTrainedConfig:
    return AutoConfig.from_pretrained(
        find_model(arguments.name_or_path), revision=arguments.revision, trust_remote_code=True
    )


def check_vocabulary(arguments: ModelArguments, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises InputError where an id of the tokenizer means something else to the pretrained weights.

    The tokenizer that lies beside the weights says what they mean. Where none does, sizes must be equal, unless the
    recipe states the larger one of the weights as `overrides.vocab_size`: some vocabularies are padded.
    """
    name, size = arguments.name_or_path, source_config(arguments).vocab_size
    if arguments.overrides.get("vocab_size", size) != size:
        stated = arguments.overrides["vocab_size"]
        raise InputError(f"model.overrides: vocab_size {stated}; the weights of {name} have {size}")
    own, given = _own_vocabulary(name, arguments.revision), tokenizer.get_vocab()
    if own is None and size != len(given) and "vocab_size" not in arguments.overrides:
        padding = f" (if it is this one, and the rest is padding, set model.overrides.vocab_size: {size})"
        raise InputError(
            f"tokenizer: has {len(given)} tokens, and the weights of {name} have {size}; use the tokenizer that they "
            f"were trained with{padding if size > len(given) else ''}"
        )
    other = next((token for token, number in given.items() if own is not None and own.get(token) != number), None)
    if other is not None:
        raise InputError(
            f"tokenizer: is not the one that the weights of {name} were trained with: '{other}' has the id "
            f"{given[other]}, there {own.get(other, 'none')}"
        )


@functools.lru_cache(maxsize=4)
def _own_vocabulary(name: str, revision: str | None) -> dict[str, int] | None:
    """The ids of the tokenizer beside pretrained weights, or None where there is none."""
    try:
        return load_tokenizer(name, revision).get_vocab()
    except InputError:
        return None


def load_pretrained(
    arguments: ModelArguments, config: PreTrainedConfig, auto: Any, options: dict[str, Any]
) -> PreTrainedModel:
    """A model of class `auto` with the weights that the recipe names."""
    source, where = find_model(arguments.name_or_path), {"revision": arguments.revision}
    if config.model_type == "distilbert" and _own_config(arguments).model_type != "distilbert":
        return _distilbert_from_bert(arguments, config, auto, options)
    if arguments.keep_layers:
        whole = type(config).from_dict(
            config.to_dict() | {"num_hidden_layers": _own_config(arguments).num_hidden_layers}
        )
        model = _load(auto, source, config=whole, **where, **options)
        growth.select_layers(model, arguments.keep_layers)
        return model
    return _load(auto, source, config=config, **where, **options)


def _load(auto: Any, source: str, **options: Any) -> PreTrainedModel:
    """A model, for which `missing_weights` knows what the checkpoint lacks. A classifier's head may be another's.

    Raises InputError for a checkpoint whose other weights have other shapes.
    """
    model, info = auto.from_pretrained(source, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    mismatched = sorted(name for name, *_ in info["mismatched_keys"])  # a set
    inside = [name for name in mismatched if name.startswith(model.base_model_prefix + ".")]
    wrong = inside if auto is transformers.AutoModelForSequenceClassification else mismatched
    if wrong:
        raise InputError(f"model: the weights of {source} have other shapes: {', '.join(wrong[:3])}")
    _MISSING[model] = [*info["missing_keys"], *mismatched]
    return model


def missing_weights(model: PreTrainedModel) -> list[str]:
    """The parameters of a pretrained model that its checkpoint lacked; none of a model that is new altogether."""
    return _MISSING.get(model, [])


_MISSING: WeakKeyDictionary[PreTrainedModel, list[str]] = WeakKeyDictionary()


# ---- a classification head that is trained already -----------------------------------------------------------------


def head_order(arguments: ModelArguments, names: Sequence[str], stated: bool) -> list[int] | None:
    """For each of the data's labels, called `names`, its id in the head of the checkpoint that the recipe names.

    None where the checkpoint says that it is no classifier of so many labels; its head will be new then. Raises
    InputError where nothing says which label is which (see label_matching.py).
    """
    own = _own_config(arguments)
    is_classifier = any(name.endswith("ForSequenceClassification") for name in own.architectures or ())
    one_logit = own.num_labels == 1 and len(names) == 2
    if not is_classifier or own.problem_type == "regression" or not (one_logit or own.num_labels == len(names)):
        return None
    try:
        return match_labels([own.id2label[number] for number in range(own.num_labels)], names, stated)
    except UnmatchedError as error:
        raise InputError(
            f"model: {arguments.name_or_path} has a trained head, which is kept: {error}; say with labels.label_names "
            "what the labels of the data are called, in the order of the head's"
        ) from None


def align_head(model: PreTrainedModel, arguments: ModelArguments, names: Sequence[str], stated: bool) -> None:
    """Brings the outputs of a trained head into the order of the data's labels, in place: each keeps its meaning.

    Raises InputError where that can't be done, or nothing says which label is which.
    """
    order = head_order(arguments, names, stated)
    if order is None or order == list(range(len(names))):
        return
    name, last = _last_layer(model, len(names))
    if last is not None and f"{name}.weight" in missing_weights(model):
        return
    if last is None or not _permute(model, last, order):
        wanted = ", ".join(label for _, label in sorted(zip(order, names, strict=True)))
        where = f"model: the head of {arguments.name_or_path}"
        raise InputError(f"{where} has the labels in another order; allowed: labels.label_names: [{wanted}]")


def _last_layer(model: PreTrainedModel, size: int) -> tuple[str, nn.Linear | None]:
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.out_features == size]
    inside = set() if model.base_model is model else set(model.base_model.modules())
    return next(((n, m) for n, m in reversed(found) if m not in inside), ("", None))


@torch.no_grad()
def _permute(model: PreTrainedModel, last: nn.Linear, order: Sequence[int]) -> bool:
    """Puts the rows of a layer into this order; whether that is what it did to the logits, else it is undone."""
    ids = torch.arange(8)[None] % model.config.vocab_size
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    was_training, parameters = model.training, list(last.parameters())
    model.eval()
    before, back = model(**inputs).logits, torch.argsort(torch.tensor(order))
    for parameter in parameters:
        parameter.copy_(parameter[list(order)].clone())
    is_done = torch.allclose(model(**inputs).logits, before[:, list(order)], rtol=1e-4, atol=1e-5)
    for parameter in [] if is_done else parameters:
        parameter.copy_(parameter[back].clone())
    model.train(was_training)
    return is_done


# ---- DistilBERT's architecture from BERT's layers ------------------------------------------------------------------


def _distilbert_config(bert: PreTrainedConfig, num_hidden_layers: int | None = None) -> DistilBertConfig:
    return DistilBertConfig(
        vocab_size=bert.vocab_size,
        max_position_embeddings=bert.max_position_embeddings,
        n_layers=num_hidden_layers or bert.num_hidden_layers,
        n_heads=bert.num_attention_heads,
        dim=bert.hidden_size,
        hidden_dim=bert.intermediate_size,
        activation=bert.hidden_act,
        dropout=bert.hidden_dropout_prob,
        attention_dropout=bert.attention_probs_dropout_prob,
        pad_token_id=bert.pad_token_id,
    )


def _distilbert_from_bert(
    arguments: ModelArguments, config: PreTrainedConfig, auto: Any, options: dict[str, Any]
) -> PreTrainedModel:
    """DistilBERT's architecture (arXiv:1910.01108) with the embeddings and some layers of a BERT, not distilled.

    It has no token types: the vector of type 0 is added to the positions, so that single texts are read as before.
    """
    bert = AutoModel.from_pretrained(
        find_model(arguments.name_or_path), revision=arguments.revision, dtype=torch.float32
    )
    model = auto.from_config(config, **options)
    target, embeddings = model.base_model, bert.embeddings
    keep = arguments.keep_layers or list(range(bert.config.num_hidden_layers))
    with torch.no_grad():
        _copy(target.embeddings.word_embeddings, embeddings.word_embeddings)
        _copy(target.embeddings.LayerNorm, embeddings.LayerNorm)
        positions = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        target.embeddings.position_embeddings.weight.copy_(positions)
        for layer, number in zip(target.transformer.layer, keep, strict=True):
            _copy_layer(layer, bert.encoder.layer[number])
    prefix = model.base_model_prefix + "."
    _MISSING[model] = [name for name, _ in model.named_parameters() if not name.startswith(prefix)]
    return model


def _copy_layer(target: nn.Module, source: nn.Module) -> None:
    attention, output = source.attention.self, source.attention.output
    pairs = [
        (target.attention.q_lin, attention.query),
        (target.attention.k_lin, attention.key),
        (target.attention.v_lin, attention.value),
        (target.attention.out_lin, output.dense),
        (target.sa_layer_norm, output.LayerNorm),
        (target.ffn.lin1, source.intermediate.dense),
        (target.ffn.lin2, source.output.dense),
        (target.output_layer_norm, source.output.LayerNorm),
    ]
    for own, other in pairs:
        _copy(own, other)


def _copy(target: nn.Module, source: nn.Module) -> None:
    target.load_state_dict(source.state_dict())
