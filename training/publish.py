#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Uploads an exported folder to the Hub in one commit.

    python training/publish.py --model_dir runs/demo/models/highway --repo_id user/name --dry_run

The token comes from the environment (HF_TOKEN) or `hf auth login`. With --dry_run nothing is sent.
"""

import argparse
from pathlib import Path

from hf_variants.experiments.arguments import InputError, OneLineParser, one_line_errors


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True, type=Path, help="exported folder")
    parser.add_argument("--repo_id", required=True, help="repository, as user/name")
    parser.add_argument("--private", action="store_true", help="create the repository as a private one")
    parser.add_argument("--dry_run", action="store_true", help="only list what would be sent")
    options = parser.parse_args(argv)
    from hf_variants.export import ExportError, check_folder, folder_files, upload

    try:
        if options.dry_run:
            check_folder(options.model_dir)
            for name, size in folder_files(options.model_dir):
                print(f"{size:>12,}  {name}")
            print(f"would go to {options.repo_id} in one commit")
        else:
            print(upload(options.model_dir, options.repo_id, options.private))
    except ExportError as error:
        raise InputError(str(error)) from None


if __name__ == "__main__":
    main()
