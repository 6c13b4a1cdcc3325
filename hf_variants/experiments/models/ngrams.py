# Copyright 2026 The hf_variants authors. MIT licence.
"""N-gram models of token rows: what counting makes of the text that a network was trained on.

Interpolated Kneser-Ney with three discounts per order (Chen and Goodman, 1998, section 3). Of an order's grams the
highest counts how often each was seen, those below by how many different tokens each was preceded. The mean loss of
order n is what a model is worth that knows n - 1 tokens and nothing else; for a masked model see `fill_in_losses`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

UNSEEN = -1  # the number of a gram that the text does not have
AT_ONCE = 200_000  # candidates in windows that are looked at together


@dataclass(frozen=True)
class Weights:
    """How an order's counts become probabilities: `share` is added, `rest` scales what the order below says."""

    share: np.ndarray  # float64 (grams,): discounted count over the count of the context
    rest: np.ndarray  # float64 (contexts,): what the discounts leave; 1 where a context was never followed


@dataclass(frozen=True)
class Level:
    """All grams of one length, numbered in the order of their keys: number of the context * base + last token."""

    keys: np.ndarray  # int64 (grams,), rising
    highest: Weights  # where no longer grams are used
    lower: Weights | None  # below longer ones; None at the longest

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Numbers of grams, UNSEEN for those that are not there; int64 of the shape of `keys`."""
        places = np.searchsorted(self.keys, keys)
        found = self.keys[np.minimum(places, len(self.keys) - 1)] == keys
        return np.where(found, places, UNSEEN)


class NGrams:
    """The n-gram models of orders 1 to `order` over tokens 0 to `vocab_size` - 1, counted in rows of tokens.

    No gram reaches from one row into another. `vocab_size` itself stands for no token, in rows that are shorter.
    """

    def __init__(self, rows: np.ndarray, vocab_size: int, order: int) -> None:
        if order < 1 or not rows.size:
            raise ValueError(f"n-grams of order {order} of {rows.size} tokens; allowed: 1 or more of each")
        self.vocab_size, self.order, self.base = vocab_size, order, vocab_size + 1
        self.levels = list(self._count(rows.astype(np.int64)))

    def _count(self, rows: np.ndarray) -> Iterator[Level]:
        contexts, waiting, lengths = np.zeros_like(rows), None, 1
        for _ in range(self.order):
            real = (contexts != UNSEEN) & (rows != self.vocab_size)
            keys, first, found, counts = np.unique(
                (contexts * self.base + rows)[real], return_index=True, return_inverse=True, return_counts=True
            )
            if not len(keys):  # no row is so long
                break
            numbers = np.full(rows.shape, UNSEEN)
            numbers[real] = found
            of_context, number_of_contexts = keys // self.base, lengths
            if waiting is not None:  # the grams one shorter: by how many tokens each was preceded
                before, ends = waiting
                preceded = np.maximum(np.bincount(ends[real][first], minlength=len(before[0])), 1)
                yield Level(before[0], before[1], weigh(preceded, before[2], before[3]))
            highest = weigh(counts, of_context, number_of_contexts)
            waiting = (keys, highest, of_context, number_of_contexts), numbers
            contexts, lengths = _previous(numbers), len(keys)
        (keys, highest, _, _), _ = waiting
        yield Level(keys, highest, None)

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Of every token of `rows`, after those before it in its row: float64 `(order, *rows.shape)`, by order.

        Where the text is too short for an order, it says what the one below says.
        """
        rows = rows.astype(np.int64)
        found = np.full((self.order, *rows.shape), 1.0 / self.vocab_size)
        contexts, below = np.zeros_like(rows), np.full(rows.shape, 1.0 / self.vocab_size)
        for size in range(self.order):
            if size >= len(self.levels):
                found[size] = found[size - 1]
                continue
            level = self.levels[size]
            numbers = np.where(contexts == UNSEEN, UNSEEN, level.find(contexts * self.base + rows))
            found[size] = _interpolated(level.highest, contexts, numbers, below)
            if level.lower is not None:
                below = _interpolated(level.lower, contexts, numbers, below)
            contexts = _previous(numbers)
        return found

    def losses(self, rows: np.ndarray) -> np.ndarray:
        """Of every token, in nats: float64 `(order, *rows.shape)`."""
        return -np.log(self.probabilities(rows))


def weigh(counts: np.ndarray, of_context: np.ndarray, contexts: int) -> Weights:
    """Discounted counts `(grams,)` as probabilities; `of_context` is the number of each gram's context."""
    discounts = discounts_of(counts)
    taken = discounts[np.minimum(counts, 3)]
    totals = np.bincount(of_context, counts, minlength=contexts)
    left = np.bincount(of_context, taken, minlength=contexts)
    rest = np.divide(left, totals, out=np.ones(contexts), where=totals > 0)
    return Weights((counts - taken) / totals[of_context], rest)


def discounts_of(counts: np.ndarray) -> np.ndarray:
    """What is taken off counts of 1, 2, and 3 or more: float64 `(4,)`, 0 for 0 (Chen and Goodman, equation 26).

    The formula needs grams that were seen once, twice, three and four times. Where a text, of few characters, say, has
    none of one kind, the discount before stands; where none was seen once, all are 0.5.
    """
    seen = [0.0, *(float((counts == number).sum()) for number in (1, 2, 3, 4))]
    if not seen[1]:
        return np.asarray([0.0, 0.5, 0.5, 0.5])  # never nothing, or a new token would have no chance
    once = seen[1] / (seen[1] + 2 * seen[2])
    discounts = np.zeros(4)
    for number in (1, 2, 3):
        wanted = number - (number + 1) * once * seen[number + 1] / seen[number] if seen[number] else 0.0
        usable = seen[number] and seen[number + 1] and 0 < wanted < number
        discounts[number] = wanted if usable else max(discounts[number - 1], once)
    return discounts


def _previous(numbers: np.ndarray) -> np.ndarray:
    """The grams that end one token before; none before the first."""
    return np.concatenate([np.full_like(numbers[..., :1], UNSEEN), numbers[..., :-1]], axis=-1)


def _interpolated(weights: Weights, contexts: np.ndarray, numbers: np.ndarray, below: np.ndarray) -> np.ndarray:
    share = np.where(numbers == UNSEEN, 0.0, weights.share[np.maximum(numbers, 0)])
    rest = np.where(contexts == UNSEEN, 1.0, weights.rest[np.minimum(np.maximum(contexts, 0), len(weights.rest) - 1)])
    return share + rest * below


# ---- masked tokens -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corruption:
    """What a masked model's input shows in place of a token that it is to predict: the mask, or with the chances
    `random` and `kept` another token or the token itself."""

    random: float
    kept: float
    mask_id: int


def fill_in_losses(
    ngrams: NGrams, inputs: np.ndarray, places: np.ndarray, tokens: np.ndarray, corruption: Corruption
) -> np.ndarray:
    """What each order says of hidden tokens from both sides, in nats: float64 `(order, places)`.

    Bayes' rule over the vocabulary: the n-gram probability of the token, that of each of the n - 1 tokens after it,
    and how likely the input shows what it shows in its place. `inputs` `(rows, columns)` are a masked model's: the
    n-grams see what it sees, and no further than to the next mask. `places` `(places, 2)` are rows and columns of
    them, `tokens` `(places,)` what was there.
    """
    reach, size = ngrams.order - 1, ngrams.vocab_size
    seen = np.where(inputs == corruption.mask_id, size, inputs)
    framed = np.pad(seen, ((0, 0), (reach, reach)), constant_values=size)
    windows = np.lib.stride_tricks.sliding_window_view(framed, 2 * reach + 1, axis=1)[places[:, 0], places[:, 1]]
    shown, parts = inputs[places[:, 0], places[:, 1]], max(1, len(places) * size // AT_ONCE)
    pieces = zip(*(np.array_split(each, parts) for each in (windows, shown, tokens)), strict=True)
    return np.concatenate([_fill_in(ngrams, corruption, *piece) for piece in pieces], axis=1)


def _fill_in(
    ngrams: NGrams, corruption: Corruption, windows: np.ndarray, shown: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    middle, size = windows.shape[1] // 2, ngrams.vocab_size
    filled = np.repeat(windows[:, None], size, axis=1)
    filled[:, :, middle] = np.arange(size)
    losses = np.where(filled == size, 0.0, ngrams.losses(filled))
    hidden, same = (shown == corruption.mask_id)[:, None], shown[:, None] == np.arange(size)
    likely = np.where(hidden, 1.0, corruption.random / size + corruption.kept * same)
    found = []
    for order in range(ngrams.order):  # the token n - 1 places on is the last that has this one in its context
        scores = np.log(likely) - losses[order, :, :, middle : middle + order + 1].sum(axis=-1)
        own = np.take_along_axis(scores, tokens[:, None], axis=1)[:, 0]
        found.append(np.logaddexp.reduce(scores, axis=1) - own)
    return np.stack(found)
