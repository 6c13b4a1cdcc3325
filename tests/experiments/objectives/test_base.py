# Copyright 2026 The hf_variants authors. MIT licence.
"""Objectives: what all have in common, and one's own, whose misspelt names are said."""

import numpy as np
import pytest
from transformers import PreTrainedConfig

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.objectives import IGNORED, Objective
from hf_variants.experiments.objectives.registry import OBJECTIVES, build_objective, objective_class
from hf_variants.experiments.recipes.sections import ObjectiveArguments
from tests.helpers.tiny import tiny_recipe

MINE = """
import torch

from hf_variants.experiments.objectives import IGNORED, MaskedLanguageModeling, Objective


class Copying(Objective):
    auto_class = "AutoModelForMaskedLM"

    def prepare(self, rows, rng):
        return {"input_ids": rows, "labels": rows}, self.labels_of(rows)

    def labels_of(self, rows):  # a helper of its own
        return rows.size

    def losses(self, model, batch):
        logits = model(input_ids=batch["input_ids"]).logits.flatten(0, 1).float()
        return {"loss": torch.nn.functional.cross_entropy(logits, batch["labels"].flatten(), reduction="none")}


class Spans(MaskedLanguageModeling):
    def prepair(self, rows, rng):
        return super().prepare(rows, rng)


class Silent(MaskedLanguageModeling):
    metric = ("cross_entropy",)


class Half(Objective):
    def prepare(self, rows, rng):
        return {"input_ids": rows}, rows.size


class Duck:
    auto_class = "AutoModelForMaskedLM"


number = 3
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path}/mine.py"


@pytest.mark.parametrize(("name", "words"), [
    ("Spans", "mine.py: Spans: 'prepair' is nothing that MaskedLanguageModeling has; did you mean 'prepare'"),
    ("Silent", "'metric' is nothing that MaskedLanguageModeling has; did you mean 'metrics'"),
    ("Half", "mine.py: Half: lacks losses, auto_class"),
    ("Duck", "is no objective; allowed: a subclass of hf_variants.experiments.objectives.Objective"),
    ("number", "is no objective"),
    ("Other", "has no class Other"),
])  # fmt: skip
def test_what_is_no_whole_objective_is_one_line(name, words, mine):
    with pytest.raises(InputError) as error:
        objective_class(f"{mine}:{name}")
    assert words in str(error.value) and str(error.value).startswith("objective.objective: ")


@pytest.mark.parametrize(("name", "words"), [("x.py:A", "no such file"), ("mlm", "allowed: masked_lm")])
def test_what_names_no_objective_is_one_line(name, words):
    with pytest.raises(InputError, match=words):
        objective_class(name)


def test_one_of_ones_own_trains_with_what_it_did_not_override(mine, tmp_path):
    settings = {"objective": f"{mine}:Copying"}
    record = run_recipe(tiny_recipe(tmp_path, objective=settings, training={"learning_rate": 3e-2}), tmp_path / "run")
    losses = [point["validation_loss"] for point in record["curve"] if "validation_loss" in point]
    assert losses[-1] < losses[0] and set(record["marks"][-1]["test"]) == {"loss"}


def test_defaults(mine):
    objective = build_objective(ObjectiveArguments(objective=f"{mine}:Copying"), None)
    assert objective.for_model(PreTrainedConfig()) is objective and not objective.labelled
    assert (
        objective.selection == ("loss", True) and objective.undefined == {} and objective.finish(None, None, 8) == {}
    )
    rows = np.arange(6).reshape(2, 3)
    batch, count = objective.prepare(rows, np.random.default_rng(0))
    assert count == 6 and (batch["labels"] == rows).all() and IGNORED not in batch["labels"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_ours_say_what_they_must(name):
    cls = objective_class(name)
    assert issubclass(cls, Objective) and not cls.__abstractmethods__ and cls.auto_class.startswith("AutoModelFor")
    assert cls.labelled == (name == "text_classification")
