# Copyright 2026 The hf_variants authors. MIT licence.
"""A mask means the same in every type, number of dimensions and attention function, or is refused by name."""

from typing import Any

import pytest
import torch
from transformers import AutoModel, PreTrainedModel

from hf_variants.auto import Row
from tests.helpers.models import CONFIGURED, CONFIGURED_DECODERS, batch, build, is_recurrent, labels, named_config


def one(part: Any) -> str:
    """The name of a parameter of a test."""
    return part.model_type if isinstance(part, Row) else str(part)


def attentions(configured: list[tuple[Row, str]]) -> list[tuple[Row, str, str]]:
    """Every configuration with each attention function that it has; a GRU has none."""
    choices = [(row, name, ("eager", "sdpa")[: 1 + row.classes[AutoModel]._supports_sdpa]) for row, name in configured]
    return [(row, name, attention) for row, name, chosen in choices for attention in chosen]


CONFIGURATIONS = pytest.mark.parametrize(("row", "name"), CONFIGURED, ids=one)
ENCODERS = [(row, name) for row, name in CONFIGURED if (row, name) not in CONFIGURED_DECODERS]
EVERY_ATTENTION = pytest.mark.parametrize(("row", "name", "attention"), attentions(CONFIGURED), ids=one)
EVERY_DECODERS_ATTENTION = pytest.mark.parametrize(
    ("row", "name", "attention"), attentions(CONFIGURED_DECODERS), ids=one
)
TYPES = (torch.bool, torch.uint8, torch.int32, torch.float16, torch.bfloat16, torch.float32, torch.float64)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def model_of(row: Row, name: str, attention: str | None = None, auto: Any = AutoModel) -> PreTrainedModel:
    """Return a model of a named configuration."""
    model = build(row.classes[auto], named_config(row.model_type, name), spread=0.1)
    if attention is not None:
        model.set_attn_implementation(attention)
    return model


def padded_batch(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return three rows of 8: whole, padded on the right, padded on the left."""
    inputs = batch(model.config, size=3, length=8)
    inputs["attention_mask"][1, 5:] = 0
    inputs["attention_mask"][2, :3] = 0
    return inputs


def states(model: PreTrainedModel, inputs: dict[str, torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Return the last hidden states of real tokens alone, `(tokens, hidden)`."""
    with torch.no_grad():
        hidden = model(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
    return hidden[inputs["attention_mask"].bool()]


def takes_ready_masks(model: PreTrainedModel) -> bool:
    """Whether a model attends over its tokens as they are: no recurrence, no coarser levels."""
    return not is_recurrent(model.config) and not getattr(model.config, "num_levels", 0)


def who_sees_whom(mask: torch.Tensor, causal: bool) -> torch.Tensor:
    """Return the ready mask that stands for a mask `(batch, seq)`: bool `(batch, 1, seq, seq)`."""
    length = mask.shape[1]
    seen = mask.bool()[:, None, None, :].expand(-1, 1, length, -1)
    return seen & torch.ones(length, length, dtype=torch.bool).tril() if causal else seen


@EVERY_ATTENTION
def test_a_mask_of_two_dimensions_is_the_same_in_every_type(row, name, attention):
    model = model_of(row, name, attention)
    inputs = padded_batch(model)
    expected = states(model, inputs, inputs["attention_mask"])
    for dtype in TYPES:
        torch.testing.assert_close(states(model, inputs, inputs["attention_mask"].to(dtype)), expected, **CLOSE)
    without = states(model, inputs, torch.ones_like(inputs["attention_mask"]))
    assert not torch.allclose(without, expected, atol=1e-3), "the mask changes nothing"


@EVERY_ATTENTION
def test_a_ready_mask_is_that_of_the_tokens_or_refused(row, name, attention):
    model = model_of(row, name, attention)
    inputs = padded_batch(model)
    mask = inputs["attention_mask"]
    causal = (row, name) in CONFIGURED_DECODERS
    seen = who_sees_whom(mask, causal)
    if not takes_ready_masks(model):
        for wrong in (seen, seen[:, 0], seen.float()):
            with pytest.raises(ValueError, match="attention_mask (has|is of shape) .*allowed: "):
                states(model, inputs, wrong)
        return
    places = (mask.cumsum(1) - 1).clamp(min=0) if causal else None

    def ready(given: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            hidden = model(inputs["input_ids"], attention_mask=given, position_ids=places).last_hidden_state
        return hidden[mask.bool()]

    expected = states(model, inputs, mask)
    torch.testing.assert_close(ready(seen), expected, **CLOSE)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for lowest in (torch.finfo(dtype).min, -torch.inf):
            added = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, lowest)
            torch.testing.assert_close(ready(added), expected, **CLOSE)
    for wrong in (torch.uint8, torch.int32, torch.int64):
        with pytest.raises(ValueError, match=f"4 dimensions and is of {wrong}; allowed: torch.bool or floating"):
            ready(seen.to(wrong))
    with pytest.raises(ValueError, match="attention_mask has 3 dimensions; allowed: 2 or 4"):
        ready(seen[:, 0])


@EVERY_ATTENTION
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
def test_a_row_without_tokens_leaves_no_nan(row, name, attention, dtype):
    model = model_of(row, name, attention).to(dtype).train()
    inputs = padded_batch(model)
    inputs["attention_mask"][1] = 0
    outputs = model(**inputs)
    found = [value for value in outputs.to_tuple() if isinstance(value, torch.Tensor) and value.is_floating_point()]
    assert all(value.isfinite().all() for value in found)
    sum(value.float().square().mean() for value in found).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@CONFIGURATIONS
def test_a_query_that_sees_nothing_is_the_same_in_eager_attention_and_sdpa(row, name):
    if not row.classes[AutoModel]._supports_sdpa:
        pytest.skip("a GRU has no attention")
    model = model_of(row, name, "eager")
    inputs = padded_batch(model)
    inputs["attention_mask"][1] = 0
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state
        model.set_attn_implementation("sdpa")
        torch.testing.assert_close(model(**inputs).last_hidden_state, expected, **CLOSE)


@EVERY_DECODERS_ATTENTION
def test_padding_inside_a_row_changes_nothing(row, name, attention):
    """Two padded turns of a chat, or a soft prompt before padding, in one pass and behind a cache."""
    model = model_of(row, name, attention).double()
    ids = batch(model.config, size=1, length=9)["input_ids"]
    mask = torch.tensor([[0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0]])
    padded = torch.full_like(mask, 7).masked_scatter(mask.bool(), ids)
    with torch.no_grad():
        expected = model(ids).last_hidden_state[0]
        found = model(padded, attention_mask=mask).last_hidden_state[mask.bool()]
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
        cache, parts = None, []
        for begin, end in ((0, 4), (4, 5), (5, 11), (11, 17)):
            result = model(padded[:, begin:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True)
            cache = result.past_key_values
            parts.append(result.last_hidden_state)
    found = torch.cat(parts, dim=1)[mask.bool()]
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


@EVERY_DECODERS_ATTENTION
def test_is_causal_false_is_obeyed_or_refused(row, name, attention):
    model = model_of(row, name, attention)
    if getattr(model.config, "num_levels", 0):
        with pytest.raises(ValueError, match="is_causal is False; allowed: True"):
            model(**batch(model.config), is_causal=False)
        with pytest.raises(Exception, match="is_causal is False; allowed: True"):
            named_config(row.model_type, name, is_causal=False)
        return
    ids = batch(model.config, size=2, length=12)["input_ids"]
    asked = {"config": named_config(row.model_type, name, is_causal=False)}
    configured = build(row.classes[AutoModel], asked["config"], spread=0.1)
    configured.set_attn_implementation(attention)
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    with torch.no_grad():
        for run in (lambda *a, **k: model(*a, is_causal=False, **k), configured):
            alone = run(ids[1:]).last_hidden_state[0]
            torch.testing.assert_close(run(ids, attention_mask=mask).last_hidden_state[1], alone, **CLOSE)
            torch.testing.assert_close(run(ids[1:], attention_mask=mask[1:]).last_hidden_state[0], alone, **CLOSE)
            changed = ids[1:].clone()
            changed[0, -1] = (changed[0, -1] + 1) % model.config.vocab_size
            assert (run(changed).last_hidden_state[0, 0] - alone[0]).abs().max() > 1e-4, "the first hears no later one"
            # packed documents stay apart
            places = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6]])
            packed = run(ids[1:], position_ids=places).last_hidden_state[0]
            torch.testing.assert_close(packed[:5], run(ids[1:, :5]).last_hidden_state[0], **CLOSE)
        # and the model is causal again
        assert torch.equal(model(changed).last_hidden_state[0, 0], model(ids[1:]).last_hidden_state[0, 0])


@pytest.mark.parametrize(("row", "name"), ENCODERS, ids=one)
def test_encoders_refuse_to_be_causal(row, name):
    model = model_of(row, name)
    with pytest.raises(ValueError, match="is_causal is True; allowed: False"):
        model(**batch(model.config), is_causal=True)
    with pytest.raises(Exception, match="is_causal is True; allowed: False"):
        named_config(row.model_type, name, is_causal=True)
    assert model(**batch(model.config), is_causal=False).last_hidden_state.isfinite().all()


@pytest.mark.slow
@CONFIGURATIONS
def test_flex_attention_takes_the_same_masks(row, name):
    if not row.classes[AutoModel]._supports_sdpa:
        pytest.skip("a GRU has no attention")
    model = model_of(row, name)
    if not model._supports_flex_attn:
        with pytest.raises(ValueError):
            model.set_attn_implementation("flex_attention")
        return
    inputs = padded_batch(model)
    expected = states(model, inputs, inputs["attention_mask"])
    model.set_attn_implementation("flex_attention")
    torch.testing.assert_close(states(model, inputs, inputs["attention_mask"].bool()), expected, atol=1e-4, rtol=1e-4)
    ready = who_sees_whom(inputs["attention_mask"], (row, name) in CONFIGURED_DECODERS)
    for wrong in (ready, torch.zeros(ready.shape).masked_fill(~ready, -torch.inf)):
        with pytest.raises(ValueError, match="4 dimensions; allowed with flex_attention: 2"):
            states(model, inputs, wrong)


@CONFIGURATIONS
def test_labels_reach_a_loss_with_every_mask(row, name):
    """The classifier of a row without tokens has a finite loss as well."""
    auto = next(auto for auto in row.classes if auto.__name__ == "AutoModelForSequenceClassification")
    model = model_of(row, name, auto=auto)
    inputs = padded_batch(model)
    inputs["attention_mask"][1] = 0
    assert model(**inputs, **labels(auto.__name__, inputs)).loss.isfinite()
