# Copyright 2026 The hf_variants authors. MIT licence.
"""What every variant guarantees, over every row of `hf_variants/auto.py`: a new row needs no further code."""

import pytest
import torch
import transformers

from hf_variants.auto import TABLE, register
from tests.helpers.folders import load_without_the_package, write_folder
from tests.helpers.models import (
    DECODERS,
    HEADS,
    batch,
    build,
    labels,
    outputs,
    tiny_config,
)
from tests.helpers.sameness import assert_same_model

ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
EVERY_HEAD = pytest.mark.parametrize(
    ("row", "auto"), HEADS, ids=[f"{row.model_type}-{auto.__name__}" for row, auto in HEADS]
)
LANGUAGE_MODELS = [
    (row, auto.__name__) for row, auto in HEADS if auto.__name__ in ("AutoModelForMaskedLM", "AutoModelForCausalLM")
]
LANGUAGE_MODEL = pytest.mark.parametrize(
    ("row", "auto_name"), LANGUAGE_MODELS, ids=[row.model_type for row, _ in LANGUAGE_MODELS]
)
# The design asks torch.export of encoders only: a decoder's way through its cache is not one graph.
EXPORTABLE = pytest.mark.parametrize(
    "row", [row for row in TABLE if row not in DECODERS], ids=lambda row: row.model_type
)
# A recurrent net has no attention: nothing to choose or to record there.
RECURRENT = [row for row in TABLE if not hasattr(row.config_class(), "num_attention_heads")]
# Softmax ignores what is the same for all keys, so the gradient of a key bias is rounding noise around 0; and what is
# the same for all places of a text where an answer may begin, so is that of the bias of their scores.
NO_GRADIENT = ("key.bias", "qa_outputs.bias")


def tiny_model(row, auto_name="AutoModel", **overrides):
    return build(row.classes[getattr(transformers, auto_name)], tiny_config(row.model_type, **overrides))


def skip_recurrent(row, reason):
    if row in RECURRENT:
        pytest.skip(f"{row.model_type} {reason}")


@ROWS
def test_row_is_registered_once_more_without_harm(row):
    register()
    config = transformers.AutoConfig.for_model(row.model_type)
    assert type(config) is row.config_class
    assert config.auto_map.keys() == {"AutoConfig", *(auto.__name__ for auto in row.classes)}
    for auto, model_class in row.classes.items():
        assert auto._model_mapping[row.config_class] is model_class


@EVERY_HEAD
def test_loss_is_chosen_for_the_head(row, auto):
    suffix = auto.__name__.removeprefix("AutoModel")
    assert row.classes[auto].__name__.endswith(suffix)
    if suffix:
        model = tiny_model(row, auto.__name__)
        assert model.loss_function is transformers.loss.loss_utils.LOSS_MAPPING[suffix]


@ROWS
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_does_not_change_real_tokens(row, attention, side):
    if attention != "eager":
        skip_recurrent(row, "has no attention")
    model = tiny_model(row, attn_implementation=attention)
    alone = batch(model.config, size=3, length=6)
    ids = torch.full((3, 10), 5)
    mask = torch.zeros_like(ids)
    positions = torch.zeros_like(ids)
    for line, length in enumerate((6, 4, 1)):
        span = slice(0, length) if side == "right" else slice(10 - length, 10)
        ids[line, span] = alone["input_ids"][line, :length]
        mask[line, span] = 1
        positions[line, span] = torch.arange(length)
    padded = outputs(model, {"input_ids": ids, "attention_mask": mask, "position_ids": positions})
    for line, length in enumerate((6, 4, 1)):
        expected = outputs(model, {"input_ids": alone["input_ids"][line : line + 1, :length]})[0]
        torch.testing.assert_close(padded[line][mask[line].bool()], expected, atol=1e-5, rtol=1e-5)


@EVERY_HEAD
def test_eager_equals_sdpa(row, auto):
    skip_recurrent(row, "has no attention")
    model = tiny_model(row, auto.__name__)
    inputs = batch(model.config)
    inputs["attention_mask"][0, 5:] = 0
    model.set_attn_implementation("eager")
    eager = outputs(model, inputs)
    model.set_attn_implementation("sdpa")
    torch.testing.assert_close(outputs(model, inputs), eager, atol=1e-5, rtol=1e-5)


@EVERY_HEAD
def test_gradients_reach_every_parameter(row, auto):
    model = tiny_model(row, auto.__name__).train()
    inputs = batch(model.config)
    if "token_type_embeddings" in dict(model.named_modules()):
        inputs["token_type_ids"] = inputs["input_ids"] % 2
    result = model(**inputs, **labels(auto.__name__, inputs))
    tensors = [value for value in result.values() if isinstance(value, torch.Tensor) and value.requires_grad]
    loss = tensors[0] if auto is not transformers.AutoModel else sum((t * torch.randn_like(t)).sum() for t in tensors)
    loss.backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if not name.endswith(NO_GRADIENT) and (parameter.grad is None or not parameter.grad.abs().max() > 0)
    ]
    assert not without


@ROWS
def test_gradient_checkpointing_changes_nothing(row):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(row).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**batch(model.config))[0].square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(gradients[1], gradients[0])


@ROWS
def test_hidden_states_and_attentions_are_recorded(row):
    model = tiny_model(row, attn_implementation="eager")
    inputs = batch(model.config)
    result = model(**inputs, output_hidden_states=True, output_attentions=True)
    assert len(result.hidden_states) == model.config.num_hidden_layers + 1
    if row in RECURRENT:
        assert "attentions" not in result
    else:
        assert len(result.attentions) == model.config.num_hidden_layers
        torch.testing.assert_close(result.attentions[0].sum(-1), torch.ones(2, model.config.num_attention_heads, 9))
    as_tuple = model(**inputs, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[0], result[0])


@ROWS
def test_embeddings_may_replace_ids(row):
    model = tiny_model(row)
    inputs = batch(model.config)
    embedded = model.get_input_embeddings()(inputs["input_ids"])
    assert torch.equal(outputs(model, {"inputs_embeds": embedded}), outputs(model, {"input_ids": inputs["input_ids"]}))
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model(**inputs, inputs_embeds=embedded)


@LANGUAGE_MODEL
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_resizing_the_vocabulary_keeps_logits_and_ties(row, auto_name, tied, tmp_path):
    model = tiny_model(row, auto_name, tie_word_embeddings=tied)
    inputs = batch(model.config)
    before = outputs(model, inputs)
    model.resize_token_embeddings(model.config.vocab_size + 7)
    after = outputs(model, inputs)
    assert after.shape[-1] == before.shape[-1] + 7 == model.config.vocab_size
    torch.testing.assert_close(after[..., :-7], before)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    for each in (model, again):
        same = each.get_output_embeddings().weight is each.get_input_embeddings().weight
        assert same == tied
    assert_same_model(again, model, **inputs)


@EVERY_HEAD
def test_built_on_the_meta_device_then_loaded(row, auto, tmp_path):
    model = tiny_model(row, auto.__name__)
    with torch.device("meta"):
        empty = type(model)(model.config)
    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
    model.save_pretrained(tmp_path)
    loaded, report = type(model).from_pretrained(tmp_path, device_map={"": "cpu"}, output_loading_info=True)
    assert not any(report.values())
    assert_same_model(loaded.eval(), model, **batch(model.config))


@ROWS
def test_parts_missing_from_a_checkpoint_are_initialised(row, tmp_path):
    base = row.classes[transformers.AutoModel](tiny_config(row.model_type))
    kept = {name: value for name, value in base.state_dict().items() if not name.startswith("pooler.")}
    base.save_pretrained(tmp_path, state_dict=kept)
    for auto, model_class in row.classes.items():
        model, report = auto.from_pretrained(tmp_path, output_loading_info=True)
        assert type(model) is model_class and not report["unexpected_keys"]
        fresh = model_class(base.config).state_dict()
        for name in report["missing_keys"]:
            loaded = model.state_dict()[name]
            spread = fresh[name].std(correction=0)
            # a head with few weights that are drawn widely has a standard deviation that varies as well
            assert abs(loaded.std(correction=0) - spread) < max(0.02, 0.3 * spread), name


@ROWS
def test_device_maps_split_no_layer(row):
    model = tiny_model(row)
    present = {type(module).__name__ for module in model.modules()}
    assert set(model._no_split_modules) <= present


@EVERY_HEAD
def test_bf16(row, auto):
    model = tiny_model(row, auto.__name__)
    inputs = batch(model.config)
    full = outputs(model, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = model(**inputs, **labels(auto.__name__, inputs))
        result[0].float().square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    half = outputs(model.to(torch.bfloat16), inputs)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), full, atol=0.15 * full.std().item() + 0.05, rtol=0.1)


@ROWS
def test_saved_folders_load_where_the_package_is_missing(row, tmp_path):
    """One clean process loads every Auto class twice: what was saved here, and what it saved itself."""
    for auto in row.classes:
        write_folder(row, auto, tmp_path / auto.__name__)
    load_without_the_package(tmp_path, [auto.__name__ for auto in row.classes])


@EXPORTABLE
def test_torch_export(row):
    skip_recurrent(row, "has a loop over the text, which torch.export unrolls for one length")
    model = tiny_model(row)
    inputs = batch(model.config)
    inputs["attention_mask"][0, 5:] = 0
    length = torch.export.Dim("length", min=2, max=model.config.max_position_embeddings)
    shapes = {name: {1: length} for name in inputs}
    program = torch.export.export(model, (), kwargs=inputs, dynamic_shapes=shapes, strict=False)
    longer = batch(model.config, length=13)
    torch.testing.assert_close(outputs(program.module(), longer), outputs(model, longer), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@ROWS
def test_torch_compile(row):
    skip_recurrent(row, "reads how long the texts are, which is no part of one graph; see tests/gru")
    model = tiny_model(row)
    inputs = batch(model.config)
    if row in DECODERS:  # as in training; with a cache, see test_decoder_checks.py
        inputs["use_cache"] = False
    expected = model(**inputs)[0]
    expected.square().mean().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    compiled = torch.compile(model, fullgraph=True)(**inputs)[0]
    compiled.square().mean().backward()
    torch.testing.assert_close(compiled, expected, atol=1e-4, rtol=1e-4)
    for name, parameter in model.named_parameters():
        # what the loss does not reach (a pooler) has no gradient in eager mode, and zeros when compiled
        wanted, found = gradients.get(name), parameter.grad
        zeros = torch.zeros_like(parameter)
        torch.testing.assert_close(
            zeros if found is None else found, zeros if wanted is None else wanted, atol=1e-3, rtol=1e-3
        )
