# Copyright 2026 The hf_variants authors. MIT licence.
"""conv_gpt: nanogpt's blocks at several levels, joined by causal strided convolutions.

Notable:
- a level's sequence is compressed by a strided convolution that is shifted so that nothing looks ahead, handled by
  wider blocks, expanded by the transposed convolution and added to the stream from before: a U-Net over time
  (Nawrot et al., arXiv 2110.13711, is its nearest relative);
- most parameters work on few positions, so long contexts cost a fraction of nanogpt's;
- `num_levels: 0` is nanogpt to the bit;
- groups are counted from each row's (or document's) first real token: padding and packing change nothing;
- generation keeps keys and values per level, and runs a coarse level only for rows with a new complete group;
- `local_window` limits all levels but the coarsest, at a cost that grows linearly with the sequence;
- the coarsest stream is an output, and its mean a text embedding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Cache, DynamicCache, GenerationMixin
from transformers.masking_utils import sliding_window_overlay
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.processing_utils import Unpack
from transformers.pytorch_utils import Conv1D
from transformers.utils import TransformersKwargs
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .cache_conv_gpt import ConvGptCache, layer_levels
from .configuration_conv_gpt import ConvGptConfig
from .generation_conv_gpt import ConvGptGenerationMixin
from .groups_conv_gpt import RaggedChunk, UniformChunk, all_rows, block_mask
from .modeling_nanogpt import (
    CACHE_NAME,
    NanoGptAttention,
    NanoGptBlock,
    NanoGptForCausalLM,
    NanoGptForSequenceClassification,
    NanoGptModel,
    NanoGptPreTrainedModel,
    eager_attention_forward,
    given_cache,
    is_engines,
)

Chunk = UniformChunk | RaggedChunk

LEVEL_ATTENTION = ("eager", "sdpa")  # coarse levels have masks of their own, which others don't take


@dataclass
class ConvGptModelOutput(BaseModelOutputWithPast):
    """The output of `ConvGptModel`.

    Args:
        coarse_hidden_state: `(batch, coarse, width of the coarsest level)`, normalised; None where there is one level
            only, or where no row completed a group. With a cache these are only the new ones. Zeros where a row has
            none.
        coarse_attention_mask: `(batch, coarse)`, 1 for those that are a row's own; None if all are.
    """

    coarse_hidden_state: torch.FloatTensor | None = None
    coarse_attention_mask: torch.LongTensor | None = None


class ConvGptAttention(NanoGptAttention):
    """nanogpt's attention; a mask of 5 dimensions says that it is local and goes block by block.

    Local attention has a `forward` of its own: what it calls the interface with are the blocks, as if they were rows.
    """

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not isinstance(attention_mask, torch.Tensor) or attention_mask.ndim != 5:
            return super().forward(hidden_states, attention_mask, past_key_values, **kwargs)
        query, key, value = self.project(hidden_states, past_key_values, kwargs)
        batch, length, blocks, window = *hidden_states.shape[:2], attention_mask.shape[1], attention_mask.shape[3]
        missing = blocks * window - length
        query = _blocks(query, missing, window)
        key, value = (_with_previous(_blocks(states, missing, window), batch) for states in (key, value))
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        mask = attention_mask.expand(batch, -1, -1, -1, -1).flatten(0, 1)
        dropout = self.attn_dropout.p if self.training else 0.0
        output, _ = attention_interface(self, query, key, value, mask, dropout=dropout, scaling=self.scaling, **kwargs)
        output = output.reshape(batch, blocks * window, *output.shape[2:])
        return self.finish(output[:, :length].contiguous().flatten(2)), None


def _blocks(states: torch.Tensor, missing: int, window: int) -> torch.Tensor:
    """Cut `(batch, heads, seq, head)` into blocks, `(batch * blocks, heads, window, head)`, the last one padded."""
    states = nn.functional.pad(states, (0, 0, 0, missing)) if missing else states
    batch, heads, _, size = states.shape
    return states.view(batch, heads, -1, window, size).transpose(1, 2).reshape(-1, heads, window, size)


def _with_previous(blocks: torch.Tensor, batch: int) -> torch.Tensor:
    """Put before each block the one before it, zeros before the first: `(batch * blocks, heads, 2 * window, head)`."""
    blocks = blocks.view(batch, -1, *blocks.shape[1:])
    previous = nn.functional.pad(blocks[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([previous, blocks], dim=3).flatten(0, 1)


class ConvGptBlock(NanoGptBlock):
    """nanogpt's block with attention that may be local."""

    attention_class = ConvGptAttention


class ConvGptCompressor(nn.Module):
    """A strided convolution whose windows do not overlap; as such a linear map of each window."""

    # trf-ignore: TRF029 (one model has several widths)
    def __init__(self, config: ConvGptConfig, hidden_size: int):
        super().__init__()
        self.ln = nn.LayerNorm(hidden_size, eps=config.layer_norm_eps)
        self.conv = Conv1D(config.width_factor * hidden_size, config.sequence_factor * hidden_size)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Map windows of normalised tokens, `(batch, coarse, factor * hidden)`, to `(batch, coarse, wider hidden)`."""
        return self.conv(windows)


class ConvGptExpander(nn.Module):
    """A transposed convolution, the way back: every coarse token has something to say to each token of its group."""

    # trf-ignore: TRF029 (one model has several widths)
    def __init__(self, config: ConvGptConfig, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.ln = nn.LayerNorm(config.width_factor * hidden_size, eps=config.layer_norm_eps)
        self.conv = Conv1D(config.sequence_factor * hidden_size, config.width_factor * hidden_size)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, normed: torch.Tensor) -> torch.Tensor:
        """Map normalised `(batch, coarse, wider hidden)` to `(batch, coarse * factor, hidden)`."""
        expanded = self.dropout(self.conv(normed))
        return expanded.view(len(expanded), -1, self.hidden_size)


# trf-ignore: TRF013 (the models that derive from this one call `post_init`)
class ConvGptPreTrainedModel(NanoGptPreTrainedModel):
    """What all conv_gpt models share."""

    config: ConvGptConfig
    _no_split_modules = ["ConvGptBlock"]
    # What the class says is true with levels; where there are none, each model says otherwise. Engines that bring
    # their own attention ask the class.
    _supports_flash_attn = False
    _supports_flex_attn = False
    _supports_attention_backend = False
    _can_compile_fullgraph = False
    _is_stateful = True  # the cache can't go back
    _can_record_outputs = {"hidden_states": ConvGptBlock, "attentions": ConvGptAttention}

    def __init__(self, config: ConvGptConfig, *args: Any, **kwargs: Any):
        if config.num_levels == 0:
            self._supports_flash_attn = self._supports_flex_attn = True
            self._supports_attention_backend = not isinstance(self, NanoGptForSequenceClassification)
            self._can_compile_fullgraph, self._is_stateful = True, False
        super().__init__(config, *args, **kwargs)

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """Return the attention function to use; called by transformers when it is set, at the start or later.

        Raises:
            ValueError: there are levels, and it is not one that takes their masks.
        """
        # for all others transformers, and for an engine's nanogpt, have a message
        if requested_attention in ALL_ATTENTION_FUNCTIONS.valid_keys() and not is_engines(requested_attention):
            self.check_attention(requested_attention)
        return super().get_correct_attn_implementation(requested_attention, is_init_check)

    def check_attention(self, implementation: str | None) -> None:
        """Raise ValueError for an attention function that does not take the masks of levels; None is a default."""
        if self.config.num_levels and implementation not in (None, *LEVEL_ATTENTION):
            raise ValueError(
                f"attn_implementation is {implementation!r}; allowed where num_levels is {self.config.num_levels}: "
                f"{', '.join(LEVEL_ATTENTION)}, for coarse levels have masks of their own"
            )


class ConvGptModel(ConvGptPreTrainedModel, NanoGptModel):
    """The decoder without a head."""

    block_class = ConvGptBlock

    def add_blocks(self, config: ConvGptConfig) -> None:
        levels = layer_levels(config.level_layers)
        sizes = list(zip(config.level_sizes, config.level_heads, strict=True))
        self.h = nn.ModuleList([self.block_class(config, i, *sizes[level]) for i, level in enumerate(levels)])
        at = [[i for i, level in enumerate(levels) if level == wanted] for wanted in range(config.num_levels + 1)]
        # which blocks run on the way down and on the way up, for each level; at the coarsest all run on the way down
        halves = [-(-len(blocks) // 2) for blocks in at[:-1]] + [len(at[-1])]
        self.down = [blocks[:half] for blocks, half in zip(at, halves, strict=True)]
        self.up = [blocks[half:] for blocks, half in zip(at, halves, strict=True)]
        self.compressors = nn.ModuleList([ConvGptCompressor(config, size) for size in config.level_sizes[:-1]])
        self.expanders = nn.ModuleList([ConvGptExpander(config, size) for size in config.level_sizes[:-1]])
        for expander in self.expanders:
            expander.conv.init_scale = (2 * len(self.h)) ** -0.5

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
    ) -> tuple[torch.Tensor, ...] | ConvGptModelOutput:
        """Decode ids `(batch, seq)` or embeddings `(batch, seq, hidden)`; arguments and errors are nanogpt's.

        With levels a mask has 2 dimensions, 0 wherever there is padding, between real tokens as well, a cache is a
        `ConvGptCache`, attention is causal, and packed documents leave no cache.

        Raises:
            NotImplementedError: with levels, `torch.jit.trace` would freeze how many groups there are.
        """
        past_key_values = given_cache(past_key_values, kwargs)
        self.check_inputs(attention_mask, past_key_values, kwargs.get("is_causal"))
        stream = self.embed(input_ids, inputs_embeds, attention_mask, position_ids, past_key_values)
        chunk = self.first_chunk(stream, attention_mask, position_ids, past_key_values)
        mask = self.finest_mask(stream, chunk, attention_mask, position_ids, past_key_values, **kwargs)
        use_cache = use_cache and not (self.gradient_checkpointing and self.training)
        cache = past_key_values
        if use_cache and cache is None and not getattr(chunk, "packed", False):
            cache = self.new_cache()
        if self.config.num_levels == 0:
            kwargs["position_ids"] = position_ids
        elif cache is not None:
            cache.batch = len(stream)
            if self.config.local_window is not None:
                cache.begin(0, chunk)
        stream, coarse = self.run_level(0, stream, chunk, mask, cache, **kwargs)
        if self.config.num_levels and cache is not None:
            cache.seen = chunk.seen + (chunk.length if isinstance(chunk, UniformChunk) else chunk.real.sum(dim=1))
        rows = coarse.pop("rows", None)
        if rows is not None:
            coarse = {name: all_rows(state, rows, len(stream)) for name, state in coarse.items()}
        past = cache if use_cache else None
        return ConvGptModelOutput(last_hidden_state=self.ln_f(stream), **{CACHE_NAME: past}, **coarse)

    def new_cache(self) -> Cache:
        """Return an empty cache."""
        return ConvGptCache(self.config) if self.config.num_levels else DynamicCache(config=self.config)

    def check_inputs(
        self, attention_mask: torch.Tensor | None, past_key_values: Cache | None, is_causal: bool | None
    ) -> None:
        """Raise an error for what this model can't use where it has levels; see `forward`."""
        levels = self.config.num_levels
        if levels == 0:
            return
        if torch.jit.is_tracing():
            raise NotImplementedError(
                "torch.jit.trace keeps the number of groups that it is called with; allowed: the model itself"
            )
        # before the mask, which generate() makes of 4 dimensions for some caches
        if past_key_values is not None and not hasattr(past_key_values, "expanded"):
            raise ValueError(
                f"past_key_values is a {type(past_key_values).__name__}; allowed where num_levels is {levels}: a "
                "ConvGptCache, or None with use_cache=True, which makes one"
            )
        if attention_mask is not None and not isinstance(attention_mask, torch.Tensor):
            raise ValueError(
                f"attention_mask is a {type(attention_mask).__name__}; allowed where num_levels is {levels}: a tensor "
                "of 2 dimensions"
            )
        if attention_mask is not None and attention_mask.ndim != 2:
            raise ValueError(
                f"attention_mask has {attention_mask.ndim} dimensions; allowed: 2, (batch, seq), for groups are "
                "counted from the first real token"
            )
        if is_causal is not None and not is_causal:
            raise ValueError(
                f"is_causal is {is_causal}; allowed: True where num_levels is {levels}, for convolutions stay causal"
            )
        self.check_attention(self.config._attn_implementation)

    def first_chunk(
        self,
        stream: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_ids: torch.LongTensor | None,
        past_key_values: Cache | None,
    ) -> Chunk:
        """Return where the tokens stand in their rows."""
        batch, length, _ = stream.shape
        seen = getattr(past_key_values, "seen", 0)
        tracing = torch.compiler.is_compiling()
        if self.config.num_levels and attention_mask is not None:
            real = attention_mask[:, -length:].to(stream.device, torch.bool)
            if tracing or isinstance(seen, torch.Tensor) or not real.all():
                if isinstance(seen, int):
                    seen = torch.full((batch,), seen, device=stream.device)
                return RaggedChunk.padded(real, seen.to(stream.device), static=tracing and past_key_values is None)
        elif self.config.num_levels and position_ids is not None and past_key_values is None:
            position_ids = position_ids.expand(batch, -1)
            if tracing or (position_ids.diff(dim=1) != 1).any():
                return RaggedChunk.documents(position_ids)
        elif isinstance(seen, torch.Tensor):
            real = torch.ones_like(stream[:, :, 0], dtype=torch.bool)
            return RaggedChunk.padded(real, seen.to(stream.device), static=False)
        return UniformChunk(seen, length)

    def finest_mask(
        self,
        stream: torch.Tensor,
        chunk: Chunk,
        attention_mask: torch.Tensor | None,
        position_ids: torch.LongTensor | None,
        past_key_values: Cache | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor | None:
        """Return the attention mask of the finest level."""
        window = self.config.local_window
        if self.goes_by_blocks(0, chunk, **kwargs):
            return block_mask(chunk.length, window, stream.device)
        kept = 0 if window is None or past_key_values is None else past_key_values.kept
        if window is not None and isinstance(chunk, UniformChunk):
            return UniformChunk(kept, chunk.length).mask(kept + chunk.length, window, stream.device)
        if window is not None and not chunk.packed:
            return chunk.column_mask(kept, window)
        if self.config.num_levels and isinstance(chunk, UniformChunk):
            attention_mask = position_ids = None
            if chunk.length == 1:
                return None
        overlay = None if window is None else sliding_window_overlay(window)
        is_causal = kwargs.get("is_causal")
        return self.make_mask(stream, attention_mask, position_ids, past_key_values, overlay, is_causal)

    def goes_by_blocks(self, level: int, chunk: Chunk, **kwargs: Unpack[TransformersKwargs]) -> bool:
        """Return whether local attention goes block by block at a level: not where its weights are asked for."""
        window = self.config.local_window
        if window is None or level == self.config.num_levels or not isinstance(chunk, UniformChunk):
            return False
        weights = kwargs.get("output_attentions", getattr(self.config, "output_attentions", False))
        return chunk.seen == 0 and chunk.length > 2 * window and not weights

    def coarse_mask(
        self, level: int, stream: torch.Tensor, chunk: Chunk, cached: bool, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor | None:
        """Return who sees whom at a coarse level, bool, or None for everything up to itself."""
        window = self.config.local_window if level < self.config.num_levels else None
        if self.goes_by_blocks(level, chunk, **kwargs):
            return block_mask(chunk.length, window, stream.device)
        before = int(torch.as_tensor(chunk.seen).max()) if cached else 0
        return chunk.mask(before + chunk.length, window, stream.device)

    def run_level(
        self,
        level: int,
        stream: torch.Tensor,
        chunk: Chunk,
        mask: torch.Tensor | None,
        cache: Cache | None,
        /,  # engines hand arguments of such names on to attention
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the stream of a level, `(rows, seq, width)`, after its blocks and all coarser levels.

        The second value is what is to be told about the coarsest level.
        """
        coarse: dict[str, torch.Tensor] = {}
        for index in self.down[level]:
            stream = self.h[index](stream, mask, cache, **kwargs)
        if level < self.config.num_levels:
            update, coarse = self.descend(level, stream, chunk, cache, **kwargs)
            stream = stream + update
        for index in self.up[level]:
            stream = self.h[index](stream, mask, cache, **kwargs)
        return stream, coarse

    def descend(
        self, level: int, stream: torch.Tensor, chunk: Chunk, cache: Cache | None, **kwargs: Unpack[TransformersKwargs]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return what the coarser levels add to the stream of a level, `(rows, seq, width)`; see `run_level`."""
        inputs = self.compressors[level].ln(stream)
        pending, stored = (None, None) if cache is None else cache.read(level, chunk.rows, inputs, stream)
        chunk = chunk.to(inputs.device)  # a level may lie on several devices
        groups = chunk.group(self.config.sequence_factor)
        buffer = groups.buffer(inputs, pending)
        new, coarse = None, {}
        if groups.coarse.length:
            windows = groups.windows(buffer)
            new, coarse = self.run_coarse(level, windows, groups.coarse, cache, **kwargs)
            new = new.to(inputs.device)
        elif stored is None:  # no row has had a token yet
            return torch.zeros_like(stream), coarse
        if cache is not None:
            cache.write(level, chunk.rows, groups.last_inputs(buffer), groups.last_outputs(new, stored))
        return groups.spread(new, stored).to(stream.device), coarse

    def run_coarse(
        self,
        level: int,
        windows: torch.Tensor,
        chunk: Chunk,
        cache: Cache | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compress, run all coarser levels and expand: `(rows, coarse * factor, width)`; see `run_level`."""
        stream = self.compressors[level](windows)
        mask = self.coarse_mask(level + 1, stream, chunk, cache is not None, **kwargs)
        if cache is not None:
            cache.begin(level + 1, chunk)
        stream, coarse = self.run_level(level + 1, stream, chunk, mask, cache, **kwargs)
        normed = self.expanders[level].ln(stream)
        if level + 1 == self.config.num_levels:
            real = chunk.real.long() if isinstance(chunk, RaggedChunk) else None
            coarse = {"coarse_hidden_state": normed, "coarse_attention_mask": real, "rows": chunk.rows}
        return self.expanders[level](normed), coarse

    def embed_text(self, input_ids: torch.LongTensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return a vector for each row of ids `(batch, seq)`: the mean of its coarsest stream, `(batch, width)`.

        A row without a token has zeros.
        """
        outputs = self(input_ids, attention_mask, use_cache=False, return_dict=True)
        states, real = outputs.coarse_hidden_state, outputs.coarse_attention_mask
        if self.config.num_levels == 0:
            states, real = outputs.last_hidden_state, attention_mask
        if states is None:  # no row has a token
            return outputs.last_hidden_state.new_zeros(len(input_ids), self.config.level_sizes[-1])
        if real is None:
            return states.mean(dim=1)
        real = real.to(states.device, torch.bool)
        precise = torch.promote_types(states.dtype, torch.float32)  # a sum of halves loses tokens, or overflows
        total = states.masked_fill(~real[:, :, None], 0).sum(dim=1, dtype=precise)
        return (total / real.sum(dim=1, keepdim=True).clamp(min=1)).to(states.dtype)


class ConvGptForCausalLM(ConvGptGenerationMixin, ConvGptPreTrainedModel, NanoGptForCausalLM, GenerationMixin):
    """The decoder with a head that predicts the token `prediction_horizon` ahead."""

    model_class = ConvGptModel

    def token_loss(
        self, logits: torch.Tensor, labels: torch.LongTensor | None, **kwargs: Unpack[TransformersKwargs]
    ) -> torch.Tensor:
        """Return the mean loss in nats of predicting each of `labels` from `prediction_horizon` tokens before it."""
        ahead = self.config.prediction_horizon
        if ahead > 1:
            kwargs.pop("num_items_in_batch", None)  # counted by who takes the horizon for 1, see accepts_loss_kwargs
        if ahead > 1 and kwargs.get("shift_labels") is None:
            kwargs["shift_labels"] = nn.functional.pad(labels, (0, ahead), value=-100)[:, ahead:].contiguous()
        return super().token_loss(logits, labels, **kwargs)

    @property
    def accepts_loss_kwargs(self) -> bool:
        """Whether the loss is divided by Trainer's count of labels, which leaves out the first of each row only.

        With a larger horizon that is another number, so batches whose gradients are accumulated count alike, however
        many labels they have. What can't be noticed here is Trainer's `label_smoothing_factor`: it works out a loss of
        its own, which takes every horizon for 1.
        """
        return self.config.prediction_horizon == 1

    def embed_text(self, input_ids: torch.LongTensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return a vector for each row of ids `(batch, seq)`: the mean of its coarsest stream, `(batch, width)`."""
        return self.transformer.embed_text(input_ids, attention_mask)


class ConvGptForSequenceClassification(ConvGptPreTrainedModel, NanoGptForSequenceClassification):
    """The decoder with a classifier (or a regression) on each row's last real token."""

    model_class = ConvGptModel


# Trainer shifts labels for label smoothing only where it finds the class by its name here: by one, whatever
# `prediction_horizon` is.
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES["conv_gpt"] = "ConvGptForCausalLM"

# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
ConvGptConfig.register_for_auto_class()
ConvGptModel.register_for_auto_class("AutoModel")
ConvGptForCausalLM.register_for_auto_class("AutoModelForCausalLM")
ConvGptForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = [
    "ConvGptForCausalLM",
    "ConvGptForSequenceClassification",
    "ConvGptModel",
    "ConvGptModelOutput",
    "ConvGptPreTrainedModel",
]
