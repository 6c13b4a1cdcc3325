# Copyright 2026 The hf_variants authors. MIT licence.
"""What every causal decoder of `hf_variants/auto.py` guarantees beyond `test_shared_checks.py`; no row needs code."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from hf_variants.gpt.modeling_nanogpt import CACHE_NAME
from tests.helpers.decoders import (
    LENGTH,
    Leaky,
    assert_cached_equals_full,
    assert_causal,
    assert_same_generation,
    decoder,
    generate,
    left_padding_mask,
    random_ids,
    train_on_noise,
)
from tests.helpers.models import DECODERS, outputs, tiny_config

ROWS = pytest.mark.parametrize("row", DECODERS, ids=lambda row: row.model_type)
ATTENTION = pytest.mark.parametrize("attention", ["eager", "sdpa"])
PADDING = (0, 1, 5, 8, 21, 63, 64, 70)  # rows at different places of their groups, and one of a single token
NOISE = 5.0  # standard errors

# ---- nothing looks ahead -------------------------------------------------------------------------------------------


@ROWS
@ATTENTION
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["fp64", "fp32"])
@pytest.mark.parametrize("left_padding", [0, 66])
def test_no_logit_depends_on_a_later_token(row, attention, dtype, left_padding):
    assert_causal(decoder(row, dtype, attn_implementation=attention), LENGTH, left_padding)


@pytest.mark.parametrize(("reach", "left_padding"), [("next", 0), ("group", 0), ("padded", 9), ("next", 9)], ids=str)
def test_a_leak_is_found(reach, left_padding):
    for dtype in (torch.float64, torch.float32):
        with pytest.raises(AssertionError, match="logits depend on a later token"):
            assert_causal(Leaky(decoder(DECODERS[0], dtype), reach), 21, left_padding)


def test_a_leak_in_rows_without_padding_is_not_blamed_on_padding():
    assert_causal(Leaky(decoder(DECODERS[0]), "padded"), 21)


@ROWS
def test_a_model_that_hears_nothing_is_found(row):
    model = decoder(row)
    with torch.no_grad():
        model.get_input_embeddings().weight.zero_()
    with pytest.raises(AssertionError, match="does not change its own logits"):
        assert_causal(model, 21)


def noise_model(row):
    """A small model at its start, for training on noise."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "hidden_size": 16, "max_position_embeddings": LENGTH}
    return row.classes[AutoModelForCausalLM](tiny_config(row.model_type, **sizes))


@ROWS
@pytest.mark.parametrize("steps", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_noise_is_not_learned(row, steps):
    assert train_on_noise(noise_model(row), steps).min() > -NOISE


@pytest.mark.parametrize("reach", ["next", "group"])
def test_noise_is_learned_by_looking_ahead(reach):
    margins = train_on_noise(Leaky(noise_model(DECODERS[0]), reach), 60)
    assert margins[-1] < -NOISE


# ---- rows in a batch, documents in a row ---------------------------------------------------------------------------


@ROWS
@ATTENTION
def test_left_padding_needs_no_positions(row, attention):
    model = decoder(row, attn_implementation=attention)
    ids, mask = random_ids(model, len(PADDING), 71), left_padding_mask(PADDING, 71)
    together = outputs(model, {"input_ids": ids, "attention_mask": mask})
    otherwise = outputs(model, {"input_ids": torch.where(mask == 1, ids, 7), "attention_mask": mask})
    for line, padding in enumerate(PADDING):
        alone = outputs(model, {"input_ids": ids[line : line + 1, padding:]})[0]
        torch.testing.assert_close(together[line, padding:], alone, atol=1e-9, rtol=1e-9)
        assert torch.equal(together[line, padding:], otherwise[line, padding:])


@ROWS
@ATTENTION
def test_left_padding_changes_no_gradient(row, attention):
    model = decoder(row, attn_implementation=attention)
    ids = random_ids(model, 1, 23)
    results = []
    for padding in (0, 6):
        padded = torch.nn.functional.pad(ids, (padding, 0))
        model.zero_grad()
        # the first label as well: it would be predicted from padding
        labels = torch.nn.functional.pad(ids[:, 1:], (padding + 1, 0), value=-100)
        model(padded, left_padding_mask([padding], 23 + padding), labels=labels).loss.backward()
        results.append({name: parameter.grad for name, parameter in model.named_parameters()})
    torch.testing.assert_close(results[1], results[0], atol=1e-9, rtol=1e-9)


@ROWS
@ATTENTION
@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "no_cache"])
def test_packed_documents_are_apart(row, attention, use_cache):
    model = decoder(row, attn_implementation=attention)
    rows = [(1, 5, 64, 13, 70), (70, 66, 2, 1, 14)]
    ids, weights = random_ids(model, 2, 153), torch.randn(2, 153, 99, dtype=torch.float64)
    positions = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in rows])
    packed = model(ids, position_ids=positions, use_cache=use_cache).logits
    (packed * weights).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    alone = [
        torch.cat([model(part[None]).logits[0] for part in line.split(lengths)])
        for line, lengths in zip(ids, rows, strict=True)
    ]
    torch.testing.assert_close(packed, torch.stack(alone), atol=1e-9, rtol=1e-9)
    (torch.stack(alone) * weights).sum().backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.testing.assert_close(gradients, expected, atol=1e-8, rtol=1e-8)


# ---- a cache changes nothing ---------------------------------------------------------------------------------------


@ROWS
@ATTENTION
@pytest.mark.parametrize(
    "chunks",
    [[1] * 71, [1, 70], [64, 7], [65] + [1] * 6, [3, 4, 5, 16, 1, 1, 33, 8], [13, 58]],
    ids=["tokens", "1+70", "64+7", "65+tokens", "uneven", "13+58"],
)
def test_chunks_with_a_cache_equal_one_pass(row, attention, chunks):
    model = decoder(row, attn_implementation=attention)
    ids = random_ids(model, len(PADDING), 71)
    assert_cached_equals_full(model, ids, chunks)
    assert_cached_equals_full(model, ids, chunks, torch.ones_like(ids))
    assert_cached_equals_full(model, ids, chunks, left_padding_mask(PADDING, 71))


@ROWS
def test_a_cache_has_two_names(row):
    """`past_key_values`, and `cache`, as `generate` calls it from transformers 5.24 on."""
    model = decoder(row)
    ids = random_ids(model, 2, 12)
    first, second = (model(ids[:, :9], use_cache=True)[CACHE_NAME] for _ in range(2))
    expected = model(ids[:, 9:], past_key_values=first).logits
    found = model(ids[:, 9:], cache=second)
    assert torch.equal(found.logits, expected)
    assert found.get(CACHE_NAME) is second
    assert torch.equal(model(ids, cache=None).logits, model(ids).logits)
    with pytest.raises(ValueError, match="both past_key_values and cache are given"):
        model(ids[:, :1], past_key_values=second, cache=second)


@ROWS
def test_prompts_of_every_length_go_on_as_without_cache(row):
    model = decoder(row)
    for length in range(1, 68):
        ids = random_ids(model, 2, length, seed=length)
        result = generate(model, ids, max_new_tokens=5)
        expected = model(result.sequences, use_cache=False).logits[:, length - 1 : -1]
        torch.testing.assert_close(torch.stack(result.logits, 1), expected.float(), atol=1e-5, rtol=1e-5)
        assert torch.equal(result.sequences[:, length:], expected.argmax(-1))


@ROWS
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3},
        {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 0.5},
        {"do_sample": True, "top_k": 20},
        {"do_sample": True, "num_return_sequences": 3},
        {"num_beams": 3, "do_sample": True},
    ],
    ids=["greedy", "beams", "beams_returned", "sampling", "samples_returned", "sampled_beams"],
)
@pytest.mark.parametrize("padding", [(0,), PADDING], ids=["alone", "left_padded"])
def test_generation_is_the_same_with_a_cache(row, options, padding):
    model = decoder(row)
    ids, mask = random_ids(model, len(padding), 71), left_padding_mask(padding, 71)
    result = assert_same_generation(model, ids, attention_mask=mask, **options)
    assert len(result.sequences) == len(padding) * options.get("num_return_sequences", 1)


@ROWS
def test_left_padded_rows_go_on_as_alone(row):
    model = decoder(row)
    ids, mask = random_ids(model, len(PADDING), 71), left_padding_mask(PADDING, 71)
    for options in ({}, {"num_beams": 3}):
        together = generate(model, ids, attention_mask=mask, max_new_tokens=5, **options).sequences
        for line, padding in enumerate(PADDING):
            alone = generate(model, ids[line : line + 1, padding:], max_new_tokens=5, **options).sequences
            assert torch.equal(together[line, padding:], alone[0])


@ROWS
@pytest.mark.parametrize("padding", [(0, 0), (0, 9)], ids=["alone", "left_padded"])
@pytest.mark.parametrize("more", [1, 3, 70])
def test_generation_goes_on_from_a_cache(row, padding, more):
    model = decoder(row)
    ids, mask = random_ids(model, 2, 30), left_padding_mask(padding, 30)
    first = generate(model, ids, attention_mask=mask, use_cache=True)
    longer = torch.cat([first.sequences, random_ids(model, 2, more, seed=9)], dim=1)
    mask = left_padding_mask(padding, longer.shape[1])
    assert_same_generation(model, longer, {"past_key_values": first.past_key_values}, attention_mask=mask)


@ROWS
def test_embeddings_may_be_the_prompt(row):
    model = decoder(row)
    ids = random_ids(model, 2, 13)
    embedded = model.get_input_embeddings()(ids)
    mask = torch.ones_like(ids)
    options = {"max_new_tokens": 6, "eos_token_id": None, "pad_token_id": 0}
    written = model.generate(inputs_embeds=embedded, attention_mask=mask, **options)
    assert torch.equal(written, generate(model, ids).sequences[:, 13:])


@pytest.mark.slow
@ROWS
def test_torch_compile_with_a_cache(row):
    """Here a graph may break: how far a cache has grown is known at run time only. No kernels are generated."""
    model = decoder(row, torch.float32)
    ids, mask = random_ids(model, 2, 23), left_padding_mask((0, 5), 23)
    expected = model(ids, attention_mask=mask, use_cache=False).logits
    compiled, cache, logits = torch.compile(model, backend="eager"), None, []
    for begin, end in ((0, 20), (20, 21), (21, 22), (22, 23)):
        result = compiled(ids[:, begin:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        logits.append(result.logits)
    real = mask.bool()
    torch.testing.assert_close(torch.cat(logits, dim=1)[real], expected[real], atol=1e-4, rtol=1e-4)


# ---- what can't be continued is named ------------------------------------------------------------------------------


@ROWS
def test_an_empty_prompt_is_named(row):
    model = decoder(row)
    empty = random_ids(model, 2, 0)
    for ask in (model, model.generate, lambda ids: model(ids, attention_mask=ids)):
        with pytest.raises(ValueError, match="the input has no tokens; allowed: 1 or more"):
            ask(empty)


@ROWS
def test_too_long_an_input_is_named(row):
    model = decoder(row, max_position_embeddings=24)
    ids = random_ids(model, 2, 25)
    cache = model(ids[:, :20], use_cache=True).past_key_values
    too_long = [
        lambda: model(ids),
        lambda: model(ids, attention_mask=torch.ones_like(ids)),
        lambda: model(inputs_embeds=model.get_input_embeddings()(ids)),
        lambda: model(ids[:, :5], past_key_values=cache),
        lambda: generate(model, ids),
        lambda: generate(model, ids[:, :22]),
        lambda: generate(model, ids[:, :22], use_cache=False),
    ]
    for ask in too_long:
        with pytest.raises(ValueError, match="has 25 tokens; allowed: max_position_embeddings, 24, or fewer"):
            ask()
    model(ids, attention_mask=left_padding_mask((1, 3), 25))  # it is the real tokens that count


@ROWS
def test_unknown_ids_are_named(row):
    model = decoder(row)
    for unknown in (99, -1):
        ids = torch.tensor([[1, unknown, 3]])
        for ask in (model, model.generate):
            with pytest.raises(ValueError, match=rf"{unknown}.* allowed: 0 to 98"):
                ask(ids)
