# Copyright 2026 The hf_variants authors. MIT licence.
"""Files and folders that appear under their name only when they are whole, also after a loss of power."""

import os
import shutil
from pathlib import Path

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
