# Copyright 2026 The hf_variants authors. MIT licence.
"""Two classifiers of one seed on the same test examples: how far their scores are apart, by a paired bootstrap.

It takes the predictions of both runs, which are too large for records. What came out is a record of its own, so that a
report can be made again where the runs are gone.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..contract import plain
from ..engine.prepared_examples import PREDICTIONS
from ..files import read_json, write_json
from ..metrics.bootstrap import SCORES, paired_bootstrap
from ..records import Pair, RunRecord

PAIRS = "pairs.json"


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """The pairs of a file; none where there is no file."""
    return tuple(Pair.from_json(pair, str(path)) for pair in read_json(path)) if path.exists() else ()


def update_pairs(
    path: Path, records: Sequence[RunRecord], folder_of: Callable[[str, int], Path], baseline: str, metric: str | None
) -> None:
    """Brings the file of pairs up to date with the finished runs `records`, whose folders may be gone.

    Every arm is paired with the baseline at the first seed that both have. `metric` is what arms are compared by: None
    is what their models were selected by. A pair that was taken of the same runs stays; one without predictions, or
    whose metric has no bootstrap, is left out.
    """
    known = read_pairs(path)
    found = [_pair(known, first, second, folder_of, metric) for first, second in _matched(records, baseline)]
    pairs = tuple(pair for pair in found if pair is not None)
    if pairs != known:
        write_json(path, plain(pairs))


def _matched(records: Sequence[RunRecord], baseline: str) -> list[tuple[RunRecord, RunRecord]]:
    """Every arm's record and the baseline's, of the first seed that both have; classifiers only."""
    runs = {(record.arm, record.seed): record for record in records if record.classification is not None}
    arms = dict.fromkeys(arm for arm, _ in runs if arm != baseline)
    seeds = {arm: [seed for name, seed in sorted(runs) if name == arm and (baseline, seed) in runs] for arm in arms}
    return [(runs[arm, seeds[arm][0]], runs[baseline, seeds[arm][0]]) for arm in arms if seeds[arm]]


def _pair(
    known: Sequence[Pair],
    first: RunRecord,
    second: RunRecord,
    folder_of: Callable[[str, int], Path],
    metric: str | None,
) -> Pair | None:
    metric = metric or first.selection.metric
    runs = (first.recipe_fingerprint, second.recipe_fingerprint)
    about = {"arm": first.arm, "against": second.arm, "seed": first.seed, "metric": metric, "runs": runs}
    for pair in known:
        if dataclasses.replace(pair, **about) == pair:
            return pair
    resamples = first.recipe.objective["bootstrap_samples"]
    files = [folder_of(record.arm, record.seed) / PREDICTIONS for record in (first, second)]
    if metric not in SCORES or not resamples or not all(file.is_file() for file in files):
        return None
    with contextlib.suppress(ValueError):  # undefined for most resamples
        arrays = [_read(file) for file in files]
        found = paired_bootstrap(metric, *arrays, resamples)
        interval = {"difference": found.difference, "ci95": tuple(found.interval), "p": found.p}
        return Pair(**about, **interval, resamples=resamples, examples=len(arrays[0]["label"]))
    return None


def _read(path: Path) -> dict[str, np.ndarray]:
    """The columns that scores are taken of. Raises ValueError where the examples have no labels."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if "label" not in rows[0]:
        raise ValueError(f"{path}: there are no labels")
    names = [name for name in ("label", "probability", "loss") if name in rows[0]]
    return {name: np.asarray([row[name] for row in rows]) for name in names}
