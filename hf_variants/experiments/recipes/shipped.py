# Copyright 2026 The hf_variants authors. MIT licence.
"""Recipes and comparisons by name: those that lie beside the programs, in a clone and in the wheel."""

import difflib
from pathlib import Path

from ..checking import InputError

RECIPES, COMPARISONS = "recipes", "comparisons"  # folders beside the programs
PROGRAMS = {RECIPES: "train", COMPARISONS: "compare"}  # what runs them


def names(folder: Path) -> list[str]:
    """The names of the files of a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_file(given: str, programs: Path, kind: str) -> Path:
    """The file that --config means: a path, or the name of one in the folder `kind` beside the programs.

    A name that nothing has raises InputError with near ones; whether a path exists is for its reader to say.
    """
    path, shipped = Path(given), programs / kind / f"{given}.yaml"
    if path.is_file() or path.suffix or path.name != given:
        return path
    if shipped.is_file():
        return shipped
    if path.exists():
        return path
    raise InputError(f"--config {given}: no file, and no name among the {kind}; {_hint(given, programs, kind)}")


def _hint(given: str, programs: Path, kind: str) -> str:
    for other, program in PROGRAMS.items():
        if other != kind and (programs / other / f"{given}.yaml").is_file():
            return f"it is one of the {other}: hf-variants {program} --config {given}"
    near = difflib.get_close_matches(given, names(programs / kind), n=3)
    return f"did you mean {' or '.join(near)}?" if near else "`hf-variants recipes` lists them"
