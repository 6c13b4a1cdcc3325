# Copyright 2026 The hf_variants authors. MIT licence.
"""Budgets, views, counts and p-values in words: each is said in one place."""

import math
from collections.abc import Iterable, Mapping

from ..records import Interval
from ..tables import DASH
from .contracts import Summary, Test

FLOOR_ARM = "floor: TF-IDF + logistic regression"  # in tables of arms


VIEW_WORDS = {
    "equal_tokens": "at equal tokens",
    "equal_time": "at equal training time",
    "equal_flops": "at equal training FLOPs",
    "parameter_matched": "at equal parameters",
}


def view_words(view: str, unit: str = "tokens") -> str:
    """A view in words, in the unit that budgets are counted in, e.g. `at equal examples`."""
    if view == "equal_tokens" and unit == OWN_BUDGET:
        return f"at {describe_budget(view, 1, unit)}"
    return VIEW_WORDS[view].replace("tokens", unit)


def at(view: str, budget: float, unit: str = "tokens") -> str:
    """A view and its budget, e.g. `at equal tokens (4.0 M tokens)`; an own budget is said once."""
    if unit == OWN_BUDGET and view in ("equal_tokens", "parameter_matched"):
        return view_words("equal_tokens", unit)
    return f"{view_words(view, unit)} ({describe_budget(view, budget, unit).removesuffix(' and matched parameters')})"


def format_p(p: float | None, name: str = "") -> str:
    """A p-value to two significant digits, `<0.0001` where it is smaller; a dash where there was no test."""
    if p is None:
        return DASH
    if p < 1e-4:
        return f"{name}<0.0001"
    digits = max(2, 1 - math.floor(math.log10(p)))
    return f"{name}={p:.{digits}f}" if name else f"{p:.{digits}f}"


OWN_BUDGET = "own budget"  # the unit where arms have different budgets on purpose, and are compared at their ends


# A timing is believed where the middle half of an arm's steps spans no more than this share of their median.
STEADY = 0.5


def unsteady_note(spreads: Mapping[str, float | None]) -> str:
    """What is said of a quiet run that was not quiet for these arms; empty where it was for all."""
    worst = max(spreads, key=lambda name: spreads[name] or 0.0, default=None)
    if worst is None or spreads[worst] is None:
        return ""
    return (
        f"The machine was busy in that run: the middle half of the training steps of {worst} spans "
        f"{spreads[worst]:.2f} times their median (at most {STEADY:g} is steady), so no speed is to be relied on."
    )


def describe_budget(view: str, budget: float, unit: str = "tokens") -> str:
    """A view's budget in words, e.g. `4.0 M tokens`, `61.2 s of training`, `3.1e+13 training FLOPs`."""
    if view == "equal_time":
        return f"{budget:.1f} s of training" if budget >= 10 else f"{budget:.2g} s of training"
    if view == "equal_flops":
        return f"{budget:.2e} training FLOPs"
    if unit == OWN_BUDGET:
        return "the end of each arm's own budget"
    return f"{short_count(budget)} {unit}" + (" and matched parameters" if view == "parameter_matched" else "")


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def summary_text(summary: Summary | None, digits: int = 3) -> str:
    """`1.842 ± 0.031` (half the 95 % interval), or the value alone with one seed."""
    if summary is None:
        return DASH
    mean = f"{summary.mean:.{digits}f}"
    if summary.ci95 is None:
        return f"{mean} (1 seed)"
    return f"{mean} ± {(summary.ci95[1] - summary.ci95[0]) / 2:.{digits}f}"


def interval_text(ci95: Interval | None) -> str:
    """`+0.120 to +0.310`, a dash where there is none."""
    return DASH if ci95 is None else f"{ci95[0]:+.3f} to {ci95[1]:+.3f}"


def verdict_text(row: Test) -> str:
    """A verdict with its caveat."""
    return row.verdict + (f" ({row.caveat})" if row.caveat else "")


def short_count(number: float) -> str:
    """4 000 000 -> `4.0 M`; below a thousand the number itself."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number >= 10 * size else f"{number / size:.1f} {unit}"
    return f"{number:g}"
