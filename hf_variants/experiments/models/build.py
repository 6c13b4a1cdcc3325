# Copyright 2026 The hf_variants authors. MIT licence.
"""From a recipe's `model` section to a configuration and a model, new or pretrained."""

import difflib
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

import hf_variants

from ..checking import InputError
from ..configs import most_positions
from ..recipes.sections import ModelArguments
from .pretrained import check_vocabulary, load_pretrained, source_config
from .word_vectors import load_word_vectors

# What models of transformers raise about sizes and names that their configurations let pass.
REFUSED = (ValueError, OSError, ImportError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
           RuntimeError)  # fmt: skip


MOST_LAYERS = 10_000  # more take hours to build


LARGEST_OVERRIDE = 20_000_000  # of memory that can't be had, the system does not always say so before it is used


SAID = (StrictDataclassError, ValueError, OSError, ImportError)  # how our own models refuse; all else is a bug of ours


def is_of_table(model_type: str | None) -> bool:
    return model_type in {row.model_type for row in hf_variants.auto.TABLE}


def reason_of(error: Exception) -> str:
    """What an exception says, in one line; also what it is called, where its words alone mean little."""
    kind = "" if isinstance(error, SAID) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())[:400]


def _refusal(error: Exception, model_type: str | None) -> InputError:
    """What to raise in place of what a model's code raised; where that is a bug of ours, raises it as it is."""
    if isinstance(error, InputError) or (is_of_table(model_type) and not isinstance(error, SAID)):
        raise error
    return InputError(f"model: {reason_of(error)}")


def build_config(
    arguments: ModelArguments,
    tokenizer: PreTrainedTokenizerBase,
    block_size: int,
    task: dict[str, Any] | None = None,
) -> PreTrainedConfig:
    """The configuration, with vocabulary and special ids from the tokenizer. Raises InputError naming the field.

    `task` are settings that the data decides, such as its labels; they hold for pretrained models too.
    """
    for name, value in arguments.overrides.items():
        if isinstance(value, int) and abs(value) > LARGEST_OVERRIDE:
            raise InputError(f"model.overrides: {name} is a number this large; allowed: up to {LARGEST_OVERRIDE:.0e}")
    ids = {n: getattr(tokenizer, n) for n in ("pad_token_id", "bos_token_id", "eos_token_id")}
    settings = {"vocab_size": len(tokenizer)} | {n: i for n, i in ids.items() if i is not None}
    settings |= {"pad_token_id": tokenizer.pad_token_id}
    try:
        if arguments.pretrained:
            check_vocabulary(arguments, tokenizer)
            settings = {}
        config = _base_config(arguments, settings | (task or {}) | arguments.overrides)
    except (StrictDataclassError, *REFUSED) as error:
        raise _refusal(error, arguments.model_type) from None
    known = config.to_dict()
    for name in arguments.overrides:
        if name not in known and name != "num_labels":  # which is written as id2label
            raise InputError(f"model.overrides: {config.model_type} has no field '{name}'{_near(name, known)}")
    _check_sizes(config, tokenizer, block_size)
    return config


def _base_config(arguments: ModelArguments, settings: dict[str, Any]) -> PreTrainedConfig:
    if arguments.name_or_path is not None:
        config = source_config(arguments)
        _refuse_unknown_fields(arguments.overrides, config)
        return type(config).from_dict(config.to_dict() | settings)
    known = transformers.CONFIG_MAPPING
    if arguments.model_type not in known:
        ours = ", ".join(row.model_type for row in hf_variants.auto.TABLE)
        raise InputError(
            f"model.model_type: '{arguments.model_type}'; allowed: {ours}, or a type that transformers knows"
        )
    cls = known[arguments.model_type]
    default = cls()
    _refuse_unknown_fields(arguments.overrides, default)
    for name in ("bos_token_id", "eos_token_id"):  # a default that means nothing in this vocabulary
        token, size = getattr(default, name, None), settings["vocab_size"]
        if isinstance(token, int) and isinstance(size, int) and token >= size:
            settings = {name: None} | settings
    return cls(**settings)


def _refuse_unknown_fields(overrides: dict[str, Any], config: PreTrainedConfig) -> None:
    for name in overrides:
        if not hasattr(config, name) or callable(getattr(config, name)):
            raise InputError(
                f"model.overrides: {config.model_type} has no field '{name}'{_near(name, config.to_dict())}"
            )


def _near(name: str, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _check_sizes(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, block_size: int) -> None:
    layers = getattr(config, "num_hidden_layers", None)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise InputError(f"model: num_hidden_layers {layers:.0e}; allowed: up to {MOST_LAYERS}")
    size = max(tokenizer.get_vocab().values()) + 1  # len() does not count ids that are left out
    if not isinstance(config.vocab_size, int) or config.vocab_size < size:
        raise InputError(f"model: vocab_size {config.vocab_size} is below the tokenizer's {size}")
    positions = most_positions(config)
    if positions is not None and positions < block_size:
        raise InputError(f"model: max_position_embeddings {positions} is below data.block_size {block_size}")


def build_model(
    arguments: ModelArguments,
    config: PreTrainedConfig,
    auto_class: str,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> PreTrainedModel:
    """A new model, or the pretrained one that the recipe names; word vectors go to the words of `tokenizer`."""
    auto = getattr(transformers, auto_class)
    # float32, whatever the configuration or the checkpoint was saved in: mixed precision is the recipe's to choose
    options = {"trust_remote_code": True, "dtype": torch.float32}
    if arguments.attn_implementation is not None:
        options["attn_implementation"] = arguments.attn_implementation
    try:
        if arguments.pretrained:
            return load_pretrained(arguments, config, auto, options)
        model = auto.from_config(config, **options)
    except REFUSED as error:
        raise _refusal(error, config.model_type) from None
    if arguments.word_vectors is not None:
        load_word_vectors(model, tokenizer, arguments.word_vectors)
    return model
