# Copyright 2026 The hf_variants authors. MIT licence.
"""How far a comparison is: which trials and runs are done, who is at which, and how long those still take."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..recipes.sections import TrainingArguments
from ..tables import DASH, aligned_table, duration
from .cells import CellsRunner
from .leases import holder
from .runner import LEASE, Runner
from .tuning import trial_recipes

DONE, RUNNING, WAITING = "done", "running", "waiting"
_END = 65_536  # bytes of the last lines of a file of metrics


@dataclass(frozen=True)
class Unit:
    """A trial or a run: how it is called, whether it is done, and of one that runs who is at it and how far."""

    name: str
    state: str
    who: str = ""
    share: float | None = None  # of the budget, where it is counted in tokens, steps or seconds
    seconds_left: float | None = None


def units(every: CellsRunner, names: Sequence[str]) -> Iterator[Unit]:
    """All trials and runs of these cells, in the order in which they are done."""
    for name in names:
        runner, place = every.runners[name], f"{name}: " if name else ""
        yield from (_unit(place, *found) for found in (*_trials(runner), *_runs(runner)))


def _trials(runner: Runner) -> Iterator[tuple[str, Path, Path, TrainingArguments]]:
    comparison = runner.comparison
    for arm in comparison.arms if comparison.tune is not None else ():
        for number, (_, recipe) in enumerate(trial_recipes(comparison, arm)):
            path = runner.trial_path(arm, number)
            yield f"{arm}, trial {number}", path, runner.trial_folder(arm, number), recipe.training


def _runs(runner: Runner) -> Iterator[tuple[str, Path, Path, TrainingArguments]]:
    comparison = runner.comparison
    for seed in comparison.seeds:
        for arm in comparison.arms:
            if seed in comparison.seeds_of(arm):  # tuned settings change no budget
                training = comparison.recipe(arm, seed).training
                yield f"{arm}, seed {seed}", runner.record_path(arm, seed), runner.run_folder(arm, seed), training


def _unit(place: str, name: str, record: Path, folder: Path, training: TrainingArguments) -> Unit:
    if record.exists():
        return Unit(place + name, DONE)
    who = holder(record.with_suffix(LEASE))
    if who is None:
        return Unit(place + name, WAITING)
    share, seconds = _position(folder / "metrics.jsonl", training)
    left = seconds * (1 - share) / share if share and seconds else None
    return Unit(place + name, RUNNING, str(who), share, left)


def _position(metrics: Path, training: TrainingArguments) -> tuple[float | None, float]:
    """The share of its budget that a run has spent, and its seconds of training, by the last line that was written."""
    last = _last_line(metrics)
    seconds = float(last.get("seconds", 0.0))
    for budget, spent in (
        (training.max_tokens, last.get("tokens")),
        (training.max_steps, last.get("step")),
        (training.max_seconds, seconds),
    ):
        if budget and spent is not None:
            return min(1.0, spent / budget), seconds
    return None, seconds


def _last_line(path: Path) -> dict[str, float]:
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
        whole = [line for line in file.read().split(b"\n")[:-1] if line.endswith(b"}")]
        return json.loads(whole[-1]) if whole else {}
    return {}


def summary(found: Sequence[Unit], at_once: int = 1) -> str:
    """One line: `3 of 6 done, 2 running, about 4 min left`; the rest is estimated from what runs now."""
    done, running = (sum(unit.state == state for unit in found) for state in (DONE, RUNNING))
    text = f"{done} of {len(found)} done, {running} running"
    left = seconds_left(found, at_once)
    return text if left is None else f"{text}, about {duration(left)} left"


def seconds_left(found: Sequence[Unit], at_once: int) -> float | None:
    """How long all of it still takes, if what waits takes as long as what runs now; None where nothing is known."""
    known = [unit for unit in found if unit.seconds_left is not None and unit.share < 1]
    if not known:
        return None
    whole = sum(unit.seconds_left / (1 - unit.share) for unit in known) / len(known)
    waiting = sum(unit.state == WAITING for unit in found)
    return max(unit.seconds_left for unit in known) + waiting * whole / max(at_once, len(known))


class Display:
    """Shows how far all is: on a terminal a table that is drawn again, elsewhere a line whenever something is done."""

    def __init__(self, at_once: int, out: TextIO = sys.stdout) -> None:
        self.at_once, self.out, self.lines, self.done = at_once, out, 0, -1

    def show(self, found: Sequence[Unit]) -> None:
        """Shows it as it is now."""
        done = sum(unit.state == DONE for unit in found)
        if self.out.isatty():
            running = [unit for unit in found if unit.state == RUNNING]
            text = f"{table(running)}\n{summary(found, self.at_once)}" if running else summary(found, self.at_once)
            back = f"\x1b[{self.lines}F\x1b[J" if self.lines else ""  # to the first line of what is there
            self.out.write(f"{back}{text}\n")
            self.lines = text.count("\n") + 1
        elif done != self.done:
            self.out.write(summary(found, self.at_once) + "\n")
        self.done = done
        self.out.flush()


def table(found: Sequence[Unit]) -> str:
    """All trials and runs as aligned columns."""
    rows = [
        [
            unit.name,
            unit.state,
            DASH if unit.share is None else f"{100 * unit.share:.0f} %",
            duration(unit.seconds_left),
            unit.who or DASH,
        ]
        for unit in found
    ]
    return aligned_table(["trial or run", "", "budget", "left", "process"], rows, left=2)
