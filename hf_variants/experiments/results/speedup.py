# Copyright 2026 The hf_variants authors. MIT licence.
"""Speed-up: what the baseline's whole training costs, over what an arm needs to reach the same final result.

Read seed by seed from an arm's marks, linear in log(cost) between them as in the views, and never beyond them. A loss
that flattens lies below that line, so a speed-up is understated rather than overstated.

Speed-ups are ratios, and their mean is the geometric one: twice as fast and half as fast make 1, not 1.25. Interval
and p-value are those of the mean logarithm, paired by seed; p-values are Holm-corrected over all arms and costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from ..records import Mark, RunRecord, Timing
from . import significance
from .contracts import Head, NoSpeedup, Reach, Speedup
from .significance import PairedDifference
from .views import CostOfMark, Runs, flops_of_mark, seconds_of_marks, timed_arm

COSTS = ("tokens", "flops", "seconds")
REACHED, AT_MOST, NOT_REACHED = "reached", "at most", "not reached"
SOONER, LATER = "sooner", "later"

_WORDS = {significance.BETTER: SOONER, significance.WORSE: LATER}


AnySpeedup = Speedup | NoSpeedup
Found = tuple[AnySpeedup, PairedDifference | None]  # a row, and the logarithms that it was made from


def build_speedups(head: Head, runs: Runs, timing: Timing | None) -> tuple[AnySpeedup, ...]:
    """A row per arm and cost, or why there is none; nothing at all where no arm grows."""
    if not any(record.stages for by_seed in runs.values() for record in by_seed.values()):
        return ()
    costs = {"tokens": dict.fromkeys(runs, _tokens_of_mark), "flops": dict.fromkeys(runs, flops_of_mark)}
    costs["seconds"] = {arm: seconds_of_marks(timed_arm(timing, arm)) for arm in runs}
    arms = [arm for arm in runs if arm != head.baseline]
    return _judged([_row(head, runs, arm, cost, costs[cost]) for arm in arms for cost in COSTS])


def reach(costs: Sequence[float], losses: Sequence[float], target: float) -> Reach:
    """The first cost at which `losses`, in the order of rising `costs`, come down to `target`."""
    i = next((i for i, loss in enumerate(losses) if loss <= target), None)
    if i is None:
        return Reach(outcome=NOT_REACHED, cost=None, gap=min(losses) - target)
    if i == 0:
        return Reach(outcome=AT_MOST, cost=costs[0], gap=0.0)
    share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
    cost = math.exp(math.log(costs[i - 1]) + share * math.log(costs[i] / costs[i - 1]))
    return Reach(outcome=REACHED, cost=cost, gap=0.0)


def _tokens_of_mark(mark: Mark) -> float:
    return float(mark.tokens)


def _row(head: Head, runs: Runs, arm: str, cost: str, costs_of: Mapping[str, CostOfMark | None]) -> Found:
    against = head.baseline
    names = {"arm": arm, "against": against, "cost": cost}
    seeds = [seed for seed in runs[arm] if seed in runs[against]]
    if not seeds:
        return NoSpeedup(**names, reason="no seed was run for both arms"), None
    if costs_of[arm] is None or costs_of[against] is None:
        return NoSpeedup(**names, reason="no timing of a quiet run for both arms"), None
    ours, theirs = (
        {seed: _marks(head, runs[name][seed], costs_of[name]) for seed in seeds} for name in (arm, against)
    )
    goals = {seed: (costs[-1], losses[-1]) for seed, (costs, losses) in theirs.items()}
    reaches = {seed: reach(*ours[seed], goals[seed][1]) for seed in seeds}
    outcome, logs = _log_ratio(reaches, {seed: total for seed, (total, _) in goals.items()})
    missed = [found.gap for found in reaches.values() if found.outcome == NOT_REACHED]
    sign, is_known = 1.0 if head.lower_is_better else -1.0, outcome == REACHED
    row = Speedup(
        **names,
        seeds=len(seeds),
        target=fmean(sign * loss for _, loss in goals.values()),
        baseline_cost=fmean(total for total, _ in goals.values()),
        share_spent=fmean(ours[seed][0][-1] / goals[seed][0] for seed in seeds),
        outcome=outcome,
        seeds_not_reached=len(missed),
        gap=fmean(missed or [0.0]),
        speedup=math.exp(logs.difference) if logs else None,
        ci95=tuple(math.exp(bound) for bound in logs.ci95) if is_known and logs.ci95 else None,
        p=logs.p if is_known else None,
        cost_reached=fmean(found.cost for found in reaches.values()) if logs else None,
        per_seed=reaches,
        p_holm=None,
        verdict="",
    )
    return row, logs


def _marks(head: Head, record: RunRecord, cost_of: CostOfMark) -> tuple[list[float], list[float]]:
    """Costs of a run's marks, rising, and the metric at each, negated where higher is better."""
    sign = 1.0 if head.lower_is_better else -1.0
    having = [mark for mark in record.marks if head.metric in mark.metrics(head.split)]
    marks = sorted(having, key=lambda mark: mark.tokens)
    return [cost_of(mark) for mark in marks], [sign * mark.metrics(head.split)[head.metric] for mark in marks]


def _log_ratio(reaches: Mapping[str, Reach], totals: Mapping[str, float]) -> tuple[str, PairedDifference | None]:
    """How all seeds reach the target together, and the mean logarithm of the ratio of costs.

    It has an interval to speak of only where every seed has a ratio of its own; at a first mark it is a bound.
    """
    outcomes = [found.outcome for found in reaches.values()]
    if NOT_REACHED in outcomes:
        return NOT_REACHED, None
    costs = {seed: found.cost for seed, found in reaches.items()}
    logs = ({seed: math.log(value) for seed, value in of.items()} for of in (totals, costs))
    return AT_MOST if AT_MOST in outcomes else REACHED, significance.paired_difference(*logs)


def _judged(found: list[Found]) -> tuple[AnySpeedup, ...]:
    """The rows; those that have a number with Holm's p and a verdict in words."""
    corrected = iter(significance.holm([row.p for row, _ in found if isinstance(row, Speedup)]))
    return tuple(_with_verdict(row, logs, next(corrected)) if isinstance(row, Speedup) else row for row, logs in found)


def _with_verdict(row: Speedup, logs: PairedDifference | None, p_holm: float | None) -> Speedup:
    words = {NOT_REACHED: NOT_REACHED, AT_MOST: "at its first mark already"}.get(row.outcome)
    if words is None:
        words = significance.verdict(logs, p_holm, lower_is_better=False)
    return replace(row, p_holm=p_holm, verdict=_WORDS.get(words, words))
