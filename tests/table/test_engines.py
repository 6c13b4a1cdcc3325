# Copyright 2026 The hf_variants authors. MIT licence.
"""What others do with a model through transformers: serve it in pages, bring their own attention, compile, trace."""

import warnings
from typing import Any

import pytest
import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    ContinuousBatchingConfig,
    GenerationConfig,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tests.helpers.models import (
    CONFIGURATIONS,
    CONFIGURED,
    CONFIGURED_DECODERS,
    batch,
    build,
    is_recurrent,
    named_config,
    outputs,
)

# ---- pages ---------------------------------------------------------------------------------------------------------

PROMPTS = [[5, 9, 11, 30, 7], [3, 40, 22, 8, 17, 60, 33], [4]]


def one(part: Any) -> str:
    """The name of a parameter of a test."""
    return getattr(part, "model_type", None) or str(part)


EVERY_CONFIGURATION = pytest.mark.parametrize(("row", "name"), CONFIGURED, ids=one)


def in_pages(model: Any) -> list[list[int]]:
    """Return what continuous batching writes after the prompts."""
    written = model.generate_batch(
        PROMPTS,
        generation_config=GenerationConfig(max_new_tokens=6, do_sample=False, eos_token_id=-1, pad_token_id=0),
        continuous_batching_config=ContinuousBatchingConfig(num_blocks=16, max_batch_tokens=64, block_size=32),
        progress_bar=False,
    )
    return [result.generated_tokens for result in written.values()]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("row", "name"), CONFIGURED_DECODERS, ids=one)
def test_continuous_batching_writes_what_generate_writes_or_is_refused(row, name, attention):
    model = build(row.classes[AutoModelForCausalLM], named_config(row.model_type, name))
    model.set_attn_implementation(attention)
    if getattr(model.config, "num_levels", 0):
        with pytest.raises((ValueError, NotImplementedError), match="generate_batch|continuous batching"):
            in_pages(model)
        return
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    alone = [model.generate(torch.tensor([p]), **options)[0, len(p) :].tolist() for p in PROMPTS]
    assert in_pages(model) == alone


# ---- attention of others -------------------------------------------------------------------------------------------

CALLED: list[str] = []


def of_another(*arguments: Any, **options: Any) -> Any:
    """SDPA under another name, which notes that it was called."""
    CALLED.append("called")
    return sdpa_attention_forward(*arguments, **options)


@pytest.fixture
def registered():
    """An attention function that somebody else registered, and its name."""
    AttentionInterface.register("of_another", of_another)
    AttentionMaskInterface.register("of_another", sdpa_mask)
    CALLED.clear()
    yield "of_another"
    AttentionInterface._global_mapping.pop("of_another")
    AttentionMaskInterface._global_mapping.pop("of_another")


@EVERY_CONFIGURATION
def test_a_registered_attention_function_is_called_or_refused_by_name(row, name, registered):
    if is_recurrent(row.config_class()):
        pytest.skip("a GRU has no attention")
    config = named_config(row.model_type, name)
    model = build(row.classes[AutoModel], config)
    inputs = batch(config)
    inputs["attention_mask"][0, 6:] = 0
    expected = outputs(model, inputs)
    fits = getattr(config, "attention_similarity", "") != "euclidean" and not getattr(config, "num_levels", 0)
    if not fits:
        for ask in (
            lambda: model.set_attn_implementation(registered),
            lambda: AutoModel.from_config(named_config(row.model_type, name), attn_implementation=registered),
        ):
            with pytest.raises(ValueError, match="attn_implementation is 'of_another'; allowed .*eager"):
                ask()
        assert not CALLED
        return
    model.set_attn_implementation(registered)
    torch.testing.assert_close(outputs(model, inputs), expected, atol=1e-5, rtol=1e-5)
    assert CALLED


# ---- compiled and traced -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "name"),
    # compiling takes seconds: the first configuration of each row, and all of them among the slow tests
    [
        pytest.param(row, name, marks=[] if name == next(iter(CONFIGURATIONS[row.model_type])) else pytest.mark.slow)
        for row, name in CONFIGURED
    ],
    ids=one,
)
def test_a_model_that_says_so_compiles_as_one_graph(row, name):
    """Without generated kernels: what breaks a graph is found by tracing alone."""
    config = named_config(row.model_type, name)
    for auto in (AutoModel, AutoModelForSequenceClassification):
        model = build(row.classes[auto], config)
        claims = getattr(config, "num_levels", 0) == 0 and not is_recurrent(config)
        assert model._can_compile_fullgraph == claims
        if not claims:
            continue
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        for size, length in ((2, 9), (3, 7)):
            inputs = batch(config, size, length)
            for given in (inputs, {"input_ids": inputs["input_ids"]}):
                torch.testing.assert_close(outputs(compiled, given), outputs(model, given), atol=1e-5, rtol=1e-5)


@EVERY_CONFIGURATION
def test_a_traced_model_computes_the_same_for_other_inputs_or_is_refused(row, name):
    no_cache = {"use_cache": False} if (row, name) in CONFIGURED_DECODERS else {}  # a cache can't be an output
    config = named_config(row.model_type, name, return_dict=False, **no_cache)
    model = build(row.classes[AutoModel], config)

    def arguments(size: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = batch(config, size, length)
        inputs["attention_mask"][0, length // 2 :] = 0
        return inputs["input_ids"], inputs["attention_mask"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            traced = torch.jit.trace(model, arguments(2, 8), strict=False, check_trace=False)
        except NotImplementedError as error:
            assert "torch.jit.trace" in str(error) and "allowed" in str(error)
            return
        with torch.no_grad():
            for size, length in ((2, 8), (5, 8), (3, 13), (1, 5)):
                found = traced(*arguments(size, length))[0]
                expected = model(*arguments(size, length))[0]
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
