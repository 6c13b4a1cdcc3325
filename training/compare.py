#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Trains several arms over several seeds under one budget, and says what the difference is worth.

    accelerate launch training/compare.py --config training/comparisons/demo.yaml --output_dir runs/demo

Finished runs leave a record each and are not run again: the same command goes on after an interruption, and several
processes may share the work by --arms and --seeds. Flags of the recipe change the base recipe of all arms.
"""

import argparse
from pathlib import Path

from hf_variants.experiments.arguments import (
    InputError,
    OneLineParser,
    command,
    flags_as_recipe,
    one_line_errors,
    recipe_flags,
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's own options and the recipe's flags."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="comparison file (YAML)")
    parser.add_argument("--output_dir", required=True, type=Path, help="folder of the comparison")
    parser.add_argument("--records", type=Path, help="folder of the records (default: output_dir/records)")
    parser.add_argument("--arms", nargs="+", help="only run these arms")
    parser.add_argument("--seeds", nargs="+", type=int, help="only run these seeds")
    parser.add_argument("--only", choices=("tune", "run", "time", "report"), help="only do this part")
    parser.add_argument(
        "--keep_in", type=Path, help="also copy report, results, plots, cards and records to this folder"
    )
    parser.add_argument("--time_again", action="store_true", help="repeat the timing although it has a record")
    recipe_flags(parser)
    return parser.parse_args(argv)


def selected(given: list | None, known: list, what: str) -> list:
    """What of `known` was asked for. Raises InputError for anything else."""
    for name in given or ():
        if name not in known:
            raise InputError(f"--{what}: '{name}'; allowed: {', '.join(map(str, known))}")
    return [name for name in known if given is None or name in given]


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    import transformers

    from hf_variants.experiments.comparison import Runner, load_comparison

    transformers.utils.logging.disable_progress_bar()  # one line per saved file says nothing
    comparison = load_comparison(options.config, flags_as_recipe(options))
    comparison.command = command("compare.py", options)
    arms = selected(options.arms, list(comparison.arms), "arms")
    seeds = selected(options.seeds, comparison.seeds, "seeds")
    runner = Runner(comparison, options.output_dir, options.records)
    runner.check()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    if options.only in (None, "tune"):
        runner.tune(arms)
    if options.only in (None, "run"):
        runner.run(arms, seeds)
    finish(runner, options)


def finish(runner, options: argparse.Namespace) -> None:
    """Timing, report and export, once every run has its record. One process does it for all."""
    from accelerate import PartialState

    if not PartialState().is_main_process:
        return
    missing = runner.missing()
    if options.only in ("tune", "run") or (missing and options.only is None):
        print(f"{len(missing)} runs are missing: {', '.join(missing)}" if missing else "all runs are finished")
        return
    if options.only in (None, "time"):
        runner.time(again=options.time_again)
    if options.only in (None, "report"):
        results = runner.report()
        runner.export(results)
        if options.keep_in is not None:
            runner.keep(options.keep_in)
        print((options.output_dir / "table.txt").read_text())
        print(f"report: {options.output_dir / 'report.md'}   models: {options.output_dir / 'models'}")


if __name__ == "__main__":
    main()
