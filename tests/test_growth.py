# Copyright 2026 The hf_variants authors. MIT licence.
"""Models that diverge or get deeper: what stays, what changes, where it comes from, and that the result is a model."""

import copy
import json

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from hf_variants import growth
from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.configuration_nanogpt import NanoGptConfig
from hf_variants.gpt.configuration_progressive_gpt import ProgressiveGptConfig
from hf_variants.gpt.modeling_conv_gpt import ConvGptForCausalLM
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM
from hf_variants.gpt.modeling_progressive_gpt import ProgressiveGptForCausalLM
from tests.decoders import assert_cached_equals_full, generate, left_padding_mask, random_ids
from tests.models import build, find_row, tiny_config

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 64}
PLACEMENTS = ("interleave", "stack", "middle")
EVERY_PLACEMENT = pytest.mark.parametrize("placement", PLACEMENTS)
WEIGHTS = pytest.mark.parametrize("steps", [0, 3], ids=["random", "trained"])
EXACT = pytest.mark.parametrize("init", ["identity", "gradual"])


def nanogpt(layers=3, dtype=torch.float64):
    return build(NanoGptForCausalLM, NanoGptConfig(**SMALL, num_hidden_layers=layers), spread=0.1).to(dtype)


def progressive(blocks=3, layers=12, dtype=torch.float64):
    config = ProgressiveGptConfig(**SMALL, num_hidden_layers=layers, num_blocks=blocks)
    return build(ProgressiveGptForCausalLM, config, spread=0.1).to(dtype)


# Models of transformers with their own kinds of layers; `kinds` is what their configuration says of each of three.
LLAMA = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
LLAMA |= {"num_key_value_heads": 1, "num_hidden_layers": 3, "max_position_embeddings": 64, "pad_token_id": None}
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]
CONV_KINDS = ["conv", "full_attention", "conv"]
OTHERS = {
    "GPT2": {"vocab_size": 50, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "bos_token_id": None},
    "Llama": LLAMA,
    "Qwen2": LLAMA | {"use_sliding_window": True, "sliding_window": 5, "layer_types": KINDS},
    "Qwen3": LLAMA | {"head_dim": 8},
    "Lfm2": LLAMA | {"layer_types": CONV_KINDS},
}
EVERY_OTHER = pytest.mark.parametrize("family", OTHERS)


def other(family, dtype=torch.float64):
    """A tiny random causal model of transformers."""
    no_end = {"eos_token_id": None, "bos_token_id": None}
    config = getattr(transformers, f"{family}Config")(**OTHERS[family] | no_end)
    model_class = AutoModelForCausalLM._model_mapping[type(config)]
    return build(model_class, config, spread=0.1).to(dtype)


def bert(role="MaskedLM", **changes):
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, num_hidden_layers=3, max_position_embeddings=64, **changes)
    return build(getattr(transformers, f"Bert{role}" if role == "Model" else f"BertFor{role}"), config, spread=0.1)


def train(model, steps, seed=5):
    """A few steps of AdamW, so that weights are no longer random; returns the optimizer."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, fused=True)
    model.train()
    for step in range(steps):
        train_step(model, optimizer, seed + step)
    model.eval()
    return optimizer


def train_step(model, optimizer, seed):
    ids = random_ids(model, 2, 12, seed=seed)
    optimizer.zero_grad()
    model(ids, labels=ids).loss.backward()
    optimizer.step()


@torch.no_grad()
def logits(model, seed=3):
    return model(random_ids(model, 3, 20, seed=seed), use_cache=False).logits


def largest_difference(one, other):
    return (one - other).abs().max().item()


# ---- which layer comes from where ----------------------------------------------------------------------------------


def test_orders_are_as_documented():
    assert growth.layer_order(3, 2, "interleave") == [0, 0, 1, 1, 2, 2]
    assert growth.layer_order(3, 2, "stack") == [0, 1, 2, 0, 1, 2]
    assert growth.layer_order(3, 2, "middle") == [0, 1, 1, 1, 1, 2]
    assert growth.layer_order(4, 2, "middle") == [0, 1, 2, 1, 2, 1, 2, 3]
    assert growth.layer_order(5, 2, "middle") == [0, 1, 2, 3, 1, 2, 3, 1, 2, 4]
    assert growth.layer_order(2, 2, "middle") == [0, 1, 0, 1]
    assert growth.block_order(3, 6) == [0, 0, 1, 1, 2, 2]


@settings(max_examples=200, deadline=None)
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


@settings(max_examples=200, deadline=None)
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


def zero_gradients(model, steps):
    """The names of trained parameters whose gradient is zero, for each of so many optimizer steps."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0)
    zeros = []
    for step in range(steps):
        train_step(model, optimizer, 20 + step)
        zeros.append({n for n, p in model.named_parameters() if p.requires_grad and not p.grad.abs().max() > 0})
    return zeros


def of_layers(model, positions, parts):
    return {
        name
        for name, _ in model.named_parameters()
        if any(f".h.{position}." in name for position in positions) and any(part in name for part in parts)
    }


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
    assert torch.equal(logits(again), logits(model))
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


# ---- models of transformers ----------------------------------------------------------------------------------------


@EVERY_OTHER
@EVERY_PLACEMENT
@pytest.mark.parametrize("init", ["copy", "identity"])
def test_grown_models_save_load_cache_and_generate(family, placement, init, tmp_path):
    model = other(family)
    before, ids = logits(model), random_ids(model, 2, 13)
    growth.deepen(model, 2, placement, init)
    assert torch.equal(logits(model), before) == (init == "identity")
    assert model.config.num_hidden_layers == 6
    assert_cached_equals_full(model, ids, [13])
    assert_cached_equals_full(model, ids, [7, *[1] * 6])
    model.save_pretrained(tmp_path)
    again, report = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64, output_loading_info=True)
    assert not any(report.values()) and torch.equal(logits(again.eval()), logits(model))
    assert len(model(ids, output_hidden_states=True).hidden_states) == 7
    mask = left_padding_mask([0, 5], 13)
    for options in ({}, {"num_beams": 3}):
        found = [
            generate(each, ids, attention_mask=mask, use_cache=use_cache, **options).sequences
            for each in (model, again)
            for use_cache in (True, False)
        ]
        assert all(torch.equal(found[0], sequences) for sequences in found[1:])


def window_of(layer):
    return getattr(getattr(layer, "self_attn", None), "sliding_window", None)


@pytest.mark.parametrize("family", ["Qwen2", "Lfm2"])
@EVERY_PLACEMENT
def test_layers_keep_the_kind_of_their_source(family, placement):
    model = other(family)
    kinds, windows = list(model.config.layer_types), [window_of(layer) for layer in model.model.layers]
    growth.deepen(model, 2, placement)
    order = growth.layer_order(3, 2, placement)
    assert model.config.layer_types == [kinds[source] for source in order]
    assert [window_of(layer) for layer in model.model.layers] == [windows[source] for source in order]
    inner = [module for module in model.model.layers.modules() if hasattr(module, "layer_idx")]
    assert [module.layer_idx for module in inner] == list(range(6))
    assert all(module.config is model.config for module in inner if hasattr(module, "config"))


@EVERY_PLACEMENT
@pytest.mark.parametrize("role", ["Model", "MaskedLM", "SequenceClassification"])
def test_a_bert_gets_deeper_by_copies(placement, role, tmp_path):
    model = bert(role).double()
    inputs = {"input_ids": random_ids(model, 3, 20), "attention_mask": 1 - left_padding_mask([20, 18, 3], 20)}
    inputs["attention_mask"][0] = 1
    receipt = growth.deepen(model, 2, placement, probe=inputs).receipt
    assert receipt["probe"]["output"] == ("last_hidden_state" if role == "Model" else "logits")
    model.save_pretrained(tmp_path)
    again, report = type(model).from_pretrained(tmp_path, dtype=torch.float64, output_loading_info=True)
    assert not any(report.values())
    assert torch.equal(again.eval()(**inputs)[0], model(**inputs)[0])


@EXACT
def test_a_bert_that_can_not_start_as_the_identity_is_left_as_it_was(init):
    model = bert()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    config, objects = model.config.to_dict(), list(map(id, model.modules()))
    with pytest.raises(ValueError, match="post-norm layers .* can't start as identity; allowed: init 'copy'"):
        growth.deepen(model, 2, "interleave", init)
    assert model.config.to_dict() == config and list(map(id, model.modules())) == objects
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert [layer.attention.self.layer_idx for layer in model.bert.encoder.layer] == [0, 1, 2]
    assert not any(module._forward_hooks for module in model.modules())


def test_an_attention_implementation_set_later_reaches_the_new_layers():
    model = other("Llama")
    growth.deepen(model, 2)
    model.set_attn_implementation("eager")
    result = model(random_ids(model, 1, 5), output_attentions=True)
    assert len(result.attentions) == 6 and all(weights is not None for weights in result.attentions)


# ---- what can't grow -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": 1}, "times is 1; allowed: 2 or more"),
        ({"times": 0}, "times is 0"),
        ({"times": 1.5}, "times is 1.5"),
        ({"times": 2, "placement": "top"}, "placement is 'top'; allowed: interleave, stack, middle"),
        ({"times": 2, "init": "noise"}, "init is 'noise'; allowed: copy, identity, gradual"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    model = nanogpt()
    with pytest.raises(ValueError, match=message):
        growth.deepen(model, **arguments)
    assert model.config.num_hidden_layers == len(model.transformer.h) == 3


def test_models_without_one_list_of_like_layers_are_named():
    sizes = {"vocab_size": 50, "d_model": 16, "d_ff": 24, "num_heads": 2, "d_kv": 8, "num_layers": 2}
    t5 = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes))
    albert = {"vocab_size": 50, "hidden_size": 16, "embedding_size": 8, "intermediate_size": 24}
    albert = transformers.AlbertModel(transformers.AlbertConfig(**albert, num_attention_heads=2, num_hidden_layers=3))
    conv = ConvGptForCausalLM(ConvGptConfig(vocab_size=50, hidden_size=6, max_position_embeddings=64))
    flat = ConvGptForCausalLM(ConvGptConfig(**SMALL, num_levels=1, width_factor=1, num_hidden_layers=4))
    expected = {
        t5: r"2 \(encoder.block, decoder.block\) for a ModuleList of its 2 layers; allowed: exactly one",
        albert: "AlbertModel has none for a ModuleList of its 3 layers",
        conv: "transformer.h: layers 0 and 1 differ in shape",
        nanogpt(0): "has none for a ModuleList of its 0 layers",
    }
    for model, message in expected.items():
        with pytest.raises(ValueError, match=message):
            growth.find_layers(model)
        with pytest.raises(ValueError, match=message):
            growth.deepen(model, 2)
    # its layers are alike, but no configuration could say which of them run where
    assert growth.find_layers(flat)[0] == "transformer.h"
    before = logits(flat.eval())
    with pytest.raises(ValueError, match="transformer.h can't be repeated: .*num_hidden_layers is 8"):
        growth.deepen(flat, 2)
    assert torch.equal(logits(flat), before) and flat.config.num_hidden_layers == len(flat.transformer.h) == 4


def test_layers_that_share_weights_are_named():
    model = nanogpt()
    model.transformer.h[2].mlp.c_fc.weight = model.transformer.h[1].mlp.c_fc.weight
    with pytest.raises(ValueError, match="layers 1 and 2 share weights"):
        growth.deepen(model, 2)
    model = progressive(3, 6)
    with pytest.raises(ValueError, match="6 layers share 3 blocks; allowed: diverge to 6 blocks first"):
        growth.deepen(model, 2)
    growth.diverge(model, 6)
    growth.deepen(model, 2)
    assert model.config.num_blocks == model.config.num_hidden_layers == len(model.transformer.h) == 12


def test_layers_that_depend_on_their_place_are_named():
    model = other("GPT2")
    model.config.scale_attn_by_inverse_layer_idx = True
    model = type(model)(model.config).eval().double()
    before = logits(model)
    for init in ("copy", "identity"):
        with pytest.raises(ValueError, match="transformer.h can't be repeated: attn.scaling of its layers would be"):
            growth.deepen(model, 2, "stack", init)
        assert torch.equal(logits(model), before)


@EXACT
def test_models_that_depend_on_their_number_of_layers_are_named(init):
    model = nanogpt()
    model.transformer.ln_f.register_forward_hook(lambda _, inputs, output: output * model.config.num_hidden_layers)
    before = logits(model)
    with pytest.raises(ValueError, match="outputs would change by .* where nothing may change"):
        growth.deepen(model, 2, "stack", init)
    assert torch.equal(logits(model), before) and len(model.transformer.h) == 3


def test_gradual_layers_do_not_grow_before_they_are_folded():
    model = progressive(3, 3)
    growth.deepen(model, 2, "stack", "gradual")
    for grow in (lambda: growth.deepen(model, 2), lambda: growth.diverge(model, 6), lambda: growth.to_gpt2(model)):
        with pytest.raises(ValueError, match="gradual layers; allowed: fold_scale first"):
            grow()


def test_a_model_that_takes_no_ids_needs_a_probe():
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2}
    model = transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=8, patch_size=4)).eval()
    with pytest.raises(ValueError, match="ViTModel takes no ids; allowed: probe"):
        growth.deepen(model, 2)
    grown = growth.deepen(model, 2, init="identity", probe={"pixel_values": torch.randn(1, 3, 8, 8)})
    assert grown.receipt["max_difference"] == 0.0 and grown.receipt["probe"]["output"] == "last_hidden_state"


# ---- what Adam knows -----------------------------------------------------------------------------------------------


def stepped(model, steps=3):
    optimizer = train(model, steps)
    return growth.optimizer_state_by_name(model, optimizer)


def new_optimizer(model, **options):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, fused=True, **options)


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
            assert torch.equal(again.eval()(**inputs)[0], each(**inputs)[0])
    assert converted["gpt2"].config.eos_token_id == 7 and converted["gpt2"].config.bos_token_id is None
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in converted["gpt2"].parameters()}
    again = growth.to_gpt2(converted["nanogpt"])
    assert torch.equal(again(**inputs)[0], converted["gpt2"](**inputs)[0])


def test_other_models_are_not_converted():
    for convert in (growth.to_nanogpt, growth.to_gpt2):
        with pytest.raises(ValueError, match="the model is a llama; allowed: nanogpt, progressive_gpt"):
            convert(other("Llama"))
