#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Prints a published comparison: its question, verdict and table. NAME alone, or NAME/CELL for a cell of one.

Without a NAME it lists all of them. No model is loaded.
"""

import argparse
import difflib
import re
from pathlib import Path

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.tables import aligned_table

FOLDER = Path(__file__).resolve().parents[1] / "model_cards"  # beside the programs, in a clone and in the wheel
EXAMPLES = ("hf-variants show conv_vs_gpt", "hf-variants show conv_vs_gpt/math_256 --full")
END = {"Comparisons", "Tests"}  # the section of a report that ends what is printed


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("name", nargs="?", metavar="NAME", help="comparison, or comparison/cell (default: list them)")
    parser.add_argument("--full", action="store_true", help="print the whole report")
    return parser.parse_args(argv)


def published(folder: Path) -> list[str]:
    """The names of comparisons and of their cells."""
    reports = [*folder.glob("*/report.md"), *folder.glob("*/*/report.md")]
    return sorted(str(path.parent.relative_to(folder)) for path in reports)


def find_report(name: str, folder: Path) -> str:
    """The report of a comparison, as Markdown. Raises InputError, with near names."""
    known = published(folder)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(n for n in known if '/' not in n)}"
        )
        raise InputError(f"{name}: no published comparison has this name; {hint}")
    return (folder / name / "report.md").read_text(encoding="utf-8")


def shortened(report: str) -> str:
    """A report up to the first section that says what verdict and table rest on."""
    parts = re.split(r"(?m)^(?=## )", report)
    kept = next((i for i, part in enumerate(parts) if part.splitlines()[0][3:] in END), len(parts))
    return "".join(parts[:kept])


def as_text(markdown: str) -> str:
    """Markdown for a terminal: tables aligned, no figures, links or stars."""
    markdown = re.sub(r"(?m)^!\[.*\n", "", markdown)
    markdown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown).replace("**", "")
    aligned = re.sub(r"(?m)(^\|.*\|\n?)+", lambda found: _aligned(found.group()) + "\n", markdown)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"(?m)^#+ ", "", aligned)).strip()


def _aligned(table: str) -> str:
    header, _, *rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in table.strip().splitlines()]
    strip = [[cell.strip().replace("\\|", "|") for cell in row] for row in (header, *rows)]
    return aligned_table(strip[0], strip[1:])


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    if options.name is None:
        print("\n".join(published(FOLDER)))
        return
    report = find_report(options.name.rstrip("/"), FOLDER)
    print(as_text(report if options.full else shortened(report)))


if __name__ == "__main__":
    main()
