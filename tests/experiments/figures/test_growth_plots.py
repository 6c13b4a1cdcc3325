# Copyright 2026 The hf_variants authors. MIT licence.
"""The figures of growing arms: only where there is something to show, the same bytes for the same results."""

from dataclasses import replace

import numpy as np
import pytest

from hf_variants.experiments.figures import growth as growth_plots
from hf_variants.experiments.figures.growth import GROWTH, LAYER_GRADIENTS, drawn_plots, plot_growing, spans
from hf_variants.experiments.figures.plots import timed_clocks
from tests.experiments.figures.test_plots import png_size
from tests.helpers import sample_comparison as sample


@pytest.fixture(scope="module")
def results():
    return sample.built(sample.growth_comparison(), sample.growth_records(), sample.growth_timing())


def test_what_is_drawn_follows_the_results(results, tmp_path):
    assert drawn_plots(results) == [GROWTH, LAYER_GRADIENTS]
    assert plot_growing(results, tmp_path) == [tmp_path / GROWTH, tmp_path / LAYER_GRADIENTS]
    assert all(min(png_size(path)) >= 550 for path in tmp_path.iterdir())
    plain = sample.built(sample.comparison(), sample.records())
    assert drawn_plots(plain) == plot_growing(plain, tmp_path) == [] and not list(tmp_path.iterdir())


def test_same_results_same_bytes(results, tmp_path):
    first = [path.read_bytes() for path in plot_growing(results, tmp_path / "a")]
    assert [path.read_bytes() for path in plot_growing(results, tmp_path / "b")] == first


def test_the_curve_goes_through_both_losses_of_a_growth(results):
    row = results.arms["stack"]
    tokens, losses = growth_plots.through_growths(row)
    for stage in row.stages:
        at = tokens.index(stage.tokens)
        # the step's own evaluation, then the loss before and the one after
        assert tokens[at : at + 3] == [stage.tokens] * 3 and tokens[at + 3] > stage.tokens
        assert losses[at : at + 2] == pytest.approx([stage.loss_before] * 2)
        assert losses[at + 2] == stage.loss_after
    row = replace(row, stages=tuple(replace(stage, tokens_range=(0, 9)) for stage in row.stages))
    assert growth_plots.through_growths(row)[0] == list(row.curve.tokens)


def test_limits_leave_out_the_first_steps_and_hold_every_jump(results):
    low, high = growth_plots._limits(results)
    stages = [stage for arm in ("diverge", "stack") for stage in results.arms[arm].stages]
    assert low < min(stage.loss_before for stage in stages)
    assert max(stage.loss_after for stage in stages) < high < results.arms["scratch"].curve.mean[0]


def test_spans_end_where_the_number_of_layers_changes(results):
    found = list(spans(results.arms["stack"].layer_gradients))
    assert [norms.shape[1] for _, norms in found] == [3, 6, 12]
    assert [tokens[0] for tokens, _ in found] == [50_000, 550_000, 2_050_000]
    assert all(np.isfinite(norms).all() and len(tokens) == len(norms) for tokens, norms in found)
    assert [norms.shape[1] for _, norms in spans(results.arms["scratch"].layer_gradients)] == [12]


def test_odd_results_are_drawn_too(tmp_path):
    """One seed, no validation on the trunk, growth before the first step, a layer without gradient, one layer."""
    record, baseline = sample.growth_record("stack", 0), sample.growth_record("scratch", 0)
    record["stages"][0] |= {"tokens": 0}
    record["curve"] = record["curve"][:3]
    for point in record["curve"] + baseline["curve"]:
        del point["validation_loss"]
    for point, norms in zip(record["curve"], ([0.1], [0.1, 0.0, 0.2], [0.1, 0.2, 1e-5]), strict=True):
        point["layer_grad_norms"] = norms
    results = sample.built(sample.growth_comparison(), [baseline, record])
    assert len(plot_growing(results, tmp_path)) == 2
    accuracy = sample.built(sample.growth_comparison() | {"metric": "accuracy"}, [baseline, record])
    assert drawn_plots(accuracy) == [LAYER_GRADIENTS]


def test_seeds_that_grew_at_different_moments(tmp_path):
    records = sample.growth_records()
    for record in records:
        for stage in record.get("stages", ()):
            stage["tokens"] += 10_000 * record["seed"]
    results = sample.built(sample.growth_comparison(), records)
    assert results.arms["stack"].stages[0].tokens_range == (500_000, 520_000)
    assert len(plot_growing(results, tmp_path)) == 2


def test_time_on_the_axis_is_that_of_the_stages(results):
    clocks = timed_clocks(results)
    assert clocks["scratch"](1_000_000) == pytest.approx(20.0)
    assert [clocks["stack"](t) for t in (0, 500_000, 1_000_000, 4_000_000)] == pytest.approx([0.0, 2.5, 7.5, 57.5])
