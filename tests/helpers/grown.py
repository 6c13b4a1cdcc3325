# Copyright 2026 The hf_variants authors. MIT licence.
"""Small models that grow in the tests, in double precision unless asked otherwise, and what is done to them."""

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from hf_variants import growth
from hf_variants.gpt.configuration_nanogpt import NanoGptConfig
from hf_variants.gpt.configuration_progressive_gpt import ProgressiveGptConfig
from hf_variants.gpt.modeling_nanogpt import NanoGptForCausalLM
from hf_variants.gpt.modeling_progressive_gpt import ProgressiveGptForCausalLM
from tests.helpers.decoders import random_ids
from tests.helpers.models import build

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 64}
PLACEMENTS = ("interleave", "stack", "middle")
EVERY_PLACEMENT = pytest.mark.parametrize("placement", PLACEMENTS)
WEIGHTS = pytest.mark.parametrize("steps", [0, 3], ids=["random", "trained"])
EXACT = pytest.mark.parametrize("init", ["identity", "gradual"])


def nanogpt(layers=3, dtype=torch.float64):
    return build(NanoGptForCausalLM, NanoGptConfig(**SMALL, num_hidden_layers=layers), spread=0.1).to(dtype)


def progressive(blocks=3, layers=12, dtype=torch.float64):
    config = ProgressiveGptConfig(**SMALL, num_hidden_layers=layers, num_blocks=blocks)
    return build(ProgressiveGptForCausalLM, config, spread=0.1).to(dtype)


# Models of transformers; some have layers of more than one kind.
LLAMA = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
LLAMA |= {"num_key_value_heads": 1, "num_hidden_layers": 3, "max_position_embeddings": 64, "pad_token_id": None}
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]
CONV_KINDS = ["conv", "full_attention", "conv"]
OTHERS = {
    "GPT2": {"vocab_size": 50, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "bos_token_id": None},
    "Llama": LLAMA,
    "Qwen2": LLAMA | {"use_sliding_window": True, "sliding_window": 5, "layer_types": KINDS},
    "Qwen3": LLAMA | {"head_dim": 8},
    "Lfm2": LLAMA | {"layer_types": CONV_KINDS},
}
EVERY_OTHER = pytest.mark.parametrize("family", OTHERS)


def other(family, dtype=torch.float64):
    """A tiny random causal model of transformers."""
    no_end = {"eos_token_id": None, "bos_token_id": None}
    config = getattr(transformers, f"{family}Config")(**OTHERS[family] | no_end)
    model_class = AutoModelForCausalLM._model_mapping[type(config)]
    return build(model_class, config, spread=0.1).to(dtype)


def bert(role="MaskedLM", **changes):
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, num_hidden_layers=3, max_position_embeddings=64, **changes)
    return build(getattr(transformers, f"Bert{role}" if role == "Model" else f"BertFor{role}"), config, spread=0.1)


def train(model, steps, seed=5):
    """A few steps of AdamW, so that weights are no longer random; returns the optimizer."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, fused=True)
    model.train()
    for step in range(steps):
        train_step(model, optimizer, seed + step)
    model.eval()
    return optimizer


def train_step(model, optimizer, seed):
    ids = random_ids(model, 2, 12, seed=seed)
    optimizer.zero_grad()
    model(ids, labels=ids).loss.backward()
    optimizer.step()


@torch.no_grad()
def logits(model, seed=3):
    return model(random_ids(model, 3, 20, seed=seed), use_cache=False).logits


def largest_difference(one, other):
    return (one - other).abs().max().item()


def zero_gradients(model, steps):
    """The names of trained parameters whose gradient is zero, for each of so many optimizer steps."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0)
    zeros = []
    for step in range(steps):
        train_step(model, optimizer, 20 + step)
        zeros.append({n for n, p in model.named_parameters() if p.requires_grad and not p.grad.abs().max() > 0})
    return zeros


def of_layers(model, positions, parts):
    return {
        name
        for name, _ in model.named_parameters()
        if any(f".h.{position}." in name for position in positions) and any(part in name for part in parts)
    }


def stepped(model, steps=3):
    optimizer = train(model, steps)
    return growth.optimizer_state_by_name(model, optimizer)


def new_optimizer(model, **options):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, fused=True, **options)
