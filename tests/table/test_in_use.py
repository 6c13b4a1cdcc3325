# Copyright 2026 The hf_variants authors. MIT licence.
"""Every head of `hf_variants/auto.py` as others use it: Trainer, pipelines, adapters of PEFT. No row needs code.

`test_shared_checks.py` has the pipelines once more, from folders and without this package; `ecosystem/` has the
libraries that are no development requirement.
"""

import math
from collections.abc import Callable
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    pipeline,
)

from hf_variants.hub.load_check import TASKS
from tests.helpers.folders import OPTIONS, PIPELINES, model_with_tokenizer, sample_texts
from tests.helpers.models import HEADS, outputs
from tests.helpers.sameness import SCORES, assert_same_outputs

LINES = [line.lower() for line in topics["assert"].splitlines() if len(line) > 20][:8]


def heads(serves: Callable[[str], bool]) -> Any:
    """Parametrize a test with the heads whose Auto class is served."""
    served = [(row, auto) for row, auto in HEADS if serves(auto.__name__)]
    return pytest.mark.parametrize(("row", "auto"), served, ids=[f"{r.model_type}-{a.__name__}" for r, a in served])


# ---- Trainer -------------------------------------------------------------------------------------------------------


def examples(auto_name: str, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Return tokenized lines of several lengths with labels for the head."""
    rows = [dict(tokenizer(line, truncation=True, max_length=14 + n)) for n, line in enumerate(LINES)]
    for number, row in enumerate(rows):
        if auto_name == "AutoModelForSequenceClassification":
            row["label"] = number % 3
        elif auto_name == "AutoModelForTokenClassification":
            row["labels"] = [token % 3 for token in row["input_ids"]]
        elif auto_name == "AutoModelForQuestionAnswering":
            row |= {"start_positions": number, "end_positions": number + 2}
    return rows


def collator(auto_name: str, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return transformers' own way to a batch for the head's objective."""
    if auto_name in ("AutoModelForMaskedLM", "AutoModelForCausalLM"):
        return DataCollatorForLanguageModeling(tokenizer, mlm="Masked" in auto_name, mlm_probability=0.5)
    if auto_name == "AutoModelForTokenClassification":
        return DataCollatorForTokenClassification(tokenizer)
    return DataCollatorWithPadding(tokenizer)


@heads(lambda name: name != "AutoModel")
def test_trainer_trains_and_evaluates(row, auto, tmp_path):
    model, tokenizer = model_with_tokenizer(row, auto)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    options = {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 8, "report_to": [], "use_cpu": True}
    arguments = TrainingArguments(output_dir=str(tmp_path), max_steps=2, save_strategy="no", **options)
    rows, name = examples(auto.__name__, tokenizer), auto.__name__
    trainer = Trainer(model, arguments, collator(name, tokenizer), rows, rows)
    assert trainer.train().training_loss > 0
    assert not [name for name, parameter in model.named_parameters() if not parameter.isfinite().all()]
    moved = [name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])]
    assert len(moved) > len(before) // 2
    assert math.isfinite(trainer.evaluate()["eval_loss"])


# ---- pipelines -----------------------------------------------------------------------------------------------------


def as_features(answer: Any, output: torch.Tensor, **_: Any) -> None:
    assert_same_outputs(torch.tensor(answer[0])[: len(output)], output)  # the rest is padding of the batch


def as_filled(answer: Any, output: torch.Tensor, ids: torch.Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
    scores = output[ids == tokenizer.mask_token_id][0].softmax(-1)
    assert [found["token"] for found in answer] == scores.topk(5).indices.tolist()
    assert [found["score"] for found in answer] == pytest.approx(scores.topk(5).values.tolist(), **SCORES)


def as_classes(answer: Any, output: torch.Tensor, **_: Any) -> None:
    expected = {f"LABEL_{label}": score for label, score in enumerate(output.softmax(-1).tolist())}
    assert {found["label"]: found["score"] for found in answer} == pytest.approx(expected, **SCORES)


def as_token_classes(answer: Any, output: torch.Tensor, ids: torch.Tensor, tokenizer: Any) -> None:
    ordinary = [place for place, token in enumerate(ids.tolist()) if token not in tokenizer.all_special_ids]
    scores, labels = output.softmax(-1)[ordinary].max(-1)
    assert [(found["index"], found["entity"]) for found in answer] == [
        (place, f"LABEL_{label}") for place, label in zip(ordinary, labels.tolist(), strict=True)
    ]
    assert [found["score"] for found in answer] == pytest.approx(scores.tolist(), **SCORES)


CHECKS = {
    "feature-extraction": as_features,
    "fill-mask": as_filled,
    "text-classification": as_classes,
    "token-classification": as_token_classes,
}


@heads(lambda name: PIPELINES.get(name) in CHECKS)
def test_a_pipeline_says_what_the_model_computes(row, auto):
    model, tokenizer = model_with_tokenizer(row, auto)
    task = PIPELINES[auto.__name__]
    texts = sample_texts(task)
    answers = pipeline(task, model=model, tokenizer=tokenizer)(texts, batch_size=2, **OPTIONS.get(task, {}))
    for text, answer in zip(texts, answers, strict=True):
        inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        CHECKS[task](answer, outputs(model, inputs)[0], ids=inputs["input_ids"][0], tokenizer=tokenizer)


@heads(lambda name: name == "AutoModelForCausalLM")
def test_a_pipeline_writes_what_generate_writes(row, auto):
    model, tokenizer = model_with_tokenizer(row, auto)
    texts, options = sample_texts("text-generation"), OPTIONS["text-generation"]
    answers = pipeline("text-generation", model=model, tokenizer=tokenizer)(texts, **options)
    for text, answer in zip(texts, answers, strict=True):
        inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        written = tokenizer.decode(model.generate(**inputs, **options)[0], skip_special_tokens=True)
        assert answer[0]["generated_text"] == written and written.startswith(text)


# ---- adapters ------------------------------------------------------------------------------------------------------


# PEFT trains a new head whole; of these two it does not know that all-linear must leave it out.
HEAD_NAMES = {"TOKEN_CLS": ["classifier"], "QUESTION_ANS": ["qa_outputs"]}


def all_outputs(model, inputs):
    """Every tensor that the model gives: bigru's linear layers change what is pooled, not its hidden states."""
    with torch.no_grad():
        found = model(**inputs).to_tuple()
    return torch.cat([value.flatten() for value in found if isinstance(value, torch.Tensor)])


@heads(lambda name: True)
def test_lora_attaches_saves_loads_and_merges(row, auto, tmp_path):
    model, tokenizer = model_with_tokenizer(row, auto)
    inputs = tokenizer(LINES[0][:20], return_tensors="pt", return_token_type_ids=False)
    task = next((task for task, name in TASKS.items() if name == auto.__name__), None)
    model.save_pretrained(tmp_path / "base")
    lora = LoraConfig(task_type=task, r=2, target_modules="all-linear", exclude_modules=HEAD_NAMES.get(task))
    adapted = get_peft_model(model, lora).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    expected = all_outputs(adapted, inputs)
    adapted.save_pretrained(tmp_path / "adapter")
    base = type(model).from_pretrained(tmp_path / "base")
    assert not torch.allclose(all_outputs(base.eval(), inputs), expected, atol=1e-4)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert_same_outputs(all_outputs(loaded, inputs), expected)
    torch.testing.assert_close(all_outputs(loaded.merge_and_unload(), inputs), expected, atol=1e-5, rtol=1e-4)
