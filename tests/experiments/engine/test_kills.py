# Copyright 2026 The hf_variants authors. MIT licence.
"""Runs that are killed again and again end as if never killed, wherever they were when it happened."""

import functools
import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from hf_variants.experiments.engine.record import WALL_CLOCK_FIELDS
from hf_variants.experiments.files import PARTIAL, read_json
from hf_variants.experiments.machine.checkpoints import read_state
from tests.experiments.engine.test_growing import deepening
from tests.experiments.engine.test_loop import assert_same_run
from tests.helpers.forked import train

# Where a run may be: a module, its class if any, and the function that is run there.
REGIONS = {
    "checkpoint": ("loop", "Loop", "_save_progress"),
    "branch point": ("loop", "Loop", "_begin_branch"),
    "evaluation": ("loop", None, "evaluate_split"),
    "growth": ("loop", "Loop", "_grow"),
    "step": ("loop", "Loop", "_step"),
    "end": ("run", None, "_keep"),
}
KILLS = {"checkpoint": 6, "branch point": 2, "evaluation": 4, "growth": 4, "step": 2, "end": 2}  # 20
ENDS = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15, 0}}  # -15, 0: it had nothing left to train


def watch(region: str, entry: int, line: int, number: int, report: Path) -> None:
    """Has this process send itself a signal at a line of Python (counted) in the `entry`-th visit of a region.

    Where that visit has fewer lines, in the next one that is long enough. `report` gets the region's lines.
    """
    from hf_variants.experiments.engine import loop, run

    module, owner, name = REGIONS[region]
    place = {"loop": loop, "run": run}[module]
    place = getattr(place, owner) if owner else place
    visits, original = [0], getattr(place, name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        visits[0] += 1
        seen = [0]

        def trace(frame: Any, event: str, _: Any) -> Any:
            if event == "line":
                seen[0] += 1
                if seen[0] == line and visits[0] >= entry and number:
                    report.write_text("hit")
                    sys.settrace(None)
                    os.kill(os.getpid(), number)
            return trace

        sys.settrace(trace)
        try:
            return original(*args, **kwargs)
        finally:
            sys.settrace(None)
            if not number:
                with report.open("a") as file:
                    file.write(f"{seen[0]}\n")

    setattr(place, name, watched)


def measure(folder: Path) -> None:
    """Has this process count the lines of every region."""
    for region in REGIONS:
        if region != "branch point":  # it has a checkpoint inside
            watch(region, 0, 0, 0, folder / region)


def without_clock(value: Any) -> Any:
    """A record without what a clock decides."""
    if isinstance(value, dict):
        skipped = (*WALL_CLOCK_FIELDS, "finished", "commit")  # one may be made while this runs
        return {name: without_clock(inner) for name, inner in value.items() if name not in skipped}
    return [without_clock(inner) for inner in value] if isinstance(value, list) else value


def assert_readable(folder: Path) -> None:
    """Every checkpoint that has a final name can be read whole."""
    for checkpoint in folder.glob("*"):
        if checkpoint.suffix == PARTIAL or not checkpoint.is_dir():
            continue
        assert {"model.safetensors", "optimizer.safetensors", "random-0.safetensors"} <= {
            path.name for path in checkpoint.iterdir() if path.suffix != ".safetensors" or load_file(path)
        }
        assert read_state(checkpoint)["progress"]["step"] > 0


@pytest.mark.slow
def test_twenty_kills_anywhere_change_nothing(tmp_path):
    recipe, rng = deepening(tmp_path), random.Random(20260101)
    (tmp_path / "lines").mkdir()
    assert train(recipe, tmp_path / "whole", 1, measure, tmp_path / "lines") == [0]
    lengths = {region: list(map(int, (tmp_path / "lines" / region).read_text().split())) for region in KILLS
               if region != "branch point"}  # fmt: skip
    lengths["branch point"] = lengths["checkpoint"]
    waiting = [region for region, count in KILLS.items() for _ in range(count)]
    rng.shuffle(waiting)
    hits: Counter = Counter()
    runs = 0
    while waiting:
        folder, runs = tmp_path / f"killed-{runs}", runs + 1
        for _ in range(5):
            region, number = waiting[-1], rng.choice([signal.SIGKILL, signal.SIGTERM])
            line, report = 1 + int(rng.random() * min(lengths[region])), tmp_path / "report"
            [code] = train(recipe, folder, 1, watch, region, rng.randint(1, 2), line, number, report)
            assert_readable(folder / "checkpoints")
            if report.exists():
                report.unlink()
                assert code in ENDS[number], (region, number, code)
                hits[waiting.pop(), number.name] += 1
            if (folder / "record.json").exists() or not waiting:
                break
        if not (folder / "record.json").exists():
            assert train(recipe, folder) == [0]
        assert_same_run(tmp_path / "whole", folder)
        whole, killed = (read_json(run / "record.json") for run in (tmp_path / "whole", folder))
        assert without_clock(whole) == without_clock(killed)
        assert runs <= 20, f"still waiting to be hit: {waiting}"
    counts = Counter(region for region, _ in hits.elements())
    assert counts == KILLS and {name for _, name in hits} == {"SIGKILL", "SIGTERM"}, hits
    assert {("checkpoint", "SIGKILL"), ("evaluation", "SIGKILL"), ("growth", "SIGKILL")} <= set(hits)
    print(json.dumps({f"{region}, {name}": count for (region, name), count in sorted(hits.items())}), runs)
