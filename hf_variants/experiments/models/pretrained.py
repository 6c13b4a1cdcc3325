# Copyright 2026 The hf_variants authors. MIT licence.
"""Pretrained weights: from the Hub, a folder or an installed package, whole or some layers, in any model they fit."""

import functools
from collections.abc import Iterable
from typing import Any

import transformers
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ... import growth
from ...auto import TABLE
from ..checking import InputError
from ..recipes.sections import ModelArguments
from ..text.sources import find_model
from ..text.tokenizer import load_tokenizer
from .distilbert import distilbert_config, distilbert_from_bert
from .missing import MISSING


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
        return distilbert_config(own, **layers)
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
        return distilbert_from_bert(arguments, config, auto, options)
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
    MISSING[model] = [*info["missing_keys"], *mismatched]
    return model
