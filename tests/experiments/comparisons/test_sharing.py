# Copyright 2026 The hf_variants authors. MIT licence.
"""Several processes at one comparison: each trial and run is made once, whoever dies, and comes out as alone."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hf_variants.experiments.checking import InputError, StoppedError
from hf_variants.experiments.comparisons.cells import CellsRunner, load_cells
from hf_variants.experiments.comparisons.leases import leased
from hf_variants.experiments.comparisons.progress import Unit, seconds_left, summary, table, units
from hf_variants.experiments.comparisons.workers import WORKER, run_workers, share_of_machine
from hf_variants.experiments.engine.record import WALL_CLOCK_FIELDS
from tests.experiments.comparisons.test_comparison import QUICK, RUNS, TRIALS, names, read, run, write
from tests.helpers.places import TRAINING

PROGRAM = [sys.executable, str(TRAINING / "compare.py")]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
CLOCKS = {*WALL_CLOCK_FIELDS, "environment", "finished", "speed"}


def without_clocks(value):
    """A record without what differs from one time to the next."""
    if isinstance(value, dict):
        return {name: without_clocks(inner) for name, inner in value.items() if name not in CLOCKS}
    return [without_clocks(inner) for inner in value] if isinstance(value, list) else value


def records(folder: Path) -> dict[str, dict]:
    """The records of all runs and trials, by name."""
    return {name: without_clocks(read(folder / "records" / f"{name}.json")) for name in RUNS | TRIALS}


def started(output: str) -> list[str]:
    """What a process says that it began."""
    return re.findall(r"^(?:tuning|running) .*$", output, re.MULTILINE)


def begin(file: Path, folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    command = [*PROGRAM, "--config", str(file), "--output_dir", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=ENVIRONMENT | environment)  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, Path]:
    """A comparison that one process made: its file and its folder."""
    folder = tmp_path_factory.mktemp("alone")
    file = write(folder)
    assert run(file, folder / "out", "--only", "tune") == 0 and run(file, folder / "out", "--only", "run") == 0
    return file, folder / "out"


def test_processes_share_it_and_the_records_are_the_same(alone, tmp_path):
    file, folder = alone[0], tmp_path / "out"
    process = begin(file, folder, "--processes", "2")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert names(folder) == RUNS | TRIALS | {"timing", "ngrams"} and (folder / "report.md").is_file()
    assert records(folder) == records(alone[1])
    logs = [path.read_text() for path in sorted((folder / "workers").glob("*.log"))]
    begun = [line for log in logs for line in started(log)]
    assert len(logs) == 2 and len(begun) == len(set(begun)) == len(RUNS | TRIALS)
    assert "8 of 8 done, 0 running" in output and not list(folder.rglob("*.lease"))


@pytest.mark.slow
def test_the_same_command_twice_shares_the_work(alone, tmp_path):
    both = [begin(alone[0], tmp_path / "out") for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    begun = [line for output in outputs for line in started(output)]
    assert sorted(begun) == sorted(set(begun)) and len(begun) == len(RUNS | TRIALS)
    assert sum("timing 2 arms" in output for output in outputs) == 1
    assert records(tmp_path / "out") == records(alone[1])


@pytest.mark.slow
def test_what_another_process_is_at_is_waited_for(alone, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "out"
    with leased(folder / "records" / "tune-highway-0.lease") as mine:
        assert mine
        status = run(alone[0], folder, "--status")
        said = capsys.readouterr().out
        assert status == 0 and f"{os.getpid()} on {socket.gethostname()}" in said
        assert "0 of 8 done, 1 running" in said
        process = begin(alone[0], folder, "--only", "tune")
        deadline = time.monotonic() + 120
        others = {f"tune-{arm}-{number}" for arm in ("residual", "highway") for number in (0, 1)} - {"tune-highway-0"}
        while names(folder) != others and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.0)
        assert process.poll() is None and names(folder) == others
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert names(folder) == TRIALS


def test_status_reads_no_data_and_writes_nothing(alone, tmp_path, capsys):
    assert run(alone[0], tmp_path / "new", "--status") == 0
    assert "0 of 8 done, 0 running" in capsys.readouterr().out and not (tmp_path / "new").exists()
    assert run(alone[0], alone[1], "--status") == 0
    assert "8 of 8 done" in capsys.readouterr().out


def test_how_far_a_run_is(alone, tmp_path):
    every = CellsRunner(load_cells(alone[0]), tmp_path)
    folder = every.runners[""].run_folder("highway", 1)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 2, "seconds": 3.0}\n{"step": 3, "seconds": 6.0}\n{"step": 4, "se')
    with leased(tmp_path / "records" / "highway-seed1.lease"):
        [unit] = [unit for unit in units(every, [""]) if unit.state == "running"]
    assert (unit.name, unit.share, unit.seconds_left) == ("highway, seed 1", 0.5, 6.0)
    assert QUICK["max_steps"] == 6


def test_what_is_left_is_estimated_from_what_runs():
    running, waiting = Unit("a", "running", "1 on x", share=0.25, seconds_left=90.0), Unit("b", "waiting")
    assert seconds_left([waiting], 2) is None and summary([waiting]) == "0 of 1 done, 0 running"
    assert seconds_left([running, waiting, waiting], 2) == 90.0 + 2 * 120.0 / 2
    assert summary([Unit("c", "done"), running]) == "1 of 2 done, 1 running, about 2 min left"
    assert summary([Unit("d", "running", "2 on x", share=1.0, seconds_left=0.0)]) == "0 of 1 done, 1 running"
    assert "25 %" in table([running, waiting]) and "1 on x" in table([running])


def test_threads_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    found = [share_of_machine(number, 2) for number in range(2)]
    assert [each["OMP_NUM_THREADS"] for each in found] == ["4", "4"]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == ["3,6", "5"]
    assert [share_of_machine(number, 4)["CUDA_VISIBLE_DEVICES"] for number in range(4)] == ["3", "5", "6", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert share_of_machine(0, 16)["OMP_NUM_THREADS"] == "1"


def test_workers_that_fail_are_named(tmp_path, capsys):
    fails = [sys.executable, "-c", "print('error: broken'); raise SystemExit(2)"]
    with pytest.raises(InputError, match="all 2 workers failed; broken"):
        run_workers(fails, 2, tmp_path, lambda: None, 0.05)
    assert capsys.readouterr().err.count("ended with exit code 2: error: broken") == 2
    looks, second_fails = [], ["mkdir", str(tmp_path / "once")]
    run_workers(second_fails, 2, tmp_path, lambda: looks.append(1), 0.05)
    assert re.search(r"worker [01] ended with exit code 1: mkdir: .* exists", capsys.readouterr().err) and looks


def test_stopped_it_stops_its_workers(tmp_path):
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError) as stopped:
        run_workers(["sleep", "100"], 2, tmp_path, stop, 0.1)
    assert stopped.value.code == 143 and signal.getsignal(signal.SIGTERM) == before


def test_a_worker_starts_none(tmp_path, monkeypatch):
    monkeypatch.setenv(WORKER, "1")
    with pytest.raises(RuntimeError, match="starts no workers"):
        run_workers(["true"], 2, tmp_path, lambda: None, 0.1)


@pytest.mark.parametrize("arguments", [("--processes", "0"), ("--processes", "x")])
def test_wrong_numbers_of_processes_are_refused(alone, tmp_path, capsys, arguments):
    assert run(alone[0], tmp_path / "out", *arguments) == 2
    assert "--processes" in capsys.readouterr().err


def test_under_a_launcher_of_several_processes_it_is_refused(alone, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("training.compare.is_main_process", lambda: True)
    assert run(alone[0], tmp_path / "out", "--processes", "2") == 2
    assert "--processes: 2 in a launch of several processes; allowed: one process" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_diverged_is_tried_once(alone, tmp_path, capsys):
    file = write(tmp_path, tune=None, arms={"highway": {"training": {"learning_rate": 1e30, "max_grad_norm": None}}})
    process = begin(file, tmp_path / "out", "--processes", "2", "--only", "run")
    output, _ = process.communicate()
    logs = "".join(path.read_text() for path in (tmp_path / "out" / "workers").glob("*.log"))
    assert process.returncode == 0, output + logs
    assert len(started(logs)) == 4 and "2 runs are missing: highway-seed0, highway-seed1" in output


@pytest.mark.slow
def test_sigkill_of_any_worker_at_any_time_loses_no_run(alone, tmp_path):
    """20 kills of workers that work together: another one takes over, and the records are as if none had died."""
    rng, folder, kills = random.Random(0), tmp_path / "out", 0
    working = [begin(alone[0], folder, **{WORKER: "0"}) for _ in range(2)]
    while kills < 20 and any(process.poll() is None for process in working):
        time.sleep(rng.uniform(0.5, 14.0))
        victim = rng.randrange(2)
        with contextlib.suppress(ProcessLookupError):
            working[victim].kill()
        working[victim].communicate()
        kills += 1
        working[victim] = begin(alone[0], folder, **{WORKER: "0"})
    for process in working:
        output, _ = process.communicate()
        assert process.returncode == 0, output
    assert records(folder) == records(alone[1]), json.dumps({"kills": kills})
