# Copyright 2026 The hf_variants authors. MIT licence.
"""The calculations against hand-made models and sums, that nothing is left behind, and the program around them."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForMaskedLM, BertConfig

from hf_variants.bert.configuration_highway_bert import HighwayBertConfig
from hf_variants.bert.configuration_minbert import MinBertConfig
from hf_variants.experiments.analysis import depth
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer
from training import analyze_depth

TEXT = "Now is the Winter of our Discontent, 1593;\nmade glorious Summer: by this Son of York!\n" * 20
CORPUS = Corpus("sample", {"train": [TEXT], "validation": [TEXT[100:1100]]})
TOKENIZER = build_tokenizer(TokenizerArguments(), CORPUS, 32)
SIZES = {
    "vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
QUESTIONS = depth.ask(CORPUS, TOKENIZER, block_size=32, max_blocks=20, batch_size=8)
NETS = {
    "residual": MinBertConfig(**SIZES, norm_position="pre"),
    "post": MinBertConfig(**SIZES),
    "highway": HighwayBertConfig(**SIZES),
    "scalar": HighwayBertConfig(**SIZES, gate_type="scalar", gate_input="normed"),
    "uncoupled": HighwayBertConfig(**SIZES, gate_coupling="uncoupled"),
}


def build(name, **changes):
    """A model with weights large enough for every lesion to show."""
    torch.manual_seed(1)
    config = type(NETS[name]).from_dict(NETS[name].to_dict() | changes)
    model = AutoModelForMaskedLM.from_config(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def all_ids():
    return torch.from_numpy(QUESTIONS.evaluation.batch["input_ids"])


# ---- questions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "expected"),
    [("a", "lower case"), ("Z", "upper case"), ("7", "digit"), ("\n", "whitespace"), ("!", "punctuation"),
     ("—", "punctuation"), ("##ing", "lower case"), ("##", "punctuation"), ("漢", "other"), ("", "other")],
)  # fmt: skip
def test_token_classes(token, expected):
    assert depth.token_class(token) == expected


def test_every_input_token_has_its_class():
    ids, classes = QUESTIONS.evaluation.batch["input_ids"], QUESTIONS.classes
    assert classes.shape == ids.shape == (20, 32)
    assert ((ids == TOKENIZER.mask_token_id) == (classes == depth.CLASSES.index("masked"))).all()
    plain = classes != depth.CLASSES.index("masked")
    expected = [depth.token_class(token) for token in TOKENIZER.convert_ids_to_tokens(ids[plain].tolist())]
    assert [depth.CLASSES[index] for index in classes[plain]] == expected
    assert len(set(expected)) == 5


# ---- openings ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def by_hand(model, name):
    """T, C, update and stream of the first sublayer."""
    attention = model.bert.encoder.layer[0].attention
    stream = model.bert.embeddings(all_ids())
    normed = stream if name == "post" else attention.output.LayerNorm(stream)
    update = attention.output.dense(attention.self(normed)[0])
    if name in ("residual", "post"):
        return torch.ones_like(stream), torch.ones_like(stream), update, stream
    gate = attention.output.gate
    read = normed if name == "scalar" else stream
    T = torch.sigmoid(read @ gate.transform.weight.T + gate.transform.bias)
    if name == "uncoupled":
        return 2 * T, 2 * torch.sigmoid(read @ gate.carry.weight.T + gate.carry.bias), update, stream
    return T, 1 - T, update, stream


@pytest.mark.parametrize("name", NETS)
def test_openings_equal_the_ones_computed_by_hand(name):
    model = build(name)
    T, C, update, stream = by_hand(model, name)
    expected = {"transform": T.mean(-1), "carry": C.mean(-1)}
    expected["update_ratio"] = (T * update).norm(dim=-1) / (C * stream).norm(dim=-1)
    found = depth.openings(model, QUESTIONS)
    assert list(found) == ["1 attention", "1 feed-forward", "2 attention", "2 feed-forward"]
    masked = QUESTIONS.classes == depth.CLASSES.index("masked")
    for quantity, values in expected.items():
        values, first = values.numpy(), found["1 attention"][quantity]
        assert first["mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert first["by_position"] == pytest.approx(values.mean(0), rel=1e-5)
        assert first["by_class"]["masked"] == pytest.approx(values[masked].mean(), rel=1e-5)
        assert first["by_class"]["not masked"] == pytest.approx(values[~masked].mean(), rel=1e-5)
        assert "special" not in first["by_class"]


# ---- lesions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["1 attention", "2 feed-forward"])
@pytest.mark.parametrize("name", ["residual", "post"])
def test_a_dropped_sublayer_of_a_residual_net_is_one_whose_update_is_zero(name, which):
    model = build(name)
    silenced = copy.deepcopy(model)
    nn.init.zeros_(depth.sublayers(silenced)[which].dense.weight)
    nn.init.zeros_(depth.sublayers(silenced)[which].dense.bias)
    with depth.without_sublayer(depth.sublayers(model)[which]):
        found = model(all_ids()).logits
    assert torch.equal(found, silenced(all_ids()).logits)
    assert not torch.allclose(found, model(all_ids()).logits)


@pytest.mark.parametrize("name", ["highway", "scalar"])
def test_lesions_of_a_gated_sublayer(name):
    model = build(name)
    closed, silenced = copy.deepcopy(model), copy.deepcopy(model)
    nn.init.zeros_(depth.sublayers(closed)["2 attention"].gate.transform.weight)
    nn.init.constant_(depth.sublayers(closed)["2 attention"].gate.transform.bias, -1e4)
    nn.init.zeros_(depth.sublayers(silenced)["2 attention"].dense.weight)
    nn.init.zeros_(depth.sublayers(silenced)["2 attention"].dense.bias)
    output = depth.sublayers(model)["2 attention"]
    with depth.without_sublayer(output):
        assert torch.equal(model(all_ids()).logits, closed(all_ids()).logits)
    with depth.without_sublayer(output, carry_only=True):
        assert torch.allclose(model(all_ids()).logits, silenced(all_ids()).logits, atol=1e-6)


def test_dropped_and_swapped_layers_equal_hand_made_models():
    model = build("highway")
    first, second = model.bert.encoder.layer
    single = build("highway", num_hidden_layers=1)
    single.load_state_dict({n: v for n, v in model.state_dict().items() if "layer.1." not in n})
    swapped = copy.deepcopy(model)
    swapped.bert.encoder.layer[0].load_state_dict(second.state_dict())
    swapped.bert.encoder.layer[1].load_state_dict(first.state_dict())
    lesions = depth.lesion_study(model, QUESTIONS)
    assert lesions["layers"]["2"] == depth.validation_loss(single, QUESTIONS)
    assert lesions["swaps"] == {"1 ↔ 2": depth.validation_loss(swapped, QUESTIONS)}
    assert lesions["layers"]["1"] != lesions["layers"]["2"]


@pytest.mark.parametrize("name", NETS)
def test_looking_leaves_the_model_exactly_as_it_was(name):
    model = build(name)
    weights, before = copy.deepcopy(model.state_dict()), model(all_ids()).logits
    layers = list(model.bert.encoder.layer)
    lesions = depth.lesion_study(model, QUESTIONS)
    depth.openings(model, QUESTIONS)
    depth.estimation_curves(model, QUESTIONS)
    assert torch.equal(model(all_ids()).logits, before)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(a is b for a, b in zip(layers, model.bert.encoder.layer, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any("join" in vars(output) for output in depth.sublayers(model).values())
    assert lesions["intact"] == depth.validation_loss(model, QUESTIONS)
    assert set(lesions["carry_only"]) == (set(lesions["sublayers"]) if depth.is_gated(model) else set())


def test_a_lesion_ends_with_an_error_as_well():
    model = build("highway")
    output, layers = depth.sublayers(model)["1 attention"], model.bert.encoder.layer
    with pytest.raises(RuntimeError), depth.without_sublayer(output), depth.layer_order(model, [1]):
        raise RuntimeError
    assert "join" not in vars(output)
    assert model.bert.encoder.layer is layers


# ---- iterative estimation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["residual", "post", "highway"])
def test_the_last_point_of_every_curve_is_the_model_itself(name):
    model = build(name)
    curves = depth.estimation_curves(model, QUESTIONS)
    assert {len(values) for values in curves.values()} == {3}
    assert curves["lens_loss"][-1] == pytest.approx(depth.validation_loss(model, QUESTIONS), rel=1e-5)
    assert curves["cosine"][-1] == pytest.approx(1, abs=1e-6)
    assert [curves[name][-1] for name in ("distance", "mean_difference", "std_difference")] == [0, 0, 0]
    assert curves["distance"][0] > 0.1


@torch.no_grad()
def test_curves_equal_the_ones_computed_by_hand():
    model = build("residual")
    states = [model.bert.embeddings(all_ids())]
    for layer in model.bert.encoder.layer:
        states.append(layer(states[-1]))
    difference = (states[1] - states[2]).double()
    curves = depth.estimation_curves(model, QUESTIONS)
    assert curves["mean_difference"][1] == pytest.approx(difference.mean().item(), rel=1e-4)
    assert curves["std_difference"][1] == pytest.approx(difference.std(unbiased=False).item(), rel=1e-4)
    relative = difference.norm(dim=-1) / states[2].double().norm(dim=-1)
    assert curves["distance"][1] == pytest.approx(relative.mean().item(), rel=1e-4)
    logits = model.cls(model.bert.encoder.LayerNorm(states[1]))
    labels = torch.from_numpy(QUESTIONS.evaluation.batch["labels"])
    expected = nn.functional.cross_entropy(logits.transpose(1, 2), labels)
    assert curves["lens_loss"][1] == pytest.approx(expected.item(), rel=1e-5)


# ---- folders and the program ---------------------------------------------------------------------------------------


def save(name, folder, **changes):
    build(name, **changes).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two models, a run with two snapshots, and the text."""
    folder = tmp_path_factory.mktemp("depth")
    save("residual", folder / "residual")
    save("highway", folder / "highway")
    for step in (10, 200):
        save("highway", folder / "run" / "snapshots" / f"step-{step:08d}")
    (folder / "text").mkdir()
    for split, texts in CORPUS.splits.items():
        (folder / "text" / f"{split}.txt").write_text(texts[0])
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        analyze_depth.main([str(argument) for argument in arguments])
    return stop.value.code


def test_the_program_writes_the_analysis_and_the_plots(saved, tmp_path, capsys):
    models = ("--models", saved / "residual", saved / "highway", "--snapshots", saved / "run" / "snapshots")
    assert run(*models, "--data", saved / "text", "--max_blocks", 8, "--output_dir", tmp_path) == 0
    analysis = json.loads((tmp_path / "analysis.json").read_text())
    model, _ = depth.load_model(saved / "highway")
    questions = depth.ask(CORPUS, TOKENIZER, block_size=32, max_blocks=8)
    found = analysis["models"]["highway"]
    assert found["lesions"] == depth.lesion_study(model, questions)
    assert found["openings"] == depth.openings(model, questions)
    assert found["gates"]["gate_type"] == "feature" and analysis["models"]["residual"]["gates"] == {}
    assert [moment["step"] for moment in analysis["over_training"]["run"]] == [10, 200]
    means = analysis["over_training"]["run"][1]["openings"]["2 attention"]
    assert means["transform"] == found["openings"]["2 attention"]["transform"]["mean"]
    assert analysis["data"]["fingerprint"].startswith("sha256:") and "torch" in analysis["environment"]
    for plot in ("gate_opening", "lesions", "iterative_estimation", "over_training"):
        assert (tmp_path / f"{plot}.png").read_bytes()[:4] == b"\x89PNG"
    assert f"highway: validation loss {found['lesions']['intact']:.4f}, mean T 0." in capsys.readouterr().out


def test_without_snapshots_there_is_no_plot_over_training(saved, tmp_path):
    one = ("--models", saved / "residual", "--block_size", 16, "--max_blocks", 2)
    assert run(*one, "--data", saved / "text", "--output_dir", tmp_path) == 0
    assert not (tmp_path / "over_training.png").exists()
    assert json.loads((tmp_path / "analysis.json").read_text())["models"]["residual"]["block_size"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "nowhere"], "nowhere: no saved model"),
        (["--models", "{bert}"], "model_type is 'bert'; allowed: minbert, highway_bert"),
        (["--models", "{flat}"], "num_hidden_layers is 0"),
        (["--models", "{headless}"], "no weights for"),
        (["--models", "{residual}", "{residual}"], "is given twice"),
        (["--models", "{residual}", "--block_size", "64"], "allows 32"),
        (["--models", "{residual}", "--max_blocks", "0"], "--max_blocks: 0"),
        (["--snapshots", "{residual}"], "no snapshots"),
        ([], "--models, --snapshots or both"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message, saved, tmp_path, capsys):
    BertConfig(**SIZES).save_pretrained(tmp_path / "bert")
    save("residual", tmp_path / "flat", num_hidden_layers=0)
    headless = save("residual", tmp_path / "headless")
    build("residual").bert.save_pretrained(headless)
    places = {name: tmp_path / name for name in ("bert", "flat", "headless")} | {"residual": saved / "residual"}
    given = [argument.format(**places) for argument in arguments]
    capsys.readouterr()
    assert run(*given, "--data", saved / "text", "--output_dir", tmp_path / "out") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert not (tmp_path / "out").exists()


def test_labels_are_as_short_as_they_can_be(tmp_path):
    a, b, c = tmp_path / "x" / "final", tmp_path / "y" / "final", tmp_path / "y" / "best"
    assert depth.labels([a, c]) == {"final": a, "best": c}
    assert depth.labels([a, b]) == {"x/final": a, "y/final": b}
    assert depth.labels([]) == {}
    with pytest.raises(InputError, match="given twice"):
        depth.labels([a, tmp_path / "y" / ".." / "x" / "final"])


def test_averages_leave_out_classes_that_do_not_occur():
    averages = depth._averages(np.asarray([[1.0, 3.0]]), np.asarray([[0, 7]]))
    assert averages == {
        "mean": 2.0, "by_position": [1.0, 3.0], "by_class": {"lower case": 1.0, "masked": 3.0, "not masked": 1.0},
    }  # fmt: skip
