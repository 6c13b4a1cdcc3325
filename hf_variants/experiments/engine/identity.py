# Copyright 2026 The hf_variants authors. MIT licence.
"""What decides a run's result, and its fingerprint."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ...hub.export import MADE
from ..checking import non_defaults
from ..recipes.recipe import SECTIONS, Recipe
from ..text.sources import PACKAGE, find_local, find_model
from ..text.tokenizer_training import TRAINED
from .prepared import Prepared
from .record import TOKENIZER_RECORD

APART = (TOKENIZER_RECORD, MADE)  # of the files of a folder: they decide nothing


BOOKKEEPING = ("workers", "trackers", "keep_checkpoints", "checkpoint_every", "snapshot_every", "log_every",
               "log_layer_gradients", "samples", "sample_tokens", "sample_temperature", "sample_prompts")  # fmt: skip


def identity(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    """What decides a run's result: the recipe but for names and bookkeeping, and the data's fingerprint.

    Fields at their default are left out, so that a record stays valid when recipes learn a new field; changing a
    default, on the other hand, changes what old records stand for.
    """
    content = {}
    for section in SECTIONS:
        fields = non_defaults(getattr(recipe, section)).items()
        if decisive := {name: value for name, value in fields if name not in BOOKKEEPING}:
            content[section] = decisive
    tokenizer = recipe.tokenizer.tokenizer if recipe.tokenizer.tokenizer not in TRAINED else None
    code = recipe.objective.objective.rpartition(":")[0]
    local = (recipe.model.name_or_path, recipe.model.word_vectors, tokenizer, code)
    found = {name: Path(find_model(name)) if name != tokenizer else _tokenizer_folder(name) for name in local if name}
    digests = {name: _digest(path) for name, path in found.items() if path is not None and path.exists()}
    content |= {"local_files": digests} if digests else {}
    return json.loads(json.dumps(content | {"data_fingerprint": prepared.corpus.fingerprint}))


def _tokenizer_folder(name: str) -> Path | None:
    return find_local(name) or (Path(find_model(name)) if name.startswith(PACKAGE) else None)


def _digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files: code and weights of one's own decide a result as the recipe does.

    How a tokenizer was prepared does not, nor what a folder was when it was made.
    """
    inside = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc" and p.name not in APART)
    files = [path] if path.is_file() else inside
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return "sha256:" + digest.hexdigest()


def recipe_fingerprint(identity_: dict[str, Any]) -> str:
    """sha256 of an identity."""
    return "sha256:" + hashlib.sha256(json.dumps(identity_, sort_keys=True).encode()).hexdigest()
