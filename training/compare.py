#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Trains several arms over several seeds under one budget, and says what the difference is worth.

Finished runs leave a record each and are not run again: the same command goes on after an interruption, and several
processes may share the work by --cells, --arms and --seeds. Flags of the recipe change the base recipe of all arms.
A file with cells has a folder per cell, and beside them a report over all of them.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.flags import command, flags_as_recipe, recipe_flags
from hf_variants.experiments.recipes.programs import OneLineParser, called, one_line_errors
from hf_variants.experiments.recipes.shipped import COMPARISONS, find_file

if TYPE_CHECKING:
    from hf_variants.experiments.comparisons.cells import CellsRunner
    from hf_variants.experiments.comparisons.runner import Runner

PROGRAMS = Path(__file__).parent
USAGE = "%(prog)s [-h] --config COMPARISON --output_dir FOLDER [--FIELD VALUE …]"
EXAMPLES = (
    "hf-variants compare --config demo --output_dir runs/demo",
    "accelerate launch -m hf_variants.training.compare --config demo --output_dir runs/demo",
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's own options and the recipe's flags."""
    parser = OneLineParser(__doc__, EXAMPLES, usage=USAGE)
    parser.add_argument("--config", required=True, help="comparison: a YAML file, or a name of `hf-variants recipes`")
    parser.add_argument("--output_dir", required=True, type=Path, help="folder of the comparison")
    parser.add_argument("--records", type=Path, help="folder of the records (default: output_dir/records)")
    parser.add_argument("--cells", nargs="+", help="only run these cells (of a file that has some)")
    parser.add_argument("--arms", nargs="+", help="only run these arms")
    parser.add_argument("--seeds", nargs="+", type=int, help="only run these seeds")
    parser.add_argument("--only", choices=("tune", "run", "time", "report"), help="only do this part")
    parser.add_argument(
        "--keep_in", type=Path, help="also copy report, results, plots, cards and records to this folder"
    )
    parser.add_argument("--time_again", action="store_true", help="repeat the timing although it has a record")
    recipe_flags(parser)
    options = parser.parse_args(argv)
    find_file(options.config, PROGRAMS, COMPARISONS)
    return options


def selected(given: list | None, known: list, what: str) -> list:
    """What of `known` was asked for. Raises InputError for anything else."""
    for name in given or ():
        if name not in known:
            raise InputError(f"--{what}: '{name}'; allowed: {', '.join(map(str, known))}")
    return [name for name in known if given is None or name in given]


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program: every run of the selected cells first, then timing and reports in peace."""
    options = parse_arguments(argv)
    import transformers

    from hf_variants.experiments.comparisons.cells import CellsRunner, load_cells

    transformers.utils.logging.disable_progress_bar()  # one line per saved file says nothing
    cells = load_cells(find_file(options.config, PROGRAMS, COMPARISONS), flags_as_recipe(options))
    if options.cells is not None and not cells.are_named:
        raise InputError(f"--cells: {options.config} has no cells")
    cells.set_command(command(called(__package__, "compare"), options))
    names = selected(options.cells, list(cells.cells), "cells")
    arms = selected(options.arms, cells.arms(), "arms")
    seeds = selected(options.seeds, cells.seeds(), "seeds")
    every = CellsRunner(cells, options.output_dir, options.records)
    every.check(names)
    every.check_folders(names, options.keep_in)
    every.mark(names)
    tell_skipped([every.runners[name] for name in names])
    for name in names:
        runner = every.runners[name]
        own = runner.comparison
        if name:
            print(f"cell {name}")
        work(runner, [a for a in arms if a in own.arms], [s for s in seeds if s in own.seeds], options.only)
    if is_main_process():
        finish_all(every, names, options)


def finish_all(every: "CellsRunner", names: list[str], options: argparse.Namespace) -> None:
    """Timing and reports of the selected cells, then of all of them together."""
    done = [name for name in names if finish_cell(every, name, options)]
    if every.cells.are_named:
        if options.only not in (None, "report"):
            return
        every.report()
        if options.keep_in is not None:
            every.keep(options.keep_in)
        print()
    elif not done:
        return
    print((options.output_dir / "table.txt").read_text())
    models = "" if every.cells.are_named else f"   models: {options.output_dir / 'models'}"
    print(f"report: {options.output_dir / 'report.md'}{models}")


def finish_cell(every: "CellsRunner", name: str, options: argparse.Namespace) -> bool:
    """The same for one of them; returns whether there is a report."""
    if name:
        print(f"cell {name}: ", end="")
    if options.only == "report" and not every.can_report(name):
        print("no run of the baseline is finished")
        return False
    if not finish(every.runners[name], options):
        return False
    if name:
        print(f"report: {options.output_dir / name / 'report.md'}")
    if options.keep_in is not None:
        every.keep_cell(name, options.keep_in)
    return True


def tell_skipped(runners: list["Runner"]) -> None:
    """Prints which bad rows of the data were left out."""
    if is_main_process():
        for line in dict.fromkeys(line for runner in runners for line in runner.skipped()):
            print(line)


def work(runner: "Runner", arms: list[str], seeds: list[int], only: str | None) -> None:
    """Tuning and training."""
    if only in (None, "tune"):
        runner.tune(arms)
    if only in (None, "run"):
        runner.run(arms, seeds)


def is_main_process() -> bool:
    """Whether this process is the one that times and reports for all."""
    from accelerate import PartialState

    return PartialState().is_main_process


def finish(runner: "Runner", options: argparse.Namespace) -> bool:
    """Timing, report and export, once every run has its record; returns whether there is a report."""
    missing = runner.missing()
    if options.only in ("tune", "run") or (missing and options.only is None):
        print(f"{len(missing)} runs are missing: {', '.join(missing)}" if missing else "all runs are finished")
        return False
    if options.only in (None, "report"):
        runner.write_floor()
    if options.only in (None, "time"):
        runner.time(again=options.time_again)
    if options.only in (None, "report"):
        runner.export(runner.report())
    return options.only != "time"


if __name__ == "__main__":
    main()
