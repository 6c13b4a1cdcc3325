# Copyright 2026 The hf_variants authors. MIT licence.
"""One run: recipe in, trained and exported model plus record out. `train.py` does one, `compare.py` many."""

import copy
import dataclasses
import datetime
import hashlib
import json
import math
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

import hf_variants

from .. import growth
from .arguments import SECTIONS, DataArguments, InputError, ModelArguments, Recipe
from .corpora import Corpus, find_local, load_corpus
from .data import TRAINED, BlockOrder, PackedBlocks, StepDataset, build_tokenizer, separator_id, tokenize_documents
from .growing import Growing
from .loop import Loop
from .objectives import FixedEvaluation, build_objective
from .record import (
    SCHEMA,
    claim_folder,
    count_parameters,
    environment,
    read_json,
    read_metrics,
    summarise,
    training_flops_per_token,
    write_json,
)
from .schedule import plan, total_steps


@dataclass
class Prepared:
    """Data, tokenizer and objective of a recipe, ready for any number of models."""

    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase
    objective: Any
    blocks: dict[str, PackedBlocks]

    def describe(self) -> dict[str, Any]:
        """The `data` part of a record."""
        train = Counter(self.blocks["train"].tokens.tolist())
        shares = np.asarray(list(train.values())) / len(self.blocks["train"].tokens)
        splits = {
            name: {"characters": sum(map(len, self.corpus.splits[name])), "tokens": len(b.tokens), "blocks": len(b)}
            for name, b in self.blocks.items()
        }
        about = {"name": self.corpus.name, "license": self.corpus.license, "hub_id": self.corpus.hub_id}
        about |= {"language": self.corpus.language, "fingerprint": self.corpus.fingerprint}
        return about | {"splits": splits, "unigram_entropy": float(-(shares * np.log(shares)).sum())}


def prepare(recipe: Recipe) -> Prepared:
    """Reads the corpus, trains or loads the tokenizer, and packs the splits."""
    corpus = load_corpus(recipe.data)
    size = recipe.data.block_size
    tokenizer = build_tokenizer(recipe.tokenizer, corpus, size)
    objective = build_objective(recipe.objective, tokenizer)
    if objective.auto_class != "AutoModelForCausalLM" and recipe.data.eval_stride is not None:
        raise InputError(f"data.eval_stride: is for causal_lm; objective.objective is {recipe.objective.objective}")
    if objective.auto_class == "AutoModelForCausalLM" and corpus.questions and separator_id(tokenizer) is None:
        raise InputError("tokenizer: answers need an eos or sep token that ends them; this tokenizer has neither")
    blocks = {s: PackedBlocks(tokenize_documents(tokenizer, texts), size, s) for s, texts in corpus.splits.items()}
    return Prepared(corpus, tokenizer, objective, blocks)


def for_model(prepared: Prepared, config: PreTrainedConfig, data: DataArguments) -> Prepared:
    """The same with the objective as this model needs it. Raises InputError where blocks are too short for it."""
    horizon = getattr(config, "prediction_horizon", 1)
    if horizon > data.block_size - (data.eval_stride or 1):
        raise InputError(
            f"data: block_size {data.block_size} is below prediction_horizon {horizon} + eval_stride "
            f"{data.eval_stride or 1}"
        )
    if not hasattr(prepared.objective, "for_model"):
        return prepared
    return dataclasses.replace(prepared, objective=prepared.objective.for_model(config))


# ---- model ---------------------------------------------------------------------------------------------------------


def build_config(arguments: ModelArguments, tokenizer: PreTrainedTokenizerBase, block_size: int) -> PreTrainedConfig:
    """The configuration, with vocabulary and special ids from the tokenizer. Raises InputError naming the field."""
    ids = {n: getattr(tokenizer, n) for n in ("pad_token_id", "bos_token_id", "eos_token_id")}
    settings = {"vocab_size": len(tokenizer)} | {n: i for n, i in ids.items() if i is not None}
    settings |= {"pad_token_id": tokenizer.pad_token_id}
    try:
        if arguments.pretrained:
            settings = {}
        config = _base_config(arguments, settings | arguments.overrides)
    except InputError:
        raise
    except (StrictDataclassError, ValueError, OSError, KeyError) as error:
        raise InputError(f"model: {' '.join(str(error).split())}") from None
    known = config.to_dict()
    for name in arguments.overrides:
        if name not in known:
            raise InputError(f"model.overrides: {config.model_type} has no field '{name}'{_near(name, known)}")
    _check_sizes(config, tokenizer, block_size)
    return config


def _base_config(arguments: ModelArguments, settings: dict[str, Any]) -> PreTrainedConfig:
    if arguments.name_or_path is not None:
        config = AutoConfig.from_pretrained(
            arguments.name_or_path, revision=arguments.revision, trust_remote_code=True
        )
        _refuse_unknown_fields(arguments.overrides, config)
        return type(config).from_dict(config.to_dict() | settings)
    known = transformers.CONFIG_MAPPING
    if arguments.model_type not in known:
        ours = ", ".join(row.model_type for row in hf_variants.auto.TABLE)
        raise InputError(
            f"model.model_type: '{arguments.model_type}'; allowed: {ours}, or a type that transformers knows"
        )
    cls = known[arguments.model_type]
    default = cls()
    _refuse_unknown_fields(arguments.overrides, default)
    for name in ("bos_token_id", "eos_token_id"):  # a default that means nothing in this vocabulary
        token, size = getattr(default, name, None), settings["vocab_size"]
        if isinstance(token, int) and isinstance(size, int) and token >= size:
            settings = {name: None} | settings
    return cls(**settings)


def _refuse_unknown_fields(overrides: dict[str, Any], config: PreTrainedConfig) -> None:
    for name in overrides:
        if not hasattr(config, name) or callable(getattr(config, name)):
            raise InputError(
                f"model.overrides: {config.model_type} has no field '{name}'{_near(name, config.to_dict())}"
            )


def _near(name: str, known: dict[str, Any]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _check_sizes(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, block_size: int) -> None:
    if config.vocab_size < len(tokenizer):
        raise InputError(f"model: vocab_size {config.vocab_size} is below the tokenizer's {len(tokenizer)}")
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions < block_size:
        raise InputError(f"model: max_position_embeddings {positions} is below data.block_size {block_size}")


def build_model(arguments: ModelArguments, config: PreTrainedConfig, auto_class: str) -> PreTrainedModel:
    """A new model, or the pretrained one that the recipe names."""
    auto = getattr(transformers, auto_class)
    # float32, whatever the configuration or the checkpoint was saved in: mixed precision is the recipe's to choose
    options = {"trust_remote_code": True, "dtype": torch.float32}
    if arguments.attn_implementation is not None:
        options["attn_implementation"] = arguments.attn_implementation
    try:
        if arguments.pretrained:
            return auto.from_pretrained(arguments.name_or_path, config=config, revision=arguments.revision, **options)
        return auto.from_config(config, **options)
    except (ValueError, OSError, ImportError) as error:
        raise InputError(f"model: {' '.join(str(error).split())[:400]}") from None


def check_block(model: PreTrainedModel, prepared: Prepared) -> None:
    """Raises InputError where a new model on the CPU can't read a block: some types count positions from an offset."""
    if model.config._attn_implementation not in ("eager", "sdpa"):  # others may need another device
        return
    rows = prepared.blocks["train"].all_rows(1)
    arrays, _ = prepared.objective.prepare(rows, np.random.default_rng(0))
    was_training = model.training
    try:
        with torch.no_grad():  # in eval mode no random number is drawn
            prepared.objective.losses(model.eval(), {name: torch.from_numpy(array) for name, array in arrays.items()})
    except (IndexError, RuntimeError) as error:
        if not any(words in str(error) for words in ("out of range", "out of bounds")):
            raise
        kind, size = model.config.model_type, rows.shape[1]
        raise InputError(
            f"model: {kind} cannot read a block of {size} tokens ({error}); raise max_position_embeddings"
        ) from None
    model.train(was_training)


# ---- run -----------------------------------------------------------------------------------------------------------


BOOKKEEPING = ("trackers", "keep_checkpoints", "checkpoint_every", "snapshot_every", "log_every",
               "log_layer_gradients", "samples", "sample_tokens", "sample_temperature", "sample_prompts")  # fmt: skip


def identity(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    """What decides a run's result: the recipe but for names and bookkeeping, and the data's fingerprint.

    Fields at their default are left out, so that a record stays valid when recipes learn a new field; changing a
    default, on the other hand, changes what old records stand for.
    """
    content = {}
    for section, cls in SECTIONS.items():
        arguments = getattr(recipe, section)
        for field in dataclasses.fields(cls):
            value = getattr(arguments, field.name)
            default = field.default if field.default is not dataclasses.MISSING else field.default_factory()
            if value != default and field.name not in BOOKKEEPING:
                content.setdefault(section, {})[field.name] = value
    tokenizer = recipe.tokenizer.tokenizer if recipe.tokenizer.tokenizer not in TRAINED else None
    local = (recipe.model.name_or_path, tokenizer, recipe.objective.objective.rpartition(":")[0])
    found = {name: Path(name) if name != tokenizer else find_local(name) for name in local if name}
    digests = {name: _digest(path) for name, path in found.items() if path is not None and path.exists()}
    content |= {"local_files": digests} if digests else {}
    return json.loads(json.dumps(content | {"data_fingerprint": prepared.corpus.fingerprint}))


def _digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files: code and weights of one's own decide a result as the recipe does."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return "sha256:" + digest.hexdigest()


def recipe_fingerprint(identity_: dict[str, Any]) -> str:
    """sha256 of an identity."""
    return "sha256:" + hashlib.sha256(json.dumps(identity_, sort_keys=True).encode()).hexdigest()


def new_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """An Accelerator for this recipe; earlier runs of the same process leave no setting behind."""
    AcceleratorState._reset_state()
    training = recipe.training
    try:
        accelerator = Accelerator(
            mixed_precision=training.mixed_precision,
            gradient_accumulation_steps=training.gradient_accumulation_steps,
            log_with=training.trackers or None,
            project_dir=folder,
        )
    except (ValueError, ImportError) as error:
        raise InputError(f"training: {error}") from None
    if training.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("training.mixed_precision: fp16 does nothing on a CPU; allowed there: no, bf16")
    per_step = accelerator.num_processes * training.gradient_accumulation_steps
    if training.batch_size % per_step:
        raise InputError(
            f"training.batch_size: {training.batch_size} is not divisible by {per_step} (processes × micro-batches)"
        )
    return accelerator


def run_recipe(recipe: Recipe, folder: Path, prepared: Prepared | None = None) -> dict[str, Any]:
    """Trains, evaluates and saves one model under `folder`; returns the record (also `folder`/record.json).

    A finished run is returned as it is; an interrupted one goes on. Raises InputError where the recipe can't be run,
    before anything is written.
    """
    phases = plan(recipe.training, recipe.data.block_size)
    prepared = prepared or prepare(recipe)
    accelerator = new_accelerator(recipe, folder)
    set_seed(recipe.training.seed)
    config = build_config(recipe.model, prepared.tokenizer, recipe.data.block_size)
    prepared = for_model(prepared, config, recipe.data)
    model = build_model(recipe.model, config, prepared.objective.auto_class)
    check_block(model, prepared)
    growing = build_growing(recipe, prepared, config)
    if growing is not None:
        growing.check(model)
    claim_folder(folder, identity(recipe, prepared))
    if (folder / "record.json").exists():
        return read_json(folder / "record.json")
    if recipe.training.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    loop = _build_loop(recipe, folder, prepared, accelerator, model.to(accelerator.device), phases, growing)
    _start_trackers(accelerator, recipe)
    torch.manual_seed(recipe.training.seed + 1_000_003 * accelerator.process_index)  # dropout differs by process
    progress = loop.run()
    model = loop.plain_model  # another one than before where a run that grows was resumed
    for tracker in accelerator.trackers:  # not `end_training`: it ends the process group, which is needed below
        tracker.finish()
    record = _record(recipe, folder, prepared, model, progress.seconds)
    if accelerator.is_main_process:
        finish(record, prepared, model, recipe.data.block_size)
        _keep(folder, prepared, model, record)
    accelerator.wait_for_everyone()
    return record


def build_growing(recipe: Recipe, prepared: Prepared, config: PreTrainedConfig) -> Growing | None:
    """What grows the recipe's model; None where nothing does. Raises InputError where stages do not fit the budget."""
    stages, training = recipe.growth.parsed(), recipe.training
    if not stages:
        return None
    if training.max_seconds is not None:
        raise InputError("growth: a budget in seconds has no fixed steps; allowed: training.max_tokens or max_steps")
    settings = copy.deepcopy(config)

    def fresh() -> PreTrainedModel:
        model = build_model(recipe.model, copy.deepcopy(settings), prepared.objective.auto_class)
        if training.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        return model

    rows = prepared.blocks["train"].all_rows(2)
    inputs = {"input_ids": torch.from_numpy(np.asarray(rows, dtype=np.int64))}
    steps = total_steps(training, recipe.data.block_size)
    return Growing(stages, steps, training.batch_size * recipe.data.block_size, fresh, inputs)


def _build_loop(
    recipe: Recipe,
    folder: Path,
    prepared: Prepared,
    accelerator: Accelerator,
    model: Any,
    phases: Any,
    growing: Growing | None = None,
) -> Loop:
    training, blocks = recipe.training, prepared.blocks
    order = BlockOrder(blocks["train"], training.batch_size, training.seed, recipe.data.random_phase)
    parts, rank, world = training.gradient_accumulation_steps, accelerator.process_index, accelerator.num_processes
    dataset = StepDataset(order, prepared.objective, training.seed, parts, rank, world)
    evaluations = {s: _evaluation(recipe, prepared, s) for s in ("validation", "test") if s in blocks}

    def snapshot(model: PreTrainedModel, step: int) -> None:
        if accelerator.is_main_process:
            _save_model(folder / "snapshots" / f"step-{step:08d}", model, prepared.tokenizer)

    return Loop(accelerator, model, dataset, evaluations, training, phases, folder, snapshot, growing)


def _evaluation(recipe: Recipe, prepared: Prepared, split: str) -> FixedEvaluation:
    data, blocks = recipe.data, prepared.blocks[split]
    rows, new = blocks.all_rows(data.max_eval_blocks), None
    if data.eval_stride is not None:
        rows, new = blocks.windows(data.eval_stride, data.max_eval_blocks)
    batch_size = recipe.training.eval_batch_size
    return FixedEvaluation(rows, prepared.objective, recipe.objective.eval_seed, batch_size, new)


def _start_trackers(accelerator: Accelerator, recipe: Recipe) -> None:
    if recipe.training.trackers:
        flat = {
            f"{s}.{k}": str(v)
            for s, part in recipe.to_dict().items()
            if isinstance(part, dict)
            for k, v in part.items()
        }
        accelerator.init_trackers(recipe.name, config=flat)


def _record(
    recipe: Recipe, folder: Path, prepared: Prepared, model: PreTrainedModel, seconds: float
) -> dict[str, Any]:
    flops = training_flops_per_token(model, recipe.data.block_size)
    if not math.isfinite(flops):
        raise RuntimeError("FLOPs per token are not finite")
    about = {"schema": SCHEMA, "arm": recipe.name, "seed": recipe.training.seed}
    about |= {"recipe_fingerprint": recipe_fingerprint(identity(recipe, prepared)), "recipe": recipe.to_dict()}
    about |= {"model_type": model.config.model_type, "data": prepared.describe()}
    about |= count_parameters(model) | {"flops_per_token": flops}
    about |= summarise(read_metrics(folder / "metrics.jsonl"), flops)
    finished = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return about | {"environment": environment(), "finished": finished}


def finish(record: dict[str, Any], prepared: Prepared, model: PreTrainedModel, block_size: int) -> None:
    """Adds to the record, in place, what the objective has a finished model do."""
    if hasattr(prepared.objective, "finish"):
        found = prepared.objective.finish(model, prepared.corpus, block_size)
        for split, values in found.pop("metrics", {}).items():
            record["marks"][-1].setdefault(split, {}).update(values)
        record.update(found)


def _keep(folder: Path, prepared: Prepared, model: PreTrainedModel, record: dict[str, Any]) -> None:
    """Saves the final model, then the record, then drops the checkpoints: a kill in between loses nothing."""
    _save_model(folder / "final", model, prepared.tokenizer)
    write_json(folder / "record.json", record)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    growth.save_stage(model, folder)
    tokenizer.save_pretrained(folder)
