# Copyright 2026 The hf_variants authors. MIT licence.
"""Models that diverge or get deeper: what stays, what changes, where it comes from, and that the result is a model."""

import copy
import json

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from hf_variants import growth
from hf_variants.gpt.configuration_progressive_gpt import ProgressiveGptConfig
from hf_variants.gpt.modeling_progressive_gpt import ProgressiveGptForCausalLM
from tests.helpers.decoders import generate, random_ids
from tests.helpers.grown import (
    EVERY_PLACEMENT,
    EXACT,
    PLACEMENTS,
    WEIGHTS,
    bert,
    largest_difference,
    logits,
    nanogpt,
    of_layers,
    other,
    progressive,
    train,
    zero_gradients,
)
from tests.helpers.models import build, find_row, tiny_config
from tests.helpers.sameness import assert_same_outputs, assert_same_weights

# ---- which layer comes from where ----------------------------------------------------------------------------------


def test_orders_are_as_documented():
    assert growth.layer_order(3, 2, "interleave") == [0, 0, 1, 1, 2, 2]
    assert growth.layer_order(3, 2, "stack") == [0, 1, 2, 0, 1, 2]
    assert growth.layer_order(3, 2, "middle") == [0, 1, 1, 1, 1, 2]
    assert growth.layer_order(4, 2, "middle") == [0, 1, 2, 1, 2, 1, 2, 3]
    assert growth.layer_order(5, 2, "middle") == [0, 1, 2, 3, 1, 2, 3, 1, 2, 4]
    assert growth.layer_order(2, 2, "middle") == [0, 1, 0, 1]
    assert growth.block_order(3, 6) == [0, 0, 1, 1, 2, 2]


@pytest.mark.hunt
@given(st.integers(1, 40), st.integers(2, 5), st.sampled_from(PLACEMENTS))
def test_every_layer_stays_and_keeps_its_place_among_the_others(count, times, placement):
    order = growth.layer_order(count, times, placement)
    assert len(order) == times * count and set(order) == set(range(count))
    firsts = [order.index(layer) for layer in range(count)]
    assert firsts == sorted(firsts)  # so the first of each source can be the source itself
    assert order[0] == 0 and order[-1] == count - 1
    if placement != "middle":
        assert all(order.count(layer) == times for layer in range(count))
    elif count >= 3:
        ends = max(1, count // 4)
        kept = [*range(ends), *range(count - ends, count)]
        assert order[:ends] + order[-ends:] == kept and all(order.count(layer) == 1 for layer in kept)


@pytest.mark.hunt
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))
def test_layers_keep_the_weights_of_their_block_when_blocks_diverge(blocks, more, applications):
    new, layers = blocks * more, blocks * more * applications
    order = growth.block_order(blocks, new)
    for layer in range(layers):
        assert order[layer * new // layers] == layer * blocks // layers


# ---- diverging -----------------------------------------------------------------------------------------------------


@WEIGHTS
def test_diverging_changes_nothing_and_shares_nothing(steps):
    model = progressive()
    train(model, steps)
    ids, same, same_list = random_ids(model, 2, 7), model, model.transformer.h
    for blocks in (6, 12):
        before, written = logits(model), generate(model, ids, num_beams=3).sequences
        model.train()
        grown = growth.diverge(model, blocks)
        assert all(module.training for module in model.modules())
        model.eval()
        assert model is same and model.transformer.h is same_list
        assert len(model.transformer.h) == blocks == model.config.num_blocks
        assert torch.equal(logits(model), before)
        assert torch.equal(generate(model, ids, num_beams=3).sequences, written)
        assert grown.receipt["max_difference"] == 0.0 and grown.receipt["blocks"] == [blocks // 2, blocks]
        assert [block.attn.layer_idx for block in model.transformer.h] == list(range(blocks))
        assert all(block.attn.config is model.config for block in model.transformer.h)
        assert len({p.data_ptr() for p in model.parameters()}) == len(list(model.parameters()))
        train(model, 1)
        first, second = (model.transformer.h[block].mlp.c_fc.weight for block in (0, 1))
        assert not torch.equal(first, second)


def test_stages_at_the_published_sizes_have_the_published_counts():
    sizes = {"hidden_size": 192, "num_attention_heads": 6, "max_position_embeddings": 256}
    torch.manual_seed(0)
    model = ProgressiveGptForCausalLM(ProgressiveGptConfig(**sizes, num_blocks=3))
    probe = {"input_ids": torch.tensor([[1, 2]])}
    receipts = [growth.diverge(model, blocks, probe).receipt for blocks in (6, 12)]
    assert [receipt["parameters"] for receipt in receipts] == [[11_033_472, 12_368_064], [12_368_064, 15_037_248]]
    assert [receipt["max_difference"] for receipt in receipts] == [0.0, 0.0]
    assert receipts[1]["added"] == 15_037_248 - 12_368_064 and receipts[1]["layers"] == [12, 12]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (3, "num_blocks is 3; allowed: 6, 12"),
        (1, "num_blocks is 1; allowed: 6, 12"),
        (5, "num_blocks is 5; allowed: 6, 12"),
        (4, "num_blocks is 4; allowed: 6, 12, a multiple of the 3 that there are"),
        (24, "num_blocks is 24; allowed: 6, 12"),
        (0, "num_blocks is 0; allowed: 6, 12"),
    ],
)
def test_blocks_that_can_not_diverge_are_named(blocks, message):
    model = progressive()
    before = logits(model)
    with pytest.raises(ValueError, match=message):
        growth.diverge(model, blocks)
    assert len(model.transformer.h) == model.config.num_blocks == 3 and torch.equal(logits(model), before)
    with pytest.raises(ValueError, match="allowed: none"):
        growth.diverge(progressive(blocks=3, layers=3), blocks)
    with pytest.raises(ValueError, match="this is nanogpt; allowed: deepen"):
        growth.diverge(nanogpt(), 6)


# ---- getting deeper ------------------------------------------------------------------------------------------------


@WEIGHTS
@EXACT
@EVERY_PLACEMENT
@pytest.mark.parametrize("make", [nanogpt, lambda: progressive(3, 3), lambda: other("GPT2"), lambda: other("Qwen2")])
def test_layers_that_start_as_the_identity_change_nothing(make, placement, init, steps):
    model = make()
    train(model, steps)
    before = logits(model)
    grown = growth.deepen(model, 2, placement, init)
    assert torch.equal(logits(model), before)
    assert grown.receipt["max_difference"] == 0.0 and grown.receipt["layers"] == [3, 6]


@EXACT
def test_pre_norm_encoders_start_as_the_identity_and_post_norm_ones_do_not(init):
    classes = find_row("minbert").classes
    for norm_position in ("pre", "post"):
        config = tiny_config("minbert", norm_position=norm_position, intermediate_size=32, num_hidden_layers=3)
        model = build(classes[transformers.AutoModelForMaskedLM], config, spread=0.1).double()
        before = logits(model)
        if norm_position == "pre":
            growth.deepen(model, 3, "interleave", init)
            assert model.config.num_hidden_layers == 9
        else:
            with pytest.raises(ValueError, match="post-norm layers .* can't start as identity; allowed: init 'copy'"):
                growth.deepen(model, 3, "interleave", init)
            assert model.config.num_hidden_layers == 3
        assert torch.equal(logits(model), before)


@EVERY_PLACEMENT
@pytest.mark.parametrize("make", [nanogpt, lambda: other("Llama"), bert])
def test_a_copy_says_by_how_much_it_changes_the_function(make, placement):
    model = make()
    probe = {"input_ids": random_ids(model, 3, 20, seed=3)}
    before = logits(model)
    receipt = growth.deepen(model, 2, placement, "copy", probe).receipt
    assert receipt["max_difference"] == largest_difference(logits(model), before) > 1e-3
    assert receipt["probe"] == {"output": "logits", "shape": [3, 20, 50], "dtype": str(model.dtype)}


def test_a_receipt_is_json_and_counts():
    model = nanogpt(2)
    model.transformer.wpe.requires_grad_(False)
    had = sum(p.numel() for p in model.parameters())
    receipt = growth.deepen(model, 3, "stack", "identity").receipt
    assert json.loads(json.dumps(receipt)) == receipt
    assert receipt["operation"] == "deepen"
    assert receipt["arguments"] == {"times": 3, "placement": "stack", "init": "identity"}
    assert receipt["layers"] == receipt["blocks"] == [2, 6]
    now = sum(p.numel() for p in model.parameters())
    assert receipt["parameters"] == [had, now] and receipt["added"] == now - had == 4 * 3280
    assert receipt["trainable_parameters"] == now - 64 * 16
    assert receipt["frozen"] == {"transformer.wpe.weight": 64 * 16}


@EVERY_PLACEMENT
@pytest.mark.parametrize("init", ["copy", "identity"])
def test_sources_say_what_each_parameter_was(placement, init):
    model = nanogpt(4)
    old = {name: p.detach().clone() for name, p in model.named_parameters()}
    objects = {id(p): name for name, p in model.named_parameters()}
    sources = growth.deepen(model, 2, placement, init).sources
    parameters = dict(model.named_parameters())
    assert list(sources) == list(parameters)
    seen = set()
    for name, source in sources.items():
        if source is None:
            assert init == "identity" and "c_proj" in name and not parameters[name].any()
            continue
        assert torch.equal(parameters[name], old[source])
        # the first of a source is the source itself, all others are new
        assert objects.get(id(parameters[name])) == (None if source in seen else source)
        seen.add(source)
    assert seen == set(old)
    assert sum(source is None for source in sources.values()) == (4 * 4 if init == "identity" else 0)


def test_growing_again_and_again_goes_on():
    model = nanogpt(1)
    before = logits(model)
    for layers, placement in ((2, "interleave"), (6, "stack"), (12, "middle")):
        growth.deepen(model, layers // model.config.num_hidden_layers, placement, "identity")
        assert len(model.transformer.h) == layers == model.config.num_hidden_layers
        assert torch.equal(logits(model), before)
        assert [block.attn.layer_idx for block in model.transformer.h] == list(range(layers))


def test_random_numbers_and_modes_stay_as_they_were():
    model = nanogpt()
    model.train()
    model.transformer.h[1].eval()
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    growth.deepen(model, 2, "interleave", "gradual")
    assert torch.equal(torch.rand(3), expected)
    assert [block.training for block in model.transformer.h] == [True, True, False, False, True, True]


# ---- gradients -----------------------------------------------------------------------------------------------------


def test_all_that_diverged_or_was_copied_learns_at_once():
    model = progressive()
    growth.diverge(model, 6)
    assert zero_gradients(model, 1) == [set()]
    model = nanogpt()
    growth.deepen(model, 2, "stack")
    assert zero_gradients(model, 1) == [set()]


def test_what_lies_before_a_zero_projection_learns_from_the_second_step_on():
    model = nanogpt()
    growth.deepen(model, 2, "interleave", "identity")
    behind = of_layers(model, (1, 3, 5), ("ln_1", "c_attn", "ln_2", "c_fc"))
    assert len(behind) == 3 * 8
    assert zero_gradients(model, 2) == [behind, set()]


def test_gradual_layers_learn_as_soon_as_their_scale_is_not_zero():
    model = nanogpt()
    growth.deepen(model, 2, "interleave", "gradual")
    new = of_layers(model, (1, 3, 5), ("",))
    assert len(new) == 3 * 12 and zero_gradients(model, 2) == [new, new]
    growth.set_scale(model, 0.1)
    assert zero_gradients(model, 1) == [set()]


# ---- gradual layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nanogpt, lambda: other("Qwen3"), lambda: other("GPT2")])
def test_a_scale_goes_from_nothing_to_a_copy_and_folds_into_the_weights(make, tmp_path):
    model, copied = make(), make()
    before, names = logits(model), list(model.state_dict())
    growth.deepen(model, 2, "interleave", "gradual")
    growth.deepen(copied, 2, "interleave", "copy")
    assert model.state_dict().keys() == copied.state_dict().keys() and set(names) < set(model.state_dict())
    growth.set_scale(model, 1)
    assert torch.equal(logits(model), logits(copied))
    growth.set_scale(model, 0)
    assert torch.equal(logits(model), before)
    growth.set_scale(model, 0.3)
    expected = logits(model)
    assert largest_difference(expected, before) > 1e-3
    growth.fold_scale(model)
    torch.testing.assert_close(logits(model), expected, atol=1e-12, rtol=1e-12)
    assert not any(module._forward_hooks for module in model.modules())
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert_same_weights(again.state_dict(), model.state_dict())
    assert_same_outputs(logits(again), logits(model))
    growth.fold_scale(model)  # nothing to do any more
    with pytest.raises(ValueError, match="no gradual layers"):
        growth.set_scale(model, 0.5)


def test_a_scale_in_single_precision_folds_to_rounding():
    model = nanogpt(dtype=torch.float32)
    growth.deepen(model, 2, "interleave", "gradual")
    growth.set_scale(model, 0.7)
    expected = logits(model)
    growth.fold_scale(model)
    torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=1e-6)


def test_a_copy_of_a_gradual_model_has_a_scale_of_its_own():
    model = nanogpt()
    growth.deepen(model, 2, "interleave", "gradual")
    other_model = copy.deepcopy(model)
    growth.set_scale(other_model, 1.0)
    assert largest_difference(logits(model), logits(other_model)) > 1e-3
    growth.fold_scale(other_model)
    growth.set_scale(model, 1.0)
    assert torch.equal(logits(model), logits(other_model))


@pytest.mark.parametrize("s", [-0.1, 1.1, float("nan")])
def test_wrong_scales_are_named(s):
    model = nanogpt()
    growth.deepen(model, 2, "interleave", "gradual")
    with pytest.raises(ValueError, match="allowed: 0 to 1"):
        growth.set_scale(model, s)
