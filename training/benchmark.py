#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Times the models against each other and against transformers, after checking that the comparison holds.

The two sides of a case take turns in one process. A ratio is the median over rounds of ours / reference, with the 95 %
interval of that median (the range of fewer than six rounds); it is `over` where all of that lies above the target.
Being over fails nothing, since time depends on the machine; two sides that compute different things, or of unlike
size, end in exit code 1.

--base REV times our side of every case against our side at another commit, in two processes that take turns; both
check the case before, and have to compute the same. That commit is checked out as a git worktree, for that long.

--markdown puts the table between the lines <!-- benchmark --> and <!-- /benchmark --> of a document.

--curve measures the decoders' training speed and peak memory over the context length instead.

A new case is a function with `@case` in a file of hf_variants/experiments/benchmarks/cases/; nothing else names it.
"""

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hf_variants.experiments.checking import InputError, Range
from hf_variants.experiments.files import claim_file, read_json, write_json
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors

EXAMPLES = (
    "hf-variants benchmark --only minbert_8x128 --rounds 41 --max_seconds 120 --output bench.json",
    "hf-variants benchmark --curve runs/curve",
)
RESULTS = ("environment", "cases", "different")  # of --output


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these cases (default: all)")
    parser.add_number("--rounds", int, Range(1), "measurements of each side", 21)
    limit = "no further round of a case begins after so long, but for the first 3 (default: 15 minutes for all cases)"
    parser.add_number("--max_seconds", float, Range(0), limit)
    parser.add_argument("--base", metavar="REV", help="compare our sides with those at this commit, branch or tag")
    parser.add_argument("--output", type=Path, help="also write the results to this JSON file")
    parser.add_argument("--input", type=Path, metavar="JSON", help="take the results from there, and time nothing")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into this document")
    parser.add_argument(
        "--curve", type=Path, metavar="FOLDER", help="write context_curve.json and .png there, and time no case"
    )
    options = parser.parse_args(argv)
    check_together(options)
    if options.output:
        claim_file(options.output, RESULTS)
    return options


def check(options: argparse.Namespace, cases: Sequence[str]) -> None:
    """Raises InputError for what would go wrong only after all has been timed, and for unknown cases."""
    from hf_variants.experiments.reports.benchmark import MARK
    from hf_variants.experiments.reports.marked import check_marks

    for name in options.only or ():
        if name not in cases:
            raise InputError(f"--only: '{name}'; allowed: {', '.join(cases)}")
    if options.markdown:
        check_marks(options.markdown, MARK)


def check_together(options: argparse.Namespace) -> None:
    """Raises InputError for options that exclude each other."""
    if options.curve and (options.only or options.output or options.base or options.input or options.markdown):
        raise InputError("--curve: it times no case; allowed with it: --rounds, --max_seconds")
    if options.input and (options.only or options.output or options.base):
        raise InputError("--input: nothing is timed; allowed with it: --markdown")


Measure = Callable[[str], dict[str, Any]]


def run(names: Sequence[str], measure_case: Measure) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, str]]:
    """Measured cases, what was wrong with those whose check failed, and which one of two commits does not have."""
    from hf_variants.experiments.benchmarks.revisions import MissingCaseError
    from hf_variants.experiments.benchmarks.suite import DifferentError, with_cost

    results: list[dict[str, Any]] = []
    different: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, end=" ", flush=True)
        try:
            results.append(with_cost(lambda name=name: measure_case(name)))
            print("{seconds:.1f} s ({cpu_seconds:.1f} s CPU)".format(**results[-1]), file=sys.stderr, flush=True)
        except MissingCaseError as error:
            missing[name] = str(error)
            print(f"left out: {error}", file=sys.stderr)
        except DifferentError as error:
            different[name] = str(error)
            print("failed", file=sys.stderr)
    total = [sum(result[key] for result in results) for key in ("seconds", "cpu_seconds")]
    print("all: {:.0f} s ({:.0f} s CPU)".format(*total), file=sys.stderr)
    return results, different, missing


def run_cases(about: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The content of the JSON file: what was measured, against other sides or another commit."""
    from hf_variants.experiments.benchmarks.revisions import measure_against, worktree
    from hf_variants.experiments.benchmarks.suite import CASES, measure

    rounds, max_seconds, base = options.rounds, options.max_seconds, options.base
    with ExitStack() as stack:
        if base is None:
            found = run(options.only or list(CASES), lambda name: measure(CASES[name], rounds, max_seconds))
        else:
            tree = stack.enter_context(worktree(base))
            found = run(options.only or list(CASES), lambda n: measure_against(tree, base, n, rounds, max_seconds))
    results, different, missing = found
    content = {"environment": about, "rounds": rounds, "cases": results, "different": different}
    return content if base is None else content | {"base": base, "missing": missing}


def run_curve(about: dict[str, Any], options: argparse.Namespace) -> None:
    """Measures, prints, writes and draws the curve over the context length."""
    from hf_variants.experiments.benchmarks import context_curve

    path = options.curve / f"{context_curve.CURVE}.json"
    claim_file(path, ("environment",), f"{context_curve.CURVE}.png")
    options.curve.mkdir(parents=True, exist_ok=True)
    curve = context_curve.measure_curve(options.rounds, options.max_seconds)
    print(context_curve.curve_text(curve))
    write_json(path, {"environment": about, **curve})
    context_curve.plot_curve(curve, path.with_suffix(".png"))


def about_this_run() -> dict[str, Any]:
    """The header of all results: when, on what, with which versions and commit (marked where files differ from it)."""
    from hf_variants.experiments.machine.environment import environment, load_average

    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {"date": now} | environment() | {"load_average": load_average()}


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the program."""
    options = parse_arguments(argv)
    from hf_variants.experiments.benchmarks.suite import MAX_SECONDS, load_cases
    from hf_variants.experiments.reports.benchmark import MARK, markdown, table
    from hf_variants.experiments.reports.marked import put_between_marks

    cases = load_cases()
    if options.list:
        print("\n".join(cases))
        return 0
    check(options, list(cases))
    options.max_seconds = MAX_SECONDS if options.max_seconds is None else options.max_seconds
    content = read_results(options.input) if options.input else {"environment": about_this_run()}
    about = content["environment"]
    print("\n".join(f"{name}: {value}" for name, value in about.items()) + "\n")
    if options.curve:
        run_curve(about, options)
        return 0
    content = content if options.input else run_cases(about, options)
    print(table(content["cases"]))
    if options.output:
        write_json(options.output, content)
    if options.markdown:
        put_between_marks(options.markdown, MARK, markdown(content))
    for name, problem in content["different"].items():
        print(f"error: {name}: the two sides can't be compared: {problem}", file=sys.stderr)
    return 1 if content["different"] else 0


def read_results(path: Path) -> dict[str, Any]:
    """The content of a file that --output wrote. Raises InputError where it is none."""
    content = read_json(path)
    if not isinstance(content, dict) or not set(RESULTS) <= content.keys():
        raise InputError(f"{path}: holds no results of this program's --output")
    return content


if __name__ == "__main__":
    main()
