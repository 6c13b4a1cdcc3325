# Copyright 2026 The hf_variants authors. MIT licence.
"""Packed blocks of tokens, and an order of them that is a pure function of (seed, step)."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..checking import InputError


class PackedBlocks:
    """A row of tokens seen as blocks of `block_size`; the tail that fills no block is left out."""

    def __init__(self, tokens: np.ndarray, block_size: int, name: str) -> None:
        if len(tokens) < block_size:
            raise InputError(
                f"data: the {name} split tokenizes to {len(tokens)} tokens, less than one block of {block_size}"
            )
        self.tokens, self.block_size, self.name = tokens, block_size, name

    def __len__(self) -> int:
        return len(self.tokens) // self.block_size

    def rows(self, starts: np.ndarray) -> np.ndarray:
        """Blocks at the given token offsets: int64 `(len(starts), block_size)`."""
        return self.tokens[starts[:, None] + np.arange(self.block_size)].astype(np.int64)

    def all_rows(self, limit: int | None = None, spread: bool = False) -> np.ndarray:
        """Every block in order, or `limit` ones, the first or at even distances: int64 `(blocks, block_size)`."""
        count = min(len(self), limit or len(self))
        chosen = np.linspace(0, len(self) - 1, count).round().astype(int) if spread else np.arange(count)
        return self.rows(chosen * self.block_size)

    def windows(self, stride: int, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Blocks that advance by `stride`, over all tokens or those of the first `limit` blocks.

        Returns the blocks, int64 `(windows, block_size)`, and of that shape which tokens are new, so that each token
        is new once. The last block ends with the text, and may overlap more with the one before.
        """
        size, end = self.block_size, len(self.tokens) if limit is None else limit * self.block_size
        last = min(end, len(self.tokens)) - size
        starts = np.unique(np.append(np.arange(0, last, stride), last))
        ends = np.append(0, starts[:-1] + size)
        return self.rows(starts), starts[:, None] + np.arange(size) >= ends[:, None]


class Order(ABC):
    """What each optimizer step reads of a train split, as a function of (seed, step).

    `typical_length` is that of a text in tokens, and `steps_per_epoch` how many steps read all of it once, infinite
    where that is not known.
    """

    batch_size: int
    typical_length: int
    steps_per_epoch: float

    @abstractmethod
    def rows(self, step: int) -> Any:
        """What `Objective.prepare` makes the batch of optimizer step `step` from, over all processes."""

    @abstractmethod
    def tokens(self, step: int) -> int:
        """How many tokens, padding apart, the steps before `step` read."""

    def position(self, step: int) -> dict[str, Any] | None:
        """What a checkpoint before `step` holds so that nothing need be read again, as JSON values; None: nothing."""
        return None

    def go_to(self, position: dict[str, Any]) -> None:  # noqa: B027 most have no place to go to
        """Goes on from a `position` of a checkpoint, which may be that of another kind of order."""


class BlockOrder(Order):
    """Which blocks make up step `step`: each epoch is a new permutation, with a new random phase of the cuts.

    The phase makes every offset of the text a possible block start, as windows of stride 1 do, at the price of one
    block per epoch.
    """

    def __init__(self, blocks: PackedBlocks, batch_size: int, seed: int, random_phase: bool) -> None:
        self.blocks, self.batch_size, self.seed = blocks, batch_size, seed
        self.random_phase = random_phase and len(blocks) > 1
        self.blocks_per_epoch = len(blocks) - 1 if self.random_phase else len(blocks)
        self.steps_per_epoch = self.blocks_per_epoch / batch_size
        self.typical_length = blocks.block_size
        self._cached: tuple[int, np.ndarray] | None = None

    def rows(self, step: int) -> np.ndarray:
        """The blocks `(batch_size, block_size)` of optimizer step `step`."""
        return self.blocks.rows(self.starts(step))

    def tokens(self, step: int) -> int:
        """How many tokens the steps before `step` read."""
        return step * self.batch_size * self.blocks.block_size

    def starts(self, step: int) -> np.ndarray:
        """Token offsets `(batch_size,)` of the blocks of optimizer step `step`."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        return np.asarray([self._epoch(p // self.blocks_per_epoch)[p % self.blocks_per_epoch] for p in positions])

    def _epoch(self, epoch: int) -> np.ndarray:
        if self._cached is None or self._cached[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch, 1])
            phase = rng.integers(self.blocks.block_size) if self.random_phase else 0
            self._cached = epoch, phase + self.blocks.block_size * rng.permutation(self.blocks_per_epoch)
        return self._cached[1]
