# Copyright 2026 The hf_variants authors. MIT licence.
"""The state of a conv_gpt between forward passes: keys and values of every level, and what the convolutions wait for.

A coarse level grows only when a group of a row is complete, so rows of a padded batch have different lengths there:
its keys and values are kept from the left, and each row knows how many are its own.
"""

from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from .configuration_conv_gpt import ConvGptConfig
from .groups_conv_gpt import RaggedChunk, UniformChunk

GROWTH = 64  # tokens by which a coarse layer of unequal rows grows, so that not every step copies it


class ConvGptCacheLayer(DynamicLayer):
    """Keys and values of one block of a coarse level, `(batch, heads, tokens, head)`.

    `place`, set by the cache before the block runs, is None where all rows grow alike, or says which rows grow
    (None for all) and where the new tokens belong, `(rows, new tokens)`.
    """

    place: tuple[torch.Tensor | None, torch.Tensor] | None = None
    batch: int = 0  # rows in all

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new keys and values, and return those that the growing rows may attend to."""
        if self.place is None:
            return super().update(key_states, value_states)
        rows, slots = self.place
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = int(slots.max()) + 1
        self.keys = self._write(self.keys, key_states, rows, slots, length)
        self.values = self._write(self.values, value_states, rows, slots, length)
        keys, values = self.keys[:, :, :length], self.values[:, :, :length]
        return (keys, values) if rows is None else (keys[rows], values[rows])

    def _write(
        self, old: torch.Tensor, new: torch.Tensor, rows: torch.Tensor | None, slots: torch.Tensor, length: int
    ) -> torch.Tensor:
        have = old.shape[2] if old.numel() else 0
        if have < length:
            grown = new.new_zeros(self.batch, new.shape[1], -(-length // GROWTH) * GROWTH, new.shape[3])
            grown[:, :, :have] = old if have else 0
            old = grown
        elif torch.is_grad_enabled():
            old = old.clone()
        where = torch.arange(self.batch, device=new.device) if rows is None else rows
        old[where[:, None], :, slots] = new.transpose(1, 2)
        return old


class ConvGptCache(Cache):
    """The cache of a conv_gpt; a forward pass with `use_cache` makes one.

    Args:
        config: the model's configuration.

    Attributes:
        batch: rows in all, set by every forward pass.
        seen: tokens so far; a tensor `(batch,)` once rows differ, their padding apart.
        pending: per level, the last `sequence_factor - 1` inputs of its convolution, `(batch, tokens, width)`.
        expanded: per level, what the last coarse token says to each of its group's tokens,
            `(batch, sequence_factor, width)`.
    """

    def __init__(self, config: ConvGptConfig):
        self.window = config.local_window if config.num_levels else None
        self.level_of = layer_levels(config.level_layers)
        super().__init__(layers=[self._layer(level, self.window) for level in self.level_of])
        self.batch = 0
        self.reset_state()

    @staticmethod
    def _layer(level: int, window: int | None) -> DynamicLayer:
        if level:
            return ConvGptCacheLayer()
        # a window of one token keeps nothing, and transformers' slice for that would keep everything
        return DynamicSlidingWindowLayer(window) if window and window > 1 else DynamicLayer()

    def reset_state(self) -> None:
        """Forget what the convolutions wait for."""
        self.seen: int | torch.Tensor = 0
        self.pending: dict[int, torch.Tensor] = {}
        self.expanded: dict[int, torch.Tensor] = {}

    # ---- for the model ---------------------------------------------------------------------------------------------

    def begin(self, level: int, chunk: UniformChunk | RaggedChunk) -> None:
        """Tell the layers of a coarse level where the tokens of `chunk` belong."""
        place = chunk.place()
        for layer, layer_level in zip(self.layers, self.level_of, strict=True):
            if layer_level == level:
                layer.place, layer.batch = place, self.batch

    def read(self, level: int, rows: torch.Tensor | None) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return what is pending and expanded at a level, for some rows or (None) all."""
        found = self.pending.get(level), self.expanded.get(level)
        return found if rows is None else tuple(None if state is None else state[rows] for state in found)

    def write(self, level: int, rows: torch.Tensor | None, pending: torch.Tensor, expanded: torch.Tensor) -> None:
        """Keep what is pending and expanded at a level, for some rows or (None) all."""
        for state, new in ((self.pending, pending), (self.expanded, expanded)):
            if rows is not None:
                old = state.get(level)
                old = new.new_zeros(self.batch, *new.shape[1:]) if old is None else old
                new = old.index_copy(0, rows, new)
            state[level] = new

    # ---- for transformers ------------------------------------------------------------------------------------------

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of columns so far, padding included: that of the finest level, whatever the layer."""
        return super().get_seq_length(0)

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """Return length and offset of the keys at the finest level."""
        return super().get_mask_sizes(query_length, 0)

    def reset(self) -> None:
        """Empty the cache."""
        # not the layers' own reset, which keeps their length in older versions of transformers
        self.layers = [self._layer(level, self.window) for level in self.level_of]
        self.reset_state()

    def crop(self, tokens_to_remove: int) -> None:
        """Refuse: what a convolution has consumed can't be given back."""
        raise NotImplementedError("a ConvGptCache can't be cropped; start again with an empty cache")

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Put the rows into a new order, as beam search asks for."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep the rows at `indices`."""
        for layer in self.layers:
            if layer.get_seq_length() > 0:
                layer.keys = layer.keys.index_select(0, indices.to(layer.keys.device))
                layer.values = layer.values.index_select(0, indices.to(layer.values.device))
        self._change_rows(lambda state: state.index_select(0, indices.to(state.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        super().batch_repeat_interleave(repeats)
        self._change_rows(lambda state: state.repeat_interleave(repeats, dim=0))

    def _change_rows(self, change: Any) -> None:
        for state in (self.pending, self.expanded):
            for level in state:
                state[level] = change(state[level])
        if isinstance(self.seen, torch.Tensor):
            self.seen = change(self.seen)


def layer_levels(level_layers: list[int]) -> list[int]:
    """Return the level of each block, in the order in which they run: down, through the coarsest, and up again."""
    coarsest = len(level_layers) - 1
    down = [level for level in range(coarsest) for _ in range(-(-level_layers[level] // 2))]
    up = [level for level in reversed(range(coarsest)) for _ in range(level_layers[level] // 2)]
    return down + [coarsest] * level_layers[coarsest] + up
