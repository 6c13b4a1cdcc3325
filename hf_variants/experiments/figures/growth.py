# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of arms that grow: the loss around each growth, and the gradient norm of every layer over training.

Drawn from `results.json` alone, and only where it holds what they show.
"""

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ..results.contracts import Arm, GrowthStage, LayerGradients, Results
from ..results.wording import short_count
from .plots import CURVES, INK, arm_style, save_figure, tidy_axis

GROWTH = "growth.png"
LAYER_GRADIENTS = "layer_gradients.png"
CAPTIONS = {GROWTH: "Loss around each growth", LAYER_GRADIENTS: "Gradient norm of each layer"}

_PER_ROW = 3
_PANEL = (4.2, 3.2)  # inches
# The fall of the first steps would flatten everything after it: axes begin after this share of the budget.
_SHOWN_FROM = 0.05
_RING = {"marker": "o", "markersize": 9, "markerfacecolor": "white", "markeredgewidth": 1.4, "linestyle": "none"}
_DOT = {"marker": "o", "markersize": 5, "linestyle": "none"}
_REFERENCE = {"color": INK, "linewidth": 1.0, "linestyle": (0, (4, 2))}


def growing_arms(results: Results) -> list[str]:
    """The arms that grew at least once."""
    return [arm for arm, row in results.arms.items() if row.stages]


def arms_with_gradients(results: Results) -> list[str]:
    """The arms whose runs recorded the gradient norm of each layer."""
    return [arm for arm, row in results.arms.items() if row.layer_gradients]


def drawn_plots(results: Results) -> list[str]:
    """The file names of the figures that these results have, in order."""
    has = {
        GROWTH: growing_arms(results) and results.metric == "loss",
        LAYER_GRADIENTS: arms_with_gradients(results),
    }
    return [name for name in CAPTIONS if has[name]]


def plot_growing(results: Results, folder: Path) -> list[Path]:
    """Draws the figures that there are and removes those of former results; returns the paths."""
    plots = {GROWTH: plot_growth, LAYER_GRADIENTS: plot_layer_gradients}
    names = drawn_plots(results)
    for name in set(plots) - set(names):
        (folder / name).unlink(missing_ok=True)
    return [plots[name](results, folder / name) for name in names]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels on shared axes, at most three in a row."""
    columns = min(_PER_ROW, count)
    rows = math.ceil(count / columns)
    size = (max(6.0, _PANEL[0] * columns), _PANEL[1] * rows + 0.7)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axis in axes[count:]:
        axis.remove()
    for place, axis in enumerate(axes[:count]):
        tidy_axis(axis)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axis.tick_params(labelbottom=place + columns >= count, labelleft=place % columns == 0)
        if place + columns >= count:
            axis.set_xlabel("training tokens")
    return figure, axes[:count]


# ---- loss ----------------------------------------------------------------------------------------------------------


def plot_growth(results: Results, path: str | Path) -> Path:
    """Loss before decay against tokens, a panel per growing arm beside the baseline, and what each growth did to it.

    A ring is the validation loss just before a growth, a dot the one just after; a jump is the line between them.
    """
    names, baseline = list(results.arms), results.baseline
    growing = growing_arms(results)
    figure, axes = _panels(len(growing))
    for axis, arm in zip(axes, growing, strict=True):
        color = arm_style(names.index(arm))[0]
        if arm != baseline:
            axis.plot(*through_growths(results.arms[baseline]), **_REFERENCE)
        _draw_curve(axis, results.arms[arm], color)
        for stage in results.arms[arm].stages:
            _draw_growth(axis, stage, color)
        axis.set_title(arm, fontsize=10, color=color)
    axes[0].set_xlim(left=0)
    axes[0].set_ylim(*_limits(results))
    _label_outer(axes, f"{' or '.join(_quantities(results))}\n({results.unit})")
    _growth_legend(figure, results)
    figure.supxlabel(_growth_caption(results), fontsize=8, color=INK)
    return save_figure(figure, path)


def _draw_curve(axis: Axes, row: Arm, color: str) -> None:
    curve = row.curve
    axis.fill_between(curve.tokens, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
    axis.plot(*through_growths(row), color=color, linewidth=1.6)


def through_growths(row: Arm) -> tuple[list[float], list[float]]:
    """A curve that goes through the losses before and after each growth. A step's evaluation comes before its growth.

    Where seeds grew at different moments their mean curve has no such points.
    """
    tokens, losses = list(row.curve.tokens), list(row.curve.mean)
    for stage in row.stages:
        if row.curve.quantity == "validation_loss" and _at_once(stage):
            place = bisect.bisect_right(tokens, stage.tokens)
            tokens[place:place] = [stage.tokens] * 2
            losses[place:place] = [stage.loss_before, stage.loss_after]
    return tokens, losses


def _at_once(stage: GrowthStage) -> bool:
    first, last = stage.tokens_range
    return first == last


def _draw_growth(axis: Axes, stage: GrowthStage, color: str) -> None:
    at, before, after = stage.tokens, stage.loss_before, stage.loss_after
    if not _at_once(stage):
        axis.plot(stage.tokens_range, [before] * 2, color=color, linewidth=1.0, linestyle=":", zorder=4)
    axis.plot([at, at], [before, after], color=color, linewidth=1.6, zorder=4)
    axis.plot([at], [before], color=color, zorder=5, **_RING)
    axis.plot([at], [after], color=color, zorder=6, **_DOT)
    text = "0" if abs(stage.jump) < 5e-4 else f"{stage.jump:+.3f}"
    axis.annotate(text, (at, max(before, after)), xytext=(6, 6), textcoords="offset points", fontsize=8, color=INK)


def _limits(results: Results) -> tuple[float, float]:
    """What there is to see of all panels after the first share of the budget."""
    shown: list[float] = []
    for arm in {results.baseline, *growing_arms(results)}:
        row = results.arms[arm]
        curve, stages = row.curve, row.stages
        last = max([*curve.tokens, *(stage.tokens for stage in stages)], default=0)
        late = [i for i, tokens in enumerate(curve.tokens) if tokens >= _SHOWN_FROM * last]
        shown += [end[i] for end in (curve.low, curve.high) for i in late]
        grown = [stage for stage in stages if stage.tokens >= _SHOWN_FROM * last]
        shown += [loss for stage in grown for loss in (stage.loss_before, stage.loss_after)]
    low, high = min(shown, default=0.0), max(shown, default=1.0)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _quantities(results: Results) -> list[str]:
    return sorted({CURVES[results.arms[arm].curve.quantity] for arm in growing_arms(results)})


def _label_outer(axes: Sequence[Axes], label: str) -> None:
    for axis in axes[::_PER_ROW]:
        axis.set_ylabel(label)


def _growth_legend(figure: Figure, results: Results) -> None:
    handles = [
        Line2D([], [], label=results.baseline, **_REFERENCE),
        Line2D([], [], color=INK, label="just before a growth", **_RING),
        Line2D([], [], color=INK, label="just after it, and the jump in nats", **_DOT),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=9)


def _growth_caption(results: Results) -> str:
    text = f"Lines: {' or '.join(_quantities(results))} before decay. Rings and dots: validation loss"
    if len(results.seeds) > 1:
        text += f"; all are means of {len(results.seeds)} seeds (band: their range)"
    stages = [stage for arm in growing_arms(results) for stage in results.arms[arm].stages]
    dotted = "" if all(map(_at_once, stages)) else " Dotted: from the first to the last seed that grew."
    return f"{text}.{dotted}"


# ---- gradients -----------------------------------------------------------------------------------------------------


def plot_layer_gradients(results: Results, path: str | Path) -> Path:
    """Gradient norm of every layer (logarithmic) against tokens, a panel per arm, coloured by the layer's depth.

    Lines end where an arm grows: from there on there are more layers, and layer 3 is another one.
    """
    arms = arms_with_gradients(results)
    figure, axes = _panels(len(arms))
    colors = _depth_colors()
    for axis, arm in zip(axes, arms, strict=True):
        row = results.arms[arm]
        for tokens, norms in spans(row.layer_gradients):
            _draw_layers(axis, tokens, norms, colors)
        for stage in row.stages:
            axis.axvline(stage.tokens, color=INK, linestyle=":", linewidth=0.9, zorder=1)
        axis.set_title(arm, fontsize=10, color=INK, pad=14)
    axes[0].set_xlim(left=0)
    _set_log_scale(axes[0])
    _label_outer(axes, "gradient norm of a layer")
    rows = math.ceil(len(arms) / _PER_ROW)
    scale = ScalarMappable(Normalize(0, 1), colors)
    bar = figure.colorbar(scale, ax=axes, pad=0.01, aspect=30, shrink=0.9 / rows, anchor=(0.0, 1.0))
    bar.set_ticks([0, 1], labels=["first\nlayer", "last\nlayer"], fontsize=8, color=INK)
    seeds = f", mean of {len(results.seeds)} seeds" if len(results.seeds) > 1 else ""
    caption = f"Before clipping, over what is trained of a layer{seeds}. Above: layers with weights of their own."
    figure.supxlabel(caption, fontsize=8, color=INK)
    return save_figure(figure, path)


def spans(gradients: LayerGradients) -> Iterable[tuple[list[int], np.ndarray]]:
    """Stretches of training with one number of layers: tokens `(points,)` and gradient norms `(points, layers)`."""
    points = zip(gradients.tokens, gradients.norms, strict=True)
    for _, group in itertools.groupby(points, key=lambda point: len(point[1])):
        tokens, norms = zip(*group, strict=True)
        yield list(tokens), np.asarray(norms, dtype=float)


def _draw_layers(axis: Axes, tokens: list[int], norms: np.ndarray, colors: Colormap) -> None:
    layers = norms.shape[1]
    drawn = np.where(norms > 0, norms, np.nan)  # a layer behind a zero has none, which a logarithm can't show
    for layer in range(layers):
        depth = layer / max(1, layers - 1)
        marker = "o" if len(tokens) == 1 else ""
        axis.plot(tokens, drawn[:, layer], color=colors(depth), linewidth=1.0, marker=marker, markersize=2.5)
    middle = (tokens[0] + tokens[-1]) / 2
    axis.annotate(
        str(layers), (middle, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
        ha="center", fontsize=8, color=INK,
    )  # fmt: skip


def _set_log_scale(axis: Axes) -> None:
    """Ticks at 1, 2 and 5 of each decade, or at decades where there are many."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _depth_colors() -> Colormap:
    """Viridis without its yellow, which vanishes on white."""
    return LinearSegmentedColormap.from_list("depth", matplotlib.colormaps["viridis"](np.linspace(0, 0.88, 256)))
