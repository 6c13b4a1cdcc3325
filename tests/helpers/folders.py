# Copyright 2026 The hf_variants authors. MIT licence.
"""Model folders for `clean_load.py`: weights, code, tokenizer, and what the model gave where it was made."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, pipeline

from hf_variants.auto import Row
from hf_variants.hub.export import export_folder
from tests.helpers.models import build, char_tokenizer, outputs, tiny_config
from tests.helpers.places import PROGRAMS
from tests.helpers.sameness import tensors_of

CLEAN_LOAD = PROGRAMS / "clean_load.py"
# The pipeline that each Auto class serves. transformers 5 has none that answers questions about a text.
PIPELINES = {
    "AutoModel": "feature-extraction",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForCausalLM": "text-generation",
}
OPTIONS = {
    "text-classification": {"top_k": None},
    "text-generation": {"max_new_tokens": 9, "do_sample": False},
}
GENERATED = [{"num_beams": 3}, {"use_cache": False}, {}]


def model_with_tokenizer(row: Row, auto: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return a tiny model of a row and the tokenizer that it fits."""
    tokenizer = char_tokenizer(framed="AutoModelForCausalLM" not in row.auto_classes)
    config = tiny_config(row.model_type, vocab_size=len(tokenizer), pad_token_id=0, num_labels=3)
    return build(row.classes[auto], config), tokenizer


def sample_texts(task: str) -> list[str]:
    """Return texts of several lengths that a pipeline can answer."""
    texts = ["to be or", "not", "a rose is a"]
    return [f"{text}[MASK]" for text in texts] if task == "fill-mask" else texts


def write_folder(row: Row, auto: Any, folder: Path) -> Path:
    """Export a tiny model and its tokenizer; add `expected.pt`: its weights, and what it and its pipeline give."""
    model, tokenizer = model_with_tokenizer(row, auto)
    source = folder.with_name(f"{folder.name}_source")
    model.save_pretrained(source)
    tokenizer.save_pretrained(source)
    export_folder(source, folder, "---\n---\n# A model\n")
    task = PIPELINES.get(auto.__name__)
    texts = sample_texts(task)
    inputs = tokenizer(texts, padding=True, padding_side="left", return_tensors="pt", return_token_type_ids=False)
    stored = {"weights": tensors_of(model), "inputs": dict(inputs), "expected": outputs(model, inputs)}
    if task is not None:
        options = OPTIONS.get(task, {})
        answers = pipeline(task, model=model, tokenizer=tokenizer)(texts, **options)
        stored["pipelines"] = [(task, texts, options, json.loads(json.dumps(answers, default=float)))]
    if task == "text-generation":
        ways = [OPTIONS[task] | way for way in GENERATED]
        stored["generated"] = [(way, model.generate(**inputs, **way)) for way in ways]
    torch.save(stored, folder / "expected.pt")
    return folder


def load_without_the_package(root: Path, auto_names: list[str]) -> None:
    """Run `clean_load.py` on the folders `root/<Auto class>`, and fail if it does."""
    command = [sys.executable, "-I", str(CLEAN_LOAD), str(root)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(done.stdout.split()) == sorted(f"{root.name}/{name}" for name in auto_names)
