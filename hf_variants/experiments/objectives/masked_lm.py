# Copyright 2026 The hf_variants authors. MIT licence.
"""The masked language modelling objective."""

import functools
import inspect

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from ..checking import InputError
from ..recipes.sections import ObjectiveArguments
from .base import IGNORED, Objective, unwrapped


class MaskedLanguageModeling(Objective):
    """BERT's masked-token objective (arXiv:1810.04805, section 3.1).

    A share `mask_probability` of the tokens is predicted; of those 80 % become the mask token, 10 % a random token and
    10 % stay as they are. Special tokens are never predicted and never drawn.
    """

    auto_class = "AutoModelForMaskedLM"
    metrics = ("cross_entropy", "perplexity", "token_accuracy")

    def __init__(self, arguments: ObjectiveArguments, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.mask_token_id is None:
            raise InputError("objective: masked_lm needs a tokenizer with a mask token; this one has none")
        super().__init__(arguments, tokenizer)
        self.mask_id = tokenizer.mask_token_id
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
        if _predicts_some(type(unwrapped(model))):
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
