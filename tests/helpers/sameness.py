# Copyright 2026 The hf_variants authors. MIT licence.
"""Whether two models are the same: weights to the bit, outputs up to rounding (hf_variants/README.md, "To the bit").

A saved and loaded model has the same weights. Its outputs differ in the last bits wherever a library chooses its way
by where operands lie in memory: weights that are mapped from a file lie otherwise than weights that were computed.
`test_sameness.py` shows that no wrong model passes for a right one. torch alone is needed here (`clean_load.py`).
"""

from collections.abc import Iterable

import torch

# In units of the last place of the largest value. Other kernels and other alignments move outputs of the tests' models
# by up to 20, a change of 1 % in one parameter by more than 500.
ROUNDING = 100
# For scores of a softmax: a relative error of theirs is an absolute one of logits, whose unit is 1e-6 at most.
SCORES = {"rel": 1e-4, "abs": 1e-6}


def tensors_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return all parameters and buffers by name, those included that a checkpoint does not hold."""
    return {**model.state_dict(), **dict(model.named_buffers())}


def assert_same_weights(found: torch.nn.Module | dict, expected: torch.nn.Module | dict) -> None:
    """Check that all parameters and buffers have the same names, types, shapes and bits.

    Raises AssertionError with the names of those that differ. Either side may be a dictionary of tensors.
    """
    ours, theirs = (each if isinstance(each, dict) else tensors_of(each) for each in (found, expected))
    assert ours.keys() == theirs.keys(), f"on one side only: {sorted(ours.keys() ^ theirs.keys())}"
    different = [name for name, value in ours.items() if not _same_bits(value, theirs[name])]
    assert not different, f"not the same weights: {different}"


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def largest_deviation(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference in units of the last place of the largest expected value; inf for NaN."""
    unit = expected.abs().max() * torch.finfo(expected.dtype).eps if expected.numel() else torch.tensor(0.0)
    largest = (found - expected).abs().max() if expected.numel() else torch.tensor(0.0)
    if not largest:
        return 0.0
    return float((largest / unit).nan_to_num(float("inf"), float("inf")))


def assert_same_outputs(
    found: torch.Tensor | Iterable[torch.Tensor], expected: torch.Tensor | Iterable[torch.Tensor]
) -> None:
    """Check that outputs of a model, a tensor or several, are the expected ones up to rounding."""
    if isinstance(expected, torch.Tensor):
        found, expected = [found], [expected]
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.shape == other.shape and one.dtype == other.dtype, f"output {number}: {one.shape}, {other.shape}"
        if not one.is_floating_point():
            assert torch.equal(one, other), f"output {number} differs"
            continue
        deviation = largest_deviation(one, other)
        assert deviation <= ROUNDING, f"output {number} is {deviation:.0f} last places away; allowed: {ROUNDING}"


def assert_same_model(
    found: torch.nn.Module, expected: torch.nn.Module, *args: torch.Tensor, **inputs: torch.Tensor
) -> None:
    """Check the weights of two models in eval mode, and every output for these inputs that is a tensor."""
    assert_same_weights(found, expected)
    with torch.no_grad():
        ours, theirs = (
            [value for value in model(*args, **inputs).to_tuple() if isinstance(value, torch.Tensor)]
            for model in (found, expected)
        )
    assert_same_outputs(ours, theirs)
