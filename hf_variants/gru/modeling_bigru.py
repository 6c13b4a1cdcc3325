# Copyright 2026 The hf_variants authors. MIT licence.
"""bigru: word embeddings, a bidirectional GRU (arXiv 1406.1078) and a pooled vector: a small, fast text classifier.

Notable:
- padding never matters, wherever it is: both directions read a row's real tokens first, what they make of padding is
  thrown away, and a row without tokens has states of 0;
- no packed sequences: on a CPU their backward pass takes time quadratic in the length (each of its steps fills a
  tensor as large as the batch). Rows are sorted by length instead and read in chunks of columns, each by the rows that
  still have tokens there; with long and short texts in a batch that is also faster than to read the padding;
- either direction is a GRU of its own, so that every row can be reversed about its own end;
- initialised as Keras does it, from where the published net comes;
- no attention between tokens, so `attn_implementation` has nothing to choose.
"""

from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_bigru import BiGRUConfig

CHUNK = 32  # columns read at a time: fewer waste less on texts that end within them, more need fewer calls


class ReadingOrder(NamedTuple):
    """The order in which one direction reads a batch. Positions count through the flattened batch, row by row."""

    positions: torch.LongTensor  # (batch * seq,): longest text first; of each its tokens as read, then its padding
    places: torch.LongTensor  # (batch * seq,): where in that order each position of the batch is
    rows: list[int]  # for every chunk of columns, how many rows have tokens there


def reading_orders(mask: torch.BoolTensor) -> tuple[ReadingOrder, ReadingOrder]:
    """Return the order forwards and the order backwards for a mask `(batch, seq)`, True for real tokens."""
    batch, length = mask.shape
    lengths, lines = mask.sum(dim=1).sort(descending=True, stable=True)
    starts = torch.arange(0, length, CHUNK, device=mask.device)
    rows = (lengths > starts[:, None]).sum(dim=1).tolist()
    forwards = (~mask).int().argsort(dim=1, stable=True)
    backwards = length - 1 - (~mask.flip(1)).int().argsort(dim=1, stable=True)
    orders = []
    for columns in (forwards, backwards):
        positions = (lines[:, None] * length + columns[lines]).flatten()
        places = torch.empty_like(positions)
        places[positions] = torch.arange(batch * length, device=mask.device)
        orders.append(ReadingOrder(positions, places, rows))
    return orders[0], orders[1]


def without_traces(gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient of a state with 0 for what is below 1e-30.

    On its way to 0 through hundreds of words a gradient passes the numbers below float32's normal range, and on a CPU
    these few steps would take longer than all others together.
    """
    return nn.functional.hardshrink(gradient, 1e-30)


class BiGRUDirection(nn.GRU):
    """One direction of a layer."""

    def forward(self, hidden_states: torch.Tensor, order: ReadingOrder) -> torch.Tensor:
        """Map `(batch, seq, input)` to the state after each token, `(batch, seq, hidden)`; at padding it is undefined.

        With h the state and x the token: r, z = sigmoid of their own W x + b + U h + c each, n = tanh(W x + b +
        r (U h + c)), and the new state is (1 - z) n + z h. That is Keras' GRU with `reset_after` (arXiv 1412.3555).
        """
        shape = hidden_states.shape
        ordered = hidden_states.flatten(0, 1).index_select(0, order.positions).view(shape)
        state = ordered.new_zeros(1, shape[0], self.hidden_size)
        pieces = [ordered.new_zeros(shape[0], 0, self.hidden_size)]
        for chunk, rows in zip(ordered.split(CHUNK, dim=1), order.rows, strict=False):
            if rows == 0:
                break
            states, state = super().forward(chunk[:rows], state[:, :rows])
            if state.requires_grad:
                state.register_hook(without_traces)
            pieces.append(nn.functional.pad(states, (0, 0, 0, 0, 0, shape[0] - rows)))
        read = torch.cat(pieces, dim=1)
        read = nn.functional.pad(read, (0, 0, 0, shape[1] - read.shape[1]))
        return read.flatten(0, 1).index_select(0, order.places).view(*shape[:2], self.hidden_size)


class BiGRULayer(GradientCheckpointingLayer):
    """Both directions of a layer, side by side."""

    def __init__(self, config: BiGRUConfig, layer_idx: int):
        super().__init__()
        size = 2 * config.hidden_size if layer_idx else config.embedding_size
        self.dropout = nn.Dropout(config.hidden_dropout_prob if layer_idx else 0.0)
        self.forwards = BiGRUDirection(size, config.hidden_size, batch_first=True)
        self.backwards = BiGRUDirection(size, config.hidden_size, batch_first=True)

    def forward(
        self, hidden_states: torch.Tensor, mask: torch.BoolTensor, forwards: ReadingOrder, backwards: ReadingOrder
    ) -> torch.Tensor:
        """Map `(batch, seq, input)` to `(batch, seq, 2 * hidden)`, with 0 where the mask `(batch, seq)` is False."""
        hidden_states = self.dropout(hidden_states)
        states = torch.cat([self.forwards(hidden_states, forwards), self.backwards(hidden_states, backwards)], dim=-1)
        return states.masked_fill(~mask[..., None], 0.0)


class BiGRUPooler(nn.Module):
    """Makes one vector of a text's states; of a text without tokens it is 0."""

    def __init__(self, config: BiGRUConfig):
        super().__init__()
        self.pooling = config.pooling
        width, attends = 2 * config.hidden_size, config.pooling == "attention"
        self.projection = nn.Linear(width, width) if attends else None
        self.query = nn.Linear(width, 1, bias=False) if attends else None

    def forward(self, states: torch.Tensor, mask: torch.BoolTensor) -> torch.Tensor:
        """Map states `(batch, seq, 2 * hidden)` and a mask `(batch, seq)` to `(batch, 2 * hidden)`."""
        if states.shape[1] == 0:
            return states.new_zeros(states.shape[0], states.shape[2])
        if self.pooling == "last":
            return self.last(states, mask)
        if self.pooling == "max":
            highest = states.masked_fill(~mask[..., None], torch.finfo(states.dtype).min).amax(dim=1)
            return highest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        if self.pooling == "mean":
            return states.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (self.weights(states, mask) * states).sum(dim=1)

    def last(self, states: torch.Tensor, mask: torch.BoolTensor) -> torch.Tensor:
        """Return the forward half at the last real token beside the backward half at the first, `(batch, 2 * hidden)`.

        These are the states in which either direction has read the whole text.
        """
        lines = torch.arange(mask.shape[0], device=mask.device)
        first = mask.int().argmax(dim=1)
        last = mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1)
        forwards, backwards = states.chunk(2, dim=-1)
        return torch.cat([forwards[lines, last], backwards[lines, first]], dim=-1)

    def weights(self, states: torch.Tensor, mask: torch.BoolTensor) -> torch.Tensor:
        """Return each token's share, `(batch, seq, 1)`: softmax of q tanh(W h + b) (Yang et al., 2016, eq. 5-7)."""
        scores = self.query(torch.tanh(self.projection(states)))
        # The lowest number rather than -inf: a row without tokens must not become NaN.
        return scores.masked_fill(~mask[..., None], torch.finfo(scores.dtype).min).softmax(dim=1)


class BiGRUPreTrainedModel(PreTrainedModel):
    """What all models of the family share: initialisation, and what transformers may do with them."""

    config: BiGRUConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["BiGRULayer"]
    _can_record_outputs = {"hidden_states": BiGRULayer}

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return False  # there is none; engines that bring theirs ask

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise like Keras: embeddings uniform, matrices Glorot-uniform, recurrent ones orthogonal, biases 0."""
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.uniform_(module.weight, -self.config.initializer_range, self.config.initializer_range)
            # A row is a new tensor without the mark of a loaded one, so the mark has to be looked for here.
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.GRU):
            # All three gates at once, as in Keras: the columns of the whole recurrent matrix are orthonormal.
            init.xavier_uniform_(module.weight_ih_l0)
            init.orthogonal_(module.weight_hh_l0)
            init.zeros_(module.bias_ih_l0)
            init.zeros_(module.bias_hh_l0)


class BiGRUModel(BiGRUPreTrainedModel):
    """The encoder and the pooler."""

    layer_class: type[BiGRULayer] = BiGRULayer

    def __init__(self, config: BiGRUConfig):
        super().__init__(config)
        self.gradient_checkpointing = False
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.spatial_dropout = nn.Dropout1d(config.spatial_dropout)
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList([self.layer_class(config, layer_idx) for layer_idx in layers])
        self.pooler = BiGRUPooler(config)
        self.post_init()

    def embed(self, input_ids: torch.LongTensor) -> torch.Tensor:
        """Embed ids `(batch, seq)`, `(batch, seq, embedding)`."""
        if input_ids.numel() == 0:
            input_ids = input_ids.long()  # a tokenizer makes floats of a text in which it finds no token
        return self.embed_tokens(input_ids)

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | BaseModelOutputWithPooling:
        """Encode ids `(batch, seq)` or embeddings `(batch, seq, embedding)`.

        Args:
            attention_mask: `(batch, seq)`, 1 for tokens and 0 for padding, which may be anywhere; all are tokens if it
                is missing.

        Returns:
            `last_hidden_state` `(batch, seq, 2 * hidden)`, forward beside backward, 0 at padding, and `pooler_output`
            `(batch, 2 * hidden)`. Of the `hidden_states` the first, the embeddings, is `(batch, seq, embedding)`.

        Raises:
            ValueError: not exactly one of `input_ids` and `inputs_embeds` was given, the mask is of another shape, or
                `is_causal` is True.
            NotImplementedError: `torch.jit.trace` is at work, for which the steps depend on the texts.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("exactly one of input_ids and inputs_embeds must be given")
        if kwargs.get("is_causal"):
            raise ValueError("is_causal is True; allowed: False, this is an encoder that reads both ways")
        if torch.jit.is_tracing():
            raise NotImplementedError(
                "torch.jit.trace keeps the lengths of the texts that it is called with; allowed: the model itself"
            )
        hidden_states = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        shape = hidden_states.shape[:2]
        if attention_mask is None:
            attention_mask = torch.ones(shape, device=hidden_states.device)
        if attention_mask.shape != shape:
            raise ValueError(f"attention_mask is of shape {tuple(attention_mask.shape)}; allowed: {tuple(shape)}")
        mask = attention_mask.bool()
        orders = reading_orders(mask)
        hidden_states = self.spatial_dropout(hidden_states.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask, *orders)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden_states, pooler_output=self.pooler(hidden_states, mask.to(hidden_states.device))
        )


def accumulated_share(
    config: PreTrainedConfig, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, **kwargs: Any
) -> torch.Tensor | float:
    """Return the factor from a batch's mean loss to its part of the mean over all batches of an optimizer step.

    transformers' loss looks at `num_items_in_batch`, the labels of all these batches, for single labels only.
    """
    if num_items_in_batch is None or config.problem_type == "single_label_classification":
        return 1.0
    return labels.numel() / num_items_in_batch


class BiGRUForSequenceClassification(BiGRUPreTrainedModel):
    """The encoder with a classifier (or a regression) on the pooled states."""

    model_class: type[BiGRUModel] = BiGRUModel

    def __init__(self, config: BiGRUConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = self.model_class(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(2 * config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | SequenceClassifierOutput:
        """Return `logits` `(batch, num_labels)`.

        Labels are `(batch,)`, or `(batch, num_labels)` for multi-label, there of any type; with one label either.
        """
        outputs = self.model(input_ids, attention_mask, inputs_embeds, return_dict=True, **kwargs)
        logits = self.classifier(self.dropout(outputs.pooler_output))
        loss = None
        if labels is not None:
            if self.config.problem_type == "multi_label_classification":
                labels = labels.to(logits.dtype).view(-1, self.num_labels)
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
            loss = loss * accumulated_share(self.config, labels, **kwargs)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=outputs.hidden_states)


# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
BiGRUConfig.register_for_auto_class()
BiGRUModel.register_for_auto_class("AutoModel")
BiGRUForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["BiGRUForSequenceClassification", "BiGRUModel", "BiGRUPreTrainedModel"]
