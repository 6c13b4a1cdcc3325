# Copyright 2026 The hf_variants authors. MIT licence.
"""What a recipe comes to: data, schedule, configuration and growth, each found once and in this order."""

import inspect

import pytest
import torch
from accelerate.utils import set_seed

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.growing import StagedGrowing
from hf_variants.experiments.engine.prepared import Prepared, PreparedStream, PreparedText, prepare
from hf_variants.experiments.engine.prepared_examples import PreparedExamples
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.engine.setup import set_up
from hf_variants.experiments.labelled.examples import BucketedOrder
from hf_variants.experiments.recipes.sections import ModelArguments
from hf_variants.experiments.text.blocks import BlockOrder
from tests.experiments.engine.test_growing import deepening
from tests.helpers.tiny import causal_recipe, tiny_recipe
from tests.helpers.tiny_labelled import labelled_recipe


def members(cls: type) -> dict[str, object]:
    return {name: member for name, member in vars(cls).items() if not name.startswith("_")}


@pytest.mark.parametrize("form", [PreparedText, PreparedStream, PreparedExamples])
def test_every_form_of_data_has_what_prepared_says(form):
    for name, member in members(Prepared).items():
        own = inspect.getattr_static(form, name)
        assert type(own) is type(member), name
        if inspect.isfunction(member):
            assert list(inspect.signature(own).parameters) == list(inspect.signature(member).parameters), name
    held = {name for cls in form.__mro__ for name in inspect.get_annotations(cls)}
    assert set(inspect.get_annotations(Prepared)) <= held


def test_order_and_plan_are_found_once(tmp_path, monkeypatch):
    found = []
    order = PreparedText.order
    monkeypatch.setattr(PreparedText, "order", lambda self, training: found.append(1) or order(self, training))
    run_recipe(tiny_recipe(tmp_path), tmp_path / "run")
    assert found == [1]


def test_a_setup_holds_what_follows_from_the_recipe(tmp_path):
    recipe = tiny_recipe(tmp_path)
    setup = set_up(recipe)
    assert isinstance(setup.schedule.order, BlockOrder) and setup.schedule.training.max_steps == 20
    assert [phase.end for phase in setup.schedule.phases][-1] == 20
    assert setup.config.vocab_size == recipe.model.overrides["vocab_size"] and not setup.growing.stages
    before, weights = setup.config.to_dict(), []
    for _ in range(2):
        set_seed(3)
        weights.append(setup.new_model())
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in weights), strict=True))
    assert setup.config.to_dict() == before and weights[0].config is not weights[1].config


def test_the_objective_is_bound_to_the_model_after_its_configuration(tmp_path):
    recipe = causal_recipe(tmp_path)
    recipe.model = ModelArguments(model_type="conv_gpt", overrides={"num_levels": 0, "prediction_horizon": 4})
    assert set_up(recipe).prepared.objective.horizon == 4
    recipe.model.overrides["prediction_horizon"] = 16
    with pytest.raises(InputError, match="block_size 16 is below prediction_horizon 16"):
        set_up(recipe)


def test_stages_are_part_of_it(tmp_path):
    setup = set_up(deepening(tmp_path))
    assert isinstance(setup.growing, StagedGrowing) and len(setup.growing.stages) == len(setup.growing.starts)
    assert setup.growing.at(0).config.num_hidden_layers == setup.config.num_hidden_layers


def test_epochs_of_labelled_data_become_steps(tmp_path):
    recipe = labelled_recipe(tmp_path)
    prepared = prepare(recipe)
    setup = set_up(recipe, prepared)
    assert (
        isinstance(setup.schedule.order, BucketedOrder) and setup.prepared.class_names == prepared.corpus.label_names
    )
    assert setup.schedule.training.max_epochs is None and setup.schedule.training.max_steps > 0


def test_an_order_without_a_place_goes_nowhere(tmp_path):
    order = set_up(tiny_recipe(tmp_path)).schedule.order
    rows = order.rows(3)
    assert order.position(3) is None
    order.go_to({"first": 0})
    assert (order.rows(3) == rows).all()


def test_what_cannot_be_scheduled_is_said_before_data_is_read(tmp_path):
    recipe = tiny_recipe(tmp_path, data={"dataset": "not/there"}, training={"warmup_steps": 20})
    with pytest.raises(InputError, match="training.warmup_steps: 20 is beyond step"):
        set_up(recipe)
