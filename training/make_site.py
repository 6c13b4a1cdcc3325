#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Makes a static site of everything under model_cards/: the front page, the page of claims, every report and card,
with loss curves to explore; and of the documents of the package.

    python training/make_site.py                 # writes site/; open site/index.html in a browser
    python training/make_site.py --output FOLDER

The pages are those that make_cards.py writes. They need neither a server nor a network: plotly.js lies beside them.
"""

import argparse
from pathlib import Path

from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors

ROOT = Path(__file__).resolve().parents[1]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("site"), help="folder to write, or to replace (site)")
    parser.add_argument("--folder", type=Path, default=ROOT / "model_cards", help="folder of published comparisons")
    return parser.parse_args(argv)


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    from hf_variants.experiments.pages.site import INDEX, build_site

    root = ROOT if options.folder.resolve() == ROOT / "model_cards" else None
    pages = build_site(options.folder, options.output, root)
    print(f"{pages} pages; open {options.output / INDEX} in a browser")


if __name__ == "__main__":
    main()
