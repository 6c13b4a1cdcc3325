# Copyright 2026 The hf_variants authors. MIT licence.
"""One case of the hf_variants in the working folder, in a process of its own, which runs our side when it is told to.

revisions.py hands this file to `python -c`, as the other commit may not have it; so it imports nothing of the package
but what every commit with a benchmark has. A line on stdin is one turn; answers are lines of JSON.
"""

import importlib
import json
import os
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

import torch


def main(name: str, values: str) -> None:
    """Checks the case, saves what our side returns to the file `values`, then runs it once for every line."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what anything else prints must not come between the answers

    def answer(**content: Any) -> None:
        print(json.dumps(content), file=channel)

    benchmarking = load_cases()
    case = benchmarking.CASES.get(name)
    if case is None:
        return answer(missing=True)
    torch.manual_seed(0)
    sides = case.build()
    try:
        sides.check()
    except benchmarking.DifferentError as error:
        return answer(problem=str(error))
    torch.manual_seed(0)
    torch.save(first_tensor(sides.ours()), values)
    answer(unit=getattr(case, "unit", "ms"))
    for _ in sys.stdin:
        answer(value=turn(sides.ours, getattr(case, "unit", "ms")))
    return None


def load_cases() -> Any:
    """The module benchmarking of the working folder's package, after all cases have registered themselves."""
    package = importlib.import_module("hf_variants.experiments")
    if not Path(package.__file__).is_relative_to(Path.cwd()):
        raise RuntimeError(f"hf_variants was found in {package.__file__}, not in {Path.cwd()}")
    folder = Path(package.__file__).parent / "benchmarks" / "cases"
    if not folder.is_dir():  # a commit from before there were folders
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.startswith("benchmark_"):
                importlib.import_module(f"hf_variants.experiments.{module.name}")
        return importlib.import_module("hf_variants.experiments.benchmarking")
    for module in pkgutil.iter_modules([str(folder)]):
        importlib.import_module(f"hf_variants.experiments.benchmarks.cases.{module.name}")
    return importlib.import_module("hf_variants.experiments.benchmarks.suite")


def first_tensor(output: Any) -> torch.Tensor:
    """A side's tensor; of a generated text its tokens; an empty tensor for a side that returns none."""
    output = getattr(output, "sequences", output)
    return output.detach().cpu() if isinstance(output, torch.Tensor) else torch.zeros(0)


def turn(work: Any, unit: str) -> float:
    """The seconds that `work` takes, or what it returns where that is another quantity."""
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    synchronize()
    began = time.perf_counter()
    value = work()
    synchronize()
    return time.perf_counter() - began if unit == "ms" else value


if __name__ == "__main__":
    main(*sys.argv[1:])
