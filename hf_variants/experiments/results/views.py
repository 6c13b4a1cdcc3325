# Copyright 2026 The hf_variants authors. MIT licence.
"""The views of a comparison: the same runs at equal tokens, equal time, equal FLOPs and equal parameters.

A run is evaluated after a short decay branch at each compared budget (its marks), so its final loss is a known
function of tokens there; other costs are tokens times a cost per token, and between marks there is interpolation.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from . import significance
from .significance import PairedDifference
from .wording import OWN_BUDGET, STEADY, describe_budget

VIEWS = ("equal_tokens", "equal_time", "equal_flops", "parameter_matched")


PARAMETER_TOLERANCE = 0.02


# An interpolated arm's next mark should not be further away than this: verdicts against the arm have to hold there.
NEAR_MARK = 1.5


_COST_SOURCE = {"equal_time": "timing of a quiet run", "equal_flops": "FLOPs per token"}


# The costs of two arms are products of floats: equal ones differ by rounding, which is not extrapolation.
_SAME_COST = 1e-9


Record = dict[str, Any]


Runs = dict[str, dict[str, Record]]


CostOfMark = Callable[[Mapping[str, Any]], float]


class Curve(NamedTuple):
    """One run's marks: rising costs, the metric at each, and the tokens that each was reached with."""

    costs: list[float]
    values: list[float]
    tokens: list[int]


def build_views(
    head: Mapping[str, Any], runs: Runs, timing: Mapping[str, Any] | None, matched: Mapping[str, str]
) -> dict[str, Any]:
    """`views` (rows per view, Holm-corrected within each) and `views_omitted` (what was left out, and why)."""
    quiet = (timing or {}).get("arms") or {}
    seconds = {arm: seconds_of_marks(quiet.get(arm) or {}) for arm in runs}
    flops = dict.fromkeys(runs, flops_of_mark)
    pairs = [(arm, head["baseline"]) for arm in runs if arm != head["baseline"]]
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "equal_tokens": lambda: [row for pair in pairs for row in _equal_tokens(head, runs, *pair)],
        "equal_time": lambda: [
            _with_doubt(_equal_cost(head, runs, "equal_time", *pair, seconds), quiet) for pair in pairs
        ],
        "equal_flops": lambda: [_equal_cost(head, runs, "equal_flops", *pair, flops) for pair in pairs],
        "parameter_matched": lambda: _parameter_matched(head, runs, matched),
    }
    views, omitted = {}, {}
    for view in VIEWS:
        rows = makers[view]()
        omitted[view] = [row for row in rows if "reason" in row]
        views[view] = _with_verdicts([row for row in rows if "reason" not in row], head["lower_is_better"])
    return {"views": views, "views_omitted": omitted}


def seconds_of_marks(timed: Mapping[str, Any]) -> CostOfMark | None:
    """What tells the training seconds up to a mark from an arm's quiet timing; None where it was not timed.

    Growth stages have a speed each, and an early mark has fewer stages.
    """
    one = timed.get("seconds_per_token")
    rates = timed.get("stage_seconds_per_token") or (None if one is None else [one])
    if not rates:
        return None
    return lambda mark: sum(
        tokens * rate for tokens, rate in zip(mark.get("stage_tokens") or [mark["tokens"]], rates, strict=False)
    )


def unsteadiness(timed: Mapping[str, Any]) -> float | None:
    """How far the quartiles of an arm's timed steps are apart, in medians; None up to `STEADY`.

    Beyond it, what else ran on the machine decides how fast an arm seems.
    """
    between, median = timed.get("train_step_ms_quartiles"), timed.get("train_step_ms")
    spread = (between[1] - between[0]) / median if between and median else 0.0
    return spread if spread > STEADY else None


def _with_doubt(row: dict[str, Any], quiet: Mapping[str, Any]) -> dict[str, Any]:
    """An equal-time row, with a caveat where one of its arms was timed on a busy machine."""
    doubted = [name for name in (row["arm"], row["against"]) if unsteadiness(quiet.get(name) or {})]
    if "reason" in row or not doubted:
        return row
    text = f"the timing of {' and '.join(doubted)} is unsteady"
    return {**row, "caveat": f"{row['caveat']}; {text}" if "caveat" in row else text}


def flops_of_mark(mark: Mapping[str, Any]) -> float:
    """The training FLOPs up to a mark, as the run counted them."""
    return float(mark["flops"])


def _series(head: Mapping[str, Any], by_seed: dict[str, Record]) -> dict[str, dict[int, float]]:
    """Per seed: budget -> the metric at its end. Budgets count tokens, or examples of different lengths."""
    metric, split = head["metric"], head["split"]
    return {
        seed: {_budget(head, record, m): m[split][metric] for m in record["marks"] if metric in (m.get(split) or {})}
        for seed, record in by_seed.items()
    }


def _budget(head: Mapping[str, Any], record: Record, mark: Mapping[str, Any]) -> float:
    unit = head.get("budget_unit", "tokens")
    return mark["steps"] / record["steps"] if unit == OWN_BUDGET else mark[unit]


def _equal_tokens(head: Mapping[str, Any], runs: Runs, arm: str, against: str) -> list[dict[str, Any]]:
    first, second = _series(head, runs[arm]), _series(head, runs[against])
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return [_omit(arm, against, "no seed was run for both arms")]
    budgets = sorted(set.intersection(*(set(first[s]) & set(second[s]) for s in seeds)))
    if not budgets:
        return [
            _omit(arm, against, f"no budget in {head.get('budget_unit', 'tokens')} at which both arms were evaluated")
        ]
    return [
        _row(arm, against, budget, {s: first[s][budget] for s in seeds}, {s: second[s][budget] for s in seeds})
        for budget in budgets
    ]


def _equal_cost(
    head: Mapping[str, Any], runs: Runs, view: str, arm: str, against: str, costs: Mapping[str, CostOfMark | None]
) -> dict[str, Any]:
    """One row at a cost that both arms reach, linear in log(cost) between marks; never extrapolated.

    A loss that flattens lies below the straight line between two marks, so interpolation wrongs the arm that it is
    applied to. A verdict against that arm therefore has to hold against its next mark too, or the row gets a caveat.
    """
    if costs[arm] is None or costs[against] is None:
        return _omit(arm, against, f"no {_COST_SOURCE[view]} for both arms")
    curves = {name: _cost_curves(head, runs[name], costs[name]) for name in (arm, against)}
    if not set(curves[arm]) & set(curves[against]):
        return _omit(arm, against, "no seed was run for both arms")
    budget = _shared_cost([curve.costs for by_seed in curves.values() for curve in by_seed.values()])
    if budget is None:
        return _omit(arm, against, _no_overlap(head, view, curves))
    at = {name: {s: _interpolate(budget, curve) for s, curve in by_seed.items()} for name, by_seed in curves.items()}
    tokens = {name: round(_tokens_at(budget, by_seed.values())) for name, by_seed in curves.items()}
    between = [name for name in (arm, against) if not _at_a_mark(budget, curves[name])]
    marks = {name: _marks_around(budget, curves[name]) for name in (arm, against)}
    row = {**_row(arm, against, budget, at[arm], at[against]), "tokens": tokens, "interpolated": between}
    row["marks"] = marks
    loser = arm if (row["difference"] > 0) == head["lower_is_better"] else against
    if loser not in between:
        return row
    at[loser] = {s: _next_mark(budget, curve.costs, curve.values) for s, curve in curves[loser].items()}
    return {**row, **_benefit_of_doubt(row, _row(arm, against, budget, at[arm], at[against]), loser)}


def _shared_cost(every: list[list[float]]) -> float | None:
    """The largest cost that all reach; None where ranges do not overlap. Chosen before any loss is looked at.

    Where an arm's next mark is far from there, a somewhat smaller cost at which marks are closer. Of arms whose marks
    are at 0.3 and 1.0, one three times as fast ends just beyond the early mark of the slow one, whose next is far
    away: at that early mark itself the fast arm has a mark close by, and the slow one needs no interpolation.
    """
    low, high = max(costs[0] for costs in every), min(costs[-1] for costs in every)
    if low > high * (1 + _SAME_COST):
        return None
    late = {cost for costs in every for cost in costs if max(low, high / 2) <= cost <= high} | {high}
    distance = {cost: max(_next_mark(cost, costs, costs) / cost for costs in every) for cost in late}
    near = [cost for cost in late if distance[cost] <= NEAR_MARK]
    return max(near) if near else min(sorted(late), key=distance.__getitem__)


def _no_overlap(head: Mapping[str, Any], view: str, curves: Mapping[str, Mapping[str, Curve]]) -> str:
    ends = {name: min(curve.costs[-1] for curve in by_seed.values()) for name, by_seed in curves.items()}
    cheap, dear = sorted(ends, key=ends.__getitem__)
    first = max(curve.costs[0] for curve in curves[dear].values())
    share = math.floor(1e3 * ends[cheap] / ends[dear]) / 1e3
    text = f"{cheap} ends at {describe_budget(view, ends[cheap])} and {dear} is first evaluated at "
    text += f"{describe_budget(view, first)}: it would need extrapolation"
    if head.get("budget_unit", "tokens") != "tokens":  # early stopping leaves one mark
        return text
    return f"{text}, or a first share in training.budgets of at most {share:g}"


def _marks_around(budget: float, by_seed: Mapping[str, Curve]) -> list[dict[str, float]]:
    """The mark that an arm is read from, or the two it is read between; means over the seeds."""
    below = [max([i for i, c in enumerate(curve.costs) if c <= budget * (1 + _SAME_COST)], default=0)
             for curve in by_seed.values()]  # fmt: skip
    above = [_next_mark(budget, curve.costs, range(len(curve.costs))) for curve in by_seed.values()]
    ends = [below] if _at_a_mark(budget, by_seed) else [below, above]
    return [_mean_mark([(curve.tokens[i], curve.costs[i]) for i, curve in zip(end, by_seed.values(), strict=True)])
            for end in ends]  # fmt: skip


def _mean_mark(marks: list[tuple[int, float]]) -> dict[str, float]:
    tokens, costs = zip(*marks, strict=True)
    return {"tokens": round(sum(tokens) / len(tokens)), "cost": sum(costs) / len(costs)}


def _cost_curves(head: Mapping[str, Any], by_seed: dict[str, Record], cost: CostOfMark) -> dict[str, Curve]:
    """Per seed, its marks by what they cost."""
    curves = {}
    for seed, series in _series(head, by_seed).items():
        record = by_seed[seed]
        every = {mark["tokens"]: (mark, _budget(head, record, mark)) for mark in record["marks"]}
        marks = [mark for _, (mark, budget) in sorted(every.items()) if budget in series]
        values = [series[_budget(head, record, mark)] for mark in marks]
        curves[seed] = Curve([cost(mark) for mark in marks], values, [mark["tokens"] for mark in marks])
    return curves


def _tokens_at(budget: float, curves: Iterable[Curve]) -> float:
    """The tokens that a cost pays for, as a mean over seeds."""
    found = [np.interp(budget, [0, *curve.costs], [0, *curve.tokens]) for curve in curves]
    return float(sum(found) / len(found))


def _interpolate(budget: float, curve: Curve) -> float:
    return float(np.interp(math.log(budget), np.log(curve.costs), curve.values))


def _next_mark(budget: float, costs: list[float], values: Sequence[float]) -> float:
    """The value at the first mark that costs `budget` or more."""
    return next(value for cost, value in zip(costs, values, strict=True) if cost >= budget * (1 - _SAME_COST))


def _benefit_of_doubt(row: Mapping[str, Any], generous: Mapping[str, Any], loser: str) -> dict[str, Any]:
    found = {"difference_at_next_mark": generous["difference"]}
    sign = 1.0 if row["difference"] > 0 else -1.0
    claimed, kept = (
        interval is not None and min(sign * bound for bound in interval) > 0
        for interval in (row["ci95"], generous["ci95"])
    )
    if kept or not claimed:
        return found
    text = f"not against {loser}'s next mark, where the difference is {generous['difference']:+.3f}"
    return {**found, "caveat": f"a difference holds by interpolation only, {text}"}


def _at_a_mark(budget: float, curves: Mapping[str, Curve]) -> bool:
    return all(any(abs(cost - budget) <= _SAME_COST * budget for cost in curve.costs) for curve in curves.values())


def _parameter_matched(head: Mapping[str, Any], runs: Runs, matched: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every pair within 2 % of parameters, at the full budget; `against` is the earlier arm, or as `matched` says."""
    rows = []
    counts = {arm: next(iter(by_seed.values()))["parameters"] for arm, by_seed in runs.items()}
    order = sorted(runs, key=lambda arm: arm != head["baseline"])
    for against, arm in combinations(order, 2):
        if matched.get(against) == arm:
            arm, against = against, arm
        if abs(counts[arm] - counts[against]) <= PARAMETER_TOLERANCE * counts[against]:
            last = _equal_tokens(head, runs, arm, against)[-1]
            rows.append({**last, "parameters": {name: counts[name] for name in (arm, against)}})
        elif matched.get(arm) == against:
            ratio = counts[arm] / counts[against]
            rows.append(_omit(arm, against, f"named as a match, but {arm} has {ratio:.3f} times the parameters"))
    return rows


def _row(
    arm: str, against: str, budget: float, values: Mapping[str, float], others: Mapping[str, float]
) -> dict[str, Any]:
    paired = significance.paired_difference(values, others)
    numbers = {"difference": paired.difference, "ci95": paired.ci95, "p": paired.p, "seeds": paired.seeds}
    return {"arm": arm, "against": against, "budget": budget, **numbers}


def _omit(arm: str, against: str, reason: str) -> dict[str, Any]:
    return {"arm": arm, "against": against, "reason": reason}


def as_paired(row: Mapping[str, Any]) -> PairedDifference:
    """A view's row as the difference it was made from."""
    ci95 = None if row["ci95"] is None else tuple(row["ci95"])
    return PairedDifference(row["difference"], ci95, row["p"], row["seeds"])


def _with_verdicts(rows: list[dict[str, Any]], lower_is_better: bool) -> list[dict[str, Any]]:
    return [
        {**row, "p_holm": p, "verdict": significance.verdict(as_paired(row), p, lower_is_better, row.get("caveat"))}
        for row, p in zip(rows, holm_of_rows(rows), strict=True)
    ]


def what_is_tested(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row tests: equal for rows that stand for the same runs, under other names or in another view.

    A budget is no part of it: runs that cost as many FLOPs as tokens are compared at the same marks in both views.
    """
    return tuple(row[key] for key in ("against", "difference", "p"))


def holm_of_rows(rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Holm's p of rows; those that stand for the same runs are one test, for instance arms that part later on."""
    tests = [what_is_tested(row) for row in rows]
    distinct = list(dict.fromkeys(tests))
    corrected = dict(zip(distinct, significance.holm([p for *_, p in distinct]), strict=True))
    return [corrected[test] for test in tests]
