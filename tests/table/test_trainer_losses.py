# Copyright 2026 The hf_variants authors. MIT licence.
"""The loss that transformers' `Trainer` makes of a model is the model's: smoothed, accumulated, of any labels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainingArguments

from hf_variants.auto import TABLE
from tests.helpers.models import DECODERS, HEADS, build, labels, tiny_config

SILENT = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "seed": 0}
# What a classifier's labels mean, and what `labels` then are for a row of ids.
KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    "classes": ({"num_labels": 3}, lambda ids: ids[0] % 3),
    "several": (
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        lambda ids: (ids[:3] % 2).float(),
    ),
    "several_unnamed": ({"num_labels": 3}, lambda ids: (ids[:3] % 2).float()),
    "number": ({"num_labels": 1}, lambda ids: ids[0].float()),
    "numbers": ({"num_labels": 2, "problem_type": "regression"}, lambda ids: ids[:2].float()),
}


def random_rows(lengths: list[int], vocabulary: int) -> list[torch.Tensor]:
    """Return rows of ids of these lengths."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, vocabulary, (length,), generator=generator) for length in lengths]


def gradient_norm(model: PreTrainedModel, rows: list[dict[str, Any]], size: int, folder: Path) -> float:
    """Return the norm of the gradient of one optimizer step over all rows, `size` of them at a time."""
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=len(rows) // size,
        max_steps=1,
        max_grad_norm=1e9,
        logging_steps=1,
        **SILENT,
    )
    trainer = Trainer(model, arguments, train_dataset=rows)
    trainer.train()
    return next(entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry)


def assert_accumulates(model_class: Any, config: Any, rows: list[dict[str, Any]], folder: Path) -> None:
    """Check that the gradient of all rows is the same at once and in small batches."""
    norms = [gradient_norm(build(model_class, config), rows, size, folder) for size in (8, 2)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3) and norms[0] > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
def test_a_classifiers_gradient_is_the_same_accumulated(row, kind, tmp_path):
    settings, label = KINDS[kind]
    auto = next(auto for auto in row.classes if auto.__name__ == "AutoModelForSequenceClassification")
    config = tiny_config(row.model_type, **settings)
    rows = [{"input_ids": ids, "labels": label(ids)} for ids in random_rows([12] * 8, config.vocab_size)]
    assert_accumulates(row.classes[auto], config, rows, tmp_path)


@pytest.mark.parametrize(
    ("row", "auto"),
    [(r, a) for r, a in HEADS if a.__name__ not in ("AutoModel", "AutoModelForSequenceClassification")],
    ids=lambda part: getattr(part, "model_type", getattr(part, "__name__", None)),
)
def test_any_other_heads_gradient_is_the_same_accumulated(row, auto, tmp_path):
    config = tiny_config(row.model_type)
    rows = []
    for number, ids in enumerate(random_rows([12] * 8, config.vocab_size)):
        given = {name: value[0] for name, value in labels(auto.__name__, {"input_ids": ids[None]}).items()}
        if "labels" in given:  # as many labels in no two batches
            given["labels"] = torch.where(torch.arange(12) < 12 - number, given["labels"], -100)
        rows.append({"input_ids": ids, **given})
    assert_accumulates(row.classes[auto], config, rows, tmp_path)


@pytest.mark.parametrize("row", DECODERS, ids=lambda row: row.model_type)
def test_label_smoothing_smooths_the_next_token(row, tmp_path):
    model = build(row.classes[AutoModelForCausalLM], tiny_config(row.model_type))
    ids = torch.stack(random_rows([12] * 4, model.config.vocab_size))
    arguments = TrainingArguments(str(tmp_path), label_smoothing_factor=0.1, **SILENT)
    trainer = Trainer(model, arguments)
    found = trainer.compute_loss(model, {"input_ids": ids, "labels": ids})
    logits = model(ids).logits[:, :-1].flatten(0, 1)
    expected = cross_entropy(logits, ids[:, 1:].flatten(), label_smoothing=0.1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("horizon", [1, 2, 4, 8])
def test_trainer_reports_the_loss_of_a_prediction_horizon(horizon, tmp_path):
    row = next(row for row in DECODERS if row.model_type == "conv_gpt")
    model = build(row.classes[AutoModelForCausalLM], tiny_config("conv_gpt", prediction_horizon=horizon))
    rows = [{"input_ids": ids, "labels": ids} for ids in random_rows([16] * 8, model.config.vocab_size)]
    trainer = Trainer(model, TrainingArguments(str(tmp_path), **SILENT), eval_dataset=rows)
    ids = torch.stack([row["input_ids"] for row in rows])
    assert trainer.evaluate()["eval_loss"] == pytest.approx(model(ids, labels=ids).loss.item(), rel=1e-5)
    config = tiny_config("conv_gpt", prediction_horizon=horizon)
    assert_accumulates(row.classes[AutoModelForCausalLM], config, rows, tmp_path)


@pytest.mark.parametrize("horizon", [1, 2])
@pytest.mark.parametrize("row", DECODERS, ids=lambda row: row.model_type)
def test_shifted_labels_are_what_positions_predict(row, horizon):
    if horizon > 1 and row.model_type != "conv_gpt":
        pytest.skip("only conv_gpt predicts further ahead")
    settings = {"prediction_horizon": horizon} if horizon > 1 else {}
    model = build(row.classes[AutoModelForCausalLM], tiny_config(row.model_type, **settings))
    ids, targets = (torch.stack(random_rows([12] * 2, 99)) for _ in range(2))
    targets = targets.roll(5, dims=1)
    expected = cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten())
    for given in ({"labels": ids, "shift_labels": targets}, {"shift_labels": targets}):
        torch.testing.assert_close(model(ids, **given).loss, expected, atol=1e-5, rtol=1e-5)
