# Copyright 2026 The hf_variants authors. MIT licence.
"""Which tokens of a level make up which token of the next, and who may attend to whom there.

With factor f, coarse token g of a document reads the f tokens that end at its token g * f (those before the beginning
are zeros), and is read by its tokens g * f … g * f + f - 1: nothing reads what comes later.

A `UniformChunk` is a chunk whose rows all stand at the same place, as in training: slices are enough. A `RaggedChunk`
has rows at different places (padding, packed documents) and works with index tensors; on equal rows both agree. Both
go on from earlier chunks: `seen` tokens came before, of which the last f - 1 are `pending`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch


def causal_mask(first: torch.Tensor, queries: int, keys: int, window: int | None) -> torch.Tensor:
    """Return who sees whom, bool `(rows, queries, keys)`; those of row r stand at `first[r]`, `first[r]` + 1 …"""
    query = first[:, None, None] + torch.arange(queries, device=first.device)[:, None]
    key = torch.arange(keys, device=first.device)
    seen = key <= query
    return seen if window is None else seen & (key > query - window)


def block_mask(length: int, window: int, device: torch.device) -> torch.Tensor:
    """Return who sees whom among a block and the one before it, bool `(1, blocks, 1, window, 2 * window)`."""
    seen = causal_mask(torch.tensor([window], device=device), window, 2 * window, window)
    seen = seen.repeat(-(-length // window), 1, 1)
    seen[0, :, :window] = False  # nothing is before the first
    return seen[None, :, None]


def all_rows(states: torch.Tensor, rows: torch.Tensor | None, batch: int) -> torch.Tensor:
    """Return the states of some rows, or (None) all, at their places in the batch; the other rows have zeros."""
    if rows is None:
        return states
    return states.new_zeros(batch, *states.shape[1:]).index_copy(0, rows.to(states.device), states)


@dataclass
class UniformChunk:
    """`length` tokens of every row, after `seen` ones."""

    seen: int
    length: int
    rows: None = None  # all of the batch

    def to(self, device: torch.device) -> UniformChunk:
        """Return the chunk for a level that lies on another device: there is nothing to move."""
        return self

    def group(self, factor: int) -> UniformGroups:
        """Return the groups of `factor` tokens."""
        return UniformGroups(self, factor)

    def mask(self, keys: int, window: int | None, device: torch.device) -> torch.Tensor | None:
        """Return who sees whom, bool `(1, 1, length, keys)`, or None where attention can work that out itself."""
        if self.length == 1 and (window is None or keys <= window):
            return None
        if self.seen == 0 and (window is None or self.length <= window):
            return None
        return causal_mask(torch.tensor([self.seen], device=device), self.length, keys, window)[:, None]

    def place(self) -> None:
        """Keys and values of all rows go behind those that are there."""
        return None


class UniformGroups:
    """The groups of a `UniformChunk`."""

    def __init__(self, chunk: UniformChunk, factor: int):
        self.chunk, self.factor = chunk, factor
        begun = -(-chunk.seen // factor)  # groups that earlier chunks completed
        made = -(-(chunk.seen + chunk.length) // factor) - begun
        self.left = begun * factor - chunk.seen  # tokens still missing from the group that was begun last
        self.coarse = UniformChunk(begun, made)

    def buffer(self, inputs: torch.Tensor, pending: torch.Tensor | None) -> torch.Tensor:
        """Put `pending`, or zeros, before the inputs: `(batch, factor - 1 + length, hidden)`."""
        if pending is None:
            return torch.nn.functional.pad(inputs, (0, 0, self.factor - 1, 0))
        return torch.cat([pending, inputs], dim=1)

    def windows(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return what each coarse token reads, `(batch, coarse, factor * hidden)`."""
        made = self.coarse.length
        return buffer[:, self.left : self.left + made * self.factor].reshape(len(buffer), made, -1).contiguous()

    def spread(self, new: torch.Tensor | None, stored: torch.Tensor | None) -> torch.Tensor:
        """Hand every token its part of the expanded coarse tokens, `(batch, length, hidden)`.

        `new` are the parts of this chunk's coarse tokens, `(batch, coarse * factor, hidden)`, `stored` those of the
        last one before it, `(batch, factor, hidden)`.
        """
        parts = [stored[:, self.factor - self.left :]] if self.left else []
        parts += [] if new is None else [new]
        return torch.cat(parts, dim=1)[:, : self.chunk.length]

    def last_inputs(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the inputs that the next chunk needs, `(batch, factor - 1, hidden)`."""
        return buffer[:, 1 - self.factor :]

    def last_outputs(self, new: torch.Tensor | None, stored: torch.Tensor | None) -> torch.Tensor:
        """Return the parts of the last coarse token, `(batch, factor, hidden)`."""
        return stored if new is None else new[:, -self.factor :]


@dataclass
class RaggedChunk:
    """Real tokens of each row, `real` and `phase` `(rows, length)`, moved to the row's beginning.

    Attributes:
        seen: tokens of each row before this chunk, `(rows,)`.
        phase: place of each token in its document, counted from 0.
        order: the column that each token comes from, `(rows, length)`; None where they did not move.
        columns: which columns had real tokens before these moved, `(rows, length)`; None where they did not move.
        rows: which rows of the batch these are; None for all.
        packed: whether a row may hold several documents.
        bound: how many tokens a row may have, where that must be known without looking at data.
    """

    seen: torch.Tensor
    real: torch.Tensor
    phase: torch.Tensor
    order: torch.Tensor | None = None
    columns: torch.Tensor | None = None
    rows: torch.Tensor | None = None
    packed: bool = False
    bound: int | None = None

    @classmethod
    def padded(cls, mask: torch.Tensor, seen: torch.Tensor, static: bool) -> RaggedChunk:
        """Return the chunk whose real tokens are those where the bool `mask` `(batch, length)` is True."""
        order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
        phase = seen[:, None] + torch.arange(mask.shape[1], device=mask.device)
        return cls(seen, mask.gather(1, order), phase, order, mask, bound=mask.shape[1] if static else None)

    @classmethod
    def documents(cls, position_ids: torch.Tensor) -> RaggedChunk:
        """Return the chunk whose documents begin where positions `(batch, length)` do not go on by 1."""
        columns = torch.arange(position_ids.shape[1], device=position_ids.device).expand_as(position_ids)
        begins = torch.ones_like(position_ids, dtype=torch.bool)
        begins[:, 1:] = position_ids.diff(dim=1) != 1
        first = torch.where(begins, columns, 0).cummax(dim=1).values
        seen = torch.zeros(len(position_ids), dtype=torch.long, device=position_ids.device)
        return cls(seen, torch.ones_like(begins), columns - first, packed=True)

    @property
    def length(self) -> int:
        """The longest row."""
        return self.real.shape[1]

    def to(self, device: torch.device) -> RaggedChunk:
        """Return the chunk for a level that lies on another device."""
        if self.real.device == device:
            return self
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: v.to(device) for name, v in held.items() if isinstance(v, torch.Tensor)})

    def group(self, factor: int) -> RaggedGroups:
        """Return the groups of `factor` tokens."""
        return RaggedGroups(self, factor)

    def mask(self, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
        """Return who sees whom, bool `(rows, 1, length, keys)`."""
        seen = causal_mask(self.seen, self.length, keys, window)
        if self.packed:
            document = (self.phase == 0).cumsum(dim=1)
            seen = seen & (document[:, :, None] == document[:, None, :])
        return seen[:, None]

    def column_mask(self, kept: int, window: int) -> torch.Tensor:
        """Return who sees whom before the real tokens moved, bool `(rows, 1, length, kept + length)`.

        Keys are the last `kept` real tokens before this chunk, then all of its columns. A window counts real tokens.
        """
        new = self.seen[:, None] + self.columns.cumsum(dim=1) - 1  # padding has the number of the token before it
        old = self.seen[:, None] - kept + torch.arange(kept, device=new.device)
        keys, real = torch.cat([old, new], dim=1), torch.cat([old >= 0, self.columns], dim=1)
        seen = real[:, None] & (keys[:, None] > new[:, :, None] - window)
        causal = torch.ones(self.length, keys.shape[1], dtype=torch.bool, device=new.device).tril(kept)
        itself = causal.triu(kept)  # so that padding sees something: the softmax of nothing may be NaN
        return (seen & causal | itself)[:, None]

    def place(self) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Return the rows of the batch, and where the keys and values of these tokens belong, `(rows, length)`."""
        return self.rows, self.seen[:, None] + torch.arange(self.length, device=self.seen.device)


class RaggedGroups:
    """The groups of a `RaggedChunk`."""

    def __init__(self, chunk: RaggedChunk, factor: int):
        self.chunk, self.factor = chunk, factor
        complete = chunk.real & (chunk.phase % factor == 0)
        self.group_of = complete.cumsum(dim=1)  # 0 for tokens of the group that was begun last before this chunk
        self.made = self.group_of[:, -1]
        bound = None if chunk.bound is None else -(-chunk.bound // factor)
        count = int(self.made.max()) if bound is None else bound
        # the token that completes each group; what belongs to none falls into one place more, which is cut off
        place = torch.where(complete, self.group_of - 1, count)
        columns = torch.arange(chunk.length, device=place.device).expand_as(place)
        source = torch.zeros(len(place), count + 1, dtype=torch.long, device=place.device)
        self.source = source.scatter(1, place, columns)[:, :count]
        self.kept = None if bound is not None or bool((self.made > 0).all()) else self.made.nonzero()[:, 0]
        self.coarse = self._coarse(count, bound)

    def _coarse(self, count: int, bound: int | None) -> RaggedChunk:
        chunk, factor = self.chunk, self.factor
        real = torch.arange(count, device=self.made.device) < self.made[:, None]
        phase = chunk.phase.gather(1, self.source) // factor
        seen, rows = (chunk.seen + factor - 1) // factor, chunk.rows
        if self.kept is not None:
            real, phase, seen = real[self.kept], phase[self.kept], seen[self.kept]
            rows = self.kept if rows is None else rows[self.kept]
        return RaggedChunk(seen, real, phase, rows=rows, packed=chunk.packed, bound=bound)

    def buffer(self, inputs: torch.Tensor, pending: torch.Tensor | None) -> torch.Tensor:
        """Put `pending`, or zeros, before the rows' real inputs: `(rows, factor - 1 + length, hidden)`."""
        if self.chunk.order is not None:
            inputs = inputs.gather(1, self.chunk.order[:, :, None].expand_as(inputs))
        if pending is None:
            return torch.nn.functional.pad(inputs, (0, 0, self.factor - 1, 0))
        return torch.cat([pending, inputs], dim=1)

    def windows(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return what each coarse token reads, `(kept rows, coarse, factor * hidden)`."""
        step = torch.arange(self.factor, device=buffer.device)
        index = self.source[:, :, None] + step
        # what lies before the document's beginning is another document's
        inside = self.chunk.phase.gather(1, self.source)[:, :, None] >= self.factor - 1 - step
        read = _take(buffer, index.flatten(1)).view(*index.shape, -1).masked_fill(~inside[..., None], 0).flatten(2)
        return read if self.kept is None else read[self.kept]

    def spread(self, new: torch.Tensor | None, stored: torch.Tensor | None) -> torch.Tensor:
        """Hand every token its part of the expanded coarse tokens, `(rows, length, hidden)`; see `UniformGroups`."""
        index = self.group_of * self.factor + self.chunk.phase % self.factor
        if self.chunk.order is not None:  # back to the columns that the tokens came from
            back = torch.empty_like(self.chunk.order)
            back.scatter_(1, self.chunk.order, torch.arange(index.shape[1], device=index.device).expand_as(index))
            index = index.gather(1, back)
        return _take(self._table(new, stored), index)

    def last_inputs(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the inputs that the next chunk needs, `(rows, factor - 1, hidden)`."""
        step = torch.arange(self.factor - 1, device=buffer.device)
        return _take(buffer, self.chunk.real.sum(dim=1)[:, None] + step)

    def last_outputs(self, new: torch.Tensor | None, stored: torch.Tensor | None) -> torch.Tensor:
        """Return the parts of each row's last coarse token, `(rows, factor, hidden)`."""
        step = torch.arange(self.factor, device=self.made.device)
        return _take(self._table(new, stored), self.made[:, None] * self.factor + step)

    def _table(self, new: torch.Tensor | None, stored: torch.Tensor | None) -> torch.Tensor:
        """Return the parts of the last coarse token before this chunk, then those of its own."""
        if new is None:
            return stored
        new = all_rows(new, self.kept, len(self.made))
        before = new.new_zeros(len(new), self.factor, new.shape[2]) if stored is None else stored
        return torch.cat([before, new], dim=1)


def _take(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return `values[r, index[r, i]]` as `(rows, indices, hidden)`."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))
