# Copyright 2026 The hf_variants authors. MIT licence.
"""LoRA stages (arXiv:2106.09685, with PEFT): attention weights are frozen and get adapters until they are merged.

Adapters are injected into the model itself, which goes on as the same object, and every stage ends in a plain model
again. PEFT's own `layer_replication` is not used: it shares parameters between layers and merges them wrongly.
"""

import copy
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from .layers import find_layers, is_projection, pattern, summarize
from .scaling import fold_scale, put_scales, remove_scales, scales

Mlp = Literal["full", "lora", "frozen"]
# What PEFT calls a task, by what follows a model's name in its class. It has no name for masked language models.
TASK_TYPES = {
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
    "Model": "FEATURE_EXTRACTION",
}
HEADED = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")  # PEFT expects the head in the adapter of these
ADAPTER = "default"


def in_lora_stage(model: nn.Module) -> bool:
    """Return whether a model has adapters."""
    return any(isinstance(module, BaseTunerLayer) for module in model.modules())


def start_lora_stage(
    model: PreTrainedModel,
    rank: int = 8,
    alpha: float = 16,
    dropout: float = 0.0,
    mlp: Mlp = "full",
    layers: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Freeze a model's attention projections and give them adapters, in place; the function stays.

    In the layers of the stage, weights and biases of all linear maps of attention are frozen and adapted. Norms train.
    The feed-forward sublayers train ("full"), are frozen and adapted too ("lora"), or are only frozen ("frozen").
    Everything else trains: other layers, embeddings, the last norm, heads. Rebuild the optimizer afterwards.

    Args:
        alpha: adapters are multiplied by `alpha / rank`.
        dropout: on the input of the adapters.
        layers: positions in the list of layers (`find_layers`); None takes all.

    Returns:
        A receipt of JSON values: arguments, what is adapted, how many parameters there are, are in adapters and
        train, and which are frozen.

    Raises:
        ValueError: an argument is not allowed, the model is in a LoRA stage already, has no list of layers, or there
            is nothing in it to adapt. The model is then as it was.
    """
    if in_lora_stage(model):
        raise ValueError("the model is in a LoRA stage; allowed: merge_lora first")
    _check_arguments(rank, alpha, dropout, mlp)
    name, stack = find_layers(model)
    chosen = _chosen(layers, len(stack))
    targets = _targets(model, name, chosen, mlp)
    held = remove_scales(model)
    model.add_adapter(_lora_config(model, name, targets, rank, alpha, dropout), ADAPTER)
    put_scales(model, held)  # around the adapters: they come in with the layer
    _freeze(model, {f"{name}.{index}." for index in chosen}, mlp)
    arguments = {"rank": rank, "alpha": alpha, "dropout": dropout, "mlp": mlp, "layers": chosen}
    return arguments | _account(model, targets)


def merge_lora(model: PreTrainedModel) -> None:
    """Add the adapters to the weights that they adapt and remove them, in place; everything trains again.

    Raises:
        ValueError: the model is not in a LoRA stage.
    """
    _check_stage(model)
    _unwrap(model, merge=True)


def save_adapter(model: PreTrainedModel, folder: str | Path, base_name: str | Path) -> None:
    """Write the adapters (and a classifier's head) as a PEFT folder: `PeftModel.from_pretrained(base, folder)`.

    `base_name` says what they adapt. That is the model of this stage without them: weights that trained beside the
    adapters (with `mlp: full` most do) are in no adapter, see `save_stage`.

    Raises:
        ValueError: the model is not in a LoRA stage.
    """
    _check_stage(model)
    Path(folder).mkdir(parents=True, exist_ok=True)
    config = copy.copy(model.peft_config[ADAPTER])
    config.base_model_name_or_path, config.inference_mode = str(base_name), True
    state = get_peft_model_state_dict(model, adapter_name=ADAPTER, save_embedding_layers=False)
    heads = _heads(model) if config.task_type in HEADED else []
    for head in heads:
        state |= {f"{head}.{name}": tensor for name, tensor in model.get_submodule(head).state_dict().items()}
    config.modules_to_save = heads or None
    config.save_pretrained(folder)
    tensors = {f"base_model.model.{name}": tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, Path(folder) / "adapter_model.safetensors", metadata={"format": "pt"})


def _heads(model: PreTrainedModel) -> list[str]:
    """What stands beside the encoder and has weights; PEFT takes `pre_classifier` for a `classifier` as well."""
    children = ((name, child) for name, child in model.named_children() if child is not model.base_model)
    return [name for name, child in children if any(True for _ in child.parameters())]


def save_stage(model: PreTrainedModel, folder: str | Path, parts: bool = False) -> None:
    """Write a plain copy of a model in any stage, merged and folded, which loads without PEFT.

    `save_pretrained` alone writes only the adapters of a model in a LoRA stage, and no scale of gradual layers. With
    `parts` there are also `folder/base`, the model without its adapters, and `folder/adapter`.

    Raises:
        ValueError: `parts` is asked for and the model is not in a LoRA stage, or its layers are not in whole.
    """
    if parts:
        _check_stage(model)
        if any(hook.scale != 1 for hook in scales(model).values()):
            raise ValueError("the model has gradual layers; allowed for parts: set_scale(model, 1)")
    is_plain = not in_lora_stage(model) and not scales(model)
    (model if is_plain else _plain_copy(model, merge=True)).save_pretrained(folder)
    if parts:
        _plain_copy(model, merge=False).save_pretrained(Path(folder) / "base")
        save_adapter(model, Path(folder) / "adapter", Path(folder) / "base")


def _plain_copy(model: PreTrainedModel, merge: bool) -> PreTrainedModel:
    plain = copy.deepcopy(model)
    if in_lora_stage(plain):
        _unwrap(plain, merge)
    fold_scale(plain)
    return plain


# ---- what is adapted and what is frozen ----------------------------------------------------------------------------


def _check_stage(model: PreTrainedModel) -> None:
    if not in_lora_stage(model):
        raise ValueError("the model is not in a LoRA stage; allowed: start_lora_stage first")


def _check_arguments(rank: int, alpha: float, dropout: float, mlp: str) -> None:
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f"rank is {rank}; allowed: 1 or more")
    if alpha <= 0:
        raise ValueError(f"alpha is {alpha}; allowed: more than 0")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; allowed: 0 or more and less than 1")
    if mlp not in get_args(Mlp):
        raise ValueError(f"mlp is {mlp!r}; allowed: {', '.join(get_args(Mlp))}")


def _chosen(layers: Sequence[int] | None, count: int) -> list[int]:
    chosen = list(range(count)) if layers is None else sorted(set(layers))
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise ValueError(f"layers is {layers}; allowed: None, or one or more of 0 to {count - 1}")
    return chosen


def _in_attention(name: str) -> bool:
    return any("attn" in part or "attention" in part for part in name.lower().split("."))


def _targets(model: PreTrainedModel, name: str, chosen: Iterable[int], mlp: str) -> dict[str, nn.Module]:
    """Return the linear maps to adapt by name."""
    stack = model.get_submodule(name)
    maps = {
        f"{name}.{index}.{own}": module
        for index in chosen
        for own, module in stack[index].named_modules()
        if is_projection(module)
    }
    prefix = re.compile(rf"{re.escape(name)}\.\d+\.")
    attention = {full: module for full, module in maps.items() if _in_attention(prefix.sub("", full))}
    if not attention:
        raise ValueError(
            f"{type(model).__name__}: nothing to adapt in {name}; allowed: layers with linear maps in modules named "
            "attn or attention"
        )
    if mlp == "lora" and len(attention) == len(maps):
        raise ValueError(f"mlp is 'lora', and {name} has no linear maps outside attention; allowed: full, frozen")
    targets = maps if mlp == "lora" else attention
    _check_unshared(model, targets)
    return targets


def _check_unshared(model: PreTrainedModel, targets: dict[str, nn.Module]) -> None:
    """PEFT merges a parameter that several modules share wrongly, and without a word."""
    users: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            users[id(parameter)] = users.get(id(parameter), 0) + 1
    for name, module in targets.items():
        if users[id(module.weight)] > 1:
            raise ValueError(f"{name} shares its weight with another module; allowed: weights of their own")


def _lora_config(
    model: PreTrainedModel, name: str, targets: dict[str, nn.Module], rank: int, alpha: float, dropout: float
) -> LoraConfig:
    found = [re.fullmatch(rf"{re.escape(name)}\.(\d+)\.(.+)", target).groups() for target in targets]
    indices, owns = ("|".join(map(re.escape, dict.fromkeys(part))) for part in zip(*found, strict=True))
    return LoraConfig(
        task_type=_task_type(model),
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules=rf"{re.escape(name)}\.({indices})\.({owns})",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in targets.values()),
    )


def _task_type(model: PreTrainedModel) -> str | None:
    if model.can_generate():
        return "CAUSAL_LM"
    return next((task for role, task in TASK_TYPES.items() if type(model).__name__.endswith(role)), None)


def _freeze(model: PreTrainedModel, prefixes: set[str], mlp: str) -> None:
    """Freeze what a stage does not train. PEFT has frozen everything but the adapters."""
    owners = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            continue
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        module_name = name.rpartition(".")[0].removesuffix(".base_layer")
        if prefix is None or ".lora_" in name or "norm" in type(owners[module_name]).__name__.lower():
            frozen = False
        elif _in_attention(module_name.removeprefix(prefix)):
            frozen = isinstance(owners[module_name], LoraLayer)
        else:
            frozen = mlp != "full"
        parameter.requires_grad_(not frozen)


def _account(model: PreTrainedModel, targets: Iterable[str]) -> dict[str, Any]:
    named = list(model.named_parameters())
    adapters = [(name, p) for name, p in named if ".lora_" in name]
    return {
        "targets": sorted({pattern(target) for target in targets}),
        "parameters": sum(p.numel() for _, p in named),
        "adapter_parameters": sum(p.numel() for _, p in adapters),
        "trainable_parameters": sum(p.numel() for _, p in named if p.requires_grad),
        "trainable": summarize((name, p) for name, p in named if p.requires_grad),
        "frozen": summarize((name, p) for name, p in named if not p.requires_grad),
    }


# ---- back to a plain model -----------------------------------------------------------------------------------------


def _unwrap(model: PreTrainedModel, merge: bool) -> None:
    """Put the adapted modules back in place of what PEFT put around them, with or without the adapters' share."""
    held = remove_scales(model)
    adapted = [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        if merge:
            module.merge()
        model.set_submodule(name, module.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False  # or save_pretrained would look for adapters
    put_scales(model, held)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
