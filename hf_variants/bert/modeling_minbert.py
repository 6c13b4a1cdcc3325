# Copyright 2026 The hf_variants authors. MIT licence.
"""minbert: a complete BERT encoder (arXiv 1810.04805), and the baseline that its variants differ from.

Notable:
- every parameter has the name it has in transformers' BERT, so any BERT checkpoint loads;
- normalisation after each sublayer (BERT) or before it (`norm_position`);
- no buffers, so nothing needs restoring after loading; tables are called, never sliced: LoRA on them, offloading and
  tensor parallelism hook the call;
- attention and masks through transformers' interfaces: eager, SDPA, Flash and Flex, and what others register;
- a variant replaces `MinBertLayer` and, in it, what attention compares (`MinBertSelfAttention.transform`, `finish`) or
  what joins a sublayer's result to the stream (`MinBertOutput.join`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_minbert import MinBertConfig

# Parts that the smaller published nets lack; every branch is reached by the configurations in the tests.
# trf-ignore: TRF041 config.type_vocab_size, config.embedding_norm, config.mlm_transform


class MinBertEmbeddings(nn.Module):
    """The sum of word, position and segment embeddings, normalised unless `embedding_norm` is False."""

    def __init__(self, config: MinBertConfig):
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size) if config.type_vocab_size else None
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.longest = config.max_position_embeddings

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embed ids `(batch, seq)`, or take `inputs_embeds`, and return `(batch, seq, hidden)`."""
        hidden_states = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        device, length = hidden_states.device, hidden_states.shape[1]
        if self.token_type_embeddings is not None:
            if token_type_ids is None:  # all tokens are of type 0; one row, broadcast, is cheaper than one per token
                token_type_ids = torch.zeros(1, dtype=torch.long, device=device)
            hidden_states = hidden_states + self.token_type_embeddings(token_type_ids).to(device)
        if position_ids is None:
            self.check_length(length)
            position_ids = torch.arange(length, device=device)
        hidden_states = hidden_states + self.position_embeddings(position_ids).to(device)
        if self.LayerNorm is not None:
            hidden_states = self.LayerNorm(hidden_states)
        return self.dropout(hidden_states)

    def check_length(self, length: int) -> None:
        """Raise ValueError where a sequence has more tokens than there are positions."""
        if length > self.longest:
            raise ValueError(
                f"the sequence has {length} tokens; allowed: max_position_embeddings, {self.longest}, or fewer"
            )


class MinBertIntermediate(nn.Module):
    """The first half of the feed-forward sublayer."""

    def __init__(self, config: MinBertConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map `(batch, seq, hidden)` to `(batch, seq, intermediate)`."""
        return self.intermediate_act_fn(self.dense(hidden_states))


class MinBertOutput(nn.Module):
    """The last step of a sublayer: project to the stream's width, join with the stream, normalise.

    The sublayer's only LayerNorm lives here under BERT's name. With `norm_position: pre` it is applied to what the
    sublayer reads (`read`) instead of to what it returns.
    """

    def __init__(self, config: MinBertConfig, input_size: int):
        super().__init__()
        self.dense = nn.Linear(input_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.pre_norm = config.norm_position == "pre"

    def read(self, stream: torch.Tensor) -> torch.Tensor:
        """Return what the sublayer reads from the stream, `(batch, seq, hidden)`."""
        return self.LayerNorm(stream) if self.pre_norm else stream

    def join(self, update: torch.Tensor, stream: torch.Tensor, normed: torch.Tensor) -> torch.Tensor:
        """Join a sublayer's result with the stream; `normed` is what it read. All are `(batch, seq, hidden)`."""
        return update + stream

    def forward(self, hidden_states: torch.Tensor, stream: torch.Tensor, normed: torch.Tensor) -> torch.Tensor:
        """Return the new stream, `(batch, seq, hidden)`."""
        joined = self.join(self.dropout(self.dense(hidden_states)), stream, normed)
        return joined if self.pre_norm else self.LayerNorm(joined)


def ready_mask(
    attention_mask: torch.Tensor | None, config: PreTrainedConfig, dtype: torch.dtype
) -> torch.Tensor | None:
    """Return a mask that means the same to every attention function; those of 2 dimensions pass.

    One of 4 dimensions, `(batch, 1 or heads, seq, keys)`, is boolean, True for keys that are seen, or added to the
    scores, which are of `dtype`.

    Raises:
        ValueError: the mask has another number of dimensions, is of another type, or flash or flex attention is set.
    """
    if not isinstance(attention_mask, torch.Tensor) or attention_mask.ndim == 2:
        return attention_mask
    if attention_mask.ndim != 4:
        raise ValueError(f"attention_mask has {attention_mask.ndim} dimensions; allowed: 2 or 4")
    implementation = config._attn_implementation
    if "flash" in implementation or "flex" in implementation:
        raise ValueError(f"attention_mask has 4 dimensions; allowed with {implementation}: 2")
    if attention_mask.dtype != torch.bool and not attention_mask.is_floating_point():
        raise ValueError(
            f"attention_mask has 4 dimensions and is of {attention_mask.dtype}; allowed: torch.bool or floating point"
        )
    return attention_mask if attention_mask.dtype == torch.bool else attention_mask.to(dtype)


def is_engines(implementation: str) -> bool:
    """Return whether attention is that of an engine, such as vLLM: it needs no masks, so transformers makes none."""
    return implementation.removeprefix("paged|") not in ALL_MASK_ATTENTION_FUNCTIONS.valid_keys()


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend in plain operations: `(batch, heads, seq, head)` in, `(batch, seq, heads, head)` and the weights out.

    As for SDPA, a mask is added or boolean, True for keys that are seen; without one, attention is causal if
    `is_causal` says so or, where that is None, the module. A query that sees no key gives 0.
    """
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is None and query.shape[2] > 1 and (module.is_causal if is_causal is None else is_causal):
        attention_mask = torch.ones(weights.shape[-2:], dtype=torch.bool, device=query.device).tril()
    hidden = None
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        hidden = ~attention_mask
    elif attention_mask is not None:
        hidden = attention_mask <= torch.finfo(attention_mask.dtype).min / 2
        weights = weights + attention_mask
    if hidden is not None:
        weights = weights.masked_fill(hidden, torch.finfo(weights.dtype).min)
    weights = nn.functional.softmax(weights, dim=-1)
    if hidden is not None:
        weights = weights.masked_fill(hidden.all(dim=-1, keepdim=True), 0.0)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class MinBertSelfAttention(nn.Module):
    """Multi-head attention without the output projection. A variant overrides `transform` and `finish`.

    Engines that bring their own attention (vLLM) read the source of `forward`: the call has to be there.
    """

    is_causal = False

    def __init__(self, config: MinBertConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_size = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_size**-0.5
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return `(batch, seq, hidden)` and, from eager attention only, the weights `(batch, heads, seq, seq)`."""
        query, key, value = self.transform(*self.project(hidden_states))
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attention_interface(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.dropout.p if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.finish(output).reshape(*hidden_states.shape[:-1], -1), weights

    def project(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values, each `(batch, heads, seq, head)`."""
        linears = self.query, self.key, self.value
        return tuple(self.split_heads(linear(hidden_states), self.head_size) for linear in linears)

    def split_heads(self, states: torch.Tensor, size: int) -> torch.Tensor:
        """Map `(batch, seq, heads * size)` to `(batch, heads, seq, size)`; of a tensor-parallel model, its heads."""
        return states.view(*states.shape[:-1], -1, size).transpose(1, 2)

    def transform(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what attention is called with, each `(batch, heads, seq, any size)`."""
        return query, key, value

    def finish(self, output: torch.Tensor) -> torch.Tensor:
        """Return the result `(batch, seq, heads, head)` of what attention returned."""
        return output


class MinBertAttention(nn.Module):
    """The attention sublayer."""

    def __init__(
        self,
        config: MinBertConfig,
        layer_idx: int,
        attention_class: type[MinBertSelfAttention],
        output_class: type[MinBertOutput],
    ):
        super().__init__()
        self.self = attention_class(config, layer_idx)
        self.output = output_class(config, config.hidden_size)

    def forward(
        self, stream: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor:
        """Return the new stream, `(batch, seq, hidden)`."""
        normed = self.output.read(stream)
        hidden_states, _ = self.self(normed, attention_mask, **kwargs)
        return self.output(hidden_states, stream, normed)


class MinBertLayer(GradientCheckpointingLayer):
    """An attention sublayer and a feed-forward sublayer. A variant sets `attention_class` or `output_class`."""

    attention_class: type[MinBertSelfAttention] = MinBertSelfAttention
    output_class: type[MinBertOutput] = MinBertOutput

    def __init__(self, config: MinBertConfig, layer_idx: int):
        super().__init__()
        self.attention = MinBertAttention(config, layer_idx, self.attention_class, self.output_class)
        self.intermediate = MinBertIntermediate(config)
        self.output = self.output_class(config, config.intermediate_size)

    def forward(
        self, stream: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor:
        """Return the new stream, `(batch, seq, hidden)`."""
        stream = self.attention(stream, attention_mask, **kwargs)
        normed = self.output.read(stream)
        return self.output(self.intermediate(normed), stream, normed)


class MinBertEncoder(nn.Module):
    """All layers and, with `norm_position: pre`, the final LayerNorm."""

    def __init__(self, config: MinBertConfig, layer_class: type[MinBertLayer]):
        super().__init__()
        self.layer = nn.ModuleList([layer_class(config, layer_idx) for layer_idx in range(config.num_hidden_layers)])
        pre_norm = config.norm_position == "pre"
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if pre_norm else None

    def forward(
        self, stream: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor:
        """Return the last hidden state, `(batch, seq, hidden)`."""
        for layer in self.layer:
            stream = layer(stream, attention_mask, **kwargs)
        return stream if self.LayerNorm is None else self.LayerNorm(stream)


class MinBertPooler(nn.Module):
    """A tanh layer on the first token."""

    def __init__(self, config: MinBertConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map `(batch, seq, hidden)` to `(batch, hidden)`."""
        return self.activation(self.dense(hidden_states[:, 0]))


class MinBertPredictionHeadTransform(nn.Module):
    """The hidden layer of the masked-token head."""

    def __init__(self, config: MinBertConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.transform_act_fn = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Keep the shape `(batch, seq, hidden)`."""
        return self.LayerNorm(self.transform_act_fn(self.dense(hidden_states)))


class MinBertLMPredictionHead(nn.Module):
    """Scores every token of the vocabulary at each position."""

    def __init__(self, config: MinBertConfig):
        super().__init__()
        self.transform = MinBertPredictionHeadTransform(config) if config.mlm_transform else None
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        # BERT checkpoints hold the decoder's bias a second time, here. Untied it would be a parameter without use.
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.tie_word_embeddings else None

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map `(batch, seq, hidden)` to `(batch, seq, vocab)`."""
        return self.decoder(hidden_states if self.transform is None else self.transform(hidden_states))


# trf-ignore: TRF026 (without this level the names would not be BERT's)
class MinBertOnlyMLMHead(nn.Module):
    """Holds the masked-token head under BERT's name for it, `cls.predictions`."""

    def __init__(self, config: MinBertConfig):
        super().__init__()
        self.predictions = MinBertLMPredictionHead(config)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map `(batch, seq, hidden)` to `(batch, seq, vocab)`."""
        return self.predictions(hidden_states)


class MinBertPreTrainedModel(PreTrainedModel):
    """What all models of the family share: initialisation, and what transformers may do with them."""

    config: MinBertConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    _no_split_modules = ["MinBertEmbeddings", "MinBertLayer"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": MinBertLayer, "attentions": MinBertSelfAttention}
    # Parts of BERT's pretraining that have no place here, and a buffer of old checkpoints.
    _keys_to_ignore_on_load_unexpected = [r"(^|\.)embeddings\.position_ids$", r"^cls\."]

    def engine_problem(self) -> str | None:
        """Return why an engine that brings its own attention would run this model wrongly, None where it would not."""
        return None if self._supports_attention_backend else "it would compute something else"

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """Return the attention to use.

        Raises:
            ValueError: transformers doesn't know it, or an engine brings it that would run this model wrongly.
        """
        implementation = super().get_correct_attn_implementation(requested_attention, is_init_check)
        problem = self.engine_problem()
        if problem is not None and is_engines(implementation):
            raise ValueError(
                f"{type(self).__name__} can't run in an engine: {problem}. attn_implementation is {implementation}; "
                "allowed: eager, sdpa and others that transformers makes masks for"
            )
        return implementation

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MinBertLMPredictionHead) and module.bias is not None:
            init.zeros_(module.bias)


class MinBertModel(MinBertPreTrainedModel):
    """The encoder, with a pooler on the first token if `add_pooling_layer`."""

    layer_class: type[MinBertLayer] = MinBertLayer

    def __init__(self, config: MinBertConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.gradient_checkpointing = False
        self.embeddings = MinBertEmbeddings(config)
        self.encoder = MinBertEncoder(config, self.layer_class)
        self.pooler = MinBertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings.word_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | BaseModelOutputWithPooling:
        """Encode ids `(batch, seq)` or embeddings `(batch, seq, hidden)`.

        Args:
            attention_mask: `(batch, seq)`, 1 for tokens and 0 for padding, of any type, or a ready mask of 4
                dimensions, see `ready_mask`.
            position_ids: `(batch, seq)`; counted from 0 at the first column, padding or not, if missing.

        Returns:
            `last_hidden_state` `(batch, seq, hidden)` and `pooler_output` `(batch, hidden)`.

        Raises:
            ValueError: not exactly one of `input_ids` and `inputs_embeds` was given, the sequence is too long, the
                mask is none that every attention function understands, or `is_causal` is True.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("exactly one of input_ids and inputs_embeds must be given")
        if kwargs.get("is_causal"):
            raise ValueError("is_causal is True; allowed: False, this is an encoder")
        stream = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        if attention_mask is not None:
            attention_mask = create_bidirectional_mask(
                config=self.config,
                inputs_embeds=stream,
                attention_mask=ready_mask(attention_mask, self.config, stream.dtype),
            )
        hidden_states = self.encoder(stream, attention_mask, position_ids=position_ids, **kwargs)
        pooled = self.pooler(hidden_states) if self.pooler is not None else None
        return BaseModelOutputWithPooling(last_hidden_state=hidden_states, pooler_output=pooled)


class MinBertForMaskedLM(MinBertPreTrainedModel):
    """The encoder with a head that predicts the token at each position."""

    model_class: type[MinBertModel] = MinBertModel
    _tied_weights_keys = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    _keys_to_ignore_on_load_unexpected = [
        r"(^|\.)embeddings\.position_ids$",
        r"^cls\.seq_relationship\.",
        r"^(bert\.)?pooler\.",
    ]

    def __init__(self, config: MinBertConfig):
        super().__init__(config)
        self.bert = self.model_class(config, add_pooling_layer=False)
        self.cls = MinBertOnlyMLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.cls.predictions.decoder = new_embeddings
        if self.cls.predictions.bias is not None:
            self.cls.predictions.bias = new_embeddings.bias

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        prediction_mask: torch.BoolTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | MaskedLMOutput:
        """Return `logits` `(batch, seq, vocab)`, and the mean loss over labels `(batch, seq)` other than -100.

        Where a `prediction_mask` `(batch, seq)` is given, the logits are `(predicted, vocab)`, of those positions only
        and in their order: with 15 % of the tokens to predict, the others' are most of what a small net computes.
        """
        outputs = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        hidden_states = outputs.last_hidden_state
        logits = self.cls(hidden_states if prediction_mask is None else hidden_states[prediction_mask])
        loss = None
        if labels is not None and prediction_mask is not None:
            labels = labels[prediction_mask]
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


def classifier_dropout(config: MinBertConfig) -> nn.Dropout:
    """Return the dropout before a classifier."""
    return nn.Dropout(config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout)


def accumulated_share(
    config: PreTrainedConfig, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, **kwargs: Any
) -> torch.Tensor | float:
    """Return the factor from a batch's mean loss to its part of the mean over all batches of an optimizer step.

    transformers' loss looks at `num_items_in_batch`, the labels of all these batches, for single labels only.
    """
    if num_items_in_batch is None or config.problem_type == "single_label_classification":
        return 1.0
    return labels.numel() / num_items_in_batch


class MinBertForSequenceClassification(MinBertPreTrainedModel):
    """The encoder with a classifier (or a regression) on the pooled first token."""

    model_class: type[MinBertModel] = MinBertModel
    _supports_attention_backend = False  # vLLM's classifier leaves the pooler out

    def __init__(self, config: MinBertConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = self.model_class(config)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | SequenceClassifierOutput:
        """Return `logits` `(batch, num_labels)`; labels are `(batch,)`, or `(batch, num_labels)` for multi-label."""
        outputs = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.classifier(self.dropout(outputs.pooler_output))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
            loss = loss * accumulated_share(self.config, labels, **kwargs)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class MinBertForTokenClassification(MinBertPreTrainedModel):
    """The encoder with a classifier on every token."""

    model_class: type[MinBertModel] = MinBertModel
    _keys_to_ignore_on_load_unexpected = [r"(^|\.)embeddings\.position_ids$", r"^cls\.", r"^(bert\.)?pooler\."]

    def __init__(self, config: MinBertConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = self.model_class(config, add_pooling_layer=False)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | TokenClassifierOutput:
        """Return `logits` `(batch, seq, num_labels)`, and the mean loss over labels `(batch, seq)` other than -100."""
        outputs = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, config=self.config, **kwargs)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class MinBertForQuestionAnswering(MinBertPreTrainedModel):
    """The encoder with a head that scores every token as start and as end of the answer."""

    model_class: type[MinBertModel] = MinBertModel
    _keys_to_ignore_on_load_unexpected = [r"(^|\.)embeddings\.position_ids$", r"^cls\.", r"^(bert\.)?pooler\."]

    def __init__(self, config: MinBertConfig):
        super().__init__(config)
        self.bert = self.model_class(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        start_positions: torch.LongTensor | None = None,
        end_positions: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | QuestionAnsweringModelOutput:
        """Return `start_logits` and `end_logits` `(batch, seq)`; the two positions are `(batch,)`."""
        outputs = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        start_logits, end_logits = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = self.loss_function(start_logits, end_logits, start_positions, end_positions, **kwargs)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits.contiguous(),
            end_logits=end_logits.contiguous(),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
MinBertConfig.register_for_auto_class()
MinBertModel.register_for_auto_class("AutoModel")
MinBertForMaskedLM.register_for_auto_class("AutoModelForMaskedLM")
MinBertForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
MinBertForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
MinBertForQuestionAnswering.register_for_auto_class("AutoModelForQuestionAnswering")

__all__ = [
    "MinBertForMaskedLM",
    "MinBertForQuestionAnswering",
    "MinBertForSequenceClassification",
    "MinBertForTokenClassification",
    "MinBertModel",
    "MinBertPreTrainedModel",
]
