# Copyright 2026 The hf_variants authors. MIT licence.
"""Batches of a train split that is read while it is trained on; memory holds no more than a window of blocks.

What comes out is a function of (seed, step), as in blocks.py: documents in the order of their shards become one row of
tokens, that is cut into blocks, and the blocks of each window are permuted. A window's order knows nothing of those
before it, so that nothing of a shuffle buffer has to be saved: a run goes on from the place where the window of its
next batch begins.

- Every process reads the same stream, and takes its rows of each global batch. Order, masks and weights therefore
  don't depend on the number of processes; reading is repeated in each of them.
- Of the units of text that a stream is tokenized in, worker i of n tokenizes every n-th. Each worker reads all of it:
  reading is some hundred times as fast as tokenizing.
"""

import math
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from ..checking import InputError
from ..recipes.sections import DataArguments, TrainingArguments
from .blocks import Order
from .streams import Documents
from .tokenizer import document_parts, separator_id, tokenize_parts

UNIT = 1 << 18  # characters that are tokenized together
PREFETCHED = 8  # units that each worker has ready
UNSHUFFLED = 256  # blocks of a window that is not shuffled


class Place(NamedTuple):
    """What is read next: the shard by its number in the epoch's order, a document of it, and a part of that."""

    shard: int = 0
    document: int = 0
    part: int = 0


@dataclass
class TokenizedShards:
    """The documents of a split as rows of token ids."""

    shards: list[Documents]
    tokenizer: PreTrainedTokenizerBase
    separator: int | None = field(init=False)  # as data.tokenize_documents has it: none behind an only document

    def __post_init__(self) -> None:
        documents = (document for shard in self.shards for document in shard())
        is_several = len(list(islice(documents, 2))) > 1
        self.separator = separator_id(self.tokenizer) if is_several else None

    def units(self, order: list[int], place: Place) -> Iterator[tuple[Place, list[str | None]]]:
        """Text from `place` on in units of about UNIT characters (None: a separator), and where each begins."""
        unit: list[str | None] = []
        begun, size = place, 0
        for where, part in self._parts(order, place):
            begun = begun if unit else where
            unit.append(part)
            size += len(part or "")
            if size >= UNIT:
                yield begun, unit
                unit, size = [], 0
        if unit:
            yield begun, unit

    def _parts(self, order: list[int], place: Place) -> Iterator[tuple[Place, str | None]]:
        for number in range(place.shard, len(order)):
            first = place.document if number == place.shard else 0
            for index, document in enumerate(islice(self.shards[order[number]](), first, None), first):
                done = place.part if (number, index) == place[:2] else 0
                for part, text in enumerate(islice(document_parts(document, self.separator), done, None), done):
                    yield Place(number, index, part), text


Tokens = tuple[Place, np.ndarray]  # ids, and where the first of them comes from


class UnitReader(IterableDataset):
    """The units of one epoch from a place on, tokenized; in a DataLoader each worker's share of them.

    An InputError is given out at its place in the stream, so that it is raised at the same step with any number of
    workers, and without a worker's traceback.
    """

    def __init__(self, text: TokenizedShards, order: list[int], place: Place) -> None:
        self.text, self.order, self.place = text, order, place

    def __iter__(self) -> Iterator[tuple[Place, np.ndarray | InputError]]:
        worker = get_worker_info()
        mine, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        units, number = self.text.units(self.order, self.place), 0
        while True:
            try:
                unit = next(units, None)
                if unit is None:
                    return
                found = self._tokenized(unit[1]) if number % count == mine else None
            except InputError as error:
                unit, found = (self.place, []), error
            if number % count == mine:
                yield unit[0], found
            if isinstance(found, InputError):
                return
            number += 1

    def _tokenized(self, unit: list[str | None]) -> np.ndarray:
        return tokenize_parts(self.text.tokenizer, unit, self.text.separator)


def read_tokens(text: TokenizedShards, order: list[int], place: Place, workers: int) -> Iterator[Tokens]:
    """The token ids of one epoch from a place on, unit by unit. Raises InputError where the text is wrong."""
    loader = DataLoader(
        UnitReader(text, order, place),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        collate_fn=_as_it_is,  # a tensor would need a file descriptor for each unit
        worker_init_fn=_begin_worker,
        generator=torch.Generator().manual_seed(0),  # else it would draw from the global one
    )
    for where, found in loader:
        if isinstance(found, InputError):
            raise found
        yield where, found


def _as_it_is(found: Any) -> Any:
    return found


def _begin_worker(worker: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # of a fork; `tokenizers` would say so itself, at length
    # A scheduler may send this to every process of a run, which then still needs its data for the step that it is in.
    # A worker ends when it is told to through its queue, or finds that its parent is gone.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


Origin = tuple[Place, int]  # a place in the text, and how many tokens from there a block begins


def pack(units: Iterable[Tokens], size: int, skip: int) -> Iterator[tuple[np.ndarray, list[Origin]]]:
    """Blocks `(blocks, size)` of a row of tokens without its first `skip`, and where each begins.

    A tail that fills no block is left out.
    """
    rest, rest_origin = np.zeros(0, dtype=np.int32), (Place(), 0)
    for place, tokens in units:
        skipped = min(skip, len(tokens))
        skip -= skipped
        if skipped == len(tokens):
            continue
        rest_origin = rest_origin if len(rest) else (place, skipped)
        begin = skipped - len(rest)  # of the first block, counted from this unit's first token
        rest = np.concatenate([rest, tokens[skipped:]])
        count = len(rest) // size
        if count:
            origins = [rest_origin] + [(place, begin + number * size) for number in range(1, count)]
            rest_origin = (place, begin + count * size)
            yield rest[: count * size].reshape(count, size), origins
            rest = rest[count * size :]


@dataclass(frozen=True)
class StreamMark:
    """Where a window begins: its first block, counted over all epochs, and the place in the text of an epoch."""

    first: int = 0
    epoch: int = 0
    window: int = 0
    place: Place = Place()
    skip: int = 0  # tokens from there that are not part of it


class Window(NamedTuple):
    """Blocks that follow each other in training, `(blocks, size)`."""

    mark: StreamMark
    rows: np.ndarray

    @property
    def end(self) -> int:
        """The number of the first block behind it."""
        return self.mark.first + len(self.rows)


@dataclass(frozen=True)
class BlockStream:
    """All windows of a stream, epoch after epoch. `window` is their size in blocks."""

    text: TokenizedShards
    block_size: int
    window: int
    is_shuffled: bool
    random_phase: bool
    seed: int = 0
    workers: int = 0

    def beginning(self) -> StreamMark:
        """The mark of the first window."""
        return StreamMark(skip=self._phase(0))

    def windows(self, mark: StreamMark) -> Iterator[Window]:
        """All windows from one on. Raises InputError where the text is wrong, or too short for a block."""
        while True:
            window = None
            for window in self._epoch(mark):
                yield window
            if window is None and mark.window == 0:
                behind = " behind the random phase" if self.random_phase else ""
                raise InputError(f"data: the train split has less than one block of {self.block_size} tokens{behind}")
            epoch, first = mark.epoch + 1, mark.first if window is None else window.end
            mark = StreamMark(first, epoch, skip=self._phase(epoch))

    def _phase(self, epoch: int) -> int:
        """Tokens that an epoch leaves out at its beginning, so that cuts differ; those that BlockOrder leaves out."""
        return int(np.random.default_rng([self.seed, epoch, 1]).integers(self.block_size)) if self.random_phase else 0

    def _shards(self, epoch: int) -> list[int]:
        count = len(self.text.shards)
        if not self.is_shuffled:
            return list(range(count))
        return np.random.default_rng([self.seed, epoch, 4]).permutation(count).tolist()

    def _epoch(self, mark: StreamMark) -> Iterator[Window]:
        """The windows of one epoch from one on."""
        units = read_tokens(self.text, self._shards(mark.epoch), mark.place, self.workers)
        blocks: list[np.ndarray] = []
        size = 0
        for more, origins in pack(units, self.block_size, mark.skip):
            while len(more):
                if size == self.window:  # what comes now begins the next
                    yield self._mixed(mark, blocks)
                    mark = StreamMark(mark.first + size, mark.epoch, mark.window + 1, *origins[0])
                    blocks, size = [], 0
                taken = min(len(more), self.window - size)
                blocks.append(more[:taken])
                size, more, origins = size + taken, more[taken:], origins[taken:]
        if blocks:
            yield self._mixed(mark, blocks)

    def _mixed(self, mark: StreamMark, blocks: list[np.ndarray]) -> Window:
        rows = np.concatenate(blocks)
        if self.is_shuffled:
            rows = rows[np.random.default_rng([self.seed, mark.epoch, mark.window, 5]).permutation(len(rows))]
        return Window(mark, rows)


class StreamOrder(Order):
    """Which blocks make up step `step`, read from the stream; the counterpart of data.BlockOrder.

    Steps are asked for one after the other. Going back, without `go_to`, reads the stream from its beginning.
    """

    def __init__(self, text: TokenizedShards, data: DataArguments, training: TrainingArguments) -> None:
        window, is_shuffled = data.shuffle_buffer or UNSHUFFLED, data.shuffle_buffer > 0
        self.stream = BlockStream(
            text, data.block_size, window, is_shuffled, data.random_phase, training.seed, data.workers
        )
        self.batch_size, self.typical_length = training.batch_size, data.block_size
        self.steps_per_epoch = math.inf  # not known before all was read
        self._start = self.stream.beginning()
        self._held: deque[Window] = deque()
        self._coming: Iterator[Window] | None = None  # holds no reference to self: its workers end when self is gone

    def tokens(self, step: int) -> int:
        """How many tokens the steps before `step` read."""
        return step * self.batch_size * self.stream.block_size

    def rows(self, step: int) -> np.ndarray:
        """The blocks `(batch_size, block_size)` of optimizer step `step`."""
        begin, end = step * self.batch_size, (step + 1) * self.batch_size
        if self._coming is None or (self._held and begin < self._held[0].mark.first):
            self._open(self._start if self._start.first <= begin else self.stream.beginning())
        while not self._held or self._held[-1].end < end:
            self._held.append(next(self._coming))
            while self._held and self._held[0].end <= begin:
                self._held.popleft()
        parts = [rows[max(0, begin - mark.first) : max(0, end - mark.first)] for mark, rows in self._held]
        return np.concatenate(parts).astype(np.int64)

    def position(self, step: int) -> dict[str, Any]:
        """Where the window of `step`'s first block begins, as JSON values, or the nearest before it that is known."""
        marks = [self._start] + [window.mark for window in self._held]
        return asdict([mark for mark in marks if mark.first <= step * self.batch_size][-1])

    def go_to(self, position: dict[str, Any]) -> None:
        """Begins to read at a `position`, at the next batch that is asked for."""
        self._start = StreamMark(**position | {"place": Place(*position["place"])})
        self._held.clear()
        self._coming = None

    def _open(self, start: StreamMark) -> None:
        self._start = start
        self._held.clear()
        self._coming = None  # ends the workers before others begin
        self._coming = self.stream.windows(start)
