# Copyright 2026 The hf_variants authors. MIT licence.
"""Speed-up: what the baseline's whole training costs, over what an arm needs to reach the same final result.

Read seed by seed from an arm's marks, linear in log(cost) between them as in the views, and never beyond them. A loss
that flattens lies below that line, so a speed-up is understated rather than overstated.

Speed-ups are ratios, and their mean is the geometric one: twice as fast and half as fast make 1, not 1.25. Interval
and p-value are those of the mean logarithm, paired by seed; p-values are Holm-corrected over all arms and costs.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from . import significance
from .views import CostOfMark, Record, Runs, flops_of_mark, seconds_of_marks

COSTS = ("tokens", "flops", "seconds")
REACHED, AT_MOST, NOT_REACHED = "reached", "at most", "not reached"
SOONER, LATER = "sooner", "later"

_WORDS = {significance.BETTER: SOONER, significance.WORSE: LATER}


class Reach(NamedTuple):
    """Where a run's marks meet a target: exactly, not later than its first mark, or nowhere within its budget."""

    outcome: str
    cost: float | None
    gap: float  # of the mark that comes closest, in the metric's unit; 0 where the target is met


def build_speedups(head: Mapping[str, Any], runs: Runs, timing: Mapping[str, Any] | None) -> dict[str, Any]:
    """`speedups`: a row per arm and cost, or why there is none; nothing at all where no arm grows."""
    if not any(record.get("stages") for by_seed in runs.values() for record in by_seed.values()):
        return {}
    quiet = (timing or {}).get("arms") or {}
    costs = {"tokens": dict.fromkeys(runs, _tokens_of_mark), "flops": dict.fromkeys(runs, flops_of_mark)}
    costs["seconds"] = {arm: seconds_of_marks(quiet.get(arm) or {}) for arm in runs}
    arms = [arm for arm in runs if arm != head["baseline"]]
    return {"speedups": _with_verdicts([_row(head, runs, arm, cost, costs[cost]) for arm in arms for cost in COSTS])}


def reach(costs: Sequence[float], losses: Sequence[float], target: float) -> Reach:
    """The first cost at which `losses`, in the order of rising `costs`, come down to `target`."""
    i = next((i for i, loss in enumerate(losses) if loss <= target), None)
    if i is None:
        return Reach(NOT_REACHED, None, min(losses) - target)
    if i == 0:
        return Reach(AT_MOST, costs[0], 0.0)
    share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
    return Reach(REACHED, math.exp(math.log(costs[i - 1]) + share * math.log(costs[i] / costs[i - 1])), 0.0)


def _tokens_of_mark(mark: Mapping[str, Any]) -> float:
    return float(mark["tokens"])


def _row(
    head: Mapping[str, Any], runs: Runs, arm: str, cost: str, costs_of: Mapping[str, CostOfMark | None]
) -> dict[str, Any]:
    against = head["baseline"]
    names = {"arm": arm, "against": against, "cost": cost}
    seeds = [seed for seed in runs[arm] if seed in runs[against]]
    if not seeds:
        return {**names, "reason": "no seed was run for both arms"}
    if costs_of[arm] is None or costs_of[against] is None:
        return {**names, "reason": "no timing of a quiet run for both arms"}
    ours, theirs = (
        {seed: _marks(head, runs[name][seed], costs_of[name]) for seed in seeds} for name in (arm, against)
    )
    goals = {seed: (costs[-1], losses[-1]) for seed, (costs, losses) in theirs.items()}
    reaches = {seed: reach(*ours[seed], goals[seed][1]) for seed in seeds}
    sign = 1.0 if head["lower_is_better"] else -1.0
    return {
        **names,
        "seeds": len(seeds),
        "target": fmean(sign * loss for _, loss in goals.values()),
        "baseline_cost": fmean(total for total, _ in goals.values()),
        "share_spent": fmean(ours[seed][0][-1] / goals[seed][0] for seed in seeds),
        **_summary(reaches, {seed: total for seed, (total, _) in goals.items()}),
        "per_seed": {seed: found._asdict() for seed, found in reaches.items()},
    }


def _marks(head: Mapping[str, Any], record: Record, cost_of: CostOfMark) -> tuple[list[float], list[float]]:
    """Costs of a run's marks, rising, and the metric at each, negated where higher is better."""
    metric, split, sign = head["metric"], head["split"], 1.0 if head["lower_is_better"] else -1.0
    marks = sorted((m for m in record["marks"] if metric in (m.get(split) or {})), key=lambda mark: mark["tokens"])
    costs = [cost_of(mark) for mark in marks]
    return costs, [sign * mark[split][metric] for mark in marks]


def _summary(reaches: Mapping[str, Reach], totals: Mapping[str, float]) -> dict[str, Any]:
    """A mean with its interval only where every seed has a ratio of its own; at a first mark it is a bound."""
    outcomes = [found.outcome for found in reaches.values()]
    missed = [found.gap for found in reaches.values() if found.outcome == NOT_REACHED]
    unknown = {"speedup": None, "ci95": None, "p": None, "cost_reached": None}
    if missed:
        return {"outcome": NOT_REACHED, "seeds_not_reached": len(missed), "gap": fmean(missed), **unknown}
    logs = ({s: math.log(value) for s, value in of.items()} for of in (totals, _costs(reaches)))
    paired = significance.paired_difference(*logs)
    found = {"speedup": math.exp(paired.difference), "cost_reached": fmean(_costs(reaches).values())}
    if AT_MOST in outcomes:
        return {"outcome": AT_MOST, "seeds_not_reached": 0, "gap": 0.0, **unknown, **found}
    ci95 = None if paired.ci95 is None else tuple(math.exp(bound) for bound in paired.ci95)
    return {"outcome": REACHED, "seeds_not_reached": 0, "gap": 0.0, **found, "ci95": ci95, "p": paired.p}


def _costs(reaches: Mapping[str, Reach]) -> dict[str, float]:
    return {seed: found.cost for seed, found in reaches.items()}


def _with_verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds Holm's p and a verdict in words to the rows that have a number."""
    corrected = significance.holm([row.get("p") for row in rows])
    return [row if "reason" in row else {**row, "p_holm": p, "verdict": _verdict(row, p)}
            for row, p in zip(rows, corrected, strict=True)]  # fmt: skip


def _verdict(row: Mapping[str, Any], p_holm: float | None) -> str:
    if row["outcome"] == NOT_REACHED:
        return NOT_REACHED
    if row["outcome"] == AT_MOST:
        return "at its first mark already"
    logs = None if row["ci95"] is None else tuple(math.log(bound) for bound in row["ci95"])
    paired = significance.PairedDifference(math.log(row["speedup"]), logs, row["p"], row["seeds"])
    found = significance.verdict(paired, p_holm, lower_is_better=False)
    return _WORDS.get(found, found)
