# Copyright 2026 The hf_variants authors. MIT licence.
"""Pairs of classifiers on the same test examples: which are taken, what is kept, what is left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_variants.experiments.comparisons import pairs as classification_pairs
from hf_variants.experiments.comparisons.pairs import update_pairs
from hf_variants.experiments.metrics.bootstrap import paired_bootstrap
from hf_variants.experiments.records import RunRecord
from tests.helpers import sample_comparison as sample

ARMS = {"base": (0, 1), "other": (1, 2), "apart": (2,)}
LABELS = np.arange(60) % 2


def record(arm: str, seed: int) -> dict[str, Any]:
    about = sample.record("residual", 0) | {"arm": arm, "seed": seed, "recipe_fingerprint": f"sha256:{arm}{seed}"}
    about["recipe"]["objective"] = {"bootstrap_samples": 50}
    selection = {"metric": "average_precision", "lower_is_better": False}
    return about | {"classification": {"kind": "binary", "label_names": ["no", "yes"]}, "selection": selection}


def arrays(arm: str, seed: int) -> dict[str, np.ndarray]:
    noise = np.random.default_rng([len(arm), seed]).normal(size=60)
    strength = {"base": 0.5, "other": 2.0, "apart": 1.0}[arm]
    return {"label": LABELS, "probability": 1 / (1 + np.exp(-noise - strength * (2 * LABELS - 1))), "loss": noise**2}


@pytest.fixture
def runs(tmp_path) -> list[dict[str, Any]]:
    """The records of runs whose predictions lie under `tmp_path`."""
    found = [record(arm, seed) for arm, seeds in ARMS.items() for seed in seeds]
    for run in found:
        columns = {name: column.tolist() for name, column in arrays(run["arm"], run["seed"]).items()}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        path = folder_in(tmp_path)(run["arm"], run["seed"]) / "predictions.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return found


def folder_in(place: Path):
    return lambda arm, seed: place / arm / f"seed-{seed}"


def pairs_of(place: Path, runs: list[dict[str, Any]], metric: str | None = None) -> list[dict[str, Any]]:
    records = [RunRecord.from_json(run) for run in runs]
    update_pairs(place / "pairs.json", records, folder_in(place), "base", metric)
    path = place / "pairs.json"
    return json.loads(path.read_text()) if path.exists() else []


def test_arms_are_paired_at_the_first_seed_that_both_have(tmp_path, runs):
    (pair,) = pairs_of(tmp_path, runs)
    wanted = paired_bootstrap("average_precision", arrays("other", 1), arrays("base", 1), 50)
    assert (pair["arm"], pair["against"], pair["seed"]) == ("other", "base", 1)
    assert pair["difference"] == pytest.approx(wanted.difference) and wanted.difference > 0
    assert pair["ci95"] == pytest.approx(list(wanted.interval)) and pair["p"] == wanted.p
    assert (pair["metric"], pair["examples"], pair["resamples"]) == ("average_precision", 60, 50)


def test_a_pair_is_taken_once_and_outlives_its_predictions(tmp_path, runs, monkeypatch):
    before = pairs_of(tmp_path, runs)
    monkeypatch.setattr(classification_pairs, "paired_bootstrap", None)
    assert pairs_of(tmp_path, runs) == before
    (tmp_path / "other" / "seed-1" / "predictions.jsonl").unlink()
    assert pairs_of(tmp_path, runs) == before


def test_a_pair_of_other_runs_is_dropped(tmp_path, runs):
    assert pairs_of(tmp_path, runs)
    (tmp_path / "other" / "seed-1" / "predictions.jsonl").unlink()
    changed = [run | {"recipe_fingerprint": "sha256:new"} if run["arm"] == "other" else run for run in runs]
    assert pairs_of(tmp_path, changed) == []


def test_what_cannot_be_paired_leaves_no_file(tmp_path, runs):
    language_models = [{name: value for name, value in run.items() if name != "classification"} for run in runs]
    assert pairs_of(tmp_path, language_models) == []
    assert pairs_of(tmp_path, runs, metric="calibration_error") == []
    assert pairs_of(tmp_path, [run for run in runs if run["arm"] != "other"]) == []
    path = tmp_path / "other" / "seed-1" / "predictions.jsonl"
    path.write_text('{"probability": 0.5}\n' * 60)  # an unlabelled split
    assert pairs_of(tmp_path, runs) == []
    assert not (tmp_path / "pairs.json").exists()
    assert pairs_of(tmp_path, runs, metric="loss") == []
