"""The common model tests of transformers, over every row of `hf_variants/auto.py` in each of its configurations.

Run by `run.py`, which puts the downloaded tests on the path: one generated class per row and configuration. A new row
needs nothing here: what the tests have to know about a model is read from the table and from
`tests/helpers/models.py`.
"""

import os
import unittest
from dataclasses import fields
from typing import Any

import torch
from hf_tests.generation.test_utils import GenerationTesterMixin
from hf_tests.test_configuration_common import ConfigTester
from hf_tests.test_modeling_common import ModelTesterMixin, global_rng, ids_tensor, random_attention_mask
from transformers import PreTrainedConfig, set_seed

from hf_variants.auto import Row
from tests.helpers.models import CONFIGURATIONS, CONFIGURED, is_recurrent, known, named_config

COMPLETE = bool(os.environ.get("TRANSFORMERS_TESTS"))  # then the mixins have their tests

NO_MIXIN = "not run: the distribution has no GenerationTesterMixin; see tests/helpers/generation_demands.py"
MORE_LAYERS = "two layers are too few for what this configuration is about: one for each level, or several per block"
# {(model type, configuration, name of the test): why it cannot apply}, with "*", "*" for all. For what truly cannot.
SKIPPED: dict[tuple[str, str, str], str] = {
    ("conv_gpt", "levels_2", "test_num_layers_is_small"): MORE_LAYERS,
    ("conv_gpt", "levels_2_window", "test_num_layers_is_small"): MORE_LAYERS,
    ("conv_gpt", "levels_3", "test_num_layers_is_small"): MORE_LAYERS,
    ("progressive_gpt", "pairs", "test_num_layers_is_small"): MORE_LAYERS,
}
OTHER_SHAPES = (
    "a coarse level has fewer and wider tokens than this test thinks; tests/table/test_generation.py knows them"
)
SHAPES = (
    "test_greedy_generate_dict_outputs",
    "test_greedy_generate_dict_outputs_use_cache",
    "test_sample_generate_dict_output",
    "test_beam_search_generate_dict_output",
    "test_beam_search_generate_dict_outputs_use_cache",
    "test_beam_sample_generate_dict_output",
    "test_past_key_values_format",
)
if COMPLETE:
    LEVELS = [name for name in CONFIGURATIONS["conv_gpt"] if named_config("conv_gpt", name).num_levels]
    SKIPPED |= {("conv_gpt", name, test): OTHER_SHAPES for name in LEVELS for test in SHAPES}
else:
    SKIPPED["*", "*", "test_generation_tester_mixin_inheritance"] = NO_MIXIN
# These tests are slow and see the same in every configuration of a row, so they run in its first one only.
ONCE = {
    "test_bc_torch_dtype": "runs in the first configuration only: names of dtypes on the way through a saved folder",
}
# What generation tests need: room for 20 new tokens, and ids that end a text or stand in for one.
FOR_GENERATION = {"max_position_embeddings": 48, "pad_token_id": 0, "bos_token_id": 1}


class Tester:
    """What the common tests ask about a model: sizes, a configuration and a batch of inputs."""

    is_training = True
    batch_size = 4
    seq_length = 7

    def __init__(self, model_type: str, configuration: str):
        self.model_type, self.configuration = model_type, configuration
        config = self.get_config()
        # the width of the first hidden state, the embeddings
        self.hidden_size = getattr(config, "embedding_size", config.hidden_size)
        self.num_hidden_layers = config.num_hidden_layers
        self.num_attention_heads = getattr(config, "num_attention_heads", None)
        self.vocab_size = config.vocab_size

    def get_config(self) -> PreTrainedConfig:
        """Return a fresh tiny configuration."""
        return named_config(self.model_type, self.configuration, **known(self.model_type, FOR_GENERATION))

    def prepare_config_and_inputs_for_common(self) -> tuple[PreTrainedConfig, dict[str, torch.Tensor]]:
        """Return a configuration and a batch, `(batch, seq)`, with some padding."""
        shape = [self.batch_size, self.seq_length]
        return self.get_config(), {
            "input_ids": ids_tensor(shape, self.vocab_size),
            "attention_mask": random_attention_mask(shape),
        }


class CommonTests(ModelTesterMixin):
    """The tests of one row in one configuration; the generated classes fill in what is only annotated here."""

    model_type: str
    configuration: str
    config_class: type[PreTrainedConfig]

    def setUp(self):
        set_seed(0)  # no test passes or fails by chance
        global_rng.seed(0)
        self.model_tester = Tester(self.model_type, self.configuration)
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


def register_labels(row: Row) -> None:
    """Enter the class names in transformers' tables of names, by which the tests decide what labels a head gets.

    Without this no head would get labels, and every training test would quietly test nothing.
    """
    for auto_class, model_class in row.classes.items():
        auto_class._model_mapping._model_mapping[row.model_type] = model_class.__name__


def skips(model_type: str, configuration: str) -> dict[str, object]:
    """Return methods that skip the tests that `SKIPPED` and `ONCE` list for this model."""
    listed = [((model, name), test, why) for (model, name, test), why in SKIPPED.items()]
    reasons = {test: why for place, test, why in listed if place in ((model_type, configuration), ("*", "*"))}
    if configuration != next(iter(CONFIGURATIONS[model_type])):
        reasons |= ONCE
    return {test: unittest.skip(why)(lambda self: None) for test, why in reasons.items()}


def make_class(row: Row, configuration: str) -> type:
    """Return the test class of one row in one configuration: `run.py` reads its name from the report."""
    members = {
        "model_type": row.model_type,
        "configuration": configuration,
        "config_class": row.config_class,
        "all_model_classes": tuple(dict.fromkeys(row.classes.values())),
        "has_attentions": hasattr(row.config_class(), "num_attention_heads"),
        "__module__": __name__,
    }
    generates = any(model_class.can_generate() for model_class in row.classes.values())
    config = named_config(row.model_type, configuration)
    # Rows of unequal lengths run in groups that only their values tell, which is no graph.
    members["test_torch_exportable"] = not is_recurrent(config) and not getattr(config, "num_levels", 0)
    bases = (CommonTests, GenerationTesterMixin) if generates and COMPLETE else (CommonTests,)
    name = f"{row.model_type}-{configuration}"
    return type(name, (*bases, unittest.TestCase), members | skips(row.model_type, configuration))


for row, configuration in CONFIGURED:
    register_labels(row)
    globals()[f"{row.model_type}-{configuration}"] = make_class(row, configuration)
