# Copyright 2026 The hf_variants authors. MIT licence.
"""From text to batches: tokenizer, packed blocks, and a data order that is a pure function of (seed, step).

Nothing here has a position to save: batch `step` of a run is the same whether the run came there in one go, after a
crash, or on another number of processes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from .arguments import InputError, TokenizerArguments
from .corpora import Corpus, find_local, find_model
from .streams import Document, TrainingText, pieces
from .text_cleaning import check_steps
from .tokenizer_training import TRAINED, clean_first, train_tokenizer

CHUNK = 50_000  # characters that are tokenized at a time
LONGEST_LINE = 4_000_000  # characters; a longer line of a text file that is streamed is cut between words


# ---- tokenizer -----------------------------------------------------------------------------------------------------


def build_tokenizer(
    arguments: TokenizerArguments, corpus: Corpus | TrainingText, max_length: int
) -> PreTrainedTokenizerBase:
    """The recipe's tokenizer: trained on the train split of a corpus, or loaded by name. It cleans text if asked."""
    if arguments.tokenizer in TRAINED:
        text = corpus if isinstance(corpus, TrainingText) else TrainingText(lambda: corpus.splits["train"])
        return train_tokenizer(arguments, text, max_length)
    return clean_first(load_tokenizer(arguments.tokenizer), check_steps(arguments.clean))


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, of `package:NAME` or of the Hub. Raises InputError where there is none."""
    allowed = f"'{name}'; allowed: {', '.join(TRAINED)}, a folder, a Hub name"
    where = find_local(name) or find_model(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 a broken file raises anything; the user named something that is none
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"tokenizer.tokenizer: {allowed} ({first})") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes of a model without a tokenizer
        raise InputError(f"tokenizer.tokenizer: {allowed} (there is no vocabulary)")
    return tokenizer


# ---- packed blocks -------------------------------------------------------------------------------------------------


def separator_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token that follows every document: the sep token, else the eos token, else none."""
    return tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id


def tokenize_documents(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> np.ndarray:
    """All documents as one row of token ids (int32), a separator after each where there are several."""
    separator = separator_id(tokenizer) if len(texts) > 1 else None
    rows = [tokenize_parts(tokenizer, list(document_parts(text, separator)), separator) for text in texts]
    return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)


def document_parts(document: Document, separator: int | None) -> Iterator[str | None]:
    """The text of a document in chunks, then None for the separator where there is one and the text is not empty."""
    is_short = isinstance(document, str) and len(document) <= CHUNK
    longest = None if isinstance(document, str) else LONGEST_LINE
    is_empty = True
    for chunk in filter(None, [document] if is_short else _chunks(pieces(document), longest)):
        yield chunk
        is_empty = False
    if separator is not None and not is_empty:
        yield None


def tokenize_parts(
    tokenizer: PreTrainedTokenizerBase, parts: Sequence[str | None], separator: int | None
) -> np.ndarray:
    """Token ids (int32) of chunks of text, and the separator for each None."""
    rows = iter(tokenize_chunks(tokenizer, [part for part in parts if part is not None]))
    found = [np.asarray([separator] if part is None else next(rows), dtype=np.int32) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int32)


def tokenize_chunks(tokenizer: PreTrainedTokenizerBase, chunks: list[str]) -> list[list[int]]:
    """Token ids of each text, no special ones added. Raises InputError where a character is unknown and can't be."""
    try:
        return tokenizer(chunks, add_special_tokens=False, verbose=False)["input_ids"] if chunks else []
    except Exception as error:  # tokenizers raises nothing more precise
        if "[UNK]" not in str(error):
            raise
        raise InputError("tokenizer.special_tokens: a split has unseen characters; add [UNK]") from None


def _chunks(text: Iterable[str], longest: int | None = None) -> Iterator[str]:
    """A text given in pieces, as chunks of about CHUNK characters that end with a line, so that no word is cut.

    A line stays whole, however long; given `longest`, one that is longer is cut at a space.
    """
    chunk: list[str] = []
    size, rest = 0, ""
    for piece in text:
        *lines, rest = (rest + piece).splitlines(keepends=True) or [""]  # the last may go on, or lack half a line end
        for line in lines:
            chunk.append(line)
            size += len(line)
            if size >= CHUNK:
                yield "".join(chunk)
                chunk, size = [], 0
        if longest is not None and len(rest) > longest:
            end = rest.rfind(" ", 1)
            end = end if end > 0 else len(rest)
            yield "".join(chunk) + rest[:end]
            chunk, size, rest = [], 0, rest[end:]
    if chunk or rest:
        yield "".join(chunk) + rest


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


class BlockOrder:
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


class StepDataset(Dataset):
    """Item i is the i-th micro-batch of a run on one process.

    Every process draws the whole batch of the step and takes its own rows, so that neither order nor masks depend on
    the number of processes or micro-batches. `order` is a BlockOrder, labelled_data.BucketedOrder or
    streaming.StreamOrder.
    """

    def __init__(self, order: Any, objective: Any, seed: int, parts: int, rank: int, world: int) -> None:
        self.order, self.objective, self.seed = order, objective, seed
        self.parts, self.rank, self.world = parts, rank, world

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        step, part = divmod(index, self.parts)
        batch, weight = self.objective.prepare(self.order.rows(step), np.random.default_rng([self.seed, step, 2]))
        size = self.order.batch_size // (self.parts * self.world)
        mine = slice((part * self.world + self.rank) * size, (part * self.world + self.rank + 1) * size)
        return {name: torch.from_numpy(array[mine]) for name, array in batch.items()} | {
            "weight": torch.tensor(weight)
        }

    def position(self, step: int) -> dict[str, Any] | None:
        """What a checkpoint before `step` holds so that a stream need not be read again; None without a stream."""
        return self.order.position(step) if hasattr(self.order, "position") else None

    def go_to(self, position: dict[str, Any] | None) -> None:
        """Goes on from a position of a checkpoint. Without one the batches are the same, but a stream is read anew."""
        if position is not None and hasattr(self.order, "go_to"):
            self.order.go_to(position)


def step_loader(dataset: StepDataset, first_step: int, last_step: int, pin_memory: bool) -> DataLoader:
    """Micro-batches of the steps first_step … last_step - 1.

    The loader has a generator of its own: creating an iterator draws a number, and taking that from the global
    generator would make a resumed run's dropout differ.
    """
    indices = range(first_step * dataset.parts, last_step * dataset.parts)
    return DataLoader(
        dataset, batch_size=None, sampler=indices, generator=torch.Generator().manual_seed(0), pin_memory=pin_memory
    )
