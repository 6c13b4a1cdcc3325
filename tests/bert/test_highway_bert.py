# Copyright 2026 The hf_variants authors. MIT licence.
"""highway_bert: the published counts, the gates against plain reference code, and conversion without loss."""

import itertools
import logging

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from hf_variants.bert.configuration_highway_bert import HighwayBertConfig
from hf_variants.bert.configuration_minbert import MinBertConfig
from hf_variants.bert.modeling_highway_bert import (
    HighwayBertForMaskedLM,
    HighwayBertForSequenceClassification,
    HighwayBertModel,
    HighwayGate,
)
from hf_variants.bert.modeling_minbert import MinBertForMaskedLM, MinBertModel
from tests.bert.test_minbert import SIZES, padded_batch, pretrained
from tests.helpers.models import batch, build, outputs, tiny_config
from tests.helpers.sameness import assert_same_model

BERT_PARTS = {"embedding_norm": True, "mlm_transform": True, "tie_word_embeddings": True, "type_vocab_size": 2}
GATES = [
    dict(zip(("gate_type", "gate_coupling", "gate_input", "norm_position"), values, strict=True))
    for values in itertools.product(
        ("feature", "scalar"), ("coupled", "uncoupled"), ("stream", "normed"), ("post", "pre")
    )
]
EVERY_GATE = pytest.mark.parametrize("gates", GATES, ids=lambda gates: "-".join(gates.values()))


def naive_join(update, stream, normed, gate, config):
    """Gate a sublayer's result in the words of the paper, one feature at a time."""
    source = stream if config.gate_input == "stream" else normed
    opening = source @ gate.transform.weight.T + gate.transform.bias
    transform = 1 / (1 + torch.exp(-opening))
    carry = 1 - transform
    if config.gate_coupling == "uncoupled":
        transform = 2 * transform
        carry = 2 / (1 + torch.exp(-(source @ gate.carry.weight.T + gate.carry.bias)))
    joined = [
        transform[..., min(i, transform.shape[-1] - 1)] * update[..., i]
        + carry[..., min(i, carry.shape[-1] - 1)] * stream[..., i]
        for i in range(stream.shape[-1])
    ]
    return torch.stack(joined, dim=-1)


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        ({"skip_connection": "residual"}, 25_353_282),
        ({}, 29_555_778),
        ({"gate_type": "scalar"}, 25_353_282 + 16 * 513),
        ({"gate_coupling": "uncoupled"}, 25_353_282 + 2 * 16 * 512 * 513),
    ],
    ids=["residual", "highway", "scalar", "uncoupled"],
)
def test_published_configuration_has_the_published_count(overrides, count):
    with torch.device("meta"):
        model = HighwayBertForMaskedLM(HighwayBertConfig(**overrides))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_published_residual_net_is_a_minbert():
    config = HighwayBertConfig(skip_connection="residual")
    shared = {name: getattr(config, name) for name in MinBertConfig.__annotations__}
    with torch.device("meta"):
        model = MinBertForMaskedLM(MinBertConfig(**shared))
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_353_282


@pytest.mark.parametrize("norm_position", ["post", "pre"])
def test_residual_is_minbert_to_the_bit(norm_position):
    sizes = {"norm_position": norm_position, **BERT_PARTS, "layer_norm_eps": 1e-5, "pad_token_id": 0}
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    results = []
    for model_class, config in (
        (MinBertForMaskedLM, tiny_config("minbert", **sizes, **dropout)),
        (HighwayBertForMaskedLM, tiny_config("highway_bert", skip_connection="residual", **sizes, **dropout)),
    ):
        torch.manual_seed(5)
        model = model_class(config).train()
        inputs = padded_batch(config)
        result = model(**inputs, labels=inputs["input_ids"])
        result.loss.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        results.append((model.state_dict(), result.logits, gradients))
    assert all(torch.equal(results[0][0][name], value) for name, value in results[1][0].items())
    assert results[0][0].keys() == results[1][0].keys()
    assert torch.equal(results[0][1], results[1][1])
    assert all(torch.equal(results[0][2][name], value) for name, value in results[1][2].items())


@EVERY_GATE
def test_gates_leave_all_other_initial_weights_alone(gates):
    states = []
    for skip_connection in ("residual", "highway"):
        torch.manual_seed(5)
        states.append(
            HighwayBertModel(tiny_config("highway_bert", skip_connection=skip_connection, **gates)).state_dict()
        )
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())
    assert {name.rsplit("gate.", 1)[0] for name in states[1].keys() - states[0].keys()} == {
        f"encoder.layer.{layer}.{sublayer}" for layer in (0, 1) for sublayer in ("attention.output.", "output.")
    }


@EVERY_GATE
def test_fast_join_equals_the_naive_reference_with_gradients(gates):
    model = build(HighwayBertModel, tiny_config("highway_bert", **gates)).double()
    sublayer = model.encoder.layer[0].output
    update, stream, normed = (torch.randn(2, 5, 32, dtype=torch.double, requires_grad=True) for _ in range(3))
    watched = [update, stream, *sublayer.gate.parameters()]
    weights = torch.randn(2, 5, 32, dtype=torch.double)
    results = []
    for join in (sublayer.join, lambda *args: naive_join(*args, sublayer.gate, model.config)):
        joined = join(update, stream, normed)
        results.append([joined, *torch.autograd.grad((joined * weights).sum(), watched)])
    for fast, naive in zip(*results, strict=True):
        torch.testing.assert_close(fast, naive)


@EVERY_GATE
def test_each_gate_is_evaluated_once_and_can_be_read(gates):
    model = build(HighwayBertModel, tiny_config("highway_bert", **gates))
    read = []
    for module in model.modules():
        if isinstance(module, HighwayGate):
            module.register_forward_hook(lambda module, inputs, output: read.append(output))
    outputs(model, batch(model.config))
    assert len(read) == 2 * model.config.num_hidden_layers
    width = 32 if gates["gate_type"] == "feature" else 1
    values = read if gates["gate_coupling"] == "coupled" else [value for pair in read for value in pair]
    limit = 1 if gates["gate_coupling"] == "coupled" else 2
    assert all(value.shape == (2, 9, width) and value.min() >= 0 and value.max() <= limit for value in values)


def test_initial_opening_is_the_bias():
    for gate_bias in (-2.0, 0, 1.5):
        model = HighwayBertModel(tiny_config("highway_bert", gate_bias=gate_bias))
        opening = model.encoder.layer[1].output.gate(torch.randn(1, 3, 32))
        torch.testing.assert_close(opening, torch.sigmoid(torch.tensor(float(gate_bias))).expand(1, 3, 32))


def test_bias_zero_drains_the_stream_and_a_negative_one_keeps_it():
    """With sublayers that return nothing, what is left is what the gates carry: (1 - T) to the power of 16."""
    for gate_bias, left in ((0.0, 0.5**16), (-2.0, 0.1310)):
        config = tiny_config("highway_bert", num_hidden_layers=8, gate_bias=gate_bias)
        layers = HighwayBertModel(config).encoder.layer
        stream = start = torch.ones(1, 3, 32)
        for layer in layers:
            for sublayer in (layer.attention.output, layer.output):
                stream = sublayer.join(torch.zeros_like(stream), stream, stream)
        torch.testing.assert_close(stream, left * start, rtol=1e-2, atol=0)


def test_autocast_keeps_the_stream_in_fp32():
    for coupling in ("coupled", "uncoupled"):
        model = HighwayBertModel(tiny_config("highway_bert", gate_coupling=coupling))
        streams = []
        model.encoder.layer[1].register_forward_hook(lambda module, inputs, output, seen=streams: seen.append(output))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(**batch(model.config))
        assert streams[0].dtype == torch.float32


@pytest.mark.parametrize("gate_type", ["feature", "scalar"])
@pytest.mark.parametrize("gate_coupling", ["coupled", "uncoupled"])
@pytest.mark.parametrize("layer_norm_eps", [1e-12, 1e-2])
def test_neutral_gates_convert_a_bert_without_loss(gate_type, gate_coupling, layer_norm_eps, tmp_path):
    bert = build(
        transformers.BertForMaskedLM, transformers.BertConfig(**SIZES, layer_norm_eps=layer_norm_eps), spread=0.1
    )
    bert.save_pretrained(tmp_path)
    options = {"gate_type": gate_type, "gate_coupling": gate_coupling, "gate_init": "neutral"}
    model, report = HighwayBertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True, **options)
    assert not report["unexpected_keys"] and not report["mismatched_keys"]
    gates = {name for name, _ in model.named_parameters() if ".gate." in name}
    assert report["missing_keys"] == gates
    inputs = padded_batch(bert.config)
    torch.testing.assert_close(outputs(model.eval(), inputs), outputs(bert, inputs), atol=2e-5, rtol=1e-5)
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert all(dict(model.named_parameters())[name].grad.abs().max() > 0 for name in gates)


@pytest.mark.parametrize("gate_coupling", ["coupled", "uncoupled"])
def test_packaged_pretrained_bert_converts_without_loss(gate_coupling):
    bert = transformers.BertModel.from_pretrained(pretrained()).eval()
    model = HighwayBertModel.from_pretrained(pretrained(), gate_init="neutral", gate_coupling=gate_coupling).eval()
    inputs = padded_batch(bert.config, length=40)
    with torch.no_grad():
        actual, expected = model(**inputs), bert(**inputs)
    torch.testing.assert_close(actual.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)


def test_uncoupled_neutral_gates_are_the_residual_net_before_a_norm_too(tmp_path):
    baseline = build(MinBertModel, tiny_config("minbert", norm_position="pre"))
    baseline.save_pretrained(tmp_path)
    options = {"gate_coupling": "uncoupled", "gate_init": "neutral"}
    model = HighwayBertModel.from_pretrained(tmp_path, **options).eval()
    assert model.config.norm_position == "pre"
    inputs = batch(baseline.config)
    torch.testing.assert_close(outputs(model, inputs), outputs(baseline, inputs), atol=1e-5, rtol=1e-5)


def test_a_neutral_start_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises((ValueError, StrictDataclassError), match="gate_init.*gate_coupling.*norm_position"):
        HighwayBertConfig(gate_init="neutral")
    build(MinBertModel, tiny_config("minbert", norm_position="pre")).save_pretrained(tmp_path)
    with pytest.raises((ValueError, StrictDataclassError), match="gate_init"):
        HighwayBertModel.from_pretrained(tmp_path, gate_init="neutral")


def test_a_converted_model_keeps_its_structure_when_saved(tmp_path):
    build(MinBertForMaskedLM, tiny_config("minbert")).save_pretrained(tmp_path / "minbert")
    converted = HighwayBertForMaskedLM.from_pretrained(tmp_path / "minbert", gate_init="neutral").eval()
    assert converted.config.to_dict().items() >= BERT_PARTS.items()
    converted.save_pretrained(tmp_path / "highway")
    again, report = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "highway", output_loading_info=True)
    assert type(again) is HighwayBertForMaskedLM and not any(report.values())
    assert again.config.auto_map["AutoModel"] == "modeling_highway_bert.HighwayBertModel"
    assert_same_model(again.eval(), converted, **batch(converted.config))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("skip_connection", "highwy"),
        ("gate_type", "vector"),
        ("gate_coupling", "both"),
        ("gate_input", "x"),
        ("gate_init", "zero"),
        ("gate_bias", "low"),
        ("gate_bias", float("nan")),
        ("gate_bias", float("-inf")),
    ],
)
def test_wrong_values_are_named(field, value):
    with pytest.raises((ValueError, StrictDataclassError), match=rf"{field}.*{value}"):
        HighwayBertConfig(**{field: value})


def test_a_warning_names_new_parameters(tmp_path, caplog):
    build(MinBertModel, tiny_config("minbert")).save_pretrained(tmp_path)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    HighwayBertForSequenceClassification.from_pretrained(tmp_path)
    logger.removeHandler(caplog.handler)
    assert "gate.transform.weight" in caplog.text and "classifier.weight" in caplog.text
