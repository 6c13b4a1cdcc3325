"""The common model tests of transformers, over every row of `hf_variants/auto.py`: one generated class per row.

Run by `run.py`, which puts the downloaded tests on the path. A new row needs nothing here: what the tests have to
know about a model is read from its tiny configuration (`tests/models.py`) and from the table.
"""

import unittest
from dataclasses import fields
from typing import Any

import torch
from hf_tests.generation.test_utils import GenerationTesterMixin
from hf_tests.test_configuration_common import ConfigTester
from hf_tests.test_modeling_common import ModelTesterMixin, global_rng, ids_tensor, random_attention_mask
from transformers import PreTrainedConfig, set_seed

from hf_variants.auto import TABLE
from tests.models import tiny_config

# {(model type or "*", name of the test): why it cannot apply}. Only for what is truly not applicable.
SKIPPED: dict[tuple[str, str], str] = {}


class Tester:
    """What the common tests ask about a model: sizes, a configuration and a batch of inputs."""

    is_training = True
    batch_size = 4
    seq_length = 7

    def __init__(self, model_type: str):
        self.model_type = model_type
        config = self.get_config()
        # the width of the first hidden state, the embeddings
        self.hidden_size = getattr(config, "embedding_size", config.hidden_size)
        self.num_hidden_layers = config.num_hidden_layers
        self.num_attention_heads = getattr(config, "num_attention_heads", None)
        self.vocab_size = config.vocab_size

    def get_config(self) -> PreTrainedConfig:
        """Return a fresh tiny configuration."""
        return tiny_config(self.model_type)

    def prepare_config_and_inputs_for_common(self) -> tuple[PreTrainedConfig, dict[str, torch.Tensor]]:
        """Return a configuration and a batch, `(batch, seq)`, with some padding."""
        shape = [self.batch_size, self.seq_length]
        return self.get_config(), {
            "input_ids": ids_tensor(shape, self.vocab_size),
            "attention_mask": random_attention_mask(shape),
        }


class CommonTests(ModelTesterMixin):
    """The tests of one row; the generated classes fill in `model_type`, `config_class` and `all_model_classes`."""

    model_type: str
    config_class: type[PreTrainedConfig]

    def setUp(self):
        set_seed(0)  # no test passes or fails by chance
        global_rng.seed(0)
        self.model_tester = Tester(self.model_type)
        common = ["hidden_size", "num_hidden_layers"] + ["num_attention_heads"] * self.has_attentions
        self.config_tester = ConfigTester(
            self, config_class=self.config_class, common_properties=common, **self.config_arguments()
        )

    def config_arguments(self) -> dict[str, Any]:
        """Return the fields in which the tiny configuration differs from the defaults."""
        tiny, default = self.model_tester.get_config(), self.config_class()
        names = [field.name for field in fields(tiny)]
        return {name: getattr(tiny, name) for name in names if getattr(tiny, name) != getattr(default, name)}

    def test_config(self):
        self.config_tester.run_common_tests()


def register_labels(model_type: str, classes: dict[type, type]) -> None:
    """Enter the class names in transformers' tables of names, by which the tests decide what labels a head gets.

    Without this no head would get labels, and every training test would quietly test nothing.
    """
    for auto_class, model_class in classes.items():
        auto_class._model_mapping._model_mapping[model_type] = model_class.__name__


def skips(model_type: str) -> dict[str, object]:
    """Return methods that skip the tests listed for this model in `SKIPPED`."""
    reasons = {test: reason for (model, test), reason in SKIPPED.items() if model in (model_type, "*")}
    return {test: unittest.skip(reason)(lambda self: None) for test, reason in reasons.items()}


def make_class(model_type: str, config_class: type, classes: dict[type, type]) -> type:
    """Return the test class of one row. It is named like the model, and `run.py` reads the name from the report."""
    members = {
        "model_type": model_type,
        "config_class": config_class,
        "all_model_classes": tuple(dict.fromkeys(classes.values())),
        "has_attentions": hasattr(config_class(), "num_attention_heads"),
        "__module__": __name__,
    }
    generates = any(model_class.can_generate() for model_class in classes.values())
    bases = (CommonTests, GenerationTesterMixin) if generates else (CommonTests,)
    return type(model_type, (*bases, unittest.TestCase), members | skips(model_type))


for row in TABLE:
    register_labels(row.model_type, row.classes)
    globals()[row.model_type] = make_class(row.model_type, row.config_class, row.classes)
