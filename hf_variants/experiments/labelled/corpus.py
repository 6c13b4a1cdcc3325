# Copyright 2026 The hf_variants authors. MIT licence.
"""Labelled text by name: from the machine's own Python, local files, a URL, or the Hub.

Whatever the source, the result is the same: examples under `train`, `validation` and (where there is one) `test`, and
a fingerprint of exactly these. Where the source lacks a validation split, it is cut from train, by strata (see
strata.py); where it has train alone, test is as well. A test split that the source has stays as it is. One whose
labels do not differ is taken as unlabelled: benchmarks hand out such files with placeholders, and a score on them
means nothing.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checking import InputError
from ..recipes.labels import MULTI, REGRESSION, LabelArguments
from ..recipes.sections import DataArguments
from ..text.questions import has_half_pair
from ..text.split_files import SPLITS
from ..text.splits import SPLIT_SEED, shares
from .docstrings import read_docstrings
from .strata import strata_of, stratified_order, stratified_split
from .tables import Table, read_tables
from .values import STRAY, BadRowError, Scheme, UnknownLabelError, find_scheme, occurrences, same_in_all

BUILTIN: dict[str, Callable[[], tuple[Table, list[float], str]]] = {"builtin/docstrings": read_docstrings}


@dataclass
class Examples:
    """The examples of one split, `n` of them.

    `pairs` are the second texts of pairs. `labels` is int64 `(n,)` for classes, int64 `(n, labels)` of 0 and 1 for
    several labels at once, float32 `(n,)` for a number, and None where `why_unlabelled` says why. `rows` are the rows
    of the source that they come from, numbered as error messages do; `SPLIT:NUMBER` where splits were joined.
    """

    texts: list[str]
    pairs: list[str] | None = None
    labels: np.ndarray | None = None
    why_unlabelled: str | None = None
    rows: list[int] | list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Examples":
        """Those of `rows`, in that order."""
        texts = [self.texts[row] for row in rows]
        pairs = None if self.pairs is None else [self.pairs[row] for row in rows]
        labels = None if self.labels is None else self.labels[rows]
        places = None if self.rows is None else [self.rows[row] for row in rows]
        return Examples(texts, pairs, labels, self.why_unlabelled, places)

    def keys(self) -> list[Hashable]:
        """What is equal for equal texts, whatever their case and spaces, and for a pair in either order."""
        keys = [" ".join(text.casefold().split()) for text in self.texts]
        if self.pairs is None:
            return keys
        pairs = (" ".join(text.casefold().split()) for text in self.pairs)
        return [tuple(sorted(both)) for both in zip(keys, pairs, strict=True)]


@dataclass
class LabelledCorpus:
    """Examples by split. `hub_id` is set only where they came from the Hub under that name.

    `skipped` counts the rows of each split of the source that were left out for being bad. `cut` names the splits that
    were cut, so that one file of the source holds the examples of all of them.
    """

    name: str
    splits: dict[str, Examples]
    label_names: list[str]
    problem_type: str
    license: str | None = None
    language: str = "en"
    hub_id: str | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    fingerprint: str = field(default="", init=False)

    def __post_init__(self) -> None:
        for split, examples in self.splits.items():
            if not examples.texts:
                raise InputError(f"data: {self.name}: the {split} split is empty")
        for split in ("train", "validation"):
            labels = self.splits[split].labels
            if _is_one_sided(labels):
                one = _spell(labels[0], self.label_names, self.problem_type)
                raise InputError(f"data: {self.name}: all {len(labels)} labels of the {split} split are {one}")
        self.fingerprint = fingerprint(self.splits)

    def describe(self) -> dict[str, Any]:
        """What the corpus is, as JSON values: for every split its size, its labels' shares, or why it has none."""
        about = {name: getattr(self, name) for name in ("name", "license", "hub_id", "language", "fingerprint")}
        about |= {"problem_type": self.problem_type, "label_names": self.label_names}
        return about | {"splits": {split: self._describe(split) for split in self.splits}, "skipped": self.skipped}

    def _describe(self, split: str) -> dict[str, Any]:
        examples = self.splits[split]
        about: dict[str, Any] = {"rows": len(examples), "characters": sum(map(len, examples.texts))}
        if split != "train":
            known = set(self.splits["train"].keys())
            about["also_in_train"] = sum(key in known for key in examples.keys())  # noqa: SIM118 not a mapping
        if examples.labels is None:
            return about | {"why_unlabelled": examples.why_unlabelled}
        if self.problem_type == REGRESSION:
            return about | {"label_range": [float(examples.labels.min()), float(examples.labels.max())]}
        is_one = examples.labels if self.problem_type == MULTI else np.eye(len(self.label_names))[examples.labels]
        shares = zip(self.label_names, is_one.mean(axis=0).tolist(), strict=True)
        return about | {"label_shares": {name: round(share, 6) for name, share in shares}}


def fingerprint(splits: dict[str, Examples]) -> str:
    """sha256 over texts, second texts and labels of all splits, in order, boundaries included."""
    digest = hashlib.sha256()
    for split in (name for name in SPLITS if name in splits):
        examples = splits[split]
        for part, texts in (("text", examples.texts), ("pair", examples.pairs or [])):
            for text in texts:
                encoded = text.encode("utf-8", "surrogatepass")
                digest.update(f"{split}:{part}:{len(encoded)}:".encode())
                digest.update(encoded)
        if examples.labels is not None:
            kind = "<f4" if examples.labels.dtype.kind == "f" else "<i8"
            digest.update(f"{split}:labels:{examples.labels.shape}:{kind}:".encode())
            digest.update(examples.labels.astype(kind).tobytes())
    return "sha256:" + digest.hexdigest()


# ---- reading -------------------------------------------------------------------------------------------------------


def load_labelled(data: DataArguments, labels: LabelArguments) -> LabelledCorpus:
    """The examples that `data` and `labels` name. Raises InputError, with file and row where it is about one."""
    if data.question_column is not None:
        raise InputError(
            "data.question_column: labelled text is read from text_column, a second one from labels.pair_column"
        )
    if labels.pair_column == data.text_column:
        raise InputError(f"labels.pair_column: '{labels.pair_column}' is data.text_column; allowed: another column")
    tables, fractions, license, hub_id = _source(data, labels)
    scheme = _scheme(tables, data, labels)
    splits, skipped = {}, {}
    for split, table in tables.items():
        splits[split], skipped[split] = _read(table, split, data.text_column, scheme)
        if not splits[split].texts:
            why = f": all {skipped[split]} rows were bad" if skipped[split] else ""
            raise InputError(f"data: {data.dataset}: the {split} split is empty{why}")
    return LabelledCorpus(
        name=data.dataset,
        splits=_complete(splits, data, scheme, fractions),
        label_names=scheme.names,
        problem_type=scheme.problem_type,
        license=data.license or license,
        language=data.language,
        hub_id=hub_id,
        skipped={split: count for split, count in skipped.items() if count},
        cut=_cut_splits(tables, data.join_splits),
    )


@dataclass
class LabelledSplit:
    """The examples of one split alone, what their labels are, and how many rows of the source were skipped."""

    examples: Examples
    label_names: list[str]
    problem_type: str
    skipped: int = 0


def load_labelled_split(data: DataArguments, labels: LabelArguments, split: str) -> LabelledSplit:
    """One split as it is, nothing cut but what is built in. A single file is any split.

    Of an unlabelled split alone, neither names nor problem type are known: these are empty then. Raises InputError
    where there is no such split, and as `load_labelled` does.
    """
    if data.dataset.startswith("builtin/"):  # has its split by being cut
        return split_of(load_labelled(data, labels), split)
    tables, _, _, _ = _source(data, labels)
    if len(tables) == 1:
        tables = {split: next(iter(tables.values()))}
    if split not in tables:
        raise InputError(f"data: {data.dataset} has no {split} split; there are: {', '.join(tables)}")
    if ("train" not in tables or len(tables) == 1) and _says_nothing(tables[split], labels):
        scheme = Scheme(labels, "", [])
    else:
        scheme = _scheme({"train": tables.get("train", tables[split])}, data, labels)
    examples, skipped = _read(tables[split], "test", data.text_column, scheme)
    if not examples.texts:
        raise InputError(f"data: {data.dataset}: the {split} split is empty")
    return LabelledSplit(_unlabelled_if_alike(examples, scheme), scheme.names, scheme.problem_type, skipped)


def skipped_rows(skipped: dict[str, int]) -> str:
    """In words how many bad rows of each split were left out, for a terminal; nothing where none was."""
    counts = ", ".join(f"{split} {count}" for split, count in skipped.items() if count)
    return f"bad rows that were skipped: {counts}" if counts else ""


def split_of(corpus: LabelledCorpus, split: str) -> LabelledSplit:
    """One split of a corpus; of one that was cut, the skipped rows are those of what it was cut from.

    Raises InputError where there is no such split.
    """
    if split not in corpus.splits:
        raise InputError(f"data: {corpus.name} has no {split} split; there are: {', '.join(corpus.splits)}")
    same_source = corpus.cut if split in corpus.cut else (split,)
    skipped = sum(corpus.skipped.get(name, 0) for name in same_source)
    return LabelledSplit(corpus.splits[split], corpus.label_names, corpus.problem_type, skipped)


def _says_nothing(table: Table, labels: LabelArguments) -> bool:
    """Whether no row has a label. Raises InputError where a column that was asked for by name is missing."""
    if labels.columns() != LabelArguments().columns():
        table.require(labels.columns())
    return _why_unlabelled(table, labels.columns()) is not None


def _source(
    data: DataArguments, labels: LabelArguments
) -> tuple[dict[str, Table], list[float], str | None, str | None]:
    """Tables by split, the shares to cut where splits are missing, the licence, and the Hub's name."""
    if not data.dataset.startswith("builtin/"):
        columns = [data.text_column, *labels.columns(), *([labels.pair_column] if labels.pair_column else [])]
        tables, hub_id = read_tables(data, columns)
        return tables, data.split_fractions, None, hub_id
    if data.dataset not in BUILTIN:
        raise InputError(f"data.dataset: '{data.dataset}'; built in with labels are: {', '.join(BUILTIN)}")
    table, fractions, license = BUILTIN[data.dataset]()
    return {"train": table}, data.split_fractions if data.join_splits else fractions, license, None


def _scheme(tables: dict[str, Table], data: DataArguments, labels: LabelArguments) -> Scheme:
    """How labels are read, found from the training data. Raises InputError where a column of train is missing."""
    if "train" not in tables:
        raise InputError(f"data: {data.dataset} has no train split; there are: {', '.join(tables) or 'none'}")
    columns = labels.columns()
    sources = list(tables.values()) if data.join_splits else [tables["train"]]
    for table in sources:
        table.require([data.text_column, *columns])
    rows = [row for table in sources for row in table.rows(columns)]
    try:
        return find_scheme(labels, rows, tables["train"].names.get(columns[0]))
    except (InputError, BadRowError) as error:  # the latter from a name
        raise InputError(f"{tables['train'].source}: {error}") from None


def _read(table: Table, split: str, text_column: str, scheme: Scheme) -> tuple[Examples, int]:
    """The examples of a table, and how many bad rows were skipped. Raises InputError for the first one otherwise."""
    arguments, labels = scheme.arguments, scheme.arguments.columns()
    columns = [text_column] + ([arguments.pair_column] if arguments.pair_column else [])
    why = _why_unlabelled(table, labels) if split == "test" else None
    table.require(columns if why else columns + labels)
    texts, values, rows = [], [], []
    cells = table.rows(labels) if why is None else [()] * len(table)
    for number, (row, cell) in enumerate(zip(table.rows(columns), cells, strict=True)):
        try:
            found = [_text(value, column) for value, column in zip(row, columns, strict=True)]
            values.append(None if why else scheme.read(cell))
            texts.append(found)
            rows.append(table.numbers[number])
        except BadRowError as error:
            if arguments.on_bad_row == "error":
                hint = _hint(error, cells, number)
                raise InputError(f"{table.place(number)}: {error} ({hint})") from None
    pairs = [row[1] for row in texts] if arguments.pair_column else None
    examples = Examples([row[0] for row in texts], pairs, None if why else scheme.array(values), why, rows)
    return examples, len(table) - len(rows)


def _hint(error: BadRowError, cells: Sequence[tuple[Any, ...]], number: int) -> str:
    """What can be done about a bad row. Leaving such rows out is no advice where a whole class would go."""
    if isinstance(error, UnknownLabelError):
        count = occurrences(cells, cells[number])
        if count > max(1, STRAY * len(cells)):
            what = "labels.label_names lists what there may be, and ids count from 0"
            return f"{count} of {len(cells)} rows have this label; {what}"
    return "labels.on_bad_row: skip leaves such rows out"


def _text(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise BadRowError(f"text is expected in column '{column}', found {value!r:.60}")
    if not value.strip():
        raise BadRowError(f"the text in column '{column}' is empty")
    if has_half_pair(value):
        raise BadRowError(f"the text in column '{column}' has half of a surrogate pair, which is no character")
    return value


def _why_unlabelled(table: Table, columns: list[str]) -> str | None:
    """Why the labels of a test split say nothing, or None if they do."""
    if not any(column in table.columns for column in columns):
        return f"there is no column '{columns[0]}'"
    table.require(columns)
    return same_in_all(table.rows(columns))


# ---- splits --------------------------------------------------------------------------------------------------------


def _complete(
    splits: dict[str, Examples], data: DataArguments, scheme: Scheme, fractions: list[float]
) -> dict[str, Examples]:
    """Cuts the splits that are missing, shortens train, and takes the labels from a test split where all are equal."""
    if data.join_splits:
        splits = {"train": _join(splits, data.dataset)}
    if "validation" not in splits:
        splits = _cut(splits, fractions, scheme.problem_type, data.dataset)
    _check_known(splits, data.dataset, scheme)
    splits["train"] = _subset(splits["train"], data.data_fraction, scheme)
    if "test" in splits:
        splits["test"] = _unlabelled_if_alike(splits["test"], scheme)
    return {split: splits[split] for split in SPLITS if split in splits}


def _unlabelled_if_alike(examples: Examples, scheme: Scheme) -> Examples:
    """The same without labels where all of them are equal."""
    if examples.labels is None or not _is_one_sided(examples.labels):
        return examples
    one = _spell(examples.labels[0], scheme.names, scheme.problem_type)
    return dataclasses.replace(examples, labels=None, why_unlabelled=f"all {len(examples)} labels are {one}")


def _cut_splits(sources: Collection[str], join: bool) -> tuple[str, ...]:
    """The splits that are cut from the same rows, given those that the source has."""
    if "validation" in sources and not join:
        return ()
    return SPLITS if join else tuple(split for split in SPLITS if split != "test" or "test" not in sources)


def _join(splits: dict[str, Examples], name: str) -> Examples:
    parts = [splits[split] for split in SPLITS if split in splits]
    for split, examples in splits.items():
        if examples.labels is None:
            raise InputError(f"data.join_splits: the {split} split of {name} is unlabelled: {examples.why_unlabelled}")
    pairs = None if parts[0].pairs is None else [text for part in parts for text in part.pairs]
    labels = np.concatenate([part.labels for part in parts])
    rows = [f"{split}:{row}" for split in SPLITS if split in splits for row in splits[split].rows]
    return Examples([text for part in parts for text in part.texts], pairs, labels, rows=rows)


def _cut(splits: dict[str, Examples], fractions: list[float], problem_type: str, name: str) -> dict[str, Examples]:
    """Train cut into the splits that the source lacks. Equal texts never get into two of them."""
    if min(fractions[:2]) <= 0:
        raise InputError(f"data.split_fractions: {fractions}; train and validation must be cut from {name}")
    fractions = shares(fractions, splits)
    source = splits["train"]
    pieces = stratified_split(strata_of(source.labels, problem_type), fractions, SPLIT_SEED, source.keys())
    cut = {split: source.take(rows) for split, rows, share in zip(SPLITS, pieces, fractions, strict=True) if share > 0}
    for split, examples in cut.items():
        if not examples.texts:
            raise InputError(
                f"data.split_fractions: {fractions} of {len(source)} rows leave none for {split} ({name})"
            )
    return splits | cut


def _check_known(splits: dict[str, Examples], name: str, scheme: Scheme) -> None:
    """Raises InputError where validation has a label that train has not."""
    if scheme.problem_type == REGRESSION:
        return
    train, validation = (_labels_in(splits[split].labels) for split in ("train", "validation"))
    unknown = sorted(validation - train)
    if unknown:
        names = ", ".join(scheme.names[label] for label in unknown)
        raise InputError(f"data: {name}: labels of the validation split that never occur in train: {names}")


def _labels_in(labels: np.ndarray) -> set[int]:
    return set(np.flatnonzero(labels.any(axis=0)).tolist()) if labels.ndim == 2 else set(np.unique(labels).tolist())


def _subset(train: Examples, fraction: float, scheme: Scheme) -> Examples:
    """A fixed choice of `data_fraction` and `max_train_examples`; a smaller one lies within every larger one."""
    count = max(1, round(fraction * len(train)))
    count = min(count, scheme.arguments.max_train_examples or count)
    if count == len(train):
        return train
    order = stratified_order(strata_of(train.labels, scheme.problem_type), SPLIT_SEED)
    return train.take(np.sort(order[:count]))


def _is_one_sided(labels: np.ndarray) -> bool:
    return not (labels != labels[0]).any()


def _spell(label: Any, names: list[str], problem_type: str) -> str:
    """A label in words."""
    if problem_type == REGRESSION:
        return f"{label:g}"
    if problem_type != MULTI:
        return f"'{names[label]}'"
    return " and ".join(f"'{names[i]}'" for i in np.flatnonzero(label)) or "none"


__all__ = [
    "Examples",
    "LabelArguments",
    "LabelledCorpus",
    "LabelledSplit",
    "fingerprint",
    "load_labelled",
    "load_labelled_split",
    "skipped_rows",
    "split_of",
]
