# Copyright 2026 The hf_variants authors. MIT licence.
"""conv_gpt beyond the shared checks: its levels, its groups, its cache, its neutral setting, and its other task."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.configuration_nanogpt import NanoGptConfig
from hf_variants.gpt.groups_conv_gpt import RaggedChunk, UniformChunk
from hf_variants.gpt.modeling_conv_gpt import ConvGptForCausalLM, ConvGptModel
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM
from tests.helpers.decoders import assert_cached_equals_full, assert_causal, left_padding_mask, random_ids
from tests.helpers.models import build

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 320}
SHAPES = [
    {"num_levels": 1, "sequence_factor": 2},
    {"num_levels": 1, "sequence_factor": 3, "width_factor": 1},
    {"num_levels": 2, "sequence_factor": 4},
    {"num_levels": 3, "sequence_factor": 4, "level_layers": [1, 1, 1, 1]},
    {"num_levels": 4, "sequence_factor": 2, "width_factor": 1, "level_layers": [1, 2, 3, 1, 1]},
    {"num_levels": 2, "sequence_factor": 5, "local_window": 7},
]
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape.values())))


def small(dtype=torch.float64, **changes):
    return build(ConvGptForCausalLM, ConvGptConfig(**SMALL | changes), spread=0.15).to(dtype)


# ---- the net -------------------------------------------------------------------------------------------------------


def test_defaults_are_the_published_widths():
    config = ConvGptConfig()
    assert config.level_sizes == [48, 96, 192, 384]
    assert (config.level_layers, config.num_hidden_layers, config.level_heads) == ([2] * 4, 8, [6] * 4)
    with torch.device("meta"):
        model = ConvGptModel(config)
    assert [block.ln_1.weight.shape[0] for block in model.h] == [48, 96, 192, 384, 384, 192, 96, 48]


def naive_logits(model, ids):
    """The net in plain convolutions over whole sequences, one row of ids `(seq,)`."""
    net, config = model.transformer, model.config
    stream = (net.wte(ids) + net.wpe.weight[: len(ids)])[None]
    return model.lm_head(net.ln_f(naive_level(net, config, 0, stream)))[0]


def naive_level(net, config, level, stream):
    factor, length = config.sequence_factor, stream.shape[1]
    window = config.local_window if level < config.num_levels else None
    distance = torch.arange(length)[:, None] - torch.arange(length)
    mask = (distance >= 0) & (distance < (window or length))
    for index in net.down[level]:
        stream = net.h[index](stream, mask[None, None])
    if level < config.num_levels:
        down, up = net.compressors[level], net.expanders[level]
        kernel = down.conv.weight.view(factor, stream.shape[2], -1).permute(2, 1, 0)
        shifted = F.pad(down.ln(stream).transpose(1, 2), (factor - 1, -length % factor))
        coarse = F.conv1d(shifted, kernel, down.conv.bias, stride=factor)[:, :, : -(-length // factor)]
        coarse = up.ln(naive_level(net, config, level + 1, coarse.transpose(1, 2))).transpose(1, 2)
        kernel = up.conv.weight.view(coarse.shape[1], factor, -1).transpose(1, 2)
        bias = up.conv.bias.view(factor, -1).T.repeat(1, coarse.shape[2])
        stream = stream + (F.conv_transpose1d(coarse, kernel, stride=factor) + bias)[:, :, :length].transpose(1, 2)
    for index in net.up[level]:
        stream = net.h[index](stream, mask[None, None])
    return stream


@EVERY_SHAPE
@torch.no_grad()
def test_equals_plain_convolutions(shape):
    model = small(**shape)
    for length in (1, 2, 5, 16, 17, 64, 71):
        ids = random_ids(model, 2, length)
        expected = torch.stack([naive_logits(model, row) for row in ids])
        torch.testing.assert_close(model(ids).logits, expected)


@EVERY_SHAPE
@pytest.mark.parametrize("padding", [0, 9])
def test_nothing_looks_ahead(shape, padding):
    assert_causal(small(**shape), left_padding=padding)


@EVERY_SHAPE
def test_cached_equals_full(shape):
    model = small(**shape)
    ids = random_ids(model, 3, 90)
    chunks = [13, *[1] * 30, 2, 17, *[1] * 8, 20]
    assert_cached_equals_full(model, ids, chunks)
    assert_cached_equals_full(model, ids, [30, *[1] * 25, 16, *[1] * 19], left_padding_mask([0, 5, 22], 90))


def fed_in_chunks(model, ids, mask, ends):
    """The logits of ids `(batch, seq)` with padding, fed with a cache in chunks that end at these columns."""
    cache, parts, begin = None, [], 0
    for end in ends:
        outputs = model(ids[:, begin:end], mask[:, :end], past_key_values=cache, use_cache=True)
        cache, begin = outputs.past_key_values, end
        parts.append(outputs.logits)
    return torch.cat(parts, dim=1)


def assert_padding_changes_nothing(model, ids, mask, ends):
    """Every row, wherever its padding is, has what it has alone: in one pass and in chunks with a cache."""
    padding = torch.where(mask, ids, 1)  # what stands there does not matter
    found = [model(each, mask, use_cache=False).logits for each in (ids, padding)]
    found.append(fed_in_chunks(model, ids, mask, ends))
    for row, real, *logits in zip(ids, mask, *found, strict=True):
        if real.any():
            alone = model(row[real][None], use_cache=False).logits[0]
            for each in logits:
                torch.testing.assert_close(each[real], alone)
    assert all(each.isfinite().all() for each in found)


@EVERY_SHAPE
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_masks_of_any_shape_leave_each_row_what_it_has_alone(shape, attention):
    model = small(**shape, attn_implementation=attention)
    ids = random_ids(model, 4, 40)
    mask = torch.rand(4, 40, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[3] = False  # a row without a token
    assert_padding_changes_nothing(model, ids, mask, [7, 8, 9, 23, 40])
    mask[:, :9] = False  # no row has a token in the first chunk
    assert_padding_changes_nothing(model, ids, mask, [7, 8, 9, 23, 40])


@st.composite
def padded_chunks(draw):
    """A mask of stretches of tokens and padding, `(rows, length)`, and the columns at which chunks of it end."""
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    stretches = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=9)
    mask = torch.zeros(rows, length, dtype=torch.bool)
    for row in mask:
        begin = 0
        for real, size in draw(stretches):
            row[begin : begin + size], begin = real, begin + size
    ends = draw(st.sets(st.integers(1, length), max_size=6)) | {length}
    return mask, sorted(ends)


@pytest.mark.hunt
@given(
    padded_chunks(),
    st.integers(0, 3),
    st.integers(2, 5),
    st.one_of(st.none(), st.integers(1, 9)),
    st.sampled_from(["eager", "sdpa"]),
)
@torch.no_grad()
def test_padding_anywhere_changes_nothing(chunks, levels, factor, window, attention):
    mask, ends = chunks
    shape = {"num_levels": levels, "sequence_factor": factor, "local_window": window if levels else None}
    model = small(**shape, width_factor=1, level_layers=[2] * (levels + 1), attn_implementation=attention)
    assert_padding_changes_nothing(model, random_ids(model, *mask.shape), mask, ends)


@pytest.mark.parametrize("shape", [*SHAPES, {"num_levels": 0}], ids=str)
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"prefill_chunk_size": 5}], ids=str)
@torch.no_grad()
def test_generation_goes_on_from_padding_inside_rows(shape, options):
    model = small(**shape)
    ids = random_ids(model, 3, 22)
    mask = torch.ones_like(ids)
    mask[0, 4:9] = mask[0, 20] = mask[1, :13] = mask[1, 15:18] = mask[2, 12:21] = 0
    given = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    together = model.generate(ids, attention_mask=mask, **given, **options)[:, 22:]
    for row, real, found in zip(ids, mask.bool(), together, strict=True):
        expected = model.generate(row[real][None], **given, num_beams=options.get("num_beams", 1), use_cache=False)
        assert torch.equal(found, expected[0, int(real.sum()) :])


@pytest.mark.parametrize("shape", [*SHAPES, {"num_levels": 0}], ids=str)
@torch.no_grad()
def test_a_mask_means_the_same_in_every_type(shape):
    model = small(**shape)
    ids = random_ids(model, 3, 30)
    mask = torch.rand(3, 30, generator=torch.Generator().manual_seed(1)) < 0.7
    expected, vectors = model(ids, mask).logits[mask], model.embed_text(ids, mask)
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.float32, torch.float64, torch.bfloat16, torch.float16):
        assert torch.equal(model(ids, mask.to(dtype)).logits[mask], expected)
        assert torch.equal(model.embed_text(ids, mask.to(dtype)), vectors)


@EVERY_SHAPE
@torch.no_grad()
def test_a_packed_document_is_what_it_is_alone(shape):
    model = small(**shape)
    lengths = (30, 1, 5, 26)
    documents = [random_ids(model, 1, length, seed=length) for length in lengths]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    packed = model(torch.cat(documents, dim=1), position_ids=positions).logits
    expected = torch.cat([model(document).logits for document in documents], dim=1)
    torch.testing.assert_close(packed, expected)


# ---- groups --------------------------------------------------------------------------------------------------------


@pytest.mark.hunt
@given(st.integers(2, 5), st.integers(0, 11), st.integers(1, 13), st.integers(1, 3))
def test_ragged_groups_of_equal_rows_are_uniform_groups(factor, seen, length, rows):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, length, 3, generator=generator)
    # nothing came before the first token, so zeros stand for it
    before = max(0, factor - 1 - seen)
    pending = torch.randn(rows, factor - 1, 3, generator=generator).index_fill(1, torch.arange(before), 0)
    stored = torch.randn(rows, factor, 2, generator=generator)
    uniform = UniformChunk(seen, length).group(factor)
    mask = torch.ones(rows, length, dtype=torch.bool)
    ragged = RaggedChunk.padded(mask, torch.full((rows,), seen), static=False).group(factor)
    assert uniform.coarse.length == ragged.coarse.length
    buffer = uniform.buffer(inputs, pending)
    assert torch.equal(buffer, ragged.buffer(inputs, pending))
    assert torch.equal(uniform.last_inputs(buffer), ragged.last_inputs(buffer))
    new = None
    if uniform.coarse.length:
        assert torch.equal(uniform.windows(buffer), ragged.windows(buffer))
        new = torch.randn(rows, uniform.coarse.length * factor, 2, generator=generator)
    assert torch.equal(uniform.spread(new, stored), ragged.spread(new, stored))
    assert torch.equal(uniform.last_outputs(new, stored), ragged.last_outputs(new, stored))


@torch.no_grad()
def test_compiled_and_eager_groups_agree():
    """Compiled code can't look at the mask, so it takes the way of unequal rows with a bound known beforehand."""
    model = small(num_levels=2)
    ids = random_ids(model, 2, 21)
    chunk = RaggedChunk.padded(torch.ones_like(ids, dtype=torch.bool), torch.zeros(2, dtype=torch.long), static=True)
    model.transformer.first_chunk = lambda *args: chunk
    found = model(ids).logits
    del model.transformer.first_chunk
    torch.testing.assert_close(found, model(ids).logits)


# ---- the neutral setting -------------------------------------------------------------------------------------------


def test_no_levels_is_nanogpt():
    sizes = SMALL | {"num_hidden_layers": 3}
    torch.manual_seed(0)
    ours = ConvGptForCausalLM(ConvGptConfig(**sizes, num_levels=0)).eval()
    torch.manual_seed(0)
    baseline = NanoGptForCausalLM(NanoGptConfig(**sizes)).eval()
    assert ours.state_dict().keys() == baseline.state_dict().keys()
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in baseline.state_dict().items())
    ids, mask = random_ids(ours, 2, 20), left_padding_mask([0, 6], 20)
    for inputs in ({"input_ids": ids}, {"input_ids": ids, "attention_mask": mask}):
        assert torch.equal(ours(**inputs).logits, baseline(**inputs).logits)
        options = {"max_new_tokens": 12, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
        found, expected = (model.generate(**inputs, **options) for model in (ours, baseline))
        assert torch.equal(found.sequences, expected.sequences)
        assert all(torch.equal(a, b) for a, b in zip(found.logits, expected.logits, strict=True))


def test_a_gpt2_checkpoint_loads_with_one_level_and_not_with_more(tmp_path):
    theirs = build(GPT2LMHeadModel, GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=40))
    theirs.save_pretrained(tmp_path)
    ours = ConvGptForCausalLM.from_pretrained(tmp_path).eval()
    assert ours.config.num_levels == 0
    ids = random_ids(ours, 2, 11)
    torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=1e-5, rtol=1e-5)
    with pytest.raises(RuntimeError, match="mismatch"):
        ConvGptForCausalLM.from_pretrained(tmp_path, num_levels=1, num_hidden_layers=2)


# ---- the cache -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_coarse_level_works_only_when_a_group_is_complete():
    model = small(num_levels=2)
    rows = {index: [] for index in range(len(model.transformer.h))}
    for index, block in enumerate(model.transformer.h):
        block.register_forward_pre_hook(lambda _, inputs, index=index: rows[index].append(len(inputs[0])))
    mask = left_padding_mask([0, 1, 6], 49)
    ids, cache = random_ids(model, 3, 49), None
    for start, end in [(0, 17), *((column, column + 1) for column in range(17, 49))]:
        cache = model(ids[:, start:end], mask[:, :end], past_key_values=cache, use_cache=True).past_key_values
    for level, each in enumerate((1, 4, 16)):
        for index in model.transformer.down[level] + model.transformer.up[level]:
            assert sum(rows[index][1:]) == 3 * 32 // each
    layers = [cache.layers[model.transformer.down[level][0]] for level in (1, 2)]
    assert [layer.keys.shape[2] for layer in layers] == [64, 64]  # room for growth; 13 and 4 are in use
    assert cache.seen.tolist() == [49, 48, 43] and cache.get_seq_length() == 49


@torch.no_grad()
def test_a_local_level_keeps_only_its_window():
    model = small(num_levels=1, local_window=5)
    cache = model(random_ids(model, 1, 30), use_cache=True).past_key_values
    assert cache.layers[0].keys.shape[2] == 4 and cache.layers[1].keys.shape[2] == 8
    assert cache.get_seq_length() == 30


@torch.no_grad()
def test_a_cache_can_be_emptied_and_its_rows_chosen():
    model = small(num_levels=2)
    ids, mask = random_ids(model, 2, 21), left_padding_mask([0, 3], 21)
    cache = model(ids[:, :20], mask[:, :20], use_cache=True).past_key_values
    expected = model(ids, mask).logits[:, -1]
    cache.batch_repeat_interleave(2)
    cache.batch_select_indices(torch.tensor([2, 1]))
    order = torch.tensor([1, 0])
    found = model(ids[order, 20:], mask[order], past_key_values=cache, use_cache=True).logits[:, -1]
    torch.testing.assert_close(found, expected[order])
    cache.reset()
    assert cache.get_seq_length() == 0
    torch.testing.assert_close(model(ids, mask, past_key_values=cache, use_cache=True).logits[:, -1], expected)
    with pytest.raises(NotImplementedError, match="can't be cropped"):
        cache.crop(-1)


def test_other_caches_and_masks_are_refused():
    model, ids = small(), torch.tensor([[1, 2, 3]])
    with pytest.raises(ValueError, match="past_key_values is a DynamicCache; allowed where .* is 3: a ConvGptCache"):
        model(ids, past_key_values=DynamicCache(config=model.config))
    with pytest.raises(ValueError, match="attention_mask has 4 dimensions; allowed: 2"):
        model(ids, torch.ones(1, 1, 3, 3))


# ---- the coarsest stream -------------------------------------------------------------------------------------------


@torch.no_grad()
def test_embeddings_ignore_padding():
    model = small(num_levels=2)
    assert model.transformer(random_ids(model, 2, 33)).coarse_hidden_state.shape == (2, 3, 64)
    ids, mask = random_ids(model, 3, 33), left_padding_mask([0, 5, 30], 33)
    together = model.embed_text(ids, mask)
    assert together.shape == (3, 64)
    for row, real, vector in zip(ids, mask.bool(), together, strict=True):
        torch.testing.assert_close(model.embed_text(row[real][None])[0], vector)
    flat = small(num_levels=0)
    assert flat.embed_text(ids, mask).shape == (3, 16)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("levels", [0, 1, 2, 3])
@torch.no_grad()
def test_the_embedding_of_a_row_without_tokens_is_zero(levels, dtype):
    model = small(dtype, num_levels=levels)
    ids, mask = random_ids(model, 3, 33), left_padding_mask([0, 5, 33], 33)
    with_others, alone = model.embed_text(ids, mask), model.embed_text(ids[2:], mask[2:])
    assert with_others.shape[1] == alone.shape[1] == model.config.level_sizes[-1]
    assert not with_others[2].any() and not alone.any()
    tolerance = {"atol": 0.1, "rtol": 0.1} if dtype.itemsize == 2 else {}  # they are rounded otherwise in a batch
    for row in (0, 1):
        expected = model.embed_text(ids[row][mask[row].bool()][None])[0]
        torch.testing.assert_close(with_others[row], expected, **tolerance)


@torch.no_grad()
def test_new_coarse_states_are_told_for_every_row():
    model = small(num_levels=1, sequence_factor=4).transformer
    ids, mask = random_ids(model, 2, 9), left_padding_mask([0, 2], 9)
    cache = model(ids[:, :8], mask[:, :8], use_cache=True).past_key_values
    last = model(ids[:, 8:], mask, past_key_values=cache)  # only the first row completes a group
    assert last.coarse_attention_mask.tolist() == [[1], [0]]
    torch.testing.assert_close(last.coarse_hidden_state[0, -1], model(ids[:1]).coarse_hidden_state[0, -1])
    assert not last.coarse_hidden_state[1].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, {"num_levels": 0}], ids=str)
@torch.no_grad()
def test_half_precision_is_near_to_double(shape, dtype):
    exact = small(**shape)
    ids, mask = random_ids(exact, 3, 60), torch.ones(3, 60, dtype=torch.bool)
    mask[0, 3:17] = mask[1, :20] = mask[2, 30:] = False
    expected = exact(ids, mask).logits
    half = exact.to(dtype)
    for found in (half(ids, mask).logits, fed_in_chunks(half, ids, mask, [5, 6, 7, 29, 60])):
        assert found.dtype == dtype
        assert (found - expected)[mask].abs().max() < 16 * torch.finfo(dtype).eps  # a logit's deviation is about 0.6


# ---- prediction_horizon --------------------------------------------------------------------------------------------


def test_loss_is_of_the_token_at_the_horizon():
    model = small(prediction_horizon=3)
    ids = random_ids(model, 2, 20)
    outputs = model(ids, labels=ids)
    expected = F.cross_entropy(outputs.logits[:, :-3].flatten(0, 1), ids[:, 3:].flatten())
    torch.testing.assert_close(outputs.loss, expected, check_dtype=False)


def assert_written_in_blocks(model, text, written):
    length, text = len(text), text[None]
    for _ in range(3):
        text = torch.cat([text, model(text).logits[:, -4:].argmax(-1)], dim=1)
    assert torch.equal(text[0, length:][:10], written)


@torch.no_grad()
def test_blocks_are_generated_from_what_was_there():
    model = small(prediction_horizon=4, num_levels=2)
    ids, mask = random_ids(model, 2, 11), left_padding_mask([0, 5], 11)
    found = model.generate_blocks(ids, mask, max_new_tokens=10)
    assert found.shape == (2, 21) and torch.equal(found[:, :11], ids)
    for row, real, written in zip(ids, mask.bool(), found, strict=True):
        assert_written_in_blocks(model, row[real], written[11:])
    mask[0, 8:10] = mask[1, 7] = 0  # the last four tokens are not the last four columns
    found = model.generate_blocks(ids, mask, max_new_tokens=10)
    for row, real, written in zip(ids, mask.bool(), found, strict=True):
        assert_written_in_blocks(model, row[real], written[11:])
    torch.manual_seed(0)
    assert model.generate_blocks(ids, mask, max_new_tokens=3, do_sample=True).shape == (2, 14)


def test_blocks_and_tokens_are_not_confused():
    model = small(prediction_horizon=4)
    with pytest.raises(ValueError, match=r"prediction_horizon is 4; allowed for generate\(\): 1"):
        model.generate(torch.tensor([[1, 2, 3, 4]]))
    for ids, mask in (([[1, 2, 3]], None), ([[0, 1, 2, 3]], torch.tensor([[0, 1, 1, 1]])), ([[]], None)):
        with pytest.raises(ValueError, match="allowed: 4 tokens or more"):
            model.generate_blocks(torch.tensor(ids, dtype=torch.long), mask)


# ---- configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_levels": -1}, "num_levels is -1; allowed: 0 or more"),
        ({"sequence_factor": 1}, "sequence_factor is 1; allowed: 2 or more"),
        ({"width_factor": 0}, "width_factor is 0; allowed: 1 or more"),
        ({"prediction_horizon": 0}, "prediction_horizon is 0; allowed: 1 or more"),
        ({"local_window": 0}, "local_window is 0; allowed: 1 or more"),
        ({"num_levels": 0, "local_window": 8}, "local_window is set and num_levels is 0"),
        ({"level_layers": [1, 1]}, r"level_layers is \[1, 1\]; allowed: num_levels \+ 1 = 4 values"),
        ({"level_layers": [1, 0, 1, 1]}, "allowed: 1 or more at each level"),
        ({"level_layers": [1, 1, 1, 1], "num_hidden_layers": 5}, "num_hidden_layers is 5; allowed: the sum"),
        ({"num_hidden_layers": 3}, "allowed: 1 or more at each level"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5; allowed: a divisor of hidden_size"),
        ({"level_heads": [6, 6, 6, 5]}, "allowed at level 3: a divisor of its width, 384"),
        ({"level_heads": [0, 6, 6, 6]}, "allowed at level 0"),
        ({"is_causal": False}, "is_causal is False; allowed: True where num_levels is 3"),
        ({"num_levels": "3"}, "num_levels"),
    ],
)
def test_wrong_configurations_are_named(changes, message):
    with pytest.raises(Exception, match=message) as caught:
        ConvGptConfig(**changes)
    assert isinstance(caught.value, ValueError) or "Strict" in type(caught.value).__name__


def test_heads_of_the_levels_go_before_heads_of_all():
    config = ConvGptConfig(hidden_size=48, num_attention_heads=5, num_levels=1, level_heads=[3, 16], vocab_size=50)
    assert ConvGptConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()
    model = ConvGptModel(config)
    assert [block.attn.head_size for block in model.h] == [16, 6, 6, 16]
    ConvGptForCausalLM(config)(torch.tensor([[1, 2, 3]])).logits.sum().backward()
    flat = ConvGptConfig(hidden_size=48, num_attention_heads=5, num_levels=0, level_heads=[3])
    assert flat.num_attention_heads == 3


@pytest.mark.hunt
@given(
    levels=st.integers(0, 3),
    factor=st.integers(2, 5),
    width=st.integers(1, 3),
    layers=st.integers(4, 9),
    window=st.one_of(st.none(), st.integers(1, 9)),
)
def test_every_configuration_survives_saving_and_runs(levels, factor, width, layers, window):
    window = window if levels else None
    shape = {"num_levels": levels, "sequence_factor": factor, "width_factor": width, "local_window": window}
    config = ConvGptConfig(**SMALL, **shape, num_hidden_layers=layers)
    assert sum(config.level_layers) == layers == config.num_hidden_layers
    assert ConvGptConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()
    model = ConvGptForCausalLM(config)
    ids = random_ids(model, 2, 23)
    model(ids, labels=ids).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_what_writes_to_the_stream_starts_small():
    torch.manual_seed(0)
    model = ConvGptModel(ConvGptConfig(num_hidden_layers=8))
    small_std = 0.02 / 16**0.5
    for module in (model.h[3].attn.c_proj, model.h[3].mlp.c_proj, model.expanders[2].conv):
        assert abs(module.weight.std().item() / small_std - 1) < 0.05
        assert isinstance(module, nn.Module) and not module.bias.any()
    assert abs(model.compressors[2].conv.weight.std().item() / 0.02 - 1) < 0.05
