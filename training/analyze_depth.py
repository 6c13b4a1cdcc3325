#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Looks into trained encoders, residual or highway: gate openings, lesions, iterative estimation.

`--snapshots` takes folders that hold step-00001000, … of one run each (train.py --snapshot_every 1000) and adds what
changes over training. Writes analysis.json and one PNG per question. All models see the same validation text, masked
as in training's evaluations.
"""

import argparse
from pathlib import Path
from typing import Any

from hf_variants.experiments.checking import InputError, Range
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.recipes.sections import DataArguments

EXAMPLES = (
    "hf-variants analyze-depth --models runs/demo/models/residual runs/demo/models/highway --data builtin/pydoc "
    "--output_dir runs/demo/depth",
    "hf-variants analyze-depth --snapshots runs/minbert/snapshots --data builtin/pydoc --output_dir runs/depth",
)


def parse_arguments(argv: list[str] | None = None) -> tuple[argparse.Namespace, DataArguments]:
    """The program's options, and those of them that say where the text comes from."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--models", nargs="+", type=Path, default=[], help="folders of saved or exported models")
    parser.add_argument("--snapshots", nargs="+", type=Path, default=[], help="folders that hold snapshots of a run")
    parser.add_argument("--data", required=True, help="corpus, as data.dataset of a recipe")
    parser.add_argument(
        "--split_fractions", nargs=3, type=float, help="as in the recipe, where the source has no splits"
    )
    parser.add_argument("--text_column", default="text", help="column that holds the text (default: text)")
    parser.add_number("--block_size", int, Range(2), "tokens per block (default: the model's longest sequence)")
    parser.add_number("--max_blocks", int, Range(1), "blocks that are looked at", 128)
    parser.add_argument("--output_dir", required=True, type=Path, help="folder for analysis.json and the plots")
    options = parser.parse_args(argv)
    if not options.models and not options.snapshots:
        raise InputError("command line: give --models, --snapshots or both")
    given = {"split_fractions": options.split_fractions} if options.split_fractions else {}
    return options, DataArguments(dataset=options.data, text_column=options.text_column, **given)


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options, data = parse_arguments(argv)
    from transformers.utils import logging

    from hf_variants.experiments.analysis.depth_plots import FIGURES, plot_all
    from hf_variants.experiments.files import claim_file, write_json

    logging.disable_progress_bar()  # one bar per loaded model tells nothing
    path = options.output_dir / "analysis.json"
    claim_file(path, ("models", "over_training"), *FIGURES)
    analysis = analyze(options, data)
    write_json(path, analysis)
    report(analysis)
    for file in [path, *plot_all(analysis, options.output_dir)]:
        print(file)


def analyze(options: argparse.Namespace, data: DataArguments) -> dict[str, Any]:
    """All figures of all models and runs, as plain JSON values. Wrong folders are named before any work is done."""
    from hf_variants.experiments.analysis import depth
    from hf_variants.experiments.machine.environment import environment
    from hf_variants.experiments.recipes.sections import ObjectiveArguments
    from hf_variants.experiments.text.corpora import load_corpus

    models, runs = depth.labels(options.models), depth.labels([run_folder(f) for f in options.snapshots])
    snapshots = [folder for run in options.snapshots for folder in depth.snapshot_folders(run).values()]
    for folder in [*options.models, *snapshots]:
        depth.check_folder(folder)
    corpus = load_corpus(data)
    block_size, max_blocks = options.block_size, options.max_blocks
    about = {"name": corpus.name, "fingerprint": corpus.fingerprint, "split": "validation"}
    return {
        "schema": 1,
        "models": {
            name: depth.analyze_model(folder, corpus, block_size, max_blocks) for name, folder in models.items()
        },
        "over_training": {
            name: depth.over_training(folder, corpus, block_size, max_blocks)
            for name, folder in zip(runs, options.snapshots, strict=True)
        },
        "data": about | {"max_blocks": options.max_blocks, "eval_seed": ObjectiveArguments().eval_seed},
        "environment": environment(),
    }


def run_folder(folder: Path) -> Path:
    """The run that a folder of snapshots belongs to, which names it."""
    return folder.resolve().parent if folder.name == "snapshots" else folder


def report(analysis: dict[str, Any]) -> None:
    """Prints one line per model."""
    for name, found in analysis["models"].items():
        lesions = found["lesions"]
        worst = max(lesions["sublayers"], key=lesions["sublayers"].get)
        gate = f"mean T {_mean(found, 'transform'):.3f}, " if found["gated"] else ""
        rise = lesions["sublayers"][worst] - lesions["intact"]
        print(
            f"{name}: validation loss {lesions['intact']:.4f}, {gate}"
            f"update/stream {_mean(found, 'update_ratio'):.3f}, costliest sublayer {worst} (+{rise:.3f})"
        )


def _mean(found: dict[str, Any], quantity: str) -> float:
    values = [of_sublayer[quantity]["mean"] for of_sublayer in found["openings"].values()]
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
