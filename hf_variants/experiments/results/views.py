# Copyright 2026 The hf_variants authors. MIT licence.
"""The views of a comparison: the same runs at equal tokens, equal time, equal FLOPs and equal parameters.

A run is evaluated after a short decay branch at each compared budget (its marks), so its final loss is a known
function of tokens there; other costs are tokens times a cost per token, and between marks there is interpolation.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..records import ArmTiming, Mark, RunRecord, Timing
from . import significance
from .contracts import Head, MarkCost, Omitted, Test
from .wording import OWN_BUDGET, STEADY, describe_budget

VIEWS = ("equal_tokens", "equal_time", "equal_flops", "parameter_matched")


PARAMETER_TOLERANCE = 0.02


# An interpolated arm's next mark should not be further away than this: verdicts against the arm have to hold there.
NEAR_MARK = 1.5


_COST_SOURCE = {"equal_time": "timing of a quiet run", "equal_flops": "FLOPs per token"}


# The costs of two arms are products of floats: equal ones differ by rounding, which is not extrapolation.
_SAME_COST = 1e-9


BySeed = Mapping[str, RunRecord]  # of one arm; seeds are written as in JSON


Runs = Mapping[str, BySeed]


CostOfMark = Callable[[Mark], float]


ViewRows = list[Test | Omitted]


class MarkCurve(NamedTuple):
    """One run's marks: rising costs, the metric at each, and the tokens that each was reached with."""

    costs: list[float]
    values: list[float]
    tokens: list[int]


@dataclass(frozen=True)
class Views:
    """The tests of each view, Holm-corrected within it, and what each view leaves out."""

    tests: Mapping[str, tuple[Test, ...]]
    omitted: Mapping[str, tuple[Omitted, ...]]


def build_views(head: Head, runs: Runs, timing: Timing | None, matched: Mapping[str, str]) -> Views:
    """All views of the same runs; `matched` names arms that are compared at equal parameters, and against which."""
    seconds = {arm: seconds_of_marks(timed_arm(timing, arm)) for arm in runs}
    flops = dict.fromkeys(runs, flops_of_mark)
    pairs = [(arm, head.baseline) for arm in runs if arm != head.baseline]
    timed = [_equal_cost(head, runs, "equal_time", *pair, seconds) for pair in pairs]
    rows: dict[str, ViewRows] = {
        "equal_tokens": [row for pair in pairs for row in _equal_tokens(head, runs, *pair)],
        "equal_time": [_with_doubt(row, timing) if isinstance(row, Test) else row for row in timed],
        "equal_flops": [_equal_cost(head, runs, "equal_flops", *pair, flops) for pair in pairs],
        "parameter_matched": _parameter_matched(head, runs, matched),
    }
    tests = {view: [row for row in rows[view] if isinstance(row, Test)] for view in VIEWS}
    omitted = {view: tuple(row for row in rows[view] if isinstance(row, Omitted)) for view in VIEWS}
    return Views({view: judged(tests[view], head.lower_is_better) for view in VIEWS}, omitted)


def timed_arm(timing: Timing | None, arm: str) -> ArmTiming:
    """What the quiet run says of an arm: nothing where there was none, or the arm was not in it."""
    found = timing.arms.get(arm) if timing is not None else None
    return found or ArmTiming()


def seconds_of_marks(timed: ArmTiming) -> CostOfMark | None:
    """What tells the training seconds up to a mark from an arm's quiet timing; None where it was not timed.

    Growth stages have a speed each, and an early mark has fewer stages.
    """
    one = timed.seconds_per_token
    rates = timed.stage_seconds_per_token or (() if one is None else (one,))
    if not rates:
        return None
    return lambda mark: sum(
        tokens * rate for tokens, rate in zip(mark.stage_tokens or (mark.tokens,), rates, strict=False)
    )


def unsteadiness(timed: ArmTiming) -> float | None:
    """How far the quartiles of an arm's timed steps are apart, in medians; None up to `STEADY`.

    Beyond it, what else ran on the machine decides how fast an arm seems.
    """
    between, median = timed.train_step_ms_quartiles, timed.train_step_ms
    spread = (between[1] - between[0]) / median if between and median else 0.0
    return spread if spread > STEADY else None


def _with_doubt(row: Test, timing: Timing | None) -> Test:
    """An equal-time row, with a caveat where one of its arms was timed on a busy machine."""
    doubted = [name for name in (row.arm, row.against) if unsteadiness(timed_arm(timing, name))]
    if not doubted:
        return row
    text = f"the timing of {' and '.join(doubted)} is unsteady"
    return replace(row, caveat=f"{row.caveat}; {text}" if row.caveat else text)


def flops_of_mark(mark: Mark) -> float:
    """The training FLOPs up to a mark, as the run counted them."""
    return float(mark.flops)


def _series(head: Head, by_seed: BySeed) -> dict[str, dict[float, float]]:
    """Per seed: budget -> the metric at its end. Budgets count tokens, or examples of different lengths."""
    return {
        seed: {
            _budget(head, record, mark): mark.metrics(head.split)[head.metric]
            for mark in record.marks
            if head.metric in mark.metrics(head.split)
        }
        for seed, record in by_seed.items()
    }


def _budget(head: Head, record: RunRecord, mark: Mark) -> float:
    if head.budget_unit == OWN_BUDGET:
        return mark.steps / record.steps
    return mark.tokens if head.budget_unit == "tokens" else mark.examples


def _equal_tokens(head: Head, runs: Runs, arm: str, against: str, view: str = "equal_tokens") -> ViewRows:
    first, second = _series(head, runs[arm]), _series(head, runs[against])
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return [_omit(view, arm, against, "no seed was run for both arms")]
    budgets = sorted(set.intersection(*(set(first[s]) & set(second[s]) for s in seeds)))
    if not budgets:
        reason = f"no budget in {head.budget_unit} at which both arms were evaluated"
        return [_omit(view, arm, against, reason)]
    return [
        _row(view, arm, against, budget, {s: first[s][budget] for s in seeds}, {s: second[s][budget] for s in seeds})
        for budget in budgets
    ]


def _equal_cost(
    head: Head, runs: Runs, view: str, arm: str, against: str, costs: Mapping[str, CostOfMark | None]
) -> Test | Omitted:
    """One row at a cost that both arms reach, linear in log(cost) between marks; never extrapolated.

    A loss that flattens lies below the straight line between two marks, so interpolation wrongs the arm that it is
    applied to. A verdict against that arm therefore has to hold against its next mark too, or the row gets a caveat.
    """
    if costs[arm] is None or costs[against] is None:
        return _omit(view, arm, against, f"no {_COST_SOURCE[view]} for both arms")
    curves = {name: _cost_curves(head, runs[name], costs[name]) for name in (arm, against)}
    if not set(curves[arm]) & set(curves[against]):
        return _omit(view, arm, against, "no seed was run for both arms")
    budget = _shared_cost([curve.costs for by_seed in curves.values() for curve in by_seed.values()])
    if budget is None:
        return _omit(view, arm, against, _no_overlap(head, view, curves))
    at = {name: {s: _interpolate(budget, curve) for s, curve in by_seed.items()} for name, by_seed in curves.items()}
    row = replace(
        _row(view, arm, against, budget, at[arm], at[against]),
        tokens={name: round(_tokens_at(budget, by_seed.values())) for name, by_seed in curves.items()},
        interpolated=tuple(name for name in (arm, against) if not _at_a_mark(budget, curves[name])),
        marks={name: _marks_around(budget, curves[name]) for name in (arm, against)},
    )
    loser = arm if (row.difference > 0) == head.lower_is_better else against
    if loser not in row.interpolated:
        return row
    at[loser] = {s: _next_mark(budget, curve.costs, curve.values) for s, curve in curves[loser].items()}
    return _benefit_of_doubt(row, _row(view, arm, against, budget, at[arm], at[against]), loser)


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


def _no_overlap(head: Head, view: str, curves: Mapping[str, Mapping[str, MarkCurve]]) -> str:
    ends = {name: min(curve.costs[-1] for curve in by_seed.values()) for name, by_seed in curves.items()}
    cheap, dear = sorted(ends, key=ends.__getitem__)
    first = max(curve.costs[0] for curve in curves[dear].values())
    share = math.floor(1e3 * ends[cheap] / ends[dear]) / 1e3
    text = f"{cheap} ends at {describe_budget(view, ends[cheap])} and {dear} is first evaluated at "
    text += f"{describe_budget(view, first)}: it would need extrapolation"
    if head.budget_unit != "tokens":  # early stopping leaves one mark
        return text
    return f"{text}, or a first share in training.budgets of at most {share:g}"


def _marks_around(budget: float, by_seed: Mapping[str, MarkCurve]) -> tuple[MarkCost, ...]:
    """The mark that an arm is read from, or the two it is read between; means over the seeds."""
    below = [max([i for i, c in enumerate(curve.costs) if c <= budget * (1 + _SAME_COST)], default=0)
             for curve in by_seed.values()]  # fmt: skip
    above = [_next_mark(budget, curve.costs, range(len(curve.costs))) for curve in by_seed.values()]
    ends = [below] if _at_a_mark(budget, by_seed) else [below, above]
    return tuple(
        _mean_mark([(curve.tokens[i], curve.costs[i]) for i, curve in zip(end, by_seed.values(), strict=True)])
        for end in ends
    )


def _mean_mark(marks: list[tuple[int, float]]) -> MarkCost:
    tokens, costs = zip(*marks, strict=True)
    return MarkCost(tokens=round(sum(tokens) / len(tokens)), cost=sum(costs) / len(costs))


def _cost_curves(head: Head, by_seed: BySeed, cost: CostOfMark) -> dict[str, MarkCurve]:
    """Per seed, its marks by what they cost."""
    curves = {}
    for seed, series in _series(head, by_seed).items():
        record = by_seed[seed]
        every = {mark.tokens: (mark, _budget(head, record, mark)) for mark in record.marks}
        marks = [mark for _, (mark, budget) in sorted(every.items()) if budget in series]
        values = [series[_budget(head, record, mark)] for mark in marks]
        curves[seed] = MarkCurve([cost(mark) for mark in marks], values, [mark.tokens for mark in marks])
    return curves


def _tokens_at(budget: float, curves: Iterable[MarkCurve]) -> float:
    """The tokens that a cost pays for, as a mean over seeds."""
    found = [np.interp(budget, [0, *curve.costs], [0, *curve.tokens]) for curve in curves]
    return float(sum(found) / len(found))


def _interpolate(budget: float, curve: MarkCurve) -> float:
    return float(np.interp(math.log(budget), np.log(curve.costs), curve.values))


def _next_mark(budget: float, costs: list[float], values: Sequence[float]) -> float:
    """The value at the first mark that costs `budget` or more."""
    return next(value for cost, value in zip(costs, values, strict=True) if cost >= budget * (1 - _SAME_COST))


def _benefit_of_doubt(row: Test, generous: Test, loser: str) -> Test:
    """A row with the difference to the loser's next mark, and a caveat where the row holds by interpolation alone."""
    sign = 1.0 if row.difference > 0 else -1.0
    claimed, kept = (
        interval is not None and min(sign * bound for bound in interval) > 0 for interval in (row.ci95, generous.ci95)
    )
    text = f"not against {loser}'s next mark, where the difference is {generous.difference:+.3f}"
    caveat = f"a difference holds by interpolation only, {text}" if claimed and not kept else ""
    return replace(row, difference_at_next_mark=generous.difference, caveat=caveat)


def _at_a_mark(budget: float, curves: Mapping[str, MarkCurve]) -> bool:
    return all(any(abs(cost - budget) <= _SAME_COST * budget for cost in curve.costs) for curve in curves.values())


def _parameter_matched(head: Head, runs: Runs, matched: Mapping[str, str]) -> ViewRows:
    """Every pair within 2 % of parameters, at the full budget; `against` is the earlier arm, or as `matched` says."""
    rows: ViewRows = []
    counts = {arm: next(iter(by_seed.values())).parameters for arm, by_seed in runs.items()}
    order = sorted(runs, key=lambda arm: arm != head.baseline)
    for against, arm in combinations(order, 2):
        if matched.get(against) == arm:
            arm, against = against, arm
        if abs(counts[arm] - counts[against]) <= PARAMETER_TOLERANCE * counts[against]:
            last = _equal_tokens(head, runs, arm, against, "parameter_matched")[-1]
            sizes = {name: counts[name] for name in (arm, against)}
            rows.append(replace(last, parameters=sizes) if isinstance(last, Test) else last)
        elif matched.get(arm) == against:
            ratio = counts[arm] / counts[against]
            reason = f"named as a match, but {arm} has {ratio:.3f} times the parameters"
            rows.append(_omit("parameter_matched", arm, against, reason))
    return rows


def _row(
    view: str, arm: str, against: str, budget: float, values: Mapping[str, float], others: Mapping[str, float]
) -> Test:
    """A test whose p-value is not corrected yet, and hence without a verdict."""
    paired = significance.paired_difference(values, others)
    return Test(
        view=view,
        arm=arm,
        against=against,
        budget=budget,
        difference=paired.difference,
        ci95=paired.ci95,
        p=paired.p,
        seeds=paired.seeds,
        p_holm=None,
        verdict="",
    )


def _omit(view: str, arm: str, against: str, reason: str) -> Omitted:
    return Omitted(view=view, arm=arm, against=against, reason=reason)


def judged(rows: Sequence[Test], lower_is_better: bool) -> tuple[Test, ...]:
    """ViewRows of one view with Holm's p over them, and their verdicts."""
    return tuple(with_verdict(row, p, lower_is_better) for row, p in zip(rows, holm_of_rows(rows), strict=True))


def with_verdict(row: Test, p_holm: float | None, lower_is_better: bool) -> Test:
    """A row with its corrected p-value, and the verdict that follows."""
    return replace(row, p_holm=p_holm, verdict=significance.verdict(row, p_holm, lower_is_better, row.caveat))


def what_is_tested(row: Test, cell: str = "") -> tuple[str, str, float, float | None]:
    """What a row tests: equal for rows that stand for the same runs, under other names or in another view.

    A budget is no part of it: runs that cost as many FLOPs as tokens are compared at the same marks in both views.
    """
    return cell, row.against, row.difference, row.p


def holm_of_rows(rows: Sequence[Test], cells: Sequence[str] | None = None) -> list[float | None]:
    """Holm's p of rows, perhaps each of a cell; those that stand for the same runs are one test, for instance arms
    that part later on."""
    tests = [what_is_tested(row, cell) for row, cell in zip(rows, cells or [""] * len(rows), strict=True)]
    distinct = list(dict.fromkeys(tests))
    corrected = dict(zip(distinct, significance.holm([p for *_, p in distinct]), strict=True))
    return [corrected[test] for test in tests]
