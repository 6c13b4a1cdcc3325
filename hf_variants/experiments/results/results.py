# Copyright 2026 The hf_variants authors. MIT licence.
"""From the records of finished runs to `results.json`: every number of a report, card or plot is computed here.

The result depends only on its inputs: no time stamps, no order of files. Costs are read from the same runs:
a run is evaluated after a short decay branch at each compared budget, so its final loss is a known function of tokens.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ..metrics import LOWER_IS_BETTER
from . import significance
from .costs import cost_sentences
from .secondary import secondary_sentences
from .speedup import build_speedups
from .verdicts import short_verdict, verdict_sentences
from .views import Record, Runs, build_views, seconds_of_marks, unsteadiness
from .wording import OWN_BUDGET

SCHEMA = 1
MASKED_LM = "masked_lm"
CAUSAL_LM = "causal_lm"
CLASSIFICATION = "text_classification"
SPLITS = ("validation", "test")
WRITTEN = ("samples", "answers", "remarks", "classification", "word_vectors")

_TIMING_KEYS = ("train_step_ms", "train_step_ms_quartiles", "inference_ms", "inference_batch", "peak_memory_mb")


def build_results(
    comparison: Mapping[str, Any],
    records: Iterable[Record],
    timing: Mapping[str, Any] | None = None,
    tuning: Mapping[str, Any] | None = None,
    floor: Mapping[str, Any] | None = None,
    pairs: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Everything known about one comparison, as plain JSON.

    `comparison` holds name, question, baseline, arms {arm: {"description": str}} and optionally metric ("loss"),
    lower_is_better, unit, command, tuned_in (the cell whose tuned settings are used), and parameter_matched {arm: the
    arm it is compared against}.
    Arms and seeds that have no record yet are listed under "missing"; the rest is compared.

    `floor` is what a simpler method makes of the same data: {"fingerprint", "metrics", "classification"}; `pairs` are
    differences between classifiers over test examples, as `classification_pairs` records them.

    Raises ValueError for a run that diverged (a value that is not finite), for two records of one run,
    for records made from different data, and when the baseline has no finished run.
    """
    runs = collect_runs(comparison, records)
    if floor and floor["fingerprint"] != next(iter(runs[comparison["baseline"]].values()))["data"]["fingerprint"]:
        raise ValueError("the floor was made from other data: its fingerprint differs")
    head = _head(comparison, runs)
    timing, tuning = _without_nan(timing), _without_nan(tuning)
    results = {
        **head,
        "arms": {arm: _arm(comparison["arms"][arm], by_seed, head, timing) for arm, by_seed in runs.items()},
        **build_views(head, runs, timing, _parameter_matches(comparison)),
        **build_speedups(head, runs, timing),
        "missing": _missing(comparison, runs, head["seeds"]),
        "tuning": tuning,
        **({"tuned_in": comparison["tuned_in"]} if comparison.get("tuned_in") else {}),
        **({"floor": floor} if floor else {}),
        **({"pairs": pairs} if pairs else {}),
        **_data(next(iter(runs[head["baseline"]].values()))),
        "environment": _environment(runs),
        "timing": timing,
    }
    results["verdicts"] = verdict_sentences(results) + cost_sentences(results) + secondary_sentences(results)
    results["verdict"] = short_verdict(results)
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
    metric = comparison.get("metric") or _selection(runs)
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
        "budget_unit": _budget_unit(comparison, last),
        "seeds": sorted({int(seed) for by_seed in runs.values() for seed in by_seed}),
    }


def _budget_unit(comparison: Mapping[str, Any], last: list[Mapping[str, Any]]) -> str:
    """What arms have in common where they are compared; see `views`."""
    if comparison.get("own_budgets"):
        return OWN_BUDGET
    return "examples" if all("examples" in mark for mark in last) else "tokens"


def _selection(runs: Runs) -> str:
    """The metric that the objective selects models by."""
    first = next(iter(next(iter(runs.values())).values()))
    return (first.get("selection") or {}).get("metric") or "loss"


def _objective(runs: Runs) -> str:
    first = next(iter(next(iter(runs.values())).values()))
    return (first["recipe"].get("objective") or {}).get("objective") or MASKED_LM


def _unit(metric: str, objective: str) -> str:
    nats = {
        MASKED_LM: "nats per masked token", CAUSAL_LM: "nats per token", CLASSIFICATION: "nats per example"
    }.get(objective, "nats")  # fmt: skip
    units = {"loss": nats, "accuracy": "share correct", "bits_per_byte": "bits per byte"}
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
        "model_type": model.get("model_type") or first.get("model_type") or "",
        **({"config": first["config"]} if first.get("config") else {}),
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
        **_growth(by_seed),
        **_layer_gradients(by_seed),
        **_written(by_seed, head),
        **_answers_by_equations(by_seed),
    }


def _speed(arm: str, last: list[dict[str, Any]], timing: Mapping[str, Any] | None) -> dict[str, Any]:
    """Speed from the quiet run where there is one; otherwise tokens/s of training itself, and it says so.

    `quiet_seconds` are those of the whole training at the quiet run's speed.
    """
    quiet = ((timing or {}).get("arms") or {}).get(arm) or {}
    seconds = seconds_of_marks(quiet)
    speed = {key: quiet.get(key) for key in _TIMING_KEYS}
    spread = unsteadiness(quiet)
    speed |= {} if spread is None else {"unsteady": spread}
    speed["quiet_seconds"] = None if seconds is None else _mean(seconds(mark) for mark in last)
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


def _written(by_seed: dict[str, Record], head: dict[str, Any]) -> dict[str, Any]:
    """What the published model wrote: samples, answers to questions, remarks; only what its record holds."""
    best = by_seed[str(_best_seed(by_seed, head))]
    return {name: best[name] for name in WRITTEN if best.get(name)}


def _best_seed(by_seed: dict[str, Record], head: dict[str, Any]) -> int:
    """Chosen on validation, never on test; the first seed wins a tie."""
    sign = 1.0 if head["lower_is_better"] else -1.0
    return int(min(by_seed, key=lambda seed: sign * by_seed[seed]["marks"][-1]["validation"][head["metric"]]))


def _hyperparameters(recipe: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {part: recipe.get(part) for part in ("model", "tokenizer", "objective", "training") if recipe.get(part)}
    if "training" in chosen:
        chosen["training"] = {key: value for key, value in chosen["training"].items() if key != "seed"}
    stages = (recipe.get("growth") or {}).get("stages") or ()
    growth = {f"stage_{number}": stage for number, stage in enumerate(stages, 1)}
    return chosen | ({"growth": growth} if growth else {})


def _curve(by_seed: dict[str, Record]) -> dict[str, Any]:
    """Mean and range over the seeds of the trunk's loss, at the steps that every seed has."""
    for quantity in ("validation_loss", "train_loss"):
        per_seed = [_points(record, quantity) for record in by_seed.values()]
        steps = sorted(set.intersection(*(set(points) for points in per_seed)))
        if len(steps) > 1 or quantity == "train_loss":
            break
    table = [[points[step][1] for points in per_seed] for step in steps]
    return {
        "quantity": quantity,
        "band": "range over seeds",
        "tokens": [_mean(points[step][0] for points in per_seed) for step in steps],
        "mean": [float(np.mean(row)) for row in table],
        "low": [min(row) for row in table],
        "high": [max(row) for row in table],
    }


def _points(record: Record, quantity: str) -> dict[int, tuple[int, float]]:
    """By step: tokens, which differ among seeds where examples differ in length, and the value."""
    points = {point["steps"]: (point["tokens"], point.get(quantity)) for point in record.get("curve") or []}
    return {step: point for step, point in points.items() if point[1] is not None and math.isfinite(point[1])}


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


# ---------------------------------------------------------------- what only some arms have


def _growth(by_seed: dict[str, Record]) -> dict[str, Any]:
    """The growth steps of an arm, each over the seeds that took it; nothing for an arm that does not grow."""
    steps = [record.get("stages") or [] for record in by_seed.values()]
    taken = [[stages[i] for stages in steps if i < len(stages)] for i in range(max(map(len, steps)))]
    return {"stages": [_stage(stages) for stages in taken]} if taken else {}


def _stage(stages: list[Mapping[str, Any]]) -> dict[str, Any]:
    """One growth step over the seeds: means in nats and tokens; sizes and receipt are those of the first seed."""
    tokens = [stage["tokens"] for stage in stages]
    jump, jump_ci95 = significance.mean_and_ci([stage["loss_after"] - stage["loss_before"] for stage in stages])
    receipts = [stage.get("receipt") or {} for stage in stages]
    differences = [receipt["max_difference"] for receipt in receipts if receipt.get("max_difference") is not None]
    return {
        "stage": stages[0]["stage"],
        "seeds": len(stages),
        "operation": receipts[0].get("operation") or "",
        "tokens": _mean(tokens),
        "tokens_range": [min(tokens), max(tokens)],
        "loss_before": _mean(stage["loss_before"] for stage in stages),
        "loss_after": _mean(stage["loss_after"] for stage in stages),
        **{"jump": jump, "jump_ci95": jump_ci95},
        "max_difference": max(differences, default=None),
        **{key: stages[0].get(key) for key in ("parameters", "trainable_parameters", "flops_per_token")},
        "receipt": receipts[0],
    }


def _layer_gradients(by_seed: dict[str, Record]) -> dict[str, Any]:
    """Gradient norms per layer at the token counts that every seed has; a growing arm's rows get longer."""
    curves = [record.get("curve") or () for record in by_seed.values()]
    every = [{p["tokens"]: p["layer_grad_norms"] for p in curve if p.get("layer_grad_norms")} for curve in curves]
    tokens = sorted(set.intersection(*(set(points) for points in every)))
    norms = [_mean_by_layer([points[t] for points in every]) for t in tokens]
    return {"layer_gradients": {"tokens": tokens, "norms": norms}} if tokens else {}


def _mean_by_layer(rows: list[list[float]]) -> list[float]:
    """The mean over seeds; the first seed's where one has grown and another has not."""
    alike = rows if len({len(row) for row in rows}) == 1 else rows[:1]
    return [float(np.mean(column)) for column in zip(*alike, strict=True)]


def _answers_by_equations(by_seed: dict[str, Record]) -> dict[str, Any]:
    """Right answers by the number of equations in the expected one, counts pooled over seeds.

    The interval is Wilson's for the pooled counts: it knows of chance among questions, not among seeds.
    """
    every = [(record.get("answers") or {}).get("by_equations") or {} for record in by_seed.values()]
    numbers = sorted({int(number) for counts in every for number in counts})
    found = {str(n): _pooled([counts[str(n)] for counts in every if str(n) in counts]) for n in numbers}
    return {"answers_by_equations": found} if found else {}


def _pooled(counts: list[Mapping[str, int]]) -> dict[str, Any]:
    questions, correct = (sum(count[key] for count in counts) for key in ("questions", "correct"))
    interval = binomtest(correct, questions).proportion_ci(significance.CONFIDENCE, method="wilson")
    accuracy = _mean(count["correct"] / count["questions"] for count in counts)
    ci95 = [float(interval.low), float(interval.high)]
    return {"questions": questions, "correct": correct, "seeds": len(counts), "accuracy": accuracy, "ci95": ci95}


# ---------------------------------------------------------------- the rest


def _missing(comparison: Mapping[str, Any], runs: Runs, seeds: list[int]) -> list[dict[str, Any]]:
    own, every = comparison.get("seeds_of") or {}, comparison.get("seeds") or seeds
    expected = [(arm, seed) for arm in comparison["arms"] for seed in own.get(arm, every)]
    return [{"arm": arm, "seed": seed} for arm, seed in expected if str(seed) not in runs.get(arm, {})]


def _data(record: Record) -> dict[str, Any]:
    """What the data is; of labelled data, how it was read as well: a file can only be cut again as training did."""
    reading = {name: record["recipe"].get(name) for name in ("data", "labels")}
    sizes = {split: size | _evaluated(split, size, reading["data"] or {}) for split, size in _splits(record).items()}
    described = record["data"] | ({"splits": sizes} if sizes else {})
    return {"data": described} | ({"reading": reading} if "problem_type" in record["data"] else {})


def _splits(record: Record) -> Mapping[str, Any]:
    return record["data"].get("splits") or {}


def _evaluated(split: str, size: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, str]:
    """Which part of a split a limit leaves to be evaluated. Labelled examples are always taken at even distances."""
    limit = recipe.get("max_eval_blocks")
    is_text = "blocks" in size
    if split == "train" or limit is None or limit >= size["blocks" if is_text else "examples"]:
        return {}
    are_first = recipe.get("eval_stride") or recipe.get("streaming") or not recipe["spread_eval_blocks"]
    return {"evaluated": f"the first {limit:,}" if is_text and are_first else f"{limit:,} at even distances"}


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
