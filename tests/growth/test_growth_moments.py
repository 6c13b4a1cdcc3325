# Copyright 2026 The hf_variants authors. MIT licence.
"""What Adam knows after a growth, and grown models as plain ones."""

import copy

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from hf_variants import growth
from hf_variants.gpt.configuration_progressive_gpt import ProgressiveGptConfig
from tests.helpers.decoders import random_ids
from tests.helpers.grown import (
    SMALL,
    nanogpt,
    new_optimizer,
    other,
    stepped,
    train_step,
)
from tests.helpers.models import build, find_row
from tests.helpers.sameness import assert_same_model

# ---- what Adam knows -----------------------------------------------------------------------------------------------


def test_moments_have_the_names_of_their_parameters():
    model = nanogpt()
    state = stepped(model)
    assert list(state) == [name for name, _ in model.named_parameters()]
    assert all(float(values["step"]) == 3 for values in state.values())
    assert growth.optimizer_state_by_name(model, new_optimizer(model)) == {}


@pytest.mark.parametrize("moments", ["copy", "zero", "rewarm"])
@pytest.mark.parametrize("init", ["copy", "identity"])
def test_moments_follow_their_parameters(moments, init):
    model = nanogpt()
    old = stepped(model)
    old = {name: {key: value.clone() for key, value in values.items()} for name, values in old.items()}
    grown = growth.deepen(model, 2, "stack", init)
    optimizer = new_optimizer(model)
    growth.load_optimizer_state_by_name(model, optimizer, old, grown.sources, moments)
    state, seen = growth.optimizer_state_by_name(model, optimizer), set()
    for name, source in grown.sources.items():
        is_copy = source in seen
        seen.add(source)
        if source is None or (is_copy and moments == "rewarm"):
            assert name not in state
            continue
        assert state[name]["step"] == old[source]["step"]
        for key in ("exp_avg", "exp_avg_sq"):
            zero = is_copy and moments == "zero"
            assert torch.equal(state[name][key], torch.zeros_like(old[source][key]) if zero else old[source][key])
    pointers = [value.data_ptr() for values in state.values() for value in values.values()]
    assert len(set(pointers)) == len(pointers)
    train_step(model, optimizer, 40)  # the optimizer takes them
    assert len(growth.optimizer_state_by_name(model, optimizer)) == len(grown.sources)


def test_after_an_identity_old_weights_go_on_as_if_nothing_had_grown():
    model = nanogpt()
    state = stepped(model)
    alone = copy.deepcopy(model)
    same = {name: name for name in state}
    grown = growth.deepen(model, 2, "interleave", "identity")
    for each, sources in ((model, grown.sources), (alone, same)):
        optimizer = new_optimizer(each)
        growth.load_optimizer_state_by_name(each, optimizer, state, sources)
        train_step(each, optimizer, 50)
    for name, source in grown.sources.items():
        if source is not None and (".h." not in name or int(name.split(".")[2]) % 2 == 0):
            torch.testing.assert_close(model.get_parameter(name), alone.get_parameter(source), atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize(("beta2", "zero"), [(0.95, 0.447), (0.999, 3.162)])
def test_first_updates_are_as_large_as_documented(beta2, zero):
    sizes = {}
    for moments in ("zero", "rewarm"):
        model = nanogpt(2)
        state = stepped(model)
        for values in state.values():
            values["step"].fill_(100_000)
        grown = growth.deepen(model, 2, "stack")
        optimizer = new_optimizer(model, betas=(0.9, beta2), weight_decay=0.0, eps=1e-20)
        growth.load_optimizer_state_by_name(model, optimizer, state, grown.sources, moments)
        weight = model.transformer.h[3].mlp.c_fc.weight
        before = weight.detach().clone()
        train_step(model, optimizer, 60)
        sizes[moments] = (weight - before).abs().median().item() / 1e-2
    assert sizes["rewarm"] == pytest.approx(1.0, rel=1e-3) and sizes["zero"] == pytest.approx(zero, rel=1e-3)


def test_frozen_parameters_lose_their_moments_and_wrong_ones_are_named():
    model = nanogpt()
    state = stepped(model)
    same = {name: name for name in state}
    model.transformer.wte.requires_grad_(False)
    optimizer = new_optimizer(model)
    growth.load_optimizer_state_by_name(model, optimizer, state, same)
    assert "transformer.wte.weight" not in growth.optimizer_state_by_name(model, optimizer)
    with pytest.raises(ValueError, match="moments is 'keep'; allowed: copy, zero, rewarm"):
        growth.load_optimizer_state_by_name(model, optimizer, state, same, "keep")
    wrong = same | {"transformer.ln_f.weight": "transformer.wpe.weight"}
    with pytest.raises(ValueError, match="exp_avg of transformer.ln_f.weight has the shape"):
        growth.load_optimizer_state_by_name(model, optimizer, state, wrong)
    assert len(growth.optimizer_state_by_name(model, optimizer)) == len(same) - 1


# ---- as nanogpt and as GPT-2 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 3, 6])
@pytest.mark.parametrize("auto", [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification])
def test_a_model_of_any_blocks_is_a_nanogpt_and_a_gpt2(blocks, auto, tmp_path):
    changes = {"num_hidden_layers": 6, "num_blocks": blocks, "hidden_act": "gelu", "layer_norm_eps": 1e-3}
    changes |= {"intermediate_size": 40, "pad_token_id": 0, "eos_token_id": 7, "num_labels": 3}
    model_class = find_row("progressive_gpt").classes[auto]
    model = build(model_class, ProgressiveGptConfig(**SMALL | changes), spread=0.1)
    inputs = {"input_ids": random_ids(model, 3, 20).clamp(min=1)}
    torch.manual_seed(3)
    expected_random = torch.rand(2)
    torch.manual_seed(3)
    converted = {"nanogpt": growth.to_nanogpt(model), "gpt2": growth.to_gpt2(model)}
    assert torch.equal(torch.rand(2), expected_random)
    with torch.no_grad():
        expected = model(**inputs)[0]
        for name, each in converted.items():
            assert each.config.model_type == name and not each.training
            torch.testing.assert_close(each(**inputs)[0], expected, atol=1e-6, rtol=1e-6)
            each.save_pretrained(tmp_path / name)
            again, report = auto.from_pretrained(tmp_path / name, output_loading_info=True)
            assert type(again) is type(each) and not any(report.values())
            assert_same_model(again.eval(), each, **inputs)
    assert converted["gpt2"].config.eos_token_id == 7 and converted["gpt2"].config.bos_token_id is None
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in converted["gpt2"].parameters()}
    again = growth.to_gpt2(converted["nanogpt"])
    assert torch.equal(again(**inputs)[0], converted["gpt2"](**inputs)[0])


def test_other_models_are_not_converted():
    for convert in (growth.to_nanogpt, growth.to_gpt2):
        with pytest.raises(ValueError, match="the model is a llama; allowed: nanogpt, progressive_gpt"):
            convert(other("Llama"))
