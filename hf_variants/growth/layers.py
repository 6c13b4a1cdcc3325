# Copyright 2026 The hf_variants authors. MIT licence.
"""The list of layers of a model: found, copied, numbered, in step with the configuration, and put back on error."""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

# Lists in configurations that hold positions of layers. Others with "layer" in their name hold a value for each layer.
INDEX_LISTS = ("mlp_only_layers", "moe_layers", "cross_attention_layers", "attn_layer_indices", "full_attn_idxs")
POSITION_NAMES = ("layer_idx", "layer_id", "layer_index")


def find_layers(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Return the name of a model's list of layers, and the list.

    It is the one `nn.ModuleList` with as many entries as the configuration says. In a LoRA stage it is found as well.

    Raises:
        ValueError: there is none or more than one, layers that should be alike differ in shape, or they share weights.
    """
    owner, count = type(model).__name__, _count(model.config)
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and 0 < len(module) == count
    }
    outer = [name for name in found if not any(name.startswith(f"{other}.") for other in found)]
    if len(outer) != 1:
        named = f"{len(outer)} ({', '.join(outer)})" if outer else "none"
        raise ValueError(f"{owner} has {named} for a ModuleList of its {count} layers; allowed: exactly one")
    name = outer[0]
    _check_alike(f"{owner}: {name}", model.config, found[name])
    return name, found[name]


def _count(config: PreTrainedConfig) -> int | None:
    name = "num_blocks" if config.model_type == "progressive_gpt" else "num_hidden_layers"
    return getattr(config, name, None)


def _check_alike(where: str, config: PreTrainedConfig, layers: nn.ModuleList) -> None:
    kinds, owners = {}, {}
    lists = [values for _, values in _values_by_layer(config)]
    for index, layer in enumerate(layers):
        kind = tuple(str(values[index]) for values in lists)
        first, shapes = kinds.setdefault(kind, (index, parameter_shapes(layer)))
        if shapes != parameter_shapes(layer):
            raise ValueError(f"{where}: layers {first} and {index} differ in shape; allowed: layers that are alike")
        for parameter in layer.parameters():
            if owners.setdefault(id(parameter), index) != index:
                raise ValueError(
                    f"{where}: layers {owners[id(parameter)]} and {index} share weights; allowed: layers of their own"
                )


def parameter_shapes(layer: nn.Module) -> dict[str, torch.Size]:
    """Return `{name: shape}` of a layer's own parameters, as if there were no adapters."""
    return {
        name.replace(".base_layer.", "."): parameter.shape
        for name, parameter in layer.named_parameters()
        if ".lora_" not in name
    }


def is_projection(module: nn.Module) -> bool:
    """Return whether a module is a linear map."""
    return isinstance(module, (nn.Linear, Conv1D))


def pattern(name: str) -> str:
    """Return a name with * for its numbers."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def summarize(named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, int]:
    """Return how many values there are under each `pattern`."""
    counts: dict[str, int] = {}
    for name, parameter in named:
        counts[pattern(name)] = counts.get(pattern(name), 0) + parameter.numel()
    return counts


# ---- changing them -------------------------------------------------------------------------------------------------


def copy_layer(layer: nn.Module) -> nn.Module:
    """Return a copy with parameters of its own, but with the model's configuration."""
    # A configuration of its own would no longer follow the model's, in its attention implementation for instance.
    values = [value for module in layer.modules() for value in vars(module).values()]
    return copy.deepcopy(layer, {id(value): value for value in values if isinstance(value, PreTrainedConfig)})


def rearrange(layers: nn.ModuleList, order: Sequence[int]) -> list[bool]:
    """Make `layers` those named by `order`; return which of them are new.

    The first layer of each source is the source itself, all others are copies.
    """
    sources, new = list(layers), [source in order[:position] for position, source in enumerate(order)]
    arranged = [copy_layer(sources[s]) if is_new else sources[s] for s, is_new in zip(order, new, strict=True)]
    put(layers, arranged)
    for position, (source, layer) in enumerate(zip(order, arranged, strict=True)):
        for module, name in _positions(layer):
            if getattr(module, name) == source:
                setattr(module, name, position)
    return new


def put(layers: nn.ModuleList, content: Iterable[nn.Module]) -> None:
    """Replace the content of a list, not the list: others may hold it."""
    del layers[:]
    layers.extend(content)


def select_layers(model: PreTrainedModel, keep: Sequence[int]) -> None:
    """Leave only the layers at these positions, in this order, in place; configuration and positions follow."""
    _, stack = find_layers(model)
    chosen = [stack[position] for position in keep]
    put(stack, chosen)
    set_layers(model, keep)
    for position, layer in enumerate(chosen):
        for module, name in _positions(layer):
            setattr(module, name, position)


def _positions(layer: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for module in layer.modules():
        yield from ((module, name) for name in POSITION_NAMES if isinstance(vars(module).get(name), int))


def _configs(model: PreTrainedModel) -> list[PreTrainedConfig]:
    """Every configuration object of the model's type in it; mostly there is one."""
    found = (vars(module).get("config") for module in model.modules())
    return list({id(config): config for config in found if type(config) is type(model.config)}.values())


def _values_by_layer(config: PreTrainedConfig) -> list[tuple[str, Sequence[Any]]]:
    count = getattr(config, "num_hidden_layers", None)
    return [
        (name, values)
        for name, values in vars(config).items()
        if "layer" in name and name not in INDEX_LISTS and isinstance(values, (list, tuple)) and len(values) == count
    ]


def set_layers(model: PreTrainedModel, order: Sequence[int]) -> None:
    """Make the configuration say that layer i is of the kind of what was layer `order[i]`."""
    for config in _configs(model):
        changes: dict[str, Any] = {"num_hidden_layers": len(order)}
        if config.model_type == "progressive_gpt":
            changes["num_blocks"] = len(order)
        for name, values in _values_by_layer(config):
            changes[name] = type(values)(values[source] for source in order)
        for name in INDEX_LISTS:
            if values := getattr(config, name, None):
                changes[name] = [position for position, source in enumerate(order) if source in values]
        for name, value in changes.items():
            setattr(config, name, value)


def set_blocks(model: PreTrainedModel, num_blocks: int) -> None:
    """Make the configuration of a progressive_gpt say how many blocks it has."""
    for config in _configs(model):
        config.num_blocks = num_blocks


@contextmanager
def undone_on_error(model: PreTrainedModel, layers: nn.ModuleList) -> Iterator[None]:
    """Put layers, their numbers and the configuration back as they were if what follows raises."""
    content = list(layers)
    configs = [(config, dict(vars(config))) for config in _configs(model)]
    positions = [(module, name, getattr(module, name)) for layer in content for module, name in _positions(layer)]
    try:
        yield
    except BaseException:
        put(layers, content)
        for module, name, position in positions:
            setattr(module, name, position)
        for config, values in configs:
            vars(config).clear()
            vars(config).update(values)
        raise


# ---- what a loaded model would be ----------------------------------------------------------------------------------


def check_configuration(model: PreTrainedModel, name: str, layers: nn.ModuleList) -> None:
    """Check that a model built from the configuration has just these layers.

    Raises:
        ValueError: the configuration can't say what the layers are, so the model would not load again as it is.
    """
    cant = f"{type(model).__name__}: {name} can't be repeated"
    twin = _twin(model, name, cant)
    ours, theirs = _states(layers), _states(twin)
    if ours != theirs:
        differ = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), len(theirs))
        raise ValueError(f"{cant}: a model loaded from the configuration would have another layer {differ}")
    settings = list(zip(map(_settings, layers), map(_settings, twin), strict=True))
    for key in dict.fromkeys(key for _, built in settings for key in built):
        pairs = [(ours[key], theirs[key]) for ours, theirs in settings if key in ours and key in theirs]
        ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        # What all layers have in common does not depend on their place, and was perhaps changed by hand.
        if ours != theirs and (len(set(ours)) > 1 or len(set(theirs)) > 1):
            raise ValueError(f"{cant}: {key} of its layers would be {ours}, and {theirs} when loaded")


def _twin(model: PreTrainedModel, name: str, cant: str) -> nn.ModuleList:
    """Return the layers of an empty model built from the configuration as it would be read from a file."""
    try:
        config = type(model.config).from_dict(model.config.to_dict())
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            twin = type(model)(config)
    except Exception as error:  # whatever a class raises, its message says what its configuration does not allow
        raise ValueError(f"{cant}: {' '.join(str(error).split())}") from error
    if dict(_values_by_layer(config)) != dict(_values_by_layer(model.config)):
        raise ValueError(f"{cant}: its configuration works out by itself of what kinds they are")
    return twin.get_submodule(name)


def _states(layers: nn.ModuleList) -> list[dict[str, torch.Size]]:
    return [{name: value.shape for name, value in layer.state_dict().items()} for layer in layers]


def _settings(layer: nn.Module) -> dict[str, Any]:
    """Return the plain public attributes of a layer's modules by name."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, module in layer.named_modules()
        for key, value in vars(module).items()
        if not key.startswith("_") and key != "training" and isinstance(value, (bool, int, float, str, type(None)))
    }
