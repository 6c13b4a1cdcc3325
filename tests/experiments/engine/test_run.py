# Copyright 2026 The hf_variants authors. MIT licence.
"""Which models a recipe can name: this package's, any of transformers, and one's own folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.identity import identity
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.models.build import build_config, build_model
from hf_variants.experiments.recipes.recipe import Recipe
from hf_variants.hub.export import check_folder, export_folder
from hf_variants.hub.refusal import ExportError
from tests.helpers.tiny import tiny_recipe

QUICK = {"max_steps": 4, "budgets": [1.0], "warmup_steps": 1, "eval_every": 2, "checkpoint_every": 2}
CARD = "---\nlibrary_name: transformers\n---\n# A model\n"

CONFIGURATION = """
from transformers import PreTrainedConfig


class MineConfig(PreTrainedConfig):
    model_type = "mine"

    def __init__(self, vocab_size=40, width=8, power=1, pad_token_id=0, **kwargs):
        self.vocab_size, self.width, self.power = vocab_size, width, power
        self.pad_token_id = pad_token_id
        super().__init__(**kwargs)
"""
MODELING = """
import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from .configuration_mine import MineConfig


class MineForMaskedLM(PreTrainedModel):
    config_class = MineConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = torch.nn.Embedding(config.vocab_size, config.width)
        self.mix = torch.nn.Linear(config.width, config.width)
        self.head = torch.nn.Linear(config.width, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, labels=None, **kwargs):
        x = self.embed(input_ids)
        around = (x.roll(1, 1) + x.roll(-1, 1)) ** self.config.power
        return MaskedLMOutput(logits=self.head(torch.tanh(self.mix(around)) + x))
"""
AUTO_MAP = {"AutoConfig": "configuration_mine.MineConfig", "AutoModelForMaskedLM": "modeling_mine.MineForMaskedLM"}


def recipe_of(folder: Path, **model: Any) -> Recipe:
    """A quick recipe with another model; `overrides` replaces the tiny ones."""
    recipe = tiny_recipe(folder, training=QUICK)
    recipe.model = type(recipe.model)(**model)
    return recipe


def own_variant(folder: Path) -> Path:
    """A variant that lies in a folder of its user, outside this package."""
    import json

    mine = folder / "mine"
    mine.mkdir()
    (mine / "configuration_mine.py").write_text(CONFIGURATION)
    (mine / "modeling_mine.py").write_text(MODELING)
    (mine / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": AUTO_MAP, "width": 8}))
    return mine


def config_of(folder: Path, **model: Any) -> Any:
    recipe = recipe_of(folder, **model)
    return build_config(recipe.model, prepare(recipe).tokenizer, recipe.data.block_size)


def refusal(folder: Path, **model: Any) -> str:
    with pytest.raises(InputError) as error:
        config_of(folder, **model)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- one's own folder ----------------------------------------------------------------------------------------------


def test_a_variant_of_ones_own_trains_exports_and_loads(tmp_path):
    recipe = recipe_of(tmp_path, name_or_path=str(own_variant(tmp_path)), overrides={"width": 12})
    record = run_recipe(recipe, tmp_path / "run").to_json()
    size = len(prepare(recipe).tokenizer)
    assert record["parameters"] == 2 * size * 12 + size + 12 * 12 + 12 and record["model_type"] == "mine"
    folder = export_folder(tmp_path / "run" / "final", tmp_path / "model", CARD)
    check_folder(folder)
    assert {"configuration_mine.py", "modeling_mine.py"} <= {path.name for path in folder.iterdir()}
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert config.auto_map == AUTO_MAP and config.width == 12 and config.vocab_size == size
    shutil.rmtree(tmp_path / "mine")
    loaded = AutoModelForMaskedLM.from_pretrained(folder, trust_remote_code=True)
    trained = load_file(tmp_path / "run" / "final" / "model.safetensors")
    assert all(torch.equal(tensor, trained[name]) for name, tensor in loaded.state_dict().items())
    (folder / "modeling_mine.py").unlink()
    with pytest.raises(ExportError, match="modeling_mine.py is missing"):
        check_folder(folder)


def test_ones_own_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    from hf_variants.experiments.engine import loop

    recipe = recipe_of(tmp_path, name_or_path=str(own_variant(tmp_path)))
    run_recipe(recipe, tmp_path / "whole")
    original = loop.Loop._after_step

    def dying(self, phase):
        original(self, phase)
        if self.progress.step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "_after_step", dying)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "killed")
    monkeypatch.setattr(loop.Loop, "_after_step", original)
    run_recipe(recipe, tmp_path / "killed")
    whole, killed = (load_file(tmp_path / run / "final" / "model.safetensors") for run in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_new_weights_are_float32_whatever_the_folder_was_saved_in(tmp_path):
    mine = own_variant(tmp_path)
    (mine / "config.json").write_text((mine / "config.json").read_text().replace("{", '{"dtype": "bfloat16", ', 1))
    config = config_of(tmp_path, name_or_path=str(mine))
    recipe = recipe_of(tmp_path, name_or_path=str(mine))
    model = build_model(recipe.model, config, "AutoModelForMaskedLM")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_pretrained_weights_are_where_training_starts(tmp_path):
    first = tiny_recipe(tmp_path, training=QUICK)
    run_recipe(first, tmp_path / "first")
    folder = tmp_path / "first" / "final"
    half = tmp_path / "half"
    AutoModelForMaskedLM.from_pretrained(folder).to(torch.bfloat16).save_pretrained(half)
    recipe = recipe_of(tmp_path, name_or_path=str(half), pretrained=True, overrides={"vocab_size": 40})
    config = build_config(recipe.model, prepare(recipe).tokenizer, 16)
    model = build_model(recipe.model, config, "AutoModelForMaskedLM")
    saved = load_file(half / "model.safetensors")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor.float()) for name, tensor in saved.items())


# ---- models of transformers ----------------------------------------------------------------------------------------


DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 16}
ROBERTA = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize(
    ("model_type", "overrides"), [("distilbert", DISTILBERT), ("roberta", ROBERTA | {"max_position_embeddings": 17})]
)
def test_a_model_of_transformers_trains_exports_and_loads(tmp_path, model_type, overrides):
    record = run_recipe(recipe_of(tmp_path, model_type=model_type, overrides=overrides), tmp_path / "run").to_json()
    assert record["model_type"] == model_type and record["steps"] == 4
    folder = export_folder(tmp_path / "run" / "final", tmp_path / "model", CARD)
    trained = load_file(folder / "model.safetensors")
    state = AutoModelForMaskedLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in trained.items())
    assert not list(folder.glob("*.py"))


def test_positions_that_start_at_an_offset_are_counted(tmp_path):
    """RoBERTa's first position is the padding id + 1, so as many positions as a block has tokens are too few."""
    recipe = recipe_of(tmp_path, model_type="roberta", overrides=ROBERTA | {"max_position_embeddings": 16})
    with pytest.raises(InputError, match="roberta cannot read a block of 16 tokens"):
        run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- build_config --------------------------------------------------------------------------------------------------


def test_vocabulary_and_special_ids_come_from_the_tokenizer(tmp_path):
    recipe = recipe_of(tmp_path, model_type="minbert", overrides={"max_position_embeddings": 16})
    tokenizer = prepare(recipe).tokenizer
    config = build_config(recipe.model, tokenizer, 16)
    assert (config.vocab_size, config.pad_token_id) == (len(tokenizer), tokenizer.pad_token_id)
    recipe.tokenizer.special_tokens = ["[UNK]", "[MASK]"]
    assert build_config(recipe.model, prepare(recipe).tokenizer, 16).pad_token_id is None


def test_a_vocabulary_may_be_larger_but_not_smaller(tmp_path):
    assert config_of(tmp_path, model_type="minbert", overrides={"vocab_size": 64}).vocab_size == 64
    size = config_of(tmp_path, model_type="minbert").vocab_size
    message = refusal(tmp_path, model_type="minbert", overrides={"vocab_size": size - 1})
    assert message == f"model: vocab_size {size - 1} is below the tokenizer's {size}"


def test_positions_must_reach_the_block_size(tmp_path):
    message = refusal(tmp_path, model_type="minbert", overrides={"max_position_embeddings": 15})
    assert message == "model: max_position_embeddings 15 is below data.block_size 16"
    assert config_of(tmp_path, model_type="minbert", overrides={"max_position_embeddings": 16})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            {"model_type": "minbert", "overrides": {"hiden_size": 8}},
            "minbert has no field 'hiden_size'; did you mean 'h",
        ),
        (
            {"model_type": "distilbert", "overrides": {"n_hedas": 2}},
            "distilbert has no field 'n_hedas'; did you mean 'n_",
        ),
        ({"model_type": "minbert", "overrides": {"to_dict": 1}}, "minbert has no field 'to_dict'"),
        ({"model_type": "minbert", "overrides": {"hidden_size": "wide"}}, "hidden_size"),
        ({"model_type": "minbert", "overrides": {"norm_position": "before"}}, "norm_position"),
        ({"model_type": "minbert", "overrides": {"num_hidden_layers": -1}}, "num_hidden_layers is -1"),
        ({"model_type": "bertt"}, "model.model_type: 'bertt'; allowed: minbert, highway_bert, "),
        ({"name_or_path": "/nowhere/at-all"}, "/nowhere/at-all"),
    ],
)
def test_what_a_configuration_does_not_take_is_named(tmp_path, model, words):
    assert words in refusal(tmp_path, **model)


@pytest.mark.parametrize(
    ("dropout", "words"),
    [(0.1, "attention_probs_dropout_prob is 0.1; allowed with flex_attention: 0"), (0.0, "trains on a GPU only")],
)
def test_flex_attention_is_refused_where_it_cannot_train(tmp_path, monkeypatch, dropout, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = {"attn_implementation": "flex_attention", "overrides": {"attention_probs_dropout_prob": dropout}}
    with pytest.raises(InputError, match=words):
        run_recipe(tiny_recipe(tmp_path, model=model), tmp_path / "out")


def test_unknown_fields_of_ones_own_variant_are_named(tmp_path):
    message = refusal(tmp_path, name_or_path=str(own_variant(tmp_path)), overrides={"widht": 3})
    assert "mine has no field 'widht'; did you mean 'width'?" in message


def test_a_model_type_without_the_head_is_refused(tmp_path):
    recipe = recipe_of(tmp_path, model_type="gpt2", overrides={"n_embd": 16, "n_head": 2, "n_layer": 1})
    with pytest.raises(InputError, match="AutoModelForMaskedLM"):
        run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- identity ------------------------------------------------------------------------------------------------------


def test_the_identity_sees_results_and_not_bookkeeping(tmp_path):
    recipe = tiny_recipe(tmp_path)
    prepared = prepare(recipe)
    before = identity(recipe, prepared)
    for name, value in (("checkpoint_every", 7), ("log_every", 9), ("snapshot_every", 2), ("keep_checkpoints", 5)):
        setattr(recipe.training, name, value)
    recipe.name = "another"
    assert identity(recipe, prepared) == before
    recipe.training.seed = 3
    assert identity(recipe, prepared) != before
