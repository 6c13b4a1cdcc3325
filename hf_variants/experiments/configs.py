# Copyright 2026 The hf_variants authors. MIT licence.
"""What a configuration says of its model, ours or any of transformers': few fields are common to all of them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def prediction_horizon(config: "PreTrainedConfig") -> int:
    """How many tokens ahead a position predicts."""
    return _field(config, "prediction_horizon", 1)


def most_positions(config: "PreTrainedConfig") -> int | None:
    """The longest text that a model reads, in tokens; None where there is no such limit."""
    return _field(config, "max_position_embeddings", None)


def padding_token(config: "PreTrainedConfig") -> int | None:
    """The token that heads and embeddings take for padding; None where there is none."""
    return _field(config, "pad_token_id", None)


def _field(config: "PreTrainedConfig", name: str, default: Any) -> Any:
    return getattr(config, name, default)  # not from its dictionary: some have the field under another name
