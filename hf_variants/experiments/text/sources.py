# Copyright 2026 The hf_variants authors. MIT licence.
"""Where a name leads: a file, a folder, a pattern, a URL with its digest, an installed package, the Hub."""

import glob
import hashlib
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..checking import InputError
from ..recipes.sections import DataArguments
from .files import ROW, Row, Rows, read_rows, require_columns
from .split_files import named_splits, split_shards

PACKAGE = "package:"  # before the name of a Python package that holds a model


def find_local(name: str) -> Path | None:
    """The file or folder that is called so, here or in the folder HF_VARIANTS_DATA."""
    root = os.environ.get("HF_VARIANTS_DATA")
    places = [Path(name)] + ([Path(root) / name] if root else [])
    return next((place for place in places if name and place.exists()), None)


def find_model(name: str) -> str:
    """A folder or Hub name as it is; of `package:NAME` the folder with config.json in that installed Python package.

    Raises InputError where no such package is installed, or it holds no model.
    """
    if not name.startswith(PACKAGE):
        return name
    package = name.removeprefix(PACKAGE)
    found = find_spec(package) if package.isidentifier() else None
    if found is None or found.origin is None:
        raise InputError(f"{name}: no Python package {package} is installed")
    folders = sorted(path.parent for path in Path(found.origin).parent.rglob("config.json"))
    if not folders:
        raise InputError(f"{name}: the package has no config.json")
    return str(folders[0])


def hub_name(name: str) -> str | None:
    """The name itself where it is a data set of the Hub, None where the text lies elsewhere."""
    is_local = name.startswith("builtin/") or is_url(name) or is_pattern(name) or find_local(name) is not None
    return None if is_local else name


def text_columns(arguments: DataArguments) -> tuple[str, ...]:
    """The columns that a document is made of: that of the text, or those of question and answer."""
    if arguments.question_column is None:
        return (arguments.text_column,)
    return arguments.question_column, arguments.answer_column


def open_rows(arguments: DataArguments, columns: Sequence[str]) -> dict[str, list[Rows]]:
    """The rows of every file or table of each split, from whatever is not built in. A text file is one row.

    Raises InputError where there is no such data, and when rows are read, where there is no such column.
    """
    local = local_files(arguments)
    if local is None:
        return {split: [hub_rows(table, columns, place)] for split, table, place in hub_tables(arguments)}
    return {split: [read_rows(file, columns) for file in files] for split, files in local.items()}


def load_rows(arguments: DataArguments, columns: Sequence[str]) -> dict[str, list[Row]]:
    """The values of `columns` in every row, by split."""
    found = open_rows(arguments, columns)
    return {split: [row for rows in parts for row in rows] for split, parts in found.items()}


def local_files(arguments: DataArguments) -> dict[str, list[Path]] | None:
    """The files of each split of a path, a pattern or a URL, which is fetched; None for a data set of the Hub."""
    name = arguments.dataset
    if is_url(name):
        return {"train": [download(name, arguments.sha256)]}
    local = find_local(name)
    if local is not None:
        return split_shards(local)
    return {"train": matching_files(name)} if is_pattern(name) else None


def is_pattern(name: str) -> bool:
    """Whether `name` stands for the files that match it, such as `crawl/part-*.jsonl.gz`."""
    return find_local(name) is None and not is_url(name) and glob.has_magic(name)


def matching_files(pattern: str) -> list[Path]:
    """The files that match, sorted by name, here or in the folder HF_VARIANTS_DATA; `**` stands for any folders.

    Raises InputError where there is none.
    """
    for root in (None, os.environ.get("HF_VARIANTS_DATA")):
        found = sorted(glob.glob(pattern, root_dir=root, recursive=True)) if root != "" else []
        files = [path for path in (Path(root or "", name) for name in found) if path.is_file()]
        if files:
            return files
    raise InputError(f"data.dataset: {pattern}: no file matches, here or in HF_VARIANTS_DATA")


def is_url(name: str) -> bool:
    """Whether `name` is a web address."""
    return urllib.parse.urlparse(name).scheme in ("http", "https")


def download(url: str, sha256: str | None) -> Path:
    """Fetches a URL once into the cache, under its digest. A URL without a digest is refused."""
    if not sha256:
        raise InputError(f"data.sha256: is missing; a URL ({url}) is only read with the digest that it must have")
    if not re.fullmatch("[0-9a-fA-F]+", sha256):  # it is the name of a folder
        raise InputError(f"data.sha256: '{sha256}'; allowed: 64 hexadecimal digits")
    from huggingface_hub.constants import HF_HOME

    folder = Path(HF_HOME) / "hf_variants" / sha256.lower()
    target = folder / Path(urllib.parse.urlparse(url).path).name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        try:
            urllib.request.urlretrieve(url, partial)  # noqa: S310 the scheme was checked, the digest follows
        except OSError as error:
            raise InputError(f"data.dataset: {url}: {error}") from None
        partial.rename(target)
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    if found != sha256.lower():
        target.unlink()
        raise InputError(f"data.sha256: {url} has {found}, the recipe says {sha256}")
    return target


def load_hub(arguments: DataArguments, streaming: bool = False) -> Any:
    """The `DatasetDict` of a Hub data set that needs no loading script (`datasets` 5 runs none); or as a stream."""
    import datasets

    options = {"revision": arguments.dataset_revision, "streaming": streaming}
    try:
        return datasets.load_dataset(arguments.dataset, arguments.dataset_config, **options)
    except Exception as error:  # noqa: BLE001 whatever the client raises, the user named something that can't be had
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"data.dataset: '{arguments.dataset}' is no file, no folder of HF_VARIANTS_DATA, and the Hub says: {first}"
        ) from None


def hub_tables(arguments: DataArguments, streaming: bool = False) -> list[tuple[str, Any, str]]:
    """The splits of a Hub data set: their names, tables, and what they are called in errors."""
    loaded, name = load_hub(arguments, streaming), arguments.dataset
    return [(split, loaded[own], f"data: {name} ({own})") for split, own in named_splits(list(loaded), name).items()]


def hub_rows(table: Any, columns: Sequence[str], where: str) -> Rows:
    """The values of `columns` in each row of a `Dataset` or `IterableDataset`.

    Raises InputError when rows are read: where a column is missing, or a stream's connection is lost.
    """
    return Rows(where, ROW, columns, enumerate(_hub_rows(table, columns, where)))


def _hub_rows(table: Any, columns: Sequence[str], where: str) -> Iterator[Row]:
    try:
        # Of a stream they may not be known before. In a DataLoader's worker, iter(table) leaves rows to the others.
        have = table.column_names or list(next(table.iter(batch_size=1), {}))
        require_columns(where, have, columns)
        for batch in table.select_columns(list(columns)).iter(batch_size=1000):
            yield from zip(*(batch[column] for column in columns), strict=True)
    except Exception as error:
        from ...hub.errors import is_lost_connection

        if not isinstance(error, OSError) and not is_lost_connection(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"{where}: could not be read ({reason}); the same command goes on where it stopped") from None
