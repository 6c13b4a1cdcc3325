# Copyright 2026 The hf_variants authors. MIT licence.
"""How many bad rows were left out of which split is printed by every program that reads labelled data."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf_variants.experiments.recipes.recipe import merge
from tests.helpers.tiny_labelled import labelled_recipe
from training import compare, prepare_tokenizer, train

WORDS = "bad rows that were skipped: train 3, test 1\n"


def call(program: Any, *options: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        program.main(list(map(str, options)))
    assert not stop.value.code


@pytest.fixture
def recipe(tmp_path) -> Path:
    """A recipe whose train split has three bad rows, and whose test split has one."""
    content = labelled_recipe(tmp_path, {"labels.on_bad_row": "skip", "training.max_epochs": 1}).to_dict()
    for split, count in (("train", 3), ("test", 1)):
        bad = [json.dumps({"text": "", "label": 1, "kind": "a"})] * count
        file = tmp_path / "examples" / f"{split}.jsonl"
        file.write_text("\n".join([*bad, file.read_text()]))
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(merge(content, {"growth": {"stages": []}})))))
    return path


def test_training_says_it_each_time(recipe, tmp_path, capsys):
    for _ in range(2):  # the second time from the record
        call(train, "--config", recipe, "--output_dir", tmp_path / "run")
        assert WORDS in capsys.readouterr().out
    call(train, "--config", recipe, "--output_dir", tmp_path / "other", "--label_column", "kind")
    assert WORDS in capsys.readouterr().out


def test_a_comparison_says_it_before_it_runs(recipe, tmp_path, capsys):
    path = tmp_path / "pair.yaml"
    content = {"name": "pair", "recipe": "recipe.yaml", "baseline": "one", "arms": {"one": {}, "two": {}}}
    path.write_text(yaml.safe_dump(content | {"seeds": [0]}))
    call(compare, "--config", path, "--output_dir", tmp_path / "out", "--only", "run")
    written = capsys.readouterr().out
    assert written.count(f"{tmp_path / 'examples'}: {WORDS}") == 1
    assert written.index(WORDS) < written.index("running one")


def test_a_tokenizer_that_is_prepared_says_it(recipe, tmp_path, caplog):
    call(prepare_tokenizer, "--config", recipe, "--output_dir", tmp_path / "tokenizer")
    assert f"{tmp_path / 'examples'}: {WORDS.strip()}" in caplog.text
