# Copyright 2026 The hf_variants authors. MIT licence.
"""What pyproject.toml says is needed is what is imported, storey by storey; and what the wheel holds."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from hf_variants.experiments.recipes.programs import OF_SITE, OF_TRAIN
from tests.helpers.places import CARDS, ROOT, TRAINING

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
# Packages whose modules have other names.
NAMES = {"huggingface-hub": "huggingface_hub", "markdown-it-py": "markdown_it", "pillow": "PIL", "pyyaml": "yaml",
         "scikit-learn": "sklearn"}  # fmt: skip
OURS = {"hf_variants", "hf_variants_command"}
BASE = (
    "__init__.py",
    "auto.py",
    "bert",
    "gpt",
    "gru",
    "hub",
)  # of hf_variants: what loads, checks and publishes models


def declared(requirements: Iterable[str]) -> set[str]:
    """The modules that requirements install; those of the package itself, with another extra, left out."""
    names = {re.match(r"[\w.-]+", requirement).group() for requirement in requirements} - OURS
    return {NAMES.get(name, name) for name in names}


def imported(paths: Iterable[Path], top: bool = False) -> set[str]:
    """The foreign packages that source files import, wherever in the file or at its top level alone."""
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    found = set()
    trees = [ast.parse(file.read_text("utf-8")) for file in files]
    for node in (node for tree in trees for node in (tree.body if top else ast.walk(tree))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - OURS


EXTRAS = {name: declared(needed) for name, needed in PROJECT["optional-dependencies"].items()}


def test_models_need_the_base_alone():
    base = declared(PROJECT["dependencies"])
    paths = [ROOT / "hf_variants" / name for name in BASE]
    assert imported(paths, top=True) | {"safetensors"} == base  # what weights are saved in; transformers reads them
    assert imported(paths) - base == {"peft"}  # by whoever has an adapter


def test_experiments_and_programs_need_the_extras_train_and_site_alone():
    """Each of them is imported, and each import is declared."""
    above = [ROOT / "hf_variants" / "experiments", ROOT / "hf_variants" / "growth", TRAINING]
    needed = imported(above) - declared(PROJECT["dependencies"])
    assert needed == EXTRAS["train"] | EXTRAS["site"]
    assert EXTRAS["site"] == set(OF_SITE) and not EXTRAS["site"] & EXTRAS["train"]


def test_what_programs_name_as_missing_is_what_the_extra_installs():
    assert set(OF_TRAIN) == EXTRAS["train"]


def test_the_command_needs_python_alone():
    assert imported([TRAINING / "command"]) == set()


def test_whoever_develops_has_it_all():
    dev, site = (PROJECT["optional-dependencies"][name] for name in ("dev", "site"))
    assert "hf_variants[site]" in dev and "hf_variants[train]" in site


def test_every_folder_of_modules_is_a_package_that_is_installed():
    packages = {path.parent for path in (ROOT / "hf_variants").rglob("__init__.py")}
    assert {path.parent for path in (ROOT / "hf_variants").rglob("*.py")} == packages
    names = [".".join(path.relative_to(ROOT).parts) for path in packages]
    assert sorted(SETUPTOOLS["packages"]) == sorted([*names, *SETUPTOOLS["package-dir"]])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("build") is None and "PIP_NO_INDEX" in os.environ, reason="no network")
def test_the_wheel_holds_programs_recipes_and_what_show_reads(tmp_path):
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "records", "*.png")
    for name in ("hf_variants", "training", "model_cards"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run(pip, check=True)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    programs = {f"hf_variants/training/{path.relative_to(TRAINING)}" for path in TRAINING.rglob("*.*")
                if path.suffix in (".py", ".yaml") and path.parent.name != "command"}  # fmt: skip
    reports = {f"hf_variants/model_cards/{path.relative_to(CARDS)}" for path in CARDS.rglob("report.md")}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "hf_variants").rglob("*.txt")}
    assert programs | reports | templates | {"hf_variants_command/main.py", "hf_variants/py.typed"} <= held
    assert not any(name.endswith((".png", "record.json")) or "tests/" in name for name in held)
    assert wheel.stat().st_size < 2_000_000
    assert importlib.metadata.PathDistribution(zipfile.Path(wheel, f"{wheel.name.split('-')[0]}-0.1.0.dist-info/"))
