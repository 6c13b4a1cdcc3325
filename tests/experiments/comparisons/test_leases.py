# Copyright 2026 The hf_variants authors. MIT licence.
"""Leases: one holder at a time, given back in any case, taken over from the dead and from nobody else."""

import json
import multiprocessing
import os
import socket
import time
from pathlib import Path

import pytest

from hf_variants.experiments.comparisons import leases
from hf_variants.experiments.comparisons.leases import STALE, holder, leased


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records" / "a.lease"


def written(path: Path, age: float = 0.0, **changes) -> None:
    """A lease as another process would have left it."""
    about = {"host": "elsewhere", "pid": 1, "started": "1", "token": "t"} | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about))
    then = time.time() - age
    os.utime(path, (then, then))


def test_it_is_held_by_one_and_given_back(path):
    with leased(path) as mine:
        assert mine and holder(path).pid == os.getpid()
        with leased(path) as again:
            assert not again
        assert holder(path) is not None
    assert holder(path) is None and list(path.parent.iterdir()) == []
    with leased(path) as mine:
        assert mine


def test_an_error_gives_it_back(path):
    with pytest.raises(ZeroDivisionError), leased(path):
        raise ZeroDivisionError
    assert holder(path) is None


def test_a_lease_of_another_machine_lasts_as_long_as_it_is_touched(path):
    written(path, age=STALE - 20)
    with leased(path) as mine:
        assert not mine
    written(path, age=STALE + 20)
    with leased(path) as mine:
        assert mine and holder(path).pid == os.getpid()


def gone() -> int:
    """The number of a process that has ended."""
    process = multiprocessing.get_context("spawn").Process()
    process.start()
    process.join()
    return process.pid


def test_a_process_of_this_machine_that_is_gone_holds_nothing(path):
    written(path, host=socket.gethostname(), pid=gone())
    with leased(path) as mine:
        assert mine


def test_a_later_process_with_the_same_number_is_another_one(path):
    written(path, host=socket.gethostname(), pid=os.getpid(), started="0")
    with leased(path) as mine:
        assert mine


def test_a_process_that_was_stopped_for_long_holds_what_it_had(path):
    written(path, age=10 * STALE, host=socket.gethostname(), pid=os.getpid(), started=leases._start_of(os.getpid()))
    with leased(path) as mine:
        assert not mine


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_file_that_says_nothing_is_nobody_s(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with leased(path) as mine:
        assert mine


def test_it_is_touched_while_it_is_held(path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.01)
    with leased(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 20
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_what_was_taken_over_is_not_given_back_by_who_lost_it(path):
    with leased(path) as mine:
        assert mine
        written(path)
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_only_a_stale_lease_is_taken_away(path):
    """Two that see the same stale lease: the second comes when the first has its own already."""
    written(path)
    stale, fresh = leases._read(path), {"host": "elsewhere", "pid": 2, "started": "2", "token": "u"}
    path.write_text(json.dumps(fresh))
    leases._take_away(path, stale)
    assert json.loads(path.read_text()) == fresh and [file.name for file in path.parent.iterdir()] == [path.name]


def _contend(path: str, start: float, log: str) -> None:
    time.sleep(max(0.0, start - time.time()))
    for _ in range(60):
        with leased(Path(path)) as mine:
            if mine:
                with open(log, "a") as file:
                    file.write("in\n")
                    file.flush()
                    time.sleep(0.001)
                    file.write("out\n")


def test_processes_that_ask_at_once_never_hold_it_together(path, tmp_path):
    context = multiprocessing.get_context("spawn")
    log, start = tmp_path / "log", time.time() + 3
    processes = [context.Process(target=_contend, args=(str(path), start, str(log))) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = log.read_text().split()
    assert lines == ["in", "out"] * (len(lines) // 2) and len(lines) >= 60
