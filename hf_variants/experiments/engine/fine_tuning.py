# Copyright 2026 The hf_variants authors. MIT licence.
"""What trains beside the head of a pretrained classifier: everything, nothing, adapters, or one layer after the other.

With `frozen` the encoder stays in evaluation mode. Its output for an example never changes then, so it is computed
once, and what the head reads of it is played back in every epoch.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from ... import growth
from ..checking import InputError
from ..labelled.examples import TokenizedExamples
from ..models.costs import count_parameters, forward_flops_per_token
from ..models.missing import missing_weights
from ..objectives.frozen_features import FEATURES, PlayedEncoder, play_features
from ..recipes.sections import TrainingArguments
from ..records import DataRecord, Mark
from .prepared import Prepared
from .prepared_examples import PreparedExamples

PROBE = 16  # examples on which playing back is compared with the whole model


CLOSE = 1e-4  # of logits; rows of other lengths come from other kernels


def head_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """The parameters outside the encoder. Raises InputError where there are none."""
    inside = {id(p) for p in model.base_model.parameters()}
    found = [p for p in model.parameters() if id(p) not in inside]
    if not found or model.base_model is model:
        raise InputError(f"training.train: {type(model).__name__} has no head of its own beside its encoder")
    return found


def freeze_encoder(model: PreTrainedModel) -> None:
    """Leaves only the head to train."""
    head = head_parameters(model)
    model.requires_grad_(False)
    for parameter in head:
        parameter.requires_grad_(True)


def gradual_stages(model: PreTrainedModel) -> list[dict[str, Any]]:
    """Growth stages that unfreeze the last layer first (Howard and Ruder, arXiv:1801.06146, section 3.3).

    One layer more at equal shares of the first half of the budget, the embeddings last.
    """
    try:
        count = len(growth.find_layers(model)[1])
    except ValueError as error:
        raise InputError(f"training.train: gradual: {error}") from None
    return [{"operation": "unfreeze", "layers": n, "fraction": n / (2 * (count + 1))} for n in range(1, count + 2)]


class FineTuning:
    """Brings a model into the state that `training.train` asks for, and out of it when it is trained.

    `freeze` comes first, and raises InputError where a model has no such state; `start` gives the prepared data that
    the model trains with.
    """

    def __init__(self, training: TrainingArguments, model: PreTrainedModel) -> None:
        self.training, self.model = training, model
        self.encoder: nn.Module | None = None
        self.read_seconds = 0.0  # in which the frozen encoder read the training examples

    def freeze(self) -> None:
        """Freezes what does not train, and adds adapters."""
        if self.training.train != "full":
            freeze_encoder(self.model)
        if self.training.train in ("frozen", "lora"):
            self._check_pretrained()
        if self.training.train == "lora":
            self._add_adapters()

    def start(self, prepared: Prepared) -> Prepared:
        """Returns `prepared`, with features in place of text where a frozen encoder's are enough."""
        return self._play_back(prepared) if self.training.train == "frozen" else prepared

    @contextmanager
    def encoder_in_place(self, model: PreTrainedModel) -> Iterator[None]:
        """Lets a model be saved whole: it has its encoder, for as long as the context lasts."""
        if self.encoder is None:
            yield
            return
        name, played = model.base_model_prefix, model.base_model
        setattr(model, name, self.encoder)
        try:
            yield
        finally:
            setattr(model, name, played)

    def finish(self, folder: Path | None, base_name: str | None) -> None:
        """Makes a plain model of it again. Adapters and head are also saved by themselves, under `folder` if given."""
        if self.encoder is not None:
            setattr(self.model, self.model.base_model_prefix, self.encoder)
        if growth.in_lora_stage(self.model):
            if folder is not None:
                growth.save_adapter(self.model, folder, base_name or "")
            growth.merge_lora(self.model)

    def _check_pretrained(self) -> None:
        """What the checkpoint lacks was drawn at random: frozen, it would stay so."""
        prefix = self.model.base_model_prefix + "."
        random = [name for name in missing_weights(self.model) if name.startswith(prefix)]
        if random:
            raise InputError(
                f"training.train: {self.training.train}: the checkpoint lacks {', '.join(random[:3])} of the encoder, "
                "which would stay random; allowed: full, gradual, or another checkpoint"
            )

    def _add_adapters(self) -> None:
        head = {id(p) for p in head_parameters(self.model)}
        rank, alpha = self.training.lora_rank, self.training.lora_alpha
        try:
            growth.start_lora_stage(self.model, rank, alpha, mlp="lora")
        except ValueError as error:
            raise InputError(f"training.train: lora: {error}") from None
        for name, parameter in self.model.named_parameters():
            if parameter.is_floating_point():
                parameter.requires_grad_(".lora_" in name or id(parameter) in head)

    # ---- a frozen encoder --------------------------------------------------------------------------------------

    def _play_back(self, prepared: PreparedExamples) -> PreparedExamples:
        for last in (False, True):
            reader = FeatureReader(self.model, last)
            if reader.is_enough(prepared):
                features = self._features(reader, prepared)
                self.encoder = self.model.base_model
                setattr(self.model, self.model.base_model_prefix, PlayedEncoder(self.model.base_model))
                return prepared.with_features(features)
        # the head reads more than one position: the encoder runs in every step, without dropout and gradient
        self.model.base_model.register_forward_pre_hook(_stay_in_evaluation)
        return prepared

    def _features(self, reader: "FeatureReader", prepared: PreparedExamples) -> dict[str, dict[str, np.ndarray]]:
        """The features of all splits: read now, or by a run before, of other seed or rate, from the same encoder."""
        key = (reader.last, self.training.eval_batch_size, encoder_digest(self.model))
        if key not in prepared.features:
            read = {split: self._read(reader, split, examples) for split, examples in prepared.examples.items()}
            prepared.features.clear()
            prepared.features[key] = read, self.read_seconds
        features, self.read_seconds = prepared.features[key]
        return features

    def _read(self, reader: "FeatureReader", split: str, examples: TokenizedExamples) -> dict[str, np.ndarray]:
        began = time.perf_counter()
        features = reader.read(examples, self.training.eval_batch_size)
        if split == "train":
            self.read_seconds = time.perf_counter() - began
        return features

    def with_reading(self, marks: tuple[Mark, ...], data: DataRecord, length: int) -> tuple[Mark, ...]:
        """The marks of a run with what it cost to read the training examples once with a frozen encoder."""
        if self.encoder is None:
            return marks
        head = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        reading = forward_flops_per_token(self.encoder, length) * data.splits["train"]["tokens"]
        costs = [reading + 6 * head * mark.tokens / length for mark in marks]  # of the head: 6 per weight and example
        return tuple(
            dataclasses.replace(mark, seconds=mark.seconds + self.read_seconds, flops=flops)
            for mark, flops in zip(marks, costs, strict=True)
        )

    def count_parameters(self) -> dict[str, int]:
        """All and trainable parameters, an encoder that is played back included."""
        counts = count_parameters(self.model)
        if self.encoder is not None:
            counts["parameters"] += count_parameters(self.encoder)["parameters"]
        return counts


def encoder_digest(model: PreTrainedModel) -> str:
    """A hash of what a model's encoder computes: its configuration, and the names and values of its tensors."""
    digest = hashlib.sha256(f"{type(model.base_model).__name__} {model.config.to_json_string()}".encode())
    for name, tensor in model.base_model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _stay_in_evaluation(module: nn.Module, _: Any) -> None:
    module.eval()


class FeatureReader:
    """Reads an encoder's output at the first token, or at the last real one, and its pooled output."""

    def __init__(self, model: PreTrainedModel, last: bool) -> None:
        self.model, self.last = model, last

    @torch.no_grad()
    def read(self, examples: TokenizedExamples, batch_size: int) -> dict[str, np.ndarray]:
        """By name: the features of all examples, `(n, 1, hidden)` and, where the encoder pools, `(n, hidden)`."""
        was_training = self.model.training
        self.model.eval()
        order, parts = np.argsort(examples.lengths, kind="stable"), []
        for start in range(0, len(order), batch_size):
            parts.append(self._read(examples.batch(order[start : start + batch_size])))
        self.model.train(was_training)
        back = np.argsort(order)
        return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}

    def _read(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        device = next(self.model.parameters()).device
        inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items() if name != "labels"}
        output = self.model.base_model(**inputs)
        mask, hidden = inputs["attention_mask"], output.last_hidden_state
        places = torch.arange(mask.shape[1], device=device) * mask
        column = places.argmax(1) if self.last else torch.zeros(len(mask), dtype=torch.long, device=device)
        found = {FEATURES[0]: hidden[torch.arange(len(mask), device=device), column][:, None].float().cpu().numpy()}
        if output.get("pooler_output") is not None:
            found[FEATURES[1]] = output["pooler_output"].float().cpu().numpy()
        return found

    @torch.no_grad()
    def is_enough(self, prepared: PreparedExamples) -> bool:
        """Whether the head says the same of these features as of the encoder's whole output."""
        model, examples = self.model, prepared.examples["train"]
        rows = np.linspace(0, len(examples) - 1, min(PROBE, len(examples))).astype(int)
        batch, encoder, was_training = examples.batch(rows), model.base_model, model.training
        device = next(model.parameters()).device
        inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items() if name != "labels"}
        model.eval()
        wanted = model(**inputs).logits
        features = {name: torch.from_numpy(array).to(device) for name, array in self._read(batch).items()}
        setattr(model, model.base_model_prefix, PlayedEncoder(encoder))
        try:
            found = play_features(model, features)
        except (IndexError, RuntimeError):  # the head wants more than one position
            return False
        finally:
            setattr(model, model.base_model_prefix, encoder)
            model.train(was_training)
        return found.shape == wanted.shape and torch.allclose(found, wanted, atol=CLOSE)
