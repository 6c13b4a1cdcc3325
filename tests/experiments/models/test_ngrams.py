# Copyright 2026 The hf_variants authors. MIT licence.
"""N-gram models against their definition in plain Python, and against Bayes' rule written out."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from hf_variants.experiments.models.ngrams import Corruption, NGrams, discounts_of, fill_in_losses

VOCAB, ORDER, MASK = 5, 4, 4


def zipf_rows(rows: int, length: int, seed: int = 0) -> np.ndarray:
    """Tokens that follow one another with very unequal chances; the last one, the mask, never occurs."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet([0.3] * (VOCAB - 1), size=VOCAB)
    found = np.zeros((rows, length), dtype=np.int64)
    for column in range(1, length):
        for row in range(rows):
            found[row, column] = rng.choice(VOCAB - 1, p=chances[found[row, column - 1]])
    return found


class Plain:
    """The same by dictionaries, word for word as Chen and Goodman (1998) define it."""

    def __init__(self, rows: np.ndarray, highest: int):
        self.counts = {}
        for size in range(1, highest + 2):
            grams = Counter(tuple(row[i : i + size]) for row in rows.tolist() for i in range(len(row) - size + 1))
            self.counts[size] = grams
        for size in range(1, highest):  # in place of counts: how many different tokens come before
            before = Counter(gram[1:] for gram in self.counts[size + 1])
            self.counts[size] = Counter({gram: max(before[gram], 1) for gram in self.counts[size]})

    def probability(self, token: int, context: tuple[int, ...]) -> float:
        if len(context) == 0:
            below = 1 / VOCAB
        else:
            below = self.probability(token, context[1:])
        counts = self.counts[len(context) + 1]
        follow = {gram: count for gram, count in counts.items() if gram[:-1] == context}
        if not follow:
            return below
        discounts = discounts_of(np.asarray(list(counts.values())))
        total = sum(follow.values())
        left = sum(discounts[min(count, 3)] for count in follow.values()) / total
        own = follow.get((*context, token), 0)
        return (own - discounts[min(own, 3)]) / total + left * below


def plain_probabilities(rows: np.ndarray, text: Sequence[int], order: int) -> list[float]:
    model = Plain(rows, order)
    return [model.probability(text[i], tuple(text[max(0, i - order + 1) : i])) for i in range(len(text))]


@pytest.mark.parametrize("order", range(1, ORDER + 1))
def test_probabilities_are_those_of_the_definition(order):
    rows, text = zipf_rows(6, 40), zipf_rows(1, 60, seed=1)
    found = NGrams(rows, VOCAB, ORDER).probabilities(text)
    assert found[order - 1, 0] == pytest.approx(plain_probabilities(rows, text[0].tolist(), order), rel=1e-12)


def test_the_chances_of_all_tokens_sum_to_one_after_every_context():
    ngrams, contexts = NGrams(zipf_rows(6, 40), VOCAB, ORDER), zipf_rows(30, 5, seed=2)
    contexts[:10] = np.random.default_rng(0).integers(VOCAB, size=(10, 5))  # many were never seen
    ends = [ngrams.probabilities(np.concatenate([contexts, np.full((30, 1), token)], 1)) for token in range(VOCAB)]
    np.testing.assert_allclose(sum(end[:, :, -1] for end in ends), 1.0, rtol=1e-12)


def test_a_long_text_is_predicted_as_well_as_its_chain_allows():
    rows, text = zipf_rows(40, 500), zipf_rows(4, 500)  # of one chain
    losses = NGrams(rows, VOCAB, ORDER).losses(text)[:, :, 1:].mean(axis=(1, 2))
    pairs = Counter(zip(text[:, :-1].flat, text[:, 1:].flat, strict=True))
    firsts = Counter(text[:, :-1].flat)
    entropy = -sum(n * np.log(n / firsts[a]) for (a, _), n in pairs.items()) / sum(pairs.values())
    assert losses[0] > losses[1] + 0.2
    assert losses[1:] == pytest.approx([entropy] * 3, abs=0.02)


def test_no_gram_reaches_over_the_end_of_a_row():
    rows = zipf_rows(2, 12)
    apart = NGrams(rows, VOCAB, ORDER).probabilities(rows)
    padded = np.concatenate([rows, np.full((2, 3), VOCAB)], axis=1)
    np.testing.assert_array_equal(NGrams(padded, VOCAB, ORDER).probabilities(rows), apart)
    joined = NGrams(rows.reshape(1, -1), VOCAB, ORDER).probabilities(rows)
    assert not np.array_equal(joined, apart)


@pytest.mark.parametrize("text", [[[0]], [[0, 0, 0, 0]], [[0, 1, 2, 3]]], ids=["one", "same", "different"])
def test_texts_of_almost_nothing_have_finite_losses(text):
    losses = NGrams(np.asarray(text), VOCAB, ORDER).losses(zipf_rows(2, 6))
    assert np.isfinite(losses).all()


def test_wrong_orders_and_empty_texts_are_refused():
    for rows, order in ((np.zeros((1, 4), dtype=np.int64), 0), (np.zeros((1, 0), dtype=np.int64), 2)):
        with pytest.raises(ValueError, match="allowed: 1 or more of each"):
            NGrams(rows, VOCAB, order)


# ---- masked tokens -------------------------------------------------------------------------------------------------


def test_hidden_tokens_have_their_posterior_by_both_sides():
    """Against Bayes' rule, term by term: a mask beyond the next token ends what is seen of that side."""
    ngrams, corruption = NGrams(zipf_rows(6, 40), VOCAB, 3), Corruption(random=0.1, kept=0.1, mask_id=MASK)
    inputs = zipf_rows(3, 9, seed=3)
    inputs[0, 4] = inputs[0, 6] = inputs[1, 0] = inputs[2, 8] = MASK
    places, tokens = np.asarray([[0, 4], [1, 0], [2, 8], [2, 3]]), np.asarray([1, 0, 2, 3])
    found = fill_in_losses(ngrams, inputs, places, tokens, corruption)
    for order in range(3):
        for (row, column), token, loss in zip(places, tokens, found[order], strict=True):
            joint = np.asarray([_joint(ngrams, inputs, row, column, w, order, corruption) for w in range(VOCAB)])
            assert loss == pytest.approx(-np.log(joint[token] / joint.sum()), rel=1e-10)


def _joint(ngrams, inputs, row, column, token, order, corruption) -> float:
    seen = np.where(inputs[row] == MASK, VOCAB, inputs[row])
    shown, seen[column] = inputs[row, column], token
    chance = 1.0 if shown == MASK else corruption.random / VOCAB + corruption.kept * (shown == token)
    for place in range(column, min(column + order + 1, len(seen))):
        if seen[place] != VOCAB:
            start = max(0, column - ngrams.order + 1)
            chance *= ngrams.probabilities(seen[None, start : place + 1])[order, 0, -1]
    return chance


def test_a_kept_token_is_mostly_believed():
    ngrams = NGrams(zipf_rows(20, 80), VOCAB, 2)
    inputs = zipf_rows(1, 30, seed=5)
    places = np.stack([np.zeros(30, dtype=int), np.arange(30)], axis=1)
    shown = fill_in_losses(ngrams, inputs, places, inputs[0], Corruption(random=0.1, kept=0.1, mask_id=MASK))
    hidden = fill_in_losses(ngrams, inputs, places, inputs[0], Corruption(random=1.0, kept=0.0, mask_id=MASK))
    assert (shown < hidden).all()
