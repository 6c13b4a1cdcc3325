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
from dataclasses import fields
from typing import Any

import torch
from torch import nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import (
    ALL_MASK_ATTENTION_FUNCTIONS,
    create_causal_mask,
    packed_sequence_mask_function,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.processing_utils import Unpack
from transformers.pytorch_utils import Conv1D  # a linear map whose weight is (in, out); PEFT knows it
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_nanogpt import NanoGptConfig

# What transformers' outputs and `generate` call a cache: past_key_values, from 5.24 on cache.
CACHE_NAME = fields(BaseModelOutputWithPast)[1].name


def given_cache(past_key_values: Cache | None, kwargs: dict[str, Any]) -> Cache | None:
    """Return the cache of a call by whichever name it came, and take its other name, `cache`, out of `kwargs`.

    Before 5.24 that is also the name of paged attention's, which is no `Cache`; it stays, for the attention function.

    Raises:
        ValueError: there are two.
    """
    if "cache" not in kwargs or (CACHE_NAME != "cache" and not isinstance(kwargs["cache"], Cache | None)):
        return past_key_values
    cache = kwargs.pop("cache")
    if cache is None:
        return past_key_values
    if past_key_values is not None:
        raise ValueError("both past_key_values and cache are given; allowed: one of them, for they are the same")
    return cache


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
    """Causal multi-head self-attention.

    Engines that bring their own attention (paged attention, vLLM) read the source of `forward`, and find the keys and
    values of a layer by `layer_idx`.
    """

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

    def project(
        self, hidden_states: torch.Tensor, past_key_values: Cache | None, kwargs: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values, each `(batch, heads, seq, head)`, those of the cache included.

        `kwargs` are those of the attention function, to which a paged cache adds.
        """
        shape = (*hidden_states.shape[:-1], 3, -1, self.head_size)
        query, key, value = self.c_attn(hidden_states).view(shape).permute(2, 0, 3, 1, 4)
        if past_key_values is not None:
            options = {"kwargs": kwargs} if CACHE_NAME == "cache" else {}
            key, value = past_key_values.update(key, value, self.layer_idx, **options)
            if key.dtype != query.dtype:  # a cache may have been made more precise, or less
                key, value = key.to(query.dtype), value.to(query.dtype)
        return query, key, value

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return `(batch, seq, hidden)` and, from eager attention only, the weights `(batch, heads, seq, keys)`."""
        query, key, value = self.project(hidden_states, past_key_values, kwargs)
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attention_interface(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.attn_dropout.p if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        # whatever its shape: an engine's may be flat
        return self.finish(output.reshape(*hidden_states.shape[:-1], -1)), weights

    def finish(self, output: torch.Tensor) -> torch.Tensor:
        """Return the update of the stream, `(batch, seq, hidden)`, from the results of all heads, of that shape."""
        return self.resid_dropout(self.c_proj(output))


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
    _skip_keys_device_placement = ["past_key_values", "cache"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": NanoGptBlock, "attentions": NanoGptAttention}
    # Buffers of old GPT-2 checkpoints. Searched for anywhere in a name: without the dot, c_attn.bias is one as well.
    _keys_to_ignore_on_load_unexpected = [r"\.attn\.bias$", r"\.attn\.masked_bias$"]

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
            attention_mask: `(batch, past + seq)`, 1 for tokens and 0 for padding, of any type, or a ready mask of 4
                dimensions, see `ready_mask`.
            position_ids: `(batch, seq)`; counted from each row's first real token if missing. Where they start again
                (and neither mask nor cache is given), a new document starts, which does not see those before it.
            past_key_values: keys and values of the tokens before these; updated in place. `cache` is another name for
                it, as in transformers from 5.24 on.

        Returns:
            `last_hidden_state` `(batch, seq, hidden)` and, with `use_cache`, `past_key_values` (`cache` from 5.24).

        Raises:
            ValueError: not exactly one of `input_ids` and `inputs_embeds` was given, there is no token in them, an id
                is unknown (on a CPU), the sequence is too long, or the mask is none that every attention function
                understands.
        """
        past_key_values = given_cache(past_key_values, kwargs)
        stream = self.embed(input_ids, inputs_embeds, attention_mask, position_ids, past_key_values)
        mask = self.make_mask(stream, attention_mask, position_ids, past_key_values, is_causal=kwargs.get("is_causal"))
        use_cache = use_cache and not (self.gradient_checkpointing and self.training)
        if use_cache and past_key_values is None:  # after the mask: with a cache, packed documents go unnoticed
            past_key_values = DynamicCache(config=self.config)
        stream = self.run_blocks(stream, mask, past_key_values, position_ids=position_ids, **kwargs)
        past = past_key_values if use_cache else None
        return BaseModelOutputWithPast(last_hidden_state=self.ln_f(stream), **{CACHE_NAME: past})

    def make_mask(
        self,
        stream: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_ids: torch.LongTensor | None,
        past_key_values: Cache | None,
        and_mask_function: Callable | None = None,
        is_causal: bool | None = None,
    ) -> torch.Tensor | None:
        """Return the mask that attention is called with, in the form that its implementation takes."""
        if is_causal is False and position_ids is not None and attention_mask is None and past_key_values is None:
            # transformers keeps packed documents apart in causal masks only
            places = position_ids.expand(len(stream), -1)
            document = (places.diff(dim=1, prepend=places[:, :1] - 1) != 1).cumsum(dim=1)
            and_mask_function = packed_sequence_mask_function(document)
        return create_causal_mask(
            self.config,
            stream,
            ready_mask(attention_mask, self.config, stream.dtype),
            past_key_values,
            position_ids=position_ids,
            and_mask_function=and_mask_function,
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
        # a paged cache is no `Cache`, has no one length, and comes with positions
        seen = past_key_values.get_seq_length() if isinstance(past_key_values, Cache) else 0
        tokens = self.look_up(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = self.count_positions(shape[1], seen, attention_mask, tokens.device)
        elif not torch.compiler.is_compiling() and seen + shape[1] > self.config.max_position_embeddings:
            self.check_position(int(position_ids.max()) + 1)
        return self.drop(tokens + self.wpe(position_ids).to(tokens.device))

    def look_up(self, input_ids: torch.LongTensor) -> torch.Tensor:
        """Return the token embeddings, `(batch, seq, hidden)`."""
        if torch.compiler.is_compiling():
            return self.wte(input_ids)
        try:
            return self.wte(input_ids)
        except IndexError:  # on a CPU; elsewhere the device itself complains, and looking first would make it wait
            unknown = input_ids[(input_ids < 0) | (input_ids >= self.config.vocab_size)]
            raise ValueError(
                f"input_ids has the unknown id {int(unknown[0])}; allowed: 0 to {self.config.vocab_size - 1}"
            ) from None

    def count_positions(
        self, length: int, seen: int | torch.Tensor, attention_mask: torch.Tensor | None, device: torch.device
    ) -> torch.LongTensor:
        """Return the positions of the tokens, `(seq,)` or, by a mask, `(batch, seq)`; see `forward`."""
        if attention_mask is None or attention_mask.ndim != 2:
            if not torch.compiler.is_compiling():
                self.check_position(int(seen) + length)
            if isinstance(seen, torch.Tensor):  # of a static cache
                return torch.arange(length, device=device) + seen
            return torch.arange(seen, seen + length, device=device)
        counted = attention_mask.bool().cumsum(-1)
        if not torch.compiler.is_compiling() and seen + length > self.config.max_position_embeddings:
            self.check_position(int(counted.max()))
        return (counted[:, -length:] - 1).clamp(min=0)

    def check_position(self, tokens: int) -> None:
        """Raise ValueError where there are fewer positions than so many tokens."""
        # Never while compiling: a branch on data breaks the graph, and a static cache counts its tokens in a tensor.
        longest = self.config.max_position_embeddings
        if tokens > longest:
            raise ValueError(
                f"the sequence has {tokens} tokens; allowed: max_position_embeddings, {longest}, or fewer"
            )


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
        Or give `shift_labels` `(batch, seq)`, what each position is to predict: they come first.
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
        loss = None
        if labels is not None or kwargs.get("shift_labels") is not None:
            loss = self.token_loss(logits, labels, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            **{CACHE_NAME: outputs.get(CACHE_NAME)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def token_loss(
        self, logits: torch.Tensor, labels: torch.LongTensor | None, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor:
        """Return the mean loss in nats of predicting each next one of `labels` `(batch, seq)`."""
        return self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)


def accumulated_share(
    config: PreTrainedConfig, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, **kwargs: Any
) -> torch.Tensor | float:
    """Return the factor from a batch's mean loss to its part of the mean over all batches of an optimizer step.

    transformers' loss looks at `num_items_in_batch`, the labels of all these batches, for single labels only.
    """
    if num_items_in_batch is None or config.problem_type == "single_label_classification":
        return 1.0
    return labels.numel() / num_items_in_batch


class NanoGptForSequenceClassification(NanoGptPreTrainedModel):
    """The decoder with a classifier (or a regression) on each row's last real token."""

    model_class: type[NanoGptModel] = NanoGptModel
    _supports_attention_backend = False  # vLLM's classifier reads the first token

    def __init__(self, config: NanoGptConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = self.model_class(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def last_token(
        self, input_ids: torch.LongTensor | None, attention_mask: torch.Tensor | None, length: int
    ) -> torch.Tensor:
        """Return the column of each row's last real token, `(batch,)`, or one for all.

        By the mask, of which the last `length` columns are those of this call (before them are those of a cache or of
        a tuned prefix), or by `pad_token_id`.
        """
        real = attention_mask[:, -length:] if attention_mask is not None and attention_mask.ndim == 2 else None
        if real is None and input_ids is not None and self.config.pad_token_id is not None:
            real = input_ids != self.config.pad_token_id
        if real is None:
            return torch.tensor(-1)
        return (real.bool().long() * torch.arange(1, length + 1, device=real.device)).argmax(-1)

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
        last = self.last_token(input_ids, attention_mask, hidden_states.shape[1])
        logits = self.score(hidden_states[rows, last.to(hidden_states.device)])
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
            loss = loss * accumulated_share(self.config, labels, **kwargs)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            **{CACHE_NAME: outputs.get(CACHE_NAME)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


# Trainer shifts labels for label smoothing only where it finds the class by its name here.
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES["nanogpt"] = "NanoGptForCausalLM"

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
