# Copyright 2026 The hf_variants authors. MIT licence.
"""Who works on what: a lease is a file that one process holds at a time, on any machine with the same file system.

Its holder touches it every few seconds. One that was not touched for a minute, or, if it is of this machine, whose
process is gone, is taken over by whoever asks next.
"""

import contextlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BEAT = 5.0  # seconds between two touches
STALE = 60.0  # seconds without one after which a lease is nobody's


@dataclass(frozen=True)
class Holder:
    """Who holds a lease."""

    host: str
    pid: int
    started: str  # what tells the process from a later one with its number
    token: str  # what tells this lease from another of the same process

    def __str__(self) -> str:
        return f"{self.pid} on {self.host}"


def holder(path: Path) -> Holder | None:
    """Who holds the lease in this file; None where nobody does."""
    found = _read(path)
    return None if found is None or _is_stale(path, found) else found


@contextlib.contextmanager
def leased(path: Path) -> Iterator[bool]:
    """Holds the lease in this file inside the block, and says whether it could be had: else another process has it."""
    own = Holder(socket.gethostname(), os.getpid(), _start_of(os.getpid()), uuid.uuid4().hex)
    if not _acquire(path, own):
        yield False
        return
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, own, done), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        done.set()
        beating.join()
        if _read(path) == own:
            path.unlink(missing_ok=True)


def _acquire(path: Path, own: Holder) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(3):
        if _create(path, own):
            return True
        found = _read(path)
        if found is not None and not _is_stale(path, found):
            return False
        _take_away(path, found)
    return False


def _create(path: Path, own: Holder) -> bool:
    """Makes the file with its content in one step, unless it is there: a link fails where its name is taken."""
    whole = path.with_name(f"{path.name}.{own.token}")
    whole.write_text(json.dumps(vars(own)), encoding="utf-8")
    try:
        os.link(whole, path)
    except FileExistsError:
        return False
    finally:
        whole.unlink()
    return True


def _take_away(path: Path, stale: Holder | None) -> None:
    """Removes a lease that nobody holds any more; puts it back where another one was taken over in the meantime."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        if _read(aside) != stale:
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _read(path: Path) -> Holder | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _is_stale(path: Path, found: Holder) -> bool:
    if found.host == socket.gethostname():
        return not _is_alive(found)
    with contextlib.suppress(FileNotFoundError):
        return _now(path.parent) - path.stat().st_mtime > STALE
    return True


def _is_alive(found: Holder) -> bool:
    with contextlib.suppress(PermissionError):  # somebody else's
        try:
            os.kill(found.pid, 0)
        except ProcessLookupError:
            return False
    return _start_of(found.pid) == found.started


def _start_of(pid: int) -> str:
    """When a process began, in ticks since this machine did; empty where the system doesn't say."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _now(folder: Path) -> float:
    """The time of the file system, which is not that of this machine where it is another's."""
    probe = folder / f".{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _beat(path: Path, own: Holder, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with contextlib.suppress(OSError):
            if _read(path) == own:
                os.utime(path)
