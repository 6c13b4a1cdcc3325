# Copyright 2026 The hf_variants authors. MIT licence.
"""Which weights a pretrained model did not have, and so were drawn anew."""

from weakref import WeakKeyDictionary

from transformers import PreTrainedModel


def missing_weights(model: PreTrainedModel) -> list[str]:
    """The parameters of a pretrained model that its checkpoint lacked; none of a model that is new altogether."""
    return MISSING.get(model, [])


MISSING: WeakKeyDictionary[PreTrainedModel, list[str]] = WeakKeyDictionary()
