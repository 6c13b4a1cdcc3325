#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Trains one model from a recipe, evaluates it, and writes the folder that the Hub would hold.

Every field of the recipe is also a flag. Run again after an interruption, the same command goes on where it stopped.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from hf_variants.experiments.recipes.flags import command, flags_as_recipe, recipe_flags
from hf_variants.experiments.recipes.programs import OneLineParser, called, one_line_errors
from hf_variants.experiments.recipes.recipe import Recipe, merge, read_yaml, recipe_from_dict
from hf_variants.experiments.recipes.shipped import RECIPES, find_file
from hf_variants.experiments.records import RunRecord

USAGE = "%(prog)s [-h] --config RECIPE --output_dir FOLDER [--FIELD VALUE …]"
EXAMPLES = (
    "hf-variants train --config minbert_pydoc --output_dir runs/minbert --max_steps 200",
    "accelerate launch -m hf_variants.training.train --config minbert_pydoc --output_dir runs/minbert",
)


def parse_arguments(argv: list[str] | None = None) -> tuple[argparse.Namespace, Recipe]:
    """The program's own options, and the recipe with flags laid over the file."""
    parser = OneLineParser(__doc__, EXAMPLES, usage=USAGE)
    parser.add_argument("--config", required=True, help="recipe: a YAML file, or a name of `hf-variants recipes`")
    parser.add_argument("--output_dir", required=True, type=Path, help="folder of the run")
    parser.add_argument("--push_to_hub", action="store_true", help="upload the exported folder at the end")
    parser.add_argument("--repo_id", help="Hub repository for --push_to_hub, as user/name")
    recipe_flags(parser)
    options = parser.parse_args(argv)
    if options.push_to_hub and not options.repo_id:
        parser.error("--push_to_hub needs --repo_id user/name")
    file = find_file(options.config, Path(__file__).parent, RECIPES)
    content = merge(read_yaml(file), flags_as_recipe(options))
    return options, recipe_from_dict(content, options.config)


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options, recipe = parse_arguments(argv)
    import transformers
    from accelerate import PartialState

    from hf_variants.experiments.engine.run import run_recipe
    from hf_variants.hub.export import check_target
    from hf_variants.hub.publishing import Destination

    # a bad name is refused before training
    destination = Destination(options.repo_id) if options.push_to_hub else None
    transformers.utils.logging.disable_progress_bar()  # one line per saved file says nothing
    folder = options.output_dir / "model"
    check_target(folder)  # before training, too
    again = command(called(__package__, "train"), options)
    record = dataclasses.replace(run_recipe(recipe, options.output_dir), command=again)
    if not PartialState().is_main_process:
        return
    export(record, options.output_dir, folder)
    report(record, folder)
    if destination:
        publish(folder, destination)


def publish(folder: Path, destination: Any) -> None:
    """Uploads the folder in one commit, after the same checks as `publish.py`."""
    from hf_variants.experiments.reports.cards import validate_card
    from hf_variants.hub import publishing

    found = publishing.check(folder, validate_card)
    done = publishing.publish(folder, destination)
    print(f"{done.url}\n\n{publishing.snippet(found, done.repo_id, done.commit)}")


def export(record: RunRecord, output_dir: Path, folder: Path) -> None:
    """Writes the Hub-ready folder: weights, configuration, code, tokenizer, card and its figures."""
    from hf_variants.experiments.reports.cards import draw_for_card, run_card
    from hf_variants.hub.export import export_folder

    plots = draw_for_card(record, output_dir)
    card = run_card(record, list(plots))
    export_folder(output_dir / "final", folder, card, {"record.json": record.to_json()}, plots)


def report(record: RunRecord, folder: Path) -> None:
    """Prints what came out."""
    from hf_variants.experiments.labelled.corpus import skipped_rows
    from hf_variants.hub.export import changed_files

    for split in ("validation", "test"):
        if found := record.last.metrics(split):
            values = "  ".join(f"{name} {value:.4f}" for name, value in found.items() if "/" not in name)
            print(f"{split:<10} {values}")
    if skipped := skipped_rows(record.data.skipped or {}):
        print(skipped)
    for line in record.remarks:
        print(line)
    for sample in record.samples[:1]:
        print(f"sample     {(sample.prompt + sample.text)[:200]!r}")
    print(f"{record.parameters:,} parameters, {record.tokens:,} tokens, {record.seconds:.1f} s")
    if changed := changed_files(folder):
        print(f"left as they are, having been edited or added: {', '.join(changed)}")
    print(f"Hub-ready folder: {folder}")


if __name__ == "__main__":
    main()
