# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of the decoders, and the curve of their speed and memory over the context length.

Trained are conv_gpt and nanogpt of as many parameters (within 10 %), on one sequence; their vocabulary is small, so
that the head, which both have alike, does not decide. Written are the last 64 tokens of a context, greedily and with
a cache, after the forward pass of the prompt before them, which is part of the time on both sides.
"""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from ....gpt.configuration_conv_gpt import ConvGptConfig
from ....gpt.configuration_nanogpt import NanoGptConfig
from ....gpt.modeling_conv_gpt import ConvGptForCausalLM
from ....gpt.modeling_nanogpt import NanoGptForCausalLM
from ..suite import DEVICE, DifferentError, Sides, assert_close, assert_same_gradients, case, random_ids

WINDOW = 128


NEW_TOKENS = 64


Configs = Callable[[int], Mapping[str, NanoGptConfig]]


# ---- the models ----------------------------------------------------------------------------------------------------


def matched_configs(context: int, window: int | None = None) -> tuple[NanoGptConfig, ConvGptConfig]:
    """nanogpt and conv_gpt for a context of so many tokens, 7 to 8 M parameters each (11 M at 16384).

    `window` limits what conv_gpt's finer levels attend to. Raises DifferentError if parameters differ by over 10 %.
    """
    common = {"vocab_size": 256, "max_position_embeddings": context, "attn_implementation": "sdpa"}
    nanogpt = NanoGptConfig(hidden_size=224, num_hidden_layers=12, num_attention_heads=7, **common)
    # nanogpt's table of positions is the wider one; conv_gpt gets its parameters elsewhere
    coarsest, inner = (3, 192) if context <= 1024 else (3, 208) if context <= 4096 else (4, 240)
    levels = {"num_levels": 3, "level_layers": [2, 2, 2, coarsest], "level_heads": [1, 2, 4, 6]}
    conv_gpt = ConvGptConfig(hidden_size=48, intermediate_size=inner, local_window=window, **levels, **common)
    with torch.device("meta"):
        assert_matched(build_decoder(conv_gpt), build_decoder(nanogpt))
    return nanogpt, conv_gpt


def build_decoder(config: NanoGptConfig) -> PreTrainedModel:
    return {"nanogpt": NanoGptForCausalLM, "conv_gpt": ConvGptForCausalLM}[config.model_type](config)


def parameter_count(model: nn.Module) -> int:
    """Parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def assert_matched(ours: nn.Module, reference: nn.Module) -> None:
    """Raises DifferentError unless parameters differ by 10 % or less of the reference's."""
    count, wanted = parameter_count(ours), parameter_count(reference)
    if not abs(count / wanted - 1) <= 0.1:
        raise DifferentError(f"parameters are {count:,} and {wanted:,}; allowed are 10 % of difference")


# ---- training ------------------------------------------------------------------------------------------------------


def language_step(model: PreTrainedModel, ids: torch.Tensor, padding: int = 0) -> torch.Tensor:
    """A training step on ids `(batch, seq)` without the update, which would only hide a difference.

    Returns the logits `(batch, seq, vocab)`. With `padding`, so many padding tokens come before each row; neither
    logits nor gradients should know.
    """
    model.zero_grad()
    inputs, labels = (nn.functional.pad(ids, (padding, 0), value=value) for value in (0, -100))
    labels[:, padding] = -100  # nothing comes before the first token; padding does not count
    mask = {"attention_mask": (labels.new_ones(labels.shape).cumsum(1) > padding).long()} if padding else {}
    outputs = model(inputs, labels=labels, use_cache=False, **mask)
    outputs.loss.backward()
    return outputs.logits[:, padding:].detach()


def assert_plain_equals(model: PreTrainedModel, ids: torch.Tensor) -> None:
    """Raises DifferentError unless the fast path of a conv_gpt gives what the plain one does, gradients included.

    The fast path cuts groups and windows out as slices. A padding token forces the plain one, which looks up every
    token by its index and has whole masks, here with attention in plain operations.
    """
    plain = copy.deepcopy(model)
    plain.set_attn_implementation("eager")
    assert_close(language_step(model, ids), language_step(plain, ids, padding=1))
    assert_same_gradients(model, plain)


@torch.no_grad()
def assert_causal(model: PreTrainedModel, ids: torch.Tensor) -> None:
    """Raises DifferentError if a logit depends on a later token: the last one, or others around edges of groups."""
    last = ids.shape[1] - 1
    changes = torch.tensor([last - back for back in (0, 1, 2, 3, 4, 15, 16, 63, 64) if back < last], device=DEVICE)
    rows, before = torch.arange(len(changes), device=DEVICE), ids[:1].repeat(len(changes), 1)
    after = before.clone()
    after[rows, changes] = (after[rows, changes] + 1) % model.config.vocab_size
    moved = (model(after, use_cache=False).logits - model(before, use_cache=False).logits).abs().amax(-1)
    earlier = moved.masked_fill(torch.arange(last + 1, device=DEVICE) >= changes[:, None], 0)
    assert_close(earlier, torch.zeros_like(earlier), "with a later token, logits differ", allowed=1e-6)
    if not (moved[rows, changes] > 0).all():
        raise DifferentError("a token does not change its own logits")


def assert_trains(model: PreTrainedModel, ids: torch.Tensor) -> None:
    """Raises DifferentError unless every parameter gets a gradient."""
    language_step(model, ids)
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    if without:
        raise DifferentError(f"no gradient reaches {', '.join(without[:3])}")


def training_sides(nanogpt: NanoGptConfig, conv_gpt: ConvGptConfig) -> Sides:
    """A training step of conv_gpt and one of nanogpt, on one sequence as long as the configurations allow."""
    ours, reference = build_decoder(conv_gpt).to(DEVICE).train(), build_decoder(nanogpt).to(DEVICE).train()
    ids = random_ids(conv_gpt, 1, conv_gpt.max_position_embeddings)
    group = conv_gpt.sequence_factor**conv_gpt.num_levels
    local = conv_gpt.sequence_factor * (conv_gpt.local_window or 0)  # enough to go by blocks at two levels
    short = ids[:, : 3 * max(group, local) + 7]

    def check() -> None:
        assert_matched(ours, reference)
        assert_causal(ours, short)
        assert_plain_equals(ours, short)
        assert_trains(ours, short)
        assert_trains(reference, short)

    return Sides(check, functools.partial(language_step, ours, ids), functools.partial(language_step, reference, ids))


@case("conv_gpt_train_1x1024", "conv_gpt", "nanogpt", target=1 / 3)
def conv_gpt_train_1x1024() -> Sides:
    """Full attention at every level."""
    return training_sides(*matched_configs(1024))


@case("conv_gpt_train_1x4096", "conv_gpt", "nanogpt", target=1 / 4)
def conv_gpt_train_1x4096() -> Sides:
    """Full attention at every level."""
    return training_sides(*matched_configs(4096))


@case("conv_gpt_train_1x16384_window", "conv_gpt", "nanogpt", target=1 / 10)
def conv_gpt_train_1x16384_window() -> Sides:
    """Local attention at all levels but the coarsest, which has 256 positions."""
    return training_sides(*matched_configs(16384, WINDOW))


# ---- generation ----------------------------------------------------------------------------------------------------


def write(model: PreTrainedModel, prompt: torch.Tensor, new_tokens: int = NEW_TOKENS) -> Any:
    """The output of `generate` for a prompt `(batch, seq)`: the likeliest tokens, with a cache, and their logits."""
    return model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=new_tokens,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )


def assert_same_text(ours: PreTrainedModel, reference: PreTrainedModel, prompt: torch.Tensor, new_tokens: int) -> None:
    """Raises DifferentError unless both write the same tokens, as many as asked for, with the same logits."""
    found, expected = (write(model, prompt, new_tokens) for model in (ours, reference))
    if not torch.equal(found.sequences, expected.sequences):
        raise DifferentError("the tokens that they write differ")
    if found.sequences.shape[1] != prompt.shape[1] + new_tokens:
        raise DifferentError(f"{found.sequences.shape[1] - prompt.shape[1]} tokens are new; asked for: {new_tokens}")
    assert_close(torch.stack(found.logits), torch.stack(expected.logits))


@torch.no_grad()
def assert_cache_remembers(model: PreTrainedModel, prompt: torch.Tensor, new_tokens: int) -> None:
    """Raises DifferentError unless logits with a cache are those of one pass over the whole text."""
    found = write(model, prompt, new_tokens)
    expected = model(found.sequences, use_cache=False).logits[:, prompt.shape[1] - 1 : -1]
    assert_close(torch.stack(found.logits, dim=1), expected, "with a cache, logits differ")


def nanogpt_writing_sides(config: GPT2Config, rows: int) -> Sides:
    """nanogpt and GPT2LMHeadModel of the same weights write the end of `rows` texts of `n_positions` tokens."""
    reference = GPT2LMHeadModel(config).to(DEVICE).eval()
    ours_config = NanoGptConfig.from_dict(config.to_dict(), attn_implementation=config._attn_implementation)
    ours = NanoGptForCausalLM(ours_config).to(DEVICE).eval()
    ours.load_state_dict(reference.state_dict())
    prompt = random_ids(ours_config, rows, config.n_positions - NEW_TOKENS)
    check = functools.partial(assert_same_text, ours, reference, prompt[:, :48], 16)
    return Sides(check, functools.partial(write, ours, prompt), functools.partial(write, reference, prompt))


def gpt2_config(context: int) -> GPT2Config:
    """A GPT-2 of 6 to 7 M parameters that never ends a text."""
    sizes = {"n_embd": 256, "n_layer": 8, "n_head": 4, "n_positions": context, "vocab_size": 256}
    return GPT2Config(**sizes, bos_token_id=None, eos_token_id=None, attn_implementation="sdpa")


def _register_nanogpt_writing() -> None:
    for context in (256, 1024):
        for rows in (1, 8):
            build = functools.partial(nanogpt_writing_sides, gpt2_config(context), rows)
            case(f"nanogpt_write_{rows}x{context}", "nanogpt", "GPT2LMHeadModel", target=1.00)(build)


_register_nanogpt_writing()


def conv_gpt_writing_sides(nanogpt: NanoGptConfig, conv_gpt: ConvGptConfig, rows: int) -> Sides:
    """conv_gpt and nanogpt write the end of `rows` texts as long as the configurations allow."""
    ours, reference = build_decoder(conv_gpt).to(DEVICE).eval(), build_decoder(nanogpt).to(DEVICE).eval()
    prompt = random_ids(conv_gpt, rows, conv_gpt.max_position_embeddings - NEW_TOKENS)
    group = conv_gpt.sequence_factor**conv_gpt.num_levels

    def check() -> None:
        assert_matched(ours, reference)
        assert_cache_remembers(ours, prompt[:, : 2 * group - 7], group)

    return Sides(check, functools.partial(write, ours, prompt), functools.partial(write, reference, prompt))


@case("conv_gpt_write_1x1024", "conv_gpt", "nanogpt", target=1 / 1.5)
def conv_gpt_write_1x1024() -> Sides:
    """One text."""
    return conv_gpt_writing_sides(*matched_configs(1024), rows=1)


@case("conv_gpt_write_8x1024", "conv_gpt", "nanogpt", target=1 / 1.5)
def conv_gpt_write_8x1024() -> Sides:
    """Eight texts at once."""
    return conv_gpt_writing_sides(*matched_configs(1024), rows=8)
