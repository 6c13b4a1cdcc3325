# Copyright 2026 The hf_variants authors. MIT licence.
"""DistilBERT's architecture from BERT's layers."""

from typing import Any

import torch
from torch import nn
from transformers import AutoModel, DistilBertConfig, PreTrainedConfig, PreTrainedModel

from ..recipes.sections import ModelArguments
from ..text.sources import find_model
from .missing import MISSING


def distilbert_config(bert: PreTrainedConfig, num_hidden_layers: int | None = None) -> DistilBertConfig:
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


def distilbert_from_bert(
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
    MISSING[model] = [name for name, _ in model.named_parameters() if not name.startswith(prefix)]
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
