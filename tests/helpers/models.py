# Copyright 2026 The hf_variants authors. MIT licence.
"""A tiny configuration for every row of `hf_variants/auto.py`, and what tests feed to such models."""

from dataclasses import fields
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from hf_variants.auto import TABLE, Row

# Names a configuration lacks are left out, so that one dictionary serves every family.
TINY = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "num_levels": 1,
    "num_blocks": 1,
    "embedding_size": 20,
    "spatial_dropout": 0.0,
    "pooling": "attention",
    "attention_similarity": "gaussian",
    "learn_temperature": True,
    "query_key_size": 6,
}
# {model type: {name: what differs from TINY}}: every kind of net that a row can be. The first of each is TINY itself.
CONFIGURATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "minbert": {
        "post_norm": {},
        "pre_norm": {"norm_position": "pre"},
        "plain": {"embedding_norm": False, "mlm_transform": False, "type_vocab_size": 0, "tie_word_embeddings": False},
    },
    "highway_bert": {
        "feature_coupled_pre": {},
        "feature_coupled_post": {"norm_position": "post"},
        "feature_uncoupled_pre": {"gate_coupling": "uncoupled"},
        "feature_uncoupled_post": {"gate_coupling": "uncoupled", "norm_position": "post"},
        "scalar_coupled_pre": {"gate_type": "scalar"},
        "scalar_coupled_post": {"gate_type": "scalar", "norm_position": "post"},
        "scalar_uncoupled_pre": {"gate_type": "scalar", "gate_coupling": "uncoupled"},
        "scalar_uncoupled_post": {"gate_type": "scalar", "gate_coupling": "uncoupled", "norm_position": "post"},
        "normed_gate_input": {"gate_input": "normed"},
        "residual": {"skip_connection": "residual"},
    },
    "similarity_bert": {
        "gaussian": {},
        "gaussian_tied": {"tie_query_key": True},
        "dot_product": {"attention_similarity": "dot_product", "learn_temperature": None, "query_key_size": None},
        "dot_product_tied": {"attention_similarity": "dot_product", "tie_query_key": True},
        "cosine": {"attention_similarity": "cosine"},
        "euclidean": {"attention_similarity": "euclidean"},
    },
    "nanogpt": {"tied": {}, "untied": {"tie_word_embeddings": False}},
    "conv_gpt": {
        "levels_1": {},
        "levels_0": {"num_levels": 0},
        "levels_2": {"num_levels": 2, "num_hidden_layers": 3, "sequence_factor": 2},
        "levels_3": {"num_levels": 3, "num_hidden_layers": 5, "sequence_factor": 2, "hidden_size": 16},
        "levels_1_window": {"local_window": 3},
        "levels_2_window": {
            "num_levels": 2,
            "num_hidden_layers": None,
            "level_layers": [2, 1, 1],
            "level_heads": [4, 2, 8],
            "sequence_factor": 2,
            "local_window": 2,
        },
    },
    "progressive_gpt": {
        "shared": {},
        "distinct": {"num_blocks": 2},
        "pairs": {"num_hidden_layers": 4, "num_blocks": 2},
    },
    "bigru": {pooling: {"pooling": pooling} for pooling in ("attention", "last", "max", "mean")},
}
HEADS = [(row, auto) for row in TABLE for auto in row.classes]
DECODERS = [row for row in TABLE if "AutoModelForCausalLM" in row.auto_classes]
CONFIGURED = [(row, name) for row in TABLE for name in CONFIGURATIONS[row.model_type]]
CONFIGURED_DECODERS = [(row, name) for row, name in CONFIGURED if row in DECODERS]


def find_row(model_type: str) -> Row:
    """Return the row of the table for a model type."""
    return next(row for row in TABLE if row.model_type == model_type)


def is_recurrent(config: PreTrainedConfig) -> bool:
    """Return whether a net reads step by step: it has no attention to choose, to replace or to record."""
    return not hasattr(config, "num_attention_heads")


def known(model_type: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return those of the settings that a model type's configuration has."""
    names = {field.name for field in fields(find_row(model_type).config_class)}
    return {name: value for name, value in settings.items() if name in names}


def tiny_config(model_type: str, **overrides: Any) -> PreTrainedConfig:
    """Return a tiny configuration without dropout; everything not named has the variant's own default."""
    return find_row(model_type).config_class(**known(model_type, TINY) | overrides)


def named_config(model_type: str, name: str, **overrides: Any) -> PreTrainedConfig:
    """Return a configuration of the table `CONFIGURATIONS`."""
    return tiny_config(model_type, **CONFIGURATIONS[model_type][name] | overrides)


def build(model_class: Any, config: PreTrainedConfig, spread: float = 0.3) -> PreTrainedModel:
    """Return a model in eval mode with larger weights than at the start, so that nothing is close to linear."""
    torch.manual_seed(0)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    return model


def batch(config: PreTrainedConfig, size: int = 2, length: int = 9) -> dict[str, torch.Tensor]:
    """Return ids without padding tokens, `(size, length)`, and a mask of ones."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, config.vocab_size, (size, length), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def labels(auto_name: str, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return labels that fit the head that an Auto class stands for."""
    ids = inputs["input_ids"]
    if auto_name == "AutoModel":
        return {}
    if auto_name == "AutoModelForSequenceClassification":
        return {"labels": ids[:, 0] % 2}
    if auto_name == "AutoModelForTokenClassification":
        return {"labels": ids % 2}
    if auto_name == "AutoModelForQuestionAnswering":
        return {"start_positions": ids[:, 0] % 3, "end_positions": ids[:, 0] % 3 + 2}
    return {"labels": ids}


def outputs(model: PreTrainedModel, inputs: dict[str, torch.Tensor], **kwargs: Any) -> torch.Tensor:
    """Return the first tensor a model gives: hidden states, logits, or start logits."""
    with torch.no_grad():
        return model(**inputs, **kwargs)[0]


def char_tokenizer(characters: str = "abcdefghijklmnopqrstuvwxyz .", framed: bool = True) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per character and the special tokens of BERT, put around a text if framed."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: index for index, token in enumerate([*special, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    if framed:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{token.strip('[]').lower()}_token": token for token in special}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
