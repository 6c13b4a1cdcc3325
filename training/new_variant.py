#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Writes a variant that is its baseline until you edit it, and the comparison that says what the edit is worth.

Inside a clone: configuration, modeling file, test and comparison, a row in hf_variants/auto.py, and one in the tests'
tables; all shared checks then cover it. Anywhere else, or with --folder: a folder with code as on the Hub, a recipe
and a comparison. Nothing that is there is overwritten.
"""

import argparse
import os
from pathlib import Path

from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.recipes.shipped import RECIPES
from hf_variants.experiments.variants.families import FAMILIES, new_variant
from hf_variants.experiments.variants.writing import find_clone, write_folder, write_into_clone

EXAMPLES = (
    "hf-variants new-variant rezero_bert --of minbert",
    "hf-variants new-variant my_gpt --of nanogpt --folder my_gpt",
)

SHORT = "--max_steps 20 --warmup_steps 2"  # a first look at whether it trains


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="model type: small letters, digits and _, as rezero_bert")
    parser.add_argument("--of", required=True, metavar="BASELINE", help=f"one of {', '.join(FAMILIES)}")
    parser.add_argument("--folder", type=Path, help="write a folder of its own (default outside a clone: ./NAME)")
    return parser.parse_args(argv)


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    variant = new_variant(options.name, options.of)
    clone = find_clone(Path.cwd()) if options.folder is None else None
    name, model = variant.name, f"modeling_{variant.name}.py"
    if clone is not None:
        files = write_into_clone(variant, clone)
        edit = clone / "hf_variants" / variant.family.folder / model
        config, check = name, f"python -m pytest tests/table tests/{variant.family.folder}/test_{name}.py -k {name}"
    else:
        folder = options.folder or Path(name)
        files = write_folder(variant, folder, Path(__file__).resolve().parent / RECIPES)
        edit, config = folder / "model" / model, str(folder / "comparison.yaml")
        check = f"hf-variants train --config {folder / 'recipe.yaml'} --output_dir runs/{name}_alone {SHORT}"
    print("\n".join(os.path.relpath(path) for path in files))
    print(f"\nedit     {os.path.relpath(edit)}\ncheck    {check}")
    print(f"compare  hf-variants compare --config {config} --output_dir runs/{name}")
    if clone is not None:
        print("then     make cards, which lists the comparison on the front page")


if __name__ == "__main__":
    main()
