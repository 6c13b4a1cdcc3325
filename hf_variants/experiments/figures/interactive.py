# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of a comparison that a reader can ask questions of: what `plots.py` draws, as data for plotly.js.

They come from `results.json` alone, in the colours and markers of the PNGs. A figure has one or more views: what
stands against what. Colours of text and grid are swapped by site.js in dark mode.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from ..results.contracts import Arm, Results
from ..results.ngrams import reference_losses
from .growth import growing_arms, through_growths
from .plots import (
    COST_QUALITY,
    CURVES,
    GRID,
    INK,
    LOSS_CURVES,
    Clock,
    Point,
    arm_style,
    curves_caption,
    interval_errors,
    lines_caption,
    over_seeds,
    timed_clocks,
)

Figure = dict[str, Any]
Drawn = tuple[str, Arm, str, str]  # an arm's name, its results, colour, plotly's name of its marker
Traces = Callable[[Results, Drawn, Clock], list[go.Scatter]]

SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross", "X": "x",
}  # fmt: skip
PAPER = "#ffffff"
_TOKENS = "training tokens"
_TIME = "training time (s, from the quiet timing run)"
_COSTS: dict[str, Callable[[Arm], float | None]] = {
    "parameters": lambda row: row.parameters,
    "training FLOPs": lambda row: row.flops,
    "training time (s, from the quiet timing run)": lambda row: row.quiet_seconds,
    "training step (ms, median)": lambda row: row.train_step_ms,
    "inference (ms, median)": lambda row: row.inference_ms,
    "peak memory (MiB)": lambda row: row.peak_memory_mb,
}


def interactive_figures(results: Results) -> dict[str, Figure]:
    """The figures that replace an image, by the image's file name: {"caption", "log_switch", "views"}.

    A view is {"name": what stands against what, "figure": {"data", "layout"} for plotly.js}.
    """
    return {LOSS_CURVES: loss_curves(results), COST_QUALITY: cost_quality(results)}


def loss_curves(results: Results) -> Figure:
    """Loss before decay against tokens, and against training time where it was timed, with marks and growths.

    Where arms are compared by another metric than the loss, its marks have views of their own.
    """
    clocks = {_TOKENS: dict.fromkeys(results.arms, lambda tokens: tokens), _TIME: timed_clocks(results)}
    caption = curves_caption(results)
    panels = {("loss", f"loss ({results.unit})"): (_loss_traces, _mark_traces)}
    if results.metric != "loss":
        caption = f"{lines_caption(results)} {caption}"
        panels = {("loss", "loss"): (_loss_traces,), (_score(results), _with_unit(results)): (_mark_traces,)}
    caption += " Small and hollow: the seeds." if len(results.seeds) > 1 else ""
    caption += " Rings: just before a growth; dots: just after it." if growing_arms(results) else ""
    views = [
        _curves_view(results, known, parts, *titles, x_title)
        for titles, parts in panels.items()
        for x_title, known in clocks.items()
        if known
    ]
    return {"caption": caption, "log_switch": True, "views": views}


def cost_quality(results: Results) -> Figure:
    """The final result with its 95 % interval against each cost that was measured and differs among arms."""
    what, y_title = f"final {_score(results)}", f"final {_with_unit(results)}"
    known = {cost: [arm for arm in _arms(results) if of(arm[1]) is not None] for cost, of in _COSTS.items()}
    telling = [cost for cost, of in _COSTS.items() if len({of(arm[1]) for arm in known[cost]}) > 1] or ["parameters"]
    views = [_view(what, y_title, cost, [_cost_trace(results, arm, cost) for arm in known[cost]]) for cost in telling]
    caption = f"{what.capitalize()} against what an arm costs{over_seeds(results)}."
    return {"caption": caption, "log_switch": False, "views": views}


def _arms(results: Results) -> list[Drawn]:
    styles = map(arm_style, range(len(results.arms)))
    return [
        (arm, row, color, SYMBOLS[marker])
        for (arm, row), (color, marker) in zip(results.arms.items(), styles, strict=True)
    ]


def _score(results: Results) -> str:
    return f"{results.split} {results.metric.replace('_', ' ')}"


def _with_unit(results: Results) -> str:
    return _score(results) + ("" if results.metric == results.unit else f" ({results.unit})")


# ---- loss curves ---------------------------------------------------------------------------------------------------


def _curves_view(
    results: Results, clocks: Mapping[str, Clock], parts: Sequence[Traces], what: str, y_title: str, x_title: str
) -> dict[str, Any]:
    """All arms that a clock (tokens -> what is on the x axis) is known of."""
    traces = []
    arms = [arm for arm in _arms(results) if arm[0] in clocks]
    for arm in arms:
        traces += [trace for part in parts for trace in part(results, arm, clocks[arm[0]])]
    end = max(clocks[arm](row.tokens) for arm, row, *_ in arms)
    traces += [_reference_trace(name, loss, end) for name, loss in reference_losses(results)]
    return _view(what, y_title, x_title, traces, from_zero=True)


def _loss_traces(results: Results, arm: Drawn, clock: Clock) -> list[go.Scatter]:
    """The range over seeds, the line through growths, the growths, and a dot for each point of the curve.

    The line stands for the arm in the legend where the marks, which are of another metric, do not.
    """
    name, row, color, _ = arm
    tokens, losses = through_growths(row)
    line = {"mode": "lines", "line": {"width": 2, "color": color}, "hoverinfo": "skip"}
    line["showlegend"] = results.metric != "loss"
    traces = [_range_trace(arm, clock)] if len(results.seeds) > 1 else []
    traces += [_trace(name, "line", x=[clock(count) for count in tokens], y=losses, **line)]
    traces += [_growth_trace(arm, clock)] if row.stages else []
    return [*traces, _dots_trace(results, arm, clock)]


def _range_trace(arm: Drawn, clock: Clock) -> go.Scatter:
    name, row, color, _ = arm
    at, low, high = [clock(tokens) for tokens in row.curve.tokens], list(row.curve.low), list(row.curve.high)
    return _trace(
        name, "range", x=at + at[::-1], y=high + low[::-1], mode="lines", line={"width": 0, "color": color},
        fill="toself", fillcolor=color, opacity=0.18, hoverinfo="skip",
    )  # fmt: skip


def _dots_trace(results: Results, arm: Drawn, clock: Clock) -> go.Scatter:
    """The points of the curve: small, but it is they who answer the mouse."""
    name, row, color, _ = arm
    curve, seeds = row.curve, len(results.seeds)
    said = "%{customdata[0]:,.0f} tokens" + f"<br>{CURVES[curve.quantity]} %{{y:.4f}}"
    said += f"<br>{seeds} seeds: %{{customdata[1]:.4f}} to %{{customdata[2]:.4f}}" if seeds > 1 else ""
    about = list(zip(curve.tokens, curve.low, curve.high, strict=True))
    at = [clock(tokens) for tokens in curve.tokens]
    return _trace(
        name, "curve", x=at, y=list(curve.mean), mode="markers", marker={"color": color, "size": 4},
        **_hover(name, said, about),
    )  # fmt: skip


def _mark_traces(results: Results, arm: Drawn, clock: Clock) -> list[go.Scatter]:
    seeds = [_seeds_trace(results, arm, clock)] if len(results.seeds) > 1 else []
    return [*seeds, _marks_trace(results, arm, clock)]


def _growth_trace(arm: Drawn, clock: Clock) -> go.Scatter:
    """A ring just before each growth and a dot just after it."""
    name, row, color, _ = arm
    stages = [(stage, loss) for stage in row.stages for loss in (stage.loss_before, stage.loss_after)]
    said = (
        "%{customdata[0]:,.0f} tokens<br>growth %{customdata[2]} (%{customdata[1]}), to %{customdata[3]:,} parameters"
    )
    said += "<br>validation loss %{customdata[4]:.4f} → %{customdata[5]:.4f}"
    told = [[s.tokens, s.operation, s.stage, s.parameters, s.loss_before, s.loss_after] for s, _ in stages]
    shapes = {"symbol": ["circle-open", "circle"] * len(row.stages), "size": [13, 6] * len(row.stages)}
    return _trace(
        name, "growth", x=[clock(stage.tokens) for stage, _ in stages], y=[loss for _, loss in stages],
        mode="markers", marker={"color": color, "opacity": 1, "line": {"width": 2, "color": color}, **shapes},
        **_hover(name, said, told),
    )  # fmt: skip


def _seeds_trace(results: Results, arm: Drawn, clock: Clock) -> go.Scatter:
    """The end of every seed, on the results' split."""
    name, row, color, symbol = arm
    per_seed = row.metrics[results.split][results.metric].per_seed
    said = f"seed %{{customdata}}: {_score(results)} %{{y:.4f}}"
    return _trace(
        name, "seeds", x=[clock(row.marks[-1].tokens)] * len(per_seed), y=list(per_seed.values()),
        mode="markers", marker={"color": color, "symbol": f"{symbol}-open", "size": 6},
        **_hover(name, said, list(per_seed)),
    )  # fmt: skip


def _marks_trace(results: Results, arm: Drawn, clock: Clock) -> go.Scatter:
    """The result at each compared budget."""
    name, row, color, symbol = arm
    marks = row.marks
    said = "%{customdata[0]:,.0f} tokens" + f"<br>{_score(results)} %{{y:.4f}}"
    said += "<br>%{customdata[1]}"
    about = [[mark.tokens, _interval_text(mark.ci95)] for mark in marks]
    return _point_trace(name, [clock(mark.tokens) for mark in marks], marks, color, symbol, said, about)


def _interval_text(ci95: Sequence[float] | None) -> str:
    return "one seed, no interval" if ci95 is None else f"95 % CI {ci95[0]:.4f} to {ci95[1]:.4f}"


def _reference_trace(name: str, loss: float, end: float) -> go.Scatter:
    line = {"width": 1.2, "dash": "dash", "color": INK}
    return go.Scatter(x=[0, end], y=[loss] * 2, mode="lines", line=line, name=name, uid=name, hoverinfo="name+y")


# ---- cost and quality ----------------------------------------------------------------------------------------------


def _cost_trace(results: Results, arm: Drawn, cost: str) -> go.Scatter:
    name, row, color, symbol = arm
    point = row.metrics[results.split][results.metric]
    said = f"{cost}: %{{x:,}}<br>{_score(results)} %{{y:.4f}}"
    about = [_interval_text(point.ci95)]
    return _point_trace(name, [_COSTS[cost](row)], [point], color, symbol, f"{said}<br>%{{customdata}}", about)


# ---- traces and axes -----------------------------------------------------------------------------------------------


def _point_trace(
    arm: str, x: list[float], points: Sequence[Point], color: str, symbol: str, said: str, about: list[Any]
) -> go.Scatter:
    """Means with their 95 % intervals; they stand for the arm in the legend."""
    below, above = interval_errors(points)
    error = {"array": above, "arrayminus": below, "symmetric": False, "thickness": 1.5, "width": 4, "color": color}
    marker = {"color": color, "symbol": symbol, "size": 10, "line": {"width": 1, "color": PAPER}}
    return _trace(
        arm, "marks", x=x, y=[point.mean for point in points], error_y=error, mode="markers", marker=marker,
        showlegend=True, **_hover(arm, said, about),
    )  # fmt: skip


def _trace(arm: str, part: str, **options: Any) -> go.Scatter:
    """Traces of an arm come and go together. By its uid plotly.js knows a trace again in another view."""
    return go.Scatter(**{"name": arm, "legendgroup": arm, "uid": f"{arm} {part}", "showlegend": False, **options})


def _hover(arm: str, said: str, about: list[Any]) -> dict[str, Any]:
    return {"customdata": about, "hovertemplate": f"<b>{arm}</b><br>{said}<extra></extra>"}


def _view(what: str, y_title: str, x_title: str, traces: list[go.Scatter], from_zero: bool = False) -> dict[str, Any]:
    axis = {
        "gridcolor": GRID, "linecolor": INK, "tickcolor": INK, "ticks": "outside", "zeroline": False,
        "automargin": True,
    }  # fmt: skip
    x_axis = {"showgrid": False, "showline": True, "rangemode": "tozero" if from_zero else "normal"}
    layout = go.Layout(
        template={}, xaxis={**axis, **x_axis, "title": {"text": x_title, "standoff": 8}, "uirevision": x_title},
        yaxis={**axis, "title": {"text": y_title, "standoff": 8}, "uirevision": y_title},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemwidth": 30},
        margin={"l": 56, "r": 12, "t": 12, "b": 44}, hovermode="closest", uirevision="kept",
        hoverlabel={"bgcolor": PAPER, "font": {"color": INK}, "align": "left"},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
    return {"name": f"{what} against {x_title}", "figure": go.Figure(traces, layout).to_plotly_json()}
