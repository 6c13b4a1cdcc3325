#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Uploads an exported folder to the Hub in one commit, downloads it again and compares.

The token comes from the environment (HF_TOKEN) or `hf auth login`. First the folder is checked, and loaded in a fresh
process that lacks this package. With --dry_run nothing is sent. Published again, an unchanged folder changes nothing.

With --all every arm that comparisons exported goes to a repository NAMESPACE/COMPARISON-ARM. It stops at the first
folder that fails, and the same command then goes on.
"""

import argparse
from pathlib import Path
from typing import Any

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors

EXAMPLES = (
    "hf-variants publish --model_dir runs/demo/models/highway --repo_id user/name --dry_run",
    "hf-variants publish --all runs --namespace user --dry_run",
)
EXPORTED = ("*/models/*/config.json", "*/*/models/*/config.json")  # of a comparison, and of a cell of one


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--model_dir", type=Path, help="exported folder, or adapter saved by PEFT")
    parser.add_argument("--repo_id", help="repository, as user/name; created if it is missing")
    parser.add_argument("--all", type=Path, metavar="RUNS", help="instead: every */models/* under this folder")
    parser.add_argument("--namespace", help="with --all: user or organisation that the repositories belong to")
    parser.add_argument("--private", action="store_true", help="create the repository as a private one")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--create_pr", action="store_true", help="propose the commit as a pull request")
    where.add_argument("--branch", help="commit to this branch instead of main; created if it is missing")
    parser.add_argument("--collection", help="add the repository to a collection: its title (of yours), or owner/slug")
    parser.add_argument("--dry_run", action="store_true", help="only check, and show what would be sent and the card")
    return parser.parse_args(argv)


def wanted(options: argparse.Namespace) -> dict[str, Path]:
    """The folders to publish, by the id of their repository. Raises InputError where they are not said, or none."""
    if options.all is None:
        if options.model_dir is None or options.repo_id is None or options.namespace is not None:
            raise InputError("give --model_dir and --repo_id, or --all and --namespace")
        return {options.repo_id: options.model_dir}
    if options.model_dir is not None or options.repo_id is not None or not (options.namespace or "").strip():
        raise InputError(
            "--all: give --namespace as well (make publish NAMESPACE=your-name), and nothing of one folder"
        )
    found = sorted(path.parent for pattern in EXPORTED for path in options.all.glob(pattern))
    if not found:
        raise InputError(f"{options.all}: no exported model; `make models`, or compare.py, makes */models/*")
    parts = {path: [part for part in path.relative_to(options.all).parts if part != "models"] for path in found}
    return {f"{options.namespace}/{'-'.join(names)}": path for path, names in parts.items()}


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    from hf_variants.hub.publishing import Destination

    places = ("private", "create_pr", "branch", "collection")
    chosen = {name: getattr(options, name) for name in places}
    folders = {Destination(repo_id, **chosen): folder for repo_id, folder in wanted(options).items()}
    for destination, folder in folders.items():
        if options.all is not None:
            print(f"== {folder}: {destination.repo_id}", flush=True)
        send(folder, destination, options.dry_run)


def send(folder: Path, destination: Any, dry_run: bool) -> None:
    """Checks a folder, and publishes or only shows it."""
    from hf_variants.experiments.reports.cards import validate_card
    from hf_variants.hub.publishing import check, publish, snippet

    found = check(folder, validate_card)
    if dry_run:
        preview(folder, destination)
        return
    done = publish(folder, destination)
    print(f"published: {done.url}" if done.new else f"nothing changed since {done.url}")
    print(f"downloaded again and compared; it loads with\n\n{snippet(found, done.repo_id, done.commit)}")


def preview(folder: Path, destination: Any) -> None:
    """Prints the files that would be sent, the card, and where they would go."""
    from hf_variants.hub.export import folder_files

    for name, size in folder_files(folder):
        print(f"{size:>12,}  {name}")
    print(f"\n{(folder / 'README.md').read_text(encoding='utf-8').rstrip()}\n")
    how = "as a pull request" if destination.create_pr else f"to {destination.revision}"
    print(f"would go to {destination.repo_id} in one commit, {how}")


if __name__ == "__main__":
    main()
