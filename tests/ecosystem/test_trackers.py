# Copyright 2026 The hf_variants authors. MIT licence.
"""What a run logs to TensorBoard, trackio and W&B, read back from where each of them keeps it, without a network."""

import json
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest

from hf_variants.experiments.engine.run import run_recipe
from tests.helpers.tiny import tiny_recipe

pytestmark = pytest.mark.ecosystem
NAME = "validation/loss"


def losses(folder: Path, tracker: str) -> list[float]:
    """Train with a tracker and return the validation losses of the run's own record."""
    run_recipe(tiny_recipe(folder, training={"trackers": [tracker], "max_steps": 8}), folder / "run")
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    found = [line["loss"] for line in lines if line["event"] == "validation"]
    assert len(found) > 1
    return found


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="keeps the curves")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    expected = losses(tmp_path, "tensorboard")
    file = next((tmp_path / "run").rglob("events.out.tfevents*"))
    events = EventAccumulator(str(file.parent)).Reload()
    assert [event.value for event in events.Scalars(NAME)] == pytest.approx(expected)


def test_trackio(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="keeps the curves")
    expected = losses(tmp_path, "trackio")
    database = sqlite3.connect(next((tmp_path / "trackio").glob("*.db")))
    rows = [json.loads(row[0]) for row in database.execute("select metrics from metrics order by id")]
    assert [row[NAME] for row in rows if NAME in row] == pytest.approx(expected)


def test_wandb_offline(tmp_path: Path, monkeypatch: Any) -> None:
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("wandb", reason="keeps the curves")
    expected = losses(tmp_path, "wandb")
    file = next(tmp_path.rglob("*.wandb"))
    assert [row[NAME] for row in history(file) if NAME in row] == pytest.approx(expected)


def history(file: Path) -> list[dict[str, Any]]:
    """Return the logged steps in a run's file: blocks of 32 KiB as in LevelDB's log, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, message, rows = file.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:  # too little for another header: the rest of the block is empty
            place += left
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)  # after a checksum
        message, place = message + data[place + 7 : place + 7 + size], place + 7 + size
        if kind in (1, 4):  # whole, or the last part
            items = Record.FromString(message).history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
            message = b""
    return rows
