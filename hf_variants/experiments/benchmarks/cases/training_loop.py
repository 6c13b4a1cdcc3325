# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of the training loop: ours against a bare PyTorch loop and against transformers' Trainer.

All train nanogpt on the characters of the language reference, with the same batches, AdamW and clipping. The bare loop
gets batches that were made before, reads no loss and writes nothing; ours and Trainer make theirs as they train.
"""

import copy
import dataclasses
import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import PreTrainedModel

from ...engine.loop import Loop, Progress
from ...engine.optimizer import build_optimizer
from ...engine.record import read_metrics
from ...engine.schedule import Phase
from ...engine.setup import Setup, set_up
from ...engine.steps import StepDataset
from ...machine.processes import new_accelerator
from ...recipes.recipe import recipe_from_dict
from ..suite import DEVICE, DifferentError, Sides, assert_close, case

CHECKED_STEPS = 5
LEARNING_RATE = 1e-3

Batches = Sequence[Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class Size:
    """A nanogpt, its batches of `rows` texts of `length` tokens, and how many steps are timed at a time."""

    hidden_size: int
    layers: int
    rows: int
    length: int
    steps: int


SMALL = Size(hidden_size=64, layers=2, rows=4, length=32, steps=100)
MEDIUM = Size(hidden_size=128, layers=4, rows=8, length=128, steps=10)


@dataclass
class Setting:
    """What both sides start from. Each takes a copy of the model."""

    setup: Setup
    model: PreTrainedModel
    folder: tempfile.TemporaryDirectory  # removed with this object

    def dataset(self) -> StepDataset:
        """Batches by step, as our loop gets them."""
        schedule = self.setup.schedule
        return StepDataset(schedule.order, self.setup.prepared.objective, schedule.training.seed, 1, 0, 1)

    def batches(self, steps: int) -> Batches:
        """Those of the first steps, on the device."""
        dataset = self.dataset()
        return [{name: value.to(DEVICE) for name, value in dataset[step].items()} for step in range(steps)]


def setting(size: Size) -> Setting:
    """The model without dropout, and text cut into its batches."""
    sizes = {"hidden_size": size.hidden_size, "num_hidden_layers": size.layers, "num_attention_heads": 4}
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    content = {
        "name": "benchmark",
        "model": {"model_type": "nanogpt", "overrides": sizes | dropouts},
        "data": {"dataset": "builtin/pydoc", "block_size": size.length},
        "objective": {"objective": "causal_lm"},
        "training": {"max_steps": size.steps, "batch_size": size.rows, "learning_rate": LEARNING_RATE,
                     "warmup_steps": 0, "checkpoint_every": 0, "eval_every": 10**9},
    }  # fmt: skip
    setup = set_up(recipe_from_dict(content))
    return Setting(setup, setup.new_model().to(DEVICE), tempfile.TemporaryDirectory())


# ---- the loops -----------------------------------------------------------------------------------------------------


def our_loop(setting: Setting, steps: int, log_every: int = 50) -> Loop:
    """Our loop on a copy of the model, about to train so many steps; no evaluations, no checkpoints."""
    training = dataclasses.replace(setting.setup.schedule.training, log_every=log_every)
    folder = Path(tempfile.mkdtemp(dir=setting.folder.name))
    accelerator = new_accelerator(setting.setup.recipe, folder)
    model = copy.deepcopy(setting.model)
    return Loop(accelerator, model, setting.dataset(), {}, training, [Phase("trunk", 0, steps)], folder)


def run_again(loop: Loop) -> None:
    """Trains from the first step to the last, with the weights as they are."""
    loop.progress = Progress()
    loop.run()


def bare_loop(model: PreTrainedModel, optimizer: torch.optim.Optimizer, batches: Batches) -> None:
    """What one writes by hand with PyTorch alone."""
    model.train()
    for batch in batches:
        ids = batch["input_ids"]
        logits = model(ids, use_cache=False).logits[:, :-1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


class TokenRows(torch.utils.data.Dataset):
    """The same batches as single examples, as Trainer wants them."""

    def __init__(self, batches: Batches) -> None:
        self.ids = torch.cat([batch["input_ids"] for batch in batches]).cpu()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.ids[index], "labels": self.ids[index]}


def trainer(setting: Setting, steps: int, log_every: int = 50) -> transformers.Trainer:
    """transformers' Trainer on a copy of the model, about to train so many steps; as quiet as ours."""
    training = setting.setup.schedule.training
    arguments = transformers.TrainingArguments(
        output_dir=tempfile.mkdtemp(dir=setting.folder.name),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        train_sampling_strategy="sequential",
        learning_rate=training.learning_rate,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        weight_decay=training.weight_decay,
        adam_beta1=training.adam_beta1,
        adam_beta2=training.adam_beta2,
        adam_epsilon=training.adam_epsilon,
        max_grad_norm=training.max_grad_norm,
        logging_steps=log_every,
        save_strategy="no",
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
        seed=training.seed,
    )
    found = transformers.Trainer(
        copy.deepcopy(setting.model), arguments, train_dataset=TokenRows(setting.batches(steps))
    )
    found.remove_callback(transformers.PrinterCallback)
    return found


# ---- the cases -----------------------------------------------------------------------------------------------------


def assert_same_weights(found: nn.Module, expected: nn.Module) -> None:
    """Raises DifferentError unless all weights are the same, bit for bit."""
    for (name, one), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        if not torch.equal(one, other):
            raise DifferentError(f"after {CHECKED_STEPS} steps {name} differs by {(one - other).abs().max():.1e}")


def assert_same_as_bare(setting: Setting) -> None:
    """Raises DifferentError unless our loop and the bare one end with the same weights, and have trained."""
    ours, bare = our_loop(setting, CHECKED_STEPS), copy.deepcopy(setting.model)
    ours.run()
    bare_loop(bare, build_optimizer(bare, setting.setup.schedule.training), setting.batches(CHECKED_STEPS))
    assert_same_weights(ours.plain_model, bare)
    if torch.equal(next(bare.parameters()), next(setting.model.parameters())):
        raise DifferentError("nothing was trained")


def bare_sides(size: Size) -> Sides:
    """Our loop and the bare one."""
    start = setting(size)
    model = copy.deepcopy(start.model)
    optimizer = build_optimizer(model, start.setup.schedule.training)
    reference = functools.partial(bare_loop, model, optimizer, start.batches(size.steps))
    ours = functools.partial(run_again, our_loop(start, size.steps))
    return Sides(functools.partial(assert_same_as_bare, start), ours, reference)


@case("loop_vs_bare", "our loop", "bare PyTorch loop", target=1.03)
def loop_vs_bare() -> Sides:
    """0.8 M parameters, 8 texts of 128 characters."""
    return bare_sides(MEDIUM)


@case("loop_vs_bare_small", "our loop", "bare PyTorch loop")
def loop_vs_bare_small() -> Sides:
    """So small that a step is mostly Python: what our loop costs per step. No target."""
    return bare_sides(SMALL)


def assert_same_as_trainer(setting: Setting) -> None:
    """Raises DifferentError unless loss by step and the trained nets agree, to rounding that AdamW has amplified."""
    ours, theirs = our_loop(setting, CHECKED_STEPS, log_every=1), trainer(setting, CHECKED_STEPS, log_every=1)
    ours.run()
    theirs.train()
    expected = torch.tensor([line["loss"] for line in theirs.state.log_history if "loss" in line])
    found = torch.tensor([line["loss"] for line in read_metrics(ours.metrics.path)])
    if len(found) != CHECKED_STEPS or found.shape != expected.shape:
        raise DifferentError(f"{len(found)} and {len(expected)} losses were logged; asked for: {CHECKED_STEPS}")
    assert_close(found, expected, "losses differ", allowed=1e-4)
    with torch.no_grad():
        ids = setting.batches(1)[0]["input_ids"]
        logits = [model.eval()(ids, use_cache=False).logits for model in (ours.plain_model, theirs.model)]
    assert_close(*logits, "logits after training differ", allowed=1e-3)


def trainer_sides(size: Size) -> Sides:
    """Our loop and Trainer, from the first batch to the last."""
    start = setting(size)
    ours, theirs = our_loop(start, size.steps), trainer(start, size.steps)
    return Sides(functools.partial(assert_same_as_trainer, start), functools.partial(run_again, ours), theirs.train)


@case("loop_vs_trainer", "our loop", "transformers.Trainer", target=1.00)
def loop_vs_trainer() -> Sides:
    """0.8 M parameters, 8 texts of 128 characters."""
    return trainer_sides(MEDIUM)


@case("loop_vs_trainer_small", "our loop", "transformers.Trainer", target=1.00)
def loop_vs_trainer_small() -> Sides:
    """So small that a step is mostly Python."""
    return trainer_sides(SMALL)
