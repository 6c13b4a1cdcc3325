# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark against another commit, in a small repository made here. Nothing here asserts a time."""

import json
import subprocess
from pathlib import Path

import pytest

from hf_variants.experiments.benchmarks import revisions
from hf_variants.experiments.benchmarks import suite as benchmarking
from hf_variants.experiments.benchmarks.suite import CASES, Case, load_cases
from hf_variants.experiments.checking import InputError
from training import benchmark

MACHINERY = """
from types import SimpleNamespace

class DifferentError(Exception):
    pass

CASES = {}
"""
SUITE = """
import torch
from .benchmarking import CASES, DifferentError, SimpleNamespace

def refuse():
    raise DifferentError("outputs differ by 1")

def add(name, ours, check=lambda: None, unit="ms"):
    sides = SimpleNamespace(check=check, ours=ours)
    CASES[name] = SimpleNamespace(build=lambda: sides, unit=unit)

print("an import may print")
add("same", lambda: torch.randn(3))
add("memory", lambda: SIZE, unit="MiB")
add("changed", lambda: torch.full((3,), SIZE))
add("reshaped", lambda: torch.zeros(int(SIZE)))
add("refused", lambda: None, refuse if SIZE == 2 else lambda: None)
add("dies", lambda: 1 / (SIZE - 2))
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A clone of a package with a suite of cases; the tag `old` lacks one and has another size, `empty` has none."""
    origin, root = tmp_path / "origin", tmp_path / "clone"
    package = origin / "hf_variants" / "experiments"
    package.mkdir(parents=True)
    git(origin, "init", "--quiet")
    for path in (package.parent / "__init__.py", package / "__init__.py"):
        path.touch()
    for tag, suite in (
        ("empty", None),
        ("old", f"SIZE = 2.0\n{SUITE}"),
        ("new", f"SIZE = 3.0\n{SUITE}\nadd('added', lambda: None)\n"),
    ):
        if suite is not None:
            (package / "benchmarking.py").write_text(MACHINERY)
            (package / "benchmark_suite.py").write_text(suite)
        git(origin, "add", ".")
        git(origin, "commit", "--quiet", "--message", tag)
        git(origin, "tag", tag)
    git(tmp_path, "clone", "--quiet", str(origin), str(root))
    monkeypatch.setattr(revisions, "ROOT", root.resolve())
    return root


def trees(root: Path) -> int:
    """How many worktrees git knows of, the checkout itself included."""
    return git(root, "worktree", "list", "--porcelain").count("worktree ")


def test_a_worktree_is_removed_however_it_ends(repository):
    with revisions.worktree("old") as tree:
        assert "SIZE = 2.0" in (tree / "hf_variants" / "experiments" / "benchmark_suite.py").read_text()
        (tree / "changed.txt").touch()
        assert trees(repository) == 2
    assert trees(repository) == 1 and not tree.exists()
    with pytest.raises(KeyboardInterrupt), revisions.worktree("old"):
        raise KeyboardInterrupt
    assert trees(repository) == 1 and git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("revision", "message"),
    [("nowhere", "'nowhere'; allowed: a commit"), ("--help", "'--help'; allowed"), ("empty", "has no benchmark")],
)
def test_a_wrong_revision_is_one_line(repository, revision, message, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmark.main([f"--base={revision}", "--only", next(iter(load_cases()))])
    lines = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and len(lines) == 1 and message in lines[0]
    assert trees(repository) == 1


def test_without_a_checkout_it_is_one_line(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.setattr(revisions, "ROOT", inner)
    with pytest.raises(InputError, match="not a git repository"), revisions.worktree("old"):
        pass
    git(tmp_path, "init", "--quiet")
    with pytest.raises(InputError, match="not a git checkout of its own"), revisions.worktree("old"):
        pass


@pytest.mark.slow
def test_both_commits_take_turns_and_what_differs_is_said(repository, monkeypatch, tmp_path, capsys):
    for name in list(load_cases()):  # the program does so too, and would add to what is left
        monkeypatch.delitem(CASES, name)
    for name in ("same", "memory", "changed", "reshaped", "refused", "dies", "added"):
        monkeypatch.setitem(CASES, name, Case(name, ("a", "b"), 1.0, lambda: None))
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["--base", "old", "--rounds", "4", "--output", str(tmp_path / "bench.json")])
    assert stop.value.code == 1 and trees(repository) == 1
    content = json.loads((tmp_path / "bench.json").read_text())
    same, memory = content["cases"]
    assert (same["name"], same["rounds"], same["target"]) == ("same", 4, None)
    assert (same["ours"]["name"], same["reference"]["name"]) == ("here", "old")
    assert (memory["unit"], memory["rounds"], memory["ratio"]) == ("MiB", 3, 1.5)
    assert list(content["missing"]) == ["added"] and content["base"] == "old"
    for name, message in (
        ("changed", "outputs of the two commits differ by 1.00e+00"),
        ("reshaped", "of shape (3,) and (2,)"),
        ("refused", "in base: outputs differ by 1"),
        ("dies", "ZeroDivisionError"),
    ):
        assert message in content["different"][name]
    assert "added … left out: base does not have the case" in capsys.readouterr().err


def test_a_case_of_this_package_is_loaded_by_its_file_name():
    assert benchmarking.load_cases() is CASES and "bigru_32x256_full" in CASES
