# Copyright 2026 The hf_variants authors. MIT licence.
"""The documents of the package, and their generated parts: tables of results, of recipes, of the benchmark.

Everything else in them is written by hand. A part stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checking import InputError
from ..reports import benchmark
from ..reports.marked import read_document, split_at_marks, with_part
from ..reports.report import console_table
from .catalogue import comparisons_table, recipes_table
from .front_page import Entry
from .headlines import seeds_text, verdict_table
from .sources import NotMeasuredError, Sources

FIRST, TRAINING, SPEED = "README.md", "training/README.md", "model_cards/speed/README.md"
# Their paths from the root of a clone, in the order in which they are read, and what they are called in a menu.
DOCUMENTS = {
    FIRST: "First page",
    TRAINING: "Training",
    "hf_variants/README.md": "Models and library",
    "hf_variants/experiments/README.md": "Rooms",
    "tests/README.md": "Tests",
    SPEED: "Speed",
}


@dataclass(frozen=True)
class GeneratedPart:
    """A generated part of a document: the document's path from the root of a clone, the part's name, its text."""

    document: str
    name: str
    text: str


def generated_parts(root: Path, folder: Path, entries: Sequence[Entry]) -> list[GeneratedPart]:
    """The generated parts of the documents of a clone, from the results in its `folder`.

    Raises InputError where one of them has nothing to show.
    """
    try:
        return _parts(root, folder, entries)
    except NotMeasuredError as error:
        raise InputError(f"{folder}: {error}, and a document shows them") from None


def _parts(root: Path, folder: Path, entries: Sequence[Entry]) -> list[GeneratedPart]:
    sources = Sources(folder)
    published = [entry.name for entry in entries if entry.published]
    recipes = root / "training" / "recipes"
    return [
        GeneratedPart(FIRST, "verdicts", verdict_table(sources, folder.name)),
        GeneratedPart(FIRST, "seeds", seeds_text(sources, published)),
        GeneratedPart(FIRST, "demo", f"```text\n{console_table(sources.comparison('demo'))}\n```"),
        GeneratedPart(TRAINING, "recipes", recipes_table(recipes, entries, sources, f"../{folder.name}")),
        GeneratedPart(TRAINING, "comparisons", comparisons_table(entries, sources, f"../{folder.name}")),
        GeneratedPart(SPEED, benchmark.MARK, benchmark.markdown(sources.measurement("speed/benchmark.json"))),
    ]


def document_differences(root: Path, parts: Sequence[GeneratedPart]) -> list[str]:
    """A line for every part that is not what it should be. Raises InputError where a document or its marks miss."""
    lines = []
    for part in parts:
        path = root / part.document
        if split_at_marks(read_document(path), part.name, path)[1] != f"\n{part.text}\n":
            lines.append(f"{part.document}: its part '{part.name}' differs")
    return lines


def write_documents(root: Path, parts: Sequence[GeneratedPart]) -> list[str]:
    """Brings the parts up to date; returns the documents that changed. Raises InputError as above."""
    before = {part.document: read_document(root / part.document) for part in parts}
    after = dict(before)
    for part in parts:
        after[part.document] = with_part(after[part.document], part.name, part.text, root / part.document)
    changed = [name for name, text in after.items() if text != before[name]]
    for name in changed:
        (root / name).write_text(after[name], encoding="utf-8")
    return changed
