# Copyright 2026 The hf_variants authors. MIT licence.
"""What the launcher may ask of DeepSpeed; that it then does so is in tests/ecosystem/test_deepspeed.py."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from accelerate import PartialState

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.machine import zero
from tests.experiments.engine.test_growing import deepening
from tests.helpers.places import ROOT
from tests.helpers.tiny import tiny_recipe


@pytest.fixture
def installed(monkeypatch):
    """As if DeepSpeed were installed; nothing here imports it."""
    monkeypatch.setenv(zero.FLAG, "true")
    monkeypatch.setattr(zero, "is_installed", lambda: True)


def write(folder: Path, monkeypatch: Any, **content: Any) -> None:
    """Has the launcher have read this configuration of DeepSpeed."""
    (folder / "zero.json").write_text(json.dumps({"zero_optimization": {"stage": 3}} | content))
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(folder / "zero.json"))


def test_without_deepspeed_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    PartialState()
    monkeypatch.setenv(zero.FLAG, "true")
    monkeypatch.setattr(zero, "is_installed", lambda: False)
    with pytest.raises(InputError, match="^DeepSpeed: it is not installed; pip install 'deepspeed>=0.19.8,<0.20'$"):
        run_recipe(tiny_recipe(tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_version_is_that_of_the_tests():
    assert f'"{zero.INSTALL.split(chr(39))[1]}",' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(("training", "words"), [
    ({"mixed_precision": "fp16"}, "training.mixed_precision: fp16 is not supported under DeepSpeed; allowed"),
    ({"torch_compile": True}, "training.torch_compile: is not supported under DeepSpeed; allowed: false"),
    ({"log_layer_gradients": True}, "training.log_layer_gradients: is not supported under DeepSpeed"),
    ({"train": "gradual"}, "DeepSpeed: a model that grows or thaws cannot be shared by ZeRO; allowed: FSDP2, DDP"),
])  # fmt: skip
def test_what_a_recipe_may_not_ask_for(training, words, installed, tmp_path):
    made = tiny_recipe(tmp_path)
    for name, value in training.items():
        setattr(made.training, name, value)
    with pytest.raises(InputError, match=words):
        zero.check(made, 2)


def test_growth_and_single_processes_are_refused(installed, tmp_path):
    with pytest.raises(InputError, match="a model that grows"):
        zero.check(deepening(tmp_path), 2)
    with pytest.raises(InputError, match="num_processes is 1"):
        zero.check(tiny_recipe(tmp_path), 1)


@pytest.mark.parametrize(("content", "words"), [
    ({"optimizer": {"type": "Adam"}}, "'optimizer' in its configuration; allowed: zero_optimization"),
    ({"scheduler": {"type": "WarmupLR"}}, "'scheduler' in its configuration"),
    ({"bf16": {"enabled": True}}, "bf16 in its configuration; allowed: training.mixed_precision"),
    ({"gradient_clipping": 0.25}, "gradient_clipping is 0.25, and 1.0 by the recipe; allowed: auto"),
    ({"train_batch_size": 64}, "train_batch_size is 64, and 4 by the recipe"),
    ({"zero_optimization": {"stage": 1}}, "the ZeRO stage is 1; allowed: 2, 3"),
    ({"zero_optimization": {"stage": 3, "zero_hpz_partition_size": 2}}, "zero_hpz_partition_size is not supported"),
    ({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme", "nvme_path": "/"}}},
     "offload_param to nvme; allowed: none, cpu"),
    ({"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu", "ratio": 0.5}}}, "without a ratio"),
])  # fmt: skip
def test_what_its_configuration_may_not_say(content, words, installed, monkeypatch, tmp_path):
    write(tmp_path, monkeypatch, **content)
    with pytest.raises(InputError, match=words):
        zero.check(tiny_recipe(tmp_path, training={"max_grad_norm": 1.0}), 2)


def test_a_file_that_is_none_is_named(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(tmp_path / "nothing.json"))
    with pytest.raises(InputError, match="nothing.json"):
        zero.check(tiny_recipe(tmp_path), 2)


def test_batches_and_clipping_come_from_the_recipe(installed, monkeypatch, tmp_path):
    training = {"batch_size": 8, "gradient_accumulation_steps": 2, "max_grad_norm": None}
    section = {"stage": 2, "reduce_bucket_size": "auto", "offload_optimizer": {"device": "cpu"}}
    write(tmp_path, monkeypatch, zero_optimization=section, train_batch_size="auto", gradient_clipping="auto")
    made = zero.settings(tiny_recipe(tmp_path, training=training).training, 2)
    numbers = [made[name] for name in zero.FROM_RECIPE]
    assert numbers == [8, 2, 2, 0.0]
    assert made["zero_optimization"]["offload_optimizer"]["device"] == "cpu"
    assert "reduce_bucket_size" not in made["zero_optimization"]


@pytest.mark.parametrize("stage", [2, 3])
def test_the_launcher_alone_says_enough(stage, installed, monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", str(stage))
    made = zero.settings(tiny_recipe(tmp_path).training, 2)
    assert made["zero_optimization"] == {"stage": stage, "stage3_gather_16bit_weights_on_model_save": False}


def test_accelerate_does_not_hear_of_it(monkeypatch):
    monkeypatch.setenv(zero.FLAG, "true")
    monkeypatch.setenv(zero.PARTS, "4")
    with zero.hidden():
        assert not zero.is_wanted() and zero.PARTS not in os.environ
    assert zero.is_wanted() and os.environ[zero.PARTS] == "4"
