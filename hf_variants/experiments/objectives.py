# Copyright 2026 The hf_variants authors. MIT licence.
"""What is learned from a block of tokens.

An objective is a small class with three things: `prepare` makes inputs and labels, `losses` scores a model's output
per token, and `metrics` names the `evaluate.Metric` classes that summarise an evaluation. It may have two more:
`for_model(config)` gives the objective as this model needs it, and `finish(model, corpus, block_size)` what a finished
model adds to the record (a dictionary). A recipe may name one of its own: `objective: my_objective.py:MyObjective`.
"""

import functools
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import extract_model_from_parallel
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from .arguments import InputError, ObjectiveArguments
from .causal_lm import IGNORED, CausalLanguageModeling
from .metrics import summarise_scores
from .text_classification import TextClassification


class MaskedLanguageModeling:
    """BERT's masked-token objective (arXiv:1810.04805, section 3.1).

    A share `mask_probability` of the tokens is predicted; of those 80 % become the mask token, 10 % a random token and
    10 % stay as they are. Special tokens are never predicted and never drawn.
    """

    auto_class = "AutoModelForMaskedLM"
    metrics = ("cross_entropy", "perplexity", "token_accuracy")

    def __init__(self, arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.mask_token_id is None:
            raise InputError("objective: masked_lm needs a tokenizer with a mask token; this one has none")
        self.arguments, self.mask_id = arguments, tokenizer.mask_token_id
        self.special_ids = np.asarray(sorted(tokenizer.all_special_ids))
        self.ordinary_ids = np.setdiff1d(np.arange(len(tokenizer)), self.special_ids)

    def prepare(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], int]:
        """Token ids `(batch, seq)` -> {"input_ids", "labels"} of that shape, and how many labels there are.

        Labels are -100 where nothing is predicted. In a batch where chance picks no token, one is picked.
        """
        a = self.arguments
        chance = rng.random(rows.shape)
        allowed = ~np.isin(rows, self.special_ids)
        chosen = (chance < a.mask_probability) & allowed
        if not chosen.any() and allowed.any():
            chosen.flat[np.where(allowed, chance, 2.0).argmin()] = True
        fate = rng.random(rows.shape)
        masked = chosen & (fate < a.mask_replace)
        scrambled = chosen & ~masked & (fate < a.mask_replace + a.random_replace)
        random_tokens = self.ordinary_ids[rng.integers(len(self.ordinary_ids), size=rows.shape)]
        inputs = np.where(masked, self.mask_id, np.where(scrambled, random_tokens, rows))
        return {"input_ids": inputs, "labels": np.where(chosen, rows, IGNORED)}, int(chosen.sum())

    def losses(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Per predicted token: "loss" in nats, `(predicted,)`, and where it has no gradient, as in evaluation, also
        "prediction" and "label"."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        scored = batch["labels"] != IGNORED
        if _predicts_some(type(extract_model_from_parallel(model, keep_torch_compile=False))):
            logits = model(**inputs, prediction_mask=scored).logits
        else:
            logits = model(**inputs).logits[scored]
        logits, labels = logits.float(), batch["labels"][scored]
        loss = F.cross_entropy(logits, labels, reduction="none")
        if loss.requires_grad:  # a training step has no use for the rest
            return {"loss": loss}
        return {"loss": loss, "prediction": logits.argmax(-1), "label": labels}


@functools.cache
def _predicts_some(model_class: type) -> bool:
    """Whether a model can leave out the logits of tokens that are not predicted."""
    return "prediction_mask" in inspect.signature(model_class.forward).parameters


OBJECTIVES: dict[str, type] = {
    "masked_lm": MaskedLanguageModeling,
    "causal_lm": CausalLanguageModeling,
    "text_classification": TextClassification,
}


def objective_class(name: str) -> type:
    """The class of the objective that a recipe names. Raises InputError where there is none."""
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise InputError(f"objective.objective: '{name}'; allowed: {', '.join(OBJECTIVES)}, path/to/file.py:ClassName")
    return _load_class(Path(path), class_name)


def build_objective(arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> Any:
    """The objective that the recipe names, given the run's tokenizer."""
    return objective_class(arguments.objective)(arguments, tokenizer)


def _load_class(path: Path, class_name: str) -> type:
    if not path.is_file():
        raise InputError(f"objective.objective: {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, class_name):
        raise InputError(f"objective.objective: {path} has no class {class_name}")
    return getattr(module, class_name)


# ---- evaluation ----------------------------------------------------------------------------------------------------


class FixedEvaluation:
    """One split prepared once with a fixed seed, so that every model and every moment is asked the same questions.

    Where only a part of `rows` is to be scored, `new` of the same shape says which tokens.
    """

    def __init__(
        self, rows: np.ndarray, objective: Any, seed: int, batch_size: int, new: np.ndarray | None = None
    ) -> None:
        self.batch, _ = objective.prepare(rows, np.random.default_rng([seed, 3]))
        if new is not None:
            self.batch["labels"] = np.where(new, self.batch["labels"], IGNORED)
        self.objective, self.batch_size, self.size = objective, batch_size, len(rows)

    @torch.no_grad()
    def scores(self, model: torch.nn.Module, accelerator: Any) -> dict[str, np.ndarray]:
        """Per token of the split: loss (nats), prediction, label. Every process gets all of them, in one order."""
        was_training = model.training
        model.eval()
        parts: list[dict[str, torch.Tensor]] = []
        for start in range(0, self.size, self.batch_size):
            parts.append(self._score(model, accelerator, start))
        model.train(was_training)
        return {name: torch.cat([p[name] for p in parts]).cpu().numpy() for name in parts[0]}

    def _score(self, model: torch.nn.Module, accelerator: Any, start: int) -> dict[str, torch.Tensor]:
        rows = slice(start, min(start + self.batch_size, self.size))
        batch = {
            n: torch.from_numpy(np.ascontiguousarray(v[rows])).to(accelerator.device) for n, v in self.batch.items()
        }
        with accelerator.autocast():
            return self.objective.losses(model, batch)


def evaluate_split(model: torch.nn.Module, evaluation: FixedEvaluation, accelerator: Any) -> dict[str, float]:
    """The objective's metrics over one prepared split, e.g. {"loss": 1.92, "perplexity": 6.82, "accuracy": 0.43}."""
    return summarise_scores(evaluation.scores(model, accelerator), evaluation.objective.metrics)
