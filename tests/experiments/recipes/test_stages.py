# Copyright 2026 The hf_variants authors. MIT licence.
"""When a model grows: the recipe's `growth` section, and what makes a stage due."""

import numpy as np
import pytest
from torch import nn

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.growing import Growing, GrowthState, StagedGrowing
from hf_variants.experiments.recipes.recipe import recipe_from_dict
from hf_variants.experiments.recipes.stages import GrowthArguments, Stage, starts
from hf_variants.experiments.text.blocks import BlockOrder, PackedBlocks

MODEL = nn.Linear(2, 2)  # none of its layers comes in gradually


def growing(*stages: dict, total: int = 100, tokens_per_step: int = 10) -> StagedGrowing:
    return StagedGrowing(GrowthArguments(list(stages)).parsed(), total, tokens_per_step, None, {})


def deepen(**start) -> dict:
    return {"operation": "deepen", **start}


def test_a_stage_says_what_it_calls():
    stage = Stage(operation="deepen", fraction=0.5, times=3, placement="stack", lora={"rank": 4, "mlp": "frozen"})
    assert stage.arguments() == {"times": 3, "placement": "stack", "init": "copy"}
    assert (stage.lora.rank, stage.lora.alpha, stage.lora.mlp) == (4, 16, "frozen")
    assert Stage(operation="diverge", tokens=8, num_blocks=6).arguments() == {"num_blocks": 6}


@pytest.mark.parametrize(("stage", "message"), [
    ({"fraction": 0.5}, "operation ''; allowed: diverge, deepen"),
    (deepen(), "exactly one of fraction, tokens, flops, plateau"),
    (deepen(fraction=0.5, tokens=3), "exactly one of fraction, tokens, flops, plateau"),
    (deepen(fraction=-0.1), "fraction: -0.1; allowed: from 0"),
    (deepen(fraction=0.5, num_blocks=6), "num_blocks is for diverge"),
    ({"operation": "diverge", "fraction": 0.5}, "num_blocks is for diverge, which needs it"),
    (deepen(fraction=0.5, times=1), "times: 1; allowed: from 2"),
    (deepen(fraction=0.5, init="gradual"), "ramp_steps is for init gradual, which needs it"),
    (deepen(fraction=0.5, ramp_steps=5), "ramp_steps is for init gradual"),
    (deepen(fraction=0.5, placement="top"), "allowed: interleave, stack, middle"),
    (deepen(fraction=0.5, lora={"rnk": 8}), "unknown key 'rnk'; did you mean 'rank'"),
    (deepen(fraction=0.5, lora={"rank": 0}), "lora.rank: 0; allowed: from 1"),
    (deepen(plateau={"evaluations": 0}), "plateau.evaluations: 0; allowed: from 1"),
    (deepen(fracton=0.5), "unknown key 'fracton'; did you mean 'fraction'"),
])  # fmt: skip
def test_wrong_stages_are_one_line(stage, message):
    content = {"model": {"model_type": "gpt2"}, "data": {"dataset": "x"}, "training": {"max_steps": 9}}
    with pytest.raises(InputError) as error:
        recipe_from_dict(content | {"growth": {"stages": [stage]}})
    assert message in str(error.value) and str(error.value).startswith("growth.stages")


def test_a_recipe_with_stages_comes_back_from_its_dictionary():
    content = {"model": {"model_type": "gpt2"}, "data": {"dataset": "x"}, "training": {"max_steps": 9}}
    recipe = recipe_from_dict(content | {"growth": {"stages": [deepen(fraction=0.5, lora={"rank": 2})]}})
    assert recipe_from_dict(recipe.to_dict()) == recipe


def test_starts_are_steps():
    stages = [deepen(fraction=0.25), deepen(tokens=401), deepen(plateau={"latest": 0.8}), deepen(flops=1e9)]
    assert growing(*stages).starts == [25, 41, 80, None]


@pytest.mark.parametrize("stages", [
    [deepen(fraction=1.0)],
    [deepen(tokens=1000)],
    [deepen(fraction=0.5), deepen(fraction=0.5)],
    [deepen(fraction=0.5), deepen(plateau={}), deepen(tokens=400)],
])  # fmt: skip
def test_stages_rise_and_lie_within_the_budget(stages):
    with pytest.raises(InputError, match=r"number \d begins at step \d+; allowed: "):
        starts(GrowthArguments(stages).parsed(), 100, 10)


def test_a_stage_by_steps_is_due_from_its_step_on_and_once():
    plan, state = growing(deepen(fraction=0.25), deepen(fraction=0.5)), GrowthState()
    assert [plan.is_due(state, step) for step in (24, 25, 26)] == [False, True, True]
    state.stage = 1
    assert not plan.is_due(state, 49) and plan.is_due(state, 50)
    state.stage = 2
    assert not plan.is_due(state, 99)


def test_a_stage_by_flops_counts_what_was_trained():
    plan, state = growing(deepen(flops=100)), GrowthState()
    order = BlockOrder(PackedBlocks(np.arange(50), 5, "train"), batch_size=2, seed=0, random_phase=False)
    for step in range(1, 10):
        plan.saw_step(state, 1.1, order, step)
    assert state.flops == pytest.approx(99) and not plan.is_due(state, 9)
    plan.saw_step(state, 1.1, order, 10)
    assert plan.is_due(state, 10) and state.stage_tokens == [100]


def test_a_plateau_is_evaluations_in_a_row_without_improvement():
    plan, state = growing(deepen(plateau={"evaluations": 2, "min_delta": 0.1})), GrowthState()
    due = []
    for loss in (5.0, 4.0, 3.95, 3.8, 3.75, 3.71):
        plan.saw_loss(state, loss)
        due.append(plan.is_due(state, 10))
    assert due == [False] * 5 + [True]
    assert state.best == 3.8


def test_a_plateau_that_never_comes_ends_at_the_latest_moment():
    plan, state = growing(deepen(plateau={"latest": 0.6})), GrowthState()
    assert not plan.is_due(state, 59) and plan.is_due(state, 60)


def test_the_learning_rate_comes_back_linearly():
    plan = growing(deepen(fraction=0.25, rewarm_steps=4))
    assert plan.before_step(MODEL, GrowthState(), 3) == 1.0
    grown = GrowthState(stage=1, since=25)
    assert [plan.before_step(MODEL, grown, step) for step in (25, 26, 27, 28, 29)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert growing(deepen(fraction=0.25)).before_step(MODEL, grown, 25) == 1.0


def test_where_nothing_grows_nothing_is_due_and_nothing_is_said():
    nothing, state = Growing(), GrowthState()
    nothing.saw_loss(state, 1.0)
    assert nothing.before_step(MODEL, state, 3) == 1.0 and not nothing.is_due(state, 3)
    assert nothing.about(state) == {} and state == GrowthState()
