#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Lists the recipes and comparisons that come with the package: size, data, and what published runs took and gave.

Time is that of all runs on the two cores that they had, one after the other, training alone. A recipe shows what the
baseline of a published comparison took that is built on it. A dash stands for what has no record. No model is loaded.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_variants.experiments.files import read_json
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.recipes.recipe import read_yaml
from hf_variants.experiments.recipes.sections import BUDGETS
from hf_variants.experiments.recipes.shipped import COMPARISONS, RECIPES
from hf_variants.experiments.tables import DASH, aligned_table, number

PROGRAMS = Path(__file__).resolve().parent
PUBLISHED = PROGRAMS.parent / "model_cards"  # beside the programs, in a clone and in the wheel
EXAMPLES = ("hf-variants recipes", "hf-variants recipes --kind comparisons")
WIDTHS, DEPTHS = ("hidden_size", "n_embd", "dim"), ("num_hidden_layers", "n_layer", "n_layers")


@dataclass(frozen=True)
class Measured:
    """What a published comparison took and gave."""

    parameters: int
    baseline_seconds: float
    seconds: float
    baseline_score: str
    verdict: str


def measured(results: dict[str, Any]) -> Measured:
    """The costs and the verdict in a results.json, with cells or without."""
    cells = list(results["cells"].values()) if "cells" in results else [results]
    runs = [(arm, _seconds(arm) * len(cell["seeds"])) for cell in cells for arm in cell["arms"].values()]
    first = cells[0]
    baseline = first["arms"][first["baseline"]]
    scores = baseline["metrics"].get(first["split"], baseline["metrics"])[first["metric"]]
    score = f"{first['split']} {first['metric'].replace('_', ' ')} {scores['mean']:.3f}"
    total = sum(seconds for _, seconds in runs)
    return Measured(baseline["parameters"], _seconds(baseline), total, score, _verdict(cells))


def _seconds(arm: dict[str, Any]) -> float:
    return arm.get("quiet_seconds") or arm.get("seconds") or arm["tokens"] / arm["tokens_per_second"]


def _verdict(cells: list[dict[str, Any]]) -> str:
    """How often an arm was better, worse, or no different than the baseline at the largest equal budget."""
    counts: dict[str, int] = {}
    for cell in cells:
        rows = cell["views"]["equal_tokens"] if "views" in cell else cell["tests"]
        last = {row["arm"]: row["verdict"] for row in rows if row.get("view", "equal_tokens") == "equal_tokens"}
        for verdict in last.values():
            counts[verdict] = counts.get(verdict, 0) + 1
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or DASH


def duration(seconds: float | None) -> str:
    """Seconds as a reader wants them: `40 s`, `12 min`, `3.5 h`."""
    if seconds is None:
        return DASH
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--kind", choices=(RECIPES, COMPARISONS), help="only these (default: both)")
    return parser.parse_args(argv)


def records() -> dict[str, Measured]:
    """The published comparisons, by name."""
    return {path.parent.name: measured(read_json(path)) for path in sorted(PUBLISHED.glob("*/results.json"))}


def recipe_rows(known: dict[str, Measured]) -> list[list[str]]:
    """A row per recipe."""
    of_recipe: dict[str, Measured] = {}
    for path in sorted((PROGRAMS / COMPARISONS).glob("*.yaml")):
        content = read_yaml(path)
        if path.stem in known and not content.get("cells") and isinstance(content["recipe"], str):
            of_recipe.setdefault(Path(content["recipe"]).stem, known[path.stem])
    rows = []
    for path in sorted((PROGRAMS / RECIPES).glob("*.yaml")):
        content, found = read_yaml(path), of_recipe.get(path.stem)
        gave = found.baseline_score if found else DASH
        rows.append([path.stem, *about(content), gave, *took(found, found and found.baseline_seconds)])
    return rows


def took(found: Measured | None, seconds: float | None) -> list[str]:
    """Parameters and time, or dashes."""
    return [number(found and found.parameters), duration(seconds)]


def about(content: dict[str, Any]) -> list[str]:
    """Model, size, data and budget of a recipe file."""
    model, training = content.get("model") or {}, content.get("training") or {}
    overrides = model.get("overrides") or {}
    width, depth = (next((overrides[n] for n in names if n in overrides), None) for names in (WIDTHS, DEPTHS))
    size = f"{depth} x {width}" if width and depth else str(width) if width else DASH
    size = "pretrained" if model.get("pretrained") else size
    budget = next((f"{number(training[n])} {n.removeprefix('max_')}" for n in BUDGETS if training.get(n)), DASH)
    name = model.get("model_type") or str(model.get("name_or_path"))
    return [name, size, _short(content["data"]["dataset"]), budget]


def _short(dataset: str) -> str:
    return dataset.rsplit("/", 1)[-1] if "://" in dataset else dataset


def comparison_rows(known: dict[str, Measured]) -> list[list[str]]:
    """A row per comparison file."""
    rows = []
    for path in sorted((PROGRAMS / COMPARISONS).glob("*.yaml")):
        content, found = read_yaml(path), known.get(path.stem)
        base = read_yaml(path.parent / content["recipe"]) if isinstance(content["recipe"], str) else content["recipe"]
        cells = content.get("cells") or {}
        of_cells = [(cell.get("data") or {}).get("dataset") for cell in cells.values()] or [None]
        data = sorted({_short(dataset or base["data"]["dataset"]) for dataset in of_cells})
        size = f"{len(content['arms'])} arms" + (f" x {len(cells)} cells" if cells else "")
        gave = found.verdict if found else DASH
        rows.append([path.stem, size, ", ".join(data), gave, *took(found, found and found.seconds)])
    return rows


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    known = records()
    if options.kind != COMPARISONS:
        header = ["recipe", "model", "layers x width", "data", "budget", "result", "parameters", "time"]
        print(aligned_table(header, recipe_rows(known), left=6) + "\n")
        print("hf-variants train --config RECIPE --output_dir FOLDER")
    if options.kind is None:
        print()
    if options.kind != RECIPES:
        header = ["comparison", "size", "data", "arms at equal tokens, against the baseline", "parameters", "time"]
        print(aligned_table(header, comparison_rows(known), left=4) + "\n")
        print("hf-variants compare --config COMPARISON --output_dir FOLDER     hf-variants show COMPARISON")


if __name__ == "__main__":
    main()
