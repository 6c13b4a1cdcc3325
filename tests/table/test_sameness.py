# Copyright 2026 The hf_variants authors. MIT licence.
"""A test of the tests: for every head of `hf_variants/auto.py`, no wrong model passes for the right one."""

import copy
import itertools

import pytest
import torch

from tests.helpers.models import HEADS, batch, build, is_recurrent, outputs, tiny_config
from tests.helpers.sameness import ROUNDING, assert_same_outputs, assert_same_weights, largest_deviation
from tests.helpers.unaligned import ALIGNMENT, move_weights, unaligned

EVERY_HEAD = pytest.mark.parametrize(
    ("row", "auto"), HEADS, ids=[f"{row.model_type}-{auto.__name__}" for row, auto in HEADS]
)
# A recurrent net's layers are of several widths.
BLOCKS = [(row, auto) for row, auto in HEADS if not is_recurrent(row.config_class())]
EVERY_HEAD_OF_BLOCKS = pytest.mark.parametrize(
    ("row", "auto"), BLOCKS, ids=[f"{row.model_type}-{auto.__name__}" for row, auto in BLOCKS]
)
# Softmax ignores what all keys have in common: no output depends on it beyond rounding.
WITHOUT_EFFECT = ("key.bias",)


def right_model(row, auto):
    """Return a model, a batch, the outputs for it, and the parameters on which these depend (a pooler's often not)."""
    model = build(row.classes[auto], tiny_config(row.model_type))
    inputs = batch(model.config)
    result = model(**inputs)[0]
    (result * torch.randn_like(result)).sum().backward()
    named = [(name, p) for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    return model, inputs, result.detach(), {n: p for n, p in named if not n.endswith(WITHOUT_EFFECT)}


def assert_seen(model, inputs, expected, times=1.0):
    """Check that the outputs of a wrong model are so many times further away than is allowed."""
    found = outputs(model, inputs)
    assert largest_deviation(found, expected) > times * ROUNDING
    with pytest.raises(AssertionError, match=f"last places away; allowed: {ROUNDING}"):
        assert_same_outputs(found, expected)


@EVERY_HEAD
def test_a_change_of_one_percent_in_one_parameter_is_seen(row, auto):
    """Without a look at the weights, which are compared as well; one percent is that of a parameter's own spread."""
    model, inputs, expected, parameters = right_model(row, auto)
    generator = torch.Generator().manual_seed(0)
    assert len(parameters) > 10
    for parameter in parameters.values():
        right = parameter.data
        spread = right.std() if right.numel() > 1 else right.abs()
        parameter.data = right + 0.01 * spread * torch.randn(right.shape, generator=generator)
        assert_seen(model, inputs, expected, 3)
        parameter.data = right
    assert_same_outputs(outputs(model, inputs), expected)


@EVERY_HEAD
def test_two_parameters_in_each_others_place_are_seen(row, auto):
    model, inputs, expected, parameters = right_model(row, auto)
    names = sorted(parameters, key=lambda name: (tuple(parameters[name].shape), name))
    swapped = 0
    for one, other in itertools.pairwise(parameters[name] for name in names):
        if one.shape == other.shape:
            one.data, other.data = other.data, one.data
            assert_seen(model, inputs, expected, 100)
            one.data, other.data = other.data, one.data
            swapped += 1
    assert swapped > 3


@EVERY_HEAD_OF_BLOCKS
def test_a_layer_that_is_left_out_is_seen(row, auto):
    model, inputs, expected, _ = right_model(row, auto)
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = [layer for each in lists for layer in each if type(layer).__name__ in model._no_split_modules]
    assert layers
    for layer in layers:
        hook = layer.register_forward_hook(
            lambda _, args, output: args[0] if isinstance(output, torch.Tensor) else (args[0], *output[1:])
        )
        assert_seen(model, inputs, expected, 100)
        hook.remove()


@EVERY_HEAD_OF_BLOCKS
def test_an_activation_that_is_nearly_the_same_is_seen(row, auto):
    model, inputs, expected, _ = right_model(row, auto)
    near = {"gelu": "gelu_pytorch_tanh", "gelu_pytorch_tanh": "gelu"}[model.config.hidden_act]
    wrong = row.classes[auto](tiny_config(row.model_type, hidden_act=near)).eval()
    wrong.load_state_dict(model.state_dict())
    assert_same_weights(wrong, model)
    assert_seen(wrong, inputs, expected)


@EVERY_HEAD
def test_weights_are_compared_by_bits_names_and_types(row, auto):
    model = right_model(row, auto)[0]
    state = model.state_dict()
    name = next(name for name, value in state.items() if value.is_floating_point())
    value = state[name]
    for other in (value.double(), value.flatten(), torch.nextafter(value, value + 1)):
        with pytest.raises(AssertionError, match="not the same weights"):
            assert_same_weights(state | {name: other}, model.state_dict())
    with pytest.raises(AssertionError, match="on one side only"):
        assert_same_weights({key: value for key, value in state.items() if key != name}, model)


def test_nothing_is_as_far_away_as_nan():
    zeros = torch.zeros(3)
    assert largest_deviation(zeros, zeros) == largest_deviation(zeros[:0], zeros[:0]) == 0
    for found, expected in ((zeros / 0, zeros), (zeros, zeros / 0), (zeros + 1e-30, zeros), (zeros + 1, zeros / 0)):
        with pytest.raises(AssertionError, match="inf last places away"):
            assert_same_outputs(found, expected)


@EVERY_HEAD
def test_moved_weights_are_the_same_model_elsewhere(row, auto):
    model, inputs, expected, _ = right_model(row, auto)
    moved = copy.deepcopy(model)
    move_weights(moved)
    assert_same_weights(moved, model)
    for tensor in (*moved.parameters(), *moved.buffers()):
        assert tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT == tensor.element_size()
    assert len(list(moved.parameters())) == len(list(model.parameters()))  # what is tied is one parameter
    assert_same_outputs(outputs(moved, inputs), expected)
    # what the tests rest on that ask for the same bits: copies lie as weights do that were computed
    again = copy.deepcopy(moved)
    assert {tensor.data_ptr() % ALIGNMENT for tensor in again.parameters()} == {0}
    assert torch.equal(outputs(again, inputs), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_any_tensor_may_be_moved(dtype):
    for shape in ((), (0,), (3,), (2, 5)):
        tensor = torch.ones(shape, dtype=dtype)
        moved = unaligned(tensor)
        assert torch.equal(moved, tensor) and moved.dtype == dtype
        assert moved.storage_offset() == 0 and moved.is_contiguous()
        assert moved.data_ptr() % ALIGNMENT == tensor.element_size() or not tensor.numel()


def test_a_generator_reads_its_state_from_a_moved_tensor():
    state = torch.get_rng_state()
    expected = torch.rand(3)
    torch.set_rng_state(unaligned(state))
    assert torch.equal(torch.rand(3), expected)
