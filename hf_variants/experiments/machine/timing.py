# Copyright 2026 The hf_variants authors. MIT licence.
"""Speed measured so that it can be believed: candidates alternate in one process, and medians are compared."""

import ctypes
import functools
import gc
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .environment import default_device, environment, load_average

LEAST_ROUNDS = 3  # however long they take


def alternate(
    cases: Mapping[str, Callable[[], Any]],
    rounds: int,
    warm_up: int = 3,
    max_seconds: float = math.inf,
    measure: Callable[[Callable[[], Any]], float] | None = None,
) -> dict[str, list[float]]:
    """What `measure` says of every case in every round: its seconds, unless another one is given.

    Cases take turns, so that a slow moment of the machine hits all. After `max_seconds` no round begins, but for the
    first 3. A tenth of that time ends the warm-up; a turn of it that goes beyond all of that time counts as a round.
    """
    measure, began = measure or _time, time.perf_counter()

    def after(limit: float) -> bool:
        return time.perf_counter() - began > limit

    kept: list[dict[str, float]] = []
    turns = 0
    while len(kept) < rounds and not (len(kept) >= LEAST_ROUNDS and after(max_seconds)):
        is_warm = turns >= warm_up or (turns > 0 and after(max_seconds / 10))
        turn = {name: measure(case) for name, case in cases.items()}
        turns += 1
        if is_warm or after(max_seconds):
            kept.append(turn)
    return {name: [turn[name] for turn in kept] for name in cases}


def _time(case: Callable[[], Any]) -> float:
    _synchronize()
    began = time.perf_counter()
    case()
    _synchronize()
    return time.perf_counter() - began


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def quartiles(values: list[float]) -> list[float]:
    """The first and third quartile."""
    if len(values) < 2:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def peak_memory_mb(work: Callable[[], Any]) -> float | None:
    """How far `work` drives memory above what is in use before it, in MiB; None where the system can't tell."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        _trim()
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark of this process
        before = _status_kb("VmRSS")
        work()
        return (_status_kb("VmHWM") - before) / 2**10
    except OSError:
        return None


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of some module returns when a new process calls it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _trim() -> None:
    """Hands freed memory back to the system: what an earlier candidate left behind would hide this one's need."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)


def _status_kb(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def training_step(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, losses: Callable[[], torch.Tensor]
) -> None:
    """One step: forward, backward, clipping, update."""
    losses().mean().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def precision_context(name: str) -> Callable[[], AbstractContextManager]:
    """What the training loop runs a forward pass in, for a recipe's `mixed_precision`."""
    types = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return functools.partial(torch.autocast, default_device(), types[name]) if name in types else nullcontext


@dataclass
class Timed:
    """One candidate of a quiet run: `losses(model)` is the forward pass of a training batch of `tokens` real tokens,
    `inputs` are the keyword arguments of an inference batch, and each pass runs inside a new `precision()`, e.g.
    autocast."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    losses: Callable[[torch.nn.Module], torch.Tensor]
    tokens: int
    inputs: Mapping[str, torch.Tensor]
    precision: Callable[[], AbstractContextManager] = nullcontext


def time_models(candidates: Mapping[str, Timed], rounds: int) -> dict[str, Any]:
    """A comparison's quiet run: training step, inference and memory of every arm, in turns."""
    steps = {arm: _step(timed) for arm, timed in candidates.items()}
    _warm_up(next(iter(candidates.values())))
    memory = {arm: peak_memory_mb(step) for arm, step in steps.items()}
    training = alternate(steps, rounds)
    inference = alternate({arm: _forward(timed) for arm, timed in candidates.items()}, rounds)
    arms = {arm: _summary(training[arm], inference[arm], timed, memory[arm]) for arm, timed in candidates.items()}
    return {"arms": arms, "rounds": rounds, "load_average": load_average(), "environment": environment()}


def stages_in_one(timed: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Figures by arm, where `arm@0`, `arm@1`, … are the growth stages of one: those of its last, and each one's cost.

    The memory of an arm is that of its hungriest stage.
    """
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for name, figures in timed.items():
        stages.setdefault(name.partition("@")[0], []).append(figures)
    arms = {arm: dict(figures[-1]) for arm, figures in stages.items()}
    for arm, figures in stages.items():
        if len(figures) > 1:
            arms[arm]["stage_seconds_per_token"] = [stage["seconds_per_token"] for stage in figures]
            memory = [stage["peak_memory_mb"] for stage in figures if stage["peak_memory_mb"] is not None]
            arms[arm]["peak_memory_mb"] = max(memory, default=None)
    return arms


def _step(timed: Timed) -> Callable[[], None]:
    def forward() -> torch.Tensor:
        with timed.precision():
            return timed.losses(timed.model)

    return lambda: training_step(timed.model.train(), timed.optimizer, forward)


def _warm_up(timed: Timed) -> None:
    """A pass that leaves nothing behind: what a process takes once (some 15 MiB) is no need of its first model."""
    with timed.precision():
        losses = timed.losses(timed.model.train())
    losses.mean().backward()
    timed.model.zero_grad()


def _forward(timed: Timed) -> Callable[[], None]:
    options = {"use_cache": False} if timed.model.can_generate() else {}  # a pass over a whole text keeps nothing

    def forward() -> None:
        with torch.inference_mode(), timed.precision():
            timed.model.eval()(**timed.inputs, **options)

    return forward


def _summary(training: list[float], inference: list[float], timed: Timed, memory: float | None) -> dict[str, Any]:
    median = statistics.median(training)
    return {
        "train_step_ms": 1e3 * median,
        "train_step_ms_quartiles": [1e3 * q for q in quartiles(training)],
        "seconds_per_token": median / timed.tokens,
        "tokens_per_second": timed.tokens / median,
        "inference_ms": 1e3 * statistics.median(inference),
        "inference_batch": list(timed.inputs["input_ids"].shape),
        "peak_memory_mb": memory,
    }
