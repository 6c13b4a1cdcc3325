# Copyright 2026 The hf_variants authors. MIT licence.
"""Every model, once published, loads from the Hub without this package and computes what it did; adapters as well."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from hf_variants.hub import load_check
from hf_variants.hub.export import check_folder, folder_files
from hf_variants.hub.publishing import Destination, Published, publish, snippet
from tests.helpers.hub_client import connected, environment
from tests.helpers.hub_server import Hub
from tests.helpers.models import HEADS, batch, build, char_tokenizer, outputs, tiny_config
from tests.helpers.places import PROGRAMS
from tests.helpers.sameness import assert_same_outputs, tensors_of

CARD = "---\nlicense: mit\nlibrary_name: transformers\ntags:\n- tiny\n---\n# A model\n"
BASE, ADAPTER = "user/nanogpt-AutoModelForCausalLM", "user/adapter"
NAMES = [f"user/{row.model_type}-{auto.__name__}" for row, auto in HEADS]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def hub(home):
    with connected(home) as (hub, _):
        yield hub


def send(model: Any, folder: Path, repo_id: str, tokenizer: bool = True) -> Published:
    """Saves and publishes a model, as anybody may do it."""
    model.save_pretrained(folder)
    if tokenizer:
        char_tokenizer().save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    check_folder(folder)
    return publish(folder, Destination(repo_id))


def receipt(model: Any, auto_name: str, done: Published) -> dict[str, Any]:
    """What the other process has to find."""
    inputs = batch(model.config)
    expected = {"weights": tensors_of(model), "inputs": inputs, "expected": outputs(model.eval(), inputs)}
    return {"repo_id": done.repo_id, "revision": done.commit, "auto": auto_name} | expected


@pytest.fixture(scope="module")
def published(hub, home) -> list[dict[str, Any]]:
    """Every head of every row, each in a repository of its own."""
    receipts = []
    for (row, auto), name in zip(HEADS, NAMES, strict=True):
        model = build(row.classes[auto], tiny_config(row.model_type))
        receipts.append(receipt(model, auto.__name__, send(model, home / name.split("/")[1], name)))
    return receipts


@pytest.fixture(scope="module")
def adapted(published) -> Any:
    """A published model with an adapter that changes it."""
    base = AutoModelForCausalLM.from_pretrained(BASE, trust_remote_code=True)
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    return model


@pytest.fixture(scope="module")
def adapter(adapted, home) -> dict[str, Any]:
    done = send(adapted, home / "adapter", ADAPTER, tokenizer=False)
    return receipt(adapted, "AutoModelForCausalLM", done) | {"base": BASE}


def files(hub: Hub, repo_id: str) -> dict[str, bytes]:
    repository = hub.repositories[repo_id]
    return repository.commits[repository.refs["main"]].files


@pytest.mark.slow
def test_everything_loads_without_this_package_and_computes_the_same(hub, home, published, adapter):
    of_base = next(each for each in published if each["repo_id"] == BASE)["expected"]
    assert not torch.allclose(adapter["expected"], of_base, atol=1e-3)
    torch.save([*published, adapter], home / "receipts")
    command = [sys.executable, "-I", str(PROGRAMS / "clean_hub.py"), str(home / "receipts")]
    clean = environment(hub, home / "clean", HF_HUB_DISABLE_PROGRESS_BARS="1")
    done = subprocess.run(command, cwd=home, env=clean, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [*NAMES, ADAPTER]


def test_push_to_hub_gives_the_same_repository(hub, published):
    for (row, auto), name in zip(HEADS, NAMES, strict=True):
        if auto.__name__ not in ("AutoModelForSequenceClassification", "AutoModelForCausalLM"):
            continue
        model = build(row.classes[auto], tiny_config(row.model_type))
        model.push_to_hub(f"{name}-pushed")
        char_tokenizer().push_to_hub(f"{name}-pushed")
        ours, theirs = files(hub, name), files(hub, f"{name}-pushed")
        assert ours.keys() == theirs.keys()
        assert {path for path in ours if ours[path] != theirs[path]} == {"README.md"}


def test_push_to_hub_of_an_adapter_gives_the_same_repository(hub, adapted, adapter):
    adapted.push_to_hub("user/adapter-pushed")
    ours, theirs = files(hub, ADAPTER), files(hub, "user/adapter-pushed")
    assert ours.keys() == theirs.keys() and "adapter_model.safetensors" in ours
    assert {path for path in ours if ours[path] != theirs[path]} == {"README.md"}


def test_an_adapter_is_checked_on_its_base(home, adapter):
    found = load_check.check(home / "adapter")
    assert found["auto_class"] == "AutoModelForCausalLM" and (found["base"], found["remote_code"]) == (BASE, True)
    text = snippet(found, ADAPTER, adapter["revision"])
    space: dict[str, Any] = {}
    exec(text, space)
    assert_same_outputs(outputs(space["model"].eval(), adapter["inputs"]), adapter["expected"])


def test_an_adapter_that_does_not_fit_its_base_is_named(home, adapter, tmp_path):
    settings = (home / "adapter" / "adapter_config.json").read_text()
    for name, _ in folder_files(home / "adapter"):
        (tmp_path / name).write_bytes((home / "adapter" / name).read_bytes())
    (tmp_path / "adapter_config.json").write_text(settings.replace(BASE, NAMES[0]))
    assert "problem" in load_check.check(tmp_path)
