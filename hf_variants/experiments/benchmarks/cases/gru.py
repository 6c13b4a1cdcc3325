# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of bigru: reading rows only as far as they have tokens, against nn.GRU over padding or packed rows.

All sides have the same weights, and read every row from its own ends, so that padding changes no state.
"""

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ....gru.configuration_bigru import BiGRUConfig
from ....gru.modeling_bigru import BiGRUDirection, BiGRULayer, BiGRUModel, ReadingOrder
from ..suite import DEVICE, Sides, TokenBatch, assert_same, case, random_ids, trained, with_method

BATCH_ROWS = 32


def read_padding(direction: BiGRUDirection, hidden_states: torch.Tensor, order: ReadingOrder) -> torch.Tensor:
    """What BiGRUDirection does, with one call of nn.GRU over tokens and padding; all `(batch, seq, …)`."""
    shape = hidden_states.shape
    ordered = hidden_states.flatten(0, 1).index_select(0, order.positions).view(shape)
    states, _ = nn.GRU.forward(direction, ordered)
    return states.flatten(0, 1).index_select(0, order.places).view(*shape[:2], -1)


def read_packed(
    layer: BiGRULayer, hidden_states: torch.Tensor, mask: torch.Tensor, *orders: ReadingOrder
) -> torch.Tensor:
    """What BiGRULayer does, with packed sequences; `(batch, seq, input)` to `(batch, seq, 2 * hidden)`."""
    shape = hidden_states.shape
    lengths = mask.sum(dim=1).sort(descending=True).values.cpu()
    both = []
    for direction, order in zip((layer.forwards, layer.backwards), orders, strict=True):
        ordered = layer.dropout(hidden_states).flatten(0, 1).index_select(0, order.positions).view(shape)
        states, _ = nn.GRU.forward(direction, pack_padded_sequence(ordered, lengths, batch_first=True))
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=shape[1])
        both.append(states.flatten(0, 1).index_select(0, order.places).view(*shape[:2], -1))
    return torch.cat(both, dim=-1).masked_fill(~mask[..., None], 0.0)


def padded_copy(model: BiGRUModel) -> BiGRUModel:
    """The same net reading all padding."""
    return with_method(model, BiGRUDirection, "forward", read_padding)


def packed_copy(model: BiGRUModel) -> BiGRUModel:
    """The same net with packed sequences."""
    return with_method(model, BiGRULayer, "forward", read_packed)


def gru_batch(config: BiGRUConfig, rows: int, lengths: torch.Tensor) -> TokenBatch:
    """Rows of the given lengths `(rows,)`, padded on the right to the longest, and a random gradient."""
    longest = int(lengths.max())
    mask = (torch.arange(longest) < lengths[:, None]).long().to(DEVICE)
    gradient = torch.randn(rows, longest, 2 * config.hidden_size, generator=torch.Generator().manual_seed(2))
    return TokenBatch({"input_ids": random_ids(config, rows, longest), "attention_mask": mask}, gradient.to(DEVICE))


def gru_sides(
    copied: Callable[[BiGRUModel], BiGRUModel], shortest: int, longest: int, rows: int = BATCH_ROWS, **sizes: int
) -> Sides:
    """bigru and its copy with another way to read, on texts from `shortest` to `longest` tokens."""
    ours = BiGRUModel(BiGRUConfig(vocab_size=1000, **sizes)).to(DEVICE)
    reference = copied(ours)
    batch = gru_batch(ours.config, rows, torch.linspace(shortest, longest, rows).long())
    check = functools.partial(assert_same, ours, reference, batch)
    return Sides(check, trained(ours, batch), trained(reference, batch))


def _register() -> None:
    ways = {"padded": ("nn.GRU padded", padded_copy, 1.00), "packed": ("nn.GRU packed", packed_copy, 1.00)}
    for way, (reference, copied, target) in ways.items():
        build = functools.partial(gru_sides, copied, 16, 256)
        case(f"bigru_{BATCH_ROWS}x256_vs_{way}", "bigru", reference, target)(build)
    # Nothing can be won here: what the order and the chunks cost.
    build = functools.partial(gru_sides, padded_copy, 256, 256)
    case(f"bigru_{BATCH_ROWS}x256_full", "bigru", "nn.GRU", target=1.05)(build)


_register()
