# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures: real PNGs of readable size, the same bytes for the same results, and pyplot left alone."""

import struct
import subprocess
import sys

import pytest

from hf_variants.experiments.figures.plots import (
    curves_caption,
    plot_context_length,
    plot_cost_quality,
    plot_loss_curves,
    side_by_side,
)
from tests.helpers import sample_comparison as sample


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", header[16:24])


@pytest.mark.parametrize("plot", [plot_loss_curves, plot_cost_quality])
def test_two_panels_with_timing_one_without(plot, tmp_path):
    timed = sample.built(sample.comparison(), sample.records(), sample.timing())
    untimed = sample.built(sample.comparison(), sample.records())
    wide, height = png_size(plot(timed, tmp_path / "new" / "timed.png"))
    narrow, same_height = png_size(plot(untimed, tmp_path / "untimed.png"))
    assert wide > narrow >= 900
    assert height == same_height >= 600


def test_markers_at_one_place_stand_side_by_side():
    moved = side_by_side({"a": [10.0, 50.0], "b": [10.0, 90.0], "c": [10.1]}, 100.0)
    step = moved["b"][0] - moved["a"][0]
    assert step > 1 and moved["c"][0] - moved["b"][0] == pytest.approx(step)
    assert moved["a"][0] + moved["c"][0] == pytest.approx(2 * (10 + 10 + 10.1) / 3)
    assert (moved["a"][1], moved["b"][1]) == (50.0, 90.0)  # alone


def test_the_caption_says_how_many_seeds_an_arm_has():
    records = sample.records()
    assert "mean of 3 seeds with 95 % interval." in curves_caption(sample.built(sample.comparison(), records))
    some = [r for r in records if r["arm"] != "highway" or r["seed"] == 0]
    found = curves_caption(sample.built(sample.comparison(), some))
    assert "after the decay branch, mean of up to 3 seeds with 95 % interval (one seed has none)." in found
    one = [r for r in records if r["seed"] == 0]
    assert "mean of" not in curves_caption(sample.built(sample.comparison(), one))


def test_same_results_same_bytes(tmp_path):
    results = sample.built(sample.comparison(), sample.records(), sample.timing())
    first = plot_loss_curves(results, tmp_path / "a.png").read_bytes()
    assert plot_loss_curves(results, tmp_path / "b.png").read_bytes() == first
    results = sample.altered(results, lambda c: c["data"].update(unigram_entropy=None))
    assert plot_loss_curves(results, tmp_path / "c.png").read_bytes() != first


def add(container, place, amount):
    container[place] += amount


def test_losses_are_drawn_also_where_arms_are_compared_by_another_metric(tmp_path):
    results = sample.built(sample.comparison() | {"metric": "accuracy"}, sample.records())
    first = plot_loss_curves(results, tmp_path / "a.png").read_bytes()
    results = sample.altered(results, lambda c: add(c["arms"]["highway"]["curve"]["mean"], 0, 0.5))
    assert plot_loss_curves(results, tmp_path / "b.png").read_bytes() != first
    # a mark is no loss: it has no place on this axis
    results = sample.altered(results, lambda c: add(c["arms"]["highway"]["marks"][-1], "mean", 0.5))
    assert plot_loss_curves(results, tmp_path / "c.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("plot", [plot_loss_curves, plot_cost_quality])
def test_one_seed_one_arm_no_curve_and_another_metric(plot, tmp_path):
    record = sample.record("residual", 0)
    record["curve"] = []
    for metric in ("loss", "accuracy"):
        results = sample.built(sample.comparison() | {"metric": metric}, [record])
        assert plot(results, tmp_path / f"{metric}.png").stat().st_size > 5000


def test_a_growing_arm_is_drawn_at_the_time_that_its_stages_took(tmp_path):
    records, timing = sample.growth_records(), sample.growth_timing()
    right = plot_loss_curves(sample.built(sample.growth_comparison(), records, timing), tmp_path / "a.png")
    for figures in timing["arms"].values():
        figures.pop("stage_seconds_per_token", None)
    wrong = plot_loss_curves(sample.built(sample.growth_comparison(), records, timing), tmp_path / "b.png")
    assert right.read_bytes() != wrong.read_bytes()


def test_context_lengths(tmp_path):
    timed = sample.built(sample.comparison(), sample.records(), sample.timing())
    one_seed = sample.built(sample.comparison(), sample.records()[::3])
    wide, height = png_size(plot_context_length(sample.overview_of(a=timed, b=timed), tmp_path / "a.png"))
    assert wide >= 1500 and height >= 600
    mixed = sample.overview_of(a=timed, b=one_seed)
    first = plot_context_length(mixed, tmp_path / "b.png").read_bytes()
    assert plot_context_length(mixed, tmp_path / "c.png").read_bytes() == first


@pytest.mark.slow
def test_pyplot_is_not_imported():
    drawing = [f"figures.{name}" for name in ("plots", "classification", "growth", "architecture")]
    drawing += ["analysis.depth_plots"]
    imports = ", ".join(f"hf_variants.experiments.{name}" for name in drawing)
    code = f"import sys, {imports}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
