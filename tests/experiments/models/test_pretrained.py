# Copyright 2026 The hf_variants authors. MIT licence.
"""Pretrained weights: packages by name, some layers of a model, DistilBERT's architecture and minbert from a BERT."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModel, AutoModelForSequenceClassification, BertConfig, BertModel, GPT2Config, GPT2Model

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.models.pretrained import load_pretrained, source_config
from hf_variants.experiments.recipes.sections import ModelArguments
from hf_variants.experiments.text.sources import find_model
from tests.helpers.sameness import assert_same_model

LAYERS = 4


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """The folder of a small BERT whose every parameter is random, biases and norms too."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 12}
    model = BertModel(BertConfig(vocab_size=30, num_hidden_layers=LAYERS, **sizes))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if name.endswith("LayerNorm.weight") else 0.0, std=0.3)
    folder = tmp_path_factory.mktemp("bert")
    model.save_pretrained(folder)
    return folder


def arguments(folder: Path, **settings: Any) -> ModelArguments:
    return ModelArguments(**{"name_or_path": str(folder), "pretrained": True} | settings)


def load(given: ModelArguments, auto: Any = AutoModel) -> torch.nn.Module:
    return load_pretrained(given, source_config(given), auto, {"dtype": torch.float32}).eval()


def batch() -> dict[str, torch.Tensor]:
    """Two texts of one segment, the second of them padded."""
    ids = torch.randint(1, 30, (2, 10), generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1] * 10, [1] * 6 + [0] * 4])
    return {"input_ids": ids, "attention_mask": mask}


@torch.no_grad()
def hidden(model: torch.nn.Module) -> torch.Tensor:
    """The last hidden states `(tokens, hidden)` of real tokens."""
    inputs = batch()
    return model(**inputs).last_hidden_state[inputs["attention_mask"] == 1]


def cut(folder: Path, keep: list[int]) -> torch.nn.Module:
    """The BERT itself with these layers."""
    model = BertModel.from_pretrained(folder).eval()
    model.encoder.layer = torch.nn.ModuleList(model.encoder.layer[number] for number in keep)
    return model


# ---- packages ------------------------------------------------------------------------------------------------------


def test_a_package_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "some_model" / "weights").mkdir(parents=True)
    (tmp_path / "some_model" / "__init__.py").touch()
    (tmp_path / "some_model" / "weights" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_model("package:some_model") == str(tmp_path / "some_model" / "weights")
    assert "some_model" not in sys.modules  # found, not imported
    assert find_model("some_model") == "some_model"


@pytest.mark.parametrize("name", ["no_such_package", "", "a-b", "os.path", "../x"])
def test_a_package_that_is_not_there_is_named(name):
    with pytest.raises(InputError, match=f"package:{name}: no Python package {name} is installed"):
        find_model(f"package:{name}")


def test_a_package_without_a_model_is_named(tmp_path, monkeypatch):
    (tmp_path / "no_model").mkdir()
    (tmp_path / "no_model" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="package:no_model: the package has no config.json"):
        find_model("package:no_model")


# ---- the same function ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", [None, "bert", "minbert", "distilbert"])
def test_with_all_layers_the_hidden_states_are_those_of_bert(bert, model_type):
    model = load(arguments(bert, model_type=model_type))
    assert model.config.model_type == (model_type or "bert")
    torch.testing.assert_close(hidden(model), hidden(BertModel.from_pretrained(bert).eval()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("keep", [[0, 1, 2], [0, 1, 3, 2], [1, 2, 3]])
def test_other_layers_would_be_seen(bert, keep):
    whole = hidden(BertModel.from_pretrained(bert).eval())
    assert (hidden(cut(bert, keep)) - whole).abs().max() > 0.1


@pytest.mark.parametrize("keep", [[0, 2], [1, 3], [3], [2, 1, 0]])
@pytest.mark.parametrize("model_type", ["bert", "minbert", "distilbert"])
def test_the_layers_that_are_kept_are_those_named_in_that_order(bert, model_type, keep):
    model = load(arguments(bert, model_type=model_type, keep_layers=keep))
    assert model.config.num_hidden_layers == len(keep)
    torch.testing.assert_close(hidden(model), hidden(cut(bert, keep)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ["bert", "minbert", "distilbert"])
def test_what_was_cut_saves_and_loads_as_it_is(bert, model_type, tmp_path):
    given = arguments(bert, model_type=model_type, keep_layers=[1, 3])
    model = load(given, AutoModelForSequenceClassification)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert again.config.num_hidden_layers == 2
    assert_same_model(again, model.eval(), **batch())


def test_a_distilbert_of_two_segments_reads_both_as_the_first(bert):
    """It has no token types: that is what single texts are for."""
    inputs = batch()
    with torch.no_grad():
        second = BertModel.from_pretrained(bert).eval()(**inputs, token_type_ids=torch.ones_like(inputs["input_ids"]))
    model = load(arguments(bert, model_type="distilbert"))
    assert not hasattr(model.embeddings, "token_type_embeddings")
    assert (hidden(model) - second.last_hidden_state[inputs["attention_mask"] == 1]).abs().max() > 0.1


def test_a_distilbert_takes_sizes_and_dropout_from_the_bert(bert):
    config = source_config(arguments(bert, model_type="distilbert", keep_layers=[0, 2]))
    sizes = (config.dim, config.hidden_dim, config.n_heads, config.n_layers, config.vocab_size)
    assert sizes == (16, 32, 2, 2, 30) and config.max_position_embeddings == 12
    assert (config.dropout, config.attention_dropout, config.activation) == (0.1, 0.1, "gelu")


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["bert", "minbert", "distilbert"])
@pytest.mark.parametrize("keep", [[4], [-1], [0, 1, 7]])
def test_layers_that_are_not_there_are_named(bert, model_type, keep):
    with pytest.raises(InputError, match="model.keep_layers: .*; allowed: layers from 0 to 3"):
        source_config(arguments(bert, model_type=model_type, keep_layers=keep))


def test_an_unknown_type_is_named(bert):
    with pytest.raises(InputError, match="model.model_type: 'minibert'"):
        source_config(arguments(bert, model_type="minibert"))


def test_distilbert_takes_layers_of_bert_alone(tmp_path):
    GPT2Model(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=12, vocab_size=30)).save_pretrained(tmp_path)
    given = arguments(tmp_path, model_type="distilbert")
    with pytest.raises(InputError, match="distilbert takes layers of bert; .* is gpt2"):
        load(given)


# ---- from one of our models into another ---------------------------------------------------------------------------

SIZES = {"vocab_size": 30, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32,
         "num_hidden_layers": 2, "max_position_embeddings": 12}  # fmt: skip


@pytest.mark.parametrize(
    ("own", "changes", "target", "field"),
    [
        ("similarity_bert", {"attention_similarity": "gaussian"}, "minbert", "attention_similarity"),
        ("similarity_bert", {"attention_similarity": "gaussian"}, "bert", "attention_similarity"),
        ("similarity_bert", {"learn_temperature": True}, "minbert", "learn_temperature"),
        ("similarity_bert", {"query_key_size": 4}, "highway_bert", "query_key_size"),
        ("highway_bert", {}, "minbert", "skip_connection"),
        ("minbert", {"norm_position": "pre"}, "bert", "norm_position"),
        ("progressive_gpt", {"num_blocks": 1}, "nanogpt", "num_blocks"),
        ("conv_gpt", {"num_levels": 1}, "nanogpt", "num_levels"),
    ],
)
def test_what_makes_a_variant_one_is_not_dropped(own, changes, target, field, tmp_path):
    """A trained similarity must not become the dot product because a recipe names another model type."""
    transformers.CONFIG_MAPPING[own](**SIZES | changes).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"{target} has no {field}, .* were trained with .*; allowed: {own}"):
        source_config(arguments(tmp_path, model_type=target))
    assert source_config(arguments(tmp_path)).model_type == own


@pytest.mark.parametrize(
    ("own", "changes", "target"),
    [
        ("similarity_bert", {}, "minbert"),
        ("highway_bert", {"skip_connection": "residual"}, "minbert"),
        ("minbert", {}, "bert"),
        ("minbert", {"norm_position": "pre"}, "similarity_bert"),
        ("progressive_gpt", {}, "nanogpt"),
        ("conv_gpt", {"num_levels": 0}, "nanogpt"),
    ],
)
def test_a_neutral_variant_loads_into_its_baseline(own, changes, target, tmp_path):
    model = AutoModel.from_config(transformers.CONFIG_MAPPING[own](**SIZES | changes)).eval()
    model.save_pretrained(tmp_path)
    found = load(arguments(tmp_path, model_type=target))
    assert found.config.model_type == target
    ids = batch()["input_ids"]
    with torch.no_grad():
        states = [each(ids).last_hidden_state for each in (found, model)]
    torch.testing.assert_close(*states, atol=1e-6, rtol=1e-6)
