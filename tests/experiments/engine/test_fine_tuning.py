# Copyright 2026 The hf_variants authors. MIT licence.
"""What trains in each mode, and that a frozen encoder's features say the same as the encoder."""

import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine import fine_tuning
from hf_variants.experiments.engine.fine_tuning import FineTuning, freeze_encoder, gradual_stages
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.models.build import build_config, build_model
from tests.helpers.tiny_labelled import labelled_recipe

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
MODELS = {
    "minbert": {},
    "bert": SIZES | {"max_position_embeddings": 16},
    "roberta": SIZES | {"max_position_embeddings": 20},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 16},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16},
    "nanogpt": {n: v for n, v in SIZES.items() if n != "intermediate_size"} | {"max_position_embeddings": 16},
    "bigru": {"embedding_size": 8, "hidden_size": 6},
}


def recipe_of(tmp_path, model_type: str, **training):
    changes = {"model.model_type": model_type} | {f"training.{name}": value for name, value in training.items()}
    recipe = labelled_recipe(tmp_path, changes)
    if model_type != "minbert":
        recipe.model.overrides = dict(MODELS[model_type])
    return recipe


def built(recipe):
    prepared = prepare(recipe)
    config = build_config(recipe.model, prepared.tokenizer, 16, prepared.config_settings(recipe.model.overrides))
    torch.manual_seed(0)
    return prepared, build_model(recipe.model, config, "AutoModelForSequenceClassification", prepared.tokenizer)


@pytest.mark.parametrize("model_type", MODELS)
def test_played_features_give_the_logits_of_the_whole_model(model_type, tmp_path):
    prepared, model = built(recipe_of(tmp_path, model_type, train="frozen"))
    model.eval()
    batch = {name: torch.from_numpy(array) for name, array in prepared.examples["test"].batch(range(32)).items()}
    with torch.no_grad():
        whole = prepared.objective.score(model, batch)["probability"]
    tuning = FineTuning(recipe_of(tmp_path, model_type, train="frozen").training, model)
    tuning.freeze()
    played = tuning.start(prepared)
    assert tuning.encoder is not None
    features = {name: torch.from_numpy(array) for name, array in played.examples["test"].batch(range(32)).items()}
    assert "input_ids" not in features
    with torch.no_grad():
        torch.testing.assert_close(prepared.objective.score(model, features)["probability"], whole, atol=1e-5, rtol=0)
    tuning.finish(tmp_path, None)
    with torch.no_grad():
        torch.testing.assert_close(prepared.objective.score(model, batch)["probability"], whole)


def test_an_encoder_that_another_run_has_read_with_is_not_read_with_again(tmp_path, monkeypatch):
    read, times = fine_tuning.FeatureReader.read, []
    monkeypatch.setattr(fine_tuning.FeatureReader, "read", lambda *given: times.append(1) or read(*given))
    recipe = recipe_of(tmp_path, "minbert", train="frozen")
    prepared, model = built(recipe)

    def features():
        tuning = FineTuning(recipe.training, model)
        tuning.freeze()
        played = tuning.start(prepared)
        tuning.finish(None, None)
        assert tuning.read_seconds > 0
        return played.examples["test"].batch(range(8))["first_hidden_state"]

    first = features()
    torch.nn.init.normal_(fine_tuning.head_parameters(model)[0])  # another seed's head
    assert (features() == first).all() and len(times) == 3
    with torch.no_grad():
        next(iter(model.base_model.parameters())).mul_(2.0)
    assert not (features() == first).all() and len(times) == 6
    assert len(prepared.features) == 1


def test_a_snapshot_has_the_frozen_encoder(tmp_path):
    recipe = recipe_of(tmp_path, "minbert", train="frozen", max_epochs=1, snapshot_every=4)
    run_recipe(recipe, tmp_path / "run")
    names = "snapshots/step-00000004", "final"
    early, final = (load_file(tmp_path / "run" / name / "model.safetensors") for name in names)
    assert early.keys() == final.keys() and len(early) > 2
    changed = {name for name in final if not torch.equal(early[name], final[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_head_that_reads_every_position_keeps_its_encoder(tmp_path, monkeypatch):
    """Then the encoder stays in evaluation mode, and does not change."""
    monkeypatch.setattr(fine_tuning.FeatureReader, "is_enough", lambda *_: False)
    record = run_recipe(recipe_of(tmp_path, "minbert", train="frozen"), tmp_path / "uncached").to_json()
    monkeypatch.undo()
    cached = run_recipe(recipe_of(tmp_path, "minbert", train="frozen"), tmp_path / "cached").to_json()
    assert record["trainable_parameters"] == cached["trainable_parameters"] == 2 * 16 + 2
    assert record["parameters"] == cached["parameters"]
    first, second = (load_file(tmp_path / name / "final" / "model.safetensors") for name in ("cached", "uncached"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-4, rtol=0)  # head dropout draws differ in shape


@pytest.mark.parametrize("model_type", [name for name in MODELS if name != "bigru"])
def test_lora_trains_adapters_and_head_and_is_merged(model_type, tmp_path):
    recipe = recipe_of(tmp_path, model_type, train="lora", lora_rank=2, max_epochs=1)
    prepared, before = built(recipe)
    record = run_recipe(recipe, tmp_path / "run").to_json()
    head = sum(p.numel() for p in fine_tuning.head_parameters(before))
    assert head < record["trainable_parameters"] < record["parameters"] / 2
    final = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "final").eval()
    torch.manual_seed(recipe.training.seed)
    base = run_base(recipe)
    adapted = PeftModel.from_pretrained(base, tmp_path / "run" / "final" / "adapter").eval()
    batch = {name: torch.from_numpy(array) for name, array in prepared.examples["test"].batch(range(8)).items()}
    with torch.no_grad():
        torch.testing.assert_close(adapted(**batch).logits, final(**batch).logits, atol=1e-5, rtol=0)


def run_base(recipe):
    """The model that a run starts from."""
    from accelerate.utils import set_seed

    prepared = prepare(recipe)
    set_seed(recipe.training.seed)
    config = build_config(recipe.model, prepared.tokenizer, 16, prepared.config_settings(recipe.model.overrides))
    return build_model(recipe.model, config, "AutoModelForSequenceClassification", prepared.tokenizer)


@pytest.mark.parametrize("model_type", ["minbert", "distilbert", "gpt2"])
def test_gradual_unfreezing_goes_from_the_last_layer_to_the_embeddings(model_type, tmp_path):
    recipe = recipe_of(tmp_path, model_type, train="gradual", max_epochs=3)
    _, model = built(recipe)
    stages = [(stage["layers"], round(stage["fraction"], 3)) for stage in gradual_stages(model)]
    assert stages == [(1, 0.167), (2, 0.333), (3, 0.5)]
    record = run_recipe(recipe, tmp_path / "run").to_json()
    trained = [stage["trainable_parameters"] for stage in record["unfrozen"]]
    assert trained == sorted(set(trained))
    assert trained[-1] == record["parameters"]
    assert "stages" not in record  # nothing grew


def test_modes_that_a_model_cannot_have_are_named(tmp_path):
    with pytest.raises(InputError, match="training.train: lora: BiGRU.* nothing to adapt"):
        run_recipe(recipe_of(tmp_path, "bigru", train="lora"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_published_number_of_trainable_parameters():
    """System D's frozen encoder at BERT-base width: 768 x 5 + 5 for SST-5, 768 x 2 + 2 for CFIMDB."""
    for labels, wanted in ((5, 3845), (2, 1538)):
        config = transformers.AutoConfig.for_model("minbert", num_labels=labels)
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(config)
        freeze_encoder(model)
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) == wanted
