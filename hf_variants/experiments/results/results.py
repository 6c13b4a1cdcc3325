# Copyright 2026 The hf_variants authors. MIT licence.
"""From the records of finished runs to `results.json`: every number of a report, card or plot is computed here.

The result depends only on its inputs: no time stamps, no order of files. Costs are read from the same runs:
a run is evaluated after a short decay branch at each compared budget, so its final loss is a known function of tokens.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..metrics import LOWER_IS_BETTER
from ..records import DataRecord, Floor, NGramFloor, Pair, RunRecord, Settings, Sizes, Timing, Trial
from .arms import SPLITS, build_arm, numbers
from .contracts import CAUSAL_LM, CLASSIFICATION, MASKED_LM, Head, MissingRun, Results
from .speedup import build_speedups
from .verdicts import sentences_of, short_verdict
from .views import Runs, build_views, timed_arm
from .wording import OWN_BUDGET


@dataclass(frozen=True)
class Compared:
    """What a comparison compares: arms with their descriptions against one of them, over seeds.

    `metric` None is what models are selected by; `tuned_in` is the cell whose tuned settings are used; an arm in
    `parameter_matched` is compared with the arm that stands there; `seeds_of` are those of arms that have fewer.
    """

    name: str
    baseline: str
    arms: Mapping[str, str]
    question: str = ""
    command: str = ""
    metric: str | None = None
    lower_is_better: bool | None = None
    unit: str | None = None
    seeds: Sequence[int] = ()
    seeds_of: Mapping[str, Sequence[int]] = field(default_factory=dict)
    parameter_matched: Mapping[str, str] = field(default_factory=dict)
    own_budgets: bool = False
    tuned_in: str | None = None


def build_results(
    compared: Compared,
    records: Iterable[RunRecord],
    timing: Timing | None = None,
    tuning: Mapping[str, Sequence[Trial]] | None = None,
    floor: Floor | None = None,
    ngrams: NGramFloor | None = None,
    pairs: Sequence[Pair] = (),
) -> Results:
    """Everything known about one comparison. Arms and seeds without a record are listed as missing.

    Raises ValueError for a run that diverged (a value that is not finite), for two records of one run,
    for records made from different data, and when the baseline has no finished run.
    """
    runs = collect_runs(compared, records)
    first = next(iter(runs[compared.baseline].values()))
    _check_floors(first.data, floor, ngrams)
    head = _head(compared, runs)
    views = build_views(head, runs, timing, _parameter_matches(compared))
    results = Results(
        **{f.name: getattr(head, f.name) for f in dataclasses.fields(head)},
        arms={
            arm: build_arm(compared.arms[arm], by_seed, head, timed_arm(timing, arm)) for arm, by_seed in runs.items()
        },
        views=views.tests,
        views_omitted=views.omitted,
        speedups=build_speedups(head, runs, timing),
        missing=_missing(compared, runs, head.seeds),
        tuning=None if tuning is None else {arm: tuple(trials) for arm, trials in tuning.items()},
        tuned_in=compared.tuned_in or None,
        floor=floor,
        ngrams=ngrams,
        pairs=tuple(pairs),
        data=_data(first),
        reading=_reading(first),
        environment=_environment(runs),
        timing=timing,
        verdicts=(),
        verdict="",
    )
    verdicts = tuple(sentence.text for sentence in sentences_of(results))
    results = dataclasses.replace(results, verdicts=verdicts, verdict=short_verdict(results))
    json.dumps(results.to_json(), allow_nan=False)  # refuses what is not finite
    return results


def _check_floors(data: DataRecord, *floors: Floor | NGramFloor | None) -> None:
    if any(floor is not None and floor.fingerprint != data.fingerprint for floor in floors):
        raise ValueError("the floor was made from other data: its fingerprint differs")


def collect_runs(compared: Compared, records: Iterable[RunRecord]) -> Runs:
    """The records by arm and seed, arms in the comparison's order and seeds ascending."""
    found: dict[tuple[str, int], RunRecord] = {}
    for record in records:
        key = (record.arm, record.seed)
        if record.arm not in compared.arms:
            raise ValueError(f"arm {record.arm!r} is not one of {', '.join(compared.arms)}")
        if key in found:
            raise ValueError(f"arm {record.arm}, seed {record.seed}: two records of one run")
        _check_record(record)
        found[key] = record
    seeds = sorted({seed for _, seed in found})
    runs = {arm: {str(s): found[arm, s] for s in seeds if (arm, s) in found} for arm in compared.arms}
    runs = {arm: by_seed for arm, by_seed in runs.items() if by_seed}
    if compared.baseline not in runs:
        raise ValueError(f"the baseline {compared.baseline!r} has no finished run")
    if len({record.data.fingerprint for record in found.values()}) > 1:
        raise ValueError("the records were made from different data: their data fingerprints differ")
    return runs


def _check_record(record: RunRecord) -> None:
    name = f"arm {record.arm}, seed {record.seed}"
    if not record.marks:
        raise ValueError(f"{name}: the record has no evaluation mark")
    for mark in record.marks:
        for split in SPLITS:
            for metric, value in numbers(mark.metrics(split)).items():
                if not math.isfinite(value):
                    raise ValueError(f"{name}: diverged, {split} {metric} is {value} at {mark.tokens} tokens")


def _head(compared: Compared, runs: Runs) -> Head:
    records = [record for by_seed in runs.values() for record in by_seed.values()]
    objective = records[0].recipe.objective.get("objective") or MASKED_LM
    metric = compared.metric or (records[0].selection.metric if records[0].selection else "loss")
    split = "test" if all(metric in record.last.test for record in records) else "validation"
    if not all(metric in record.last.metrics(split) for record in records):
        raise ValueError(f"metric {metric!r} is missing from the {split} results of some runs")
    lower = compared.lower_is_better
    return Head(
        name=compared.name,
        question=compared.question,
        command=compared.command,
        baseline=compared.baseline,
        metric=metric,
        objective=objective,
        unit=compared.unit or _unit(metric, objective),
        lower_is_better=metric in LOWER_IS_BETTER if lower is None else lower,
        split=split,
        budget_unit=_budget_unit(compared, records),
        seeds=tuple(sorted({record.seed for record in records})),
    )


def _budget_unit(compared: Compared, records: Sequence[RunRecord]) -> str:
    """What arms have in common where they are compared; see `views`."""
    if compared.own_budgets:
        return OWN_BUDGET
    return "examples" if all(record.last.examples is not None for record in records) else "tokens"


def _unit(metric: str, objective: str) -> str:
    per = {MASKED_LM: "masked token", CAUSAL_LM: "token", CLASSIFICATION: "example"}.get(objective)
    nats = f"nats per {per}" if per else "nats"
    units = {"loss": nats, "accuracy": "share correct", "bits_per_byte": "bits per byte"}
    return units.get(metric, metric)


def _missing(compared: Compared, runs: Runs, seeds: Sequence[int]) -> tuple[MissingRun, ...]:
    every = compared.seeds or seeds
    expected = [(arm, seed) for arm in compared.arms for seed in compared.seeds_of.get(arm, every)]
    return tuple(MissingRun(arm=arm, seed=seed) for arm, seed in expected if str(seed) not in runs.get(arm, {}))


def _data(record: RunRecord) -> DataRecord:
    """What the data is, with what was evaluated of each split."""
    if not record.data.splits:
        return record.data
    sizes = {
        split: {**size, **_evaluated(split, size, record.recipe.data)} for split, size in record.data.splits.items()
    }
    return dataclasses.replace(record.data, splits=sizes)


def _reading(record: RunRecord) -> dict[str, Settings | None] | None:
    """How labelled data was read: a file can only be cut again as training did."""
    if record.data.problem_type is None:
        return None
    return {"data": record.recipe.data, "labels": record.recipe.labels}


def _evaluated(split: str, size: Sizes, recipe: Settings) -> dict[str, str]:
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
        for key, value in record.environment.items():
            values = found.setdefault(key, [])
            if value not in values:
                values.append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _parameter_matches(compared: Compared) -> Mapping[str, str]:
    for name in (name for pair in compared.parameter_matched.items() for name in pair):
        if name not in compared.arms:
            raise ValueError(f"parameter_matched: {name!r} is not one of {', '.join(compared.arms)}")
    return compared.parameter_matched
