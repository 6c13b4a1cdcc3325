# Copyright 2026 The hf_variants authors. MIT licence.
"""Where weights lie or what wraps them changes nothing: adapters on tables, offloading, tensor parallelism."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModel, PreTrainedModel

from hf_variants.auto import TABLE
from tests.helpers.models import (
    CONFIGURED,
    DECODERS,
    HEADS,
    batch,
    build,
    is_recurrent,
    labels,
    named_config,
    outputs,
    tiny_config,
)
from tests.helpers.places import PROGRAMS, ROOT

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
PARALLEL = PROGRAMS / "tensor_parallel.py"


def one(part: Any) -> str:
    """The name of a parameter of a test."""
    return getattr(part, "model_type", None) or getattr(part, "__name__", str(part))


EVERY_HEAD = pytest.mark.parametrize(("row", "auto"), HEADS, ids=one)
EVERY_CONFIGURATION = pytest.mark.parametrize(("row", "name"), CONFIGURED, ids=one)


def all_spelt_out(model: PreTrainedModel, ids: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Return ways to say the same: nothing, and each argument that has a default spelt out."""
    ways: list[dict[str, torch.Tensor]] = [{}, {"attention_mask": torch.ones_like(ids)}]
    if not is_recurrent(model.config):
        ways.append({"position_ids": torch.arange(ids.shape[1])[None].expand_as(ids)})
    if getattr(model.config, "type_vocab_size", 0):
        ways.append({"token_type_ids": torch.zeros_like(ids)})
    return ways


@pytest.mark.parametrize("row", TABLE, ids=one)
def test_lora_on_every_table_is_used_and_trained_whatever_is_spelt_out(row):
    model = build(row.classes[AutoModel], tiny_config(row.model_type))
    tables = {name.split(".")[-1]: name for name, part in model.named_modules() if isinstance(part, nn.Embedding)}
    ids = batch(model.config)["input_ids"]
    for table in tables:
        adapted = get_peft_model(
            build(row.classes[AutoModel], tiny_config(row.model_type)), LoraConfig(target_modules=[table], r=4)
        ).eval()
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_" in name:
                    parameter.normal_(std=0.3)
        base, results = outputs(model, {"input_ids": ids}), []
        for given in all_spelt_out(model, ids):
            adapted.zero_grad()
            found = adapted(input_ids=ids, **given)[0]
            found.square().sum().backward()
            trained = {name for name, p in adapted.named_parameters() if p.grad is not None and p.grad.any()}
            assert any("lora_embedding_A" in name for name in trained), (table, given.keys())
            assert any("lora_embedding_B" in name for name in trained), (table, given.keys())
            results.append(found.detach())
        assert not torch.allclose(results[0], base, atol=1e-3), f"the adapter of {table} changes nothing"
        for found in results[1:]:
            torch.testing.assert_close(found, results[0], **CLOSE)
        merged = adapted.merge_and_unload()
        torch.testing.assert_close(outputs(merged, {"input_ids": ids}), results[0], atol=1e-4, rtol=1e-4)


def dispatched(model: PreTrainedModel, how: str, folder: Path) -> PreTrainedModel:
    """Return the model with its weights elsewhere."""
    if how == "cpu_offload":
        return cpu_offload(model, execution_device="cpu")
    if how == "disk_offload":
        return disk_offload(model, str(folder / "offloaded"), execution_device="cpu")
    model.save_pretrained(folder / "model")
    device_map: Any = {"": "disk"}
    if how == "split":  # the first half of what has weights stays, the second goes to the disk
        parts = [f"{name}.{deeper}" if deeper else name for name, part in model.named_children()
                 for deeper in ([n for n, _ in part.named_children()] or [""])]  # fmt: skip
        device_map = {part: "disk" if number % 2 else "cpu" for number, part in enumerate(parts)}
        device_map |= {name: "cpu" for name, _ in model.named_parameters(recurse=False)}
    return (
        type(model)
        .from_pretrained(folder / "model", device_map=device_map, offload_folder=str(folder / "offloaded"))
        .eval()
    )


@pytest.mark.parametrize("how", ["cpu_offload", "disk_offload", "disk", "split"])
@EVERY_CONFIGURATION
def test_offloaded_weights_compute_the_same(row, name, how, tmp_path):
    model = build(row.classes[AutoModel], named_config(row.model_type, name))
    inputs = batch(model.config)
    ways = [{"input_ids": inputs["input_ids"], **given} for given in all_spelt_out(model, inputs["input_ids"])]
    expected = outputs(model, inputs)
    moved = dispatched(model, how, tmp_path)
    for given in ways:
        torch.testing.assert_close(outputs(moved, given), expected, **CLOSE)


@EVERY_HEAD
def test_offloaded_heads_compute_the_same(row, auto, tmp_path):
    model = build(row.classes[auto], tiny_config(row.model_type))
    inputs = batch(model.config)
    given = inputs | labels(auto.__name__, inputs)
    expected = outputs(model, given)
    torch.testing.assert_close(outputs(dispatched(model, "disk", tmp_path), given), expected, **CLOSE)


@pytest.mark.parametrize("row", DECODERS, ids=one)
def test_offloaded_decoders_generate_the_same(row, tmp_path):
    auto = next(auto for auto in row.classes if auto.__name__ == "AutoModelForCausalLM")
    model = build(row.classes[auto], tiny_config(row.model_type))
    ids = batch(model.config)["input_ids"]
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    moved = dispatched(model, "cpu_offload", tmp_path)
    assert torch.equal(moved.generate(ids, attention_mask=torch.ones_like(ids), **options), expected)


@pytest.mark.slow
def test_encoders_are_the_same_shared_out_over_two_processes(tmp_path):
    """`tp_plan="auto"` with gloo; learned scales of single heads are refused by name."""
    names = [(row, name) for row, name in CONFIGURED if "AutoModelForMaskedLM" in row.auto_classes]
    for row, name in names:
        auto = next(auto for auto in row.classes if auto.__name__ == "AutoModelForMaskedLM")
        config = named_config(row.model_type, name)
        build(row.classes[auto], config).save_pretrained(tmp_path / f"{row.model_type}.{name}")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", str(PARALLEL)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    folders = {f"{row.model_type}.{name}" for row, name in names}
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    results = {line[0]: line[1] for line in lines if line[0] in folders}
    assert set(results) == folders
    for row, name in names:
        config = named_config(row.model_type, name)
        learned = row.model_type == "similarity_bert" and config.learns_temperature
        found = results[f"{row.model_type}.{name}"]
        assert found == ("refused" if learned else "same"), (row.model_type, name, found)
