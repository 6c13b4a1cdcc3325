# Copyright 2026 The hf_variants authors. MIT licence.
"""similarity_bert: every fast form against its definition, masks that hide everything, half precision, conversion."""

import itertools
import logging
import subprocess
import sys

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st

from hf_variants.bert.attention_similarity_bert import euclidean_scores, naive_attention, naive_scores
from hf_variants.bert.configuration_similarity_bert import SimilarityBertConfig
from hf_variants.bert.modeling_minbert import MinBertForMaskedLM
from hf_variants.bert.modeling_similarity_bert import (
    LEARNED_SCALES,
    SimilarityBertForMaskedLM,
    SimilarityBertModel,
    SimilarityBertSelfAttention,
)
from tests.bert.test_minbert import SIZES, padded_batch, pretrained
from tests.helpers.models import batch, build, outputs, tiny_config
from tests.helpers.sameness import assert_same_outputs

SIMILARITIES = ("dot_product", "cosine", "euclidean", "gaussian")
OPTIONS = {
    "default": {},
    "learned": {"learn_temperature": True},
    "tied": {"tie_query_key": True},
    "narrow": {"query_key_size": 5},
    "wide": {"query_key_size": 13, "learn_temperature": True},
}
EVERY_SIMILARITY = pytest.mark.parametrize("similarity", SIMILARITIES)
EVERY_OPTION = pytest.mark.parametrize("option", OPTIONS)
# Width with 12 heads and a feed-forward width of 3072 -> parameters of the masked language model, as published.
PUBLISHED = {
    768: 109_514_298,
    384: 47_565_498,
    192: 22_010_106,
    96: 10_587_162,
    48: 5_214_378,
    24: 2_612_658,
}


def similarity_config(similarity: str, **options) -> SimilarityBertConfig:
    """Return a tiny configuration with the defaults of a similarity, which the shared tests' configuration changes."""
    defaults = {"learn_temperature": None, "query_key_size": None}
    return tiny_config("similarity_bert", attention_similarity=similarity, **defaults | options)


def attention_module(similarity: str, dtype: torch.dtype = torch.float32, **options) -> SimilarityBertSelfAttention:
    """Return a self-attention in eval mode, with a temperature or bandwidth of its own for each head if learned."""
    config = similarity_config(similarity, attn_implementation="sdpa", **options)
    return build(SimilarityBertModel, config).encoder.layer[0].attention.self.to(dtype)


def random_states(module, rows=3, length=11, dtype=torch.float32, spread=1.0):
    """Return queries, keys and values that need gradients; keys are the queries where they are tied."""
    generator = torch.Generator().manual_seed(3)
    heads, width = module.config.num_attention_heads, module.config.query_key_width
    sizes = (width, width, module.config.hidden_size // heads)
    states = [spread * torch.randn(rows, heads, length, size, generator=generator) for size in sizes]
    query, key, value = (state.to(dtype).requires_grad_() for state in states)
    return query, query if module.key is None else key, value


def attend(module, query, key, value, mask=None) -> torch.Tensor:
    """Return what the module makes of these queries, keys and values, `(rows, heads, length, head)`."""
    rows, heads, length, size = value.shape
    module.project = lambda hidden_states: (query, key, value)
    output, _ = module(value.new_zeros(rows, length, heads * size), mask)
    return output.view(rows, length, heads, size).transpose(1, 2)


def padding(side: str, rows=3, length=11) -> torch.Tensor:
    """Return which keys are visible, `(rows, 1, length, length)`: all, some, and none at all."""
    ends = torch.tensor([length, length // 2, 0])[:rows, None]
    real = torch.arange(length) < ends
    return (real if side == "right" else real.flip(1))[:, None, None].expand(-1, -1, length, -1)


def scale_of(module) -> torch.Tensor | float:
    """Return what multiplies the similarity."""
    return module.scaling if module.scale() is None else module.scale()


def with_gradients(result, watched):
    """Return a result and the gradients of a random weighting of it."""
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(4), dtype=result.dtype)
    return [result, *torch.autograd.grad((result * weights).sum(), watched)]


# ---- fast against naive --------------------------------------------------------------------------------------------


@EVERY_SIMILARITY
@EVERY_OPTION
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_fast_equals_the_definition_with_gradients(similarity, option, side, implementation):
    module = attention_module(similarity, **OPTIONS[option])
    module.config._attn_implementation = implementation
    query, key, value = random_states(module)
    watched = [query, value, *([] if key is query else [key])]
    watched += [] if module.learned is None else [getattr(module, module.learned)]
    visible = padding(side)
    mask = visible if implementation == "sdpa" else torch.zeros(visible.shape).masked_fill(~visible, -3e38)
    fast = attend(module, query, key, value, mask)
    assert fast.isfinite().all()
    naive = naive_attention(similarity, query, key, value, scale_of(module), visible)
    for found, expected in zip(with_gradients(fast, watched), with_gradients(naive, watched), strict=True):
        # that of a temperature is a sum over all pairs, in fp32 on either side
        far = 1e-5 if found.ndim > 1 else 4e-5
        torch.testing.assert_close(found, expected, atol=far, rtol=far)


@EVERY_SIMILARITY
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_rows_that_see_nothing_leave_no_nan(similarity, side, implementation):
    module = attention_module(similarity, tie_query_key=similarity == "euclidean", learn_temperature=True)
    model = build(SimilarityBertModel, module.config).train()
    model.set_attn_implementation(implementation)
    inputs = batch(model.config, size=3, length=11) | {"attention_mask": padding(side)[:, 0, 0].long()}
    hidden = model(**inputs).last_hidden_state
    hidden.square().sum().backward()
    assert hidden.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@EVERY_SIMILARITY
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_does_not_change_real_tokens(similarity, implementation, side):
    config = similarity_config(similarity, tie_query_key=True)
    model = build(SimilarityBertModel, config)
    model.set_attn_implementation(implementation)
    ids = batch(config, size=1, length=6)["input_ids"]
    before, after = (0, 4) if side == "right" else (4, 0)
    pad = torch.nn.functional.pad
    padded = {
        "input_ids": pad(ids, (before, after), value=5),
        "attention_mask": pad(torch.ones_like(ids), (before, after)),
        "position_ids": pad(torch.arange(6)[None], (before, after)),
    }
    found = outputs(model, padded)[:, before : before + 6]
    torch.testing.assert_close(found, outputs(model, {"input_ids": ids}), atol=1e-5, rtol=1e-5)


def ready_mask(lowest: float, dtype: torch.dtype) -> torch.Tensor:
    """Return a mask of 4 dimensions to be added, `(3, 1, 11, 11)`; the last row sees nothing."""
    visible = padding("left")
    return torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, lowest)


@EVERY_SIMILARITY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_ready_mask_to_be_added_is_that_of_padding(similarity, dtype):
    model = build(SimilarityBertModel, similarity_config(similarity)).to(dtype)
    ids = batch(model.config, size=3, length=11)["input_ids"]
    visible = padding("left")[:, 0, 0]
    expected = outputs(model, {"input_ids": ids, "attention_mask": visible.long()})
    for lowest in (torch.finfo(dtype).min, -torch.inf):
        hidden = model(input_ids=ids, attention_mask=ready_mask(lowest, dtype)).last_hidden_state
        torch.testing.assert_close(hidden[visible], expected[visible], atol=1e-5, rtol=1e-5)
        model.zero_grad()
        hidden.float().square().sum().backward()
        assert hidden.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@EVERY_SIMILARITY
def test_attention_weights_have_the_precision_of_the_model(similarity):
    model = build(SimilarityBertModel, similarity_config(similarity)).to(torch.bfloat16)
    model.set_attn_implementation("eager")
    attentions = model(**batch(model.config), output_attentions=True).attentions
    assert {weights.dtype for weights in attentions} == {torch.bfloat16}


@EVERY_SIMILARITY
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("length", [1.0, 400.0, 60_000.0])
@pytest.mark.parametrize("learned", [True, False], ids=["learned", "fixed"])
def test_fp16_is_right_for_keys_of_any_length_that_it_holds(similarity, implementation, length, learned):
    """Half the square of a key of 362 is already too large for fp16; queries are as long as scores allow."""
    module = attention_module(similarity, torch.float16, learn_temperature=learned)
    module.config._attn_implementation = implementation
    query, key, value = (states.detach() for states in random_states(module, rows=2, dtype=torch.float16))
    # one key is by far the longest, so that a distance is not simply to the nearest of long ones
    key = (key / key.norm(dim=-1, keepdim=True)).clone()
    key[:, :, 3] *= length
    if similarity == "dot_product":
        query = query / length  # the product of eager attention is rounded to fp16 before softmax, as BERT's is
    found = attend(module, query, key, value).double()
    scale = scale_of(module) if module.scale() is None else scale_of(module).double()
    exact = naive_attention(similarity, *(states.double() for states in (query, key, value)), scale)
    torch.testing.assert_close(found, exact, atol=5e-3, rtol=5e-3)


@EVERY_SIMILARITY
@EVERY_OPTION
def test_bf16_is_as_accurate_as_the_dot_product(similarity, option):
    """Errors against the definition in fp64 on the same numbers, as a share of what comes out."""
    errors = {}
    for name in ("dot_product", similarity):
        sizes = {"hidden_size": 128, "num_attention_heads": 2}
        options = OPTIONS[option] | {"query_key_size": 5 * OPTIONS[option].get("query_key_size", 0) or None}
        module = attention_module(name, torch.bfloat16, **sizes, **options)
        query, key, value = random_states(module, rows=4, length=128, dtype=torch.bfloat16)
        fast = attend(module, query, key, value)
        scale = scale_of(module) if module.scale() is None else scale_of(module).double()  # as bf16 has rounded it
        exact = naive_attention(name, *(states.double() for states in (query, key, value)), scale)
        errors[name] = ((fast - exact).norm() / exact.norm()).item()
    # 1.1: other weights, so another sample of errors
    assert errors[similarity] <= 1.1 * errors["dot_product"], errors


def test_the_second_column_is_what_bf16_needs():
    """The key's term is around 100 here, where bf16 counts in halves: one column would be useless."""
    module = attention_module("gaussian").to(torch.bfloat16)
    query, key, value = random_states(module, rows=4, length=64, dtype=torch.bfloat16, spread=4.0)
    wide = [states.double() for states in (query, key, value)]
    exact = naive_attention("gaussian", *wide, module.scaling)
    fast = attend(module, query, key, value)
    rounded = (key.double().square().sum(-1) / 2).bfloat16().double()[..., None, :]
    coarse = ((wide[0] @ wide[1].transpose(-1, -2) - rounded) * module.scaling).softmax(-1) @ wide[2]
    assert (fast - exact).abs().mean() < (coarse - exact).abs().mean() / 3


@pytest.mark.parametrize("tied", [False, True])
def test_distance_zero_has_finite_gradients_and_no_rounding(tied):
    query = (10 + torch.randn(1, 2, 7, 8)).requires_grad_()
    key = query if tied else torch.randn(1, 2, 7, 8).requires_grad_()
    scores = euclidean_scores(query, key, 0.5, tied)
    torch.testing.assert_close(scores, naive_scores("euclidean", query, key, 0.5), atol=1e-4, rtol=1e-5)
    if tied:
        assert scores.diagonal(dim1=-2, dim2=-1).abs().max() <= 1e-6
    scores.exp().sum().backward()
    assert query.grad.isfinite().all()


def test_the_gradient_of_distances_is_that_of_small_differences():
    query, key = (torch.randn(2, 1, 4, 3, dtype=torch.double, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda q, k: euclidean_scores(q, k, 0.7), (query, key))
    assert torch.autograd.gradcheck(lambda q: euclidean_scores(q, q, 0.7, True).tril(-1), (query,))


@pytest.mark.hunt
@given(
    similarity=st.sampled_from(SIMILARITIES),
    size=st.none() | st.integers(1, 20),
    learned=st.none() | st.booleans(),
    tied=st.booleans(),
    length=st.integers(1, 12),
    scale=st.none() | st.floats(0.2, 20),
)
def test_any_configuration_computes_its_definition(similarity, size, learned, tied, length, scale):
    field = "bandwidth" if similarity in ("gaussian", "euclidean") else "temperature"
    module = attention_module(
        similarity, query_key_size=size, learn_temperature=learned, tie_query_key=tied, **{field: scale}
    )
    query, key, value = random_states(module, rows=2, length=length)
    fast = attend(module, query, key, value)
    naive = naive_attention(similarity, query, key, value, scale_of(module))
    torch.testing.assert_close(fast, naive, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@EVERY_SIMILARITY
def test_flex_attention_equals_the_definition(similarity):
    module = attention_module(similarity, query_key_size=16, tie_query_key=similarity == "euclidean")
    model = build(SimilarityBertModel, module.config)
    inputs = batch(model.config, size=2, length=24)
    inputs["attention_mask"][0, 17:] = 0
    expected = outputs(model, inputs)
    model.set_attn_implementation("flex_attention")
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(outputs(model, inputs)[real], expected[real], atol=1e-4, rtol=1e-4)


@EVERY_SIMILARITY
def test_torch_export(similarity):
    model = build(SimilarityBertModel, similarity_config(similarity))
    inputs = batch(model.config)
    inputs["attention_mask"][0, 5:] = 0
    shapes = {name: {1: torch.export.Dim("length", min=2, max=24)} for name in inputs}
    program = torch.export.export(model, (), kwargs=inputs, dynamic_shapes=shapes, strict=False)
    longer = batch(model.config, length=13)
    torch.testing.assert_close(outputs(program.module(), longer), outputs(model, longer), atol=1e-5, rtol=1e-5)


@EVERY_SIMILARITY
def test_autocast_is_close_and_trains(similarity):
    config = similarity_config(similarity, learn_temperature=True)
    model = build(SimilarityBertModel, config).train()
    inputs = padded_batch(config)
    full = outputs(model, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(**inputs).last_hidden_state
        half.float().square().mean().backward()
    real = inputs["attention_mask"].bool()
    assert (half.float() - full)[real].abs().mean() < 0.05 * full.std()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


# ---- the model -----------------------------------------------------------------------------------------------------


def test_dot_product_is_minbert_to_the_bit():
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    results = []
    for model_class, config in (
        (MinBertForMaskedLM, tiny_config("minbert", **dropout)),
        (
            SimilarityBertForMaskedLM,
            similarity_config("dot_product", **dropout),
        ),
    ):
        torch.manual_seed(5)
        model = model_class(config).train()
        inputs = padded_batch(config)
        result = model(**inputs, labels=inputs["input_ids"])
        result.loss.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        results.append((model.state_dict(), {"logits": result.logits}, gradients))
    for expected, found in zip(*results, strict=True):
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], value) for name, value in found.items())


@EVERY_SIMILARITY
def test_all_similarities_start_from_the_same_weights(similarity):
    states = []
    for name in ("dot_product", similarity):
        torch.manual_seed(5)
        config = similarity_config(name, learn_temperature=True)
        states.append(SimilarityBertModel(config).state_dict())
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items() if "log_" not in name)


@pytest.mark.parametrize("width", PUBLISHED)
def test_published_widths_have_the_published_counts(width):
    with torch.device("meta"):
        model = SimilarityBertForMaskedLM(SimilarityBertConfig(hidden_size=width))
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[width]


@pytest.mark.parametrize(
    ("similarity", "name", "start"),
    [
        ("dot_product", "log_temperature", 8**-0.5),
        ("cosine", "log_cosine_temperature", 10.0),
        ("gaussian", "log_bandwidth", 8**0.25),
        ("euclidean", "log_euclidean_bandwidth", 8**0.5),
    ],
)
def test_learned_scales_start_as_fixed_ones(similarity, name, start):
    learned = SimilarityBertModel(similarity_config(similarity, learn_temperature=True))
    logarithm = dict(learned.named_parameters())[f"encoder.layer.1.attention.self.{name}"]
    torch.testing.assert_close(logarithm.exp(), torch.full((4,), start))
    fixed = SimilarityBertModel(similarity_config(similarity, learn_temperature=False))
    assert not any("log_" in each for each, _ in fixed.named_parameters())
    fixed.load_state_dict(learned.state_dict(), strict=False)
    inputs = batch(fixed.config)
    torch.testing.assert_close(outputs(learned.eval(), inputs), outputs(fixed.eval(), inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("trained", "other"), list(itertools.permutations(SIMILARITIES, 2)))
def test_a_scale_that_another_similarity_learned_is_not_taken_over(trained, other, tmp_path):
    build(SimilarityBertModel, similarity_config(trained, learn_temperature=True)).save_pretrained(tmp_path)
    model, report = SimilarityBertModel.from_pretrained(tmp_path, attention_similarity=other, output_loading_info=True)
    places = [f"encoder.layer.{layer}.attention.self." for layer in range(model.config.num_hidden_layers)]
    assert report["missing_keys"] == {place + LEARNED_SCALES[other] for place in places}
    assert report["unexpected_keys"] == {place + LEARNED_SCALES[trained] for place in places}
    start = torch.full((model.config.num_attention_heads,), model.config.initial_scale)
    for place in places:
        torch.testing.assert_close(model.state_dict()[place + LEARNED_SCALES[other]].exp(), start)


@EVERY_SIMILARITY
def test_a_pretrained_bert_loads_into_every_similarity(similarity, tmp_path, caplog):
    bert = build(transformers.BertForMaskedLM, transformers.BertConfig(**SIZES), spread=0.1)
    bert.save_pretrained(tmp_path)
    logging.getLogger("transformers").addHandler(caplog.handler)
    model, report = SimilarityBertForMaskedLM.from_pretrained(
        tmp_path, attention_similarity=similarity, output_loading_info=True
    )
    logging.getLogger("transformers").removeHandler(caplog.handler)
    new = {name for name, _ in model.named_parameters() if "log_" in name}
    assert bool(new) == (similarity == "cosine") == ("log_cosine_temperature" in caplog.text)
    assert report["missing_keys"] == new and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert model.config.attention_similarity == similarity
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in bert.state_dict().items())
    inputs = padded_batch(bert.config)
    same = torch.allclose(outputs(model.eval(), inputs), outputs(bert, inputs), atol=1e-5)
    assert same == (similarity == "dot_product")


@EVERY_SIMILARITY
def test_the_packaged_bert_loads_and_encodes(similarity):
    model = SimilarityBertModel.from_pretrained(pretrained(), attention_similarity=similarity).eval()
    hidden = outputs(model, padded_batch(model.config, length=40))
    assert hidden.isfinite().all()


def test_a_projection_that_is_not_there_is_reported(tmp_path):
    build(transformers.BertModel, transformers.BertConfig(**SIZES)).save_pretrained(tmp_path)
    tied, report = SimilarityBertModel.from_pretrained(tmp_path, tie_query_key=True, output_loading_info=True)
    assert {name.split(".self.")[1] for name in report["unexpected_keys"]} == {"key.weight", "key.bias"}
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        SimilarityBertModel.from_pretrained(tmp_path, query_key_size=3)


JOURNEY = """
import os, sys, tempfile
sys.modules["hf_variants"] = None
os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp()
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification
for similarity in sys.argv[1:]:
    encoder = AutoModelForMaskedLM.from_pretrained(similarity, trust_remote_code=True)
    assert encoder.config.attention_similarity == similarity
    model = AutoModelForSequenceClassification.from_pretrained(similarity, trust_remote_code=True, num_labels=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.arange(1, 13).view(2, 6)
    model(input_ids=ids, labels=torch.tensor([0, 2])).loss.backward()
    optimizer.step()
    model.eval().save_pretrained(similarity + "/tuned")
    with torch.no_grad():
        torch.save(model(input_ids=ids).logits, similarity + "/logits.pt")
"""


def test_a_similarity_survives_export_remote_loading_fine_tuning_and_saving(tmp_path):
    models = {}
    for similarity in ("cosine", "euclidean", "gaussian"):
        models[similarity] = build(SimilarityBertForMaskedLM, similarity_config(similarity, learn_temperature=True))
        models[similarity].save_pretrained(tmp_path / similarity)
    script = [sys.executable, "-I", "-c", JOURNEY, *models]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    ids = torch.arange(1, 13).view(2, 6)
    for similarity, model in models.items():
        folder = tmp_path / similarity
        tuned = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "tuned").eval()
        assert tuned.config.attention_similarity == similarity and type(tuned).__module__.startswith("hf_variants")
        assert_same_outputs(outputs(tuned, {"input_ids": ids}), torch.load(folder / "logits.pt", weights_only=True))
        name = f"bert.encoder.layer.0.attention.self.{LEARNED_SCALES[similarity]}"
        assert 0 < (tuned.state_dict()[name] - model.state_dict()[name]).abs().max() < 0.01
        assert (folder / "tuned" / "attention_similarity_bert.py").is_file()


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"attention_similarity": "cosin"},
            "attention_similarity.*dot_product.*cosine.*euclidean.*gaussian.*got cosin",
        ),
        ({"attention_similarity": "gaussian", "bandwidth": -1.0}, "bandwidth is -1.0; allowed: None, or 1e-6 to 1e6"),
        ({"attention_similarity": "euclidean", "bandwidth": 1e-45}, "bandwidth is 1.*e-45; allowed: None, or 1e-6"),
        ({"attention_similarity": "cosine", "temperature": 0}, "temperature is 0; allowed: None, or 1e-6 to 1e6"),
        ({"attention_similarity": "cosine", "bandwidth": 2.0}, "bandwidth.*'cosine'.*gaussian and euclidean"),
        ({"attention_similarity": "gaussian", "temperature": 2.0}, "temperature.*'gaussian'.*dot_product and cosine"),
        ({"query_key_size": 0}, "query_key_size is 0; allowed: None, or 1 or more"),
        ({"learn_temperature": "yes"}, "learn_temperature.*yes"),
    ],
)
def test_wrong_values_are_named(settings, message):
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        SimilarityBertConfig(**settings)


def test_flash_attention_is_refused_for_the_distance():
    config = similarity_config("euclidean")
    with pytest.raises((ValueError, ImportError), match="[Ff]lash"):
        SimilarityBertModel._from_config(config, attn_implementation="flash_attention_2")


def test_flex_attention_with_dropout_is_refused_for_the_distance():
    config = similarity_config("euclidean", attention_probs_dropout_prob=0.1)
    model = SimilarityBertModel(config).train()
    model.set_attn_implementation("flex_attention")
    with pytest.raises(ValueError, match="attention_probs_dropout_prob is 0.1; allowed with flex_attention: 0"):
        model(batch(config)["input_ids"])
