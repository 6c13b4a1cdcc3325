# Copyright 2026 The hf_variants authors. MIT licence.
"""Checks the table of what transformers' generation tests demand: nothing is missing, every test of ours exists."""

import ast
import os
from pathlib import Path

import pytest

from tests.helpers.generation_demands import BEYOND, COVERED, INAPPLICABLE
from tests.helpers.places import ROOT


def names_of_tests(path: Path, *classes: str) -> set[str]:
    """Names of the tests of a file, or of some of its classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    scopes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in classes] or [tree]
    functions = [node for scope in scopes for node in scope.body if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_test_that_is_named_exists():
    named = {test for tests in COVERED.values() for test in tests} | set(BEYOND)
    for path in {test.split("::")[0] for test in named}:
        missing = {test for test in named if test.startswith(f"{path}::")} - {
            f"{path}::{name}" for name in names_of_tests(ROOT / path)
        }
        assert not missing, missing


def test_a_demand_is_covered_or_has_a_reason():
    assert not COVERED.keys() & INAPPLICABLE.keys()
    assert all(COVERED.values()) and all(INAPPLICABLE.values())


def test_all_of_our_generation_tests_are_in_the_table():
    named = {test for tests in COVERED.values() for test in tests} | set(BEYOND)
    ours = {
        f"tests/table/test_generation.py::{name}"
        for name in names_of_tests(ROOT / "tests" / "table" / "test_generation.py")
    }
    assert ours - named == {"tests/table/test_generation.py::test_the_refusals_are_of_what_generate_knows"}


@pytest.mark.skipif("TRANSFORMERS_TESTS" not in os.environ, reason="TRANSFORMERS_TESTS names no checkout")
def test_the_table_lists_all_tests_of_transformers():
    folder = Path(os.environ["TRANSFORMERS_TESTS"])
    demanded = names_of_tests(folder / "generation" / "test_utils.py", "GenerationTesterMixin")
    demanded |= names_of_tests(
        folder / "exporters" / "test_export.py", "ExportTesterMixin", "ExportGenerateTesterMixin"
    )
    assert demanded - COVERED.keys() - INAPPLICABLE.keys() == set()
