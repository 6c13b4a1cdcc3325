# Copyright 2026 The hf_variants authors. MIT licence.
"""Differences between arms as single runs and as intervals over seeds: what more than one seed is worth."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.significance import BETTER, NO_DIFFERENCE, WORSE
from ..results.single_runs import SeededDifference
from .plots import GRID, INK, PALETTE, save_figure

_COLOURS = {BETTER: PALETTE[2], WORSE: PALETTE[1], NO_DIFFERENCE: "#808080"}


def plot_seeds(differences: Sequence[SeededDifference], path: str | Path) -> Path:
    """A row per difference, from the top: a small circle for every run, and the 95 % interval over seeds."""
    figure = Figure(figsize=(7.6, 0.9 + 0.23 * len(differences)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for row, difference in enumerate(differences):
        colour, (low, high) = _COLOURS[difference.verdict], difference.interval
        axis.plot([low, high], [row, row], color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt", zorder=2)
        axis.plot([difference.mean], [row], "|", color=colour, markersize=12, markeredgewidth=2, zorder=3)
        rows = [row] * len(difference.runs)
        axis.plot(difference.runs, rows, "o", color="white", markeredgecolor=INK, markersize=4, zorder=4)
    axis.set_yticks(range(len(differences)), [_label(difference) for difference in differences], fontsize=8)
    axis.set_ylim(len(differences) - 0.4, -0.6)
    axis.set_xlabel("variant minus baseline, test loss at equal tokens (nats; left of 0 is better)", fontsize=8)
    axis.tick_params(labelsize=8, length=0)
    axis.grid(axis="x", color=GRID, linewidth=0.6)
    axis.spines[:].set_visible(False)
    figure.legend(handles=_legend(), loc="outside upper left", ncols=5, frameon=False, fontsize=8)
    return save_figure(figure, path)


def _label(difference: SeededDifference) -> str:
    return f"{difference.where}: {difference.arm}"


def _legend() -> list[Line2D]:
    run = Line2D([], [], marker="o", color="white", markeredgecolor=INK, markersize=4, label="one run")
    bars = [
        Line2D([], [], color=colour, linewidth=5, alpha=0.5, label=verdict) for verdict, colour in _COLOURS.items()
    ]
    return [run, *bars]
