# Copyright 2026 The hf_variants authors. MIT licence.
"""The state of a conv_gpt between forward passes: keys and values of every level, and what the convolutions wait for.

A coarse level grows only when a group of a row is complete, so rows of a padded batch have different lengths there:
its keys and values are kept from the left, and each row knows how many are its own. With a window, the finest level
keeps the last tokens of each row, from the right, and no padding among them.
"""

from typing import Any

import torch
from torch.nn.functional import pad
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from .configuration_conv_gpt import ConvGptConfig
from .groups_conv_gpt import RaggedChunk, UniformChunk, all_rows

GROWTH = 64  # tokens by which a coarse layer of unequal rows grows, so that not every step copies it


class ConvGptCacheLayer(DynamicLayer):
    """Keys and values of one block of a coarse level, `(batch, heads, tokens, head)`.

    `place`, set by the cache before the block runs, is None where all rows grow alike, or says which rows grow
    (None for all) and where the new tokens belong, `(rows, new tokens)`.
    """

    is_croppable = False
    place: tuple[torch.Tensor | None, torch.Tensor] | None = None
    batch: int = 0  # rows in all

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new keys and values, and return those that the growing rows may attend to."""
        if self.place is None:
            return super().update(key_states, value_states)
        rows, slots = (each if each is None else each.to(key_states.device) for each in self.place)
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
        old = old.to(torch.promote_types(old.dtype, new.dtype))
        if have < length:
            grown = old.new_zeros(self.batch, new.shape[1], -(-length // GROWTH) * GROWTH, new.shape[3])
            grown[:, :, :have] = old if have else 0
            old = grown
        elif not _is_free(old):
            old = old.clone()
        where = torch.arange(self.batch, device=new.device) if rows is None else rows
        old[where[:, None], :, slots] = new.transpose(1, 2).to(old.dtype)
        return old


def _is_free(states: torch.Tensor) -> bool:
    """Return whether states may be written to in place: not where a backward pass may need them as they are, nor
    where they are of `torch.inference_mode` and that is over."""
    if torch.is_grad_enabled() or states.requires_grad:
        return False
    return torch.is_inference_mode_enabled() or not states.is_inference()


class ConvGptWindowLayer(DynamicLayer):
    """Keys and values of one block of the finest level, the last `window - 1` tokens of each row: `(batch, heads,
    tokens, head)`.

    `moved`, set by the cache before the block runs, is None where no column is padding, or says from which columns the
    real tokens come that move to their row's beginning, `(batch, new)`, and how many they are, `(batch,)`.
    """

    is_sliding = True
    is_croppable = False
    moved: tuple[torch.Tensor, torch.Tensor] | None = None

    def __init__(self, window: int):
        super().__init__()
        self.window = window
        self.columns = 0

    @property
    def kept(self) -> int:
        """How many tokens are kept of each row."""
        return self.keys.shape[2] if self.is_initialized else 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the kept keys and values followed by the new ones, and keep the last real tokens of both."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.columns += key_states.shape[2]
        keys, self.keys = self._slide(self.keys, key_states)
        values, self.values = self._slide(self.values, value_states)
        return keys, values

    def _slide(self, old: torch.Tensor, new: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.cat([old, new], dim=2)
        kept = min(both.shape[2], self.window - 1)
        if self.moved is None:
            return both, both[:, :, both.shape[2] - kept :]
        order, count = (each.to(new.device) for each in self.moved)
        moved = torch.cat([old, _columns(new, order)], dim=2)
        moved = pad(moved, (0, 0, kept - old.shape[2], 0))  # a row may have no tokens yet
        return both, _columns(moved, count[:, None] + torch.arange(kept, device=new.device))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return length and offset of the keys."""
        return self.kept + query_length, self.columns - self.kept

    def get_seq_length(self) -> int:
        """Return the number of columns so far, padding included."""
        return self.columns

    def get_max_length(self) -> int:
        """Return the width of the window."""
        return self.window


def _columns(states: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return `states[r, :, index[r, i]]` of states `(rows, heads, tokens, head)`."""
    return states.gather(2, index[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3]))


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
        return ConvGptWindowLayer(window) if window else DynamicLayer()

    def reset_state(self) -> None:
        """Forget what the convolutions wait for."""
        self.seen: int | torch.Tensor = 0
        self.pending: dict[int, torch.Tensor] = {}
        self.expanded: dict[int, torch.Tensor] = {}

    # ---- for the model ---------------------------------------------------------------------------------------------

    def begin(self, level: int, chunk: UniformChunk | RaggedChunk) -> None:
        """Tell the layers of a coarse level, or of a finest one with a window, where the tokens of `chunk` belong."""
        layers = [layer for layer, own in zip(self.layers, self.level_of, strict=True) if own == level]
        if level:
            place = chunk.place()
            for layer in layers:
                layer.place, layer.batch = place, self.batch
        else:
            moved = None if isinstance(chunk, UniformChunk) else (chunk.order, chunk.real.sum(dim=1))
            for layer in layers:
                layer.moved = moved

    @property
    def kept(self) -> int:
        """How many tokens the finest level keeps of each row, where that has a window."""
        return self.layers[0].kept

    def read(
        self, level: int, rows: torch.Tensor | None, inputs: torch.Tensor, stream: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return what is pending and expanded at a level, for some rows or (None) all.

        On the device of `inputs`, and as precise as these and the `stream` are: a cache may have been made otherwise.
        """
        pending, expanded = self.pending.get(level), self.expanded.get(level)
        if pending is None or expanded is None:
            return None, None
        if rows is not None:
            pending, expanded = (state[rows.to(state.device)] for state in (pending, expanded))
        if pending.dtype == inputs.dtype and expanded.dtype == stream.dtype and pending.device == inputs.device:
            return pending, expanded
        return pending.to(inputs.device, inputs.dtype), expanded.to(inputs.device, stream.dtype)

    def write(self, level: int, rows: torch.Tensor | None, pending: torch.Tensor, expanded: torch.Tensor) -> None:
        """Keep what is pending and expanded at a level, for some rows or (None) all."""
        for state, new in ((self.pending, pending), (self.expanded, expanded)):
            if rows is not None:
                old = state.get(level)
                kept = None if old is None else old.to(new)
                new = all_rows(new, rows, self.batch) if kept is None else kept.index_copy(0, rows, new)
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
