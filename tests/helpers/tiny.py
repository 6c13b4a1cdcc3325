# Copyright 2026 The hf_variants authors. MIT licence.
"""A recipe small enough to train inside a test, on text made by the test."""

import json
import random
from pathlib import Path
from typing import Any

from hf_variants.experiments.recipes.recipe import Recipe, merge, recipe_from_dict, set_dotted

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "two",
    "birds",
    "fly",
    "over",
    "old",
    "red",
    "barns",
    "while",
    "rain",
    "fell",
]
MODEL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
CONTENT: dict[str, Any] = {
    "name": "tiny",
    "model": {"model_type": "minbert", "overrides": MODEL},
    "data": {"dataset": "", "block_size": 16, "split_fractions": [0.8, 0.1, 0.1]},
    "training": {
        "max_steps": 20,
        "batch_size": 4,
        "budgets": [0.5, 1.0],
        "warmup_steps": 3,
        "learning_rate": 1e-2,
        "eval_every": 4,
        "log_every": 3,
        "checkpoint_every": 3,
    },
}


def write_text(folder: Path, characters: int = 6000) -> Path:
    """A file of random sentences."""
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=8)) for _ in range(characters // 30)]
    path = folder / "text.txt"
    path.write_text("\n".join(lines)[:characters])
    return path


def tiny_content(folder: Path, **changes: Any) -> dict[str, Any]:
    """The recipe as nested mappings; `changes` are sections to merge."""
    content = merge(CONTENT, {"data": {"dataset": str(write_text(folder))}})
    return merge(content, changes)


def tiny_recipe(folder: Path, **changes: Any) -> Recipe:
    """The recipe."""
    return recipe_from_dict(tiny_content(folder, **changes))


GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24}
CAUSAL: dict[str, Any] = {
    "name": "tiny_causal",
    "model": {"model_type": "gpt2", "overrides": GPT2},
    "data": {"dataset": "", "block_size": 16, "split_fractions": [0.8, 0.1, 0.1]},
    "objective": {"objective": "causal_lm", "sample_tokens": 30},
    "training": {"max_steps": 4, "batch_size": 4, "warmup_steps": 1, "learning_rate": 1e-2, "eval_every": 2,
                 "checkpoint_every": 2},
}  # fmt: skip


def causal_recipe(folder: Path, changes: dict[str, Any] | None = None) -> Recipe:
    """A recipe for a tiny GPT-2 of transformers; `changes` are dotted fields."""
    content = merge(CAUSAL, {"data": {"dataset": str(write_text(folder))}})
    return recipe_from_dict(merge(content, set_dotted(changes or {})))


def write_questions(folder: Path, count: int = 60) -> dict[str, Any]:
    """The dotted fields of a data set of questions whose answer is always yes."""
    path = folder / "questions.jsonl"
    path.write_text("\n".join(json.dumps({"q": f"is {n}?", "a": "yes"}) for n in range(count)))
    return {"data.dataset": str(path), "data.question_column": "q", "data.answer_column": "a"}
