# Copyright 2026 The hf_variants authors. MIT licence.
"""One run: recipe in, trained and exported model plus record out. `train.py` does one, `compare.py` many."""

import dataclasses
import datetime
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ... import growth
from ..files import read_json, remove_folder, wait_for_disk, write_json
from ..machine.environment import environment
from ..machine.hardware import speed, start_measuring
from ..machine.processes import new_accelerator, own_sharding, told
from ..machine.zero import Zero, is_wanted
from ..models.build import build_config
from ..models.costs import count_parameters, training_flops_per_token
from ..models.word_vectors import found_vectors
from ..recipes.recipe import Recipe
from ..recipes.sections import TrainingArguments
from ..records import DataRecord, RecordedRecipe, RunRecord
from .fine_tuning import FineTuning
from .growing import Growing, build_growing
from .identity import identity, recipe_fingerprint
from .loop import Loop
from .new_model import check_block, new_model
from .optimizer import build_optimizer
from .prepared import Prepared, prepare
from .record import (
    CHECKPOINTS,
    Course,
    Finished,
    claim_folder,
    course_of,
    read_metrics,
    refuse_foreign,
    saved_config,
)
from .schedule import Phase, in_steps, plan
from .steps import StepDataset


@dataclass
class Setup:
    """All that a run needs, checked; nothing has been written yet."""

    recipe: Recipe
    training: TrainingArguments  # the recipe's, with its budget in steps
    folder: Path
    prepared: Prepared
    phases: list[Phase]
    accelerator: Accelerator
    model: PreTrainedModel
    growing: Growing | None
    tuning: FineTuning


@dataclass(frozen=True)
class Counted:
    """The size of the model that was trained, what a token costs it, and how long its texts are."""

    parameters: dict[str, int]
    flops_per_token: float
    length: int


def run_recipe(recipe: Recipe, folder: Path, prepared: Prepared | None = None) -> RunRecord:
    """Trains, evaluates and saves one model under `folder`; returns the record (also `folder`/record.json).

    A finished run is returned as it is; an interrupted one goes on. Raises InputError where the recipe can't be run,
    before anything is written.
    """
    refuse_foreign(folder)  # before data is read, too
    setup = _set_up(recipe, folder, prepared)
    claim_folder(folder, identity(recipe, setup.prepared))
    if (folder / "record.json").exists():
        if setup.accelerator.is_main_process:
            remove_folder(folder / CHECKPOINTS)  # the run may have been killed before it did that
        return RunRecord.from_json(read_json(folder / "record.json"), str(folder / "record.json"))
    if setup.training.gradient_checkpointing:
        setup.model.gradient_checkpointing_enable()
    setup.model.to(setup.accelerator.device)
    record, model = _train(setup)
    if setup.accelerator.is_main_process:
        _keep(folder, setup.prepared, model, record)
    setup.accelerator.wait_for_everyone()
    return record


def _set_up(recipe: Recipe, folder: Path, prepared: Prepared | None) -> Setup:
    if recipe.training.max_epochs is None:  # else how many steps those are is known with the data
        plan(recipe.training, recipe.data.block_size)
    prepared = prepared or prepare(recipe)
    training = in_steps(recipe.training, prepared.order(recipe.training).steps_per_epoch)
    phases = plan(training, recipe.data.block_size)
    accelerator = new_accelerator(recipe, folder)
    set_seed(training.seed)
    task = prepared.config_settings(recipe.model.overrides)
    config = build_config(recipe.model, prepared.tokenizer, recipe.data.block_size, task)
    prepared = prepared.for_model(config)
    model = new_model(recipe, config, prepared)
    check_block(model, prepared)
    growing = build_growing(recipe, prepared, config)
    if growing is not None:
        growing.check(model)
    tuning = FineTuning(training, model)
    tuning.freeze()
    return Setup(recipe, training, folder, prepared, phases, accelerator, model, growing, tuning)


def _train(setup: Setup) -> tuple[RunRecord, PreTrainedModel]:
    """The record and the plain model of a run from wherever its folder says it stands."""
    recipe, accelerator, tuning, model = setup.recipe, setup.accelerator, setup.tuning, setup.model
    trained_on = tuning.start(setup.prepared)
    counts, length = tuning.count_parameters(), setup.prepared.order(setup.training).typical_length
    flops = training_flops_per_token(model, length) if tuning.encoder is None else 0.0
    evaluations = trained_on.evaluations(recipe)
    loop = _build_loop(setup, trained_on, evaluations)
    _start_trackers(accelerator, recipe)
    torch.manual_seed(setup.training.seed + 1_000_003 * accelerator.process_index)  # dropout differs by process
    start_measuring()
    loop.run()
    model = tuning.model = loop.plain_model  # another one than before where a run was sharded, or grew and was resumed
    for tracker in accelerator.trackers:  # not `end_training`: it ends the process group, which is needed below
        tracker.finish()
    found = trained_on.finish(model, recipe, evaluations, accelerator, setup.folder)
    adapter = setup.folder / "final" / "adapter" if accelerator.is_main_process else None
    tuning.finish(adapter, recipe.model.name_or_path)
    if setup.growing is not None:
        counts, flops = count_parameters(model), training_flops_per_token(model, length)
    course = None
    if accelerator.is_main_process:  # the others may see the file of metrics before its last lines
        course = course_of(read_metrics(setup.folder / "metrics.jsonl"), flops)
    return _record(setup, model, told(course), Counted(counts, flops, length), Finished.from_json(found)), model


def _build_loop(setup: Setup, prepared: Prepared, evaluations: dict[str, Any]) -> Loop:
    training, accelerator, folder = setup.training, setup.accelerator, setup.folder
    parts, rank, world = training.gradient_accumulation_steps, accelerator.process_index, accelerator.num_processes
    dataset = StepDataset(prepared.order(training), prepared.objective, training.seed, parts, rank, world)

    def snapshot(model: PreTrainedModel, step: int) -> None:
        if accelerator.is_main_process:
            with setup.tuning.encoder_in_place(model):
                _save_model(folder / "snapshots" / f"step-{step:08d}", model, prepared.tokenizer)

    about = (setup.phases, folder, snapshot, setup.growing, own_sharding(accelerator))
    zero = Zero(accelerator, training, build_optimizer) if is_wanted() else None
    return Loop(accelerator, setup.model, dataset, evaluations, training, *about, zero)


def _start_trackers(accelerator: Accelerator, recipe: Recipe) -> None:
    if recipe.training.trackers:
        flat = {
            f"{s}.{k}": str(v)
            for s, part in recipe.to_dict().items()
            if isinstance(part, dict)
            for k, v in part.items()
        }
        accelerator.init_trackers(recipe.name, config=flat)


def _record(setup: Setup, model: PreTrainedModel, course: Course, counted: Counted, finished: Finished) -> RunRecord:
    if not math.isfinite(counted.flops_per_token):
        raise RuntimeError("FLOPs per token are not finite")
    recipe, training, processes = setup.recipe, setup.training, setup.accelerator.num_processes
    data = DataRecord.from_json(setup.prepared.describe())
    marks = setup.tuning.with_reading(course.marks, data, counted.length)
    marks = tuple(
        dataclasses.replace(mark, **setup.prepared.budget(training, share, mark.steps))
        for mark, share in zip(marks, training.budgets, strict=True)
    )
    marks = (*marks[:-1], last := finished.added_to(marks[-1]))
    is_played = setup.tuning.encoder is not None
    return RunRecord(
        arm=recipe.name,
        seed=training.seed,
        data=data,
        recipe_fingerprint=recipe_fingerprint(identity(recipe, setup.prepared)),
        recipe=RecordedRecipe.from_json(recipe.to_dict()),
        model_type=model.config.model_type,
        config=saved_config(model),
        word_vectors=found_vectors(model) if recipe.model.word_vectors is not None else None,
        **counted.parameters,
        flops_per_token=last.flops / last.tokens if is_played else counted.flops_per_token,
        marks=marks,
        curve=course.curve,
        stages=course.stages,
        unfrozen=course.unfrozen,
        tokens=last.tokens,
        steps=last.steps,
        seconds=last.seconds,
        environment=environment() | {"processes": processes},
        finished=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        speed=speed(last, training.mixed_precision, processes),
        samples=finished.samples,
        answers=finished.answers,
        remarks=finished.remarks,
        classification=finished.classification,
        selection=finished.selection,
        unknown=finished.unknown,  # of an objective that is not ours
    )


def _keep(folder: Path, prepared: Prepared, model: PreTrainedModel, record: RunRecord) -> None:
    """Saves the final model, then the record, then drops the checkpoints: a kill in between loses nothing."""
    _save_model(folder / "final", model, prepared.tokenizer)
    wait_for_disk(folder / "final")
    write_json(folder / "record.json", record.to_json())
    remove_folder(folder / CHECKPOINTS)


def _save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    growth.save_stage(model, folder)
    tokenizer.save_pretrained(folder)
