# Copyright 2026 The hf_variants authors. MIT licence.
"""conv_gpt with its weights elsewhere: offloaded to memory or disk, or spread over several devices."""

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch._subclasses.fake_tensor import FakeTensorMode

from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.groups_conv_gpt import RaggedChunk
from hf_variants.gpt.modeling_conv_gpt import ConvGptForCausalLM
from tests.helpers.decoders import left_padding_mask, random_ids
from tests.helpers.models import build

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 128}
SHAPES = [
    {"num_levels": 0},
    {"num_levels": 1},
    {"num_levels": 2, "sequence_factor": 3},
    {"num_levels": 3, "sequence_factor": 2, "width_factor": 1},
    {"num_levels": 1, "local_window": 5},
]
GREEDY = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


def offloaded(model, how, folder):
    """The model with its weights elsewhere, as accelerate does it."""
    if how == "cpu_offload":
        cpu_offload(model, execution_device="cpu")
    elif how == "disk_offload":
        disk_offload(model, folder, execution_device="cpu")
    else:
        names = [f"transformer.{name}" for name, _ in model.transformer.named_children()]
        blocks = [f"transformer.h.{index}" for index in range(len(model.transformer.h))]
        places = [name for name in [*names, *blocks, "lm_head"] if name != "transformer.h"]
        device_map = {name: ("cpu", "disk")[number % 2] for number, name in enumerate(places)}
        device_map["lm_head"] = device_map["transformer.wte"]  # one tensor
        dispatch_model(model, device_map, main_device="cpu", offload_dir=folder, force_hooks=True)
    return model


@pytest.mark.parametrize("how", ["cpu_offload", "disk_offload", "mixed map"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_offloaded_weights_change_nothing(shape, how, tmp_path):
    model = build(ConvGptForCausalLM, ConvGptConfig(**SIZES | shape), spread=0.2)
    ids, mask = random_ids(model, 2, 13), left_padding_mask([0, 4], 13)
    expected = model(ids).logits, model(ids, mask).logits, model.generate(ids, attention_mask=mask, **GREEDY)
    model = offloaded(model, how, tmp_path)
    found = model(ids).logits, model(ids, mask).logits, model.generate(ids, attention_mask=mask, **GREEDY)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_a_model_from_a_folder_can_stay_on_disk(shape, tmp_path):
    model = build(ConvGptForCausalLM, ConvGptConfig(**SIZES | shape), spread=0.2)
    model.save_pretrained(tmp_path / "model")
    loaded = ConvGptForCausalLM.from_pretrained(
        tmp_path / "model", device_map={"": "disk"}, offload_folder=tmp_path / "weights"
    )
    ids = random_ids(model, 2, 13)
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits)


def spread_out(model):
    """Put the parts of a model of fake tensors on two devices in turn, as accelerate does it: inputs move to them.

    Of the kinds of devices that a build of torch lacks, only "lazy" lets fake tensors be made contiguous.
    """
    model.lm_head.weight = model.transformer.wte.weight = torch.nn.Parameter(torch.empty(50, 32, device="lazy:0"))
    homes = {"compressors": 1, "expanders": 0, "wpe": 1, "ln_f": 1}
    for name, module in model.named_modules():
        part, index, *_ = [*name.removeprefix("transformer.").split("."), "", ""]
        device = f"lazy:{int(index) % 2 if part == 'h' and index else homes.get(part, 0)}"
        for own, parameter in module.named_parameters(recurse=False):
            if parameter.device.type != "lazy":
                setattr(module, own, torch.nn.Parameter(torch.empty(parameter.shape, device=device)))
        if module not in (model, model.transformer, model.transformer.h):
            add_hook_to_module(module, AlignDevicesHook(execution_device=device, skip_keys="past_key_values"))
    return model


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_the_blocks_of_a_level_may_lie_on_several_devices(shape):
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = spread_out(ConvGptForCausalLM(ConvGptConfig(**SIZES | shape, num_hidden_layers=8)).eval())
        ids = torch.zeros(2, 13, dtype=torch.long, device="lazy:0")
        cache = model(ids, use_cache=True).past_key_values
        for _ in range(7):
            outputs = model(ids[:, :1], past_key_values=cache, use_cache=True)
        assert outputs.logits.shape == (2, 1, 50)
        # rows with padding, as compiled code takes them: fake tensors have no values to look at
        real, seen = torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids[:, 0])
        model.transformer.first_chunk = lambda *_: RaggedChunk.padded(real, seen, static=True)
        assert model(ids, use_cache=False).logits.shape == (2, 13, 50)
