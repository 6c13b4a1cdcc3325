# Copyright 2026 The hf_variants authors. MIT licence.
"""How a model lies on its processes; of several of them, engine/test_processes.py."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch.distributed.tensor import DTensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from hf_variants.experiments.machine.sharding import shard
from hf_variants.experiments.machine.spread import Sharded, Spread, spread_of


@pytest.fixture
def model() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=2, n_head=2, n_positions=8, vocab_size=11))


def test_one_process_has_the_model_itself_and_steps_without_a_wrapper(model):
    spread = spread_of(Accelerator(cpu=True))
    assert type(spread) is Spread and spread.is_whole
    spread.place(model)
    own = torch.optim.AdamW(model.parameters())
    called, optimizer = spread.prepare(model, own)
    assert called is model and isinstance(optimizer, AcceleratedOptimizer)
    assert spread.stepping(optimizer) == (torch.nn.utils.clip_grad_norm_, own)
    assert spread.whole_model(model) is model


@pytest.fixture
def group():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_a_sharded_model_is_gathered_whole_and_its_norm_is_a_plain_number(group, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    spread = Sharded(Accelerator(cpu=True), shard)
    spread.place(model)
    assert all(isinstance(parameter, DTensor) for parameter in model.parameters()) and not spread.is_whole
    whole = spread.whole_model(model)
    assert whole is not model and whole.lm_head.weight is whole.transformer.wte.weight
    assert all(torch.equal(tensor, before[name]) for name, tensor in whole.state_dict().items())
    called, optimizer = spread.prepare(model, torch.optim.AdamW(model.parameters()))
    ids = torch.arange(8)[None]
    called(input_ids=ids, labels=ids).loss.backward()
    clip, updater = spread.stepping(optimizer)
    norm = clip(list(model.parameters()), 1.0)
    assert not isinstance(norm, DTensor) and float(norm) > 0
    updater.step()
    after = spread.whole_model(model).state_dict()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in after.items())
