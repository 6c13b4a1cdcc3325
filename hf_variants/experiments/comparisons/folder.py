# Copyright 2026 The hf_variants authors. MIT licence.
"""The folder of a comparison: whose it is, and what of it is copied elsewhere."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..engine.record import RECIPE
from ..files import claim_file, held, write_json
from .pairs import PAIRS

COMPARISON = "comparison.json"  # in the folder of a comparison, or of a file with cells: its name
REPORT = ("results.json", "report.md", "table.txt")
FOLDERS = ("models", "runs", "tune")
FLOOR_RECORD, NGRAMS = "floor.json", "ngrams.json"


def check_comparison(folder: Path, records: Path, names: Sequence[str], keep_in: Path | None) -> None:
    """Raises InputError where a comparison's folder, that of its records, or the one that files are copied to, holds
    what is not from here and would be written over. `names` are those of its figures and cards."""
    own = held(records, ("*-seed*.json", "tune-*.json"))
    is_inside = records.resolve().is_relative_to(folder.resolve())
    if not any(folder.glob(f"*/*/*/{RECIPE}")) and not (own and is_inside):  # from before folders were marked
        claim_file(folder / COMPARISON, ("comparison",), *REPORT, *names, *FOLDERS)
    if not own and not (folder / COMPARISON).exists():
        claim_file(records / "timing.json", (), FLOOR_RECORD, NGRAMS, PAIRS)
    if keep_in is not None:
        others = () if records.resolve().is_relative_to(keep_in.resolve()) else ("records",)
        claim_file(keep_in / "results.json", ("schema", "name"), *REPORT, *names, *others)


def check_overview(folder: Path, names: Sequence[str], keep_in: Path | None) -> None:
    """The same for the folder over the cells of a file."""
    if not any(folder.glob(f"*/{COMPARISON}")) and not any(folder.glob(f"*/*/*/*/{RECIPE}")):
        claim_file(folder / COMPARISON, ("comparison",), *REPORT, *names)
    if keep_in is not None:
        claim_file(keep_in / "results.json", ("schema", "name"), *REPORT, *names)


def mark(folder: Path, name: str) -> None:
    """Says that a folder is that of the comparison `name`."""
    write_json(folder / COMPARISON, {"comparison": name})


def copy_present(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copies the files of these names; a copy of one that `source` no longer has is removed."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)
