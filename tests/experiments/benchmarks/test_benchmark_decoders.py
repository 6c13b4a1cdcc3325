# Copyright 2026 The hf_variants authors. MIT licence.
"""The benchmark's decoders: their checks find what is broken; the curve is written. Nothing here asserts a time."""

import functools
import json

import pytest
import torch
from torch import nn
from transformers import GPT2Config

from hf_variants.experiments.benchmarks import context_curve
from hf_variants.experiments.benchmarks.cases import decoders as benchmark_decoders
from hf_variants.experiments.benchmarks.cases.decoders import (
    conv_gpt_writing_sides,
    matched_configs,
    nanogpt_writing_sides,
    parameter_count,
    training_sides,
)
from hf_variants.experiments.benchmarks.suite import CASES, DifferentError
from hf_variants.gpt import modeling_conv_gpt
from hf_variants.gpt.cache_conv_gpt import ConvGptCache
from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.configuration_nanogpt import NanoGptConfig
from hf_variants.gpt.groups_conv_gpt import UniformGroups
from training import benchmark

CONTEXT = 96
WINDOWS = pytest.mark.parametrize("window", [None, 3])


def tiny(window=None, context=CONTEXT, hidden_size=8):
    """nanogpt and conv_gpt of about as many parameters."""
    common = {"vocab_size": 32, "num_attention_heads": 2, "max_position_embeddings": context}
    common["attn_implementation"] = "sdpa"
    nanogpt = NanoGptConfig(hidden_size=16, num_hidden_layers=3, **common)
    levels = {"num_levels": 2, "width_factor": 1, "level_layers": [2, 2, 2], "intermediate_size": 72}
    return nanogpt, ConvGptConfig(hidden_size=hidden_size, local_window=window, **levels, **common)


def tiny_curve(context):
    nanogpt, conv_gpt = tiny(context=context)
    return {"nanogpt": nanogpt, "conv_gpt": conv_gpt}


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        benchmark.main(list(arguments))
    return stop.value.code


# ---- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 128])
@pytest.mark.parametrize("context", context_curve.CONTEXTS)
def test_the_models_that_are_compared_have_as_many_parameters(context, window):
    nanogpt, conv_gpt = matched_configs(context, window)
    assert {config.max_position_embeddings for config in (nanogpt, conv_gpt)} == {context}
    assert conv_gpt.local_window == window


def test_a_context_that_no_sizes_match_is_refused():
    with pytest.raises(DifferentError, match="parameters are"):
        matched_configs(2**17)


@WINDOWS
def test_training_is_checked_and_runs(window):
    sides = training_sides(*tiny(window))
    sides.check()
    for side in (sides.ours, sides.reference):
        assert side().shape == (1, CONTEXT, 32)


def test_models_of_unlike_size_are_found():
    with pytest.raises(DifferentError, match=r"parameters are [\d,]+ and [\d,]+; allowed are 10 %"):
        training_sides(*tiny(hidden_size=16)).check()


def unshifted(groups, inputs, pending):
    """What a strided convolution reads that is not shifted: a group's last token as well as its first."""
    return nn.functional.pad(inputs, (0, 0, 0, groups.factor - 1))


@WINDOWS
def test_looking_ahead_is_found(window, monkeypatch):
    monkeypatch.setattr(UniformGroups, "buffer", unshifted)
    with pytest.raises(DifferentError, match="with a later token, logits differ"):
        training_sides(*tiny(window)).check()


def test_a_wrong_fast_path_is_found(monkeypatch):
    spread = UniformGroups.spread
    monkeypatch.setattr(UniformGroups, "spread", lambda *args: nn.functional.pad(spread(*args), (0, 0, 1, -1)))
    with pytest.raises(DifferentError, match="outputs differ"):
        training_sides(*tiny()).check()


def test_a_wrong_window_is_found(monkeypatch):
    whole = modeling_conv_gpt.block_mask

    def narrow(length, window, device):
        mask = whole(length, window, device).clone()
        mask[..., 0, 1] = False  # the first token of each block no longer sees the farthest in its window
        return mask

    monkeypatch.setattr(modeling_conv_gpt, "block_mask", narrow)
    with pytest.raises(DifferentError, match="outputs differ"):
        training_sides(*tiny(window=3)).check()


def test_a_wrong_gradient_and_a_missing_one_are_found():
    sides = training_sides(*tiny())
    weight = sides.ours.args[0].transformer.expanders[0].conv.weight
    hook = weight.register_hook(lambda gradient: 1.1 * gradient)
    with pytest.raises(DifferentError, match=r"gradients of transformer.expanders.0.conv.weight differ"):
        sides.check()
    hook.remove()
    weight.requires_grad_(False)
    with pytest.raises(DifferentError, match=r"no gradient reaches transformer.expanders.0.conv.weight"):
        sides.check()


# ---- generation ----------------------------------------------------------------------------------------------------


def gpt2_sides(rows=2):
    """nanogpt and GPT-2, tiny."""
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128, "vocab_size": 32}
    return nanogpt_writing_sides(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None), rows)


def test_gpt2_is_checked_and_writes():
    sides = gpt2_sides()
    sides.check()
    assert [side().sequences.shape for side in (sides.ours, sides.reference)] == [(2, 128)] * 2


@pytest.mark.parametrize(("change", "message"), [(3, "the tokens that they write differ"), (1e-3, "outputs differ")])
def test_a_changed_weight_is_found(change, message):
    sides = gpt2_sides()
    with torch.no_grad():
        sides.reference.args[0].transformer.ln_f.bias += change * torch.randn(16)
    with pytest.raises(DifferentError, match=message):
        sides.check()


def test_a_text_that_ends_early_is_found():
    sides = gpt2_sides(rows=1)
    prompt = sides.check.args[2]
    first = int(sides.ours.func(sides.ours.args[0], prompt, 1).sequences[0, -1])
    for side in (sides.ours, sides.reference):
        side.args[0].generation_config.eos_token_id = first
    with pytest.raises(DifferentError, match="1 tokens are new; asked for: 16"):
        sides.check()


def test_conv_gpt_is_checked_and_writes():
    sides = conv_gpt_writing_sides(*tiny(), rows=2)
    sides.check()
    assert [side().sequences.shape for side in (sides.ours, sides.reference)] == [(2, CONTEXT)] * 2


def test_a_cache_that_forgets_is_found(monkeypatch):
    write = ConvGptCache.write

    def forgetful(cache, level, rows, pending, expanded):
        write(cache, level, rows, 0 * pending, expanded)

    monkeypatch.setattr(ConvGptCache, "write", forgetful)
    with pytest.raises(DifferentError, match="with a cache, logits differ"):
        conv_gpt_writing_sides(*tiny(), rows=1).check()


# ---- the curve -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_curve(monkeypatch):
    """The curve of tiny models, whose memory is made up."""
    small = functools.partial(context_curve.measure_curve, contexts=(16, 64), configs=tiny_curve)
    monkeypatch.setattr(context_curve, "measure_curve", small)
    monkeypatch.setattr(context_curve, "in_new_process", lambda function, config, context: context / 8)


def test_the_curve_is_measured_written_and_drawn(small_curve, tmp_path, capsys):
    assert run("--curve", str(tmp_path / "new"), "--rounds", "2", "--max_seconds", "1") == 0
    content = json.loads((tmp_path / "new" / "context_curve.json").read_text())
    assert {"torch", "device", "threads", "load_average"} <= set(content["environment"])
    assert list(content["models"]) == ["nanogpt", "conv_gpt"]
    for points in content["models"].values():
        assert [point["context"] for point in points] == [16, 64]
        assert [point["peak_memory_mib"] for point in points] == [2, 8]
        for point in points:
            assert point["rounds"] == 2
            assert point["tokens_per_second"] == pytest.approx(1e3 * point["context"] / point["median_ms"])
    assert (tmp_path / "new" / "context_curve.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    exponent = content["time_exponents"]["conv_gpt"]
    assert f"conv_gpt: from 16 to 64 tokens a step's time grows as context ** {exponent:.2f}" in printed


def test_time_exponent():
    times = {256: 1.0, 1024: 5.0, 4096: 40.0}
    points = [{"context": context, "median_ms": time} for context, time in times.items()]
    assert context_curve.time_exponent(points) == pytest.approx(1.5)
    assert context_curve.time_exponent(points[:1]) is None


def test_memory_that_the_system_does_not_tell_is_left_out(tmp_path):
    summary = {"name": "x", "median_ms": 2.0, "quartiles_ms": [1.0, 3.0], "parameters": 5, "rounds": 1}
    points = [{**summary, "context": 16, "tokens_per_second": 8e3, "peak_memory_mib": None}]
    curve = {"models": {"x": points}, "time_exponents": {"x": None}}
    assert context_curve.curve_text(curve).splitlines()[2].split()[-2:] == ["8,000", "-"]
    assert context_curve.plot_curve(curve, tmp_path / "curve.png").exists()


@pytest.mark.slow
def test_memory_is_that_of_a_step_in_a_process_of_its_own():
    config = NanoGptConfig(hidden_size=256, num_hidden_layers=2, num_attention_heads=4, vocab_size=32)
    found = context_curve.in_new_process(context_curve.step_memory, config, 256)
    if found is None:
        pytest.skip("this system does not tell a process's peak memory")
    gradients = 4 * parameter_count(benchmark_decoders.build_decoder(config)) / 2**20
    assert gradients < found < 100  # 7 MiB, and the activations


def test_the_curve_goes_alone_and_into_a_folder(tmp_path, capsys):
    assert run("--curve", str(tmp_path), "--only", next(iter(CASES))) == 2
    assert capsys.readouterr().err.startswith("error: --curve: it times no case")
    (tmp_path / "file").touch()
    assert run("--curve", str(tmp_path / "file")) == 2
    assert capsys.readouterr().err.count("\n") == 1
