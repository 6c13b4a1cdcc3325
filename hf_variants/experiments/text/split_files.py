# Copyright 2026 The hf_variants authors. MIT licence.
"""Which files of a folder, or splits of a Hub data set, are train, validation and test.

Nothing is passed over in silence: two sources of one split are refused, and so is a file called like a split that
cannot be read, for what is missing would be cut from train. What else looks like data is named on stderr.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..checking import InputError
from ..notes import note
from .files import SUFFIXES

SPLITS = ("train", "validation", "test")
NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
LABELS = "labels.txt"  # of a folder: the names of its labels
# endings of files that hold data, or may hold it once they are unpacked
DATA = (".txt", ".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".feather", ".xls", ".xlsx",
        ".pkl", ".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".tgz")  # fmt: skip
SHOWN = 5  # names of a longer list that messages show

_SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}
_LIKE = re.compile(f"({'|'.join(_SPLIT_OF)})[_.]")
_SHARD = re.compile(f"({'|'.join(_SPLIT_OF)})-")


def choose_splits(names: Iterable[tuple[str, str]], where: str, advice: str) -> dict[str, str]:
    """By split the one of several sources that it is read from; each is given by its name and by what to call it.

    `dev`, `val` and `valid` are validation. Where that or test is missing, `validation_matched` and the like stand for
    it (as MNLI has them). Raises InputError where two sources are the same split, and where a split is missing that
    has sources with names like it.
    """
    found: dict[str, str] = {}
    like: dict[str, list[tuple[str, str]]] = {}
    for name, called in names:
        if name in _SPLIT_OF:
            split = _SPLIT_OF[name]
            if split in found:
                raise InputError(f"{where}: {found[split]} and {called} are both the {split} split; keep one of them")
            found[split] = called
        elif match := _LIKE.match(name):
            like.setdefault(_SPLIT_OF[match[1]], []).append((name, called))
    for split in (name for name in ("validation", "test") if name in like and name not in found):
        matched = [called for name, called in like[split] if name.endswith("_matched")]
        if len(matched) != 1:
            raise InputError(f"{where}: has {_some([called for _, called in like[split]])}, and no {split}; {advice}")
        found[split] = matched[0]
    return found


def named_splits(have: Sequence[str], name: str) -> dict[str, str]:
    """What the Hub data set `name` calls train, validation and test, as far as it has them. Others are named."""
    where = f"data: {name}"
    found = choose_splits([(split, split) for split in have], where, "read it from a folder with files of these names")
    _note_left_over(where, [split for split in have if split not in found.values()], "splits")
    return {split: found[split] for split in SPLITS if split in found}


# ---- a folder ------------------------------------------------------------------------------------------------------


def split_shards(path: Path) -> dict[str, list[Path]]:
    """The files of each split: one called `train.jsonl`, or all called `train-….jsonl` or `train/….jsonl`, sorted.

    A file is train alone. Raises InputError where there is none, or it is not clear what they are.
    """
    if path.is_file():
        return {"train": [path]}
    folder = _Folder(path)
    chosen = folder.chosen()
    if not chosen:
        raise InputError(
            f"data.dataset: {path}: no file named {' or '.join(SPLITS)} with one of {', '.join(SUFFIXES)}"
        )
    return chosen


def split_files(path: Path) -> dict[str, Path]:
    """The file of each split of a folder, or `train` alone for a file. Raises InputError as `split_shards` does."""
    found = split_shards(path)
    for split, files in found.items():
        if len(files) > 1:
            several = f"{len(files)} files ({_some([file.name for file in files])})"
            raise InputError(
                f"data.dataset: {path}: the {split} split lies in {several}; labelled data has one file for each split"
            )
    return {split: files[0] for split, files in found.items()}


@dataclass
class _Folder:
    """What lies in a folder of data, looked at once."""

    path: Path
    names: list[tuple[str, str]] = field(default_factory=list)  # of files that are a split, or called like one
    shards: dict[str, list[Path]] = field(default_factory=dict)  # by the name that they begin with
    unread: list[str] = field(default_factory=list)  # called like a split, with an ending that is not read
    others: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for entry in sorted(self.path.iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                self._look_into(entry)
            elif _holds_data(entry) and entry.name != LABELS:
                self._look_at(entry)
        for name, files in self.shards.items():
            self.names.append((name, str(min(files).relative_to(self.path))))

    def _look_at(self, file: Path) -> None:
        stem, is_read = _stem(file)
        shard = _SHARD.match(stem)
        if not is_read and (stem in _SPLIT_OF or shard):
            self.unread.append(file.name)
        elif shard:
            self.shards.setdefault(shard[1], []).append(file)
        elif stem in _SPLIT_OF or (is_read and _LIKE.match(stem)):
            self.names.append((stem, file.name))
        else:
            self.others.append(file.name)

    def _look_into(self, folder: Path) -> None:
        inside = [file for file in sorted(folder.iterdir()) if file.is_file() and _holds_data(file)]
        if folder.name in _SPLIT_OF:
            self.shards.setdefault(folder.name, []).extend(file for file in inside if _stem(file)[1])
            self.unread += [f"{folder.name}/{file.name}" for file in inside if not _stem(file)[1]]
            if not self.shards[folder.name]:
                del self.shards[folder.name]
        elif inside:
            self.others.append(f"{folder.name}/")

    def chosen(self) -> dict[str, list[Path]]:
        """The files of each split. Raises InputError where it is not clear which they are."""
        where = f"data.dataset: {self.path}"
        if self.unread:
            kinds = ", ".join(SUFFIXES)
            raise InputError(
                f"{where}: {_some(self.unread)}: no such file is read; allowed: {kinds} (or move it away)"
            )
        found = choose_splits(self.names, where, "rename the one that is meant, and move the others")
        left = [called for _, called in self.names if called not in found.values()] + self.others
        _note_left_over(where, left, "files")
        called = {str(min(files).relative_to(self.path)): sorted(files) for files in self.shards.values()}
        return {split: called.get(found[split], [self.path / found[split]]) for split in SPLITS if split in found}


def _holds_data(file: Path) -> bool:
    return file.name.endswith(DATA)


def _stem(file: Path) -> tuple[str, bool]:
    """A file's name without its ending, and whether this is one that is read."""
    ending = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if file.name.endswith(s)), None)
    return (file.name.split(".")[0], False) if ending is None else (file.name.removesuffix(ending), True)


def _note_left_over(where: str, names: Sequence[str], what: str) -> None:
    if names:
        known = ", ".join(name for split in NAMES.values() for name in split)
        note(f"{where}: {_some(names)}: not read; the {what} that are read are called {known}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
