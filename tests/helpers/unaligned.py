# Copyright 2026 The hf_variants authors. MIT licence.
"""Weights that lie in memory as a mapped file may lay them: one element behind a boundary of 64 bytes.

What torch allocates begins at a multiple of 64 bytes. Tensors of a safetensors file are mapped where they are: behind
a header of 8 n bytes, in float32 also at odd multiples of 4: behind a tensor with an odd number of elements.
Some products choose their way by that. With `UNALIGNED_WEIGHTS=1` in the environment (`kernels.py`), `conftest.py` and
`clean_load.py` have everything that is loaded lie so. torch, transformers and safetensors are needed here.
"""

import functools
from typing import Any

import safetensors.torch
import torch
from transformers import PreTrainedModel

ALIGNMENT = 64  # bytes: that of torch's allocator on CPUs


def unaligned(tensor: torch.Tensor) -> torch.Tensor:
    """Return a contiguous copy whose data begin one element behind a multiple of 64 bytes.

    As of a mapped tensor, its storage begins there as well: torch reads the state of a generator from no other place.
    """
    if not tensor.numel():
        return tensor.clone()
    size = tensor.element_size()
    buffer = bytearray(tensor.numel() * size + ALIGNMENT + size)
    begin = -torch.frombuffer(buffer, dtype=torch.uint8).data_ptr() % ALIGNMENT + size
    moved = torch.frombuffer(buffer, dtype=tensor.dtype, offset=begin, count=tensor.numel())
    return moved.view(tensor.shape).copy_(tensor)


def move_weights(model: torch.nn.Module) -> None:
    """Move parameters and buffers of a model that are on the CPU; tied ones stay tied."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.device.type == "cpu" and type(tensor) in (torch.Tensor, torch.nn.Parameter):
                tensor.data = unaligned(tensor.data)


def install() -> None:
    """Have everything that `from_pretrained` and `load_file` return from now on lie unaligned."""
    from_pretrained, load_file = PreTrainedModel.from_pretrained.__func__, safetensors.torch.load_file

    @functools.wraps(from_pretrained)
    def loaded(cls: type[PreTrainedModel], *args: Any, **kwargs: Any) -> Any:
        result = from_pretrained(cls, *args, **kwargs)
        move_weights(result[0] if isinstance(result, tuple) else result)
        return result

    @functools.wraps(load_file)
    def read(*args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        return {name: unaligned(tensor) for name, tensor in load_file(*args, **kwargs).items()}

    PreTrainedModel.from_pretrained = classmethod(loaded)
    safetensors.torch.load_file = read
