# Copyright 2026 The hf_variants authors. MIT licence.
"""bigru as others use it: losses, Trainer, LoRA, a larger vocabulary, and the pipeline on an exported folder."""

import json
import math
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, pipeline

from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer
from hf_variants.gru.configuration_bigru import BiGRUConfig
from hf_variants.gru.modeling_bigru import BiGRUForSequenceClassification
from hf_variants.hub.export import export_folder
from tests.helpers.models import batch, build, outputs, tiny_config
from tests.helpers.sameness import assert_same_model

TEXTS = ["you are kind", "you are rude, very rude!", "?!"]
# What one would run who has the folder alone: texts one by one and as a batch, every label's score.
CLEAN_PIPELINE = """
import json, sys
sys.modules["hf_variants"] = None
from transformers import pipeline
answer = pipeline("text-classification", model=sys.argv[1], trust_remote_code=True, top_k=None)
texts = json.loads(sys.argv[2])
assert "transformers_modules" in type(answer.model).__module__
print(json.dumps([answer(texts), answer(texts, batch_size=3)]))
"""


def classifier(**overrides):
    return build(BiGRUForSequenceClassification, tiny_config("bigru", **overrides))


@pytest.fixture(scope="module")
def tokenizer():
    corpus = Corpus("made", {"train": TEXTS, "validation": ["x"]})
    return build_tokenizer(TokenizerArguments(tokenizer="words"), corpus, 16)


@pytest.mark.parametrize(
    ("overrides", "labels", "expected"),
    [
        ({"num_labels": 3}, [2, 0], functional.cross_entropy),
        ({"num_labels": 1}, [0.5, -2.0], lambda logits, labels: functional.mse_loss(logits[:, 0], labels)),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
            functional.binary_cross_entropy_with_logits,
        ),
        (
            {"num_labels": 1, "problem_type": "multi_label_classification"},
            [1, 0],
            lambda logits, labels: functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float()),
        ),
        (
            {"num_labels": 2, "problem_type": "multi_label_classification"},
            [[1, 0], [1, 1]],
            lambda logits, labels: functional.binary_cross_entropy_with_logits(logits, labels.float()),
        ),
    ],
    ids=["single label", "regression", "multi-label", "one logit", "labels that are integers"],
)
def test_losses(overrides, labels, expected):
    model, labels = classifier(**overrides), torch.tensor(labels)
    result = model(**batch(model.config), labels=labels)
    torch.testing.assert_close(result.loss, expected(result.logits, labels))


@pytest.mark.parametrize("num_labels", [1, 3])
def test_trainer_makes_a_step(num_labels, tmp_path):
    model = classifier(num_labels=num_labels, problem_type="multi_label_classification")
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    examples = [{"input_ids": ids, "labels": torch.ones(num_labels)} for ids in batch(model.config)["input_ids"]]
    options = {"max_steps": 1, "per_device_train_batch_size": 2, "report_to": [], "use_cpu": True}
    arguments = TrainingArguments(output_dir=str(tmp_path), **options)
    assert Trainer(model=model, args=arguments, train_dataset=examples).train().training_loss > 0
    assert all(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_a_larger_vocabulary(tmp_path):
    model = classifier()
    inputs = batch(model.config)
    before = outputs(model, inputs)
    model.resize_token_embeddings(120)
    assert model.config.vocab_size == 120 and torch.equal(outputs(model, inputs), before)
    model.save_pretrained(tmp_path)
    again = BiGRUForSequenceClassification.from_pretrained(tmp_path)
    inputs["input_ids"] += 20
    assert_same_model(again.eval(), model, **inputs)


def test_lora_without_linear_layers_takes_the_embedding():
    """Attention pooling has linear layers (see the shared checks); PEFT knows no GRU."""
    model = classifier(pooling="last")
    inputs = batch(model.config)
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["embed_tokens"])).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_embedding" in name:
                parameter.normal_()
    expected = outputs(adapted, inputs)
    torch.testing.assert_close(outputs(adapted.merge_and_unload(), inputs), expected, atol=1e-5, rtol=1e-4)


def test_a_classifier_learns_which_word_matters():
    """With padding on either side, for each pooling; 60 steps on 32 texts."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 20, (32, 12), generator=generator)
    labels = torch.arange(32) % 2
    ids[labels == 1, 5] = 2
    for pooling in ("last", "max", "mean", "attention"):
        torch.manual_seed(0)
        config = BiGRUConfig(vocab_size=20, embedding_size=8, hidden_size=8, pooling=pooling, num_labels=1)
        config.problem_type = "multi_label_classification"
        model = BiGRUForSequenceClassification(config).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(60):
            loss = model(ids, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 0.1, pooling


# ---- the pipeline --------------------------------------------------------------------------------------------------


def export(model, tokenizer, folder):
    model.save_pretrained(folder / "source")
    tokenizer.save_pretrained(folder / "source")
    return export_folder(folder / "source", folder / "model", "---\nlibrary_name: transformers\n---\n# A model\n")


def in_a_clean_process(folder):
    command = [sys.executable, "-I", "-c", CLEAN_PIPELINE, str(folder), json.dumps(TEXTS)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_multi_label_pipeline_where_the_package_is_missing(tokenizer, tmp_path):
    names = {0: "toxic", 1: "insult", 2: "threat"}
    options = {"id2label": names, "label2id": {name: index for index, name in names.items()}}
    model = classifier(vocab_size=len(tokenizer), problem_type="multi_label_classification", **options)
    folder = export(model, tokenizer, tmp_path)
    one_by_one, together = in_a_clean_process(folder)
    for text, single, batched in zip(TEXTS, one_by_one, together, strict=True):
        inputs = tokenizer(text, return_tensors="pt")
        expected = dict(zip(names.values(), outputs(model, inputs)[0].sigmoid().tolist(), strict=True))
        for answers in (single, batched):
            assert {answer["label"]: answer["score"] for answer in answers} == pytest.approx(expected, abs=1e-6)
    assert AutoTokenizer.from_pretrained(folder)(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]


def test_one_logit_is_a_sigmoid_in_the_pipeline(tokenizer, tmp_path):
    options = {"num_labels": 1, "id2label": {0: "toxic"}, "problem_type": "multi_label_classification"}
    model = classifier(vocab_size=len(tokenizer), pooling="last", **options)
    folder = export(model, tokenizer, tmp_path)
    assert type(AutoModelForSequenceClassification.from_pretrained(folder)) is BiGRUForSequenceClassification
    answers = pipeline("text-classification", model=str(folder), trust_remote_code=True)(TEXTS)
    for text, answer in zip(TEXTS, answers, strict=True):
        logit = outputs(model, tokenizer(text, return_tensors="pt")).item()
        assert answer["label"] == "toxic" and math.isclose(answer["score"], 1 / (1 + math.exp(-logit)), abs_tol=1e-6)
