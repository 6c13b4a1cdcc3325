# Copyright 2026 The hf_variants authors. MIT licence.
"""What a run leaves behind: metrics.jsonl line by line while it runs, one small record when it is finished."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..checking import InputError
from ..contract import Contract
from ..files import held, read_json, write_json
from ..records import Answers, Classification, CurvePoint, GrowthStep, Mark, Metrics, Sample, Selection, Unfreezing

RECIPE, CHECKPOINTS = "recipe.json", "checkpoints"  # in the folder of a run


# what a run, and who reports on it, writes to that folder
OF_A_RUN = (CHECKPOINTS, f"{CHECKPOINTS}*.partial", "final", "model", "snapshots", "metrics.jsonl", "record.json",
            "predictions.jsonl", "loss_curves.png", "architecture_*.png")  # fmt: skip


TOKENIZER_RECORD = "tokenizer_record.json"  # in the folder of a tokenizer that was prepared


PLACE = (
    "event",
    "phase",
    "budget",
    "step",
    "tokens",
    "flops",
    "stage_tokens",
    "best_step",
)  # of a line; all else was measured


NOT_IN_STAGES = ("event", "phase", "budget", "seconds")


WALL_CLOCK_FIELDS = ("seconds", "tokens_per_second")  # differ from run to run; all else is reproducible


class MetricsFile:
    """A JSON-lines file that is appended to, and cut back when a run goes on from an earlier checkpoint."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path, self.writes = path, writes

    def append(self, values: dict[str, Any]) -> None:
        """Adds one line and hands it to the operating system, so that a kill loses nothing already written."""
        if self.writes:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")

    def size(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def sync(self) -> None:
        """Waits until all lines have reached the disk."""
        if self.writes and self.path.exists():
            with self.path.open("a") as file:
                os.fsync(file.fileno())

    def truncate(self, size: int) -> None:
        """Drops what lies beyond `size` bytes."""
        if self.writes and self.path.exists():
            os.truncate(self.path, size)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete lines of a metrics.jsonl (a last line cut by a kill is left out)."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


# ---- identity ------------------------------------------------------------------------------------------------------


def differing_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """`section.key: old → new` for every difference between two nested mappings."""
    lines = []
    for key in sorted(set(old) | set(new)):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differing_keys(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} → {b}")
    return lines


def refuse_foreign(folder: Path) -> None:
    """Raises InputError where `folder` is no run's, and holds what a run would write over."""
    found = held(folder, OF_A_RUN)
    if found and not (folder / RECIPE).exists():  # asked last: another process may just have claimed it
        raise InputError(
            f"{folder}: holds {', '.join(found[:5])}, and no {RECIPE} that says which recipe made them; move them "
            "away, or use another --output_dir"
        )


def claim_folder(folder: Path, identity: dict[str, Any]) -> None:
    """Marks `folder` as this recipe's. Raises InputError where it holds another's run, or nothing says whose."""
    marker = folder / RECIPE
    if marker.exists():
        known = read_json(marker)
        if not isinstance(known, dict) or "data_fingerprint" not in known:
            raise InputError(f"{marker}: is no file of this program; use another --output_dir")
        changed = differing_keys(known, identity)
        if changed:
            raise InputError(
                f"{folder}: holds a run of another recipe ({'; '.join(changed[:3])}); use another --output_dir"
            )
        return
    refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, identity)


def saved_config(model: PreTrainedModel) -> dict[str, Any]:
    """What config.json says of the finished model, but for its labels and the version that wrote it."""
    config = json.loads(model.config.to_json_string(use_diff=True))
    apart = ("transformers_version", "architectures", "_name_or_path", "dtype", "id2label", "label2id")
    return {name: value for name, value in config.items() if name not in apart}


# ---- the record of a finished run ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """How a run went: marks (ends of decay branches), the curve of the trunk, growths, and layers that were freed."""

    marks: tuple[Mark, ...]
    curve: tuple[CurvePoint, ...]
    stages: tuple[GrowthStep, ...]
    unfrozen: tuple[Unfreezing, ...]


def course_of(lines: list[dict[str, Any]], flops_per_token: float) -> Course:
    """What the lines of a metrics.jsonl say of a run."""
    marks: dict[int, dict[str, Any]] = {}
    curve: dict[int, dict[str, Any]] = {}
    stages: list[GrowthStep] = []
    unfrozen: list[Unfreezing] = []
    for line in lines:
        place = {"tokens": line["tokens"], "steps": line["step"]}
        on_path = line["phase"] == "trunk" or line["budget"] == 1.0
        if line["event"] == "growth":
            if on_path:
                content = {name: value for name, value in line.items() if name not in NOT_IN_STAGES}
                if "loss_after" in line:
                    stages.append(GrowthStep.from_json(content))
                else:
                    unfrozen.append(Unfreezing.from_json(content))
        elif line["event"] == "train":
            if on_path:
                point = curve.setdefault(line["step"], place)
                point |= {"train_loss": line["loss"]} | _present(line, "layer_grad_norms")
        elif line["phase"] == "trunk":
            curve.setdefault(line["step"], place)["validation_loss"] = line["loss"]
        else:
            cost = {"flops": line.get("flops", line["tokens"] * flops_per_token), "seconds": line["seconds"]}
            cost |= _present(line, "stage_tokens", "best_step")
            marks.setdefault(line["step"], place | cost)[line["event"]] = _metric_values(line)
    points = tuple(CurvePoint.from_json(curve[step]) for step in sorted(curve))
    ends = tuple(Mark.from_json(marks[step]) for step in sorted(marks))
    return Course(ends, points, tuple(stages), tuple(unfrozen))


def _present(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: line[name] for name in names if name in line}


def _metric_values(line: dict[str, Any]) -> dict[str, float]:
    apart = (*PLACE, *WALL_CLOCK_FIELDS)
    return {name: value for name, value in line.items() if name not in apart}


@dataclass(frozen=True, kw_only=True)
class Finished(Contract):
    """What was done with a finished model; `metrics`, by split, are what its last mark gets beside its own."""

    metrics: Mapping[str, Metrics] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    answers: Answers | None = None
    remarks: tuple[str, ...] = ()
    classification: Classification | None = None
    selection: Selection | None = None

    def added_to(self, mark: Mark) -> Mark:
        """The last mark of the run with these metrics."""
        added = {split: {**mark.metrics(split), **values} for split, values in self.metrics.items()}
        return dataclasses.replace(mark, **added)
