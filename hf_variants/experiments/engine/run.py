# Copyright 2026 The hf_variants authors. MIT licence.
"""One run: recipe in, trained and exported model plus record out. `train.py` does one, `compare.py` many."""

import dataclasses
import datetime
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ... import growth
from ..files import read_json, remove_folder, wait_for_disk, write_json
from ..machine.environment import environment
from ..machine.hardware import speed, start_measuring
from ..machine.processes import new_accelerator, told
from ..machine.spread import spread_of
from ..models.costs import count_parameters, training_flops_per_token
from ..models.word_vectors import found_vectors
from ..objectives.evaluations import Evaluation
from ..recipes.recipe import Recipe
from ..records import DataRecord, RecordedRecipe, RunRecord
from .fine_tuning import FineTuning
from .identity import identity, recipe_fingerprint
from .loop import Loop
from .new_model import check_block
from .optimizer import check_hidden_matrices
from .prepared import Prepared
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
from .setup import Setup, set_up
from .steps import StepDataset


@dataclass
class Run:
    """A recipe about to be trained in a folder, checked; nothing has been written yet."""

    setup: Setup
    folder: Path
    accelerator: Accelerator
    model: PreTrainedModel
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
    run = _begin(set_up(recipe, prepared), folder)
    claim_folder(folder, identity(recipe, run.setup.prepared))
    if (folder / "record.json").exists():
        if run.accelerator.is_main_process:
            remove_folder(folder / CHECKPOINTS)  # the run may have been killed before it did that
        return RunRecord.from_json(read_json(folder / "record.json"), str(folder / "record.json"))
    if recipe.training.gradient_checkpointing:
        run.model.gradient_checkpointing_enable()
    run.model.to(run.accelerator.device)
    record, model = _train(run)
    if run.accelerator.is_main_process:
        _keep(folder, run.setup.prepared, model, record)
    run.accelerator.wait_for_everyone()
    return record


def _begin(setup: Setup, folder: Path) -> Run:
    accelerator = new_accelerator(setup.recipe, folder)
    set_seed(setup.recipe.training.seed)
    model = setup.new_model()
    check_block(model, setup.prepared)
    check_hidden_matrices(model, setup.recipe.training)
    setup.growing.check(model)
    tuning = FineTuning(setup.recipe.training, model)
    tuning.freeze()
    return Run(setup, folder, accelerator, model, tuning)


def _train(run: Run) -> tuple[RunRecord, PreTrainedModel]:
    """The record and the plain model of a run from wherever its folder says it stands."""
    setup, accelerator, tuning, model = run.setup, run.accelerator, run.tuning, run.model
    recipe, training, length = setup.recipe, setup.schedule.training, setup.schedule.order.typical_length
    trained_on = tuning.start(setup.prepared)
    counts = tuning.count_parameters()
    flops = training_flops_per_token(model, length) if tuning.encoder is None else 0.0
    evaluations = trained_on.evaluations(recipe)
    loop = _build_loop(run, trained_on, evaluations)
    _start_trackers(accelerator, recipe)
    torch.manual_seed(training.seed + 1_000_003 * accelerator.process_index)  # dropout differs by process
    start_measuring()
    loop.run()
    model = tuning.model = loop.plain_model  # another one than before where a run was sharded, or grew and was resumed
    for tracker in accelerator.trackers:  # not `end_training`: it ends the process group, which is needed below
        tracker.finish()
    found = trained_on.finish(model, recipe, evaluations, accelerator, run.folder)
    adapter = run.folder / "final" / "adapter" if accelerator.is_main_process else None
    tuning.finish(adapter, recipe.model.name_or_path)
    if setup.growing.stages:
        counts, flops = count_parameters(model), training_flops_per_token(model, length)
    course = None
    if accelerator.is_main_process:  # the others may see the file of metrics before its last lines
        course = course_of(read_metrics(run.folder / "metrics.jsonl"), flops)
    return _record(run, model, told(course), Counted(counts, flops, length), Finished.from_json(found)), model


def _build_loop(run: Run, trained_on: Prepared, evaluations: dict[str, Evaluation]) -> Loop:
    setup, accelerator, folder, schedule = run.setup, run.accelerator, run.folder, run.setup.schedule
    training = schedule.training
    parts, rank, world = training.gradient_accumulation_steps, accelerator.process_index, accelerator.num_processes
    is_text = trained_on is setup.prepared  # and no encoder's features in place of it
    order = schedule.order if is_text else trained_on.order(training)
    dataset = StepDataset(order, trained_on.objective, training.seed, parts, rank, world)

    def snapshot(model: PreTrainedModel | None, step: int) -> None:
        if model is not None and accelerator.is_main_process:
            with run.tuning.encoder_in_place(model):
                _save_model(folder / "snapshots" / f"step-{step:08d}", model, setup.prepared.tokenizer)

    return Loop(
        accelerator,
        run.model,
        dataset,
        evaluations,
        training,
        schedule.phases,
        folder,
        snapshot=snapshot,
        growing=setup.growing,
        spread=spread_of(accelerator),
    )


def _start_trackers(accelerator: Accelerator, recipe: Recipe) -> None:
    if recipe.training.trackers:
        flat = {
            f"{s}.{k}": str(v)
            for s, part in recipe.to_dict().items()
            if isinstance(part, dict)
            for k, v in part.items()
        }
        accelerator.init_trackers(recipe.name, config=flat)


def _record(run: Run, model: PreTrainedModel, course: Course, counted: Counted, finished: Finished) -> RunRecord:
    if not math.isfinite(counted.flops_per_token):
        raise RuntimeError("FLOPs per token are not finite")
    recipe, prepared, processes = run.setup.recipe, run.setup.prepared, run.accelerator.num_processes
    training = run.setup.schedule.training
    data = DataRecord.from_json(prepared.describe())
    marks = run.tuning.with_reading(course.marks, data, counted.length)
    marks = tuple(
        dataclasses.replace(mark, **prepared.budget(training, share, mark.steps))
        for mark, share in zip(marks, training.budgets, strict=True)
    )
    marks = (*marks[:-1], last := finished.added_to(marks[-1]))
    is_played = run.tuning.encoder is not None
    return RunRecord(
        arm=recipe.name,
        seed=training.seed,
        data=data,
        recipe_fingerprint=recipe_fingerprint(identity(recipe, prepared)),
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
