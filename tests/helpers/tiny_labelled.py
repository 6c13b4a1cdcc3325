# Copyright 2026 The hf_variants authors. MIT licence.
"""A classification recipe small enough to train inside a test, on labelled text made by the test."""

import json
import random
from pathlib import Path
from typing import Any

from hf_variants.experiments.recipes.recipe import Recipe, merge, recipe_from_dict, set_dotted
from tests.helpers.tiny import MODEL

GOOD, BAD, REST = ["good", "fine", "warm"], ["bad", "cold", "wet"], ["the", "day", "was", "and", "we", "saw", "it"]
CONTENT: dict[str, Any] = {
    "name": "tiny",
    "model": {"model_type": "minbert", "overrides": {n: v for n, v in MODEL.items() if n != "vocab_size"}},
    "data": {"block_size": 16},
    "tokenizer": {"tokenizer": "wordpiece", "vocab_size": 80},
    "objective": {"objective": "text_classification", "bootstrap_samples": 20},
    "training": {
        "max_epochs": 2,
        "batch_size": 8,
        "schedule": "linear",
        "warmup_steps": 2,
        "learning_rate": 5e-3,
        "eval_every": 4,
        "log_every": 4,
        "checkpoint_every": 3,
        "eval_batch_size": 16,
    },
}


def example(rng: random.Random) -> dict[str, Any]:
    """A text whose label is whether a good word is in it, or else a bad one; two labels and a number as well."""
    label = rng.random() < 0.4
    words = rng.choices(REST, k=rng.randint(1, 14)) + rng.choices(GOOD if label else BAD, k=rng.randint(1, 2))
    rng.shuffle(words)
    text = " ".join(words)
    return {"text": text, "label": int(label), "kind": rng.choice("abc"), "saw": int("saw" in words),
            "we": int("we" in words), "score": len(words) / 4}  # fmt: skip


def write_examples(folder: Path, counts: dict[str, int] | None = None) -> Path:
    """A folder with train.jsonl, validation.jsonl and test.jsonl."""
    folder = folder / "examples"
    folder.mkdir(exist_ok=True)
    rng = random.Random(0)
    for split, count in (counts or {"train": 64, "validation": 32, "test": 32}).items():
        rows = [json.dumps(example(rng)) for _ in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def labelled_recipe(tmp_path: Path, changes: dict[str, Any] | None = None) -> Recipe:
    """The tiny recipe on examples under `tmp_path`, with changes given by dotted names."""
    folder = tmp_path / "examples"
    dataset = folder if folder.exists() else write_examples(tmp_path)
    content = merge(CONTENT, {"data": {"dataset": str(dataset)}})
    return recipe_from_dict(merge(content, set_dotted(changes or {})))
