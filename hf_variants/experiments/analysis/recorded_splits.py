# Copyright 2026 The hf_variants authors. MIT licence.
"""The examples to evaluate a finished classifier on: a split as the source has it, or as training cut it.

Where a source lacks splits, training cut them from its rows. A score on all of those would be one on what the model
learned from, so they are cut here as they were there. What a model's folder records of its training says how, and the
fingerprint of what comes out says whether it is the same cut of the same rows.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checking import InputError
from ..files import read_json
from ..labelled.corpus import LabelledCorpus, LabelledSplit, load_labelled, load_labelled_split, split_of
from ..recipes.labels import LabelArguments
from ..recipes.sections import DataArguments
from ..text.sources import find_local, find_model

RECORD, RESULTS = "record.json", "results.json"  # of a run, and of a comparison
ALL = "all"  # in place of a split: every row of a single file, whatever training did with it
Section = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """How training read its data: the sections of the recipe, and the fingerprint of all that it read."""

    data: Section
    labels: Section
    fingerprint: str


def recorded_reading(model: str, revision: str | None = None) -> Reading | None:
    """What the folder of a classifier, or its repository on the Hub, records; None where it records nothing."""
    for path in _records(model, revision):
        content = read_json(path)
        about = content.get("data") if isinstance(content, dict) else None
        sections = content.get("recipe") or content.get("reading") if isinstance(about, dict) else None
        if sections and "problem_type" in about:  # of labelled data
            return Reading(sections["data"], sections["labels"], about["fingerprint"])
    return None


def _records(model: str, revision: str | None) -> list[Path]:
    folder = Path(find_model(model)).resolve()
    if not folder.is_dir():
        return _records_on_hub(model, revision)
    files = [folder / RECORD, folder / RESULTS]
    if folder.name == "final":  # as a run leaves it
        files.append(folder.parent / RECORD)
    if folder.parent.name == "snapshots":
        files.append(folder.parent.parent / RECORD)
    return [path for path in files if path.is_file()]


def _records_on_hub(model: str, revision: str | None) -> list[Path]:
    from huggingface_hub import hf_hub_download

    found = []
    for name in (RECORD, RESULTS):
        try:
            found.append(Path(hf_hub_download(model, name, revision=revision)))
        except (OSError, ValueError):  # there is none, or no network; the model itself was found
            continue
    return found


def find_split(data: Section, labels: Section, split: str, reading: Reading | None) -> tuple[LabelledSplit, str]:
    """The split to score, and in words how it was cut, if it was.

    `data` and `labels` are what the user gives of these sections. By `split_fractions` the source is cut anew, without
    them as in training where `reading` is of the same rows; then labels need not be given again. Raises InputError
    where it cannot be cut, and where training cut this source but something else is read from it now.
    """
    arguments, label_arguments = DataArguments(**data), LabelArguments(**labels)
    if "split_fractions" in data:
        corpus = load_labelled(arguments, label_arguments)
        if split not in corpus.cut or arguments.dataset.startswith("builtin/"):
            raise InputError(f"--split_fractions: {arguments.dataset}: there is no {split} split of it to be cut")
        return split_of(corpus, split), f"cut by the fractions {' '.join(f'{f:g}' for f in arguments.split_fractions)}"
    corpus = None if reading is None or split == ALL else _as_trained(data, labels, reading)
    if corpus is not None and split in corpus.cut:
        return split_of(corpus, split), "cut as in training"
    return load_labelled_split(arguments, label_arguments, split), ""


def _as_trained(data: Section, labels: Section, reading: Reading) -> LabelledCorpus | None:
    """The splits that training cut from this source; None where it has read another one, or has cut nothing."""
    name = data["dataset"]
    try:
        corpus = _load(reading.data | {"dataset": name}, reading.labels)
    except InputError:  # other columns or labels, hence other data
        return None
    if not corpus.cut:
        return None
    hint = "--split_fractions cuts it anew, --split all takes every row"
    if corpus.fingerprint != reading.fingerprint:
        if not _is_same(name, reading.data["dataset"]):
            return None
        raise InputError(
            f"--dataset {name}: training cut it into splits, but has read other rows from it than are there now, so "
            f"it is unknown which ones the model learned from; {hint}"
        )
    if reading.data | data != reading.data | {"dataset": name} or reading.labels | labels != reading.labels:
        corpus = _load(reading.data | data, reading.labels | labels)
        if corpus.fingerprint != reading.fingerprint:
            raise InputError(
                f"--dataset {name}: training cut it into splits by other texts or labels than are asked for; leave "
                f"--text_column and the options of labels out, or {hint}"
            )
    return corpus


def _load(data: Section, labels: Section) -> LabelledCorpus:
    """The corpus of recorded sections; of fields that this version does not know, the fingerprint will tell."""
    return load_labelled(
        DataArguments(**_known(DataArguments, data)), LabelArguments(**_known(LabelArguments, labels))
    )


def _known(cls: type, section: Section) -> Section:
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in section.items() if name in names}


def _is_same(name: str, other: str) -> bool:
    """Whether two names are of one source."""
    first, second = find_local(name), find_local(other)
    return name == other or (first is not None and second is not None and first.samefile(second))
