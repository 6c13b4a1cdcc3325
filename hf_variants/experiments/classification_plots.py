# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of classification, from plain arrays: precision-recall curves, calibration, and a confusion matrix.

An arm is given as a list of runs (seeds), each a pair of labels `(n,)` and probabilities. As all figures here, these
are made without pyplot.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from .metrics.calibration_error.calibration_error import expected_error
from .plots import INK, arm_style, new_figure, save_figure, tidy_axis

Run = tuple[np.ndarray, np.ndarray]
Arms = Mapping[str, Sequence[Run]]

_RECALL = np.linspace(0, 1, 201)
_MANY = 10  # classes, above which a confusion matrix has no room for percentages
_REFERENCE = {"color": INK, "linestyle": "--", "linewidth": 1.0, "zorder": 1}


# ---- precision and recall ------------------------------------------------------------------------------------------


def plot_precision_recall(arms: Arms, path: str | Path) -> Path:
    """Precision against recall of a binary task: a thin line per run, and the mean over an arm's runs in bold.

    The legend has the average precision: its mean, and the range over runs. The dashed line is the share of positives,
    which is the precision of guessing. `arms`: labels 0 and 1, probabilities `(n,)` of the positive class.
    """
    figure = new_figure(1, width=6.4)
    axis = figure.subplots()
    shares = [float(np.mean(labels)) for runs in _checked(arms).values() for labels, _ in runs]
    for index, (arm, runs) in enumerate(arms.items()):
        color = arm_style(index)[0]
        found = [average_precision_score(*run) for run in runs]
        curves = np.array([_precision_at(*run) for run in runs])
        if len(runs) > 1:
            for curve in curves:
                axis.plot(_RECALL, curve, color=color, linewidth=0.7, alpha=0.45)
        label = f"{arm}  AP {_mean_and_range(found)}"
        axis.plot(_RECALL, curves.mean(axis=0), color=color, linewidth=1.8, label=label, zorder=3)
    axis.axhline(np.mean(shares), label=f"guessing ({np.mean(shares):.3f} are positive)", **_REFERENCE)
    tidy_axis(axis)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    _legend(figure, axis)
    if any(len(runs) > 1 for runs in arms.values()):
        figure.supxlabel("Bold: mean over runs. Thin: each run.", fontsize=8, color=INK)
    return save_figure(figure, path)


def _precision_at(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """At each recall of the grid the precision of the highest threshold that reaches it: steps, as the area's are."""
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    precision, recall = precision[::-1][1:], recall[::-1][1:]  # rising recall, without the made-up point at 0
    return precision[np.searchsorted(recall, _RECALL - 1e-12)]


def _mean_and_range(values: Sequence[float]) -> str:
    text = f"{np.mean(values):.3f}"
    return text if len(values) == 1 else f"{text} ({min(values):.3f} to {max(values):.3f})"


# ---- calibration ---------------------------------------------------------------------------------------------------


def plot_reliability(arms: Arms, path: str | Path, bins: int = 15) -> Path:
    """How often what is said with a probability is so, over bins of equal width (arXiv:1706.04599, figure 1).

    Above: observed share against mean probability per bin, with the expected calibration error; on the diagonal they
    agree. Below: the share of examples in each bin (logarithmic, since rare ones are points above as well). Runs of an
    arm are pooled. Probabilities `(n,)` are those of the positive class; those of `(n, classes)` count with their most
    probable class and whether it is right.
    """
    figure = new_figure(1, width=6.0)
    figure.set_size_inches(6.4, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], **_REFERENCE)
    confidence = False
    for index, (arm, runs) in enumerate(_checked(arms).items()):
        color, marker = arm_style(index)
        events = [_events(*run) for run in runs]
        confidence = confidence or runs[0][1].ndim == 2
        right, chance = (np.concatenate(parts) for parts in zip(*events, strict=True))
        errors = [expected_error(*event, bins) for event in events]
        label = f"{arm}  ECE {_mean_and_range(errors)}"
        _draw_bins(above, below, right, chance, bins, {"color": color, "marker": marker, "label": label})
    _label_reliability(above, below, confidence)
    _legend(figure, above)
    return save_figure(figure, path)


def _events(labels: np.ndarray, probabilities: np.ndarray) -> Run:
    """Whether what was predicted is so, and its probability, both `(n,)`."""
    if probabilities.ndim == 1:
        return labels, probabilities
    return (probabilities.argmax(axis=1) == labels).astype(int), probabilities.max(axis=1)


def _draw_bins(above: Axes, below: Axes, right: np.ndarray, chance: np.ndarray, bins: int, style: dict) -> None:
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(chance, edges[1:-1], right=True)
    sizes = np.bincount(place, minlength=bins)
    used = sizes > 0
    mean = np.bincount(place, chance, minlength=bins)[used] / sizes[used]
    share = np.bincount(place, right, minlength=bins)[used] / sizes[used]
    above.plot(mean, share, linewidth=1.2, markersize=5.5, markeredgecolor="white", markeredgewidth=0.7, **style)
    below.stairs(
        np.where(used, sizes / sizes.sum(), np.nan), edges, baseline=None, color=style["color"], linewidth=1.5
    )


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
    labels: np.ndarray, predictions: np.ndarray, label_names: Sequence[str], path: str | Path, title: str = ""
) -> Path:
    """Counts of true (rows) against predicted classes (columns); colour and percentage are shares of the row.

    `labels` and `predictions` are class numbers `(n,)`. Percentages are left out for more than 10 classes. Raises
    ValueError for a class that has no name.
    """
    count = len(label_names)
    numbers = np.concatenate([np.asarray(labels), np.asarray(predictions)])
    if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
        raise ValueError(f"confusion: class numbers from 0 to {count - 1} are expected, as there are {count} names")
    counts = confusion_matrix(labels, predictions, labels=range(count))
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
    style = {"ha": "center", "va": "center", "color": "white" if share > 0.55 else INK, "textcoords": "offset points"}
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


def _checked(arms: Arms) -> Arms:
    """`arms`, if there is something to draw. Raises ValueError that names the arm otherwise."""
    if not arms:
        raise ValueError("no arms to draw")
    for arm, runs in arms.items():
        if not runs:
            raise ValueError(f"{arm}: no runs to draw")
        for labels, probabilities in runs:
            if len(labels) != len(probabilities) or len(np.unique(labels)) < 2:
                raise ValueError(f"{arm}: labels of two classes, as many as probabilities, are expected")
    return arms
