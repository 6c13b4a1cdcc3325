# Copyright 2026 The hf_variants authors. MIT licence.
"""What `generate` promises of every decoder of `hf_variants/auto.py` in each of its configurations.

It is what transformers' own generation tests demand (`tests/helpers/generation_demands.py` says which of them is
covered where). A conv_gpt with levels can't go back to an earlier token: what would need that it refuses by name.
"""

import inspect

import pytest
import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig, GenerationMixin
from transformers.cache_utils import Cache, StaticCache
from transformers.generation import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput

from tests.helpers.decoders import (
    assert_same_generation,
    generate,
    left_padding_mask,
    named_decoder,
    random_ids,
)
from tests.helpers.models import CONFIGURED_DECODERS, build, named_config

REFUSALS = (ValueError, NotImplementedError)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}  # generate turns logits into float32
HALF = {"atol": 0.02, "rtol": 0.02}


def has_levels(row, name):
    return row.model_type == "conv_gpt" and named_config("conv_gpt", name).num_levels > 0


def over(pairs):
    return pytest.mark.parametrize(("row", "name"), pairs, ids=[f"{row.model_type}-{name}" for row, name in pairs])


EVERY = over(CONFIGURED_DECODERS)
WITHOUT_LEVELS = over([pair for pair in CONFIGURED_DECODERS if not has_levels(*pair)])
WITH_LEVELS = over([pair for pair in CONFIGURED_DECODERS if has_levels(*pair)])
STRATEGIES = {
    "greedy": {},
    "samples": {"do_sample": True, "num_return_sequences": 2},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "sampled_beams": {"num_beams": 2, "do_sample": True},
}


# ---- everything that generate can tell -----------------------------------------------------------------------------


def layer_levels(model):
    """The level of each layer in the order in which they run; a net without levels has one, 0."""
    config = model.config
    if config.model_type != "conv_gpt":
        return [0] * config.num_hidden_layers
    down = [level for level, blocks in enumerate(model.transformer.down) for _ in blocks]
    return down + [level for level, blocks in reversed([*enumerate(model.transformer.up)]) for _ in blocks]


def check_attentions(model, told, rows, queries, keys, windowed):
    """Check `(rows, heads, queries, keys)` of the layers that ran; a coarse level has fewer tokens, or none today."""
    levels = layer_levels(model)
    fine = [weights for weights in told if weights.shape[2] == queries]
    assert len(told) == len(levels) or (queries == 1 and len(told) >= levels.count(0))
    assert len(fine) >= levels.count(0)
    for weights in told:
        assert weights.ndim == 4 and weights.shape[0] == rows
        assert windowed or max(levels) or weights.shape == (rows, model.config.num_attention_heads, queries, keys)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def check_hidden_states(model, told, rows, queries):
    """Check the embeddings and what each layer that ran returns, the last one normalised."""
    levels, fine = layer_levels(model), (rows, queries, model.config.hidden_size)
    assert len(told) == len(levels) + 1 or (queries == 1 and len(told) >= levels.count(0) + 1)
    assert told[0].shape == told[-1].shape == fine
    assert [tuple(states.shape) for states in told].count(fine) >= levels.count(0) + 1


@EVERY
@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "no_cache"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_generate_tells_everything_it_is_asked(row, name, strategy, use_cache):
    model, options = named_decoder(row, name, attn_implementation="eager"), STRATEGIES[strategy]
    ids = random_ids(model, 2, 9)
    asked = {f"output_{what}": True for what in ("scores", "attentions", "hidden_states")}
    torch.manual_seed(0)
    result = generate(model, ids, use_cache=use_cache, max_new_tokens=4, min_new_tokens=4, **asked, **options)
    beams, returned = options.get("num_beams", 1), options.get("num_return_sequences", 1)
    assert type(result) is (GenerateBeamDecoderOnlyOutput if beams > 1 else GenerateDecoderOnlyOutput)
    assert result.sequences.shape == (2 * returned, 9 + 4)
    assert torch.equal(result.sequences[:, :9], ids.repeat_interleave(returned, dim=0))
    rows = 2 * (beams if beams > 1 else returned)
    for told in (result.scores, result.logits):
        assert [step.shape for step in told] == [(rows, model.config.vocab_size)] * 4
    assert (result.past_key_values is not None) == use_cache
    assert len(result.attentions) == len(result.hidden_states) == 4
    for step in range(4):
        queries = 1 if use_cache and step else 9 + step
        check_attentions(model, result.attentions[step], rows, queries, 9 + step, "window" in name)
        check_hidden_states(model, result.hidden_states[step], rows, queries)


@EVERY
def test_the_cache_is_one_of_transformers(row, name):
    model = named_decoder(row, name)
    ids = random_ids(model, 3, 9)
    cache = model(ids, use_cache=True).past_key_values
    assert isinstance(cache, Cache)
    assert len(cache) == model.config.num_hidden_layers
    assert cache.get_seq_length() == 9
    if has_levels(row, name):
        assert all(layer.keys.shape[:2] == layer.values.shape[:2] for layer in cache.layers)
        return
    head = model.config.hidden_size // model.config.num_attention_heads
    for layer in cache.layers:
        assert layer.keys.shape == layer.values.shape == (3, model.config.num_attention_heads, 9, head)


@EVERY
def test_generation_mixin_is_a_direct_base_and_arguments_go_through(row, name):
    model_class = row.classes[AutoModelForCausalLM]
    assert GenerationMixin in model_class.__bases__
    model = named_decoder(row, name)
    ids, told = random_ids(model, 2, 3), {"output_attentions": True, "numeric_arg": 42, "custom_arg": "value"}
    inputs = model.prepare_inputs_for_generation(ids, position_ids=torch.arange(3).expand(2, -1), **told)
    assert torch.equal(inputs["input_ids"], ids)
    assert told.items() <= inputs.items()


@EVERY
def test_custom_loops_stopping_and_processing_are_called(row, name):
    model = named_decoder(row, name)
    ids, seen = random_ids(model, 2, 9), []

    def stop_at_two(input_ids, scores, **kwargs):
        seen.append(input_ids.shape[1])
        return torch.full((len(input_ids),), input_ids.shape[1] >= 11)

    def only_seven(input_ids, scores):
        return torch.full_like(scores, -float("inf")).index_fill(1, torch.tensor([7]), 0.0)

    result = generate(model, ids, logits_processor=[only_seven], stopping_criteria=[stop_at_two])
    assert seen == [10, 11]
    assert (result.sequences[:, 9:] == 7).all()
    assert model.generate(ids, custom_generate=lambda model, input_ids, **kwargs: input_ids * 0).eq(0).all()


@EVERY
def test_an_end_token_ends_a_row_alone(row, name):
    model = named_decoder(row, name)
    ids = random_ids(model, 3, 9)
    free = generate(model, ids, max_new_tokens=6).sequences
    end = int(free[1, 10])
    stopped = generate(model, ids, max_new_tokens=6, eos_token_id=end, pad_token_id=98).sequences[:, 9:]
    for line, expected in zip(stopped, free[:, 9:], strict=True):
        length = int((expected == end).nonzero()[0]) + 1 if (expected == end).any() else 6
        assert torch.equal(line[:length], expected[:length])
        assert (line[length:] == 98).all()


@EVERY
def test_a_text_begins_with_the_first_token(row, name):
    model = named_decoder(row, name, bos_token_id=5)
    written = model.generate(max_new_tokens=4, do_sample=False)
    assert torch.equal(written, generate(model, torch.tensor([[5]]), max_new_tokens=4).sequences)
    with pytest.raises(ValueError, match="bos_token_id"):
        named_decoder(row, name).generate(max_new_tokens=4)


# ---- fewer logits, other attention ---------------------------------------------------------------------------------


@EVERY
def test_fewer_logits_are_the_same_logits(row, name):
    model = named_decoder(row, name)
    ids, mask = random_ids(model, 3, 13), left_padding_mask((0, 2, 5), 13)
    every = model(ids, mask).logits
    assert every.shape == (3, 13, model.config.vocab_size)
    for kept in (1, 4, torch.tensor([0, 12, 7])):
        fewer = model(ids, mask, logits_to_keep=kept).logits
        expected = every[:, -kept:] if isinstance(kept, int) else every[:, kept]
        torch.testing.assert_close(fewer, expected, atol=1e-12, rtol=1e-12)
    short, whole = (generate(model, ids, attention_mask=mask, **more) for more in ({}, {"logits_to_keep": 0}))
    assert torch.equal(short.sequences, whole.sequences)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_eager_and_sdpa_write_the_same(row, name, dtype):
    ids, mask, results = random_ids(named_decoder(row, name), 3, 9), left_padding_mask((0, 2, 5), 9), []
    for attention in ("eager", "sdpa"):
        model = named_decoder(row, name, dtype, attn_implementation=attention)
        results.append(generate(model, ids, attention_mask=mask, max_new_tokens=3))
    assert_alike(*results, ids.shape[1], HALF if dtype == torch.float16 else CLOSE)


def assert_alike(actual, expected, prompt, tolerance=CLOSE):
    """Check logits up to the first token that differs, and the token itself unless rounding may have chosen it."""
    same = actual.sequences == expected.sequences
    for step, (ours, theirs) in enumerate(zip(actual.logits, expected.logits, strict=True)):
        going = same[:, : prompt + step].all(dim=1)
        torch.testing.assert_close(ours[going], theirs[going], **tolerance)
        best = theirs.topk(2).values
        clear = best[:, 0] - best[:, 1] > 2 * (tolerance["atol"] + tolerance["rtol"] * best.abs().amax(dim=1))
        assert same[going & clear, prompt + step].all()


@EVERY
def test_positions_that_are_given_are_those_that_are_counted(row, name):
    model = named_decoder(row, name)
    ids, mask = random_ids(model, 3, 9), left_padding_mask((0, 2, 5), 9)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    counted = generate(model, ids, attention_mask=mask)
    given = generate(model, ids, attention_mask=mask, position_ids=positions)
    assert torch.equal(given.sequences, counted.sequences)
    torch.testing.assert_close(given.logits, counted.logits, **CLOSE)


@EVERY
def test_documents_packed_into_a_row_are_rows(row, name):
    model, lengths = named_decoder(row, name), (4, 13, 7)
    mask = left_padding_mask([13 - length for length in lengths], 13)
    ids = random_ids(model, 3, 13)
    padded = model(ids, mask, use_cache=False).logits[mask.bool()]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    packed = model(ids[mask.bool()][None], position_ids=positions, use_cache=False).logits[0]
    torch.testing.assert_close(packed, padded, atol=1e-9, rtol=1e-9)


@WITHOUT_LEVELS
def test_a_mask_of_four_dimensions_lets_texts_share_a_beginning(row, name):
    model = named_decoder(row, name)
    ends = torch.tensor([[10, 11, 12, 13], [10, 11, 12, 14], [10, 11, 12, 15]])
    shared = torch.tensor([[10, 11, 12, 13, 14, 15]])
    seen = torch.ones(6, 6, dtype=torch.bool).tril()
    seen[4, 3] = seen[5, 3] = seen[5, 4] = False
    expected = model(ends).logits[:, -1]
    for mask in (seen, torch.zeros(6, 6, dtype=torch.float64).masked_fill(~seen, torch.finfo(torch.float64).min)):
        logits = model(shared, mask[None, None], position_ids=torch.tensor([[0, 1, 2, 3, 3, 3]])).logits
        torch.testing.assert_close(logits[0, 3:], expected, atol=1e-9, rtol=1e-9)


@WITH_LEVELS
def test_levels_refuse_a_mask_of_four_dimensions(row, name):
    model = named_decoder(row, name)
    with pytest.raises(REFUSALS, match="attention_mask has 4 dimensions; allowed: 2"):
        model(random_ids(model, 1, 6), torch.ones(1, 1, 6, 6))


# ---- embeddings as a prompt ----------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("beams", [1, 2])
def test_embeddings_write_what_their_ids_write(row, name, beams):
    model, options = named_decoder(row, name), {"num_beams": beams, "max_new_tokens": 5}
    ids, mask = random_ids(model, 2, 9), left_padding_mask((0, 3), 9)
    embedded = model.get_input_embeddings()(ids)
    expected = generate(model, ids, attention_mask=mask, **options)
    with_ids = generate(model, ids, inputs_embeds=embedded, attention_mask=mask, **options)
    alone = generate(model, None, inputs_embeds=embedded, attention_mask=mask, **options)
    assert torch.equal(with_ids.sequences, expected.sequences)
    assert torch.equal(alone.sequences, expected.sequences[:, 9:])
    torch.testing.assert_close(alone.logits, expected.logits, **CLOSE)
    other = generate(model, ids, inputs_embeds=torch.rand_like(embedded), attention_mask=mask, **options)
    assert not any(map(torch.allclose, other.logits, expected.logits))


@EVERY
def test_embeddings_go_on_from_a_cache(row, name):
    model = named_decoder(row, name)
    look_up, ids = model.get_input_embeddings(), random_ids(model, 2, 9)
    mask = torch.ones(2, 9, dtype=torch.long)
    expected = generate(model, None, inputs_embeds=look_up(ids), attention_mask=mask, max_new_tokens=4)
    first = generate(model, None, inputs_embeds=look_up(ids), attention_mask=mask, max_new_tokens=3)
    longer = torch.cat([ids, first.sequences], dim=1)
    second = generate(
        model,
        None,
        inputs_embeds=look_up(longer),
        attention_mask=torch.ones_like(longer),
        past_key_values=first.past_key_values,
        max_new_tokens=1,
    )
    assert torch.equal(torch.cat([first.sequences, second.sequences], dim=1), expected.sequences)
    torch.testing.assert_close(first.logits + second.logits, expected.logits, **CLOSE)
    assert second.past_key_values.get_seq_length() == expected.past_key_values.get_seq_length() == 12


# ---- caches --------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("padding", [(0, 0), (0, 5)], ids=["alone", "left_padded"])
@pytest.mark.parametrize("size", [1, 3, 4, 64])
def test_a_prompt_in_chunks_is_the_same_prompt(row, name, padding, size):
    model = named_decoder(row, name)
    ids, mask = random_ids(model, 2, 17), left_padding_mask(padding, 17)
    expected = generate(model, ids, attention_mask=mask)
    chunked = generate(model, ids, attention_mask=mask, prefill_chunk_size=size)
    assert torch.equal(chunked.sequences, expected.sequences)
    torch.testing.assert_close(chunked.logits, expected.logits, **CLOSE)


@EVERY
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_cache_changes_nothing_in_any_configuration(row, name, strategy):
    model = named_decoder(row, name)
    ids, mask = random_ids(model, 4, 17), left_padding_mask((0, 1, 6, 16), 17)
    assert_same_generation(model, ids, attention_mask=mask, max_new_tokens=9, **STRATEGIES[strategy])


@EVERY
@pytest.mark.parametrize("padding", [(0, 0), (0, 5)], ids=["alone", "left_padded"])
def test_generation_goes_on_where_it_ended(row, name, padding):
    model = named_decoder(row, name)
    ids, mask = random_ids(model, 2, 9), left_padding_mask(padding, 9)
    expected = generate(model, ids, attention_mask=mask, max_new_tokens=8)
    first = generate(model, ids, attention_mask=mask, max_new_tokens=5)
    cached = {"past_key_values": first.past_key_values}
    mask = left_padding_mask(padding, 14)
    second = generate(model, first.sequences, attention_mask=mask, max_new_tokens=3, **cached)
    assert torch.equal(second.sequences, expected.sequences)
    torch.testing.assert_close(first.logits + second.logits, expected.logits, **CLOSE)


@EVERY
@pytest.mark.parametrize("gap", [1, 2, 5])
def test_padding_before_a_later_turn_changes_nothing(row, name, gap):
    """Two turns of a chat: the second is padded on the left, so that there is padding in the middle of a row."""
    model, turn = named_decoder(row, name), 7
    ids = random_ids(model, 2, turn + gap + 6)
    mask = torch.ones_like(ids)
    mask[1, turn : turn + gap] = 0
    real = mask.bool()
    whole = model(ids, mask, use_cache=False).logits
    alone = model(ids[1:, real[1]], use_cache=False).logits
    first = model(ids[:, :turn], mask[:, :turn], use_cache=True)
    second = model(ids[:, turn:], mask, past_key_values=first.past_key_values, use_cache=True)
    continued = torch.cat([first.logits, second.logits], dim=1)
    torch.testing.assert_close(continued[real], whole[real], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(continued[1, real[1]], alone[0], atol=1e-9, rtol=1e-9)


@WITHOUT_LEVELS
@pytest.mark.parametrize("embedded", [False, True], ids=["ids", "embeddings"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_static_cache_writes_the_same(row, name, embedded, dtype):
    model = named_decoder(row, name, dtype)
    ids, mask = random_ids(model, 3, 9), left_padding_mask((0, 2, 5), 9)
    prompt = {"inputs": None, "inputs_embeds": model.get_input_embeddings()(ids)} if embedded else {"inputs": ids}
    options = {"attention_mask": mask, "max_new_tokens": 8, "return_dict_in_generate": True, "output_logits": True}
    options |= {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    static, dynamic = (model.generate(**prompt, **options, **how) for how in ({"cache_implementation": "static"}, {}))
    cache, head = static.past_key_values, model.config.hidden_size // model.config.num_attention_heads
    assert isinstance(cache, StaticCache) and len(cache) == model.config.num_hidden_layers
    assert {layer.keys.shape for layer in cache.layers} == {(3, model.config.num_attention_heads, 16, head)}
    assert_alike(static, dynamic, 0 if embedded else 9, HALF if dtype == torch.float16 else CLOSE)


@WITH_LEVELS
@pytest.mark.parametrize("kind", ["static", "quantized", "offloaded", "offloaded_static"])
def test_levels_refuse_other_caches(row, name, kind):
    model = named_decoder(row, name)
    with pytest.raises(REFUSALS, match=f"{kind}.*allowed"):
        generate(model, random_ids(model, 1, 9), cache_implementation=kind)


# ---- drafts --------------------------------------------------------------------------------------------------------


@WITHOUT_LEVELS
@pytest.mark.parametrize("assistant", ["same", "other", "lookup"])
@pytest.mark.parametrize("do_sample", [False, True], ids=["greedy", "sampling"])
def test_drafts_change_nothing(row, name, assistant, do_sample):
    model = named_decoder(row, name, attn_implementation="eager")
    ids = random_ids(model, 1, 4).repeat(1, 3)  # what has been said before can be looked up
    helper = model if assistant == "same" else build(type(model), model.config, spread=0.2).double()
    helper.generation_config.num_assistant_tokens, helper.generation_config.num_assistant_tokens_schedule = (
        2,
        "constant",
    )
    draft = {"prompt_lookup_num_tokens": 2} if assistant == "lookup" else {"assistant_model": helper}
    asked = {"output_scores": True, "output_attentions": True, "output_hidden_states": True}
    options = {"max_new_tokens": 8, "do_sample": do_sample, "eos_token_id": -1, **asked}
    drafted = generate(model, ids, **options, **draft)
    assert drafted.sequences.shape == (1, 12 + 8)
    assert len(drafted.logits) == len(drafted.scores) == len(drafted.attentions) == len(drafted.hidden_states) == 8
    assert drafted.past_key_values.get_seq_length() == 12 + 8 - 1
    expected = model(drafted.sequences, use_cache=False).logits[:, 11:-1]
    torch.testing.assert_close(torch.stack(drafted.logits, dim=1), expected.float(), **CLOSE)
    if not do_sample:
        assert torch.equal(drafted.sequences, generate(model, ids, **options).sequences)


@WITHOUT_LEVELS
def test_a_looked_up_end_token_ends_the_text(row, name):
    model = named_decoder(row, name)
    ids = random_ids(model, 1, 4).repeat(1, 3)
    free = generate(model, ids, max_new_tokens=8).sequences
    end = int(free[0, 14])
    expected = generate(model, ids, max_new_tokens=8, eos_token_id=end).sequences
    ids_with_end = generate(model, ids, max_new_tokens=8, eos_token_id=end, prompt_lookup_num_tokens=3).sequences
    assert torch.equal(ids_with_end, expected)
    assert int(expected[0, -1]) == end


@WITH_LEVELS
def test_levels_refuse_drafts(row, name):
    model = named_decoder(row, name)
    ids = random_ids(model, 1, 9)
    with pytest.raises(REFUSALS, match="(?i)assist"):
        generate(model, ids, assistant_model=model)
    with pytest.raises(REFUSALS, match="(?i)assist|prompt_lookup"):
        generate(model, ids, prompt_lookup_num_tokens=3)


# ---- many texts at once --------------------------------------------------------------------------------------------


def write_batch(model, prompts):
    """What `generate_batch` writes after each of the prompts: 4 tokens, the best each time."""
    settings = GenerationConfig(max_new_tokens=4, do_sample=False, eos_token_id=-1, pad_token_id=0)
    batching = ContinuousBatchingConfig(num_blocks=16, max_batch_tokens=64)
    results = model.generate_batch(
        prompts, generation_config=settings, continuous_batching_config=batching, progress_bar=False
    )
    return [results[key].generated_tokens for key in sorted(results)]


@EVERY
def test_continuous_batching_writes_the_same_or_is_refused(row, name):
    model = named_decoder(row, name, torch.float32)
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12], [1]]
    shares_blocks = row.model_type == "progressive_gpt" and model.config.num_blocks < model.config.num_hidden_layers
    try:
        written = write_batch(model, prompts)
    except REFUSALS as error:
        assert has_levels(row, name) or shares_blocks
        assert "generate_batch" in str(error) or "continuous" in str(error) or "paged" in str(error), error
        return
    assert not has_levels(row, name)
    expected = [generate(model, torch.tensor([prompt]), max_new_tokens=4).sequences[0] for prompt in prompts]
    assert written == [tokens[len(prompt) :].tolist() for tokens, prompt in zip(expected, prompts, strict=True)]


def test_the_refusals_are_of_what_generate_knows():
    """Were an argument renamed, a refusal of it would pass unseen: generate takes what it does not know as it is."""
    known = set(vars(GenerationConfig())) | set(inspect.signature(GenerationMixin.generate).parameters)
    assert {"assistant_model", "cache_implementation", "prefill_chunk_size", "prompt_lookup_num_tokens"} <= known
