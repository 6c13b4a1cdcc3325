# Copyright 2026 The hf_variants authors. MIT licence.
"""What a model computes for a few inputs, before and after a growth, and what in its layers writes to the stream."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from .layers import is_projection

# Names of the last linear map of a sublayer. Where they are not enough, every one as wide as the stream is tried.
KNOWN_WRITERS = ("c_proj", "o_proj", "out_proj", "down_proj", "dense", "dense_4h_to_h", "fc2", "fc_out", "wo", "w2")


def make_probe(model: PreTrainedModel, given: Mapping[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
    """Return the keyword arguments of a forward pass, on the model's device: those given, or ids `(1, seq)`.

    Raises:
        ValueError: none were given, and the model takes no ids.
    """
    if given is None:
        embeddings = model.get_input_embeddings()
        if not isinstance(embeddings, nn.Embedding):
            raise ValueError(f"{type(model).__name__} takes no ids; allowed: probe, the arguments of a forward pass")
        length = max(1, min(32, (getattr(model.config, "max_position_embeddings", None) or 64) // 2))
        generator = torch.Generator().manual_seed(0)
        given = {"input_ids": torch.randint(embeddings.num_embeddings, (1, length), generator=generator)}
    return {name: value.to(model.device) for name, value in given.items()}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run without dropout and without gradients; every module is then in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def probe_outputs(model: PreTrainedModel, probe: Mapping[str, torch.Tensor]) -> tuple[str, torch.Tensor]:
    """Return the name and the value of the first output that is more than a number: logits, or hidden states."""
    with evaluating(model):
        outputs = model(**probe, return_dict=True)
    return next((n, v) for n, v in outputs.items() if isinstance(v, torch.Tensor) and v.ndim > 1)


# ---- what writes to the stream -------------------------------------------------------------------------------------


def find_writers(model: PreTrainedModel, layers: Sequence[nn.Module], probe: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the names, relative to a layer, of the linear maps without which the layers are the identity.

    They are as few as possible: with two zero matrices one after the other, neither would ever learn.

    Raises:
        ValueError: there are none such, as in post-norm layers.
    """
    wide = _projections(layers, model.config.hidden_size)
    known = [name for name in wide if name.rsplit(".", 1)[-1] in KNOWN_WRITERS]
    names = next((some for some in (known, wide) if some and _are_identities(model, layers, some, probe)), None)
    if names is None:
        raise ValueError(
            f"{type(model).__name__}: its layers are not the identity when all that they write to the stream is zero; "
            "post-norm layers (and experts packed into one tensor) can't start as identity; allowed: init 'copy'"
        )
    for name in sorted(names, key=lambda name: name in known):  # the known ones stay if there is a choice
        fewer = [other for other in names if other != name]
        if _are_identities(model, layers, fewer, probe):
            names = fewer
    return names


def _projections(layers: Iterable[nn.Module], width: int) -> list[str]:
    found = {}
    for layer in layers:
        for name, module in layer.named_modules():
            if is_projection(module) and (module.nf if isinstance(module, Conv1D) else module.out_features) == width:
                found[name] = module
    return list(found)


def _are_identities(
    model: PreTrainedModel, layers: Sequence[nn.Module], names: Sequence[str], probe: Mapping[str, torch.Tensor]
) -> bool:
    """Return whether the layers hand on what they get, to the bit, where the maps of these names give zeros."""
    same: list[bool] = []

    def compare(module: nn.Module, args: tuple, kwargs: dict, output: torch.Tensor | tuple) -> None:
        stream = args[0] if args else kwargs["hidden_states"]
        same.append(torch.equal(stream, output[0] if isinstance(output, tuple) else output))

    with ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_hook(compare, with_kwargs=True)
            stack.callback(handle.remove)
            for module in writers_of(layer, names):
                stack.callback(module.register_forward_hook(_give_zeros).remove)
        probe_outputs(model, probe)
    return bool(same) and all(same)


def _give_zeros(module: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(output)


def writers_of(layer: nn.Module, names: Iterable[str]) -> list[nn.Module]:
    """Return those of the named modules that a layer has."""
    wanted = set(names)
    return [module for name, module in layer.named_modules() if name in wanted]
