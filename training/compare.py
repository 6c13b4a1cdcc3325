#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Trains several arms over several seeds under one budget, and says what the difference is worth.

Finished runs leave a record each and are not run again: the same command goes on after an interruption, and started
more than once it shares the work, on any machines with one file system. Flags of the recipe change the base recipe of
all arms.
A file with cells has a folder per cell, and beside them a report over all of them.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hf_variants.experiments.checking import InputError, Range
from hf_variants.experiments.recipes.flags import command, flags_as_recipe, recipe_flags
from hf_variants.experiments.recipes.programs import OneLineParser, called, one_line_errors
from hf_variants.experiments.recipes.shipped import COMPARISONS, find_file

if TYPE_CHECKING:
    from hf_variants.experiments.comparisons.cells import CellsRunner
    from hf_variants.experiments.comparisons.runner import Runner

PROGRAMS = Path(__file__).parent
LOOK = 2.0  # seconds between two looks at what others do
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
    about = "tune and run in so many processes, which share out what is to be done, the threads and the GPUs"
    parser.add_number("--processes", int, Range(low=1), about)
    parser.add_argument("--status", action="store_true", help="print what is done, and who is at what and how far")
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
    from hf_variants.experiments.comparisons.workers import is_worker

    transformers.utils.logging.disable_progress_bar()  # one line per saved file says nothing
    cells = load_cells(find_file(options.config, PROGRAMS, COMPARISONS), flags_as_recipe(options))
    if options.cells is not None and not cells.are_named:
        raise InputError(f"--cells: {options.config} has no cells")
    cells.set_command(command(called(__package__, "compare"), options))
    names = selected(options.cells, list(cells.cells), "cells")
    arms = selected(options.arms, cells.arms(), "arms")
    seeds = selected(options.seeds, cells.seeds(), "seeds")
    every = CellsRunner(cells, options.output_dir, options.records)
    if options.status:
        print_status(every, names)
        return
    every.check(names)
    every.check_folders(names, options.keep_in)
    every.mark(names)
    tell_skipped([every.runners[name] for name in names])
    if options.processes is None or is_worker():
        work_on_all(every, names, arms, seeds, options.only)
    else:
        share_out(every, names, options, sys.argv[1:] if argv is None else argv)
    if is_main_process() and not is_worker():
        finish_alone(every, names, options)


def print_status(every: "CellsRunner", names: list[str]) -> None:
    """Prints every trial and run, and a summary."""
    from hf_variants.experiments.comparisons.progress import summary, table, units

    found = list(units(every, names))
    print(f"{table(found)}\n\n{summary(found)}")


def share_out(every: "CellsRunner", names: list[str], options: argparse.Namespace, arguments: list[str]) -> None:
    """Has workers do the tuning and training, and shows how far they are."""
    from hf_variants.experiments.comparisons.progress import Display, units
    from hf_variants.experiments.comparisons.workers import run_workers

    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError(f"--processes: {options.processes} in a launch of several processes; allowed: one process")
    display = Display(options.processes)
    program = [sys.executable, str(Path(__file__).resolve()), *arguments]
    if options.only in (None, "tune", "run"):
        folder = options.output_dir / "workers"
        run_workers(program, options.processes, folder, lambda: display.show(list(units(every, names))), LOOK)


def work_on_all(every: "CellsRunner", names: list[str], arms: list[str], seeds: list, only: str | None) -> None:
    """Tuning and training of what no other process is at, again and again until there is nothing to wait for."""
    while not all([work(every, names, name, arms, seeds, only) for name in names]):
        time.sleep(LOOK)


def work(
    every: "CellsRunner", names: list[str], name: str, arms: list[str], seeds: list[int], only: str | None
) -> bool:
    """The same for one cell, once; returns whether nobody else is at any of it."""
    runner = every.runners[name]
    own = runner.comparison
    arms, seeds = [arm for arm in arms if arm in own.arms], [seed for seed in seeds if seed in own.seeds]
    tunes = only is None and (own.tuned_in or name) in names  # what runs need, now or in the next round

    def say(text: str) -> None:
        print(f"{name}: {text}" if name else text)

    is_tuned = runner.tune(arms, say) if only in (None, "tune") else True
    has_run = runner.run(arms, seeds, say, waits=tunes) if only in (None, "run") else True
    return is_tuned and has_run


def finish_alone(every: "CellsRunner", names: list[str], options: argparse.Namespace) -> None:
    """Timing and reports, after any other process that is at them."""
    from hf_variants.experiments.comparisons.leases import leased

    while True:
        with leased(options.output_dir / "report.lease") as mine:
            if mine:
                finish_all(every, names, options)
                return
        time.sleep(LOOK)


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
