# Copyright 2026 The hf_variants authors. MIT licence.
"""A new variant is its baseline: in a copy of the clone the shared checks cover it, and a folder of its own trains."""

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModel

from hf_variants.auto import TABLE
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.comparisons.comparison import load_comparison
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.engine.schedule import in_steps, plan
from hf_variants.experiments.recipes.recipe import merge, read_yaml, recipe_from_dict
from hf_variants.experiments.variants import writing
from hf_variants.experiments.variants.families import FAMILIES, new_variant
from tests.helpers.places import ROOT, TRAINING
from training import new_variant as program
from training.train import parse_arguments as parse_train_arguments

QUICK = {"max_steps": 2, "max_epochs": None, "warmup_steps": 1, "budgets": [1.0], "eval_every": 2, "batch_size": 4,
         "early_stopping": None}  # fmt: skip
BRIEF = {"samples": 1, "sample_tokens": 4, "answer_questions": 4}
OF_EACH = pytest.mark.parametrize("baseline", FAMILIES)
PARTS = ("hf_variants", "training", "tests")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of this repository with a variant of every baseline in it."""
    folder = tmp_path_factory.mktemp("clone")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for baseline in FAMILIES:
        writing.write_into_clone(new_variant(f"an_idea_{baseline}", baseline), folder)
    return folder


def run(clone: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_the_shared_checks_run_on_new_rows(clone):
    """The fastest of them here; the whole of tests/table was tried by hand, and takes a minute per variant."""
    checks = [
        "tests/table/test_shared_checks.py",
        "tests/test_house.py",
        *map(str, clone.glob("tests/*/test_an_*.py")),
    ]
    chosen = "(an_idea and (registered or padding or loss_is_chosen or neutral)) or house or place"
    found = run(clone, "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *checks, "-k", chosen)
    assert "failed" not in found
    assert int(found.rpartition(" passed")[0].split()[-1]) > 20


def test_what_is_written_is_in_our_style(clone):
    run(clone, "ruff", "check", ".")
    run(clone, "ruff", "format", "--check", ".")


@OF_EACH
def test_a_clone_s_comparison_is_valid(clone, baseline):
    comparison = load_comparison(clone / "training" / "comparisons" / f"an_idea_{baseline}.yaml")
    assert list(comparison.arms) == [baseline, f"an_idea_{baseline}"]
    assert comparison.recipe(f"an_idea_{baseline}", 0).model.model_type == f"an_idea_{baseline}"


def test_a_second_variant_of_one_name_writes_nothing(clone):
    before = {path: path.read_bytes() for path in clone.rglob("*.py")}
    for name in ("an_idea_minbert", "config"):  # the first has its files, the second is a word of the tables
        with pytest.raises(InputError, match="already; choose another name"):
            writing.write_into_clone(new_variant(name, "minbert"), clone)
    assert {path: path.read_bytes() for path in clone.rglob("*.py")} == before


def test_a_line_of_imports_that_gets_too_long_is_wrapped():
    text = (ROOT / "hf_variants" / "auto.py").read_text()
    for number in range(4):
        text = writing.with_row(text, new_variant(f"a_variant_with_a_long_name_{number}_bert", "minbert"))
    ast.parse(text)
    assert "from .bert import (\n    modeling_a_variant_with_a_long_name_0_bert,\n" in text
    assert max(map(len, text.splitlines())) <= 119 and text.count("    Row(AVariant") == 4


def test_a_table_that_is_not_where_it_was_is_named(tmp_path):
    for mark in writing.MARKS[:2]:
        (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / mark).write_text("TABLE = ()\n")
    (tmp_path / "training" / "comparisons").mkdir(parents=True)
    with pytest.raises(InputError, match="auto.py: .* is not where it was; enter an_idea by hand"):
        writing.write_into_clone(new_variant("an_idea", "minbert"), tmp_path)
    assert not list(tmp_path.rglob("*an_idea*"))


# ---- in a folder of its own ----------------------------------------------------------------------------------------


@OF_EACH
def test_a_folder_trains_and_is_its_baseline_to_the_bit(baseline, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        program.main(["my_idea", "--of", baseline])
    assert stop.value.code == 0
    check = shlex.split(next(line for line in capsys.readouterr().out.splitlines() if line.startswith("check")))
    assert check[1:3] == ["hf-variants", "train"]
    recipe = parse_train_arguments(check[3:])[1]
    assert plan(in_steps(recipe.training, 5_000), recipe.data.block_size)[-1].budget == 1.0
    content = read_yaml(tmp_path / "my_idea" / "recipe.yaml")
    short = {"training": QUICK, "objective": BRIEF, "data": {"max_eval_blocks": 4}}
    found = {}
    for name, model in (("my_idea", {}), (baseline, {"model_type": baseline, "name_or_path": None})):
        recipe = recipe_from_dict(merge(merge(content, short), {"model": model}))
        record = run_recipe(recipe, tmp_path / "runs" / name)
        found[name] = (record["model_type"], record["steps"], record["parameters"], record["marks"][-1]["validation"])
    assert found["my_idea"][0] == "my_idea" and found["my_idea"][1:] == found[baseline][1:]
    assert load_comparison(tmp_path / "my_idea" / "comparison.yaml").baseline == baseline


@OF_EACH
def test_a_folder_has_the_map_that_its_baseline_s_configuration_writes(baseline, tmp_path):
    variant = new_variant("my_idea", baseline)
    writing.write_folder(variant, tmp_path / "my_idea", TRAINING / "recipes")
    config = json.loads((tmp_path / "my_idea" / "model" / "config.json").read_text())
    row = next(row for row in TABLE if row.model_type == baseline)
    assert config["auto_map"].keys() == row.config_class.full_auto_map().keys()
    sizes = yaml.safe_load((tmp_path / "my_idea" / "recipe.yaml").read_text())["model"]["overrides"]
    assert all(hasattr(row.config_class(), name) for name in sizes)


def test_an_edit_is_what_runs(tmp_path):
    writing.write_folder(new_variant("my_idea", "minbert"), tmp_path / "my_idea", TRAINING / "recipes")
    folder = tmp_path / "my_idea" / "model"
    config = json.loads((folder / "config.json").read_text()) | {"hidden_size": 8, "num_attention_heads": 2}
    config |= {"num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 9}
    (folder / "config.json").write_text(json.dumps(config))
    ids, found = torch.arange(6)[None], []
    for edit in ("update + stream", "update - stream"):
        code = folder / "modeling_my_idea.py"
        code.write_text(code.read_text().replace("update + stream", edit))
        torch.manual_seed(0)
        model = AutoModel.from_config(_config(folder), trust_remote_code=True).eval()
        found.append(model(ids).last_hidden_state)
    assert not torch.allclose(*found)


def _config(folder: Path):
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, trust_remote_code=True)


@pytest.mark.parametrize(
    ("name", "baseline", "words"),
    [
        ("Bad-Name", "minbert", "small letters, digits, and _ between them"),
        ("bert", "minbert", "a model of this type already"),
        ("conv_gpt", "nanogpt", "a model of this type already"),
        ("an_idea", "minbrt", "did you mean 'minbert'"),
        ("an_idea", "conv_gpt", "--of conv_gpt: "),
    ],
)
def test_names_that_cannot_be_taken(name, baseline, words):
    with pytest.raises(InputError, match=words):
        new_variant(name, baseline)


def test_a_clone_is_found_from_any_folder_in_it(tmp_path):
    assert writing.find_clone(ROOT / "hf_variants" / "bert") == ROOT and writing.find_clone(tmp_path) is None
