# Copyright 2026 The hf_variants authors. MIT licence.
"""Hypothesis strategies over the configurations of every row of `hf_variants/auto.py`, derived from their fields.

A field's annotation says what may be drawn; `HINTS` adds what a type cannot say: sizes that are small enough for a
test, and what has to fit another field. A third of what is drawn then gets a value that is most likely wrong.
"""

import types
import typing
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal

from hypothesis import strategies as st
from transformers import PreTrainedConfig

from hf_variants.auto import Row

Settings = dict[str, Any]
Strategy = st.SearchStrategy

NAN, INFINITE = float("nan"), float("inf")
# None of them is large: how much memory there is, a configuration does not know.
WRONG = (-1, 0, 1, 2, 7, -0.5, 1.0, 1.5, NAN, INFINITE, -INFINITE, "", "8", "post", None, True, [], [1], [0, -1], {})
PROBLEMS = ("regression", "multi_label_classification", "single_label_classification")


def divisors(number: int) -> list[int]:
    """The divisors of a number; 0 of 0."""
    return [n for n in range(1, number + 1) if number % n == 0] or [0]


def mostly(value: Any, other: Strategy) -> Strategy:
    """`value` in three of four draws."""
    return st.integers(0, 3).flatmap(lambda n: other if n == 3 else st.just(value))


def _levels(drawn: Settings, numbers: Callable[[int], Strategy]) -> Strategy:
    """None, or a list with a number for each level."""
    count = drawn["num_levels"] + 1
    return mostly(None, st.tuples(*map(numbers, range(count))).map(list))


def _level_heads(drawn: Settings) -> Strategy:
    width, factor = drawn["hidden_size"], drawn["width_factor"]
    return _levels(drawn, lambda level: st.sampled_from(divisors(width * factor**level)))


def _level_layers(drawn: Settings) -> Strategy:
    return st.none() if drawn["num_hidden_layers"] else _levels(drawn, lambda level: st.integers(1, 2))


def _scale(*similarities: str) -> Callable[[Settings], Strategy]:
    """None, or tau or sigma of these similarities."""
    numbers = st.floats(1e-3, 1e3) | st.integers(1, 9) | st.sampled_from([1e-45, 1e-20, 1e20, 1e300])
    return lambda drawn: mostly(None, numbers) if drawn["attention_similarity"] in similarities else st.none()


SHARES = st.sampled_from([0, 0.0, 0.1, 0.5, 0.9])
# What a field may be, given those before it; fields that are not here are drawn by their type.
HINTS: dict[str, Callable[[Settings], Strategy]] = {
    "vocab_size": lambda drawn: st.integers(1, 20),
    "hidden_size": lambda drawn: st.integers(1, 16),
    "embedding_size": lambda drawn: st.integers(1, 9),
    "intermediate_size": lambda drawn: st.integers(1, 20),
    "num_attention_heads": lambda drawn: st.sampled_from(divisors(drawn["hidden_size"])),
    "hidden_act": lambda drawn: st.sampled_from(["gelu", "relu", "silu", "gelu_pytorch_tanh", "tanh"]),
    "max_position_embeddings": lambda drawn: st.integers(1, 12),
    "type_vocab_size": lambda drawn: st.integers(0, 3),
    "initializer_range": lambda drawn: st.sampled_from([0, 0.0, 0.02, 1, 2.0]),
    "layer_norm_eps": lambda drawn: st.sampled_from([1e-12, 1e-5, 1e-3, 1]),
    "pad_token_id": lambda drawn: st.none() | st.integers(0, drawn["vocab_size"] - 1),
    "num_hidden_layers": lambda drawn: st.integers(0, 3),
    "num_blocks": lambda drawn: st.sampled_from([None, *divisors(drawn["num_hidden_layers"])]),
    "num_levels": lambda drawn: st.integers(0, 2),
    "sequence_factor": lambda drawn: st.integers(2, 4),
    "width_factor": lambda drawn: st.integers(1, 3),
    "level_layers": _level_layers,
    "level_heads": _level_heads,
    "local_window": lambda drawn: st.none() | st.integers(1, 6) if drawn["num_levels"] else st.none(),
    "prediction_horizon": lambda drawn: st.integers(1, 3),
    "query_key_size": lambda drawn: st.none() | st.integers(1, 9),
    "temperature": _scale("dot_product", "cosine"),
    "bandwidth": _scale("gaussian", "euclidean"),
    "gate_bias": lambda drawn: st.floats(-4, 4) | st.sampled_from([-1e30, -200, 200, 1e30]),
}
# The same for one model type and its variants.
FAMILY_HINTS: dict[str, dict[str, Callable[[Settings], Strategy]]] = {
    "conv_gpt": {"num_hidden_layers": lambda drawn: mostly(None, st.integers(0, 5))},
    "bigru": {"num_hidden_layers": lambda drawn: st.integers(1, 3)},
}


def by_type(hint: Any) -> Strategy:
    """Values of an annotation: a type, a union, a Literal."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(by_type(part) for part in inner if part is not int or float not in inner)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is list:
        return st.lists(by_type(inner[0]), max_size=3)
    return {
        bool: st.booleans(),
        int: st.integers(0, 9),
        float: SHARES,
        str: st.text(max_size=5),
        type(None): st.none(),
    }[hint]


def own_fields(row: Row) -> list[str]:
    """The fields that a configuration has beside those of every configuration of transformers."""
    inherited = {field.name for field in fields(PreTrainedConfig)}
    return [field.name for field in fields(row.config_class) if field.name not in inherited]


@st.composite
def settings_of(draw: st.DrawFn, row: Row) -> Settings:
    """Values for all fields of a row's configuration; in a third of the draws one or two are most likely wrong."""
    hints = {field.name: field.type for field in fields(row.config_class)}
    special = dict(HINTS)
    for ancestor in reversed(row.config_class.__mro__):
        special |= FAMILY_HINTS.get(vars(ancestor).get("model_type"), {})
    drawn: Settings = {}
    for name in own_fields(row):
        drawn[name] = draw(special[name](drawn) if name in special else by_type(hints[name]))
    drawn["num_labels"] = draw(st.integers(1, 4))
    drawn["problem_type"] = draw(st.sampled_from([None, *PROBLEMS[: 2 if drawn["num_labels"] == 1 else 3]]))
    if draw(st.integers(0, 2)) == 2:
        for name in draw(st.lists(st.sampled_from(sorted(drawn)), min_size=1, max_size=2)):
            drawn[name] = draw(st.sampled_from(WRONG))
    return drawn
