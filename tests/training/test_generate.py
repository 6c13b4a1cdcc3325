# Copyright 2026 The hf_variants authors. MIT licence.
"""`generate`: a model replies by its task, to --prompt, to what is piped, and to what is typed."""

import io

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from hf_variants.experiments.analysis.replies import How, load_speaker
from hf_variants.experiments.checking import InputError
from tests.helpers.models import build, char_tokenizer, find_row, tiny_config
from training import generate


def saved(folder, model_type, auto, framed=True, **settings):
    """A tiny model of a task, and a tokenizer of characters, in a folder."""
    tokenizer = char_tokenizer(framed=framed)
    config = tiny_config(model_type, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **settings)
    build(find_row(model_type).classes[auto], config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def said(capsys, *arguments, code=0) -> str:
    with pytest.raises(SystemExit) as stop:
        generate.main([str(argument) for argument in arguments])
    assert stop.value.code == code
    found = capsys.readouterr()
    return found.out if code == 0 else found.err


def test_a_decoder_writes_on(tmp_path, capsys):
    folder = saved(tmp_path, "nanogpt", AutoModelForCausalLM, framed=False)
    greedy = ["--model_dir", folder, "--tokens", 30, "--temperature", 0]
    text = said(capsys, *greedy, "--prompt", "the cat", "a dog")
    assert text.startswith("the cat") and "\na dog" in text
    assert len(text.splitlines()[0]) > len("the cat")
    sampled = ["--model_dir", folder, "--tokens", 30, "--prompt", "the cat", "--seed"]
    assert said(capsys, *sampled, 1) == said(capsys, *sampled, 1) != said(capsys, *sampled, 2)


def test_masks_are_filled_with_what_the_model_finds_most_probable(tmp_path, capsys):
    folder = saved(tmp_path, "minbert", AutoModelForMaskedLM)
    filled, first, second = said(capsys, "--model_dir", folder, "--prompt", "ab[MASK]d[MASK]", "--top", 3).splitlines()
    tokenizer = char_tokenizer()
    model = AutoModelForMaskedLM.from_pretrained(folder, trust_remote_code=True).eval()
    ids = tokenizer("ab[MASK]d[MASK]", return_tensors="pt")["input_ids"]
    best = model(ids).logits[0].argmax(-1)
    ids = ids[0]
    for place, line in ((3, first), (5, second)):
        assert line.startswith(repr(tokenizer.convert_ids_to_tokens(int(best[place])))) and line.count("%") == 3
        ids[place] = best[place]
    assert filled == tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"id2label": {0: "bad", 1: "good"}}, "%"), ({"num_labels": 1, "problem_type": "regression"}, "LABEL_0 ")],
)
def test_a_classifier_names_its_labels(tmp_path, capsys, settings, expected):
    folder = saved(tmp_path, "minbert", AutoModelForSequenceClassification, **settings)
    text = said(capsys, "--model_dir", folder, "--prompt", "abc")
    assert expected in text and ("good" in text) == ("id2label" in settings)
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
    with torch.no_grad():
        logits = model(**char_tokenizer()("abc", return_tensors="pt")).logits[0]
    shown = f"{logits.softmax(-1).max():.1%}" if "id2label" in settings else f"{logits[0]:.4f}"
    assert shown in text


def test_labels_that_exclude_nothing_have_shares_of_their_own(tmp_path):
    several = {"num_labels": 3, "problem_type": "multi_label_classification"}
    folder = saved(tmp_path, "bigru", AutoModelForSequenceClassification, **several)
    text = load_speaker(folder, How()).reply("abc")
    assert sum(float(part.split()[1].rstrip("%")) for part in text.split("  ")) != pytest.approx(100, abs=0.5)


def test_what_is_piped_is_read(tmp_path, capsys, monkeypatch):
    folder = saved(tmp_path, "minbert", AutoModelForMaskedLM)
    monkeypatch.setattr("sys.stdin", io.StringIO("a[MASK]\n\nb[MASK]\n"))
    assert len(said(capsys, "--model_dir", folder).splitlines()) == 4
    decoder = saved(tmp_path / "decoder", "nanogpt", AutoModelForCausalLM, framed=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("the\ncat\n"))
    assert said(capsys, "--model_dir", decoder, "--tokens", 1).startswith("the\ncat")


def test_on_a_terminal_it_asks_and_a_mistake_does_not_end_it(tmp_path, capsys, monkeypatch):
    folder = saved(tmp_path, "minbert", AutoModelForMaskedLM)
    typed = iter(["no mask", "a[MASK]", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    with pytest.raises(SystemExit) as stop:
        generate.main(["--model_dir", folder])
    found = capsys.readouterr()
    assert stop.value.code == 0 and len(found.out.splitlines()) == 2
    assert found.err.strip() == "error: 'no mask': nothing to fill in; put [MASK] where a token is to be found"


def test_what_cannot_be_replied_to_is_named(tmp_path, capsys):
    bare = saved(tmp_path / "bare", "minbert", AutoModel)
    with pytest.raises(InputError, match="is MinBertModel; allowed: …ForCausalLM, …ForMaskedLM"):
        load_speaker(bare, How())
    masked = saved(tmp_path / "masked", "minbert", AutoModelForMaskedLM)
    long = "a" * 40 + "[MASK]"
    assert "stands behind the 24 tokens" in said(capsys, "--model_dir", masked, "--prompt", long, code=2)
    decoder = saved(tmp_path / "decoder", "nanogpt", AutoModelForCausalLM, framed=False)
    assert "finds no token" in said(capsys, "--model_dir", decoder, "--prompt", "", code=2)
    assert "no_such" in said(capsys, "--model_dir", tmp_path / "no_such", code=2)
