#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Counts how often a key within the hull of others is the one that a query attends to most, for each similarity.

The argument for other similarities than the dot product, as a table and a plot: convex_hull.json and .png.
"""

import argparse
from pathlib import Path

from hf_variants.experiments.checking import Range
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors

EXAMPLES = (
    "hf-variants convex-hull --output_dir runs/convex_hull",
    "hf-variants convex-hull --output_dir runs/convex_hull --queries 1000 --seed 1",
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--output_dir", required=True, type=Path, help="folder for convex_hull.json and .png")
    parser.add_number("--queries", int, Range(100), "random queries per size", 20_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of keys and queries (default: 0)")
    return parser.parse_args(argv)


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    from hf_variants.experiments.analysis.convex_hull import SIMILARITIES, count_inner_choices, plot_convex_hull
    from hf_variants.experiments.files import claim_file, write_json
    from hf_variants.experiments.tables import aligned_table

    path = options.output_dir / "convex_hull.json"
    claim_file(path, ("counts", "outer_keys"), "convex_hull.png")
    found = count_inner_choices(queries=options.queries, seed=options.seed)
    rows = [[str(row["size"]), *(f"{row[name]:,}" for name in SIMILARITIES)] for row in found["counts"]]
    print(f"queries of {found['queries']:,} that choose the key within the hull of {found['outer_keys']} others:")
    print(aligned_table(("size", *SIMILARITIES), rows))
    write_json(path, found)
    for file in (path, plot_convex_hull(found, path.with_suffix(".png"))):
        print(file)


if __name__ == "__main__":
    main()
