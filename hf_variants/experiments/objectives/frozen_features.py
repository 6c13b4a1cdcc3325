# Copyright 2026 The hf_variants authors. MIT licence.
"""A frozen encoder's output, played back in its place."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions as EncoderOutput

from ..configs import padding_token
from .base import unwrapped


class PlayedEncoder(nn.Module):
    """Stands in place of an encoder and says what that said before."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.config = encoder.config
        self.output: EncoderOutput | None = None

    def forward(self, *_: Any, **__: Any) -> EncoderOutput:
        """The output that was set, whatever the input."""
        return self.output


def play_features(model: PreTrainedModel, features: dict[str, torch.Tensor]) -> torch.Tensor:
    """The logits `(batch, labels)` of a model's head for an encoder's features."""
    inner = unwrapped(model)
    hidden, pooled = (features.get(name) for name in FEATURES)
    inner.base_model.output = EncoderOutput(last_hidden_state=hidden, pooler_output=pooled)
    # heads that look for the last token must not take a played one for padding
    ids = torch.full(hidden.shape[:2], 1 if padding_token(inner.config) == 0 else 0, device=hidden.device)
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


FEATURES = ("first_hidden_state", "pooler_output")  # of a frozen encoder, in place of the text
