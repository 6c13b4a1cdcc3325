# Copyright 2026 The hf_variants authors. MIT licence.
"""Our side of a benchmark case here and at another commit: two processes that take turns.

The other commit is checked out as a git worktree, which is removed at the end, however that comes. Each process
imports the package of its own tree, checks the case there, and waits while the other one works.
"""

import json
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import torch

from ..checking import InputError
from ..machine.timing import LEAST_ROUNDS, alternate
from .suite import MAX_SECONDS, DifferentError, assert_close, summarise_case

ROOT = Path(__file__).resolve().parents[3]
CHILD = Path(__file__).with_name("case_process.py")
ALLOWED = 1e-4  # between what the two commits compute, whose size is about 1


class MissingCaseError(DifferentError):
    """One of the commits does not have the case."""


# ---- the other commit ----------------------------------------------------------------------------------------------


def git(*arguments: str) -> str:
    """What git says, in the checkout that this code lies in. Raises InputError in git's words where it fails."""
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except OSError as error:
        raise InputError(f"--base: git can't be run: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"git {arguments[0]} failed"]
        raise InputError(f"--base: {lines[-1].removeprefix('fatal: ')}") from None


def find_commit(revision: str) -> str:
    """The full name of a commit. Raises InputError where there is no checkout, or no such commit in it."""
    if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
        raise InputError(f"--base: {ROOT} is not a git checkout of its own")
    try:
        return git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except InputError:
        raise InputError(f"--base: '{revision}'; allowed: a commit, branch or tag of this checkout") from None


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """The tree of another commit, as long as the context lasts. Raises InputError where it has no benchmark."""
    commit = find_commit(revision)
    with tempfile.TemporaryDirectory() as folder, _ends_in_order():
        path = Path(folder).resolve() / "base"
        try:
            git("worktree", "add", "--quiet", "--detach", str(path), commit)
            if not any(
                (path / "hf_variants" / "experiments" / name).exists() for name in ("benchmarks", "benchmarking.py")
            ):
                raise InputError(f"--base: '{revision}' has no benchmark cases")
            yield path
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(path)], capture_output=True)


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Lets a terminated program clean up."""

    def stop(number: int, frame: types.FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---- the two processes ---------------------------------------------------------------------------------------------


class CaseProcess:
    """A case in the tree at `root`, ready to take turns once it has been asked for its unit."""

    def __init__(self, root: Path, name: str, folder: Path) -> None:
        self.root, self.name = root, name
        self.values, self.messages = folder / "values.pt", (folder / "messages.txt").open("w+", encoding="utf-8")
        # with -c the working folder comes first on the path, and the folder of the file nowhere
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD.read_text(encoding="utf-8"), name, str(self.values)],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        """The next answer. Raises DifferentError where there is none, or it says that something is wrong."""
        line = self.process.stdout.readline()
        if not line:
            self.messages.seek(0)
            last = (self.messages.read().strip() or "it said nothing").splitlines()[-1]
            raise DifferentError(f"the process in {self.root.name} ended: {last}")
        found = json.loads(line)
        if found.get("missing"):
            raise MissingCaseError(f"{self.root.name} does not have the case")
        if "problem" in found:
            raise DifferentError(f"in {self.root.name}: {found['problem']}")
        return found

    def turn(self) -> float:
        """Runs our side once: seconds, or what it returns."""
        with suppress(BrokenPipeError):  # the missing answer says that the process has ended
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return self.answer()["value"]

    def value(self) -> torch.Tensor:
        """What our side returned at first."""
        return torch.load(self.values, weights_only=True)

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.messages):
            with suppress(BrokenPipeError):
                file.close()


@contextmanager
def case_process(root: Path, name: str) -> Iterator[CaseProcess]:
    """A case in the tree at `root`, as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        process = CaseProcess(root, name, Path(folder))
        try:
            yield process
        finally:
            process.close()


def assert_same_values(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Raises DifferentError unless both commits computed the same."""
    if found.shape != expected.shape:
        raise DifferentError(f"outputs are of shape {tuple(found.shape)} and {tuple(expected.shape)}")
    if found.numel():
        assert_close(found.double(), expected.double(), "outputs of the two commits differ", allowed=ALLOWED)


def measure_against(
    base: Path, revision: str, name: str, rounds: int, max_seconds: float = MAX_SECONDS
) -> dict[str, Any]:
    """Checks one case in both trees and that they compute the same, then times our side of both in turns.

    Raises DifferentError where a check fails.
    """
    with case_process(ROOT, name) as here, case_process(base, name) as there:
        units = [process.answer()["unit"] for process in (here, there)]
        if units[0] != units[1]:
            raise DifferentError(f"units are {units[0]} and {units[1]}")
        assert_same_values(here.value(), there.value())
        rounds = rounds if units[0] == "ms" else min(rounds, LEAST_ROUNDS)
        both = {"ours": here.turn, "reference": there.turn}
        values = alternate(both, rounds, max_seconds=max_seconds, measure=lambda turn: turn())
    return summarise_case(name, ("here", revision), values, units[0])
