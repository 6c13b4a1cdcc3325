# Copyright 2026 The hf_variants authors. MIT licence.
"""The head of a pretrained classifier, in the order in which the data names its labels."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from ..checking import InputError
from ..labelled.matching import UnmatchedError, match_labels
from ..recipes.sections import ModelArguments
from .missing import missing_weights
from .pretrained import _own_config


def head_order(arguments: ModelArguments, names: Sequence[str], stated: bool) -> list[int] | None:
    """For each of the data's labels, called `names`, its id in the head of the checkpoint that the recipe names.

    None where the checkpoint says that it is no classifier of so many labels; its head will be new then. Raises
    InputError where nothing says which label is which (see labelled/matching.py).
    """
    own = _own_config(arguments)
    is_classifier = any(name.endswith("ForSequenceClassification") for name in own.architectures or ())
    one_logit = own.num_labels == 1 and len(names) == 2
    if not is_classifier or own.problem_type == "regression" or not (one_logit or own.num_labels == len(names)):
        return None
    try:
        return match_labels([own.id2label[number] for number in range(own.num_labels)], names, stated)
    except UnmatchedError as error:
        raise InputError(
            f"model: {arguments.name_or_path} has a trained head, which is kept: {error}; say with labels.label_names "
            "what the labels of the data are called, in the order of the head's"
        ) from None


def align_head(model: PreTrainedModel, arguments: ModelArguments, names: Sequence[str], stated: bool) -> None:
    """Brings the outputs of a trained head into the order of the data's labels, in place: each keeps its meaning.

    Raises InputError where that can't be done, or nothing says which label is which.
    """
    order = head_order(arguments, names, stated)
    if order is None or order == list(range(len(names))):
        return
    name, last = _last_layer(model, len(names))
    if last is not None and f"{name}.weight" in missing_weights(model):
        return
    if last is None or not _permute(model, last, order):
        wanted = ", ".join(label for _, label in sorted(zip(order, names, strict=True)))
        where = f"model: the head of {arguments.name_or_path}"
        raise InputError(f"{where} has the labels in another order; allowed: labels.label_names: [{wanted}]")


def _last_layer(model: PreTrainedModel, size: int) -> tuple[str, nn.Linear | None]:
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.out_features == size]
    inside = set() if model.base_model is model else set(model.base_model.modules())
    return next(((n, m) for n, m in reversed(found) if m not in inside), ("", None))


@torch.no_grad()
def _permute(model: PreTrainedModel, last: nn.Linear, order: Sequence[int]) -> bool:
    """Puts the rows of a layer into this order; whether that is what it did to the logits, else it is undone."""
    ids = torch.arange(8)[None] % model.config.vocab_size
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    was_training, parameters = model.training, list(last.parameters())
    model.eval()
    before, back = model(**inputs).logits, torch.argsort(torch.tensor(order))
    for parameter in parameters:
        parameter.copy_(parameter[list(order)].clone())
    is_done = torch.allclose(model(**inputs).logits, before[:, list(order)], rtol=1e-4, atol=1e-5)
    for parameter in [] if is_done else parameters:
        parameter.copy_(parameter[back].clone())
    model.train(was_training)
    return is_done
