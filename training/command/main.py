# Copyright 2026 The hf_variants authors. MIT licence.
"""`hf-variants NAME …`: the programs of the folder training/, from anywhere."""

import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .loading import PACKAGE, load_package, open_package


@dataclass(frozen=True)
class Program:
    """A subcommand: its module in hf_variants.training, what it does, whether it needs models, its first flags."""

    module: str
    about: str
    needs_models: bool = True
    first: tuple[str, ...] = ()


DEMO = ("--config", "demo", "--output_dir", "runs/demo")
GROUPS: dict[str, dict[str, Program]] = {
    "train and compare": {
        "demo": Program(
            "compare", "compare a highway with a residual encoder, under runs/demo (2 to 4 minutes)", first=DEMO
        ),
        "train": Program("train", "train one model from a recipe, and write the folder that the Hub would hold"),
        "compare": Program("compare", "train arms over seeds under one budget, and say what the difference is worth"),
        "prepare-tokenizer": Program("prepare_tokenizer", "train a tokenizer, measure it, save it"),
        "benchmark": Program("benchmark", "time the models against transformers and each other"),
    },
    "look at what there is": {
        "recipes": Program("list_recipes", "list recipes and comparisons: size, data, time, result", False),
        "show": Program("show", "print the verdict and the table of a published comparison", False),
    },
    "use a model": {
        "generate": Program("generate", "write text, fill masks or classify, with a trained model"),
        "evaluate": Program("evaluate_model", "score a model on a data set"),
        "analyze-depth": Program("analyze_depth", "look into encoders: gates, lesions, iterative estimation"),
        "convex-hull": Program("convex_hull", "count which keys a similarity can choose"),
        "publish": Program("publish", "upload an exported folder to the Hub, download it again, compare"),
    },
    "make a variant": {
        "new-variant": Program("new_variant", "write a variant that is its baseline until you edit it", False),
    },
}
PROGRAMS = {name: program for group in GROUPS.values() for name, program in group.items()}
EXAMPLES = ("hf-variants show conv_vs_gpt", "hf-variants train --config minbert_pydoc --output_dir runs/minbert")


def help_text() -> str:
    """What `hf-variants --help` prints."""
    lines = ["usage: hf-variants COMMAND … (--help says more of each; --version)"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<18} {program.about}" for name, program in group.items())]
    return "\n".join([*lines, "", "examples:", *(f"  {example}" for example in EXAMPLES)])


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process."""
    open_package()
    programs = importlib.import_module(f"{PACKAGE}.experiments.recipes.programs")
    programs.one_line_errors(answer)(*(sys.argv[1:] if argv is None else argv))


def answer(name: str = "--help", *given: str) -> int:
    """What was asked for; returns the exit code."""
    if name in ("-h", "--help", "help"):
        print(help_text())
    elif name == "--version":
        print(importlib.metadata.version(PACKAGE))
    elif name in PROGRAMS:
        run(name, [*PROGRAMS[name].first, *given])
    else:
        near = difflib.get_close_matches(name, PROGRAMS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(PROGRAMS)}"
        print(f"error: command line: '{name}'; {hint}", file=sys.stderr)
        return 2
    return 0


def run(name: str, arguments: list[str]) -> None:
    """Runs a program."""
    sys.argv = [f"hf-variants {name}", *arguments]  # what argparse calls the program
    start(PROGRAMS[name], arguments)


def start(program: Program, arguments: list[str]) -> None:
    """Reads the flags, loads models where they are needed, and only then does the work."""
    module = importlib.import_module(f"{PACKAGE}.training.{program.module}")
    if program.needs_models:
        module.parse_arguments(arguments)
        load_package()
    module.main(arguments)
