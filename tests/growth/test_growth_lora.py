# Copyright 2026 The hf_variants authors. MIT licence.
"""LoRA stages: what is frozen and what learns, merging, saving in any stage, and the whole way from 3 to 12 layers."""

import copy
import json

import pytest
import torch
import transformers
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from hf_variants import growth
from tests.helpers.decoders import assert_cached_equals_full, generate, left_padding_mask, random_ids
from tests.helpers.folders import load_without_the_package
from tests.helpers.grown import (
    bert,
    largest_difference,
    logits,
    nanogpt,
    new_optimizer,
    of_layers,
    other,
    progressive,
    stepped,
    train,
    zero_gradients,
)
from tests.helpers.models import build, find_row, tiny_config
from tests.helpers.sameness import assert_same_model, assert_same_outputs, tensors_of

MLP = ("full", "lora", "frozen")
EVERY_MLP = pytest.mark.parametrize("mlp", MLP)
MODELS = {
    "nanogpt": nanogpt,
    "progressive": progressive,
    "GPT2": lambda: other("GPT2"),
    "Llama": lambda: other("Llama"),
    "Qwen3": lambda: other("Qwen3"),
    "bert": lambda: bert().double(),
}
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)
# Parts of the names of attention's and of the feed-forward sublayer's linear maps.
ATTENTION = ("attn", "attention.self", "attention.output.dense")
FEED_FORWARD = (".mlp.", ".intermediate.dense", "layer.0.output.dense", "layer.1.output.dense", "layer.2.output.dense")
NORMS = ("norm", "ln_", "LayerNorm")


def is_attention(name):
    return any(part in name for part in ATTENTION) and not any(part in name for part in NORMS)


def is_feed_forward(name):
    return any(part in name for part in FEED_FORWARD) and not any(part in name for part in NORMS)


# ---- the start of a stage ------------------------------------------------------------------------------------------


@EVERY_MODEL
@EVERY_MLP
def test_a_stage_changes_nothing_and_freezes_what_it_says(name, mlp):
    model = MODELS[name]()
    same, before = model, logits(model)
    had = {parameter_name: p.numel() for parameter_name, p in model.named_parameters()}
    assert not growth.in_lora_stage(model)
    receipt = growth.start_lora_stage(model, rank=2, alpha=4, mlp=mlp)
    assert growth.in_lora_stage(model) and model is same and torch.equal(logits(model), before)
    for parameter_name, parameter in model.named_parameters():
        attention, feed_forward = is_attention(parameter_name), is_feed_forward(parameter_name)
        if ".lora_" in parameter_name:
            assert attention or (feed_forward and mlp == "lora")
            assert parameter.requires_grad and (parameter.any() == ("lora_A" in parameter_name))
        else:
            assert parameter.requires_grad != (attention or (feed_forward and mlp != "full")), parameter_name
        plain = parameter_name.replace(".base_layer.", ".")
        had.pop(plain, None)
    assert not had
    assert json.loads(json.dumps(receipt)) == receipt
    counts = sum(receipt["trainable"].values()), sum(receipt["frozen"].values())
    assert receipt["trainable_parameters"] == counts[0] and receipt["parameters"] == sum(counts)
    assert receipt["adapter_parameters"] == sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)
    assert all(is_attention(target) or is_feed_forward(f"{target}.") or mlp == "lora" for target in receipt["targets"])


def test_a_receipt_names_all():
    receipt = growth.start_lora_stage(nanogpt(), rank=2, mlp="lora", dropout=0.1)
    assert receipt["targets"] == [
        f"transformer.h.*.{n}" for n in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    ]
    expected = {"rank": 2, "alpha": 16, "dropout": 0.1, "mlp": "lora", "layers": [0, 1, 2]}
    assert {key: receipt[key] for key in expected} == expected
    assert receipt["frozen"]["transformer.h.*.attn.c_attn.base_layer.weight"] == 3 * 16 * 48
    assert receipt["trainable"]["transformer.h.*.attn.c_attn.lora_A.default.weight"] == 3 * 2 * 16


def test_layers_may_be_chosen():
    model = nanogpt()
    grown = growth.deepen(model, 2, "stack")
    receipt = growth.start_lora_stage(model, rank=2, layers=[3, 4, 5])
    assert receipt["layers"] == [3, 4, 5]
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {n for n in of_layers(model, (3, 4, 5), ("attn",)) if "base_layer" in n} and len(frozen) == 3 * 4
    assert growth.find_layers(model)[0] == "transformer.h"  # also with adapters in some layers only
    growth.merge_lora(model)
    assert set(grown.sources) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("make", "task"),
    [
        (nanogpt, "CAUSAL_LM"),
        (bert, None),
        (lambda: bert("Model"), "FEATURE_EXTRACTION"),
        (lambda: bert("SequenceClassification"), "SEQ_CLS"),
        (lambda: bert("TokenClassification"), "TOKEN_CLS"),
        (lambda: bert("QuestionAnswering"), "QUESTION_ANS"),
    ],
)
def test_the_task_is_named(make, task):
    model = make()
    growth.start_lora_stage(model, rank=2)
    assert model.peft_config["default"].task_type == task


# ---- learning ------------------------------------------------------------------------------------------------------


@EVERY_MLP
def test_only_first_factors_wait_for_the_second_step(mlp):
    model = progressive()
    growth.diverge(model, 6)
    growth.start_lora_stage(model, rank=2, mlp=mlp)
    behind = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(behind) == 6 * (4 if mlp == "lora" else 2)
    assert zero_gradients(model, 2) == [behind, set()]


def test_after_an_identity_all_learns_by_the_third_step():
    model = nanogpt()
    growth.deepen(model, 2, "interleave", "identity")
    growth.start_lora_stage(model, rank=2)
    factors = {name for name, _ in model.named_parameters() if "lora_A" in name}
    # behind a zero projection whose own way out, the second factor, is zero as well
    new = of_layers(model, (1, 3, 5), ("ln_1", "c_attn.lora_B", "ln_2", "c_fc"))
    first, second, third = zero_gradients(model, 3)
    assert first == factors | new
    assert second == {name for name in factors if name in of_layers(model, (1, 3, 5), ("c_attn",))}
    assert third == set()


def test_frozen_weights_stay_and_adapters_begin_without_moments():
    model = nanogpt()
    state = stepped(model)
    grown = growth.deepen(model, 2, "stack")
    growth.start_lora_stage(model, rank=2)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    optimizer = new_optimizer(model)
    growth.load_optimizer_state_by_name(model, optimizer, state, grown.sources)
    loaded = growth.optimizer_state_by_name(model, optimizer)
    plain = {name for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name}
    assert set(loaded) == plain and len(frozen) == 6 * 4
    ids = random_ids(model, 2, 12)
    model(ids, labels=ids).loss.backward()
    optimizer.step()
    assert all(torch.equal(dict(model.named_parameters())[name], value) for name, value in frozen.items())
    # the next growth: what was frozen has no moments, and adapters are gone
    state = growth.optimizer_state_by_name(model, optimizer)
    growth.merge_lora(model)
    grown = growth.deepen(model, 2)
    optimizer = new_optimizer(model)
    growth.load_optimizer_state_by_name(model, optimizer, state, grown.sources)
    loaded = growth.optimizer_state_by_name(model, optimizer)
    assert set(loaded) == {name for name in grown.sources if ".attn." not in name}


# ---- merging -------------------------------------------------------------------------------------------------------


@EVERY_MODEL
@EVERY_MLP
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["fp64", "fp32"])
def test_merging_keeps_the_function_and_restores_the_modules(name, mlp, dtype):
    model = MODELS[name]().to(dtype)
    names, kinds = list(model.state_dict()), [type(module) for module in model.modules()]
    growth.start_lora_stage(model, rank=2, mlp=mlp)
    started = logits(model)
    train(model, 3)
    assert all(p.any() for parameter_name, p in model.named_parameters() if "lora_B" in parameter_name)
    expected = logits(model)
    assert largest_difference(expected, started) > 1e-2
    growth.merge_lora(model)
    atol = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(logits(model), expected, atol=atol, rtol=0)
    assert list(model.state_dict()) == names and [type(module) for module in model.modules()] == kinds
    assert all(p.requires_grad for p in model.parameters()) and not growth.in_lora_stage(model)
    assert not hasattr(model, "peft_config")
    growth.start_lora_stage(model, rank=2)  # and again


@pytest.mark.parametrize("make", [nanogpt, progressive, lambda: other("GPT2")])
def test_tied_heads_stay_tied(make):
    model = make()
    growth.start_lora_stage(model, rank=2)
    train(model, 2)
    assert model.lm_head.weight is model.transformer.wte.weight
    growth.merge_lora(model)
    growth.deepen(model, 2) if model.config.num_hidden_layers == 3 else growth.diverge(model, 6)
    assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize("name", ["nanogpt", "progressive", "GPT2", "Qwen3"])
def test_a_model_in_a_stage_generates_and_caches(name):
    model = MODELS[name]()
    growth.start_lora_stage(model, rank=2, dropout=0.2)
    train(model, 3)
    ids, mask = random_ids(model, 3, 13), left_padding_mask([0, 2, 9], 13)
    assert_cached_equals_full(model, ids, [7, *[1] * 6], mask if "GPT2" not in name else None)
    written = generate(model, ids, attention_mask=mask, num_beams=3).sequences
    growth.merge_lora(model)
    assert torch.equal(generate(model, ids, attention_mask=mask, num_beams=3).sequences, written)


def test_a_copy_of_a_staged_model_is_a_model():
    model = nanogpt()
    growth.start_lora_stage(model, rank=2)
    train(model, 2)
    expected, twin = logits(model), copy.deepcopy(model)
    growth.merge_lora(twin)
    torch.testing.assert_close(logits(twin), expected, atol=1e-12, rtol=0)
    assert growth.in_lora_stage(model) and torch.equal(logits(model), expected)
    growth.deepen(twin, 2)


def test_gradual_layers_come_in_with_their_adapters():
    model = nanogpt()
    before = logits(model)
    growth.deepen(model, 2, "interleave", "gradual")
    growth.start_lora_stage(model, rank=2)
    growth.set_scale(model, 0.5)
    train(model, 3)
    growth.set_scale(model, 0.25)
    expected = logits(model)
    assert largest_difference(expected, before) > 1e-2
    with pytest.raises(ValueError, match="LoRA stage; allowed: merge_lora first"):
        growth.fold_scale(model)
    growth.merge_lora(model)
    torch.testing.assert_close(logits(model), expected, atol=1e-12, rtol=0)
    growth.fold_scale(model)
    torch.testing.assert_close(logits(model), expected, atol=1e-12, rtol=0)


# ---- saving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nanogpt", "progressive", "GPT2", "Llama"])
@EVERY_MLP
def test_a_stage_saves_as_a_plain_model_and_in_parts(name, mlp, tmp_path):
    model = MODELS[name]().float()
    growth.start_lora_stage(model, rank=2, mlp=mlp)
    train(model, 3)
    expected = logits(model)
    growth.save_stage(model, tmp_path / "stage", parts=True)
    assert growth.in_lora_stage(model) and torch.equal(logits(model), expected)
    plain, report = AutoModelForCausalLM.from_pretrained(tmp_path / "stage", output_loading_info=True)
    assert not any(report.values()) and type(plain) is type(model) and not growth.in_lora_stage(plain)
    torch.testing.assert_close(logits(plain.eval()), expected, atol=1e-5, rtol=0)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "stage" / "base")
    assert largest_difference(logits(base.eval()), expected) > 1e-2
    adapted = PeftModel.from_pretrained(base, tmp_path / "stage" / "adapter").eval()
    torch.testing.assert_close(logits(adapted.base_model.model), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(adapted.merge_and_unload()), expected, atol=1e-5, rtol=0)
    for auto in (AutoPeftModelForCausalLM, AutoModelForCausalLM):  # both find the base by its name
        found = auto.from_pretrained(tmp_path / "stage" / "adapter").eval()
        torch.testing.assert_close(logits(found), expected, atol=1e-5, rtol=0)


def test_adapters_alone_are_a_peft_folder(tmp_path):
    model = nanogpt(dtype=torch.float32)
    model.save_pretrained(tmp_path / "base")
    growth.start_lora_stage(model, rank=2, alpha=6, mlp="frozen")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    train(model, 3)
    growth.save_adapter(model, tmp_path / "adapter", "somebody/base")
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = LoraConfig.from_pretrained(tmp_path / "adapter")
    assert config.base_model_name_or_path == "somebody/base" and config.fan_in_fan_out
    assert (config.r, config.lora_alpha, config.task_type) == (2, 6, "CAUSAL_LM")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base").eval()
    found = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert_same_outputs(logits(found.base_model.model), logits(model))


def classifier(model_type):
    model_class = find_row(model_type).classes[AutoModelForSequenceClassification]
    config = tiny_config(model_type, num_hidden_layers=2, pad_token_id=0, num_labels=3)
    return build(model_class, config, spread=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: classifier("progressive_gpt"),
        lambda: classifier("minbert"),
        lambda: bert("SequenceClassification"),
        lambda: bert("TokenClassification"),
        lambda: bert("QuestionAnswering"),
    ],
)
def test_other_heads_are_adapted_and_saved(make, tmp_path):
    model = make()
    inputs = {"input_ids": random_ids(model, 3, 9).clamp(min=1)}
    growth.start_lora_stage(model, rank=2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1 if "lora_B" in name else 0)
        expected = model(**inputs)[0]
        growth.save_stage(model, tmp_path, parts=True)
        base = type(model).from_pretrained(tmp_path / "base")
        assert not torch.allclose(base.eval()(**inputs)[0], expected, atol=1e-3)
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
        plain = type(model).from_pretrained(tmp_path).eval()
        for each in (adapted, plain):
            torch.testing.assert_close(each(**inputs)[0], expected, atol=1e-5, rtol=0)


def test_a_plain_and_a_gradual_model_save_as_a_stage_too(tmp_path):
    model = nanogpt(dtype=torch.float32)
    growth.save_stage(model, tmp_path / "plain")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "plain").eval()
    assert_same_model(again, model, random_ids(model, 2, 7))
    growth.deepen(model, 2, "interleave", "gradual")
    growth.set_scale(model, 0.4)
    expected = logits(model)
    growth.save_stage(model, tmp_path / "gradual")
    assert torch.equal(logits(model), expected)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "gradual").eval()
    torch.testing.assert_close(logits(again), expected, atol=1e-6, rtol=1e-6)
    growth.start_lora_stage(model, rank=2)
    with pytest.raises(ValueError, match=r"allowed for parts: set_scale\(model, 1\)"):
        growth.save_stage(model, tmp_path / "parts", parts=True)
    assert not (tmp_path / "parts").exists()


def test_a_stage_loads_where_the_package_is_missing(tmp_path):
    model = progressive(dtype=torch.float32)
    growth.start_lora_stage(model, rank=2)
    train(model, 2)
    folder = tmp_path / "AutoModelForCausalLM"
    growth.save_stage(model, folder, parts=True)
    inputs = {"input_ids": random_ids(model, 2, 9)}
    merged = copy.deepcopy(model)
    growth.merge_lora(merged)
    with torch.no_grad():
        expected = {"weights": tensors_of(merged), "inputs": inputs, "expected": merged(**inputs).logits}
    torch.save(expected, folder / "expected.pt")
    load_without_the_package(tmp_path, ["AutoModelForCausalLM"])


# ---- the whole way -------------------------------------------------------------------------------------------------


def diverging(model):
    for blocks in (6, 12):
        yield lambda blocks=blocks: growth.diverge(model, blocks)


def deepening(model):
    for init in ("copy", "gradual"):
        yield lambda init=init: growth.deepen(model, 2, "interleave", init)


@pytest.mark.parametrize(("make", "way"), [(progressive, diverging), (nanogpt, deepening)], ids=["diverge", "deepen"])
def test_after_the_last_merge_a_model_is_a_plain_one(make, way):
    model = make(dtype=torch.float32)
    train(model, 3)
    for grow, mlp in zip(way(model), MLP, strict=False):
        grow()
        growth.start_lora_stage(model, rank=2, mlp=mlp)
        train(model, 3)
        growth.merge_lora(model)
    growth.fold_scale(model)
    assert model.config.num_hidden_layers == len(model.transformer.h) == 12
    plain, gpt2 = growth.to_nanogpt(model), growth.to_gpt2(model)
    assert type(plain).__name__ == "NanoGptForCausalLM" and type(gpt2) is transformers.GPT2LMHeadModel
    for start in range(0, 100, 10):  # 100 prompts of 1 to 19 tokens, ten at a time
        ids = random_ids(model, 10, 1 + start // 5, seed=start)
        with torch.no_grad():
            expected = model(ids).logits
            assert torch.equal(plain(ids).logits, expected)
            torch.testing.assert_close(gpt2(ids).logits, expected, atol=1e-6, rtol=1e-6)
        padding = left_padding_mask([row % ids.shape[1] for row in range(10)], ids.shape[1])
        for options in ({"attention_mask": padding}, {"num_beams": 2}):
            written = [generate(each, ids, **options).sequences for each in (model, plain, gpt2)]
            assert torch.equal(written[0], written[1]) and torch.equal(written[0], written[2])


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_nothing_grows_within_a_stage():
    for model, grow in (
        (nanogpt(), lambda model: growth.deepen(model, 2)),
        (progressive(), lambda model: growth.diverge(model, 6)),
        (nanogpt(), growth.start_lora_stage),
        (nanogpt(), growth.to_nanogpt),
        (progressive(), growth.to_gpt2),
    ):
        growth.start_lora_stage(model, rank=2)
        train(model, 1)
        before = logits(model)
        with pytest.raises(ValueError, match="the model is in a LoRA stage; allowed: merge_lora first"):
            grow(model)
        assert torch.equal(logits(model), before)


def test_what_belongs_to_a_stage_needs_one(tmp_path):
    model = nanogpt()
    for ask in (
        lambda: growth.merge_lora(model),
        lambda: growth.save_adapter(model, tmp_path / "adapter", "base"),
        lambda: growth.save_stage(model, tmp_path / "stage", parts=True),
    ):
        with pytest.raises(ValueError, match="not in a LoRA stage; allowed: start_lora_stage first"):
            ask()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank is 0; allowed: 1 or more"),
        ({"rank": 2.5}, "rank is 2.5"),
        ({"alpha": 0}, "alpha is 0; allowed: more than 0"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed: 0 or more and less than 1"),
        ({"mlp": "half"}, "mlp is 'half'; allowed: full, lora, frozen"),
        ({"layers": [0, 3]}, r"layers is \[0, 3\]; allowed: None, or one or more of 0 to 2"),
        ({"layers": []}, r"layers is \[\]"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    model = nanogpt()
    with pytest.raises(ValueError, match=message):
        growth.start_lora_stage(model, **arguments)
    assert not growth.in_lora_stage(model)


def test_targets_that_match_nothing_are_named():
    sizes = {"vocab_size": 50, "hidden_size": 16, "state_size": 4, "num_hidden_layers": 2, "expand": 2}
    mamba = transformers.MambaForCausalLM(transformers.MambaConfig(**sizes))
    attention_only = nanogpt()
    for block in attention_only.transformer.h:
        block.mlp = torch.nn.Identity()
    cases = {
        mamba: ({}, "MambaForCausalLM: nothing to adapt in backbone.layers; allowed: layers with linear maps"),
        nanogpt(0): ({}, "has none for a ModuleList of its 0 layers"),
        attention_only: ({"mlp": "lora"}, "mlp is 'lora', and transformer.h has no linear maps outside attention"),
    }
    for model, (arguments, message) in cases.items():
        names = list(model.state_dict())
        with pytest.raises(ValueError, match=message):
            growth.start_lora_stage(model, **arguments)
        assert list(model.state_dict()) == names and all(p.requires_grad for p in model.parameters())
        assert not any(isinstance(module, LoraLayer) for module in model.modules())


def test_targets_with_shared_weights_are_named():
    model = nanogpt()
    model.lm_head = torch.nn.Linear(16, 16, bias=False).double()
    model.lm_head.weight = model.transformer.h[1].attn.c_proj.weight
    with pytest.raises(ValueError, match="transformer.h.1.attn.c_proj shares its weight with another module"):
        growth.start_lora_stage(model)
    assert not growth.in_lora_stage(model)
