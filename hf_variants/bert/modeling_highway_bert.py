# Copyright 2026 The hf_variants authors. MIT licence.
"""highway_bert: minbert with gated skip connections (highway networks, arXiv 1505.00387).

Notable:
- `y = C * x + T * F(x)` with learned gates instead of `y = x + F(x)`; coupled C = 1 - T, or C with its own weights;
- one gate per sublayer, evaluated once, per feature or per position (`HighwayGate`: hook it to read the gate values);
- gates start at weight zero and draw no random numbers, so one seed gives all arms of a comparison the same weights;
- `skip_connection: residual` is minbert to the bit;
- `gate_init: neutral` starts from exactly the outputs of the BERT it is loaded from.
"""

import torch
from torch import nn
from transformers import initialization as init

from .configuration_highway_bert import HighwayBertConfig
from .modeling_minbert import (
    MinBertForMaskedLM,
    MinBertForQuestionAnswering,
    MinBertForSequenceClassification,
    MinBertForTokenClassification,
    MinBertLayer,
    MinBertModel,
    MinBertOutput,
    MinBertPreTrainedModel,
)

# The kinds of gate are what is compared; every branch is reached by the configurations in the tests.
# trf-ignore: TRF041 config.skip_connection, config.gate_type, config.gate_coupling, config.gate_init


class HighwayGateLinear(nn.Linear):
    """A linear map whose weight starts at zero and whose bias starts at `initial_bias`."""

    initial_bias: float = 0.0

    def reset_parameters(self) -> None:
        # Drawing nothing here keeps the random stream, and so all other weights, the same as without gates.
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class HighwayGate(nn.Module):
    """The gates of one sublayer.

    Returns:
        Coupled: T, in (0, 1); the carry gate is 1 - T. Uncoupled: the pair (T, C), each in (0, 2).
        Shapes `(batch, seq, hidden)`, or `(batch, seq, 1)` for scalar gates.
    """

    def __init__(self, config: HighwayBertConfig):
        super().__init__()
        width = config.hidden_size if config.gate_type == "feature" else 1
        self.transform = HighwayGateLinear(config.hidden_size, width)
        self.transform.initial_bias = 0.0 if config.gate_init == "neutral" else float(config.gate_bias)
        self.carry = HighwayGateLinear(config.hidden_size, width) if config.gate_coupling == "uncoupled" else None

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Evaluate the gates on `(batch, seq, hidden)`."""
        if self.carry is None:
            return torch.sigmoid(self.transform(hidden_states))
        return 2 * torch.sigmoid(self.transform(hidden_states)), 2 * torch.sigmoid(self.carry(hidden_states))


class HighwayBertOutput(MinBertOutput):
    """Joins a sublayer's result with the stream through the gates, unless `skip_connection` is "residual"."""

    def __init__(self, config: HighwayBertConfig, input_size: int):
        super().__init__(config, input_size)
        self.gate = HighwayGate(config) if config.skip_connection == "highway" else None
        self.reads_stream = config.gate_input == "stream"
        if self.gate is not None and self.gate.carry is None and not self.pre_norm:
            # At T = 1/2 the LayerNorm sees half the residual sum; a quarter of eps makes the two exactly equal.
            self.LayerNorm.eps = config.layer_norm_eps / 4

    def join(self, update: torch.Tensor, stream: torch.Tensor, normed: torch.Tensor) -> torch.Tensor:
        if self.gate is None:
            return super().join(update, stream, normed)
        gates = self.gate(stream if self.reads_stream else normed)
        update = update.to(stream.dtype)  # autocast leaves the stream in fp32, and lerp wants one dtype
        if isinstance(gates, tuple):
            transform, carry = (gate.to(stream.dtype) for gate in gates)
            return torch.addcmul(carry * stream, transform, update)
        return torch.lerp(stream, update, gates.to(stream.dtype))


class HighwayBertLayer(MinBertLayer):
    """minbert's layer with gated skip connections."""

    output_class = HighwayBertOutput


class HighwayBertPreTrainedModel(MinBertPreTrainedModel):
    """Adds the initialisation of the gates."""

    config: HighwayBertConfig
    _no_split_modules = ["MinBertEmbeddings", "HighwayBertLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if not isinstance(module, HighwayGateLinear):
            super()._init_weights(module)
            return
        # Here and not for HighwayGate: of custom code, transformers asks only modules with parameters of their own.
        init.zeros_(module.weight)
        init.constant_(module.bias, module.initial_bias)


class HighwayBertModel(HighwayBertPreTrainedModel, MinBertModel):
    """The encoder, with a pooler on the first token if `add_pooling_layer`."""

    layer_class = HighwayBertLayer


class HighwayBertForMaskedLM(HighwayBertPreTrainedModel, MinBertForMaskedLM):
    """The encoder with a head that predicts the token at each position."""

    model_class = HighwayBertModel


class HighwayBertForSequenceClassification(HighwayBertPreTrainedModel, MinBertForSequenceClassification):
    """The encoder with a classifier (or a regression) on the pooled first token."""

    model_class = HighwayBertModel


class HighwayBertForTokenClassification(HighwayBertPreTrainedModel, MinBertForTokenClassification):
    """The encoder with a classifier on every token."""

    model_class = HighwayBertModel


class HighwayBertForQuestionAnswering(HighwayBertPreTrainedModel, MinBertForQuestionAnswering):
    """The encoder with a head that scores every token as start and as end of the answer."""

    model_class = HighwayBertModel


# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
HighwayBertConfig.register_for_auto_class()
HighwayBertModel.register_for_auto_class("AutoModel")
HighwayBertForMaskedLM.register_for_auto_class("AutoModelForMaskedLM")
HighwayBertForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
HighwayBertForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
HighwayBertForQuestionAnswering.register_for_auto_class("AutoModelForQuestionAnswering")

__all__ = [
    "HighwayBertForMaskedLM",
    "HighwayBertForQuestionAnswering",
    "HighwayBertForSequenceClassification",
    "HighwayBertForTokenClassification",
    "HighwayBertModel",
    "HighwayBertPreTrainedModel",
]
