# Copyright 2026 The hf_variants authors. MIT licence.
"""Which figures a comparison or an evaluation of classifiers has, and their files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from ..metrics.curves import BINS, RECALL
from ..results.contracts import Results
from .plots import INK, arm_style, line_style, new_figure, save_figure, tidy_axis

PRECISION_RECALL, RELIABILITY, CONFUSION = "precision_recall.png", "reliability.png", "confusion.png"


CAPTIONS = {
    PRECISION_RECALL: "Precision against recall on test",
    RELIABILITY: "How often what is said with a probability is so",
    CONFUSION: "True against predicted classes of the baseline",
}


FLOOR_LABEL = "TF-IDF floor"


Columns = Mapping[str, Any]  # columns of one figure by their names, or rows of counts


def figure_tables(results: Results, name: str) -> dict[str, Columns]:
    """By arm (and of the floor) the table of one figure, of the published weights; those that have one."""
    found = {arm: row.classification for arm, row in results.arms.items() if row.classification is not None}
    if results.floor is not None:
        found[FLOOR_LABEL] = results.floor.classification
    return {arm: about.curves[name] for arm, about in found.items() if about.curves.get(name)}


def drawn_figures(results: Results) -> list[str]:
    """The files that `plot_classification` writes for these results."""
    names = {"precision_recall": PRECISION_RECALL, "reliability": RELIABILITY}
    found = [file for name, file in names.items() if figure_tables(results, name)]
    return found + ([CONFUSION] if results.baseline in figure_tables(results, "confusion") else [])


def plot_classification(results: Results, folder: Path) -> None:
    """Draws what the results have tables for."""
    drawn, baseline = drawn_figures(results), results.baseline
    if PRECISION_RECALL in drawn:
        plot_precision_recall(figure_tables(results, "precision_recall"), folder / PRECISION_RECALL)
    if RELIABILITY in drawn:
        plot_reliability(figure_tables(results, "reliability"), folder / RELIABILITY)
    if CONFUSION in drawn:
        names = results.arms[baseline].classification.label_names
        plot_confusion(figure_tables(results, "confusion")[baseline], names, folder / CONFUSION, title=baseline)


def plot_evaluation(curves: Mapping[str, Columns], label_names: Sequence[str], name: str, folder: Path) -> None:
    """The same for one model's tables, under its name."""
    if "precision_recall" in curves:
        plot_precision_recall({name: curves["precision_recall"]}, folder / PRECISION_RECALL)
    if "reliability" in curves:
        plot_reliability({name: curves["reliability"]}, folder / RELIABILITY)
    if "confusion" in curves:
        plot_confusion(curves["confusion"], label_names, folder / CONFUSION)


Tables = Mapping[str, Columns]


_MANY = 10  # classes, above which a confusion matrix has no room for percentages


_REFERENCE = {"color": INK, "linestyle": "--", "linewidth": 1.0, "zorder": 1}


# ---- precision and recall ------------------------------------------------------------------------------------------


def plot_precision_recall(arms: Tables, path: str | Path) -> Path:
    """Precision against recall, an arm a line; the dashed one is the share of positives, the precision of guessing."""
    figure = new_figure(1, width=6.4)
    axis = figure.subplots()
    for index, (arm, table) in enumerate(_checked(arms).items()):
        label = f"{arm}  AP {table['average_precision']:.3f}"
        style = {"color": arm_style(index)[0], "linestyle": line_style(index)}
        axis.plot(RECALL, table["precision"], linewidth=1.6, label=label, zorder=3, **style)
    share = float(np.mean([table["prevalence"] for table in arms.values()]))
    axis.axhline(share, label=f"guessing ({share:.3f} are positive)", **_REFERENCE)
    tidy_axis(axis)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    _legend(figure, axis)
    return save_figure(figure, path)


# ---- calibration ---------------------------------------------------------------------------------------------------


def plot_reliability(arms: Tables, path: str | Path) -> Path:
    """Observed share against mean probability per bin; below, the share of examples in each bin.

    On the diagonal the two agree. The shares are logarithmic, since rare bins are points above as well.
    """
    figure = new_figure(1, width=6.0)
    figure.set_size_inches(6.4, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], **_REFERENCE)
    for index, (arm, table) in enumerate(_checked(arms).items()):
        color, marker = arm_style(index)
        label = f"{arm}  ECE {table['expected_error']:.3f}"
        style = {"color": color, "marker": marker, "linestyle": line_style(index), "label": label}
        _draw_bins(above, below, table, style)
    _label_reliability(above, below, any(table["of"] == "predicted" for table in arms.values()))
    _legend(figure, above)
    return save_figure(figure, path)


def _draw_bins(above: Axes, below: Axes, table: Columns, style: dict[str, Any]) -> None:
    mean, observed = ([value for value in table[name] if value is not None] for name in ("probability", "observed"))
    above.plot(mean, observed, linewidth=1.2, markersize=5.5, markeredgecolor="white", markeredgewidth=0.7, **style)
    share = np.asarray(table["share"])
    shown = np.where(share > 0, share, np.nan)
    line = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.5}
    below.stairs(shown, np.linspace(0, 1, BINS + 1), baseline=None, **line)


def _label_reliability(above: Axes, below: Axes, confidence: bool) -> None:
    for axis in (above, below):
        tidy_axis(axis)
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right" if confidence else "share of positives")
    below.set_xlabel("probability of the predicted class" if confidence else "probability of the positive class")
    below.set_ylabel("share of\nexamples")
    below.set_yscale("log")
    below.set_ylim(top=1)
    below.yaxis.set_major_locator(LogLocator(numticks=5))
    below.yaxis.set_minor_locator(NullLocator())
    below.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))


# ---- confusion -----------------------------------------------------------------------------------------------------


def plot_confusion(
    counts: Sequence[Sequence[int]], label_names: Sequence[str], path: str | Path, title: str = ""
) -> Path:
    """Counts of true (rows) against predicted classes (columns); colour and percentage are shares of the row.

    Percentages are left out for more than 10 classes. Raises ValueError unless there are as many names as classes.
    """
    counts, count = np.asarray(counts), len(label_names)
    if counts.shape != (count, count):
        raise ValueError(f"confusion: a table of {count} x {count} is expected, as there are {count} names")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = _square_figure(count)
    colors = LinearSegmentedColormap.from_list("share", ["#ffffff", arm_style(0)[0]])
    image = axis.imshow(shares, cmap=colors, vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        _write_cell(axis, (column, row), counts[row, column], shares[row, column], count > _MANY)
    _label_confusion(axis, label_names, title)
    bar = figure.colorbar(image, ax=axis, shrink=0.8, pad=0.03)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.set_label("share of the true class", fontsize=8, color=INK)
    bar.outline.set_visible(False)
    return save_figure(figure, path)


def _square_figure(count: int) -> tuple[Figure, Axes]:
    figure = new_figure(1, width=6.0)
    side = 1.9 + (0.36 if count > _MANY else 0.75) * max(3, count)  # inches
    figure.set_size_inches(side + 0.9, side)
    return figure, figure.subplots()


def _write_cell(axis: Axes, at: tuple[int, int], count: int, share: float, small: bool) -> None:
    style = {"ha": "center", "va": "center", "color": "white" if share > 0.8 else INK, "textcoords": "offset points"}
    if small:
        axis.annotate(f"{count:,}" if count else "", at, (0, 0), fontsize=6, **style)
        return
    axis.annotate(f"{count:,}", at, (0, 5), fontsize=9, **style)
    axis.annotate(f"{share:.0%}", at, (0, -8), fontsize=7.5, **style)


def _label_confusion(axis: Axes, names: Sequence[str], title: str) -> None:
    small = len(names) > _MANY
    tilt = 90 if small else 35 if max(map(len, names)) > 8 else 0
    axis.set_xticks(range(len(names)), names, rotation=tilt, ha={90: "center", 35: "right", 0: "center"}[tilt])
    axis.set_yticks(range(len(names)), names)
    axis.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="#eeeeee", linewidth=1)
    axis.tick_params(which="both", length=0, colors=INK, labelsize=8 if small else 9)
    axis.spines[:].set_visible(False)
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(title, fontsize=10, color=INK)


# ---- shared --------------------------------------------------------------------------------------------------------


def _legend(figure: Figure, axis: Axes) -> None:
    """Above the panels, in as many columns as the labels leave room for; the figure grows by its rows."""
    handles, labels = axis.get_legend_handles_labels()
    columns = max(1, min(4, int(15 * figure.get_figwidth()) // (max(map(len, labels)) + 8)))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize=9)
    figure.set_figheight(figure.get_figheight() + 0.2 * (-(-len(labels) // columns) - 1))


def _checked(arms: Tables) -> Tables:
    """`arms`, if there is something to draw. Raises ValueError otherwise."""
    if not arms:
        raise ValueError("no arms to draw")
    return arms
