# Copyright 2026 The hf_variants authors. MIT licence.
"""From the records of finished runs to `results.json`: every number of a report, card or plot is computed here.

The result depends only on its inputs: no time stamps, no order of files. Costs are read from the same runs:
a run is evaluated after a short decay branch at each compared budget, so its final loss is a known function of tokens.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from . import significance
from .significance import PairedDifference

SCHEMA = 1
VIEWS = ("equal_tokens", "equal_time", "equal_flops", "parameter_matched")
PARAMETER_TOLERANCE = 0.02
MASKED_LM = "masked_lm"
LOWER_IS_BETTER = ("loss", "perplexity")
SPLITS = ("validation", "test")

_TIMING_KEYS = ("train_step_ms", "train_step_ms_quartiles", "inference_ms", "inference_batch", "peak_memory_mb")
# The costs of two arms are products of floats: equal ones differ by rounding, which is not extrapolation.
_SAME_COST = 1e-9

Record = dict[str, Any]
Runs = dict[str, dict[str, Record]]


def build_results(
    comparison: Mapping[str, Any],
    records: Iterable[Record],
    timing: Mapping[str, Any] | None = None,
    tuning: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything known about one comparison, as plain JSON.

    `comparison` holds name, question, baseline, arms {arm: {"description": str}} and optionally metric ("loss"),
    lower_is_better, unit, command, and parameter_matched {arm: the arm it is compared against}.
    Arms and seeds that have no record yet are listed under "missing"; the rest is compared.

    Raises ValueError for a run that diverged (a value that is not finite), for two records of one run,
    for records made from different data, and when the baseline has no finished run.
    """
    runs = collect_runs(comparison, records)
    head = _head(comparison, runs)
    timing, tuning = _without_nan(timing), _without_nan(tuning)
    results = {
        **head,
        "arms": {arm: _arm(comparison["arms"][arm], by_seed, head, timing) for arm, by_seed in runs.items()},
        **build_views(head, runs, timing, _parameter_matches(comparison)),
        "missing": _missing(comparison, runs, head["seeds"]),
        "tuning": tuning,
        "data": next(iter(runs[head["baseline"]].values()))["data"],
        "environment": _environment(runs),
        "timing": timing,
    }
    results["verdicts"] = verdict_sentences(results)
    results["verdict"] = _short_verdict(results)
    # A round trip leaves plain JSON types only, and refuses NaN.
    return json.loads(json.dumps(results, allow_nan=False))


def collect_runs(comparison: Mapping[str, Any], records: Iterable[Record]) -> Runs:
    """The records as {arm: {seed as text: record}}, arms in the comparison's order and seeds ascending."""
    found: dict[tuple[str, int], Record] = {}
    for record in records:
        key = (record["arm"], int(record["seed"]))
        if key[0] not in comparison["arms"]:
            raise ValueError(f"arm {key[0]!r} is not one of {', '.join(comparison['arms'])}")
        if key in found:
            raise ValueError(f"arm {key[0]}, seed {key[1]}: two records of one run")
        _check_record(record)
        found[key] = record
    seeds = sorted({seed for _, seed in found})
    runs = {arm: {str(s): found[arm, s] for s in seeds if (arm, s) in found} for arm in comparison["arms"]}
    runs = {arm: by_seed for arm, by_seed in runs.items() if by_seed}
    if comparison["baseline"] not in runs:
        raise ValueError(f"the baseline {comparison['baseline']!r} has no finished run")
    if len({record["data"]["fingerprint"] for record in found.values()}) > 1:
        raise ValueError("the records were made from different data: their data fingerprints differ")
    return runs


def _check_record(record: Record) -> None:
    name = f"arm {record['arm']}, seed {record['seed']}"
    if record.get("schema") != SCHEMA:
        raise ValueError(f"{name}: record schema {record.get('schema')!r}, this version reads {SCHEMA}")
    if not record["marks"]:
        raise ValueError(f"{name}: the record has no evaluation mark")
    for mark in record["marks"]:
        for split in SPLITS:
            for metric, value in _numbers(mark.get(split)).items():
                if not math.isfinite(value):
                    raise ValueError(f"{name}: diverged, {split} {metric} is {value} at {mark['tokens']} tokens")


def _numbers(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(v) for name, v in (metrics or {}).items() if isinstance(v, (int, float)) and v is not True}


def _head(comparison: Mapping[str, Any], runs: Runs) -> dict[str, Any]:
    metric = comparison.get("metric") or "loss"
    last = [record["marks"][-1] for by_seed in runs.values() for record in by_seed.values()]
    split = "test" if all(metric in (mark.get("test") or {}) for mark in last) else "validation"
    if not all(metric in (mark.get(split) or {}) for mark in last):
        raise ValueError(f"metric {metric!r} is missing from the {split} results of some runs")
    lower = comparison.get("lower_is_better")
    return {
        "schema": SCHEMA,
        "name": comparison["name"],
        "question": comparison.get("question") or "",
        "command": comparison.get("command") or "",
        "baseline": comparison["baseline"],
        "metric": metric,
        "objective": _objective(runs),
        "unit": comparison.get("unit") or _unit(metric, _objective(runs)),
        "lower_is_better": metric in LOWER_IS_BETTER if lower is None else bool(lower),
        "split": split,
        "seeds": sorted({int(seed) for by_seed in runs.values() for seed in by_seed}),
    }


def _objective(runs: Runs) -> str:
    first = next(iter(next(iter(runs.values())).values()))
    return (first["recipe"].get("objective") or {}).get("objective") or MASKED_LM


def _unit(metric: str, objective: str) -> str:
    units = {"loss": "nats per masked token" if objective == MASKED_LM else "nats", "accuracy": "share correct"}
    return units.get(metric, metric)


# ---------------------------------------------------------------- one arm


def _arm(
    about: Mapping[str, Any] | None,
    by_seed: dict[str, Record],
    head: dict[str, Any],
    timing: Mapping[str, Any] | None,
) -> dict[str, Any]:
    first = next(iter(by_seed.values()))
    recipe = first["recipe"]
    last = [record["marks"][-1] for record in by_seed.values()]
    model = recipe.get("model") or {}
    return {
        "description": (about or {}).get("description") or "",
        "model_type": model.get("model_type") or "",
        "parameters": first["parameters"],
        "trainable_parameters": first["trainable_parameters"],
        "flops_per_token": first["flops_per_token"],
        **{key: _mean(mark[key] for mark in last) for key in ("tokens", "steps", "flops")},
        "seconds": _mean(record["seconds"] for record in by_seed.values()),
        **_speed(first["arm"], last, timing),
        "metrics": _metrics(by_seed),
        "best_seed": _best_seed(by_seed, head),
        "hyperparameters": _hyperparameters(recipe),
        "curve": _curve(by_seed),
        "marks": _marks(by_seed, head),
    }


def _speed(arm: str, last: list[dict[str, Any]], timing: Mapping[str, Any] | None) -> dict[str, Any]:
    """Speed from the quiet run where there is one; otherwise tokens/s of training itself, and it says so."""
    quiet = ((timing or {}).get("arms") or {}).get(arm) or {}
    speed = {key: quiet.get(key) for key in _TIMING_KEYS}
    per_second = quiet.get("tokens_per_second")
    if per_second is not None:
        return {"tokens_per_second": per_second, "speed_source": "quiet run", **speed}
    seconds = sum(mark["seconds"] for mark in last)
    per_second = sum(mark["tokens"] for mark in last) / seconds if seconds > 0 else None
    return {"tokens_per_second": per_second, "speed_source": "training runs", **speed}


def _metrics(by_seed: dict[str, Record]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for split in SPLITS:
        per_seed = {seed: _numbers(record["marks"][-1].get(split)) for seed, record in by_seed.items()}
        names = dict.fromkeys(name for values in per_seed.values() for name in values)
        if names:
            found[split] = {name: _summary({s: v[name] for s, v in per_seed.items() if name in v}) for name in names}
    return found


def _summary(per_seed: dict[str, float]) -> dict[str, Any]:
    mean, ci95 = significance.mean_and_ci(list(per_seed.values()))
    return {"per_seed": per_seed, "mean": mean, "ci95": ci95}


def _best_seed(by_seed: dict[str, Record], head: dict[str, Any]) -> int:
    """Chosen on validation, never on test; the first seed wins a tie."""
    sign = 1.0 if head["lower_is_better"] else -1.0
    return int(min(by_seed, key=lambda seed: sign * by_seed[seed]["marks"][-1]["validation"][head["metric"]]))


def _hyperparameters(recipe: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {part: recipe.get(part) for part in ("model", "tokenizer", "objective", "training") if recipe.get(part)}
    if "training" in chosen:
        chosen["training"] = {key: value for key, value in chosen["training"].items() if key != "seed"}
    return chosen


def _curve(by_seed: dict[str, Record]) -> dict[str, Any]:
    """Mean and range over the seeds of the trunk's loss, at the token counts that every seed has."""
    for quantity in ("validation_loss", "train_loss"):
        per_seed = [_points(record, quantity) for record in by_seed.values()]
        tokens = sorted(set.intersection(*(set(points) for points in per_seed)))
        if len(tokens) > 1 or quantity == "train_loss":
            break
    table = [[points[t] for points in per_seed] for t in tokens]
    return {
        "quantity": quantity,
        "band": "range over seeds",
        "tokens": tokens,
        "mean": [float(np.mean(row)) for row in table],
        "low": [min(row) for row in table],
        "high": [max(row) for row in table],
    }


def _points(record: Record, quantity: str) -> dict[int, float]:
    points = {point["tokens"]: point.get(quantity) for point in record.get("curve") or []}
    return {tokens: value for tokens, value in points.items() if value is not None and math.isfinite(value)}


def _marks(by_seed: dict[str, Record], head: dict[str, Any]) -> list[dict[str, Any]]:
    """The final loss at each compared budget; budgets in seconds end at different tokens, whose mean is given."""
    metric, split = head["metric"], head["split"]
    marks = []
    for column in zip(*(record["marks"] for record in by_seed.values()), strict=False):
        values = [mark[split][metric] for mark in column if metric in (mark.get(split) or {})]
        if len(values) == len(column):
            mean, ci95 = significance.mean_and_ci(values)
            marks.append({"tokens": _mean(mark["tokens"] for mark in column), "mean": mean, "ci95": ci95})
    return marks


# ---------------------------------------------------------------- the views


def build_views(
    head: Mapping[str, Any], runs: Runs, timing: Mapping[str, Any] | None, matched: Mapping[str, str]
) -> dict[str, Any]:
    """`views` (rows per view, Holm-corrected within each) and `views_omitted` (what was left out, and why)."""
    quiet = (timing or {}).get("arms") or {}
    seconds = {arm: (quiet.get(arm) or {}).get("seconds_per_token") for arm in runs}
    flops = {arm: next(iter(by_seed.values()))["flops_per_token"] for arm, by_seed in runs.items()}
    pairs = [(arm, head["baseline"]) for arm in runs if arm != head["baseline"]]
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "equal_tokens": lambda: [row for pair in pairs for row in _equal_tokens(head, runs, *pair)],
        "equal_time": lambda: [_equal_cost(head, runs, *pair, seconds, "timing of a quiet run") for pair in pairs],
        "equal_flops": lambda: [_equal_cost(head, runs, *pair, flops, "FLOPs per token") for pair in pairs],
        "parameter_matched": lambda: _parameter_matched(head, runs, matched),
    }
    views, omitted = {}, {}
    for view in VIEWS:
        rows = makers[view]()
        omitted[view] = [row for row in rows if "reason" in row]
        views[view] = _with_verdicts([row for row in rows if "reason" not in row], head["lower_is_better"])
    return {"views": views, "views_omitted": omitted}


def _series(head: Mapping[str, Any], by_seed: dict[str, Record]) -> dict[str, dict[int, float]]:
    """Per seed: tokens -> the metric after the decay branch that ended there."""
    metric, split = head["metric"], head["split"]
    return {
        seed: {m["tokens"]: m[split][metric] for m in record["marks"] if metric in (m.get(split) or {})}
        for seed, record in by_seed.items()
    }


def _equal_tokens(head: Mapping[str, Any], runs: Runs, arm: str, against: str) -> list[dict[str, Any]]:
    first, second = _series(head, runs[arm]), _series(head, runs[against])
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return [_omit(arm, against, "no seed was run for both arms")]
    budgets = sorted(set.intersection(*(set(first[s]) & set(second[s]) for s in seeds)))
    if not budgets:
        return [_omit(arm, against, "no token budget at which both arms were evaluated")]
    return [
        _row(arm, against, budget, {s: first[s][budget] for s in seeds}, {s: second[s][budget] for s in seeds})
        for budget in budgets
    ]


def _equal_cost(
    head: Mapping[str, Any], runs: Runs, arm: str, against: str, per_token: Mapping[str, float | None], source: str
) -> dict[str, Any]:
    """One row at the largest cost that both arms reach, linear in log(cost) between marks; never extrapolated.

    A loss that flattens lies below the straight line between two marks, so interpolation wrongs the arm that it is
    applied to. A verdict against that arm therefore has to hold against its next mark too, or the row gets a caveat.
    """
    if not per_token[arm] or not per_token[against]:
        return _omit(arm, against, f"no {source} for both arms")
    curves = {name: _cost_curves(head, runs[name], per_token[name]) for name in (arm, against)}
    if not set(curves[arm]) & set(curves[against]):
        return _omit(arm, against, "no seed was run for both arms")
    every = [costs for by_seed in curves.values() for costs, _ in by_seed.values()]
    budget = min(costs[-1] for costs in every)
    if any(costs[0] > budget * (1 + _SAME_COST) for costs in every):
        return _omit(arm, against, "the two arms' evaluated costs do not overlap: it would need extrapolation")
    at = {name: {s: _interpolate(budget, *curve) for s, curve in by_seed.items()} for name, by_seed in curves.items()}
    tokens = {name: round(budget / per_token[name]) for name in (arm, against)}
    between = [name for name in (arm, against) if not _at_a_mark(budget, curves[name])]
    row = {**_row(arm, against, budget, at[arm], at[against]), "tokens": tokens, "interpolated": between}
    loser = arm if (row["difference"] > 0) == head["lower_is_better"] else against
    if loser not in between:
        return row
    at[loser] = {s: _next_mark(budget, *curve) for s, curve in curves[loser].items()}
    return {**row, **_benefit_of_doubt(row, _row(arm, against, budget, at[arm], at[against]), loser)}


def _cost_curves(
    head: Mapping[str, Any], by_seed: dict[str, Record], per_token: float
) -> dict[str, tuple[list[float], list[float]]]:
    return {
        seed: ([tokens * per_token for tokens in sorted(series)], [series[tokens] for tokens in sorted(series)])
        for seed, series in _series(head, by_seed).items()
    }


def _interpolate(budget: float, costs: list[float], losses: list[float]) -> float:
    return float(np.interp(math.log(budget), np.log(costs), losses))


def _next_mark(budget: float, costs: list[float], losses: list[float]) -> float:
    return next(loss for cost, loss in zip(costs, losses, strict=True) if cost >= budget * (1 - _SAME_COST))


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
    return {**found, "caveat": f"it holds by interpolation only, {text}"}


def _at_a_mark(budget: float, curves: Mapping[str, tuple[list[float], list[float]]]) -> bool:
    return all(any(abs(cost - budget) <= _SAME_COST * budget for cost in costs) for costs, _ in curves.values())


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
    corrected = significance.holm([row["p"] for row in rows])
    return [
        {**row, "p_holm": p, "verdict": significance.verdict(as_paired(row), p, lower_is_better, row.get("caveat"))}
        for row, p in zip(rows, corrected, strict=True)
    ]


def verdict_sentences(results: Mapping[str, Any]) -> list[str]:
    """Per arm: the largest equal-token budget, then equal training time and FLOPs, then parameter-matched pairs."""
    views, sentences = results["views"], []
    for arm in results["arms"]:
        rows = [row for row in views["equal_tokens"] if row["arm"] == arm]
        sentences += [_sentence(results, "equal_tokens", row) for row in rows[-1:]]
        for view in ("equal_time", "equal_flops"):
            sentences += [_sentence(results, view, row) for row in views[view] if row["arm"] == arm]
    baseline = results["baseline"]
    pairs = [row for row in views["parameter_matched"] if baseline not in (row["arm"], row["against"])]
    return sentences + [_sentence(results, "parameter_matched", row) for row in pairs]


def _short_verdict(results: Mapping[str, Any]) -> str:
    """The equal-token sentences, and those of any other view that comes to another conclusion for the same arms."""
    views, chosen = results["views"], []
    for arm in results["arms"]:
        rows = [row for row in views["equal_tokens"] if row["arm"] == arm]
        chosen += [_sentence(results, "equal_tokens", row) for row in rows[-1:]]
        others = [(view, row) for view in ("equal_time", "equal_flops") for row in views[view] if row["arm"] == arm]
        chosen += [_sentence(results, v, row) for v, row in others if rows and row["verdict"] != rows[-1]["verdict"]]
    return " ".join(chosen) or "Nothing to compare yet: no other arm has a finished run."


def _sentence(results: Mapping[str, Any], view: str, row: Mapping[str, Any]) -> str:
    where = f"at {describe_budget(view, row['budget'])} on {results['split']}"
    unit = {"loss": "nats"}.get(results["metric"], results["metric"])
    lower, caveat = results["lower_is_better"], row.get("caveat")
    return significance.verdict_sentence(
        row["arm"], row["against"], as_paired(row), where, row["p_holm"], unit, lower, caveat
    )


def describe_budget(view: str, budget: float) -> str:
    """A view's budget in words, e.g. `4.0 M tokens`, `61.2 s of training`, `3.1e+13 training FLOPs`."""
    if view == "equal_time":
        return f"{budget:.1f} s of training"
    if view == "equal_flops":
        return f"{budget:.2e} training FLOPs"
    return f"{short_count(budget)} tokens" + (" and matched parameters" if view == "parameter_matched" else "")


def short_count(number: float) -> str:
    """4 000 000 -> `4.0 M`; below a thousand the number itself."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number >= 10 * size else f"{number / size:.1f} {unit}"
    return f"{number:g}"


# ---------------------------------------------------------------- the rest


def _missing(comparison: Mapping[str, Any], runs: Runs, seeds: list[int]) -> list[dict[str, Any]]:
    expected = [(arm, seed) for arm in comparison["arms"] for seed in comparison.get("seeds") or seeds]
    return [{"arm": arm, "seed": seed} for arm, seed in expected if str(seed) not in runs.get(arm, {})]


def _environment(runs: Runs) -> dict[str, Any]:
    """What all runs share; where they differ, the list of the values found."""
    found: dict[str, list[Any]] = {}
    for record in (record for by_seed in runs.values() for record in by_seed.values()):
        for key, value in (record.get("environment") or {}).items():
            values = found.setdefault(key, [])
            if value not in values:
                values.append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _parameter_matches(comparison: Mapping[str, Any]) -> dict[str, str]:
    matched = dict(comparison.get("parameter_matched") or {})
    for name in (name for pair in matched.items() for name in pair):
        if name not in comparison["arms"]:
            raise ValueError(f"parameter_matched: {name!r} is not one of {', '.join(comparison['arms'])}")
    return matched


def _without_nan(value: Any) -> Any:
    """Tuning keeps trials that diverged: their loss becomes null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    mean = sum(values) / len(values)
    return int(mean) if all(isinstance(v, int) for v in values) and mean == int(mean) else mean
