# Copyright 2026 The hf_variants authors. MIT licence.
"""nanogpt: a complete GPT-2 decoder (Radford et al., 2019), and the baseline that its variants differ from.

Notable:
- every parameter has the name and the layout it has in transformers' GPT-2, so any GPT-2 checkpoint loads as it is,
  and what is trained here loads there;
- pre-norm blocks, queries, keys and values from one product, tanh-GELU, tied head, learned positions, no buffers;
- missing positions are counted from each row's first real token, so left padding needs no `position_ids`;
- attention and masks through transformers' interfaces: eager, SDPA, Flash and Flex;
- positions that start again inside a row pack several documents into it, none of which sees another.
"""

from collections.abc import Callable

import torch
from torch import nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.pytorch_utils import Conv1D  # a linear map whose weight is (in, out); PEFT knows it
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_nanogpt import NanoGptConfig


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend in plain operations: `(batch, heads, seq, head)` in, `(batch, seq, heads, head)` and the weights out.

    As for SDPA, a mask is a number to add or says who sees whom, and none means causal attention.
    """
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is None and query.shape[2] > 1:
        attention_mask = torch.ones(weights.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        weights = weights.masked_fill(~attention_mask, torch.finfo(weights.dtype).min)
    elif attention_mask is not None:
        weights = weights + attention_mask
    weights = nn.functional.softmax(weights, dim=-1)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class NanoGptMLP(nn.Module):
    """The feed-forward sublayer."""

    # trf-ignore: TRF029 (a variant has blocks of several widths in one model)
    def __init__(self, config: NanoGptConfig, hidden_size: int):
        super().__init__()
        intermediate_size = (config.intermediate_size or 4 * config.hidden_size) * hidden_size // config.hidden_size
        self.c_fc = Conv1D(intermediate_size, hidden_size)
        self.c_proj = Conv1D(hidden_size, intermediate_size)
        self.act = ACT2FN[config.hidden_act]
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Keep the shape `(batch, seq, hidden)`."""
        return self.dropout(self.c_proj(self.act(self.c_fc(hidden_states))))


class NanoGptAttention(nn.Module):
    """Causal multi-head self-attention. A variant overrides `attend`."""

    is_causal = True

    # trf-ignore: TRF029 (a variant has blocks of several widths in one model)
    def __init__(self, config: NanoGptConfig, layer_idx: int, hidden_size: int, num_attention_heads: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_size = hidden_size // num_attention_heads
        self.scaling = self.head_size**-0.5
        self.c_attn = Conv1D(3 * hidden_size, hidden_size)
        self.c_proj = Conv1D(hidden_size, hidden_size)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend from `(batch, heads, seq, head)` to keys of that shape; return `(batch, seq, heads, head)`."""
        interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.attn_dropout.p if self.training else 0.0
        return interface(self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return `(batch, seq, hidden)` and, from eager attention only, the weights `(batch, heads, seq, keys)`."""
        shape = (*hidden_states.shape[:-1], 3, -1, self.head_size)
        query, key, value = self.c_attn(hidden_states).view(shape).permute(2, 0, 3, 1, 4)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        output, weights = self.attend(query, key, value, attention_mask, **kwargs)
        return self.resid_dropout(self.c_proj(output.reshape(hidden_states.shape))), weights


class NanoGptBlock(GradientCheckpointingLayer):
    """An attention sublayer and a feed-forward sublayer, each reading the stream through a LayerNorm.

    Width and heads are arguments, so that a variant may have blocks of several widths.
    """

    attention_class: type[NanoGptAttention] = NanoGptAttention

    # trf-ignore: TRF029 (a variant has blocks of several widths in one model)
    def __init__(self, config: NanoGptConfig, layer_idx: int, hidden_size: int, num_attention_heads: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(hidden_size, eps=config.layer_norm_eps)
        self.attn = self.attention_class(config, layer_idx, hidden_size, num_attention_heads)
        self.ln_2 = nn.LayerNorm(hidden_size, eps=config.layer_norm_eps)
        self.mlp = NanoGptMLP(config, hidden_size)

    def forward(
        self,
        stream: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        """Return the new stream, `(batch, seq, hidden)`."""
        update, _ = self.attn(self.ln_1(stream), attention_mask, past_key_values, **kwargs)
        stream = stream + update
        return stream + self.mlp(self.ln_2(stream))


class NanoGptPreTrainedModel(PreTrainedModel):
    """What all models of the family share: initialisation, and what transformers may do with them."""

    config: NanoGptConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ["NanoGptBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": NanoGptBlock, "attentions": NanoGptAttention}
    # Buffers of old GPT-2 checkpoints.
    _keys_to_ignore_on_load_unexpected = [r"attn\.bias$", r"attn\.masked_bias$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Conv1D):
            init.normal_(module.weight, std=self.config.initializer_range * getattr(module, "init_scale", 1.0))
            init.zeros_(module.bias)


class NanoGptModel(NanoGptPreTrainedModel):
    """The decoder without a head."""

    block_class: type[NanoGptBlock] = NanoGptBlock

    def __init__(self, config: NanoGptConfig):
        super().__init__(config)
        self.gradient_checkpointing = False
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.wpe = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.add_blocks(config)
        for block in self.h:  # so that the variance of the stream does not grow with depth
            block.attn.c_proj.init_scale = block.mlp.c_proj.init_scale = (2 * config.num_hidden_layers) ** -0.5
        self.post_init()

    def add_blocks(self, config: NanoGptConfig) -> None:
        """Register the blocks as `h`, in the order in which they run. A variant may have other blocks."""
        sizes = config.hidden_size, config.num_attention_heads
        self.h = nn.ModuleList([self.block_class(config, index, *sizes) for index in range(config.num_hidden_layers)])

    def get_input_embeddings(self) -> nn.Embedding:
        return self.wte

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.wte = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | BaseModelOutputWithPast:
        """Decode ids `(batch, seq)` or embeddings `(batch, seq, hidden)`.

        Args:
            attention_mask: `(batch, past + seq)`, 1 for tokens and 0 for padding, or a ready mask of 4 dimensions.
            position_ids: `(batch, seq)`; counted from each row's first real token if missing. Where they start again
                (and neither mask nor cache is given), a new document starts, which does not see those before it.
            past_key_values: keys and values of the tokens before these; updated in place.

        Returns:
            `last_hidden_state` `(batch, seq, hidden)` and, with `use_cache`, `past_key_values`.

        Raises:
            ValueError: not exactly one of `input_ids` and `inputs_embeds` was given, there is no token in them, an id
                is unknown (on a CPU), or the sequence is too long.
        """
        stream = self.embed(input_ids, inputs_embeds, attention_mask, position_ids, past_key_values)
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=stream,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        use_cache = use_cache and not (self.gradient_checkpointing and self.training)
        if use_cache and past_key_values is None:  # after the mask: with a cache, packed documents go unnoticed
            past_key_values = DynamicCache(config=self.config)
        stream = self.run_blocks(stream, mask, past_key_values, position_ids=position_ids, **kwargs)
        return BaseModelOutputWithPast(
            last_hidden_state=self.ln_f(stream), past_key_values=past_key_values if use_cache else None
        )

    def run_blocks(
        self,
        stream: torch.Tensor,
        mask: torch.Tensor | None,
        past_key_values: Cache | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        """Return the stream `(batch, seq, hidden)` after all layers. A variant may apply a block more than once."""
        for block in self.h:
            stream = block(stream, mask, past_key_values, **kwargs)
        return stream

    def embed(
        self,
        input_ids: torch.LongTensor | None,
        inputs_embeds: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        position_ids: torch.LongTensor | None,
        past_key_values: Cache | None,
    ) -> torch.Tensor:
        """Return the sum of token and position embeddings, `(batch, seq, hidden)`; see `forward`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("exactly one of input_ids and inputs_embeds must be given")
        shape = (input_ids if inputs_embeds is None else inputs_embeds).shape
        if shape[1] == 0:
            raise ValueError("the input has no tokens; allowed: 1 or more")
        seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        tokens = self.look_up(input_ids) if inputs_embeds is None else inputs_embeds
        return self.drop(tokens + self.positions(shape[1], seen, attention_mask, position_ids))

    def look_up(self, input_ids: torch.LongTensor) -> torch.Tensor:
        """Return the token embeddings, `(batch, seq, hidden)`."""
        if torch.compiler.is_compiling():
            return self.wte(input_ids)
        try:
            return self.wte(input_ids)
        except IndexError:  # on a CPU; elsewhere the device itself complains, and looking first would make it wait
            unknown = input_ids[(input_ids < 0) | (input_ids >= self.wte.num_embeddings)]
            raise ValueError(
                f"input_ids has the unknown id {int(unknown[0])}; allowed: 0 to {self.wte.num_embeddings - 1}"
            ) from None

    def positions(
        self, length: int, seen: int, attention_mask: torch.Tensor | None, position_ids: torch.LongTensor | None
    ) -> torch.Tensor:
        """Return position embeddings, `(seq, hidden)` or `(batch, seq, hidden)`."""
        longest, end = self.config.max_position_embeddings, seen + length
        if position_ids is None and attention_mask is not None and attention_mask.ndim == 2:
            position_ids = (attention_mask.long().cumsum(-1)[:, -length:] - 1).clamp(min=0)
        if end > longest and (position_ids is None or int(position_ids.max()) >= longest):
            raise ValueError(f"the sequence has {end} tokens; allowed: max_position_embeddings, {longest}, or fewer")
        return self.wpe.weight[seen:end] if position_ids is None else self.wpe(position_ids)


class NanoGptForCausalLM(NanoGptPreTrainedModel, GenerationMixin):
    """The decoder with a head that predicts the next token."""

    model_class: type[NanoGptModel] = NanoGptModel
    _tied_weights_keys = {"lm_head.weight": "transformer.wte.weight"}

    def __init__(self, config: NanoGptConfig):
        super().__init__(config)
        self.transformer = self.model_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | CausalLMOutputWithPast:
        """Return `logits` `(batch, seq, vocab)`, of the last `logits_to_keep` positions only if that is not 0.

        The loss is the mean over labels `(batch, seq)` other than -100; they are shifted here, so give the input ids.
        """
        outputs = self.transformer(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None if labels is None else self.token_loss(logits, labels, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def token_loss(
        self, logits: torch.Tensor, labels: torch.LongTensor, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor:
        """Return the mean loss in nats of predicting each next one of `labels` `(batch, seq)`."""
        return self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)


class NanoGptForSequenceClassification(NanoGptPreTrainedModel):
    """The decoder with a classifier (or a regression) on each row's last real token."""

    model_class: type[NanoGptModel] = NanoGptModel

    def __init__(self, config: NanoGptConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = self.model_class(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def last_token(self, input_ids: torch.LongTensor | None, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Return the column of each row's last real token, by mask or `pad_token_id`: `(batch,)`, or one for all."""
        real = attention_mask if attention_mask is not None and attention_mask.ndim == 2 else None
        if real is None and input_ids is not None and self.config.pad_token_id is not None:
            real = input_ids != self.config.pad_token_id
        if real is None:
            return torch.tensor(-1)
        return (real.long() * torch.arange(1, real.shape[1] + 1, device=real.device)).argmax(-1)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | SequenceClassifierOutputWithPast:
        """Return `logits` `(batch, num_labels)`; labels are `(batch,)`, or `(batch, num_labels)` for multi-label."""
        outputs = self.transformer(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        hidden_states = outputs.last_hidden_state
        rows = torch.arange(hidden_states.shape[0], device=hidden_states.device)
        logits = self.score(hidden_states[rows, self.last_token(input_ids, attention_mask)])
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
NanoGptConfig.register_for_auto_class()
NanoGptModel.register_for_auto_class("AutoModel")
NanoGptForCausalLM.register_for_auto_class("AutoModelForCausalLM")
NanoGptForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = [
    "NanoGptForCausalLM",
    "NanoGptForSequenceClassification",
    "NanoGptModel",
    "NanoGptPreTrainedModel",
]
