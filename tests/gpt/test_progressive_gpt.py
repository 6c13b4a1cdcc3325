# Copyright 2026 The hf_variants authors. MIT licence.
"""progressive_gpt beyond the shared checks: its blocks, its cache, its neutral setting, and what it loads."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from hf_variants.gpt.configuration_nanogpt import NanoGptConfig
from hf_variants.gpt.configuration_progressive_gpt import ProgressiveGptConfig
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM
from hf_variants.gpt.modeling_progressive_gpt import ProgressiveGptForCausalLM, ProgressiveGptModel
from tests.helpers.decoders import assert_cached_equals_full, assert_causal, generate, left_padding_mask, random_ids
from tests.helpers.models import build, outputs
from tests.helpers.sameness import assert_same_model

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 64}
SHAPES = [(6, 1), (6, 2), (6, 3), (6, 6), (1, 1)]
EVERY_SHAPE = pytest.mark.parametrize(("layers", "blocks"), SHAPES, ids=[f"{b}x{n // b}" for n, b in SHAPES])


def small(layers, blocks, dtype=torch.float64, **changes):
    config = ProgressiveGptConfig(**SMALL | changes, num_hidden_layers=layers, num_blocks=blocks)
    return build(ProgressiveGptForCausalLM, config, spread=0.15).to(dtype)


def unrolled(model):
    """The nanogpt in which every layer of `model` has a block of its own, and which block each has."""
    layers, blocks = model.config.num_hidden_layers, model.config.num_blocks
    plain = build(NanoGptForCausalLM, NanoGptConfig(**SMALL, num_hidden_layers=layers)).to(model.dtype)
    shared = [layer // (layers // blocks) for layer in range(layers)]
    state = {name: value for name, value in model.state_dict().items() if ".h." not in name}
    for layer, block in enumerate(shared):
        for name, value in model.transformer.h[block].state_dict().items():
            state[f"transformer.h.{layer}.{name}"] = value
    plain.load_state_dict(state)
    return plain, shared


# ---- blocks and layers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "count"), [(3, 11_033_472), (6, 12_368_064), (12, 15_037_248), (None, 15_037_248)])
def test_published_sizes_have_the_published_counts(blocks, count):
    sizes = {"hidden_size": 192, "num_attention_heads": 6, "max_position_embeddings": 256}
    with torch.device("meta"):
        model = ProgressiveGptForCausalLM(ProgressiveGptConfig(**sizes, num_blocks=blocks))
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert len(model.transformer.h) == (blocks or 12) and model.config.num_hidden_layers == 12


@EVERY_SHAPE
def test_is_a_nanogpt_whose_layers_have_equal_weights(layers, blocks):
    model = small(layers, blocks)
    plain, shared = unrolled(model)
    ids, mask = random_ids(model, 2, 20), left_padding_mask([0, 6], 20)
    for given_mask in (None, mask):
        found, expected = (each(ids, given_mask, labels=ids) for each in (model, plain))
        assert torch.equal(found.logits, expected.logits)
    found.loss.backward()
    expected.loss.backward()
    for name, parameter in model.transformer.h.named_parameters():
        block, rest = name.split(".", 1)
        layers_of = [layer for layer, other in enumerate(shared) if other == int(block)]
        gradients = [plain.transformer.h.get_parameter(f"{layer}.{rest}").grad for layer in layers_of]
        torch.testing.assert_close(parameter.grad, sum(gradients), atol=1e-10, rtol=1e-9)


@EVERY_SHAPE
def test_every_layer_has_a_hidden_state_and_a_place_in_the_cache(layers, blocks):
    model = small(layers, blocks, attn_implementation="eager")
    ids = random_ids(model, 2, 9)
    result = model(ids, use_cache=True, output_hidden_states=True, output_attentions=True)
    assert len(result.hidden_states) == layers + 1 and len(result.attentions) == layers
    assert [layer.keys.shape[2] for layer in result.past_key_values.layers] == [9] * layers
    plain, _ = unrolled(model)
    expected = plain(ids, use_cache=True, output_hidden_states=True)
    for found, wanted in zip(result.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(found, wanted)
    for found, wanted in zip(result.past_key_values.layers, expected.past_key_values.layers, strict=True):
        torch.testing.assert_close((found.keys, found.values), (wanted.keys, wanted.values))


@EVERY_SHAPE
@pytest.mark.parametrize("padding", [0, 7])
def test_nothing_looks_ahead(layers, blocks, padding):
    assert_causal(small(layers, blocks), 25, padding)


@EVERY_SHAPE
def test_cached_equals_full(layers, blocks):
    model = small(layers, blocks)
    ids = random_ids(model, 3, 40)
    assert_cached_equals_full(model, ids, [13, *[1] * 10, 2, 15])
    assert_cached_equals_full(model, ids, [20, *[1] * 5, 15], left_padding_mask([0, 5, 17], 40))
    cache = DynamicCache(config=model.config)
    model(ids, past_key_values=cache, use_cache=True)
    assert cache.get_seq_length() == 40


@pytest.mark.parametrize("options", [{}, {"cache_implementation": "static"}, {"num_beams": 3}], ids=str)
def test_generation_is_that_of_the_unrolled_model(options):
    model = small(6, 2, torch.float32)
    plain, _ = unrolled(model)
    ids, mask = random_ids(model, 3, 11), left_padding_mask([0, 2, 10], 11)
    found, expected = (generate(each, ids, attention_mask=mask, **options).sequences for each in (model, plain))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("blocks", [1, 4, 8])
def test_what_writes_to_the_stream_starts_small_by_the_number_of_applications(blocks):
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 8, "num_attention_heads": 4, "vocab_size": 50}
    model = ProgressiveGptModel(ProgressiveGptConfig(**sizes, num_blocks=blocks))
    for block in model.h:
        for module in (block.attn.c_proj, block.mlp.c_proj):
            assert abs(module.weight.std().item() / (0.02 / 16**0.5) - 1) < 0.07


# ---- the neutral setting, and checkpoints --------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [None, 3])
def test_as_many_blocks_as_layers_are_nanogpt(blocks):
    sizes = SMALL | {"num_hidden_layers": 3}
    torch.manual_seed(0)
    ours = ProgressiveGptForCausalLM(ProgressiveGptConfig(**sizes, num_blocks=blocks)).eval()
    torch.manual_seed(0)
    baseline = NanoGptForCausalLM(NanoGptConfig(**sizes)).eval()
    assert ours.state_dict().keys() == baseline.state_dict().keys()
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in baseline.state_dict().items())
    ids, mask = random_ids(ours, 2, 20), left_padding_mask([0, 6], 20)
    for inputs in ({"input_ids": ids}, {"input_ids": ids, "attention_mask": mask}):
        found, expected = (model(**inputs, labels=ids) for model in (ours, baseline))
        assert torch.equal(found.logits, expected.logits) and torch.equal(found.loss, expected.loss)
    found.loss.backward()
    expected.loss.backward()
    pairs = zip(ours.parameters(), baseline.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in pairs)
    for options in ({}, {"num_beams": 3}):
        found, expected = (generate(model, ids, attention_mask=mask, **options) for model in (ours, baseline))
        assert torch.equal(found.sequences, expected.sequences)
        assert all(torch.equal(a, b) for a, b in zip(found.logits, expected.logits, strict=True))


def test_checkpoints_of_gpt2_and_nanogpt_load_with_a_block_for_each_layer(tmp_path):
    theirs = build(GPT2LMHeadModel, GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2, n_positions=40))
    baseline = build(NanoGptForCausalLM, NanoGptConfig(**SMALL, num_hidden_layers=3))
    for number, model in enumerate((theirs, baseline)):
        model.save_pretrained(tmp_path / str(number))
        ours, report = ProgressiveGptForCausalLM.from_pretrained(tmp_path / str(number), output_loading_info=True)
        assert not any(report.values())
        assert ours.config.model_type == "progressive_gpt" and ours.config.num_blocks == 3
        assert "modeling_progressive_gpt" in ours.config.auto_map["AutoModelForCausalLM"]
        inputs = {"input_ids": random_ids(ours, 2, 11)}
        torch.testing.assert_close(outputs(ours.eval(), inputs), outputs(model, inputs), atol=1e-5, rtol=1e-5)


def test_saving_keeps_the_blocks(tmp_path):
    model = small(6, 2, torch.float32)
    model.save_pretrained(tmp_path)
    again, report = ProgressiveGptForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()) and again.config.num_blocks == 2 and len(again.transformer.h) == 2
    assert_same_model(again.eval(), model, random_ids(model, 2, 11))


# ---- configurations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "blocks"), [(12, 5), (12, 24), (12, 0), (12, -3), (0, 2), (12, "3"), (12, 3.0)])
def test_wrong_numbers_of_blocks_are_named(layers, blocks, tmp_path):
    with pytest.raises((ValueError, StrictDataclassError), match="num_blocks") as error:
        ProgressiveGptConfig(**SMALL, num_hidden_layers=layers, num_blocks=blocks)
    if isinstance(blocks, int):
        assert f"num_blocks is {blocks}; allowed: a divisor of num_hidden_layers" in str(error.value)
        # The same on loading, where transformers by itself sets overrides without validating the whole.
        ProgressiveGptConfig(**SMALL, num_hidden_layers=layers).save_pretrained(tmp_path)
        with pytest.raises((ValueError, StrictDataclassError), match=f"num_blocks is {blocks}"):
            ProgressiveGptConfig.from_pretrained(tmp_path, num_blocks=blocks)


@pytest.mark.parametrize(("blocks", "applications"), [(0, 1), (1, 1), (1, 4), (3, 1), (3, 2), (4, 3)])
def test_neighbouring_layers_apply_the_same_block(blocks, applications):
    config = ProgressiveGptConfig(**SMALL, num_hidden_layers=blocks * applications, num_blocks=blocks)
    assert config.layer_blocks == [block for block in range(blocks) for _ in range(applications)]
    assert len(list(ProgressiveGptForCausalLM(config).transformer.h)) == blocks
