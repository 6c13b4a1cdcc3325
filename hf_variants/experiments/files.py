# Copyright 2026 The hf_variants authors. MIT licence.
"""Files and folders that appear under their name only when they are whole, also after a loss of power."""

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .checking import InputError

PARTIAL = ".partial"  # how the name of what is being written, or removed, ends


def put_in_place(partial: Path, final: Path) -> None:
    """Renames a file or folder, once its content has reached the disk."""
    wait_for_disk(partial)
    partial.rename(final)
    _sync(final.parent)


def wait_for_disk(path: Path) -> None:
    """Returns when a file, or a folder with all that is in it, has reached the disk."""
    for inner in [path, *path.rglob("*")] if path.is_dir() else [path]:
        _sync(inner)


def remove_folder(folder: Path) -> None:
    """Removes a folder, if there is one. Killed half-way it leaves none with that name; call it again for the rest."""
    leaving = folder.with_name(f"{folder.name}.removed{PARTIAL}")
    shutil.rmtree(leaving, ignore_errors=True)
    if folder.exists():
        folder.rename(leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON under a temporary name and renames it, so that readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # of its own: processes may write the same file
    partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    put_in_place(partial, path)


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises InputError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def held(folder: Path, patterns: Sequence[str]) -> list[str]:
    """What `folder` has of these names: files, and folders that are not empty."""
    found = dict.fromkeys(path for pattern in patterns for path in sorted(folder.glob(pattern)))
    return [path.name for path in found if not path.is_dir() or any(path.iterdir())]


def claim_file(path: Path, keys: Sequence[str], *others: str) -> None:
    """Raises InputError unless what lies where `path` and `others` beside it will be written is of this program.

    Its proof is the JSON object in `path`, which has these keys. `others` are names, or patterns of them.
    """
    found = held(path.parent, (path.name, *others))
    if not found:
        return
    content = None
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not set(keys) <= content.keys():
        raise InputError(
            f"{path.parent}: holds {', '.join(found[:5])}, and no {path.name} of this program that says they are its "
            "own; move them away, or write to another place"
        )
