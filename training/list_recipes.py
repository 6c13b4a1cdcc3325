#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Lists the recipes and comparisons that come with the package: size, data, and what published runs took and gave.

Time is that of all runs on the two cores that they had, one after the other, training alone. A recipe shows what the
baseline of a published comparison took that is built on it. A dash stands for what has no record. No model is loaded.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_variants.experiments.files import read_json
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.recipes.recipe import read_yaml
from hf_variants.experiments.recipes.sections import BUDGETS
from hf_variants.experiments.recipes.shipped import COMPARISONS, RECIPES
from hf_variants.experiments.results.contracts import Arm, Cell, CellArm, Overview, Results, read_results
from hf_variants.experiments.tables import DASH, aligned_table, duration, number

PROGRAMS = Path(__file__).resolve().parent
PUBLISHED = PROGRAMS.parent / "model_cards"  # beside the programs, in a clone and in the wheel
EXAMPLES = ("hf-variants recipes", "hf-variants recipes --kind comparisons")
WIDTHS, DEPTHS = ("hidden_size", "n_embd", "dim"), ("num_hidden_layers", "n_layer", "n_layers")


@dataclass(frozen=True)
class Measured:
    """What a published comparison took and gave."""

    parameters: int
    baseline_seconds: float | None
    seconds: float | None
    baseline_score: str
    verdict: str


def measured(results: Results | Overview) -> Measured:
    """The costs and the verdict of a published comparison, with cells or without."""
    cells = list(results.cells.values()) if isinstance(results, Overview) else [results]
    times = [(seconds(arm), len(cell.seeds)) for cell in cells for arm in cell.arms.values()]
    total = None if any(time is None for time, _ in times) else sum(time * seeds for time, seeds in times)
    first = cells[0]
    baseline = first.arms[first.baseline]
    summary = first.summary(first.baseline) if isinstance(first, Results) else baseline.metrics[first.metric]
    score = f"{first.split} {first.metric.replace('_', ' ')} {summary.mean:.3f}"
    return Measured(baseline.parameters, seconds(baseline), total, score, verdict(cells))


def seconds(arm: Arm | CellArm) -> float | None:
    """What one run took, in the quiet run if there was one; None where no speed was measured."""
    if isinstance(arm, Arm):
        return arm.quiet_seconds or arm.seconds
    return arm.tokens / arm.tokens_per_second if arm.tokens_per_second else None


def verdict(cells: Sequence[Results | Cell]) -> str:
    """How often an arm was better, worse, or no different than the baseline at the largest equal budget."""
    last = [{test.arm: test.verdict for test in cell.tests if test.view == "equal_tokens"} for cell in cells]
    counts = Counter(word for words in last for word in words.values())
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or DASH


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--kind", choices=(RECIPES, COMPARISONS), help="only these (default: both)")
    return parser.parse_args(argv)


def records() -> dict[str, Measured]:
    """The published comparisons, by name."""
    paths = sorted(PUBLISHED.glob("*/results.json"))
    return {path.parent.name: measured(read_results(read_json(path), str(path))) for path in paths}


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
