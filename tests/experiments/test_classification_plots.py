# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of classification: real PNGs, the same bytes for the same arrays, and what cannot be drawn refused."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hf_variants.experiments import classification_plots as plots
from tests.experiments.test_plots import png_size


def run(seed, strength=1.5, n=400):
    label = (np.random.default_rng(0).random(n) < 0.2).astype(int)
    logit = np.random.default_rng(seed).normal(size=n) + strength * (2 * label - 1)
    return label, np.round(1 / (1 + np.exp(-logit)), 2)


ARMS = {"bert": [run(1), run(2), run(3)], "a gru with a long name": [run(4, 1.0)], "floor": [run(5, 0.5)]}


@pytest.mark.parametrize("plot", [plots.plot_precision_recall, plots.plot_reliability])
def test_curves(plot, tmp_path):
    many = plot(ARMS, tmp_path / "new" / "many.png")
    one = plot({"bert": ARMS["bert"][:1]}, tmp_path / "one.png")
    width, height = png_size(many)
    assert width >= 900 and height > png_size(one)[1] >= 600  # the legend's rows come on top
    assert plot(ARMS, tmp_path / "again.png").read_bytes() == many.read_bytes()
    other = plot(ARMS | {"floor": [run(6, 0.5)]}, tmp_path / "other.png")
    assert other.read_bytes() != many.read_bytes()


def test_the_curve_s_area_is_the_average_precision():
    label, probability = run(1, n=4000)
    drawn = np.mean(plots._precision_at(label, probability)[1:])
    assert drawn == pytest.approx(average_precision_score(label, probability), abs=0.005)
    step = plots._precision_at(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))
    assert set(step[plots._RECALL <= 0.5]) == {1.0} and set(step[plots._RECALL > 0.5]) == {2 / 3}


def test_reliability_of_several_classes(tmp_path):
    rng = np.random.default_rng(0)
    runs = [(rng.integers(3, size=50), rng.dirichlet([1, 1, 1], 50)) for _ in range(2)]
    assert plots.plot_reliability({"a": runs}, tmp_path / "a.png", bins=5).stat().st_size > 5000


@pytest.mark.parametrize("names", [["no", "yes"], ["very negative", "b", "c"], [f"emotion {i}" for i in range(28)]])
def test_confusion(names, tmp_path):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(len(names), size=(2, 300))
    path = plots.plot_confusion(labels, predictions, names, tmp_path / "a.png", "title")
    assert min(png_size(path)) >= 600
    with pytest.raises(ValueError, match=f"from 0 to {len(names) - 1} are expected"):
        plots.plot_confusion(labels, predictions + 1, names, tmp_path / "b.png")


@pytest.mark.parametrize("plot", [plots.plot_precision_recall, plots.plot_reliability])
def test_what_cannot_be_drawn(plot, tmp_path):
    for arms, words in (
        ({}, "no arms"),
        ({"a": []}, "a: no runs"),
        ({"a": [([1, 1], [0.1, 0.2])]}, "a: .*two classes"),
    ):
        with pytest.raises(ValueError, match=words):
            plot(arms, tmp_path / "a.png")


def test_pyplot_is_not_imported():
    code = "import sys, hf_variants.experiments.classification_plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
