#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Makes everything generated under model_cards/ again from the committed records: results, reports, cards, figures,
the front page and the page of claims.

    python training/make_cards.py            # writes what changed
    python training/make_cards.py --check    # writes nothing; names what differs and exits with code 1

The generated parts of the documents (README.md and those beside what they speak of) belong to it.
Neither data nor trained weights nor a network are needed. A comparison belongs to it once its results.json is there,
which `compare.py --keep_in model_cards/NAME` copies.
"""

import argparse
import sys
from pathlib import Path

from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors

ROOT = Path(__file__).resolve().parents[1]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__)
    parser.add_argument("--check", action="store_true", help="only compare, and exit with code 1 where files differ")
    parser.add_argument("--list", action="store_true", help="only print the comparison files that are published")
    parser.add_argument("--folder", type=Path, default=ROOT / "model_cards", help="folder of published comparisons")
    parser.add_argument(
        "--comparisons", type=Path, default=ROOT / "training" / "comparisons", help="folder of comparison files"
    )
    parser.add_argument(
        "--documents",
        type=Path,
        help="root of the clone whose documents have generated parts (default: this one, for its own folder alone)",
    )
    options = parser.parse_args(argv)
    if options.documents is None and options.folder.resolve() == ROOT / "model_cards":
        options.documents = ROOT
    return options


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    from hf_variants.experiments.pages.documents import document_differences, generated_parts, write_documents
    from hf_variants.experiments.pages.model_cards import differences, entries, write

    every = entries(options.folder, options.comparisons)
    root = options.documents
    if options.list:
        print("\n".join(entry.path.stem for entry in every if entry.published))
        return
    if options.check:
        found = differences(options.folder, options.comparisons)
        found += [] if root is None else document_differences(root, generated_parts(root, options.folder, every))
        if found:
            print("\n".join(found))
            sys.exit(f"{len(found)} files are not what the records in {options.folder} give; run `make cards`")
        print(f"everything under {options.folder} is what the records give")
        return
    changed, stale = write(options.folder, options.comparisons)
    changed += [] if root is None else write_documents(root, generated_parts(root, options.folder, every))
    print("\n".join(changed) or "nothing changed")
    for name in stale:
        print(f"{name}: nothing makes it any more; delete it, unless it is yours")


if __name__ == "__main__":
    main()
