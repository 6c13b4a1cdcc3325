# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of classification: real PNGs, the same bytes for the same arrays, and what cannot be drawn refused."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hf_variants.experiments.figures import classification as plots
from hf_variants.experiments.figures.classification import plot_evaluation
from hf_variants.experiments.metrics import curves
from tests.experiments.figures.test_plots import png_size


def run(seed, strength=1.5, n=400):
    label = (np.random.default_rng(0).random(n) < 0.2).astype(int)
    logit = np.random.default_rng(seed).normal(size=n) + strength * (2 * label - 1)
    return label, np.round(1 / (1 + np.exp(-logit)), 2)


FIGURES = {
    plots.plot_precision_recall: curves.precision_recall,
    plots.plot_reliability: curves.reliability,
}


@pytest.mark.parametrize("plot", FIGURES)
def test_curves(plot, tmp_path):
    runs = {"bert": run(1), "a gru with a long name": run(4, 1.0), "another arm": run(2), "floor": run(5, 0.5)}
    arms = {name: FIGURES[plot](*arrays) for name, arrays in runs.items()}
    many = plot(arms, tmp_path / "new" / "many.png")
    one = plot({"bert": arms["bert"]}, tmp_path / "one.png")
    width, height = png_size(many)
    assert width >= 900 and height > png_size(one)[1] >= 600  # the legend's rows come on top
    assert plot(arms, tmp_path / "again.png").read_bytes() == many.read_bytes()
    other = plot(arms | {"floor": FIGURES[plot](*run(6, 0.5))}, tmp_path / "other.png")
    assert other.read_bytes() != many.read_bytes()
    with pytest.raises(ValueError, match="no arms"):
        plot({}, tmp_path / "a.png")


def test_the_curve_s_area_is_the_average_precision():
    label, probability = run(1, n=4000)
    drawn = curves.precision_recall(label, probability)
    assert np.mean(drawn["precision"][1:]) == pytest.approx(average_precision_score(label, probability), abs=0.01)
    assert drawn["average_precision"] == pytest.approx(average_precision_score(label, probability))
    step = np.asarray(curves.precision_recall(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))["precision"])
    assert set(step[curves.RECALL <= 0.5]) == {1.0} and set(step[curves.RECALL > 0.5]) == {0.6667}


def test_reliability_by_hand():
    right, chance = np.array([1, 0, 1, 1]), np.array([0.9, 0.92, 0.11, 0.1])
    found = curves.reliability(right, chance)
    assert found["observed"][1] == 1.0 and found["observed"][13] == 0.5
    assert found["probability"][1] == pytest.approx(0.105) and found["probability"][13] == pytest.approx(0.91)
    assert found["share"][1] == found["share"][13] == 0.5 and found["observed"][0] is None
    assert found["expected_error"] == pytest.approx(0.5 * 0.895 + 0.5 * 0.41)


@pytest.mark.parametrize("kind", ["binary", "single_label_classification", "multi_label_classification", "regression"])
def test_every_kind_of_label_has_its_tables(kind, tmp_path):
    rng = np.random.default_rng(0)
    label, chance = rng.integers(2, size=50), rng.random(50)
    if kind == "single_label_classification":
        label, chance = rng.integers(3, size=50), rng.dirichlet([1, 1, 1], 50)
    if kind == "multi_label_classification":
        label, chance = rng.integers(2, size=(50, 4)), rng.random((50, 4))
    found = curves.curves(kind, {"label": label, "probability": chance}, ["a", "b", "c"][: 2 + (chance.ndim == 2)])
    expected = {
        "binary": {"precision_recall", "reliability", "confusion"},
        "single_label_classification": {"reliability", "confusion"},
        "multi_label_classification": {"precision_recall", "reliability"},
        "regression": set(),
    }
    assert set(found) == expected[kind]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    plot_evaluation(found, ["a", "b", "c"][: len(found.get("confusion", ()))], "model", tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == expected[kind]


@pytest.mark.parametrize("names", [["no", "yes"], ["very negative", "b", "c"], [f"emotion {i}" for i in range(28)]])
def test_confusion(names, tmp_path):
    labels, predictions = np.random.default_rng(0).integers(len(names), size=(2, 300))
    counts = curves.confusion(labels, predictions, len(names))
    assert sum(map(sum, counts)) == 300 and counts[1][0] == int(((labels == 1) & (predictions == 0)).sum())
    path = plots.plot_confusion(counts, names, tmp_path / "a.png", "title")
    assert min(png_size(path)) >= 600
    with pytest.raises(ValueError, match=f"a table of {len(names) + 1} x {len(names) + 1} is expected"):
        plots.plot_confusion(counts, [*names, "more"], tmp_path / "b.png")
