# Copyright 2026 The hf_variants authors. MIT licence.
"""progressive_gpt: nanogpt whose neighbouring layers may be applications of one block.

Notable:
- 12 layers of 3 blocks are a net of full depth with a quarter of the weights, from which one with 6 and then 12
  blocks can grow without changing its function (`hf_variants.growth.diverge`);
- a block is registered once and indexed, so optimizers, PEFT and checkpoints meet each weight once;
- every layer has keys and values of its own in the cache: a block is told which layer it is each time it is applied;
- `num_blocks: num_hidden_layers` is nanogpt to the bit.
"""

import torch
from torch import nn
from transformers import Cache, GenerationMixin
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .configuration_progressive_gpt import ProgressiveGptConfig
from .modeling_nanogpt import (
    NanoGptForCausalLM,
    NanoGptForSequenceClassification,
    NanoGptModel,
    NanoGptPreTrainedModel,
)


class ProgressiveGptPreTrainedModel(NanoGptPreTrainedModel):
    """What all progressive_gpt models share."""

    config: ProgressiveGptConfig

    def engine_problem(self) -> str | None:
        layers, blocks = self.config.num_hidden_layers, self.config.num_blocks
        if blocks < layers:
            return f"it has keys and values for one layer per block; num_blocks is {blocks}, allowed there: {layers}"
        return super().engine_problem()


class ProgressiveGptModel(ProgressiveGptPreTrainedModel, NanoGptModel):
    """The decoder without a head."""

    def add_blocks(self, config: ProgressiveGptConfig) -> None:
        sizes = config.hidden_size, config.num_attention_heads
        self.h = nn.ModuleList([self.block_class(config, index, *sizes) for index in range(config.num_blocks)])

    def run_blocks(
        self,
        stream: torch.Tensor,
        mask: torch.Tensor | None,
        past_key_values: Cache | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        for layer, block in enumerate(self.config.layer_blocks):
            # A cache finds keys and values by this number, one of transformers' paged attention too: without asking.
            self.h[block].attn.layer_idx = layer
            stream = self.h[block](stream, mask, past_key_values, **kwargs)
        for number, applied in enumerate(self.h):  # left as they were
            applied.attn.layer_idx = number
        return stream


class ProgressiveGptForCausalLM(ProgressiveGptPreTrainedModel, NanoGptForCausalLM, GenerationMixin):
    """The decoder with a head that predicts the next token."""

    model_class = ProgressiveGptModel


class ProgressiveGptForSequenceClassification(ProgressiveGptPreTrainedModel, NanoGptForSequenceClassification):
    """The decoder with a classifier (or a regression) on each row's last real token."""

    model_class = ProgressiveGptModel


# Trainer shifts labels for label smoothing only where it finds the class by its name here.
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES["progressive_gpt"] = "ProgressiveGptForCausalLM"

# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
ProgressiveGptConfig.register_for_auto_class()
ProgressiveGptModel.register_for_auto_class("AutoModel")
ProgressiveGptForCausalLM.register_for_auto_class("AutoModelForCausalLM")
ProgressiveGptForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = [
    "ProgressiveGptForCausalLM",
    "ProgressiveGptForSequenceClassification",
    "ProgressiveGptModel",
    "ProgressiveGptPreTrainedModel",
]
