"""Runs the common model tests of transformers over every row of `hf_variants/auto.py` (`make conformance`).

Exit code 1 if any test fails, or if fewer than `FEWEST` of them pass for a model (its own number in `FEWEST_OF`): a
suite that quietly skips everything is not a passing one. Arguments are handed on to pytest, and then the number does
not matter: `run.py -k "minbert and resize"`.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from distribution import ROOT, fetch

FEWEST = 80
FEWEST_OF = {"bigru": 75}  # it has no attention, and 28 of the tests are of nothing else
SUITE = Path(__file__).with_name("suite.py")


class Recorder:
    """A pytest plugin that keeps the outcome of every test, as `{model_type: {test: outcome}}`."""

    def __init__(self):
        self.results: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record one report. A failure stays, whatever follows it; a subtest matters only if it fails."""
        _, model_type, test = report.nodeid.split("::", 2)
        tests = self.results.setdefault(model_type, {})
        is_subtest = hasattr(report, "context")
        if report.failed:
            tests[test] = "failed"
        elif not is_subtest and (report.skipped or report.when == "call"):
            tests.setdefault(test, report.outcome)


def run_suite(recorder: Recorder, arguments: list[str]) -> int:
    """Run the suite on two workers and return pytest's exit code."""
    sys.path[:0] = [str(fetch()), str(ROOT)]  # the workers start with a copy of it
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    # The options of pyproject.toml are for our own tests (strict markers would refuse those of transformers).
    options = ["-n", "2", "-qq", "--tb=short", "--disable-warnings", "-o", "addopts=--import-mode=importlib"]
    options += ["-o", "verbosity_subtests=0"]  # one mark per test, not per subtest
    return pytest.main([str(SUITE), f"--rootdir={ROOT}", *options, *arguments], plugins=[recorder])


def summarize(results: dict[str, dict[str, str]], whole: bool) -> bool:
    """Print the counts of every model and its failures by name; return whether all is well.

    How many tests passed matters only where the `whole` suite was run.
    """
    healthy = True
    for model_type, tests in sorted(results.items()):
        counts = Counter(tests.values())
        fewest = FEWEST_OF.get(model_type, FEWEST) if whole else 0
        print(f"{model_type}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
        for test in sorted(test for test, outcome in tests.items() if outcome == "failed"):
            print(f"  FAILED {model_type}::{test}")
        if counts["passed"] < fewest:
            print(f"  FAILED {model_type}: {counts['passed']} tests passed, at least {fewest} must")
        healthy &= counts["failed"] == 0 and counts["passed"] >= fewest
    return healthy


def main() -> int:
    """Run everything and return the exit code."""
    recorder, arguments = Recorder(), sys.argv[1:]
    code = run_suite(recorder, arguments)
    healthy = summarize(recorder.results, whole=not arguments)
    if code not in (0, 1):
        print(f"conformance: pytest ended with exit code {int(code)} before all tests were done")
    return 0 if healthy and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
