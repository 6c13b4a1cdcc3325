# Copyright 2026 The hf_variants authors. MIT licence.
"""Small labelled tables in every format, for the tests of their readers."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from hf_variants.experiments.labelled.corpus import LabelledCorpus, load_labelled
from hf_variants.experiments.recipes.labels import LabelArguments
from hf_variants.experiments.recipes.sections import DataArguments

SPLITS = ("train", "validation", "test")
SIX = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
DATA_FIELDS = ("text_column", "split_fractions", "join_splits", "data_fraction", "sha256", "question_column")


def load(path: Path | str, **settings: Any) -> LabelledCorpus:
    """What `path` holds, with `settings` of the sections `data` and `labels`."""
    data = {name: settings.pop(name) for name in DATA_FIELDS if name in settings}
    return load_labelled(DataArguments(dataset=str(path), **data), LabelArguments(**settings))


def table(count: int = 40, classes: int = 2, **columns: list) -> pandas.DataFrame:
    """Different texts whose labels go round, or with `columns` of one's own."""
    texts = [f"text number {i}" for i in range(count)]
    return pandas.DataFrame({"text": texts, "label": [i % classes for i in range(count)]} | columns)


def six(count: int = 400) -> pandas.DataFrame:
    """Comments with six labels of 0 and 1."""
    flags = np.random.default_rng(0).random((count, 6)) < [0.3, 0.05, 0.2, 0.01, 0.2, 0.03]
    content = {"id": range(count), "comment_text": [f"c {i}" for i in range(count)]}
    return pandas.DataFrame(content).join(pandas.DataFrame(flags.astype(int), columns=SIX))


def write(path: Path, content: pandas.DataFrame | str | bytes) -> Path:
    """A table in the format that the suffix names, or the bytes of a file."""
    if isinstance(content, (str, bytes)):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    elif path.suffix == ".parquet":
        content.to_parquet(path)
    elif path.suffix == ".csv":
        content.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        rows = [content.columns, *content.itertuples(index=False)]
        path.write_bytes("".join("\t".join(map(str, row)) + "\n" for row in rows).encode())
    else:
        if ".jsonl" in path.name:
            lines = [json.dumps(row, ensure_ascii=False) for row in content.to_dict("records")]
        else:
            lines = [f"{label} ||| {text}" for label, text in zip(content["label"], content["text"], strict=True)]
        raw = "\n".join([*lines, ""]).encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def folder(place: Path, suffix: str = ".csv", **tables: pandas.DataFrame | str) -> Path:
    """A folder with a file for each of the splits given."""
    for split, content in tables.items():
        write(place / f"{split}{suffix}", content)
    return place
