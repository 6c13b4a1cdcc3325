# Copyright 2026 The hf_variants authors. MIT licence.
"""Text by name: built-in, a local file or folder, a URL with its digest, or a data set of the Hub.

Whatever the source, the result is the same: lists of documents under `train`, `validation` and (where there is one)
`test`, and a fingerprint of exactly that text. A row of questions and answers becomes the document

    Question: {question}
    Answer: {answer}

and what stands before the answer, up to and with the colon, is the prompt that a finished model answers.
"""

import array
import functools
import glob
import hashlib
import os
import random
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import DataArguments, InputError
from .split_files import SPLITS, named_splits, split_shards
from .text_files import Row, read_rows, require_columns

SPLIT_SEED = 20260101  # fixed: a change would move documents between train and test
PACKAGE = "package:"  # before the name of a Python package that holds a model
ANSWER = "\nAnswer:"  # ends a prompt; without the space, which BPE joins with the word that follows


@dataclass
class Corpus:
    """Documents by split. `hub_id` is set only where the text came from the Hub under that name.

    `questions` holds (prompt, answer) pairs of validation and test where the documents are questions with answers.
    """

    name: str
    splits: dict[str, list[str]]
    license: str | None = None
    language: str = "en"
    hub_id: str | None = None
    questions: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
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
            add_document(digest, split, [text])
    return "sha256:" + digest.hexdigest()


def add_document(digest: Any, split: str, pieces: Iterable[str]) -> int:
    """Adds a document to a fingerprint, and returns its bytes in UTF-8. Its pieces are read twice."""
    size = sum(len(_utf8(piece)) for piece in pieces)
    digest.update(f"{split}:{size}:".encode())
    for piece in pieces:
        digest.update(_utf8(piece))
    return size


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


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


def load_corpus(arguments: DataArguments) -> Corpus:
    """The corpus that `data` names. Raises InputError where there is none, or where it holds no text."""
    name = arguments.dataset
    splits, license, asks = _sources(arguments)
    questions = {split: list(map(as_question, splits[split])) for split in SPLITS[1:] if asks and split in splits}
    return Corpus(name, splits, arguments.license or license, arguments.language, hub_name(name), questions)


def hub_name(name: str) -> str | None:
    """The name itself where it is a data set of the Hub, None where the text lies elsewhere."""
    is_local = name.startswith("builtin/") or is_url(name) or is_pattern(name) or find_local(name) is not None
    return None if is_local else name


def load_split(arguments: DataArguments, split: str) -> list[str]:
    """The documents of one split of what `data` names, as `load_corpus` has them; the others may be missing."""
    splits, _, _ = _sources(arguments)
    if not any(text.strip() for text in splits.get(split, [])):
        have = ", ".join(name for name, texts in splits.items() if any(text.strip() for text in texts))
        raise InputError(f"data: {arguments.dataset} has no text in a {split} split; there are: {have or 'none'}")
    return splits[split]


def _sources(arguments: DataArguments) -> tuple[dict[str, list[str]], str | None, bool]:
    """Documents by split, the licence where it is known, and whether they are questions with answers."""
    name, asks = arguments.dataset, arguments.question_column is not None
    if name.startswith("builtin/"):
        splits, license = load_builtin(name)
        return _complete(splits, arguments), license, name in QUESTIONS
    rows = load_rows(arguments, text_columns(arguments))
    splits = {split: list(as_documents(found, name, split)) for split, found in rows.items()}
    return _complete(splits, arguments), None, asks


def text_columns(arguments: DataArguments) -> tuple[str, ...]:
    """The columns that a document is made of: that of the text, or those of question and answer."""
    if arguments.question_column is None:
        return (arguments.text_column,)
    return arguments.question_column, arguments.answer_column


def load_rows(arguments: DataArguments, columns: Sequence[str]) -> dict[str, list[Row]]:
    """The values of `columns` in every row, by split, from whatever is not built in. A text file is one row.

    Raises InputError where there is no such data or column.
    """
    local = local_files(arguments)
    if local is None:
        return {split: list(hub_rows(table, columns, place)) for split, table, place in hub_tables(arguments)}
    return {split: [row for file in files for row in read_rows(file, columns)] for split, files in local.items()}


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


def as_documents(rows: Iterable[Row], name: str, split: str) -> Iterator[str]:
    """One document per row: the text itself, or a question with its answer. Raises InputError, naming the row."""
    for number, values in enumerate(rows):
        if len(values) == 2 and type(values[1]) is int:  # {"answer": 42} in a JSON file
            values = (values[0], str(values[1]))
        texts = [_text(value, f"{name}: {split}: row {number}") for value in values]
        if len(texts) == 2 and ANSWER in texts[0]:
            raise InputError(f"{name}: {split}: row {number}: the question contains a line that begins with 'Answer:'")
        yield texts[0] if len(texts) == 1 else f"Question: {texts[0]}{ANSWER} {texts[1]}"


def as_question(document: str) -> tuple[str, str]:
    """The (prompt, answer) of a document made from a question; the prompt ends with `Answer:`."""
    prompt, mark, answer = document.partition(ANSWER)
    return prompt + mark, answer.strip()


def _complete(splits: dict[str, list[str]], arguments: DataArguments) -> dict[str, list[str]]:
    """Cuts a source that has no validation split, and shortens train to `data_fraction`."""
    if arguments.join_splits:
        splits = {"train": [text for split in SPLITS for text in splits.get(split, [])]}
        if len(splits["train"]) <= len(SPLITS):
            splits["train"] = ["".join(splits["train"])]
    if "validation" not in splits:
        own = {name: texts for name, texts in splits.items() if name == "test"}
        splits = cut(splits.get("train", []), shares(arguments.split_fractions, own)) | own
    if arguments.data_fraction < 1:
        splits = splits | {"train": _first(splits["train"], arguments.data_fraction)}
    return {name: splits[name] for name in SPLITS if name in splits}


def shares(fractions: list[float], own: Iterable[str]) -> list[float]:
    """By what shares train is cut where the source has the splits `own`: none is cut off for test where it has one."""
    train, validation, _ = fractions
    if "test" not in own or train + validation <= 0:
        return fractions
    return [train / (train + validation), validation / (train + validation), 0.0]


def cut(texts: list[str], fractions: list[float]) -> dict[str, list[str]]:
    """Splits one text by position; several as whole documents in a seeded order, by their share of the characters."""
    if len(texts) == 1:
        return {split: [texts[0][start:end]] for split, (start, end) in cut_text(len(texts[0]), fractions).items()}
    chosen = cut_documents(array.array("q", map(len, texts)), fractions)
    return {split: [texts[i] for i in rows.tolist()] for split, rows in chosen.items()}


def cut_text(length: int, fractions: list[float]) -> dict[str, tuple[int, int]]:
    """Where the part of each split begins and ends in one text of so many characters."""
    edges = _edges(length, fractions)
    return {s: (edges[i], edges[i + 1]) for i, s in enumerate(SPLITS) if fractions[i] > 0}


def cut_documents(lengths: Sequence[int], fractions: list[float]) -> dict[str, np.ndarray]:
    """The numbers of the documents of each split, rising; `lengths` are their characters."""
    order = array.array("q", range(len(lengths)))
    random.Random(SPLIT_SEED).shuffle(order)
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64)[np.asarray(order, dtype=np.int64)])
    edges = np.searchsorted(ends, _edges(int(ends[-1]) if len(ends) else 0, fractions), side="right")
    places = zip(SPLITS, edges, edges[1:], fractions, strict=False)
    return {split: np.sort(order[start:end]) for split, start, end, share in places if share > 0}


def _edges(count: int, fractions: list[float]) -> list[int]:
    return [round(count * sum(fractions[:i])) for i in range(len(fractions) + 1)]


def first_characters(characters: int, fraction: float) -> int:
    """How many characters `data_fraction` keeps."""
    return max(1, round(fraction * characters))


def _first(texts: list[str], fraction: float) -> list[str]:
    """The first `fraction` of the characters, the last document cut short."""
    left, kept = first_characters(sum(map(len, texts)), fraction), []
    for text in texts:
        kept.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return kept


# ---- sources -------------------------------------------------------------------------------------------------------


def load_builtin(name: str) -> tuple[dict[str, list[str]], str]:
    """The documents of a built-in corpus by split, and its licence."""
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


def _arithmetic(lengths: Sequence[int] = (2, 3), count: int = 6000) -> tuple[list[str], str]:
    """Made-up chains of so many additions, subtractions and doublings, each step written out in the answer.

    All numbers lie in 0 … 20, and no question comes twice, so that none is in two splits. The answer ends with the
    result after ####, as GSM8K's do.
    """
    rng, documents = random.Random(SPLIT_SEED), {}
    while len(documents) < count:
        question, steps, value = _chain(rng, rng.randint(1, 9), rng.choice(lengths))
        documents[question] = f"Question: {question}{ANSWER} {', '.join(steps)} #### {value}"
    return list(documents.values()), "CC0-1.0"


def _chain(rng: random.Random, value: int, length: int) -> tuple[str, list[str], int]:
    """A question such as `(7 + 5) * 2 - 3`, its steps, and its value."""
    text, steps = str(value), []
    for number in range(length):
        operators = ["+"] * (value < 20) + ["-"] * (value > 0) + ["*"] * (0 < value <= 10 and "*" not in text)
        operator = rng.choice(operators)
        other = 2 if operator == "*" else rng.randint(1, min(9, value if operator == "-" else 20 - value))
        text = f"({text})" if operator == "*" and number else text
        result = {"+": value + other, "-": value - other, "*": value * other}[operator]
        steps.append(f"{value} {operator} {other} = {result}")
        text, value = f"{text} {operator} {other}", result
    return text, steps, value


BUILTIN: dict[str, Callable[[], tuple[list[str], str]]] = {
    "builtin/pydoc": _pydoc,
    "builtin/arithmetic": _arithmetic,
    "builtin/arithmetic_chains": functools.partial(_arithmetic, tuple(range(1, 9)), 12000),
}
QUESTIONS = ("builtin/arithmetic", "builtin/arithmetic_chains")  # these consist of questions with answers


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


def has_half_pair(text: str) -> bool:
    """Whether half of a surrogate pair stands alone in a text: JSON can say so, and no tokenizer takes it."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in set(text))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: text is expected, found {value!r}")
    if has_half_pair(value):
        raise InputError(f"{where}: half of a surrogate pair, which is no character")
    return value


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


def hub_rows(table: Any, columns: Sequence[str], where: str) -> Iterator[Row]:
    """The values of `columns` in each row of a `Dataset` or `IterableDataset`.

    Raises InputError where a column is missing, or a stream's connection is lost.
    """
    try:
        # Of a stream they may not be known before. In a DataLoader's worker, iter(table) leaves rows to the others.
        have = table.column_names or list(next(table.iter(batch_size=1), {}))
        require_columns(where, have, columns)
        for batch in table.select_columns(list(columns)).iter(batch_size=1000):
            yield from zip(*(batch[column] for column in columns), strict=True)
    except Exception as error:
        from .hub_errors import is_lost_connection

        if not isinstance(error, OSError) and not is_lost_connection(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"{where}: could not be read ({reason}); the same command goes on where it stopped") from None
