# Copyright 2026 The hf_variants authors. MIT licence.
"""Several processes of one command on one machine, which share out what is still to be done by leases."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..checking import InputError, StoppedError

WORKER = "HF_VARIANTS_WORKER"  # in the environment of a worker: its number


def is_worker() -> bool:
    """Whether this process is one that `run_workers` started: it starts none, and leaves the end to who started it."""
    return WORKER in os.environ


@dataclass
class Worker:
    """A process that works on its own; what it prints is in its log."""

    number: int
    process: subprocess.Popen
    log: Path
    file: TextIO

    def last_line(self) -> str:
        """The last line that it printed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing was printed"


def run_workers(command: Sequence[str], count: int, folder: Path, look: Callable[[], None], pause: float) -> None:
    """Starts `count` processes of a command, each with its share of threads and GPUs, and waits for all of them.

    `look` is called in between, every `pause` seconds. One that dies is named: the others take over what it was at.
    Raises InputError where all of them failed. Asked to stop, it asks them, which then write their checkpoints.
    """
    if is_worker():
        raise RuntimeError("a worker starts no workers")
    workers: list[Worker] = []
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        workers += (_start(command, number, count, folder) for number in range(count))
        while any(worker.process.poll() is None for worker in workers):
            look()
            time.sleep(pause)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.wait()
            worker.file.close()
        signal.signal(signal.SIGTERM, before)
    look()
    _complain(workers)


def _stop(*_: object) -> None:
    raise StoppedError("stopped; run the same command again to go on from the last checkpoints", signal.SIGTERM)


def _complain(workers: Sequence[Worker]) -> None:
    failed = [worker for worker in workers if worker.process.returncode]
    for worker in failed:
        about = f"worker {worker.number} ended with exit code {worker.process.returncode}: {worker.last_line()}"
        print(f"{about} (all of it: {worker.log})", file=sys.stderr)
    if len(failed) == len(workers):
        raise InputError(f"all {len(workers)} workers failed; {failed[0].last_line().removeprefix('error: ')}")


def _start(command: Sequence[str], number: int, count: int, folder: Path) -> Worker:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"worker-{number}.log"
    file = log.open("w", encoding="utf-8")
    about = {"env": share_of_machine(number, count), "start_new_session": True}  # a terminal's Ctrl-C asks us alone
    streams = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, **streams, **about)
    return Worker(number, process, log, file)


def share_of_machine(number: int, count: int) -> dict[str, str]:
    """The environment of one of `count` workers: its share of the threads, and of the GPUs that are visible here."""
    found, devices = {**os.environ, "PYTHONUNBUFFERED": "1", WORKER: str(number)}, _devices()
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    found["OMP_NUM_THREADS"] = str(max(1, threads // count))
    if devices:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(devices[number % len(devices) :: count])
    return found


def _devices() -> list[str]:
    """The GPUs that this process sees, by the names that CUDA_VISIBLE_DEVICES has for them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())]
