#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Times the models against each other and against transformers, after checking that the comparison holds.

    python training/benchmark.py --only minbert_8x128 --rounds 41 --max_seconds 120 --output bench.json
    python training/benchmark.py --curve runs/curve

The two sides of a case take turns in one process. A ratio is the median over rounds of ours / reference, with the 95 %
interval of that median; it is `over` where the whole interval lies above the target. Being over fails nothing, since
time depends on the machine; two sides that compute different things, or of unlike size, end in exit code 1.

--curve measures the decoders' training speed and peak memory over the context length instead.

A new case is a function with `@case` in hf_variants/experiments/benchmark_*.py.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_variants.experiments import (  # noqa: F401 they register their cases
    benchmark_classification,
    benchmark_decoders,
    benchmark_encoders,
    benchmark_growth,
    benchmark_similarities,
)
from hf_variants.experiments.arguments import InputError, OneLineParser, check_range, one_line_errors
from hf_variants.experiments.benchmarking import CASES, MAX_SECONDS, DifferentError, measure, table
from hf_variants.experiments.record import environment, write_json


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these cases (default: all)")
    parser.add_argument("--rounds", type=int, default=21, help="measurements of each side (default: 21)")
    parser.add_argument(
        "--max_seconds",
        type=float,
        default=MAX_SECONDS,
        help=f"no further round of a case begins after so long, but for the first 3 (default: {MAX_SECONDS:g})",
    )
    parser.add_argument("--output", type=Path, help="also write the results to this JSON file")
    parser.add_argument(
        "--curve", type=Path, metavar="FOLDER", help="write context_curve.json and .png there, and time no case"
    )
    options = parser.parse_args(argv)
    check_range("--rounds", options.rounds, low=1)
    check_range("--max_seconds", options.max_seconds, low=0)
    for name in options.only or ():
        if name not in CASES:
            raise InputError(f"--only: '{name}'; allowed: {', '.join(CASES)}")
    if options.curve and (options.only or options.output):
        raise InputError("--curve: it times no case; allowed with it: --rounds, --max_seconds")
    return options


def run(names: Sequence[str], rounds: int, max_seconds: float) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Measured cases, and what was wrong with those whose check failed."""
    results, different = [], {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            results.append(measure(CASES[name], rounds, max_seconds))
        except DifferentError as error:
            different[name] = str(error)
    return results, different


def run_curve(about: dict[str, Any], options: argparse.Namespace) -> None:
    """Measures, prints, writes and draws the curve over the context length."""
    options.curve.mkdir(parents=True, exist_ok=True)
    curve = benchmark_decoders.measure_curve(options.rounds, options.max_seconds)
    print(benchmark_decoders.curve_text(curve))
    path = options.curve / benchmark_decoders.CURVE
    write_json(path.with_suffix(".json"), {"environment": about, **curve})
    benchmark_decoders.plot_curve(curve, path.with_suffix(".png"))


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the program."""
    options = parse_arguments(argv)
    if options.list:
        print("\n".join(CASES))
        return 0
    about = environment() | {"load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}
    print("\n".join(f"{name}: {value}" for name, value in about.items()) + "\n")
    if options.curve:
        run_curve(about, options)
        return 0
    results, different = run(options.only or list(CASES), options.rounds, options.max_seconds)
    print(table(results))
    if options.output:
        content = {"environment": about, "rounds": options.rounds, "cases": results, "different": different}
        write_json(options.output, content)
    for name, problem in different.items():
        print(f"error: {name}: the two sides can't be compared: {problem}", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    main()
