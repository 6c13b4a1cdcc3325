# Copyright 2026 The hf_variants authors. MIT licence.
"""Two classifiers of one seed on the same test examples: how far their scores are apart, by a paired bootstrap.

It takes the predictions of both runs, which are too large for records. What came out is a record of its own, so that a
report can be made again where the runs are gone.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.prepared_examples import PREDICTIONS
from ..files import read_json, write_json
from ..metrics.bootstrap import SCORES, paired_bootstrap

PAIRS = "pairs.json"
Pair = dict[str, Any]
Record = Mapping[str, Any]


def update_pairs(
    path: Path, records: Sequence[Record], folder_of: Callable[[str, int], Path], baseline: str, metric: str | None
) -> None:
    """Brings the file of pairs up to date with the finished runs `records`, whose folders may be gone.

    Every arm is paired with the baseline at the first seed that both have. `metric` is what arms are compared by: None
    is what their models were selected by. A pair that was taken of the same runs stays; one without predictions, or
    whose metric has no bootstrap, is left out.
    """
    known = read_json(path) if path.exists() else []
    found = [_pair(known, first, second, folder_of, metric) for first, second in _matched(records, baseline)]
    pairs = [pair for pair in found if pair is not None]
    if pairs != known:
        write_json(path, pairs)


def _matched(records: Sequence[Record], baseline: str) -> list[tuple[Record, Record]]:
    """Every arm's record and the baseline's, of the first seed that both have; classifiers only."""
    runs = {(record["arm"], record["seed"]): record for record in records if "classification" in record}
    arms = dict.fromkeys(arm for arm, _ in runs if arm != baseline)
    seeds = {arm: [seed for name, seed in sorted(runs) if name == arm and (baseline, seed) in runs] for arm in arms}
    return [(runs[arm, seeds[arm][0]], runs[baseline, seeds[arm][0]]) for arm in arms if seeds[arm]]


def _pair(
    known: Sequence[Pair], first: Record, second: Record, folder_of: Callable[[str, int], Path], metric: str | None
) -> Pair | None:
    metric = metric or first["selection"]["metric"]
    about = {"arm": first["arm"], "against": second["arm"], "seed": first["seed"], "metric": metric}
    about["runs"] = [record["recipe_fingerprint"] for record in (first, second)]
    for pair in known:
        if {name: pair.get(name) for name in about} == about:
            return pair
    resamples = first["recipe"]["objective"]["bootstrap_samples"]
    files = [folder_of(record["arm"], record["seed"]) / PREDICTIONS for record in (first, second)]
    if metric not in SCORES or not resamples or not all(file.is_file() for file in files):
        return None
    with contextlib.suppress(ValueError):  # undefined for most resamples
        arrays = [_read(file) for file in files]
        found = paired_bootstrap(metric, *arrays, resamples)
        interval = {"difference": found.difference, "ci95": list(found.interval), "p": found.p}
        return about | interval | {"resamples": resamples, "examples": len(arrays[0]["label"])}
    return None


def _read(path: Path) -> dict[str, np.ndarray]:
    """The columns that scores are taken of. Raises ValueError where the examples have no labels."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if "label" not in rows[0]:
        raise ValueError(f"{path}: there are no labels")
    names = [name for name in ("label", "probability", "loss") if name in rows[0]]
    return {name: np.asarray([row[name] for row in rows]) for name in names}
