# Copyright 2026 The hf_variants authors. MIT licence.
"""The n-gram floor: on the tokens that models are scored on, counted on the tokens that they read."""

import dataclasses
import json

import numpy as np
import pytest

from hf_variants.experiments.comparisons.ngram_floor import NGramFloor, ngram_floor, tokens_seen
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.models.ngrams import NGrams
from hf_variants.experiments.objectives.base import IGNORED
from hf_variants.experiments.recipes.recipe import Recipe
from tests.helpers.tiny import tiny_recipe


def causal(folder, **sections) -> Recipe:
    """A tiny recipe of a decoder."""
    recipe = tiny_recipe(folder, **sections)
    objective = dataclasses.replace(recipe.objective, objective="causal_lm")
    return dataclasses.replace(recipe, objective=objective)


def test_it_scores_what_a_decoder_is_scored_on(tmp_path):
    recipe = causal(tmp_path)
    prepared = prepare(recipe)
    floor = ngram_floor(prepared, recipe)
    batch = prepared.evaluations(recipe)["test"].batch
    scored = batch["labels"] != IGNORED
    assert not scored[:, 0].any()  # a decoder can't predict the first token of a block
    ngrams = NGrams(prepared.blocks["train"].tokens[None], len(prepared.tokenizer), 5)
    assert floor.whole == pytest.approx(ngrams.losses(batch["input_ids"])[:, scored].mean(axis=1))
    assert (floor.split, floor.sides, floor.predicted) == ("test", 1, scored.sum())
    assert floor.tokens_whole == len(prepared.blocks["train"].tokens)
    assert floor.whole[0] > floor.whole[1] > floor.whole[2]


def test_hidden_tokens_are_filled_in_from_both_sides(tmp_path):
    recipe = tiny_recipe(tmp_path)
    floor, one_sided = ngram_floor(prepare(recipe), recipe), ngram_floor(prepare(causal(tmp_path)), causal(tmp_path))
    assert (floor.sides, one_sided.sides) == (2, 1)
    assert floor.predicted == (prepare(recipe).evaluations(recipe)["test"].batch["labels"] != IGNORED).sum()
    assert floor.whole[2] < one_sided.whole[2]


def test_it_counts_the_tokens_that_a_run_reads(tmp_path):
    recipe = causal(tmp_path, training={"max_tokens": None, "max_steps": 3, "budgets": [1.0], "warmup_steps": 0})
    prepared = prepare(recipe)
    order = prepared.order(recipe.training)
    seen = tokens_seen(prepared, recipe)
    assert seen.tolist() == np.concatenate([order.rows(step) for step in range(3)]).tolist()
    floor = ngram_floor(prepared, recipe)
    assert floor.tokens_seen == seen.size < floor.tokens_whole
    assert floor.seen[1] > floor.whole[1]
    twice = causal(tmp_path, training={"max_tokens": 2 * floor.tokens_whole, "max_steps": None, "budgets": [1.0]})
    assert tokens_seen(prepared, twice).size == floor.tokens_whole


def test_the_best_constant_answer_is_the_commonest_final_one(tmp_path):
    data = {"dataset": "builtin/arithmetic", "block_size": 64}
    recipe = causal(tmp_path, data=data)
    prepared = prepare(recipe)
    found = ngram_floor(prepared, recipe).constant_answer
    questions = prepared.corpus.questions["test"][: recipe.objective.answer_questions]
    right = [sum(answer.split("####")[-1].strip() == str(number) for _, answer in questions) for number in range(100)]
    assert found.questions == len(questions)
    assert found.exact_match == right[int(found.answer)] / len(questions)
    assert found.exact_match > 0.5 * max(right) / len(questions)


def test_its_json_says_all_of_it(tmp_path):
    recipe = causal(tmp_path)
    floor = ngram_floor(prepare(recipe), recipe)
    assert NGramFloor.from_json(json.loads(json.dumps(floor.to_json()))) == floor
