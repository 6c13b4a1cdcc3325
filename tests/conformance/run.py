"""Runs the common model tests of transformers over every row of `hf_variants/auto.py` (`make conformance`).

Every row is tried in each of its configurations (`tests/helpers/models.py`). Exit code 1 if any test fails, or if
fewer pass than `FLOORS` says: a suite that quietly skips everything is not a passing one. What was skipped, and why,
is printed.
Arguments are handed on to pytest, and then the number does not matter: `run.py -k "minbert and resize"`.

The generation tests of transformers are in no package; `TRANSFORMERS_TESTS=transformers/tests run.py` adds them from a
checkout. What they demand our own tests ask as well (`tests/helpers/generation_demands.py`).
"""

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from distribution import MIXINS, ROOT, checkout, fetch

# How many tests pass today, in the configuration of a row where they are fewest. bigru has no attention, and 28 of the
# tests are of nothing else.
FLOORS = {
    "minbert": 106,
    "highway_bert": 106,
    "similarity_bert": 106,
    "nanogpt": 105,
    "conv_gpt": 104,
    "progressive_gpt": 104,
    "bigru": 76,
}
SUITE = Path(__file__).with_name("suite.py")


class Recorder:
    """A pytest plugin that keeps the outcome of every test, `{model: {test: outcome}}`, and the reasons for skips.

    A model is a row of the table in one configuration, "nanogpt-tied".
    """

    def __init__(self):
        self.results: dict[str, dict[str, str]] = {}
        self.reasons: dict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record one report. A failure stays, whatever follows it; a subtest matters only if it fails."""
        _, model, test = report.nodeid.split("::", 2)
        tests = self.results.setdefault(model, {})
        is_subtest = hasattr(report, "context")
        if report.failed:
            tests[test] = "failed"
        elif not is_subtest and (report.skipped or report.when == "call"):
            tests.setdefault(test, report.outcome)
        if report.skipped and not is_subtest:
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self.reasons[reason].append(f"{model}::{test}")


def run_suite(recorder: Recorder, arguments: list[str]) -> int:
    """Run the suite on two workers and return pytest's exit code."""
    sys.path[:0] = [str(fetch()), str(ROOT)]  # the workers start with a copy of it
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    # The options of pyproject.toml are for our own tests (strict markers would refuse those of transformers).
    options = ["-n", "2", "-qq", "--tb=short", "--disable-warnings", "-o", "addopts=--import-mode=importlib"]
    options += ["-o", "verbosity_subtests=0"]  # one mark per test, not per subtest
    return pytest.main([str(SUITE), f"--rootdir={ROOT}", *options, *arguments], plugins=[recorder])


def print_reasons(reasons: dict[str, list[str]]) -> None:
    """Print why tests were skipped, the commonest reason first."""
    print(f"skipped: {sum(map(len, reasons.values()))}")
    for reason, tests in sorted(reasons.items(), key=lambda item: -len(item[1])):
        models = sorted({test.split("::")[0] for test in tests})
        where = f"{models[0]} and {len(models) - 1} more" if len(models) > 1 else models[0]
        print(f"  {len(tests):5} {reason} ({where})")


def summarize(results: dict[str, dict[str, str]], whole: bool) -> bool:
    """Print the counts of every model and its failures by name; return whether all is well.

    How many tests passed matters only where the `whole` suite was run.
    """
    healthy = True
    for model, tests in sorted(results.items()):
        counts = Counter(tests.values())
        floor = FLOORS[model.split("-")[0]] if whole else 0
        print(f"{model}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
        for test in sorted(test for test, outcome in tests.items() if outcome == "failed"):
            print(f"  FAILED {model}::{test}")
        if counts["passed"] < floor:
            print(f"  FAILED {model}: {counts['passed']} tests passed, at least {floor} must")
        healthy &= counts["failed"] == 0 and counts["passed"] >= floor
    return healthy


def main() -> int:
    """Run everything and return the exit code."""
    recorder, arguments = Recorder(), sys.argv[1:]
    code = run_suite(recorder, arguments)
    print_reasons(recorder.reasons)
    healthy = summarize(recorder.results, whole=not arguments)
    if checkout() is None:
        print(
            f"not run: {' and '.join(MIXINS.values())}, which no package has; see tests/helpers/generation_demands.py"
        )
    if code not in (0, 1):
        print(f"conformance: pytest ended with exit code {int(code)} before all tests were done")
    return 0 if healthy and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
