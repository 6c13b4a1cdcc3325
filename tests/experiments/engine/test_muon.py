# Copyright 2026 The hf_variants authors. MIT licence.
"""Muon: what it updates, that it does what the paper says, and all that a run promises with it."""

import copy
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

from hf_variants import growth
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine import muon as muon_module
from hf_variants.experiments.engine.muon import MuonWithAdamW, is_muons
from hf_variants.experiments.engine.optimizer import (
    build_optimizer,
    check_hidden_matrices,
    hidden_matrices,
    parameter_groups,
)
from hf_variants.experiments.engine.record import read_metrics
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.files import read_json
from hf_variants.experiments.machine.sharding import shard, whole
from hf_variants.experiments.recipes.recipe import recipe_from_dict
from hf_variants.experiments.recipes.sections import TrainingArguments
from tests.experiments.engine.test_growing import LAYERS, deepening, diverging, recipe
from tests.experiments.engine.test_loop import assert_same_run, run_with_kills
from tests.experiments.engine.test_processes import LONG, QUIET, SHARDED, growing, losses, run, watch_accelerate_shard
from tests.helpers.decoders import random_ids
from tests.helpers.grown import nanogpt
from tests.helpers.models import CONFIGURED, HEADS, TINY, named_config, tiny_config
from tests.helpers.tiny import tiny_content, tiny_recipe
from tests.helpers.tiny_labelled import labelled_recipe

MUON = {"optimizer": "muon", "learning_rate": 1e-2}
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def arguments(**changes: Any) -> TrainingArguments:
    return TrainingArguments(max_steps=1, **MUON | changes)


def muons(model: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    held = {id(p) for group in optimizer.param_groups if is_muons(group) for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in held}


# ---- what it updates -----------------------------------------------------------------------------------------------

IN_LAYERS = re.compile(r"(^|\.)(layer|layers|h|compressors|expanders)\.\d+\.")
NOT_HIDDEN = (
    "embed",
    "wte",
    "wpe",
    "head",
    "classifier",
    "score",
    "qa_outputs",
    "pooler",
    "cls",
    "norm",
    "ln_",
    "bias",
)


def check_split(model: nn.Module) -> None:
    """By names and shapes, not by the classes of modules."""
    optimizer = build_optimizer(model, arguments())
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters()), "each parameter in exactly one group"
    inside = {name: p for name, p in model.named_parameters() if IN_LAYERS.search(name)}
    wanted = {name for name, p in inside.items() if p.ndim == 2 and min(p.shape) > 1}
    assert muons(model, optimizer) == wanted and wanted
    assert not any(word in name.lower() for name in wanted for word in NOT_HIDDEN)
    for group in filter(is_muons, optimizer.param_groups):
        names = {name for name, p in model.named_parameters() if any(p is each for each in group["params"])}
        assert {name.endswith("c_attn.weight") for name in names} == {group["parts"] == 3}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("row", "auto"), HEADS, ids=[f"{row.model_type}-{auto.__name__}" for row, auto in HEADS])
def test_every_parameter_of_every_model_has_one_optimizer(row, auto, tied):
    model = row.classes[auto](tiny_config(row.model_type, tie_word_embeddings=tied))
    if row.model_type == "bigru":
        assert hidden_matrices(model) == {}
        with pytest.raises(InputError, match=f"muon is for .*, and {type(model).__name__} has none; allowed: adamw"):
            check_hidden_matrices(model, arguments())
        return
    check_hidden_matrices(model, arguments())
    check_split(model)


BLOCKS = [(row, name) for row, name in CONFIGURED if row.model_type != "bigru"]


@pytest.mark.parametrize(("row", "name"), BLOCKS, ids=[f"{row.model_type}-{name}" for row, name in BLOCKS])
def test_and_of_every_kind_of_net(row, name):
    check_split(next(iter(row.classes.values()))(named_config(row.model_type, name)))


GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24, "vocab_size": 40}
LLAMA = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize("tied", [True, False])
def test_and_of_models_of_transformers(tied):
    check_split(GPT2LMHeadModel(GPT2Config(**GPT2, tie_word_embeddings=tied)))
    check_split(BertForMaskedLM(BertConfig(**TINY, tie_word_embeddings=tied)))
    check_split(LlamaForCausalLM(LlamaConfig(**LLAMA, vocab_size=40, tie_word_embeddings=tied)))


def test_gpt2s_cross_attention_has_two_maps_in_c_attn():
    model = GPT2LMHeadModel(GPT2Config(**GPT2, add_cross_attention=True))
    named = {name: p for name, p in model.named_parameters() if "h.0.crossattention." in name}
    found = hidden_matrices(model)
    parts = {name.split(".")[-2]: found[p] for name, p in named.items() if p in found}
    assert parts == {"c_attn": 2, "q_attn": 1, "c_proj": 1}


def test_weights_of_a_layer_that_are_no_matrices_of_linear_maps_stay_with_adamw():
    layer = nn.ModuleDict({"conv": nn.Conv1d(4, 4, 3), "gru": nn.GRU(4, 4), "table": nn.Embedding(4, 4)})
    layer["tied"], layer["one"], layer["own"] = nn.Linear(4, 4), nn.Linear(4, 1), nn.Linear(4, 4)
    layer["tied"].weight = layer["table"].weight
    model = nn.ModuleDict({"layers": nn.ModuleList([layer]), "head": nn.Linear(4, 4)})
    assert muons(model, build_optimizer(model, arguments())) == {"layers.0.own.weight"}


@pytest.mark.parametrize("scope", ["matrices", "linear"])
def test_weight_decay_is_that_of_before(scope):
    model = nanogpt(2, torch.float32)
    optimizer = build_optimizer(model, arguments(weight_decay=0.3, weight_decay_scope=scope))
    decayed, _ = parameter_groups(model, arguments(weight_decay_scope=scope))
    found = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.3 for p in group["params"]}
    assert found == {id(p) for p in decayed["params"]}


# ---- what it does --------------------------------------------------------------------------------------------------


def product(one: list[list[float]], other: list[list[float]]) -> list[list[float]]:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*other, strict=True)] for row in one
    ]


def naive_orthogonal(update: list[list[float]]) -> list[list[float]]:
    """X <- a X + (b A + c A A) X with A = X X', five times, from X = G / |G|, for a G that is not taller than wide."""
    a, b, c = COEFFICIENTS
    norm = sum(v * v for row in update for v in row) ** 0.5
    x = [[v / norm for v in row] for row in update]
    for _ in range(5):
        gram = product(x, [list(column) for column in zip(*x, strict=True)])
        square = product(gram, gram)
        poly = [[b * g + c * s for g, s in zip(*rows, strict=True)] for rows in zip(gram, square, strict=True)]
        change = product(poly, x)
        x = [[a * v + d for v, d in zip(*rows, strict=True)] for rows in zip(x, change, strict=True)]
    return x


def naive_muon(weight: torch.Tensor, gradients: list[torch.Tensor], rate: float, decay: float) -> torch.Tensor:
    """The weight after these steps: momentum 0.95 with Nesterov, Newton-Schulz, decoupled decay, size of AdamW's."""
    w, momentum = weight.double(), torch.zeros_like(weight, dtype=torch.float64)
    for gradient in gradients:
        momentum = 0.95 * momentum + 0.05 * gradient.double()
        update = 0.95 * momentum + 0.05 * gradient.double()
        is_tall = update.shape[0] > update.shape[1]
        x = torch.tensor(naive_orthogonal((update.T if is_tall else update).tolist()), dtype=torch.float64)
        w = w * (1 - rate * decay) - rate * 0.2 * max(w.shape) ** 0.5 * (x.T if is_tall else x)
    return w.float()


def after_steps(weights: list[torch.Tensor], gradients: list[list[torch.Tensor]], parts: int, **muon: Any):
    """The weights after steps with these gradients, by our optimizer."""
    parameters = [nn.Parameter(weight.clone()) for weight in weights]
    rest, muon = [{"params": [nn.Parameter(torch.ones(2))]}], {"momentum": 0.95} | muon
    optimizer = MuonWithAdamW([{"params": parameters, "parts": parts}], rest, muon, {"lr": 1.0})
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8), (16, 24)])
def test_a_plain_loop_comes_to_the_same(shape):
    torch.manual_seed(0)
    weight, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(4)]
    [found] = after_steps([weight], [[g] for g in gradients], 1, lr=1e-2, weight_decay=0.1)
    torch.testing.assert_close(found, naive_muon(weight, gradients, 1e-2, 0.1), atol=1e-6, rtol=0)


def test_singular_values_of_an_update_are_about_one():
    torch.manual_seed(1)
    gradient = torch.randn(16, 4) @ torch.randn(4, 40) + 0.1 * torch.randn(16, 40)
    [found] = after_steps([torch.zeros(16, 40)], [[gradient]], 1, lr=1.0, weight_decay=0.0)
    values = torch.linalg.svdvals(found / (0.2 * 40**0.5))
    assert values.min() > 0.5 and values.max() < 1.3
    assert torch.linalg.svdvals(gradient).max() > 30 * torch.linalg.svdvals(gradient).min()
    assert float(found.square().mean().sqrt()) == pytest.approx(0.2, rel=0.2)  # AdamW's: 0.2 to 0.4


def torchs(weights: list[torch.Tensor], gradients: list[list[torch.Tensor]], **muon: Any) -> list[torch.Tensor]:
    """The same weights after steps of torch.optim.Muon."""
    parameters = [nn.Parameter(weight.clone()) for weight in weights]
    optimizer = torch.optim.Muon(parameters, adjust_lr_fn="match_rms_adamw", **muon)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("in_bfloat16", [True, False])
def test_it_is_torchs_muon_on_each_part(parts, in_bfloat16, monkeypatch):
    """To the bit where it iterates in bfloat16 as torch's does; else near, for five steps don't forget a rounding."""
    torch.manual_seed(2)
    shape = (8, 12 * parts)
    weight, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    how = {"lr": 1e-2, "weight_decay": 0.1, "momentum": 0.9}
    pieces = [list(gradient.chunk(parts, dim=1)) for gradient in gradients]
    theirs = torch.cat(torchs(list(weight.chunk(parts, dim=1)), pieces, **how), dim=1)
    if in_bfloat16:
        monkeypatch.setattr(muon_module, "iterates_in", lambda device: torch.bfloat16)
    [found] = after_steps([weight], [[g] for g in gradients], parts, **how)
    if in_bfloat16:
        assert torch.equal(found, theirs)
    assert (found - theirs).norm() < 0.03 * (theirs - weight).norm()


class Maps(nn.Module):
    """Queries, keys, values and a wide map, fused and transposed as GPT-2 has them, or each a linear layer."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        layer = {"c_attn": Conv1D(24, 8), "c_fc": Conv1D(32, 8)} if fused else {}
        layer |= {} if fused else {name: nn.Linear(8, 32 if name == "fc" else 8) for name in ("q", "k", "v", "fc")}
        self.layers = nn.ModuleList([nn.ModuleDict(layer)])

    def matrix(self) -> torch.Tensor:
        """All maps in one, `(in, out)`."""
        return torch.cat([m.weight if isinstance(m, Conv1D) else m.weight.T for m in self.layers[0].values()], dim=1)


def test_conv1d_and_linear_twins_train_alike():
    torch.manual_seed(3)
    fused, apart = Maps(True), Maps(False)
    with torch.no_grad():
        columns = fused.matrix().split([8, 8, 8, 32], dim=1)
        for module, block in zip(apart.layers[0].values(), columns, strict=True):
            module.weight.copy_(block.T)
    sizes = torch.tensor([1.0] * 8 + [0.01] * 8 + [100.0] * 8 + [1.0] * 32)  # q, k and v differ in their gradients
    start, goal = fused.matrix().detach(), torch.randn(8, 56)
    for model in (fused, apart):
        optimizer = build_optimizer(model, arguments())
        for _ in range(5):
            (sizes * (model.matrix() - goal) ** 2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    moved = fused.matrix() - start
    torch.testing.assert_close(fused.matrix(), apart.matrix(), atol=1e-6, rtol=0)
    lengths = [float(part.norm()) for part in moved.detach().split([8, 8, 8, 32], dim=1)[:3]]
    assert max(lengths) < 1.3 * min(lengths)  # the smallest gradients move their part as far


def test_the_rest_is_adamws_and_a_closure_is_called():
    torch.manual_seed(4)
    values = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    hidden = [{"params": [nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4, 4))], "parts": 1}]
    both = MuonWithAdamW(
        hidden,
        [{"params": values[:1]}],
        {"lr": 1e-2, "weight_decay": 0.0, "momentum": 0.95},
        {"lr": 1e-2, "fused": True},
    )
    alone = torch.optim.AdamW(values[1:], lr=1e-2, fused=True)
    unused = hidden[0]["params"][1].detach().clone()

    def closure() -> torch.Tensor:
        both.zero_grad()
        loss = values[0].square().sum() + hidden[0]["params"][0].square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        assert both.step(closure) > 0
        alone.zero_grad()
        values[1].square().sum().backward()
        alone.step()
    assert torch.equal(*values)
    assert torch.equal(hidden[0]["params"][1], unused) and hidden[0]["params"][1] not in both.state


# ---- its state -----------------------------------------------------------------------------------------------------


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    ids = random_ids(model, 2, 12, seed=seed)
    optimizer.zero_grad()
    model(ids, labels=ids).loss.backward()
    optimizer.step()


def test_state_that_was_saved_and_loaded_goes_on_to_the_bit():
    model = nanogpt(2, torch.float32)
    optimizer = build_optimizer(model, arguments())
    step(model, optimizer, 0)
    twin = copy.deepcopy(model)
    again = build_optimizer(twin, arguments())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in ((model, optimizer), (twin, again)):
        step(*each, 1)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("moments", ["copy", "zero", "rewarm"])
def test_momentum_follows_its_parameters_through_a_growth(moments):
    model = nanogpt(2, torch.float32)
    optimizer = build_optimizer(model, arguments())
    step(model, optimizer, 0)
    old = growth.optimizer_state_by_name(model, optimizer)
    old = {name: {key: value.clone() for key, value in values.items()} for name, values in old.items()}
    names = muons(model, optimizer)
    assert {name for name, values in old.items() if set(values) == {"momentum_buffer"}} == names
    grown = growth.deepen(model, 2, "stack")
    optimizer = build_optimizer(model, arguments())
    growth.load_optimizer_state_by_name(model, optimizer, old, grown.sources, moments)
    state, weight = growth.optimizer_state_by_name(model, optimizer), "attn.c_attn.weight"
    before = old[f"transformer.h.1.{weight}"]["momentum_buffer"]
    assert torch.equal(state[f"transformer.h.1.{weight}"]["momentum_buffer"], before)
    copied = state.get(f"transformer.h.3.{weight}")
    if moments == "rewarm":
        assert copied is None
    else:
        assert torch.equal(copied["momentum_buffer"], before if moments == "copy" else torch.zeros_like(before))
    step(model, optimizer, 1)
    assert len(growth.optimizer_state_by_name(model, optimizer)) == len(grown.sources)


def test_adapters_are_adamws_and_muon_goes_on_with_what_trains_beside_them():
    model = nanogpt(2, torch.float32)
    growth.start_lora_stage(model, 2, 4, mlp="full")
    found = muons(model, build_optimizer(model, arguments()))
    assert found and all(".mlp." in name for name in found)
    growth.merge_lora(model)
    growth.start_lora_stage(model, 2, 4, mlp="lora")
    assert isinstance(build_optimizer(model, arguments()), torch.optim.AdamW)
    check_hidden_matrices(model, arguments())  # they are there, and train again later


# ---- a run ---------------------------------------------------------------------------------------------------------


def with_muon(make: Callable, **changes: Any) -> Callable:
    return lambda folder: make(folder, **MUON | changes)


def encoder(folder: Path, **training: Any) -> Any:
    return tiny_recipe(folder, training=training)


@pytest.mark.parametrize("make", [encoder, deepening, diverging])
@pytest.mark.parametrize("moments", [[7, 4], pytest.param([6, 9], marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_if_never_killed(make, moments, tmp_path, monkeypatch):
    recipe = with_muon(make, muon_learning_rate=2e-2)(tmp_path)
    run_recipe(recipe, tmp_path / "whole")
    run_with_kills(monkeypatch, recipe, tmp_path / "killed", moments)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_layers_that_thaw_come_under_muon(tmp_path, monkeypatch):
    """A run that begins with the head alone, killed before and after layers join it."""
    changes = {"training.train": "gradual", "training.max_epochs": 3, "training.optimizer": "muon"}
    made = labelled_recipe(tmp_path, changes)
    run_recipe(made, tmp_path / "whole")
    run_with_kills(monkeypatch, made, tmp_path / "killed", [3, 10])
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_both_rates_follow_one_schedule_and_are_recorded(tmp_path):
    training = {"budgets": [1.0], "log_every": 1, "min_learning_rate": 1e-3, "muon_learning_rate": 5e-2} | MUON
    run_recipe(tiny_recipe(tmp_path, training=training | {"optimizer": "muon"}), tmp_path / "run")
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["event"] == "train"]
    assert len(lines) == 20
    for line in lines:
        assert line["muon_learning_rate"] == pytest.approx(5 * line["learning_rate"])
    assert max(line["muon_learning_rate"] for line in lines) == pytest.approx(5e-2)
    identity = read_json(tmp_path / "run" / "recipe.json")["training"]
    assert identity["optimizer"] == "muon" and "muon_momentum" not in identity


def test_a_run_with_adamw_says_nothing_of_muon(tmp_path):
    run_recipe(tiny_recipe(tmp_path), tmp_path / "run")
    assert "muon" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "muon" not in (tmp_path / "run" / "recipe.json").read_text()
    assert "optimizer" not in read_json(tmp_path / "run" / "recipe.json")["training"]


def test_the_loss_falls(tmp_path):
    training = {"max_steps": 60, "batch_size": 8, "budgets": [1.0], "log_every": 10, "checkpoint_every": 0}
    model = {"type": "nanogpt", "overrides": LAYERS | QUIET | {"num_hidden_layers": 2}}
    run_recipe(recipe(tmp_path, model, [], **training | MUON), tmp_path / "run")
    found = losses(tmp_path / "run")
    assert found[-1] < found[0] - 0.5


@pytest.mark.parametrize(("changes", "words"), [
    ({"optimizer": "sgd"}, "training.optimizer: 'sgd'; allowed: adamw, muon"),
    ({"muon_learning_rate": 1e-2}, "muon_learning_rate: has no effect on adamw; allowed with optimizer: muon"),
    ({"muon_momentum": 0.9}, "muon_momentum: has no effect on adamw; allowed with optimizer: muon"),
    ({"optimizer": "muon", "muon_momentum": 1}, "training.muon_momentum: 1.0; allowed: from 0 to below 1"),
    ({"optimizer": "muon", "muon_learning_rate": 0}, "training.muon_learning_rate: 0.0; allowed: above 0"),
    ({"optimizer": "muon", "train": "frozen"}, "with training.train frozen none of them trains; allowed: adamw, or"),
    ({"optimizer": "muon", "train": "lora"}, "with training.train lora none of them trains; allowed: adamw, or"),
])  # fmt: skip
def test_what_has_no_effect_is_refused(changes, words, tmp_path):
    with pytest.raises(InputError) as error:
        recipe_from_dict(tiny_content(tmp_path, training=changes))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_model_without_hidden_matrices_is_refused_before_anything_is_written(tmp_path):
    bigru = {"model_type": "bigru", "overrides": {}}
    labelled = {"dataset": "builtin/docstrings", "block_size": 16}
    content = tiny_content(tmp_path, training=MUON | {"max_steps": 2, "budgets": [1.0], "warmup_steps": 0})
    content |= {"model": bigru, "data": labelled, "tokenizer": {"tokenizer": "words", "vocab_size": 200}}
    content |= {"objective": {"objective": "text_classification"}}
    with pytest.raises(InputError, match="and BiGRUForSequenceClassification has none; allowed: adamw"):
        run_recipe(recipe_from_dict(content), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- several processes ---------------------------------------------------------------------------------------------


@pytest.fixture
def group():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_a_sharded_matrix_gets_the_update_of_a_whole_one(group):
    plain = nanogpt(2, torch.float32)
    spread = copy.deepcopy(plain)
    shard(spread)
    optimizers = [build_optimizer(model, arguments()) for model in (plain, spread)]
    assert isinstance(optimizers[1], MuonWithAdamW)
    for seed in range(3):
        for model, optimizer in zip((plain, spread), optimizers, strict=True):
            step(model, optimizer, seed)
    assert all(torch.equal(p, whole(q)) for p, q in zip(plain.parameters(), spread.parameters(), strict=True))


def decoder(folder: Path, **training: Any) -> Any:
    overrides = LAYERS | QUIET | {"num_hidden_layers": 2}
    return recipe(folder, {"type": "nanogpt", "overrides": overrides}, [], **LONG | training)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    one, ddp, shards, by_accelerate = (tmp_path / name for name in ("one", "ddp", "fully_shard", "accelerate"))
    made = decoder(tmp_path, optimizer="muon")
    assert run(made, one, 1) == [0]
    assert run(made, ddp, 2) == [0, 0]
    assert run(made, shards, 2, **SHARDED) == [0, 0]
    assert run(made, by_accelerate, 2, prepare=watch_accelerate_shard) == [0, 0]
    for folder in (ddp, shards, by_accelerate):
        assert losses(folder / "run") == pytest.approx(losses(one / "run"), abs=1e-5)


@pytest.mark.slow
def test_a_sharded_run_that_grows_goes_on_with_another_number_of_processes(tmp_path):
    """Its momentum is saved whole: from two processes, which hold half of it each, to one and back."""
    made = growing(tmp_path)
    made.training.optimizer = "muon"
    assert run(made, tmp_path / "whole", 1) == [0]
    assert run(made, tmp_path / "mixed", 2, (18, 1, signal.SIGTERM), **SHARDED) == [143, 143]
    assert run(made, tmp_path / "mixed", 1, (7, 0, signal.SIGTERM)) == [143]
    assert run(made, tmp_path / "mixed", 2, **SHARDED) == [0, 0]
    assert losses(tmp_path / "mixed" / "run") == pytest.approx(losses(tmp_path / "whole" / "run"), abs=1e-5)
