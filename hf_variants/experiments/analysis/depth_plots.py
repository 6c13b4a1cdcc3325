# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of analyze_depth.py, drawn from its analysis.json alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from ..figures.plots import INK, arm_style, figure_legend, save_figure, tidy_axis
from ..results.wording import short_count

GATE_OPENING = "gate_opening.png"
LESIONS = "lesions.png"
ITERATIVE_ESTIMATION = "iterative_estimation.png"
OVER_TRAINING = "over_training.png"
FIGURES = (GATE_OPENING, LESIONS, ITERATIVE_ESTIMATION, OVER_TRAINING)

_HEAT = "Blues"
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")  # 0.1 rather than 10⁻¹
_SMALLEST = 1e-4  # an update that is zero has to fit on a logarithmic axis, too
_LINE = {"linewidth": 1.6, "markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.7}
_CURVES = {
    "lens_loss": "loss of the stream read by\nfinal norm and head (nats)",
    "cosine": "cosine to the final stream",
    "distance": "distance to the final stream\n(share of its norm)",
    "mean_difference": "difference from the final stream\n(mean, band: ± 1 standard deviation)",
}
_DEEP = "layers applied (0: embeddings)"


def plot_all(analysis: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws every figure that the analysis has figures for; returns the paths."""
    models, runs = analysis["models"], analysis["over_training"]
    drawn = []
    if models:
        drawn.append(plot_gate_opening(models, folder / GATE_OPENING))
        drawn.append(plot_lesions(models, folder / LESIONS))
        drawn.append(plot_iterative_estimation(models, folder / ITERATIVE_ESTIMATION))
    if runs:
        drawn.append(plot_over_training(runs, folder / OVER_TRAINING))
    return drawn


# ---- gate opening --------------------------------------------------------------------------------------------------


def plot_gate_opening(models: Mapping[str, Any], path: Path) -> Path:
    """By position and by class: T of gated nets, |update| / |stream| of residual ones; below, the latter for all."""
    deepest = max(len(found["openings"]) for found in models.values())
    heights = [1.1 + 0.24 * deepest] * len(models) + [2.6]
    figure = _canvas(11.5, sum(heights) + 0.5)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights)
    for part, (name, found) in zip(parts, models.items(), strict=False):
        _draw_openings(part, name, found)
    _draw_update_ratios(parts[-1], models)
    return save_figure(figure, path)


def _draw_openings(part: Any, name: str, found: Mapping[str, Any]) -> None:
    quantity = "transform" if found["gated"] else "update_ratio"
    label = "mean transform gate T" if found["gated"] else "|update| / |stream|"
    part.suptitle(f"{name}: {label}", x=0.01, ha="left", fontsize=10, color=INK)
    by_position, by_class = part.subplots(1, 2, width_ratios=(1.15, 1))
    names = list(found["openings"])
    positions = [found["openings"][s][quantity]["by_position"] for s in names]
    classes = list(found["openings"][names[0]][quantity]["by_class"])
    table = [[found["openings"][s][quantity]["by_class"][c] for c in classes] for s in names]
    everything = [value for row in positions + table for value in row]
    norm = Normalize(0, max(everything)) if found["gated"] else _log_norm(everything)
    image = by_position.imshow(positions, aspect="auto", cmap=_HEAT, interpolation="nearest", norm=norm)
    by_class.imshow(table, aspect="auto", cmap=_HEAT, norm=norm)
    _write_values(by_class, table, norm)
    _label_heat(by_position, names, "position in the block")
    _label_heat(by_class, [""] * len(names), "class of the input token")
    by_class.set_xticks(range(len(classes)), [c.replace(" ", "\n") for c in classes], fontsize=8)
    by_position.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    scale = part.colorbar(image, ax=by_class, pad=0.02).ax
    scale.tick_params(which="both", labelsize=8, colors=INK)
    scale.yaxis.set_major_formatter(_PLAIN)
    scale.yaxis.set_minor_formatter(_PLAIN if norm.vmax < 10 * norm.vmin else NullFormatter())


def _log_norm(values: Sequence[float]) -> Normalize:
    """Ratios of updates to the stream reach over orders of magnitude."""
    lowest = max(min(values), _SMALLEST)
    return LogNorm(lowest, max(max(values), 1.1 * lowest), clip=True)


def _write_values(axis: Axes, table: Sequence[Sequence[float]], norm: Normalize) -> None:
    size = 8 if len(table[0]) <= 8 else 7
    for y, row in enumerate(table):
        for x, value in enumerate(row):
            color = "white" if norm(value) > 0.6 else INK
            axis.text(x, y, _three_digits(value), ha="center", va="center", fontsize=size, color=color)


def _three_digits(value: float) -> str:
    return f"{value:.{1 if value >= 10 else 2 if value >= 0.1 else 3}f}"


def _label_heat(axis: Axes, names: Sequence[str], below: str) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel(below, fontsize=9, color=INK)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    axis.spines[:].set_visible(False)


def _draw_update_ratios(part: Any, models: Mapping[str, Any]) -> None:
    axis = part.subplots()
    longest: list[str] = max((list(found["openings"]) for found in models.values()), key=len)
    for index, (name, found) in enumerate(models.items()):
        means = [max(values["update_ratio"]["mean"], _SMALLEST) for values in found["openings"].values()]
        color, marker = arm_style(index)
        axis.plot(range(len(means)), means, color=color, marker=marker, label=name, **_LINE)
    tidy_axis(axis)
    _label_names(axis, longest)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(_PLAIN)
    axis.set_ylabel("|T · update| / |C · stream|\n(residual: T = C = 1)", fontsize=9, color=INK)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)


def _label_names(axis: Axes, names: Sequence[str]) -> None:
    """Names of sublayers or layers under an axis; turned where there are many."""
    shown = [name.replace(" ", "\n", 1) for name in names] if len(names) <= 10 else names
    axis.set_xticks(range(len(names)), shown, fontsize=8, rotation=0 if len(names) <= 10 else 90)
    axis.set_xlim(-0.4, len(names) - 0.6)


# ---- lesions -------------------------------------------------------------------------------------------------------


def plot_lesions(models: Mapping[str, Any], path: Path) -> Path:
    """How much the validation loss rises without a sublayer, without a layer, and with two neighbours swapped."""
    kinds = {"sublayers": "one sublayer dropped", "layers": "one layer dropped", "swaps": "two neighbours swapped"}
    names = {kind: max((list(found["lesions"][kind]) for found in models.values()), key=len) for kind in kinds}
    widths = [1.5 + 0.62 * len(names[kind]) for kind in kinds]
    figure = _canvas(min(17.0, max(10.0, sum(widths))), 4.4)
    axes = figure.subplots(1, 3, sharey=True, width_ratios=widths)
    for axis, (kind, title) in zip(axes, kinds.items(), strict=True):
        _draw_lesions(axis, models, kind)
        tidy_axis(axis)
        _label_names(axis, [name.replace(" ↔ ", "↔") for name in names[kind]])
        axis.set_title(title, fontsize=10, color=INK)
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.set_xlabel("layer", fontsize=9, color=INK)
    axes[0].set_ylabel("rise of the validation loss (nats)", color=INK)
    figure_legend(figure, axes[0])
    return save_figure(figure, path)


def _draw_lesions(axis: Axes, models: Mapping[str, Any], kind: str) -> None:
    for index, (name, found) in enumerate(models.items()):
        color, marker = arm_style(index)
        lesions = found["lesions"]
        rises = [loss - lesions["intact"] for loss in lesions[kind].values()]
        label = f"{name} (intact: {lesions['intact']:.2f} nats)"
        axis.plot(range(len(rises)), rises, color=color, marker=marker, label=label, **_LINE)
        if kind == "sublayers" and lesions["carry_only"]:
            kept = [loss - lesions["intact"] for loss in lesions["carry_only"].values()]
            hollow = {"color": color, "marker": marker, "markersize": 5.5, "markerfacecolor": "white"}
            axis.plot(range(len(kept)), kept, linestyle=":", linewidth=1.2, label=f"{name}, carry only", **hollow)


# ---- iterative estimation ------------------------------------------------------------------------------------------


def plot_iterative_estimation(models: Mapping[str, Any], path: Path) -> Path:
    """How the estimate forms: lens loss, cosine, distance and mean difference to the final stream, over depth."""
    figure = _canvas(9.6, 6.6)
    axes = figure.subplots(2, 2, sharex=True).flatten()
    for axis, (curve, label) in zip(axes, _CURVES.items(), strict=True):
        for index, (name, found) in enumerate(models.items()):
            values, (color, marker) = found["iterative_estimation"], arm_style(index)
            axis.plot(range(len(values[curve])), values[curve], color=color, marker=marker, label=name, **_LINE)
            if curve == "mean_difference":
                _draw_band(axis, values[curve], values["std_difference"], color)
        tidy_axis(axis)
        axis.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axis.set_ylabel(label, fontsize=9, color=INK)
    for axis in axes[2:]:
        axis.set_xlabel(_DEEP, fontsize=9, color=INK)
    figure_legend(figure, axes[0])
    return save_figure(figure, path)


def _draw_band(axis: Axes, middle: Sequence[float], spread: Sequence[float], color: str) -> None:
    low = [m - s for m, s in zip(middle, spread, strict=True)]
    high = [m + s for m, s in zip(middle, spread, strict=True)]
    axis.fill_between(range(len(middle)), low, high, color=color, alpha=0.15, linewidth=0)


# ---- over training -------------------------------------------------------------------------------------------------


def plot_over_training(runs: Mapping[str, Sequence[Any]], path: Path) -> Path:
    """One column per run: the openings of its sublayers, and what each one's loss would cost, over the steps."""
    figure = _canvas(max(7.0, 1.6 + 4.6 * len(runs)), 6.4)
    axes = figure.subplots(2, len(runs), sharex="col", squeeze=False)
    for column, (name, moments) in enumerate(runs.items()):
        gated = moments[-1]["gated"]
        quantity = "transform" if gated else "update_ratio"
        opening = [{s: max(q[quantity], _SMALLEST) for s, q in m["openings"].items()} for m in moments]
        rise = [{s: loss - m["lesions"]["intact"] for s, loss in m["lesions"]["sublayers"].items()} for m in moments]
        steps = [moment["step"] for moment in moments]
        _draw_sublayers(axes[0][column], steps, opening)
        if not gated:
            axes[0][column].set_yscale("log")
            axes[0][column].yaxis.set_major_formatter(_PLAIN)
        axes[1][column].sharey(axes[1][0])
        _draw_sublayers(axes[1][column], steps, rise)
        axes[0][column].set_title(name, fontsize=10, color=INK)
        axes[0][column].set_ylabel("mean transform gate T" if gated else "|update| / |stream|", color=INK)
        axes[1][column].set_ylabel("rise of the validation loss\nwithout the sublayer (nats)", color=INK)
        axes[1][column].set_xlabel("optimizer steps", color=INK)
    _sublayer_legend(figure, runs)
    return save_figure(figure, path)


def _draw_sublayers(axis: Axes, steps: Sequence[int], values: Sequence[Mapping[str, float]]) -> None:
    for name in values[0]:
        axis.plot(steps, [moment[name] for moment in values], **_sublayer_style(name, len(values[0]) // 2))
    tidy_axis(axis)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axis.margins(x=0.02)


def _sublayer_style(name: str, layers: int) -> dict[str, Any]:
    """Colour by depth (light to dark), dashes for the feed-forward sublayer."""
    number, kind = name.split(" ", 1)
    shade = 0.35 + 0.65 * (int(number) - 1) / max(1, layers - 1)
    color = matplotlib.colormaps[_HEAT](shade)
    dashes = "-" if kind == "attention" else "--"
    return {"color": color, "linestyle": dashes, "linewidth": 1.7, "marker": "o", "markersize": 3, "label": name}


def _sublayer_legend(figure: Figure, runs: Mapping[str, Sequence[Any]]) -> None:
    names = max((list(moments[0]["openings"]) for moments in runs.values()), key=len)
    handles = [Line2D([], [], **_sublayer_style(name, len(names) // 2)) for name in names]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(6, len(names)), frameon=False, fontsize=9)


def _canvas(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
