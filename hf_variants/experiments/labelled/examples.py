# Copyright 2026 The hf_variants authors. MIT licence.
"""From labelled text to batches: examples cut at a length, batches of similar lengths, padded to their longest.

As with packed text, batch `step` of a run is a pure function of (seed, step), so that nothing has a position to save.
"""

import copy
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..checking import InputError
from ..text.blocks import Order
from .corpus import Examples

POOL = 64  # batches among which examples are sorted by length


class TokenizedExamples:
    """The token ids of examples `(n,)`, cut at `max_length`, and their labels; padded only in batches.

    With a `limit`, so many of them are taken at even distances: files may be sorted by label. An example without any
    token (a tokenizer of words may find none) is one padding token that is masked. Raises InputError where special
    tokens alone fill `max_length`.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, examples: Examples, max_length: int, limit: int | None = None
    ) -> None:
        if limit is not None and limit < len(examples):
            examples = examples.take(np.linspace(0, len(examples) - 1, limit).round().astype(int))
        specials = tokenizer.num_special_tokens_to_add(pair=examples.pairs is not None)
        if max_length <= specials:  # tokenizers would not cut at all
            what = "a pair of texts" if examples.pairs is not None else "a text"
            raise InputError(f"block_size: {max_length}; allowed: more than the {specials} special tokens of {what}")
        names = [name for name in tokenizer.model_input_names if name in ("input_ids", "token_type_ids")]
        encoded = tokenizer(
            examples.texts,
            examples.pairs,
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            verbose=False,
        )
        self.arrays = {name: [np.asarray(row, dtype=np.int64) for row in encoded[name]] for name in names}
        self.source, self.labels = examples, examples.labels
        self.pad, self.left = tokenizer.pad_token_id or 0, tokenizer.padding_side == "left"
        self.lengths = np.asarray([len(row) for row in self.arrays["input_ids"]])
        self.features: dict[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The model's inputs `(rows, longest)` and "labels" where there are any."""
        labels = {} if self.labels is None else {"labels": self.labels[rows]}
        if self.features is not None:
            return {name: values[rows] for name, values in self.features.items()} | labels
        width = max(1, int(self.lengths[rows].max()))
        batch = {
            name: self._padded([values[row] for row in rows], width, self.pad if name == "input_ids" else 0)
            for name, values in self.arrays.items()
        }
        batch["attention_mask"] = self._padded([np.ones(self.lengths[row], dtype=np.int64) for row in rows], width, 0)
        return batch | labels

    def _padded(self, rows: Sequence[np.ndarray], width: int, value: int) -> np.ndarray:
        padded = np.full((len(rows), width), value, dtype=np.int64)
        for target, row in zip(padded, rows, strict=True):
            target[slice(width - len(row), None) if self.left else slice(len(row))] = row
        return padded

    def with_features(self, features: dict[str, np.ndarray]) -> "TokenizedExamples":
        """The same with what an encoder made of each example in place of its tokens."""
        changed = copy.copy(self)
        changed.features = features
        return changed


class BucketedOrder(Order):
    """Which examples make up step `step`: every epoch is a new permutation, in which neighbours have similar lengths.

    Examples are permuted, sorted by length inside pools of POOL batches, cut into batches, and the batches permuted.
    An epoch leaves out the examples that fill no batch, other ones each time.
    """

    def __init__(self, examples: TokenizedExamples, batch_size: int, seed: int) -> None:
        if len(examples) < batch_size:
            raise InputError(f"training.batch_size: {batch_size}; the train split has {len(examples)} examples")
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.steps_per_epoch = len(examples) // batch_size
        self.typical_length = max(1, round(float(examples.lengths.mean())))
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._tokens_before = [0]  # of each epoch that was looked at

    def indices(self, step: int) -> np.ndarray:
        """The examples `(batch_size,)` of optimizer step `step`."""
        return self._epoch(step // self.steps_per_epoch)[0][step % self.steps_per_epoch]

    def rows(self, step: int) -> dict[str, np.ndarray]:
        """The padded batch of optimizer step `step`."""
        return self.examples.batch(self.indices(step))

    def tokens(self, step: int) -> int:
        """How many tokens, padding apart, the steps before `step` read."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        while len(self._tokens_before) <= epoch:
            last = len(self._tokens_before) - 1
            self._tokens_before.append(self._tokens_before[-1] + int(self._epoch(last)[1][-1]))
        return self._tokens_before[epoch] + int(self._epoch(epoch)[1][inside])

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Batches of an epoch, int64 `(steps, batch_size)`, and tokens before each of its steps and after the last."""
        if epoch not in self._epochs:
            self._epochs = {epoch: self._draw(np.random.default_rng([self.seed, epoch, 1]))}
        return self._epochs[epoch]

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        order = rng.permutation(len(self.examples))[: self.steps_per_epoch * self.batch_size]
        size = POOL * self.batch_size
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        lengths = self.examples.lengths
        ordered = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = ordered.reshape(self.steps_per_epoch, self.batch_size)[rng.permutation(self.steps_per_epoch)]
        return batches, np.concatenate([[0], np.cumsum(lengths[batches].sum(axis=1))])
