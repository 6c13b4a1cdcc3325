# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of a comparison, drawn from `results.json` alone: loss curves, quality against cost, and over cells
of several context lengths the difference and the speed against the length.

Figures are made without pyplot: it keeps every figure alive and picks a backend for the whole process.
"""

import itertools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..results.contracts import CLASSIFICATION, ArmMark, Cell, Overview, Results, Summary, Test
from ..results.ngrams import reference_losses
from ..results.verdicts import challengers, main_test
from ..results.views import timed_arm
from ..results.wording import short_count

LOSS_CURVES = "loss_curves.png"
COST_QUALITY = "cost_quality.png"
CONTEXT_LENGTH = "context_length.png"

# Okabe and Ito's palette without its yellow, which vanishes on white; every arm has its own marker as well.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)))  # where colours come again
INK, GRID = "#333333", "#dddddd"
CURVES = {"validation_loss": "validation loss", "train_loss": "training loss"}
_SECOND = {"markerfacecolor": "white", "linestyle": "--"}
_ALIKE = 0.05  # costs that differ by less share one narrow stretch of an axis
_APART = 0.014  # of an axis: about a marker's width, by which markers are moved away from each other
_BARS = "Bars: 95 % interval over seeds; none where there is one seed."
_MARK = {
    "linestyle": "none", "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.8, "capsize": 3,
    "elinewidth": 1.2, "zorder": 5,
}  # fmt: skip

Clock = Callable[[float], float]  # tokens -> seconds
Point = Summary | ArmMark


def plot_loss_curves(results: Results, path: str | Path) -> Path:
    """Loss against tokens per arm (line: mean, band: range over seeds), and against training time if it was timed.

    Markers with 95 % intervals are the ends of the decay branches, on the results' split. Where arms are compared by
    another metric than the loss, there are none.
    """
    clocks, by_loss = timed_clocks(results), results.metric == "loss"
    figure = new_figure(2 if clocks else 1, width=5.4)
    axes = figure.subplots(1, 2 if clocks else 1, sharey=True, squeeze=False)[0]
    _draw_curves(axes[0], results, dict.fromkeys(results.arms, lambda tokens: tokens))
    axes[0].set_xlabel("training tokens")
    axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes[0].set_ylabel(_metric_title(results) if by_loss else "loss")
    if clocks:
        _draw_curves(axes[1], results, clocks)
        axes[1].set_xlabel("training time (s, from the quiet timing run)")
    for axis in axes:
        _reference_line(axis, results, label=axis is axes[0])
    figure_legend(figure, axes[0])
    _caption(figure, f"{curves_caption(results)}{_beside(results)}" if by_loss else lines_caption(results))
    return save_figure(figure, path)


def plot_cost_quality(results: Results, path: str | Path) -> Path:
    """Final loss with its 95 % interval against parameters, and against the training step's milliseconds if timed."""
    costs = {"parameters": {arm: row.parameters for arm, row in results.arms.items()}}
    steps = {arm: row.train_step_ms for arm, row in results.arms.items() if row.train_step_ms is not None}
    if steps:
        costs["training step (ms, median)"] = steps
    figure = new_figure(len(costs), width=4.6)
    axes = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axis, (label, cost) in zip(axes, costs.items(), strict=True):
        _draw_costs(axis, results, cost)
        axis.set_xlabel(label)
    axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes[0].set_ylabel(f"final {results.split} {_metric_title(results)}".replace(" (", "\n("))
    figure_legend(figure, axes[0])
    _caption(figure, f"{_BARS}{_beside(results)}")
    return save_figure(figure, path)


def plot_context_length(overview: Overview, path: str | Path) -> Path:
    """Over cells: each arm's difference to the baseline, and its speed as a multiple of the baseline's, against the
    context length in tokens (logarithmic). Cells with the same data are joined by a line; lines are moved a little
    sideways so that they don't hide each other."""
    figure = new_figure(2, width=5.4)
    quality, speed = figure.subplots(1, 2)
    groups = _by_length(overview)
    for index, ((arm, data), cells) in enumerate(groups.items()):
        style = {"color": arm_style(index)[0], "marker": arm_style(index)[1]}
        aside = 2 ** (0.04 * (2 * index + 1 - len(groups)))
        for view, options in (("equal_tokens", {}), ("equal_time", _SECOND)):
            tests = [(cell.block_size * aside, main_test(cell, view, arm)) for cell in cells]
            _draw_differences(quality, tests, style | options, f"{arm}, {data}" if not options else None)
        trained = [(cell.block_size * aside, cell.arms[arm].training_speed_ratio) for cell in cells]
        inferred = [(cell.block_size * aside, cell.arms[arm].inference_speed_ratio) for cell in cells]
        for ratios, options in ((trained, {}), (inferred, _SECOND)):
            known = [(length, ratio) for length, ratio in ratios if ratio is not None]
            at, drawn = [length for length, _ in known], [ratio for _, ratio in known]
            speed.plot(at, drawn, markersize=6, linewidth=1.4, **style | options)
    lengths = sorted({cell.block_size for cell in overview.cells.values()})
    for axis, level in ((quality, 0.0), (speed, 1.0)):
        tidy_axis(axis)
        axis.axhline(level, color=INK, linestyle=":", linewidth=1.0, zorder=1)
        axis.set_xscale("log", base=2)
        axis.set_xticks(lengths, [str(length) for length in lengths], minor=False)
        axis.set_xlabel("context length (tokens)")
    quality.set_ylabel(_difference_label(overview))
    speed.set_ylabel("speed, multiple of the baseline's")
    speed.set_ylim(bottom=0)
    quality.set_title("filled: equal tokens, hollow: equal training time", fontsize=9, color=INK)
    speed.set_title("filled: training, hollow: inference", fontsize=9, color=INK)
    figure_legend(figure, quality)
    _caption(figure, _BARS)
    return save_figure(figure, path)


def _by_length(overview: Overview) -> dict[tuple[str, str], list[Cell]]:
    """The cells of every arm and data set, rising in context length."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(overview.cells.values(), key=lambda cell: cell.block_size):
        for arm in challengers(cell):
            groups.setdefault((arm, cell.data.name), []).append(cell)
    return groups


def _draw_differences(
    axis: Axes, tests: list[tuple[float, Test | None]], style: dict[str, Any], label: str | None
) -> None:
    """The difference and its interval at each length that has a test."""
    found = [(length, row) for length, row in tests if row is not None]
    points = [Summary(mean=row.difference, ci95=row.ci95) for _, row in found]
    if points:
        lengths = [length for length, _ in found]
        options = {"capsize": 3, "elinewidth": 1.2, "markersize": 6, "linewidth": 1.4} | style
        axis.errorbar(lengths, [point.mean for point in points], _bars(points), label=label, **options)


def _difference_label(overview: Overview) -> str:
    cells = list(overview.cells.values())
    better = "lower" if cells[0].lower_is_better else "higher"
    units = " or ".join(dict.fromkeys(cell.unit for cell in cells))
    return f"{cells[0].metric}, arm minus {cells[0].baseline}\n({units}; {better} is better)"


def new_figure(panels: int, width: float) -> Figure:
    figure = Figure(figsize=(max(6.0, width * panels), 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def timed_clocks(results: Results) -> dict[str, Clock]:
    """For every timed arm, tokens -> the seconds of training that they take; each growth stage has its own rate."""
    clocks = {}
    for arm, row in results.arms.items():
        timed = timed_arm(results.timing, arm)
        rates = timed.stage_seconds_per_token or (timed.seconds_per_token,)
        if all(rates):
            starts = [0, *(stage.tokens for stage in row.stages)][: len(rates)]
            clocks[arm] = _clock(rates, [*starts, math.inf])
    return clocks


def _clock(rates: Sequence[float], edges: Sequence[float]) -> Clock:
    def seconds(tokens: float) -> float:
        trained = (min(tokens, end) - start for start, end in itertools.pairwise(edges) if tokens > start)
        return sum(rate * count for rate, count in zip(rates, trained, strict=False))

    return seconds


def arm_style(index: int) -> tuple[str, str]:
    around = index // len(PALETTE)  # colours come again with another marker
    return PALETTE[index % len(PALETTE)], MARKERS[(index + around) % len(MARKERS)]


def line_style(index: int) -> str | tuple[int, tuple[float, float]]:
    """The line that goes with `arm_style`'s colour: arms of one colour differ by it."""
    return LINES[index // len(PALETTE) % len(LINES)]


def side_by_side(places: Mapping[str, Sequence[float]], span: float) -> dict[str, list[float]]:
    """Where to draw every arm's markers, so that those at nearly one place don't hide each other.

    `span` is the length of the axis. Markers closer than a marker's width are moved apart, around their middle, in the
    order of their places, and of the arms where these are equal.
    """
    step, moved = _APART * span, {arm: list(found) for arm, found in places.items()}
    order = {arm: number for number, arm in enumerate(places)}
    every = [(x, order[arm], i, arm) for arm, found in places.items() for i, x in enumerate(found)]
    groups: list[list[tuple[float, int, int, str]]] = []
    for point in sorted(every):
        if groups and point[0] - groups[-1][-1][0] < step:
            groups[-1].append(point)
        else:
            groups.append([point])
    for group in groups:
        middle = sum(x for x, *_ in group) / len(group)
        for rank, (_, _, i, arm) in enumerate(group if len(group) > 1 else ()):
            moved[arm][i] = middle + step * (rank - (len(group) - 1) / 2)
    return moved


def _draw_curves(axis: Axes, results: Results, clocks: Mapping[str, Clock]) -> None:
    by_loss = results.metric == "loss"
    for index, (arm, row) in enumerate(results.arms.items()):
        if arm in clocks:
            color, marker = arm_style(index)
            style = {} if by_loss else {"label": arm, "marker": marker, "markersize": 4}
            curve = row.curve
            at = [clocks[arm](tokens) for tokens in curve.tokens]
            axis.plot(at, curve.mean, color=color, linewidth=1.6, linestyle=line_style(index), **style)
            axis.fill_between(at, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
    if by_loss:
        _draw_marks(axis, results, clocks)
    tidy_axis(axis)
    axis.set_xlim(left=0)


def _draw_marks(axis: Axes, results: Results, clocks: Mapping[str, Clock]) -> None:
    arms = [(index, arm, row.marks) for index, (arm, row) in enumerate(results.arms.items()) if arm in clocks]
    places = {arm: [clocks[arm](mark.tokens) for mark in marks] for _, arm, marks in arms}
    places = side_by_side(places, max(itertools.chain(*places.values()), default=0.0))
    for index, arm, marks in arms:
        color, marker = arm_style(index)
        axis.errorbar(
            places[arm], [mark.mean for mark in marks], _bars(marks), color=color, marker=marker, label=arm, **_MARK
        )


def _bars(points: Sequence[Point]) -> list[list[float]]:
    """`interval_errors`, but nothing is drawn where one seed gives no interval."""
    known = [point.ci95 is not None for point in points]
    return [[side if is_known else math.nan for side, is_known in zip(sides, known, strict=True)]
            for sides in interval_errors(points)]  # fmt: skip


def interval_errors(points: Sequence[Point]) -> list[list[float]]:
    """Distances down and up to the interval's ends; zero where one seed gives no interval."""
    below = [point.mean - point.ci95[0] if point.ci95 else 0.0 for point in points]
    above = [point.ci95[1] - point.mean if point.ci95 else 0.0 for point in points]
    return [below, above]


def _draw_costs(axis: Axes, results: Results, cost: Mapping[str, float]) -> None:
    low, high = min(cost.values()), max(cost.values())
    is_narrow = high < (1 + _ALIKE) * low  # or an axis would be stretched until rounding looks like a difference
    span = 2 * _ALIKE * high if is_narrow else 1.3 * (high - low)
    places = side_by_side({arm: [value] for arm, value in cost.items()}, span)
    for index, (arm, row) in enumerate(results.arms.items()):
        if arm in cost:
            color, marker = arm_style(index)
            point = row.metrics[results.split][results.metric]
            axis.errorbar(places[arm], [point.mean], _bars([point]), color=color, marker=marker, label=arm, **_MARK)
    axis.margins(x=0.15, y=0.15)
    if is_narrow:
        axis.set_xlim(low * (1 - _ALIKE), high * (1 + _ALIKE))
    tidy_axis(axis)


def _reference_line(axis: Axes, results: Results, label: bool) -> None:
    for (name, loss), style in zip(reference_losses(results), ("--", ":"), strict=False):
        axis.axhline(loss, color=INK, linestyle=style, linewidth=1.0, label=name if label else None, zorder=1)


def tidy_axis(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=9, labelleft=True)
    axis.xaxis.set_major_locator(MaxNLocator(5))


def figure_legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    # Matplotlib lists lines before error bars: the arms come first, a reference line last.
    lines = [index for index, handle in enumerate(handles) if isinstance(handle, Line2D)]
    order = [index for index in range(len(handles)) if index not in lines] + lines
    handles, labels = [handles[index] for index in order], [labels[index] for index in order]
    room = figure.get_figwidth() / (0.6 + 0.08 * max(map(len, labels), default=1))  # inches: marker, letters
    columns = max(1, min(4, len(handles), int(room)))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize=9)


def _caption(figure: Figure, text: str) -> None:
    """Small print below the panels, in as many lines as it takes."""
    figure.supxlabel(textwrap.fill(text, int(16 * figure.get_figwidth())), fontsize=8, color=INK)


def curves_caption(results: Results) -> str:
    """What the lines, bands and markers of the loss curves stand for."""
    what = "of the finished models" if results.objective == CLASSIFICATION else "after the decay branch"
    markers = f"Markers: {results.split} {results.metric.replace('_', ' ')} {what}{over_seeds(results)}."
    return markers if results.metric != "loss" else f"{lines_caption(results)} {markers}"


def over_seeds(results: Results) -> str:
    """`, mean of 3 seeds with 95 % interval`; empty where every arm has one seed."""
    counts = {len(row.metrics[results.split][results.metric].per_seed) for row in results.arms.values()}
    if counts == {1}:
        return ""
    up_to = "" if len(counts) == 1 else "up to "
    without = "" if 1 not in counts else " (one seed has none)"
    return f", mean of {up_to}{max(counts)} seeds with 95 % interval{without}"


def _beside(results: Results) -> str:
    return " Markers at one place stand side by side." if len(results.arms) > 1 else ""


def _metric_title(results: Results) -> str:
    """The metric, with its unit where that is not its own name."""
    metric = results.metric.replace("_", " ")
    return metric if results.unit == results.metric else f"{metric} ({results.unit})"


def lines_caption(results: Results) -> str:
    """What the lines and bands of the loss curves stand for."""
    names = sorted({CURVES[row.curve.quantity] for row in results.arms.values()})
    band = " (band: range over seeds)" if len(results.seeds) > 1 else ""
    when = "" if results.objective == CLASSIFICATION else " before decay"
    return f"Lines: {' or '.join(names)}{when}{band}."


def save_figure(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Matplotlib writes its own version into a PNG: the same results must give the same bytes.
    figure.savefig(path, metadata={"Software": None})
    return path
