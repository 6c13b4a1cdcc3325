# Copyright 2026 The hf_variants authors. MIT licence.
"""conv_gpt as others use it: all of `generate()`, other attention, Trainer, a cache of another mode or precision."""

import copy
import itertools
from itertools import pairwise

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    ContinuousBatchingConfig,
    GenerationConfig,
    StaticCache,
    Trainer,
    TrainingArguments,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from hf_variants.gpt import modeling_nanogpt
from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.configuration_nanogpt import NanoGptConfig
from hf_variants.gpt.modeling_conv_gpt import ConvGptForCausalLM, ConvGptForSequenceClassification, ConvGptModel
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM
from tests.helpers.decoders import left_padding_mask, random_ids
from tests.helpers.models import CONFIGURED_DECODERS, build, named_config, tiny_config

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 128}
LEVELS = {
    "1": {"num_levels": 1},
    "2": {"num_levels": 2, "sequence_factor": 3},
    "3": {"num_levels": 3, "sequence_factor": 2, "width_factor": 1},
    "window": {"num_levels": 1, "local_window": 5},
}
EVERY_LEVEL = pytest.mark.parametrize("shape", LEVELS.values(), ids=LEVELS)
DECODERS = pytest.mark.parametrize(
    ("row", "name"), CONFIGURED_DECODERS, ids=lambda value: getattr(value, "model_type", value)
)
GREEDY = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


def conv_gpt(model_class=ConvGptForCausalLM, **changes):
    return build(model_class, ConvGptConfig(**SIZES | changes), spread=0.2)


def flat_and_nanogpt(**changes):
    """A conv_gpt without levels and the nanogpt with the same weights."""
    flat = conv_gpt(num_levels=0, num_hidden_layers=2, **changes)
    baseline = NanoGptForCausalLM(NanoGptConfig(**SIZES, num_hidden_layers=2)).eval()
    baseline.load_state_dict(flat.state_dict())
    return flat, baseline


# ---- generate() ----------------------------------------------------------------------------------------------------


@EVERY_LEVEL
@pytest.mark.parametrize("size", [1, 4, 7, 100])
@torch.no_grad()
def test_a_prompt_in_chunks_is_a_prompt(shape, size):
    model = conv_gpt(**shape)
    ids = random_ids(model, 3, 19)
    for mask in (torch.ones_like(ids), left_padding_mask([0, 3, 9], 19), left_padding_mask([8, 9, 10], 19)):
        expected = model.generate(ids, attention_mask=mask, **GREEDY)
        assert torch.equal(model.generate(ids, attention_mask=mask, prefill_chunk_size=size, **GREEDY), expected)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prompt_lookup_num_tokens": 3, "num_beams": 2}, NotImplementedError, "prompt_lookup_num_tokens .* allowed"),
        ({"prompt_lookup_num_tokens": 3}, NotImplementedError, "prompt_lookup_num_tokens .* allowed where num_levels"),
        (
            {"penalty_alpha": 0.6, "top_k": 4, "trust_remote_code": True},
            NotImplementedError,
            "contrastive search .* allowed where num_levels",
        ),
        (
            {"dola_layers": "high", "trust_remote_code": True},
            NotImplementedError,
            "dola_layers .* allowed where num_levels",
        ),
        *[
            ({"cache_implementation": name}, ValueError, f"cache_implementation is '{name}'; allowed where num_levels")
            for name in ("static", "offloaded_static", "quantized", "offloaded")
        ],
        ({"cache_implementation": "paged"}, NotImplementedError, "continuous batching .* allowed: generate()"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@EVERY_LEVEL
def test_what_levels_cannot_do_is_refused_by_name(shape, options, error, message):
    model = conv_gpt(**shape)
    with pytest.raises(error, match=message):
        model.generate(random_ids(model, 1, 7), **GREEDY | options)


def test_other_ways_to_generate_are_refused_by_name():
    model = conv_gpt(num_levels=1)
    flat, _ = flat_and_nanogpt()
    ids = random_ids(model, 1, 7)
    with pytest.raises(NotImplementedError, match="assistant_model"):
        model.generate(ids, assistant_model=flat, **GREEDY)
    with pytest.raises(NotImplementedError, match="can't be an assistant in assisted generation"):
        flat.generate(ids, assistant_model=model, **GREEDY)
    for ask in (model.generate_batch, lambda prompts: model.continuous_batching_context_manager().__enter__()):
        with pytest.raises(NotImplementedError, match="generate_batch, paged attention.* allowed: generate()"):
            ask([[1, 2, 3]])
    static = StaticCache(config=flat.config, max_cache_len=32)
    with pytest.raises(ValueError, match="past_key_values is a StaticCache; allowed where num_levels is 1: a ConvGpt"):
        model.generate(ids, past_key_values=static, **GREEDY)
    tuned = get_peft_model(model, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    with pytest.raises(ValueError, match="past_key_values is a .*Cache; allowed where num_levels is 1"):
        tuned(input_ids=ids)
    for levels in (0, 1):
        blocks = conv_gpt(num_levels=levels, prediction_horizon=2)
        with pytest.raises(ValueError, match="prediction_horizon is 2; allowed for continuous batching: 1"):
            blocks.generate_batch([[1, 2, 3]])


@EVERY_LEVEL
@torch.no_grad()
def test_guidance_and_a_cache_of_a_prompt(shape):
    model = conv_gpt(**shape)
    ids, other = random_ids(model, 2, 9), random_ids(model, 2, 4, seed=2)
    options = GREEDY | {"guidance_scale": 1.7, "negative_prompt_ids": other}
    expected = model.generate(ids, use_cache=False, **options)
    assert torch.equal(model.generate(ids, use_cache=True, **options), expected)
    cache = model(ids[:, :6], use_cache=True).past_key_values
    assert torch.equal(model.generate(ids, past_key_values=cache, **GREEDY), model.generate(ids, **GREEDY))


# ---- num_levels: 0 does all that nanogpt does ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"prompt_lookup_num_tokens": 3},
        {"cache_implementation": "static"},
        {"prefill_chunk_size": 4},
        {"num_beams": 3},
    ],
    ids=str,
)
@torch.no_grad()
def test_without_levels_generation_is_that_of_nanogpt(options):
    flat, baseline = flat_and_nanogpt()
    ids = random_ids(flat, 1, 11)
    expected = baseline.generate(ids, **GREEDY | options)
    assert torch.equal(flat.generate(ids, **GREEDY | options), expected)
    assert torch.equal(flat.generate(ids, assistant_model=baseline, **GREEDY), baseline.generate(ids, **GREEDY))
    assert torch.equal(baseline.generate(ids, assistant_model=flat, **GREEDY), baseline.generate(ids, **GREEDY))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_without_levels_prompts_are_batched_continuously(attention):
    flat, _ = flat_and_nanogpt(attn_implementation=attention)
    prompts = [[5, 9, 11, 30, 7], [3, 40, 22, 8, 17, 6, 33]]
    plain = [flat.generate(torch.tensor([prompt]), **GREEDY)[0, len(prompt) :].tolist() for prompt in prompts]
    found = flat.generate_batch(
        prompts,
        generation_config=GenerationConfig(max_new_tokens=8, do_sample=False, eos_token_id=-1, pad_token_id=0),
        continuous_batching_config=ContinuousBatchingConfig(num_blocks=16, max_batch_tokens=64, block_size=32),
    )
    assert [output.generated_tokens for output in found.values()] == plain


FLAGS = (
    "_supports_flash_attn",
    "_supports_flex_attn",
    "_supports_sdpa",
    "_supports_attention_backend",
    "_can_compile_fullgraph",
    "_is_stateful",
)


@pytest.mark.parametrize("model_class", [ConvGptModel, ConvGptForCausalLM, ConvGptForSequenceClassification])
def test_flags_say_what_a_model_can_do(model_class):
    baseline = vars(modeling_nanogpt)[model_class.__name__.replace("ConvGpt", "NanoGpt")](tiny_config("nanogpt"))
    flat = conv_gpt(model_class, num_levels=0)
    assert [getattr(flat, name) for name in FLAGS] == [getattr(baseline, name) for name in FLAGS]
    with_levels = conv_gpt(model_class, num_levels=1)
    assert [getattr(with_levels, name) for name in FLAGS] == [False, False, True, False, False, True]
    assert not model_class.is_backend_compatible()  # engines ask the class, which does not know the levels


@torch.no_grad()
def test_without_levels_a_step_compiles_into_one_graph():
    flat, _ = flat_and_nanogpt()
    ids = random_ids(flat, 2, 9)
    compiled = torch.compile(flat, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids).logits, flat(ids).logits)
    cache = StaticCache(config=flat.config, max_cache_len=16)
    first = compiled(ids, past_key_values=cache).logits
    second = compiled(ids[:, :1], past_key_values=cache).logits
    expected = flat(torch.cat([ids, ids[:, :1]], dim=1)).logits
    torch.testing.assert_close(torch.cat([first, second], dim=1), expected)


# ---- attention -----------------------------------------------------------------------------------------------------


def test_other_attention_is_refused_where_there_are_levels():
    AttentionInterface.register("mine", sdpa_attention_forward)
    AttentionMaskInterface.register("mine", sdpa_mask)
    for name in ("mine", "flash_attention_2", "flex_attention", "paged|eager"):
        message = rf"attn_implementation is '{name.replace('|', '.')}'; allowed where num_levels is 1: eager, sdpa"
        model = conv_gpt(num_levels=1)
        with pytest.raises(ValueError, match=message):
            model.set_attn_implementation(name)
        with pytest.raises(ValueError, match=message):
            conv_gpt(num_levels=1, attn_implementation=name)
        model.config._attn_implementation = name
        with pytest.raises(ValueError, match=message):
            model(torch.tensor([[1, 2, 3]]))
    with pytest.raises(ValueError, match='Specified `attn_implementation="unknown"` is not supported'):
        conv_gpt(num_levels=1).set_attn_implementation("unknown")
    flat, baseline = flat_and_nanogpt(attn_implementation="mine")
    ids, mask = random_ids(flat, 2, 9), left_padding_mask([0, 4], 9)
    torch.testing.assert_close(flat(ids, mask).logits, baseline(ids, mask).logits)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_without_levels_masks_and_attention_are_those_of_nanogpt(attention):
    flat, baseline = flat_and_nanogpt(attn_implementation=attention)
    baseline.set_attn_implementation(attention)
    ids = random_ids(flat, 2, 9)
    four = torch.ones(2, 1, 9, 9, dtype=torch.bool).tril()
    for mask in (None, left_padding_mask([0, 4], 9), four):
        for options in ({}, {"is_causal": False}):
            expected = baseline(ids, mask, **options).logits
            torch.testing.assert_close(flat(ids, mask, **options).logits, expected)


@EVERY_LEVEL
def test_attention_both_ways_and_ready_masks_are_refused(shape):
    model = conv_gpt(**shape)
    ids = random_ids(model, 1, 9)
    with pytest.raises(ValueError, match="is_causal is False; allowed: True where num_levels is "):
        model(ids, is_causal=False)
    torch.testing.assert_close(model(ids, is_causal=True).logits, model(ids).logits)
    model.config.is_causal = False
    with pytest.raises(ValueError, match="is_causal is False; allowed: True where num_levels is "):
        model(ids)
    model.config.is_causal = True
    for mask in (torch.ones(1, 9, 9), torch.ones(1, 1, 9, 9)):
        with pytest.raises(ValueError, match=f"attention_mask has {mask.ndim} dimensions; allowed: 2"):
            model(ids, mask)
    with pytest.raises(ValueError, match="attention_mask is a dict; allowed where num_levels is .: a tensor of 2"):
        model(ids, {"full_attention": torch.ones(1, 1, 9, 9)})


@pytest.mark.parametrize("shape", [*LEVELS.values(), {"num_levels": 2, "local_window": 2}], ids=str)
@torch.no_grad()
def test_every_layer_tells_its_attention_weights(shape):
    model = conv_gpt(**shape, attn_implementation="eager")
    ids = random_ids(model, 2, 40)
    outputs = model(ids, output_attentions=True)
    for block, weights in zip(model.transformer.h, outputs.attentions, strict=True):
        assert (
            weights.shape[2] == weights.shape[3] and weights.shape[1] == block.attn.c_proj.nx // block.attn.head_size
        )
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:3]))
    torch.testing.assert_close(outputs.logits, model(ids).logits)  # block by block, where there is a window


@EVERY_LEVEL
def test_tracing_is_refused(shape):
    model = conv_gpt(**shape, return_dict=False)
    with pytest.raises(NotImplementedError, match=r"torch.jit.trace .* allowed: the model itself"):
        torch.jit.trace(model, (random_ids(model, 1, 9),), strict=False, check_trace=False)


# ---- a cache made otherwise ----------------------------------------------------------------------------------------


def configured(row, name, dtype=torch.float64, **options):
    """A causal model of one of the named configurations."""
    config = named_config(row.model_type, name, max_position_embeddings=64, **options)
    return build(row.classes[AutoModelForCausalLM], config, spread=0.15).to(dtype)


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


MODES = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode, "autocast": autocast}
ENDS = (17, 40, 41, 42, 60)


def going_on(model, ids, mask, cache, ends):
    """Logits `(batch, seq, vocab)` of the columns from the first of `ends` to the last, chunk by chunk."""
    parts = []
    for begin, end in pairwise(ends):
        outputs = model(ids[:, begin:end], mask[:, :end], past_key_values=cache, use_cache=True)
        cache = outputs.past_key_values
        parts.append(outputs.logits)
    return torch.cat(parts, dim=1)


def prompts(model, padded):
    """Ids and a mask, with padding before and inside rows or none at all."""
    ids, mask = random_ids(model, 3, ENDS[-1]), torch.ones(3, ENDS[-1], dtype=torch.long)
    if padded:
        mask[0, :5] = mask[1, 9:21] = mask[2, 41] = 0
    return ids, mask


@DECODERS
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_a_cache_of_one_mode_goes_on_in_another(row, name, padded):
    model = configured(row, name, torch.float32)
    ids, mask = prompts(model, padded)
    whole = model(ids, mask, use_cache=False).logits[:, ENDS[0] :]
    real = mask[:, ENDS[0] :].bool()
    for first, second in itertools.product(MODES, repeat=2):
        with MODES[first]():
            cache = model(ids[:, : ENDS[0]], mask[:, : ENDS[0]], use_cache=True).past_key_values
        with MODES[second]():
            found = going_on(model, ids, mask, cache, ENDS)
        allowed = 0.15 if "autocast" in (first, second) else 1e-4
        assert (found.float() - whole)[real].abs().max() < allowed * whole.std(), (first, second)
        if found.requires_grad:
            model.zero_grad()
            found[real].float().square().mean().backward()
            assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None), (first, second)


@DECODERS
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_going_on_without_gradients_leaves_those_of_the_prompt(row, name, padded):
    model = configured(row, name)
    ids, mask = prompts(model, padded)
    gradients = []
    for mode in (None, torch.no_grad, torch.inference_mode):
        model.zero_grad()
        prompt = model(ids[:, :17], mask[:, :17], use_cache=True)
        if mode is not None:
            with mode():
                going_on(model, ids, mask, prompt.past_key_values, ENDS)
        prompt.logits[mask[:, :17].bool()].square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(gradients[1:], [gradients[0]] * 2)


@DECODERS
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_a_cache_of_one_precision_goes_on_in_another(row, name, padded, attention):
    model = configured(row, name, attn_implementation=attention)
    ids, mask = prompts(model, padded)
    expected = model(ids, mask, use_cache=False).logits[:, ENDS[0] :]
    real = mask[:, ENDS[0] :].bool()
    for first, second in itertools.permutations((torch.float64, torch.float32, torch.bfloat16, torch.float16), 2):
        begin = copy.deepcopy(model).to(first)
        cache = begin(ids[:, : ENDS[0]], mask[:, : ENDS[0]], use_cache=True).past_key_values
        found = going_on(copy.deepcopy(model).to(second), ids, mask, cache, ENDS)
        assert found.dtype == second
        allowed = 64 * max(torch.finfo(first).eps, torch.finfo(second).eps) * expected.std()
        assert (found - expected)[real].abs().max() < allowed, (first, second)


# ---- Trainer -------------------------------------------------------------------------------------------------------

HORIZONS = pytest.mark.parametrize("horizon", [1, 2, 4, 8])


def arguments(folder, **options):
    defaults = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "max_grad_norm": 1e9}
    return TrainingArguments(str(folder), **defaults | options)


def examples(lengths, longest=24):
    """Rows of so many tokens, filled up to one length with padding that has no label."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for length in lengths:
        ids = torch.randint(1, 50, (longest,), generator=generator)
        real = torch.arange(longest) < length
        rows.append({"input_ids": ids, "attention_mask": real.long(), "labels": ids.masked_fill(~real, -100)})
    return rows


def stacked(rows):
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


@HORIZONS
def test_trainer_evaluates_the_loss_of_the_model(horizon, tmp_path):
    model = conv_gpt(num_levels=1, prediction_horizon=horizon)
    rows = examples([24, 24, 17, 11])
    options = arguments(tmp_path, per_device_eval_batch_size=4)
    with torch.no_grad():
        expected = model(**stacked(rows)).loss.item()
    assert Trainer(model, options, eval_dataset=rows).evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)


@HORIZONS
def test_gradients_accumulate_to_the_mean_of_tokens_or_of_batches(horizon, tmp_path):
    """With a horizon of 1 labels count alike; with another, batches do: Trainer counts labels for 1 alone."""
    rows = examples([24, 13, 9, 20, 24, 16, 11, 15])
    model = conv_gpt(num_levels=1, prediction_horizon=horizon)
    if horizon == 1:
        model(**stacked(rows)).loss.backward()
    else:
        sum(model(**stacked(rows[start : start + 2])).loss for start in range(0, 8, 2)).div(4).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item()
    model.zero_grad()
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "max_steps": 1, "logging_steps": 1}
    trainer = Trainer(model, arguments(tmp_path, train_sampling_strategy="sequential", **options), train_dataset=rows)
    trainer.train()
    found = next(entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry)
    assert float(found) == pytest.approx(expected, rel=1e-4)


@HORIZONS
@pytest.mark.parametrize("levels", [0, 1])
def test_shifted_labels_of_the_caller_come_first(horizon, levels):
    model = conv_gpt(num_levels=levels, prediction_horizon=horizon)
    ids = random_ids(model, 2, 20)
    own = torch.full_like(ids, -100)
    own[:, :-horizon] = ids[:, horizon:]
    expected = model(ids, labels=ids).loss
    torch.testing.assert_close(model(ids, shift_labels=own).loss, expected)
    torch.testing.assert_close(model(ids, labels=ids * 0, shift_labels=own).loss, expected)
    own[0] = -100  # not what the labels would give
    changed = torch.nn.functional.cross_entropy(model(ids).logits[1, :-horizon], ids[1, horizon:])
    torch.testing.assert_close(model(ids, labels=ids, shift_labels=own).loss, changed)
