# Copyright 2026 The hf_variants authors. MIT licence.
"""Engines that bring their own attention (vLLM): what runs in them, by an attention that behaves as theirs does.

`make test-serving` tries the same with vLLM itself.
"""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from hf_variants.auto import TABLE, Row
from tests.helpers.models import batch, build, find_row, is_recurrent, tiny_config

ENGINE = "tests_engine"
# Everything but plain attention: an engine would leave out what these do besides, or has no place for their keys.
REFUSED = {"conv_gpt", "similarity_bert", *(row.model_type for row in TABLE if is_recurrent(row.config_class()))}
DISTINCT = {"progressive_gpt": {"num_blocks": 2}}


def flat_attention(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **how: Any
) -> tuple[torch.Tensor, None]:
    """Attend to one sequence without a mask and return `(tokens, heads * head)`, as vLLM's attention does."""
    output, _ = sdpa_attention_forward(module, query, key, value, None, scaling=how["scaling"])
    return output.flatten(2)[0], None


AttentionInterface.register(ENGINE, flat_attention)  # and no mask function: an engine takes no masks


def engine_config(row: Row, **overrides: Any) -> PreTrainedConfig:
    """Return a tiny configuration that asks for the engine's attention."""
    config = tiny_config(row.model_type, **DISTINCT.get(row.model_type, {}) | overrides)
    config._attn_implementation = ENGINE
    return config


def served(row: Row, auto: Any) -> bool:
    """Return whether an engine runs a head: its classifier of rows reads another token than ours, or no pooler."""
    return row.model_type not in REFUSED and auto.__name__ != "AutoModelForSequenceClassification"


HEADS = [pytest.param(row, auto, id=name.__name__) for row in TABLE for auto, name in row.classes.items()]


@pytest.mark.parametrize(("row", "auto"), HEADS)
def test_an_engine_asks_the_class_and_is_told_the_truth(row: Row, auto: Any) -> None:
    assert row.classes[auto].is_backend_compatible() == served(row, auto)


@pytest.mark.parametrize(("row", "auto"), HEADS)
def test_an_engine_runs_a_model_right_or_not_at_all(row: Row, auto: Any) -> None:
    model_class = row.classes[auto]
    if is_recurrent(row.config_class()):  # there is no attention to replace, and an engine that asks for it hears so
        assert not model_class._can_set_attn_implementation()
    elif not served(row, auto):
        with pytest.raises(ValueError, match=f"{model_class.__name__} can't run in an engine: .*allowed: eager, sdpa"):
            model_class(engine_config(row))
    else:
        model = build(model_class, engine_config(row))
        inputs = {"input_ids": batch(model.config, size=1)["input_ids"]}
        plain = build(model_class, tiny_config(row.model_type, **DISTINCT.get(row.model_type, {})))
        with torch.no_grad():
            torch.testing.assert_close(model(**inputs)[0], plain(**inputs)[0], rtol=1e-5, atol=1e-5)


def test_layers_that_share_a_block_are_refused_with_what_would_run() -> None:
    row = find_row("progressive_gpt")
    for model_class in row.classes.values():
        with pytest.raises(ValueError, match="num_blocks is 2, allowed there: 4"):
            model_class(engine_config(row, num_hidden_layers=4))


def test_without_levels_conv_gpt_is_refused_and_run_as_nanogpt_is() -> None:
    row, plain = find_row("conv_gpt"), find_row("nanogpt")
    for auto, model_class in row.classes.items():
        if served(plain, auto):
            assert model_class(engine_config(row, num_levels=0)).engine_problem() is None
        else:
            with pytest.raises(ValueError, match="can't run in an engine"):
                model_class(engine_config(row, num_levels=0))
