# Copyright 2026 The hf_variants authors. MIT licence.
"""nanogpt against transformers' GPT-2: names, numbers, generation, and what a configuration may not say."""

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from hf_variants.gpt.configuration_nanogpt import GPT2_FIXED, NanoGptConfig
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM, NanoGptForSequenceClassification, NanoGptModel
from tests.helpers.decoders import generate, left_padding_mask
from tests.helpers.models import batch, build, labels, outputs, tiny_config
from tests.helpers.sameness import assert_same_outputs

HEADS = {
    "AutoModel": (NanoGptModel, transformers.GPT2Model),
    "AutoModelForCausalLM": (NanoGptForCausalLM, GPT2LMHeadModel),
    "AutoModelForSequenceClassification": (
        NanoGptForSequenceClassification,
        transformers.GPT2ForSequenceClassification,
    ),
}
EVERY_HEAD = pytest.mark.parametrize("auto_name", HEADS)
# Every size in GPT-2's own name, as its checkpoints have it.
SIZES = {
    "vocab_size": 99,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 24,
    "bos_token_id": None,
    "eos_token_id": None,
}


def gpt2(model_class=GPT2LMHeadModel, **options):
    """Return a GPT-2 of tiny size without dropout."""
    dropout = {"embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0}
    return build(model_class, GPT2Config(**SIZES | dropout | options), spread=0.1)


def converted(original, model_class, folder, **options):
    """Return what loads from the folder that `original` saves; nothing may be missing or left over."""
    original.save_pretrained(folder)
    model, report = model_class.from_pretrained(folder, output_loading_info=True, **options)
    assert not any(report.values())
    return model.eval()


# ---- the numbers of GPT-2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@EVERY_HEAD
def test_same_weights_give_the_outputs_of_gpt2(auto_name, attention, tmp_path):
    ours, theirs = HEADS[auto_name]
    original = gpt2(theirs, pad_token_id=0, attn_implementation=attention)
    model = converted(original, ours, tmp_path, attn_implementation=attention)
    assert model.state_dict().keys() == original.state_dict().keys()
    inputs = batch(original.config, size=3, length=16)
    for line, length in ((1, 9), (2, 1)):
        inputs["input_ids"][line, length:] = 0
        inputs["attention_mask"][line, length:] = 0
    given_labels = labels(auto_name, inputs)
    if auto_name == "AutoModelForCausalLM":
        given_labels = {"labels": inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)}
    with torch.no_grad():
        expected = original(**inputs, **given_labels, use_cache=False)
        actual = model(**inputs, **given_labels, use_cache=False)
    assert actual.keys() == expected.keys()
    real = inputs["attention_mask"].bool()
    for name, value in expected.items():
        some = real if value.shape[:2] == real.shape else ...
        torch.testing.assert_close(actual[name][some], value[some], atol=1e-5, rtol=1e-5)


def test_same_weights_give_the_gradients_of_gpt2(tmp_path):
    original = gpt2()
    model = converted(original, NanoGptForCausalLM, tmp_path)
    inputs = batch(original.config, length=16)
    for each in (original, model):
        each.train()(**inputs, labels=inputs["input_ids"]).loss.backward()
    expected = {name: parameter.grad for name, parameter in original.named_parameters()}
    actual = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}], ids=str)
@pytest.mark.parametrize("padding", [(0, 0, 0), (0, 7, 10)], ids=["alone", "left_padded"])
def test_generation_is_that_of_gpt2(options, padding, tmp_path):
    original = gpt2()
    model = converted(original, NanoGptForCausalLM, tmp_path)
    ids = batch(original.config, size=3, length=11)["input_ids"]
    given = {"attention_mask": left_padding_mask(padding, 11), "max_new_tokens": 13, **options}
    expected, actual = (generate(each, ids, **given, use_cache=True) for each in (original, model))
    assert torch.equal(actual.sequences, expected.sequences)
    torch.testing.assert_close(torch.stack(actual.logits), torch.stack(expected.logits), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("hidden_act", ["gelu_new", "gelu", "relu"])
def test_activations_of_gpt2_are_kept(hidden_act, tmp_path):
    original = gpt2(activation_function=hidden_act, n_inner=48, layer_norm_epsilon=1e-3)
    model = converted(original, NanoGptForCausalLM, tmp_path)
    assert model.config.hidden_act == {"gelu_new": "gelu_pytorch_tanh"}.get(hidden_act, hidden_act)
    assert model.config.intermediate_size == 48 and model.config.layer_norm_eps == 1e-3
    inputs = batch(original.config)
    torch.testing.assert_close(outputs(model, inputs), outputs(original, inputs), atol=1e-5, rtol=1e-5)


# ---- checkpoints ---------------------------------------------------------------------------------------------------


@EVERY_HEAD
def test_a_checkpoint_without_a_head_or_with_old_buffers_loads(auto_name, tmp_path):
    """The published files hold the bare model, without a prefix, and the causal masks as buffers."""
    original = gpt2(transformers.GPT2Model)
    state = {name: value.clone() for name, value in original.state_dict().items()}
    for layer in range(2):
        state[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 24, 24).tril()
        state[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    original.config.save_pretrained(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    model, report = HEADS[auto_name][0].from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"] and set(report["missing_keys"]) <= {"score.weight"}
    inputs = batch(original.config)
    decoder = getattr(model, "transformer", model).eval()
    torch.testing.assert_close(outputs(decoder, inputs), outputs(original, inputs), atol=1e-5, rtol=1e-5)


@EVERY_HEAD
def test_what_was_converted_saves_under_our_names_and_loads_in_both(auto_name, tmp_path):
    ours, theirs = HEADS[auto_name]
    original = gpt2(theirs, pad_token_id=0)
    model = converted(original, ours, tmp_path / "gpt2")
    again = converted(model, ours, tmp_path / "nanogpt")
    config = again.config.to_diff_dict()
    assert config["model_type"] == "nanogpt" and config["hidden_size"] == 32
    assert not [name for name in config if name.startswith(("n_", "summary_")) or name in GPT2_FIXED]
    back = theirs.from_pretrained(tmp_path / "nanogpt", config=original.config).eval()
    inputs = batch(original.config)
    for each in (again, back):
        torch.testing.assert_close(outputs(each, inputs), outputs(original, inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", GPT2_FIXED)
def test_what_nanogpt_lacks_is_refused_by_name(name, tmp_path):
    value = not GPT2_FIXED[name]
    GPT2Config(**SIZES | {name: value}).save_pretrained(tmp_path)
    for load in (NanoGptConfig, NanoGptForCausalLM):
        with pytest.raises(ValueError, match=f"{name} is {value}; allowed: {GPT2_FIXED[name]}"):
            load.from_pretrained(tmp_path)


def test_overrides_of_a_gpt2_checkpoint_are_validated(tmp_path):
    GPT2Config(**SIZES).save_pretrained(tmp_path)
    assert NanoGptConfig.from_pretrained(tmp_path, resid_pdrop=0.3).resid_pdrop == 0.3
    with pytest.raises((ValueError, StrictDataclassError), match="num_attention_heads is 5; allowed: a divisor"):
        NanoGptConfig.from_pretrained(tmp_path, num_attention_heads=5)


# ---- sizes and initial weights -------------------------------------------------------------------------------------


def test_defaults_are_the_sizes_of_gpt2():
    ours, theirs = NanoGptConfig(), GPT2Config()
    same = [name for name in NanoGptConfig.__annotations__ if "pdrop" not in name and hasattr(theirs, name)]
    assert len(same) >= 9
    assert [name for name in same if getattr(ours, name) != getattr(theirs, name)] == ["bos_token_id", "eos_token_id"]
    with torch.device("meta"):
        assert sum(p.numel() for p in NanoGptModel(ours).parameters()) == 124_439_808


def test_published_sizes_have_the_published_count():
    config = NanoGptConfig(hidden_size=192, num_attention_heads=6, max_position_embeddings=256)
    with torch.device("meta"):
        assert sum(p.numel() for p in NanoGptForCausalLM(config).parameters()) == 15_037_248


def initial_deviations(model):
    """Return `{name: (deviation, what it should be)}` of every matrix; the rest must be zeros, or ones in a norm."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            scale = (2 * model.config.num_hidden_layers) ** -0.5 if "c_proj" in name else 1
            found[name] = (parameter.std().item(), 0.02 * scale)
        else:
            assert (parameter == (1 if "ln_" in name and name.endswith("weight") else 0)).all(), name
    return found


@EVERY_HEAD
@pytest.mark.parametrize("kept", ["nothing_saved", "c_proj", "wte"])
def test_initial_weights(auto_name, kept, tmp_path):
    """Also those that a checkpoint lacks: what writes to the stream is smaller in deep nets."""
    torch.manual_seed(0)
    config = tiny_config("nanogpt", hidden_size=64, num_hidden_layers=8, intermediate_size=None, num_labels=64)
    model_class = HEADS[auto_name][0]
    model = model_class(config)
    if kept != "nothing_saved":
        state = {name: value for name, value in model.state_dict().items() if kept in name}
        model.save_pretrained(tmp_path, state_dict=state)
        model, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
        assert len(report["missing_keys"]) > 20 and not any(kept in name for name in report["missing_keys"])
        assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    for name, (deviation, expected) in initial_deviations(model).items():
        assert abs(deviation / expected - 1) < 0.07, name


# ---- positions -----------------------------------------------------------------------------------------------------


def test_positions_are_counted_from_the_first_real_token():
    model = build(NanoGptModel, tiny_config("nanogpt"))
    inputs = batch(model.config, size=3)
    inputs["attention_mask"] = left_padding_mask((0, 2, 8), 9)
    positions = torch.tensor([[max(0, column - begin) for column in range(9)] for begin in (0, 2, 8)])
    assert torch.equal(outputs(model, inputs), outputs(model, inputs | {"position_ids": positions}))
    assert not torch.allclose(outputs(model, inputs), outputs(model, inputs | {"position_ids": torch.arange(9)[None]}))


def test_positions_go_on_behind_a_cache_and_its_padding():
    model = build(NanoGptForCausalLM, tiny_config("nanogpt"))
    inputs = batch(model.config, size=3)
    mask = left_padding_mask((0, 2, 6), 9)
    cache = model(inputs["input_ids"][:, :7], attention_mask=mask[:, :7], use_cache=True).past_key_values
    counted = model.transformer.count_positions(2, cache.get_seq_length(), mask, mask.device)
    assert counted.tolist() == [[7, 8], [5, 6], [1, 2]]


def test_packed_documents_train_alike_with_and_without_a_cache():
    """`use_cache` is on by default, and a cache must not make one document out of several."""
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0, 1]] * 2)
    results = []
    for more in ({}, {"use_cache": True}, {"use_cache": False}):
        model = build(NanoGptForCausalLM, tiny_config("nanogpt")).train()
        ids = batch(model.config)["input_ids"]
        result = model(ids, position_ids=positions, labels=ids, **more)
        result.loss.backward()
        results.append([result.loss.detach(), *(parameter.grad for parameter in model.parameters())])
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
    together = model(ids, labels=ids).loss
    assert abs(together - results[0][0]) > 1e-3


# ---- the classifier ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "last"),
    [
        ([1, 1, 1, 1, 1], 4),
        ([1, 1, 1, 0, 0], 2),
        ([1, 0, 0, 0, 0], 0),
        ([0, 0, 1, 1, 1], 4),
        ([0, 0, 0, 0, 1], 4),
        ([0, 1, 1, 0, 0], 2),
    ],
)
def test_the_classifier_reads_the_last_real_token(real, last):
    model = build(NanoGptForSequenceClassification, tiny_config("nanogpt", pad_token_id=0, num_labels=3))
    mask = torch.tensor([real])
    ids = torch.tensor([[11, 12, 13, 14, 15]]) * mask
    hidden_states = outputs(model.transformer, {"input_ids": ids, "attention_mask": mask})
    expected = model.score(hidden_states[:, last])
    assert_same_outputs(outputs(model, {"input_ids": ids, "attention_mask": mask}), expected.detach())
    assert model.last_token(ids, mask, 5).tolist() == model.last_token(ids, None, 5).tolist() == [last]
    assert model.last_token(None, mask, 5).tolist() == [last]


def test_the_classifier_reads_the_last_column_where_nothing_tells_of_padding():
    model = build(NanoGptForSequenceClassification, tiny_config("nanogpt", num_labels=3))
    ids = batch(model.config)["input_ids"]
    embedded = model.get_input_embeddings()(ids)
    expected = model.score(outputs(model.transformer, {"input_ids": ids})[:, -1])
    for inputs in ({"input_ids": ids}, {"inputs_embeds": embedded}):
        assert_same_outputs(outputs(model, inputs), expected.detach())


@pytest.mark.parametrize(
    ("options", "targets", "kind"),
    [
        ({"num_labels": 1}, torch.tensor([0.5, -1.0]), functional.mse_loss),
        ({"num_labels": 3}, torch.tensor([0, 2]), functional.cross_entropy),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
            functional.binary_cross_entropy_with_logits,
        ),
    ],
    ids=["regression", "one_label", "several_labels"],
)
def test_the_classifier_takes_three_kinds_of_labels(options, targets, kind):
    model = build(NanoGptForSequenceClassification, tiny_config("nanogpt", **options))
    result = model(**batch(model.config), labels=targets)
    torch.testing.assert_close(result.loss, kind(result.logits.squeeze(-1), targets))


# ---- configurations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("num_attention_heads", 5, "divisor of hidden_size, which is 32"),
        ("num_attention_heads", 0, "allowed"),
        ("num_attention_heads", -4, "allowed"),
        ("num_hidden_layers", -1, "0 or more"),
        ("hidden_size", 0, "1 or more"),
        ("intermediate_size", 0, "1 or more"),
        ("max_position_embeddings", 0, "1 or more"),
        ("embd_pdrop", 1.0, "less than 1"),
        ("resid_pdrop", -0.1, "0 or more"),
        ("attn_pdrop", 1.5, "less than 1"),
        ("vocab_size", 0, "1 or more"),
        ("layer_norm_eps", 0, "more than 0"),
        ("layer_norm_eps", float("inf"), "more than 0 and finite"),
        ("initializer_range", float("nan"), "0 or more and finite"),
        ("num_labels", -1, "1 or more"),
        ("num_labels", 1.5, "a whole number"),
        ("initializer_range", -0.1, "0 or more"),
        ("pad_token_id", 99, "0 to 98"),
        ("hidden_act", "gleu", "gelu"),
        ("hidden_size", "32", "int"),
        ("tie_word_embeddings", 1, "bool"),
    ],
)
def test_wrong_values_are_named(field, value, allowed, tmp_path):
    with pytest.raises((ValueError, StrictDataclassError)) as error:
        tiny_config("nanogpt", **{field: value})
    assert all(part in str(error.value) for part in (field, str(value), allowed))
    # The same on loading, where transformers by itself sets overrides without validating the whole.
    tiny_config("nanogpt").save_pretrained(tmp_path)
    with pytest.raises((ValueError, StrictDataclassError), match=field):
        NanoGptConfig.from_pretrained(tmp_path, **{field: value})


@pytest.mark.hunt
@given(hidden_size=st.integers(1, 64), heads=st.integers(1, 16))
def test_heads_must_divide_the_width(hidden_size, heads):
    sizes = {"hidden_size": hidden_size, "num_attention_heads": heads}
    if hidden_size % heads == 0:
        tiny_config("nanogpt", **sizes)
    else:
        with pytest.raises(StrictDataclassError, match=f"num_attention_heads is {heads}.*which is {hidden_size}"):
            tiny_config("nanogpt", **sizes)
