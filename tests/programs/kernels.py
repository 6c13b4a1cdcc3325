# Copyright 2026 The hf_variants authors. MIT licence.
"""Runs tests as other machines would: under other code paths of the same libraries (`make test-kernels`).

PyTorch, oneDNN and MKL choose by processor how they compute, and the choice can be narrowed by environment variables.
Before each mode a probe computes a few operations with it and without it, and says which ones it changes here; a mode
that changes none (an instruction set that the processor lacks or has nothing above) is not run. Then come the tests of
the families, over the table of models, and those of runs that are stopped and go on. Exit code 1 if any fails.
"""

import argparse
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UNALIGNED = {"UNALIGNED_WEIGHTS": "1"}


@dataclass(frozen=True)
class Mode:
    """A name, what stands in the environment, and with what the probe compares."""

    name: str
    environment: dict[str, str]
    against: dict[str, str]
    kills: bool = False  # also the slow tests, in which runs are killed at random moments


# On AMD processors MKL's products depend on where operands lie. On Intel ones they do so where MKL is held to SSE4.2
# or AVX: products with a vector differ for weights that don't lie at a multiple of 16 bytes. With AVX2 they don't.
OLD = {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
MODES = (
    Mode("PyTorch without vector instructions", {"ATEN_CPU_CAPABILITY": "default"}, {}),
    Mode("PyTorch with AVX2", {"ATEN_CPU_CAPABILITY": "avx2"}, {}),
    Mode("oneDNN with AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {}),
    Mode("MKL, the same on every processor", {"MKL_CBWR": "COMPATIBLE"}, {}),
    Mode("weights that lie unaligned", OLD | UNALIGNED, OLD, kills=True),
)
TESTS = (
    "tests/bert",
    "tests/gpt",
    "tests/gru",
    "tests/table/test_decoder_checks.py",
    "tests/table/test_every_configuration.py",
    "tests/table/test_in_use.py",
    "tests/table/test_masks.py",
    "tests/table/test_sameness.py",
    "tests/table/test_shared_checks.py",
    "tests/experiments/machine/test_checkpoints.py",
    "tests/experiments/engine/test_growing.py::test_killed_around_a_growth_a_run_ends_as_if_never_killed",
    "tests/experiments/engine/test_loop.py::test_a_killed_run_ends_as_if_never_killed",
    "tests/experiments/engine/test_run.py::test_ones_own_run_goes_on_where_it_stopped",
    "tests/experiments/text/test_streaming.py::test_a_killed_run_ends_as_the_undisturbed_one",
    "tests/experiments/objectives/test_text_classification.py::test_a_killed_run_ends_as_an_undisturbed_one",
)
KILLS = (
    "tests/experiments/engine/test_kills.py",
    "tests/experiments/engine/test_loop.py::test_sigkill_at_random_moments",
)


# ---- the probe -----------------------------------------------------------------------------------------------------


def operations() -> Iterator[tuple[str, Any]]:
    """Yield names and results, with weights that lie unaligned where the environment asks for it."""
    import torch
    from torch.nn import functional

    from tests.helpers.unaligned import unaligned

    place: Callable = unaligned if os.environ.get("UNALIGNED_WEIGHTS") else torch.clone
    torch.manual_seed(0)
    x, weight, bias = torch.randn(3, 17, 99), place(torch.randn(33, 99)), place(torch.randn(33))
    yield "products", functional.linear(x, weight, bias)
    yield "products with a vector", functional.linear(x[0, :1], weight)
    yield "products in float64", functional.linear(x.double(), place(weight.double()), place(bias.double()))
    yield "products in bfloat16", functional.linear(x.bfloat16(), place(weight.bfloat16()), place(bias.bfloat16()))
    yield "batched products", x @ x.transpose(1, 2)
    yield "convolutions", functional.conv1d(x.transpose(1, 2), place(torch.randn(8, 99, 4)), stride=4)
    yield "attention", functional.scaled_dot_product_attention(x, x, x)
    yield "softmax", x.softmax(-1)
    yield "norms", functional.layer_norm(x, (99,))
    yield "GELU", functional.gelu(x)


def probe() -> None:
    """Print a digest of every operation as JSON."""
    import torch

    digests = {}
    for name, result in operations():
        digests[name] = hashlib.sha256(result.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
    print(json.dumps(digests))


@functools.cache
def digests_in(environment: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return what the probe prints with these variables in the environment."""
    done = run([str(Path(__file__)), "--probe"], dict(environment))
    if done.returncode:
        raise RuntimeError(f"the probe failed with {dict(environment)}: {done.stderr[-3000:]}")
    return json.loads(done.stdout)


def changed_by(mode: Mode) -> list[str]:
    """Return the names of the operations whose results differ, to the bit, from those without the mode."""
    ours, without = (digests_in(tuple(sorted(each.items()))) for each in (mode.environment, mode.against))
    return [name for name in ours if ours[name] != without[name]]


# ---- the tests -----------------------------------------------------------------------------------------------------


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run Python in the root of the repository."""
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | paths | environment, capture_output=True, text=True)


def run_tests(mode: Mode, processes: int) -> bool:
    """Run the tests of a mode, print a line of counts, and return whether all passed; output only where not."""
    started, done = time.monotonic(), []
    common = ["-m", "pytest", "-q", "-n", str(processes), "-p", "no:cacheprovider"]
    for chosen in [TESTS, ("-m", "slow", *KILLS)] if mode.kills else [TESTS]:
        done.append(run([*common, *chosen], mode.environment))
    failed = [each for each in done if each.returncode]
    for each in failed:
        print(each.stdout[-20000:], each.stderr[-3000:], sep="\n", flush=True)
    counts = [
        re.findall(r"\d+ (?:passed|failed|skipped|errors?)", each.stdout.strip().rpartition("\n")[2]) for each in done
    ]
    text = "; then ".join(", ".join(each) or "no tests" for each in counts)
    print(f"{mode.name}: {text} in {time.monotonic() - started:.0f} s", flush=True)
    return not failed


def main() -> int:
    """Run all modes, or those whose name has `--only` in it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="run the modes whose name has this in it")
    parser.add_argument("--processes", type=int, default=2, help="how many tests run at once")
    parser.add_argument("--probe", action="store_true", help="only print a digest of every operation of the probe")
    options = parser.parse_args()
    if options.probe:
        probe()
        return 0
    passed = []
    for mode in MODES:
        if options.only not in mode.name:
            continue
        variables, changed = " ".join(f"{k}={v}" for k, v in mode.environment.items()), changed_by(mode)
        print(f"{mode.name} ({variables}) changes {', '.join(changed) or 'nothing here: not run'}", flush=True)
        passed += [run_tests(mode, options.processes)] if changed else []
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
