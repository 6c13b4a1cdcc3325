# Copyright 2026 The hf_variants authors. MIT licence.
"""Every file in training/recipes and training/comparisons is valid, and says what it is said to say."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hf_variants.experiments.arguments import Recipe, merge, read_yaml, recipe_from_dict
from hf_variants.experiments.comparison import Comparison, load_comparison, trial_recipes
from hf_variants.experiments.data import build_tokenizer
from hf_variants.experiments.run import build_config, prepare, run_recipe
from hf_variants.experiments.schedule import plan

TRAINING = Path(__file__).parents[2] / "training"
RECIPES = sorted((TRAINING / "recipes").glob("*.yaml"))
COMPARISONS = sorted((TRAINING / "comparisons").glob("*.yaml"))
DATA = Path(os.environ.get("HF_VARIANTS_DATA", "nowhere"))
QUICK = {"max_tokens": None, "max_steps": 2, "batch_size": 2, "budgets": [1.0], "warmup_steps": 1, "eval_every": 1,
         "checkpoint_every": 0, "snapshot_every": 0, "eval_batch_size": 2}  # fmt: skip


def stem(path: Path) -> str:
    return path.stem


def arms() -> list[tuple[Path, str]]:
    return [(path, arm) for path in COMPARISONS for arm in read_yaml(path)["arms"]]


def is_here(data: dict[str, Any]) -> bool:
    """Whether a recipe's text can be had without a network."""
    return data["dataset"].startswith("builtin/") or (DATA / data["dataset"]).exists()


def offline(content: dict[str, Any]) -> Recipe:
    """The recipe, with built-in text in place of what is not here."""
    if not is_here(content["data"]):
        content = merge(content, {"data": {"dataset": "builtin/pydoc", "sha256": None}})
    return recipe_from_dict(content)


def built(recipe: Recipe) -> transformers.PreTrainedModel:
    """The recipe's model without memory for its weights."""
    prepared = prepare(recipe)
    config = build_config(recipe.model, prepared.tokenizer, recipe.data.block_size)
    with torch.device("meta"):
        return getattr(transformers, prepared.objective.auto_class).from_config(config)


def parameters(comparison: Comparison) -> dict[str, int]:
    recipes = {arm: offline(comparison.recipe(arm, 0).to_dict()) for arm in comparison.arms}
    return {arm: built(recipe).num_parameters() for arm, recipe in recipes.items()}


def test_there_are_some():
    assert {"demo", "minbert_tiny_shakespeare", "minbert_tiny_shakespeare_published"} <= set(map(stem, RECIPES))
    assert {"demo", "highway_vs_residual", "highway_vs_residual_published"} <= set(map(stem, COMPARISONS))


@pytest.mark.parametrize("path", RECIPES, ids=stem)
def test_a_recipe_is_valid_and_its_model_builds(path):
    content = read_yaml(path)
    recipe = recipe_from_dict(content, str(path))
    assert recipe.name == path.stem and recipe.description
    assert plan(recipe.training, recipe.data.block_size)[-1].budget == 1.0
    model = built(offline(content))
    assert model.num_parameters() > 10_000 and model.device.type == "meta"
    for name, value in recipe.model.overrides.items():
        assert getattr(model.config, name) == value


@pytest.mark.parametrize(("path", "arm"), arms(), ids=lambda value: getattr(value, "stem", value))
def test_every_arm_of_a_comparison_is_valid_and_builds(path, arm):
    comparison = load_comparison(path)
    assert comparison.name == path.stem and comparison.question.endswith("?")
    assert comparison.arms[arm]["description"] and len(comparison.seeds) >= 3
    recipes = [comparison.recipe(arm, seed) for seed in comparison.seeds]
    recipes += [recipe for _, recipe in trial_recipes(comparison, arm)] if comparison.tune else []
    for recipe in recipes:
        plan(recipe.training, recipe.data.block_size)
    model = built(offline(recipes[0].to_dict()))
    assert model.config.model_type == comparison.arms[arm]["model"]["model_type"]


@pytest.mark.parametrize("path", COMPARISONS, ids=stem)
def test_arms_of_a_comparison_differ_in_the_model_alone(path):
    comparison = load_comparison(path)
    assert all(set(changes) <= {"description", "model"} for changes in comparison.arms.values())
    for name in (comparison.tune or {}).get("space") or {}:
        assert name in ("training.learning_rate", "training.warmup_steps")


def test_the_published_counts_are_met_exactly():
    comparison = load_comparison(TRAINING / "comparisons" / "highway_vs_residual_published.yaml")
    counts = {}
    for arm in comparison.arms:
        recipe = comparison.recipe(arm, 0)
        content = merge(recipe.to_dict(), {"model": {"overrides": {"vocab_size": 66, "pad_token_id": None}}})
        config = transformers.CONFIG_MAPPING[recipe.model.model_type](**content["model"]["overrides"])
        with torch.device("meta"):
            counts[arm] = transformers.AutoModelForMaskedLM.from_config(config).num_parameters()
    assert counts == {"residual": 25_353_282, "highway": 29_555_778, "highway_bias_0": 29_555_778}


@pytest.mark.skipif(not (DATA / "tiny_shakespeare").exists(), reason="HF_VARIANTS_DATA has no tiny_shakespeare")
def test_the_published_counts_come_from_the_real_text():
    comparison = load_comparison(TRAINING / "comparisons" / "highway_vs_residual_published.yaml")
    local = {"dataset": "tiny_shakespeare", "sha256": None, "join_splits": True}
    counts = {}
    for arm in comparison.arms:
        recipe = recipe_from_dict(merge(comparison.recipe(arm, 0).to_dict(), {"data": local}))
        prepared = prepare(recipe)
        tokenizer = build_tokenizer(recipe.tokenizer, prepared.corpus, recipe.data.block_size)
        assert len(set(prepared.corpus.splits["train"][0])) == 64 and len(tokenizer) == 66
        assert prepared.corpus.splits["train"][0].startswith("First Citizen")
        counts[arm] = built(recipe).num_parameters()
    assert counts == {"residual": 25_353_282, "highway": 29_555_778, "highway_bias_0": 29_555_778}


def test_the_widened_arm_has_the_highway_net_s_parameters():
    counts = parameters(load_comparison(TRAINING / "comparisons" / "highway_vs_residual.yaml"))
    assert counts["highway"] == counts["highway_bias_0"] > 1.1 * counts["residual"]
    assert counts["residual_wide"] == pytest.approx(counts["highway"], rel=0.01)


@pytest.mark.parametrize("path", RECIPES, ids=stem)
def test_every_recipe_trains(path, tmp_path):
    content = read_yaml(path)
    if not is_here(content["data"]):
        content = merge(content, {"data": {"dataset": "builtin/pydoc", "sha256": None}})
    small = {"num_hidden_layers": 1} if content["model"]["overrides"]["num_hidden_layers"] > 3 else {}
    changes = {"data": {"max_eval_blocks": 2}, "training": QUICK, "model": {"overrides": small}}
    record = run_recipe(recipe_from_dict(merge(content, changes)), tmp_path / "run")
    assert record["steps"] == 2 and record["marks"][-1]["test"]["loss"] > 0
