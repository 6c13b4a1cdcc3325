# Copyright 2026 The hf_variants authors. MIT licence.
"""Text by name: built-in, a local file or folder, a URL with its digest, or a data set of the Hub.

Whatever the source, the result is the same: lists of documents under `train`, `validation` and (where there is one)
`test`, and a fingerprint of exactly that text.
"""

import bisect
import gzip
import hashlib
import itertools
import json
import os
import random
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .arguments import DataArguments, InputError

SPLITS = ("train", "validation", "test")
SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
SPLIT_SEED = 20260101  # fixed: a change would move documents between train and test


@dataclass
class Corpus:
    """Documents by split. `hub_id` is set only where the text came from the Hub under that name."""

    name: str
    splits: dict[str, list[str]]
    license: str | None = None
    language: str = "en"
    hub_id: str | None = None
    fingerprint: str = field(default="", init=False)

    def __post_init__(self) -> None:
        for split in ("train", "validation"):
            if not any(text.strip() for text in self.splits.get(split, [])):
                raise InputError(f"data: {self.name}: the {split} split is empty")
        if "test" in self.splits and not any(text.strip() for text in self.splits["test"]):
            raise InputError(f"data: {self.name}: the test split is empty")
        self.fingerprint = fingerprint(self.splits)


def fingerprint(splits: dict[str, list[str]]) -> str:
    """sha256 over the documents of all splits, in order, boundaries included."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for text in splits.get(split, []):
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(f"{split}:{len(encoded)}:".encode())
            digest.update(encoded)
    return "sha256:" + digest.hexdigest()


def load_corpus(arguments: DataArguments) -> Corpus:
    """The corpus that `data` names. Raises InputError where there is none, or where it holds no text."""
    name = arguments.dataset
    local = Path(os.environ.get("HF_VARIANTS_DATA", "")) / name
    hub_id = license = None
    if name.startswith("builtin/"):
        splits, license = _builtin(name)
    elif urllib.parse.urlparse(name).scheme in ("http", "https"):
        splits = {"train": read_file(_download(name, arguments.sha256), arguments.text_column)}
    elif Path(name).exists():
        splits = read_path(Path(name), arguments.text_column)
    elif os.environ.get("HF_VARIANTS_DATA") and local.exists():
        splits = read_path(local, arguments.text_column)
    else:
        splits, hub_id = _from_hub(arguments), name
    splits = _complete(splits, arguments)
    return Corpus(name, splits, arguments.license or license, arguments.language, hub_id)


def _complete(splits: dict[str, list[str]], arguments: DataArguments) -> dict[str, list[str]]:
    """Cuts a source that has no validation split, and shortens train to `data_fraction`."""
    if arguments.join_splits:
        splits = {"train": [text for split in SPLITS for text in splits.get(split, [])]}
        if len(splits["train"]) <= len(SPLITS):
            splits["train"] = ["".join(splits["train"])]
    if "validation" not in splits:
        splits = cut(splits.get("train", []), arguments.split_fractions) | {
            name: texts for name, texts in splits.items() if name == "test"
        }
    if arguments.data_fraction < 1:
        splits = splits | {"train": _first(splits["train"], arguments.data_fraction)}
    return {name: splits[name] for name in SPLITS if name in splits}


def cut(texts: list[str], fractions: list[float]) -> dict[str, list[str]]:
    """Splits one text by position; several as whole documents in a seeded order, by their share of the characters."""
    if len(texts) == 1:
        edges = _edges(len(texts[0]), fractions)
        pieces = [[texts[0][start:end]] for start, end in zip(edges, edges[1:], strict=False)]
    else:
        order = list(range(len(texts)))
        random.Random(SPLIT_SEED).shuffle(order)
        ends = list(itertools.accumulate(len(texts[i]) for i in order))
        edges = [bisect.bisect_right(ends, edge) for edge in _edges(sum(map(len, texts)), fractions)]
        pieces = [[texts[i] for i in sorted(order[a:b])] for a, b in zip(edges, edges[1:], strict=False)]
    return {name: piece for name, piece, share in zip(SPLITS, pieces, fractions, strict=True) if share > 0}


def _edges(count: int, fractions: list[float]) -> list[int]:
    return [round(count * sum(fractions[:i])) for i in range(len(fractions) + 1)]


def _first(texts: list[str], fraction: float) -> list[str]:
    """The first `fraction` of the characters, the last document cut short."""
    left, kept = max(1, round(fraction * sum(map(len, texts)))), []
    for text in texts:
        kept.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return kept


# ---- sources -------------------------------------------------------------------------------------------------------


def _builtin(name: str) -> tuple[dict[str, list[str]], str]:
    if name not in BUILTIN:
        raise InputError(f"data.dataset: '{name}'; built in are: {', '.join(BUILTIN)}")
    texts, license = BUILTIN[name]()
    return cut(texts, [0.9, 0.05, 0.05]), license


def _pydoc() -> tuple[list[str], str]:
    """The language reference that ships with every CPython: its topics in a seeded order, as one text.

    One text, because a few topics hold most of the characters: splits of whole topics would be far from their shares.
    """
    from pydoc_data.topics import topics

    names = sorted(topics)
    random.Random(SPLIT_SEED).shuffle(names)
    return ["\n\n".join(topics[name] for name in names)], "PSF-2.0"


BUILTIN: dict[str, Callable[[], tuple[list[str], str]]] = {"builtin/pydoc": _pydoc}


def _download(url: str, sha256: str | None) -> Path:
    """Fetches a URL once into the cache, under its digest. A URL without a digest is refused."""
    if not sha256:
        raise InputError(f"data.sha256: is missing; a URL ({url}) is only read with the digest that it must have")
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


def read_path(path: Path, column: str) -> dict[str, list[str]]:
    """A file (one split, `train`) or a folder with files named train, validation and test."""
    if path.is_file():
        return {"train": read_file(path, column)}
    found = {
        split: path / f"{split}{suffix}"
        for split in SPLITS
        for suffix in SUFFIXES
        if (path / f"{split}{suffix}").exists()
    }
    if not found:
        raise InputError(
            f"data.dataset: {path}: no file named {' or '.join(SPLITS)} with one of {', '.join(SUFFIXES)}"
        )
    return {split: read_file(file, column) for split, file in found.items()}


def read_file(path: Path, column: str) -> list[str]:
    """The documents of one file: a text file is one, a table has one per row in `column`."""
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"data.dataset: {path}: unknown kind of file; allowed: {', '.join(SUFFIXES)}")
    if suffix in (".txt", ".txt.gz"):
        return [_read_text(path)]
    if suffix in (".jsonl", ".jsonl.gz"):
        return _read_jsonl(path, column)
    return _read_table(path, column, suffix)


def _read_text(path: Path) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    except gzip.BadGzipFile as error:
        raise InputError(f"{path}: {error}") from None


def _read_jsonl(path: Path, column: str) -> list[str]:
    texts = []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            texts.append(_text(json.loads(line)[column], f"{path}: line {number}"))
        except (json.JSONDecodeError, KeyError, TypeError):
            raise InputError(f"{path}: line {number}: not a JSON object with a field '{column}'") from None
    return texts


def _read_table(path: Path, column: str, suffix: str) -> list[str]:
    import pandas

    try:
        if suffix == ".parquet":
            table = pandas.read_parquet(path)
        else:
            table = pandas.read_csv(path, sep="\t" if suffix == ".tsv" else ",", keep_default_na=False)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if column not in table.columns:
        raise InputError(f"{path}: no column '{column}'; there are: {', '.join(map(str, table.columns))}")
    return [_text(value, f"{path}: row {row}") for row, value in enumerate(table[column].tolist())]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: text is expected, found {value!r}")
    return value


def _from_hub(arguments: DataArguments) -> dict[str, list[str]]:
    """A Hub data set that needs no loading script (`datasets` 5 runs none)."""
    import datasets

    try:
        loaded = datasets.load_dataset(
            arguments.dataset, arguments.dataset_config, revision=arguments.dataset_revision
        )
    except Exception as error:  # noqa: BLE001 whatever the client raises, the user named something that can't be had
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"data.dataset: '{arguments.dataset}' is no file, no folder of HF_VARIANTS_DATA, and the Hub says: {first}"
        ) from None
    column = arguments.text_column
    for split, table in loaded.items():
        if column not in table.column_names:
            raise InputError(f"data.text_column: {arguments.dataset} ({split}) has {', '.join(table.column_names)}")
    return {split: list(loaded[split][column]) for split in SPLITS if split in loaded}
