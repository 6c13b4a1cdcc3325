# Copyright 2026 The hf_variants authors. MIT licence.
"""The configuration of an arm's finished model, from its results alone: no weights and no network are needed."""

import dataclasses
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from ...auto import TABLE
from ..checking import InputError
from ..models.pretrained import source_config
from ..recipes.sections import ModelArguments
from ..results.contracts import Arm

PACKAGE = "package:"

_ROWS = {row.model_type: row for row in TABLE}


def is_ours(model_type: str) -> bool:
    """Whether the type is one of this package's."""
    return model_type in _ROWS


def auto_class_names(row: Arm) -> list[str]:
    """The Auto classes of models that an arm's folder loads through; none where transformers itself has the code."""
    if row.config:
        known = row.config.get("auto_map") or {}
    else:
        known = _ROWS[row.model_type].auto_classes if is_ours(row.model_type) else {}
    return sorted(name for name in known if name.startswith("AutoModel"))


def arm_config(row: Arm) -> PreTrainedConfig | None:
    """The configuration of an arm of `results.json`, as it ended. None for models that are not ours.

    It is the recorded one; older records have none, and then it is made from the recipe and the growth steps. Such a
    recipe may start from the Hub, whose configuration nobody has here: that gives None as well.
    """
    if not is_ours(row.model_type):
        return None
    config_class = _ROWS[row.model_type].config_class
    try:
        if row.config:
            return config_class.from_dict(dict(row.config))
        settings = _recipe_settings(row)
        return None if settings is None else config_class(**settings)
    except (InputError, StrictDataclassError, ValueError, TypeError):
        return None


def _recipe_settings(row: Arm) -> dict[str, Any] | None:
    model = row.hyperparameters.get("model") or {}
    settings = dict(model.get("overrides") or {})
    source = model.get("name_or_path")
    if source is not None and not source.startswith(PACKAGE):
        return None
    if source is not None:
        names = ("model_type", "name_or_path", "pretrained", "keep_layers")
        known = {name: model[name] for name in names if model.get(name)}
        config = source_config(ModelArguments(**known))
        own = config.to_dict()
        settings = {name: own[name] for name in _fields(row.model_type) if name in own} | settings
    return settings | _grown(row)


def _fields(model_type: str) -> list[str]:
    """The fields that our configuration of this type has; transformers adds some of its own to every saved one."""
    return [field.name for field in dataclasses.fields(_ROWS[model_type].config_class)]


def _grown(row: Arm) -> dict[str, int]:
    """Layers and blocks after the last growth step."""
    if not row.stages:
        return {}
    layers, blocks = stage_sizes(row)[-1]
    return {"num_hidden_layers": layers} | ({"num_blocks": blocks} if row.model_type == "progressive_gpt" else {})


def stage_sizes(row: Arm) -> list[tuple[int, int]]:
    """Layers and distinct blocks in each stage of an arm that grew, the first one included; else an empty list."""
    receipts = [stage.receipt for stage in row.stages]
    every = [(receipt.layers, receipt.blocks or receipt.layers) for receipt in receipts]
    if not every:
        return []
    (layers, blocks), *_ = every
    return [(layers[0], blocks[0]), *((after[1], distinct[1]) for after, distinct in every)]
