# Copyright 2026 The hf_variants authors. MIT licence.
"""Exported folders in other libraries, found by their path alone: sentence-transformers and lm-eval."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedModel

from hf_variants.auto import TABLE, Row
from tests.helpers.folders import model_with_tokenizer, write_folder
from tests.helpers.models import DECODERS

pytestmark = pytest.mark.ecosystem
PREFIX = 2  # the test's tokenizer has no token of its own for the start of a text
TEXTS = ["a", "a rose is a rose", "to be or not"]

# ---- sentence-transformers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
def test_sentence_transformers_takes_means_over_real_tokens(row: Row, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="makes the embeddings")
    folder = write_folder(row, AutoModel, tmp_path / "model")
    encoder = library.SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    found = encoder.encode(TEXTS, batch_size=3, convert_to_tensor=True)
    model, tokenizer = model_with_tokenizer(row, AutoModel)
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)
    mask = inputs["attention_mask"][..., None]
    assert (mask == 0).any()
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    torch.testing.assert_close(found, (states * mask).sum(1) / mask.sum(1), atol=1e-5, rtol=1e-5)


# ---- lm-eval -------------------------------------------------------------------------------------------------------

CHOICES = """
task: tiny_choices
dataset_path: json
dataset_kwargs: {data_files: {test: @FILE@}}
test_split: test
output_type: multiple_choice
doc_to_text: question
target_delimiter: ""
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{metric: acc}]
"""
ROLLING = """
task: tiny_rolling
dataset_path: json
dataset_kwargs: {data_files: {test: @FILE@}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: question
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
"""
QUESTIONS = [
    {"question": "to be or", "choices": [" not", " rose", " a"], "answer": 0},
    {"question": "a rose is a", "choices": [" rose", " not"], "answer": 0},
]


def write_tasks(folder: Path) -> None:
    """Write the two tasks and their data."""
    data = folder / "questions.jsonl"
    data.write_text("\n".join(map(json.dumps, QUESTIONS)))
    for name, text in {"choices.yaml": CHOICES, "rolling.yaml": ROLLING}.items():
        (folder / name).write_text(text.replace("@FILE@", str(data)))


def log_likelihood(model: PreTrainedModel, tokenizer: Any, context: str, text: str) -> float:
    """Return the sum of log p of the tokens of a text after a context, or after the prefix token."""
    given = tokenizer(context).input_ids or [PREFIX]
    wanted = tokenizer(text).input_ids
    with torch.no_grad():
        scores = model(torch.tensor([given + wanted])).logits[0].log_softmax(-1)
    return sum(float(scores[len(given) - 1 + place, token]) for place, token in enumerate(wanted))


@pytest.mark.parametrize("row", DECODERS, ids=lambda row: row.model_type)
def test_lm_eval_scores_as_we_do(row: Row, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("lm_eval", reason="scores")
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = write_folder(row, AutoModelForCausalLM, tmp_path / "model")
    write_tasks(tmp_path)
    results = simple_evaluate(
        model="hf",
        model_args=f"pretrained={folder},trust_remote_code=True,dtype=float32,prefix_token_id={PREFIX}",
        tasks=["tiny_choices", "tiny_rolling"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        device="cpu",
        batch_size=2,
        bootstrap_iters=0,
    )
    model, tokenizer = model_with_tokenizer(row, AutoModelForCausalLM)
    for sample, question in zip(results["samples"]["tiny_choices"], QUESTIONS, strict=True):
        found = [float(answer[0][0]) for answer in sample["resps"]]
        expected = [log_likelihood(model, tokenizer, question["question"], choice) for choice in question["choices"]]
        assert found == pytest.approx(expected, abs=1e-3)
    for sample, question in zip(results["samples"]["tiny_rolling"], QUESTIONS, strict=True):
        expected = log_likelihood(model, tokenizer, "", question["question"])
        assert float(sample["resps"][0][0]) == pytest.approx(expected, abs=1e-3)
