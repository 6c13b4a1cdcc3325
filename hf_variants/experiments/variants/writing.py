# Copyright 2026 The hf_variants authors. MIT licence.
"""Where a new variant's files go: into a clone of this repository, or into a folder of their own.

Nothing that is there is overwritten, and nothing is written before all of it is known.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from ..checking import InputError
from ..recipes.recipe import read_yaml
from .families import Variant

MARKS = ("hf_variants/auto.py", "tests/helpers/models.py", "training/comparisons")  # of a clone
LINE_LENGTH = 119  # a line, as ruff has it


def find_clone(folder: Path) -> Path | None:
    """The clone that `folder` lies in, if it lies in one."""
    folder = folder.resolve()
    return next((f for f in (folder, *folder.parents) if all((f / mark).exists() for mark in MARKS)), None)


def write_new(files: Mapping[Path, str]) -> list[Path]:
    """Writes files that are not there yet. Raises InputError, and writes nothing, where one is."""
    for path in files:
        if path.exists():
            raise InputError(f"{path}: is there already; choose another name, or move it away")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


# ---- in a clone ----------------------------------------------------------------------------------------------------


def write_into_clone(variant: Variant, clone: Path) -> list[Path]:
    """Writes code, test and comparison, and enters the variant where models are listed. Returns what was touched."""
    family = variant.family.folder
    files = {clone / "hf_variants" / family / name: text for name, text in variant.code().items()}
    files[clone / "tests" / family / f"test_{variant.name}.py"] = variant.text("test")
    files[clone / "training" / "comparisons" / f"{variant.name}.yaml"] = variant.text("comparison")
    edits = {
        clone / "hf_variants" / "auto.py": with_row,
        clone / "tests" / "helpers" / "models.py": with_configuration,
        clone / "tests" / "conformance" / "run.py": with_floor,
    }
    edited = {path: _edited(path, edit, variant) for path, edit in edits.items()}
    written = write_new(files)
    for path, text in edited.items():
        path.write_text(text, encoding="utf-8")
    return [*written, *edited]


def _edited(path: Path, edit: Callable[[str, Variant], str], variant: Variant) -> str:
    text = path.read_text(encoding="utf-8")
    if re.search(rf"\b{variant.name}\b", text):
        raise InputError(f"{path}: names {variant.name} already; choose another name")
    try:
        return edit(text, variant)
    except LookupError as error:
        raise InputError(f"{path}: {error.args[0]} is not where it was; enter {variant.name} by hand") from None


def with_row(text: str, variant: Variant) -> str:
    """auto.py with the variant's imports, and its row below those of its family."""
    family, name = variant.family.folder, variant.name
    line = _found(rf"^from \.{family} import (?:\(\n(?:    \w+,\n)+\)|\w.*)$", text)
    modules = sorted({*re.findall(r"modeling_\w+", line.group()), f"modeling_{name}"})
    joined = f"from .{family} import {', '.join(modules)}"
    if len(joined) > LINE_LENGTH:
        joined = f"from .{family} import (\n" + "".join(f"    {module},\n" for module in modules) + ")"
    text = text.replace(line.group(), joined)
    pattern = rf"(?:^from \.{family}\.configuration_\w+ import \w+\n)+"
    found = _found(pattern, text)
    lines = {*found.group().splitlines(), f"from .{family}.configuration_{name} import {variant.prefix}Config"}
    text = text.replace(found.group(), "\n".join(sorted(lines)) + "\n")
    rows = [row for row in re.findall(r"^    Row\(.*\),\n", text, re.MULTILINE) if _module(row) in modules]
    if not rows:
        raise LookupError(f"the row of {variant.family.baseline}")
    return text.replace(rows[-1], f"{rows[-1]}    Row({variant.prefix}Config, modeling_{name}),\n")


def _module(row: str) -> str:
    return re.findall(r"\w+", row)[-1]


def _found(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise LookupError(f"what looks like {pattern}")
    return found


def with_configuration(text: str, variant: Variant) -> str:
    """The tests' table of configurations with the variant as it is."""
    return _entered(text, "CONFIGURATIONS: ", f'    "{variant.name}": {{"neutral": {{}}}},\n')


def with_floor(text: str, variant: Variant) -> str:
    """The common tests' table with as many tests for the variant as its baseline passes."""
    floor = _found(rf'^    "{variant.family.baseline}": (\d+),$', text).group(1)
    return _entered(text, "FLOORS = ", f'    "{variant.name}": {floor},\n')


def _entered(text: str, table: str, line: str) -> str:
    """A text with a line at the end of a dictionary."""
    found = re.search(rf"^{table}[^\n]*\{{\n.*?^(?=\}}\n)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(table.rstrip(" :="))
    return text[: found.end()] + line + text[found.end() :]


# ---- in a folder of its own ----------------------------------------------------------------------------------------


def write_folder(variant: Variant, folder: Path, recipes: Path) -> list[Path]:
    """Writes FOLDER/model (code and config.json, as on the Hub), FOLDER/recipe.yaml and FOLDER/comparison.yaml."""
    base = read_yaml(recipes / f"{variant.family.recipe}.yaml")
    config = {"model_type": variant.name, "auto_map": variant.auto_map()}
    model = {"name_or_path": str(folder / "model"), "overrides": base["model"]["overrides"]}
    described = {"name": variant.name, "description": f"{variant.family.baseline} with another idea in it"}
    recipe = {**base, **described, "model": model}
    files = {folder / "model" / name: text for name, text in {**variant.family.code(), **variant.code()}.items()}
    files[folder / "model" / "config.json"] = json.dumps(config, indent=2) + "\n"
    files[folder / "recipe.yaml"] = _yaml(f"{variant.name} alone", recipe)
    files[folder / "comparison.yaml"] = _yaml(f"{variant.name} against {variant.family.baseline}", _arms(variant))
    return write_new(files)


def _arms(variant: Variant) -> dict[str, object]:
    baseline = variant.family.baseline
    return {
        "name": variant.name,
        "question": f"Is {variant.name} better than {baseline}?",
        "recipe": "recipe.yaml",
        "baseline": baseline,
        "seeds": [0, 1, 2],
        "arms": {
            baseline: {"description": baseline, "model": {"model_type": baseline, "name_or_path": None}},
            variant.name: {"description": f"{baseline} with another idea in it"},
        },
    }


def _yaml(title: str, content: Mapping[str, object]) -> str:
    head = f"# {title}; made by `hf-variants new-variant`. Paths start where the command is given.\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=LINE_LENGTH)
