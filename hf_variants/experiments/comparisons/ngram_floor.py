# Copyright 2026 The hf_variants authors. MIT licence.
"""The floor of a comparison of language models: what counting n-grams makes of the same tokens.

A network whose loss is above that of the trigram of its own training tokens has learned less than pairs of neighbours
say. Counted twice: on the tokens that an arm reads in its whole budget, and on the whole train split.
"""

from collections import Counter
from typing import TypeGuard

import numpy as np

from ..engine.prepared import Prepared, PreparedStream, PreparedText
from ..engine.schedule import in_steps, total_steps
from ..metrics.exact_match.exact_match import MARK, final_answer
from ..models.ngrams import Corruption, NGrams, fill_in_losses
from ..objectives.base import IGNORED
from ..objectives.causal_lm import CausalLanguageModeling
from ..objectives.masked_lm import MaskedLanguageModeling
from ..recipes.recipe import Recipe
from ..records import ConstantAnswer, NGramFloor
from ..text.questions import as_question

ORDERS = 5
MOST_CANDIDATES = 4_000_000  # hidden tokens times vocabulary; of more, hidden tokens at even distances are taken


def has_ngram_floor(prepared: Prepared, recipe: Recipe) -> TypeGuard[PreparedText]:
    """Whether what is learned is what n-grams say: masked tokens, or each next one."""
    if not isinstance(prepared, PreparedText) or recipe.model.overrides.get("prediction_horizon", 1) != 1:
        return False
    return isinstance(prepared.objective, MaskedLanguageModeling | CausalLanguageModeling)


def ngram_floor(prepared: PreparedText, recipe: Recipe) -> NGramFloor:
    """Counts and scores. `recipe` is that of an arm, whose seed decides which tokens it reads."""
    split = "test" if "test" in prepared.blocks else "validation"
    batch = prepared.evaluations(recipe)[split].batch
    rows, size = tokens_seen(prepared, recipe), len(prepared.tokenizer)
    whole = None if isinstance(prepared, PreparedStream) else prepared.blocks["train"].tokens[None]
    masked = isinstance(prepared.objective, MaskedLanguageModeling)
    corruption = _corruption(prepared.objective) if masked else None
    seen = _losses(NGrams(rows, size, ORDERS), batch, corruption)
    every = None if whole is None else _losses(NGrams(whole, size, ORDERS), batch, corruption)
    return NGramFloor(
        fingerprint=prepared.corpus.fingerprint,
        split=split,
        sides=2 if masked else 1,
        predicted=seen.shape[1],
        tokens_seen=rows.size,
        tokens_whole=None if whole is None else whole.size,
        seen=tuple(seen.mean(axis=1).tolist()),
        whole=None if every is None else tuple(every.mean(axis=1).tolist()),
        constant_answer=_constant_answer(prepared, recipe, split),
    )


def tokens_seen(prepared: PreparedText, recipe: Recipe) -> np.ndarray:
    """The blocks that a run reads before its budget ends, `(blocks, block_size)`; all of train where it is read twice.

    A budget of seconds has no such number: then it is all of train as well.
    """
    order = prepared.order(recipe.training)
    training = in_steps(recipe.training, order.steps_per_epoch)
    streamed = isinstance(prepared, PreparedStream)
    if training.max_seconds is not None and not streamed:
        return prepared.blocks["train"].tokens[None]
    steps = total_steps(training, recipe.data.block_size)
    if not streamed and steps >= int(order.steps_per_epoch):
        return prepared.blocks["train"].tokens[None]
    return np.concatenate([order.rows(step) for step in range(steps)])


def _corruption(objective: MaskedLanguageModeling) -> Corruption:
    a = objective.arguments
    return Corruption(a.random_replace, 1 - a.mask_replace - a.random_replace, objective.mask_id)


def _losses(ngrams: NGrams, batch: dict[str, np.ndarray], corruption: Corruption | None) -> np.ndarray:
    """Of the tokens that a model is scored on, `(orders, predicted)`."""
    inputs, labels = batch["input_ids"], batch["labels"]
    scored = labels != IGNORED
    if corruption is None:
        return ngrams.losses(inputs)[:, scored]
    places = np.argwhere(scored)
    most = max(1, MOST_CANDIDATES // ngrams.vocab_size)
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).round().astype(int)]
    return fill_in_losses(ngrams, inputs, places, labels[places[:, 0], places[:, 1]], corruption)


def _constant_answer(prepared: PreparedText, recipe: Recipe, split: str) -> ConstantAnswer | None:
    questions = prepared.corpus.questions.get(split, [])[: recipe.objective.answer_questions]
    if not questions:
        return None
    marked = MARK in questions[0][1]
    answers = (final_answer(as_question(document)[1], marked) for document in prepared.corpus.splits["train"])
    counts = Counter(answer for answer in answers if answer is not None)
    best = max(counts, key=lambda answer: (counts[answer], answer))
    right = sum(final_answer(expected, marked) == best for _, expected in questions)
    return ConstantAnswer(answer=best, exact_match=right / len(questions), questions=len(questions))
