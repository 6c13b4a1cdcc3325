# Copyright 2026 The hf_variants authors. MIT licence.
"""Which models grow and still save, load, cache and generate; which are refused, and are then left as they were."""

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from hf_variants import growth
from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.modeling_conv_gpt import ConvGptForCausalLM
from tests.helpers.decoders import assert_cached_equals_full, generate, left_padding_mask, random_ids
from tests.helpers.grown import EVERY_OTHER, EVERY_PLACEMENT, EXACT, SMALL, bert, logits, nanogpt, other, progressive
from tests.helpers.sameness import assert_same_model, assert_same_outputs, assert_same_weights

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
    assert not any(report.values())
    # in double precision others' tables of frequencies are no longer those of a new model
    assert_same_weights(again.state_dict(), model.state_dict())
    assert_same_outputs(logits(again.eval()), logits(model))
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
    assert_same_model(again.eval(), model, **inputs)


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
