#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Uploads an exported folder to the Hub in one commit, downloads it again and compares.

    python training/publish.py --model_dir runs/demo/models/highway --repo_id user/name --dry_run

The token comes from the environment (HF_TOKEN) or `hf auth login`. First the folder is checked, and loaded in a fresh
process that lacks this package. With --dry_run nothing is sent. Published again, an unchanged folder changes nothing.
"""

import argparse
from pathlib import Path
from typing import Any

from hf_variants.experiments.arguments import OneLineParser, one_line_errors


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True, type=Path, help="exported folder, or adapter saved by PEFT")
    parser.add_argument("--repo_id", required=True, help="repository, as user/name; created if it is missing")
    parser.add_argument("--private", action="store_true", help="create the repository as a private one")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--create_pr", action="store_true", help="propose the commit as a pull request")
    where.add_argument("--branch", help="commit to this branch instead of main; created if it is missing")
    parser.add_argument("--collection", help="add the repository to a collection: its title (of yours), or owner/slug")
    parser.add_argument("--dry_run", action="store_true", help="only check, and show what would be sent and the card")
    return parser.parse_args(argv)


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    from hf_variants.experiments.cards import validate_card
    from hf_variants.experiments.publishing import Destination, check, publish, snippet

    places = ("repo_id", "private", "create_pr", "branch", "collection")
    destination = Destination(**{name: getattr(options, name) for name in places})
    found = check(options.model_dir, validate_card)
    if options.dry_run:
        preview(options.model_dir, destination)
        return
    done = publish(options.model_dir, destination)
    print(f"published: {done.url}" if done.new else f"nothing changed since {done.url}")
    print(f"downloaded again and compared; it loads with\n\n{snippet(found, done.repo_id, done.commit)}")


def preview(folder: Path, destination: Any) -> None:
    """Prints the files that would be sent, the card, and where they would go."""
    from hf_variants.export import folder_files

    for name, size in folder_files(folder):
        print(f"{size:>12,}  {name}")
    print(f"\n{(folder / 'README.md').read_text(encoding='utf-8').rstrip()}\n")
    how = "as a pull request" if destination.create_pr else f"to {destination.revision}"
    print(f"would go to {destination.repo_id} in one commit, {how}")


if __name__ == "__main__":
    main()
