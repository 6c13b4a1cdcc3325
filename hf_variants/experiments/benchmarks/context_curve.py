# Copyright 2026 The hf_variants authors. MIT licence.
"""Training speed and memory of the decoders over the context length."""

import functools
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ...gpt.configuration_nanogpt import NanoGptConfig
from ..figures.plots import arm_style, figure_legend, new_figure, save_figure, tidy_axis
from ..machine.timing import alternate, in_new_process, peak_memory_mb
from ..reports.benchmark import with_quartiles
from ..tables import aligned_table, number
from .cases.decoders import WINDOW, Configs, build_decoder, language_step, matched_configs, parameter_count
from .suite import DEVICE, random_ids, summary

CURVE = "context_curve"  # .json and .png


CONTEXTS = (256, 1024, 4096, 16384)


def curve_configs(context: int) -> dict[str, NanoGptConfig]:
    """The models of the curve at one context, by the names they have there."""
    nanogpt, conv_gpt = matched_configs(context)
    return {
        "nanogpt": nanogpt,
        "conv_gpt": conv_gpt,
        f"conv_gpt, window {WINDOW}": matched_configs(context, WINDOW)[1],
    }


def measure_curve(
    rounds: int, max_seconds: float, contexts: Sequence[int] = CONTEXTS, configs: Configs = curve_configs
) -> dict[str, Any]:
    """Speed and memory of training steps on one sequence, per model and rising context, and how the time grows.

    The models of a context take turns, in fewer rounds where they take longer than `max_seconds`, but 3 or more.
    """
    models: dict[str, list[dict[str, Any]]] = {}
    for context in contexts:
        print(f"context {context} …", file=sys.stderr, flush=True)
        for name, point in _curve_points(configs(context), context, rounds, max_seconds).items():
            models.setdefault(name, []).append(point)
    return {"models": models, "time_exponents": {name: time_exponent(points) for name, points in models.items()}}


def _curve_points(
    configs: Mapping[str, NanoGptConfig], context: int, rounds: int, max_seconds: float
) -> dict[str, dict[str, Any]]:
    torch.manual_seed(0)
    models = {name: build_decoder(config).to(DEVICE).train() for name, config in configs.items()}
    ids = random_ids(next(iter(configs.values())), 1, context)
    steps = {name: functools.partial(language_step, model, ids) for name, model in models.items()}
    seconds = alternate(steps, rounds, max_seconds=max_seconds)
    points = {}
    for name, model in models.items():
        points[name] = {
            **{"context": context, "parameters": parameter_count(model), "rounds": len(seconds[name])},
            **summary(name, seconds[name]),
            "tokens_per_second": context / statistics.median(seconds[name]),
            "peak_memory_mib": in_new_process(step_memory, configs[name], context),
        }
    return points


def step_memory(config: NanoGptConfig, context: int) -> float | None:
    """The highest memory in use during one training step on one sequence, above that before it, in MiB.

    Before it there are the weights, and what a step of a few tokens has made libraries keep. Measured is resident
    memory, or on CUDA what tensors take; None where the system can't tell. For a process of its own, where freed
    memory that could be used again does not hide a need.
    """
    model = build_decoder(config).to(DEVICE).train()
    ids = random_ids(config, 1, context)
    language_step(model, ids[:, :16])
    model.zero_grad()
    return peak_memory_mb(lambda: language_step(model, ids))


def time_exponent(points: Sequence[Mapping[str, Any]]) -> float | None:
    """The power of the context with which a step's time grows between the last two contexts; 1 is linear."""
    if len(points) < 2:
        return None
    near, far = points[-2:]
    return math.log(far["median_ms"] / near["median_ms"]) / math.log(far["context"] / near["context"])


def curve_text(curve: Mapping[str, Any]) -> str:
    """The curve as an aligned table, and below it how the time of a step grows."""
    header = ("model", "context", "parameters", "rounds", "ms per step", "tokens/s", "peak MiB")
    rows = [
        [name, *(number(point[key]) for key in ("context", "parameters", "rounds")),
         with_quartiles(point["median_ms"], point["quartiles_ms"]),
         number(point["tokens_per_second"], 0), number(point["peak_memory_mib"], 0)]
        for name, points in curve["models"].items() for point in points
    ]  # fmt: skip
    lines = [aligned_table(header, rows), ""]
    for name, exponent in curve["time_exponents"].items():
        if exponent is not None:
            near, far = (point["context"] for point in curve["models"][name][-2:])
            lines.append(f"{name}: from {near} to {far} tokens a step's time grows as context ** {exponent:.2f}")
    return "\n".join(lines)


def plot_curve(curve: Mapping[str, Any], path: Path) -> Path:
    """Training speed and peak memory over the context length, a line per model, all axes logarithmic.

    Memory is left out where the system did not tell it.
    """
    labels = {"tokens_per_second": "training speed (tokens/s)"}
    if any(point["peak_memory_mib"] for points in curve["models"].values() for point in points):
        labels["peak_memory_mib"] = "peak memory above the weights (MiB)"
    figure = new_figure(len(labels), width=5.4)
    axes = figure.subplots(1, len(labels), squeeze=False)[0]
    for axis, (key, label) in zip(axes, labels.items(), strict=True):
        _draw_curve(axis, curve, key)
        axis.set_ylabel(label)
    figure_legend(figure, axes[0])
    return save_figure(figure, path)


def _draw_curve(axis: Axes, curve: Mapping[str, Any], key: str) -> None:
    for index, (name, points) in enumerate(curve["models"].items()):
        color, marker = arm_style(index)
        known = [point for point in points if point[key]]
        at = [point["context"] for point in known]
        axis.plot(at, [point[key] for point in known], color=color, marker=marker, label=name, linewidth=1.6)
    tidy_axis(axis)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    contexts = sorted({point["context"] for points in curve["models"].values() for point in points})
    axis.set_xticks(contexts, [str(context) for context in contexts])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 0)))
    axis.set_xlabel("context length (tokens)")
