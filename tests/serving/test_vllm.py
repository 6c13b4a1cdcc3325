# Copyright 2026 The hf_variants authors. MIT licence.
"""Model folders in vLLM on a CPU: the same tokens and embeddings as in transformers, or a refusal by name.

An engine takes about a minute to start, so each model gets one, and all its prompts at once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from hf_variants.hub.export import export_folder
from tests.helpers.models import build, char_tokenizer, find_row, tiny_config

pytestmark = pytest.mark.serving

IN_VLLM = Path(__file__).with_name("in_vllm.py")
WIDE = {"hidden_size": 64, "num_attention_heads": 2}  # vLLM's attention on CPUs takes heads of 32 or more
NEW_TOKENS = 9
DECODERS = [
    pytest.param("nanogpt", {}, False, id="nanogpt-tied-eager"),
    pytest.param("nanogpt", {"tie_word_embeddings": False}, True, id="nanogpt-untied-compiled"),
    pytest.param("progressive_gpt", {"num_hidden_layers": 3, "num_blocks": 3}, True, id="progressive_gpt-compiled"),
    pytest.param("conv_gpt", {"num_levels": 0}, False, id="conv_gpt-without-levels-eager"),
]
ENCODERS = [
    pytest.param("minbert", "AutoModelForMaskedLM", {}, False, id="minbert-eager"),
    pytest.param("minbert", "AutoModel", {"norm_position": "pre"}, True, id="minbert-pre-compiled"),
    pytest.param("highway_bert", "AutoModel", {}, True, id="highway_bert-compiled"),
    pytest.param("highway_bert", "AutoModel", {"gate_coupling": "uncoupled"}, False, id="highway_bert-pairs-eager"),
]
CANNOT = "can't run in an engine"
REFUSED = [
    pytest.param("progressive_gpt", "AutoModelForCausalLM", "num_blocks is 1, allowed there: 2", id="shared blocks"),
    pytest.param("conv_gpt", "AutoModelForCausalLM", f"ConvGptModel {CANNOT}", id="conv_gpt"),
    pytest.param("similarity_bert", "AutoModel", f"SimilarityBertModel {CANNOT}", id="similarity_bert"),
    pytest.param("bigru", "AutoModel", "['BiGRUModel'] are not supported", id="bigru"),
    pytest.param(
        "minbert", "AutoModelForSequenceClassification", f"MinBertForSequenceClassification {CANNOT}", id="classifier"
    ),
]


def make_folder(folder: Path, model_type: str, auto_name: str, settings: dict[str, Any], spread: float) -> None:
    """Export a tiny model and its tokenizer, as they would be published."""
    row, tokenizer = find_row(model_type), char_tokenizer(framed="CausalLM" not in auto_name)
    config = tiny_config(model_type, vocab_size=len(tokenizer), pad_token_id=0, **WIDE | settings)
    source = folder.with_name("source")
    build(row.classes[getattr(transformers, auto_name)], config, spread).save_pretrained(source)
    tokenizer.save_pretrained(source)
    export_folder(source, folder, "---\n---\n# A model\n")


def load(folder: Path, auto_name: str) -> PreTrainedModel:
    """Load a folder as its users do."""
    return getattr(transformers, auto_name).from_pretrained(folder, trust_remote_code=True).eval()


def make_prompts(longest: int) -> list[list[int]]:
    """Return ids of texts of several lengths, together longer than the longest sequence that a model takes."""
    generator = torch.Generator().manual_seed(3)
    lengths = 9, 3, longest, 7, 11
    return [torch.randint(5, 30, (length,), generator=generator).tolist() for length in lengths]


def run_vllm(folder: Path, prompts: list[list[int]], new_tokens: int, compiled: bool) -> subprocess.CompletedProcess:
    """Run `in_vllm.py` on a folder; it leaves `answers.pt` beside it."""
    request = {"folder": str(folder), "prompts": prompts, "new_tokens": new_tokens, "longest": 24}
    request |= {"compiled": compiled, "answers": str(folder.with_name("answers.pt"))}
    path = folder.with_name("request.json")
    path.write_text(json.dumps(request))
    # One thread (there may be no more), a cache of 1 GiB, nothing reported, nothing left in the home of the user.
    environment = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment |= {f"VLLM_{name}_ROOT": str(folder.with_name("vllm")) for name in ("CACHE", "CONFIG")}
    command = [sys.executable, str(IN_VLLM), str(path)]
    environment = os.environ | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


def ask_vllm(folder: Path, *request: Any) -> list[torch.Tensor]:
    """Return what vLLM gives for each prompt. How it ends is not looked at: it may abort once all is answered."""
    done = run_vllm(folder, *request)
    answers = folder.with_name("answers.pt")
    assert answers.exists(), (done.stdout + done.stderr)[-8000:]
    return torch.load(answers)


@pytest.mark.parametrize(("model_type", "settings", "compiled"), DECODERS)
def test_vllm_generates_what_transformers_generates(
    model_type: str, settings: dict[str, Any], compiled: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    make_folder(folder, model_type, "AutoModelForCausalLM", settings, spread=0.3)
    prompts = make_prompts(longest=24 - NEW_TOKENS)
    found = ask_vllm(folder, prompts, NEW_TOKENS, compiled)
    model = load(folder, "AutoModelForCausalLM")
    how = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "eos_token_id": None}
    for prompt, tokens in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        expected = model.generate(ids, attention_mask=torch.ones_like(ids), **how)[0, len(prompt) :]
        torch.testing.assert_close(tokens, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("model_type", "auto_name", "settings", "compiled"), ENCODERS)
def test_vllm_embeds_as_transformers_does(
    model_type: str, auto_name: str, settings: dict[str, Any], compiled: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    make_folder(folder, model_type, auto_name, settings, spread=0.1)
    prompts = make_prompts(longest=24)
    found = ask_vllm(folder, prompts, 0, compiled)
    model = load(folder, auto_name).base_model
    for prompt, states in zip(prompts, found, strict=True):
        with torch.no_grad():
            expected = model(torch.tensor([prompt]))[0][0]
        torch.testing.assert_close(states, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("model_type", "auto_name", "said"), REFUSED)
def test_vllm_is_refused_by_name(model_type: str, auto_name: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    make_folder(folder, model_type, auto_name, {}, spread=0.1)
    done = run_vllm(folder, make_prompts(longest=12), NEW_TOKENS if "CausalLM" in auto_name else 0, False)
    assert done.returncode != 0 and not folder.with_name("answers.pt").exists()
    assert said in done.stdout + done.stderr, (done.stdout + done.stderr)[-8000:]
