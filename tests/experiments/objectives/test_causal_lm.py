# Copyright 2026 The hf_variants authors. MIT licence.
"""The causal objective: what is predicted from what, how it is counted, and what a finished model writes."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine import loop
from hf_variants.experiments.engine.identity import identity
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.files import read_json
from hf_variants.experiments.objectives.base import IGNORED, unwrapped
from hf_variants.experiments.objectives.causal_lm import CausalLanguageModeling, bytes_per_token
from hf_variants.experiments.objectives.generation import prediction_horizon
from hf_variants.experiments.recipes.sections import ObjectiveArguments, TokenizerArguments
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer, tokenize_documents
from tests.helpers.tiny import GPT2, causal_recipe, write_questions

TEXTS = ["to be or not to be\n" * 20, "that is the question\n" * 9, "whether 'tis nobler in the mind é\n" * 5]
CORPUS = Corpus("made", {"train": TEXTS, "validation": TEXTS[:1]})
CHARACTERS = build_tokenizer(TokenizerArguments(), CORPUS, 16)
BPE = build_tokenizer(TokenizerArguments(tokenizer="bpe", vocab_size=280), CORPUS, 16)
NANOGPT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 24}


def objective(tokenizer: Any = BPE, horizon: int = 1, **settings: Any) -> CausalLanguageModeling:
    arguments = ObjectiveArguments(objective="causal_lm", **settings)
    return CausalLanguageModeling(arguments, tokenizer).for_model(SimpleNamespace(prediction_horizon=horizon))


def model_of(kind: str, vocab_size: int) -> torch.nn.Module:
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](vocab_size=vocab_size, **(GPT2 if kind == "gpt2" else NANOGPT))
    config.bos_token_id = config.eos_token_id = None
    return AutoModelForCausalLM.from_config(config).eval()


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


class Counter(torch.nn.Module):
    """Predicts, `prediction_horizon` places ahead, the token that follows when tokens count upwards."""

    def __init__(self, horizon: int, size: int = 40) -> None:
        super().__init__()
        self.config, self.size = SimpleNamespace(prediction_horizon=horizon), size

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> SimpleNamespace:
        ahead = (input_ids + self.config.prediction_horizon) % self.size
        return SimpleNamespace(logits=50.0 * torch.nn.functional.one_hot(ahead, self.size))


# ---- what is predicted from what -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gpt2", "nanogpt"])
def test_the_mean_is_the_loss_that_transformers_computes(kind):
    model = model_of(kind, len(BPE))
    rows = np.random.default_rng(0).integers(1, len(BPE), (3, 16))
    arrays, weight = objective().prepare(rows, np.random.default_rng(0))
    with torch.no_grad():
        scores = objective().losses(model, tensors(arrays))
        expected = model(input_ids=torch.from_numpy(rows), labels=torch.from_numpy(rows)).loss
    assert weight == len(scores["loss"]) == 3 * 15
    assert float(scores["loss"].mean()) == pytest.approx(float(expected), abs=1e-6)
    assert (arrays["labels"][:, 0] == IGNORED).all() and "position_ids" not in arrays
    assert scores["label"].tolist() == rows[:, 1:].flatten().tolist()


@given(st.integers(1, 9), st.booleans(), st.lists(st.integers(0, 3), min_size=20, max_size=20))
@pytest.mark.hunt
def test_the_weight_is_what_is_scored_and_nothing_crosses_a_boundary(horizon, across, ids):
    rows = np.asarray(ids).reshape(2, 10)  # 0 is the end of a document
    assert BPE.eos_token_id == 0
    asked = objective(horizon=horizon, cross_document_attention=across)
    arrays, weight = asked.prepare(rows, np.random.default_rng(0))
    scores = asked.losses(Counter(horizon), tensors(arrays))
    boundaries = [0 in row[t - horizon : t] for row in rows.tolist() for t in range(horizon, 10)]
    expected = len(boundaries) if across else boundaries.count(False)
    assert len(scores["loss"]) == expected and weight == max(1, expected)
    labels = [row[t] for row in rows.tolist() for t in range(horizon, 10)]
    assert scores["label"].tolist() == [
        x for x, crossed in zip(labels, boundaries, strict=True) if across or not crossed
    ]


@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_position_t_predicts_token_t_plus_horizon(horizon):
    rows = np.arange(12)[None] + np.asarray([[3], [20]])
    asked = objective(horizon=horizon)
    arrays, weight = asked.prepare(rows, np.random.default_rng(0))
    scores = asked.losses(Counter(horizon), tensors(arrays))
    assert weight == 2 * (12 - horizon) and float(scores["loss"].max()) < 1e-6
    assert torch.equal(scores["prediction"], scores["label"])


def test_the_horizon_is_found_under_wrappers():
    model = model_of("nanogpt", 8)
    model.config.prediction_horizon = 3
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        spread = torch.nn.parallel.DistributedDataParallel(model)
        wrapped = [model, spread, torch.compile(model), torch.compile(spread)]
        assert all(unwrapped(each) is model and prediction_horizon(each) == 3 for each in wrapped)
    finally:
        torch.distributed.destroy_process_group()
    assert prediction_horizon(model_of("gpt2", 8)) == 1


@pytest.mark.parametrize("kind", ["gpt2", "nanogpt"])
@pytest.mark.parametrize("across", [True, False])
def test_documents_see_each_other_only_where_they_may(kind, across):
    model = model_of(kind, len(BPE))
    one = np.asarray([[5, 6, 7, 0, 8, 9, 10, 11]])
    other = np.asarray([[15, 16, 17, 0, 8, 9, 10, 11]])
    asked = objective(cross_document_attention=across)
    losses = []
    for rows in (one, other):
        arrays, _ = asked.prepare(rows, np.random.default_rng(0))
        with torch.no_grad():
            losses.append(asked.losses(model, tensors(arrays))["loss"][-3:])
    assert torch.equal(*losses) != across
    if not across:
        assert arrays["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 3]] and arrays["labels"][0, 4] == IGNORED
        alone, _ = asked.prepare(one[:, 4:], np.random.default_rng(0))
        with torch.no_grad():
            torch.testing.assert_close(asked.losses(model, tensors(alone))["loss"], losses[0])


def test_separate_documents_need_a_separator():
    bare = build_tokenizer(TokenizerArguments(special_tokens=["[UNK]"]), CORPUS, 16)
    with pytest.raises(InputError, match="cross_document_attention: false needs a tokenizer with an eos"):
        objective(bare, cross_document_attention=False)


# ---- bytes ---------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80))
@pytest.mark.hunt
def test_bpe_gives_any_text_back_and_its_bytes_sum_up(text):
    ids = BPE(text, add_special_tokens=False)["input_ids"]
    assert BPE.decode(ids) == text
    assert bytes_per_token(BPE)[ids].sum() == len(text.encode("utf-8"))


@given(st.text(alphabet=sorted(set("".join(TEXTS))), max_size=80))
@pytest.mark.hunt
def test_the_bytes_of_characters_sum_up(text):
    ids = CHARACTERS(text, add_special_tokens=False)["input_ids"]
    assert bytes_per_token(CHARACTERS)[ids].sum() == len(text.encode("utf-8"))


def test_special_and_unknown_tokens_are_no_bytes():
    assert bytes_per_token(BPE)[BPE.eos_token_id] == 0
    assert bytes_per_token(CHARACTERS)[CHARACTERS("Ω", add_special_tokens=False)["input_ids"]].tolist() == [0]
    ids = tokenize_documents(BPE, TEXTS)
    assert bytes_per_token(BPE)[ids].sum() == len("".join(TEXTS).encode()) and (ids == BPE.eos_token_id).sum() == 3


def test_a_tokenizer_that_loses_text_has_no_bits_per_byte():
    words = build_tokenizer(TokenizerArguments(tokenizer="wordpiece", vocab_size=60), CORPUS, 16)
    assert bytes_per_token(words) is None
    assert "bits_per_byte" not in objective(words).metrics and "bits_per_byte" in objective().metrics
    arrays, _ = objective(words).prepare(np.arange(8)[None], np.random.default_rng(0))
    assert "bytes" not in objective(words).losses(Counter(1, 60), tensors(arrays))


# ---- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_writes_samples_and_every_metric(tmp_path):
    record = run_recipe(causal_recipe(tmp_path), tmp_path / "run").to_json()
    test = record["marks"][-1]["test"]
    assert set(test) == {"loss", "perplexity", "bits_per_byte", "accuracy"}
    assert test["bits_per_byte"] == pytest.approx(test["loss"] / np.log(2))  # one byte per character
    assert len(record["samples"]) == 3 and all(set(sample) == {"prompt", "text"} for sample in record["samples"])
    assert "answers" not in record and "remarks" not in record
    assert read_json(tmp_path / "run" / "record.json") == record


def test_a_run_answers_its_test_questions(tmp_path):
    changes = {"data.block_size": 24, "training.max_steps": 60, "objective.answer_questions": 2}
    record = run_recipe(causal_recipe(tmp_path, write_questions(tmp_path) | changes), tmp_path / "run").to_json()
    answers = record["answers"]
    assert (answers["split"], answers["questions"], answers["correct"]) == ("test", 2, 2)
    assert record["marks"][-1]["test"]["exact_match"] == answers["exact_match"] == 1.0
    example = answers["examples"][0]
    assert example["prompt"].endswith("?\nAnswer:") and (example["expected"], example["answer"]) == ("yes", "yes")


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_windows_separate_documents_and_other_tokenizers_train(tmp_path, kind):
    changes = {"tokenizer.tokenizer": kind, "tokenizer.vocab_size": 280, "data.eval_stride": 4}
    changes |= {"objective.cross_document_attention": False}
    record = run_recipe(causal_recipe(tmp_path, write_questions(tmp_path) | changes), tmp_path / "run").to_json()
    assert ("bits_per_byte" in record["marks"][-1]["test"]) == (kind == "bpe")
    assert any("bits_per_byte" in remark for remark in record.get("remarks", [])) == (kind == "wordpiece")


def test_a_run_killed_before_its_last_step_ends_with_the_same_record(tmp_path, monkeypatch):
    recipe = causal_recipe(tmp_path)
    whole = run_recipe(recipe, tmp_path / "whole").to_json()
    original = loop.Loop._after_step

    def dying(self, phase):
        original(self, phase)
        if self.progress.step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "_after_step", dying)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "killed")
    monkeypatch.setattr(loop.Loop, "_after_step", original)
    killed = run_recipe(recipe, tmp_path / "killed").to_json()
    assert killed["samples"] == whole["samples"]
    assert killed["marks"][-1]["test"] == whole["marks"][-1]["test"]


def test_samples_do_not_decide_a_result(tmp_path):
    recipe = causal_recipe(tmp_path)
    prepared = prepare(recipe)
    before = identity(recipe, prepared)
    recipe.objective.samples, recipe.objective.sample_prompts = 0, ["x"]
    assert identity(recipe, prepared) == before
    recipe.objective.cross_document_attention = False
    assert identity(recipe, prepared) != before
    assert run_recipe(recipe, tmp_path / "run").samples == ()


def test_special_ids_beyond_the_vocabulary_are_not_kept(tmp_path):
    run_recipe(causal_recipe(tmp_path), tmp_path / "run")
    config = read_json(tmp_path / "run" / "final" / "config.json")
    assert config["eos_token_id"] is None and config["bos_token_id"] is None


@pytest.mark.skipif("conv_gpt" not in CONFIG_MAPPING, reason="conv_gpt is not registered")
def test_a_model_with_a_horizon_trains_and_writes_in_blocks(tmp_path):
    recipe = causal_recipe(tmp_path)
    sizes = {"hidden_size": 16, "num_levels": 1, "num_attention_heads": 2, "max_position_embeddings": 24}
    recipe.model = type(recipe.model)(model_type="conv_gpt", overrides=sizes | {"prediction_horizon": 4})
    record = run_recipe(recipe, tmp_path / "run").to_json()
    assert [len(sample["prompt"]) for sample in record["samples"]] == [4, 4, 4]
    recipe.objective.sample_prompts = ["be"]
    assert "prediction_horizon" in run_recipe(recipe, tmp_path / "short").remarks[0]


# ---- refusals ------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_together_is_named(tmp_path):
    masked = causal_recipe(tmp_path, {"objective.objective": "masked_lm", "data.eval_stride": 4})
    with pytest.raises(InputError, match="data.eval_stride: is for causal_lm; objective.objective is masked_lm"):
        prepare(masked)
    endless = causal_recipe(tmp_path, write_questions(tmp_path) | {"tokenizer.special_tokens": ["[UNK]"]})
    with pytest.raises(InputError, match="answers need an eos or sep token"):
        prepare(endless)
    strided = causal_recipe(tmp_path, {"data.eval_stride": 12})
    prepared = prepare(strided)
    assert prepared.for_model(SimpleNamespace(prediction_horizon=4)).objective.horizon == 4
    with pytest.raises(InputError, match="block_size 16 is below prediction_horizon 5 . eval_stride 12"):
        prepared.for_model(SimpleNamespace(prediction_horizon=5))
