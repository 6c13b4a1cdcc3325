# Copyright 2026 The hf_variants authors. MIT licence.
"""For every row of `hf_variants/auto.py`: a configuration is refused by name, or its model works from end to end."""

import copy
import re
import tempfile
from collections import Counter
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from hf_variants.auto import TABLE, Row
from tests.helpers.configurations import Settings, own_fields, settings_of
from tests.helpers.models import tiny_config
from tests.helpers.sameness import assert_same_weights

REASON = re.compile(
    r"(?P<rule>\w+) is (?P<value>.+); allowed(:| at level \d+:) \S"  # ours
    r"|Field '(?P<type>\w+)(\[\d+\])?' (expected|with value) \S"  # huggingface_hub's, of a wrong type
    r"|`(?P<base>problem_type)=.* requires",  # transformers'
    re.DOTALL,
)


def check_reason(row: Row, settings: Settings, error: Exception) -> None:
    """Fail unless the error names a field, its value and what is allowed."""
    found = REASON.search(str(error))
    assert found, f"no reason in {error}"
    name = found["rule"] or found["type"] or found["base"]
    assert name in [*own_fields(row), "num_labels", "problem_type"], f"{name} is no field: {error}"
    if settings[name] is not None:  # else it was derived from other fields
        assert str(settings[name]) in str(error) or repr(settings[name]) in str(error), f"no value in {error}"


def make_inputs(config: PreTrainedConfig, sizes: tuple[int, int], seed: int) -> dict[str, torch.Tensor]:
    """Random ids `(batch, seq)`, and a mask that leaves of each row all, nothing, a stretch, or any of its tokens."""
    longest = getattr(config, "max_position_embeddings", 12)
    size, length = sizes[0], min(sizes[1], longest)
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, length + 1, (size, 2), generator=generator).sort().values
    edges[:: 1 + seed % 3] = torch.tensor([0, length])
    places = torch.arange(length)
    mask = (edges[:, :1] <= places) & (places < edges[:, 1:])
    if seed % 4 == 0:
        mask &= torch.rand(size, length, generator=generator) < 0.7
    ids = torch.randint(0, config.vocab_size, (size, length), generator=generator)
    return {"input_ids": ids, "attention_mask": mask.long()}


def make_labels(role: str, config: PreTrainedConfig, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Labels that fit a head; none where it has nothing to predict."""
    size, length = ids.shape
    if role == "ForQuestionAnswering":
        return {"start_positions": ids[:, 0] % length, "end_positions": ids[:, -1] % length}
    if role == "ForTokenClassification":
        return {"labels": ids % config.num_labels}
    if role in ("ForMaskedLM", "ForCausalLM"):
        shift = getattr(config, "prediction_horizon", 1) if role == "ForCausalLM" else 0
        return {"labels": ids} if length > shift else {}
    if role == "ForSequenceClassification":
        several = (ids[:, :1] + torch.arange(config.num_labels)) % 2.0
        is_class = config.problem_type == "single_label_classification" or (
            config.problem_type is None and config.num_labels > 1
        )
        return {"labels": ids[:, 0] % config.num_labels if is_class else several}
    return {}


def results(outputs: Any) -> list[torch.Tensor]:
    """The tensors that a model returns, the loss apart."""
    return [value for name, value in outputs.items() if isinstance(value, torch.Tensor) and name != "loss"]


def floats(outputs: Any) -> list[torch.Tensor]:
    """The results that a gradient may come from: a mask is none of them."""
    return [value for value in results(outputs) if value.is_floating_point()]


def check_gradients(model: PreTrainedModel, inputs: dict[str, torch.Tensor], labels: dict[str, torch.Tensor]) -> None:
    """Fail unless loss and gradients are finite, and parameters without a gradient change nothing."""
    outputs = model.train()(**inputs, **labels)
    loss = outputs["loss"] if labels else sum(value.square().mean() for value in floats(outputs))
    assert loss.isfinite(), f"the loss is {loss}"
    if loss.requires_grad or inputs["attention_mask"].any():  # a GRU computes nothing of a batch without a token
        loss.backward()
    parameters = dict(model.named_parameters())
    wrong = [name for name, p in parameters.items() if p.grad is not None and not p.grad.isfinite().all()]
    assert not wrong, f"gradients are not finite: {wrong}"
    unreached = {name: p for name, p in parameters.items() if p.grad is None}
    if unreached:
        before = evaluate(model, inputs)
        with torch.no_grad():
            for parameter in unreached.values():
                parameter.add_(1.0)
        assert all(map(torch.equal, before, evaluate(model, inputs))), f"used without a gradient: {list(unreached)}"


def evaluate(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        return results(model.eval()(**inputs))


def check_saving(model: PreTrainedModel, auto_class: Any, inputs: dict[str, torch.Tensor]) -> None:
    """Fail unless the saved model, loaded again, is the same.

    Some of these configurations enlarge rounding without a bound, so no tolerance serves for all. A copy's weights lie
    in memory as the model's do and not as the file's, so that its outputs are the same to the bit.
    """
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        loaded, report = auto_class.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    loaded.set_attn_implementation(model.config._attn_implementation)
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()
    assert_same_weights(loaded, model)
    assert all(map(torch.equal, evaluate(model, inputs), evaluate(copy.deepcopy(loaded), inputs)))


def refuses(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> bool:
    """Whether a model refuses a batch without a single token by name, as it may."""
    try:
        evaluate(model, inputs)
    except ValueError as error:
        assert "attention_mask is 0 everywhere; allowed: " in str(error), error
        return True
    return False


def check_model(row: Row, auto_class: Any, config: PreTrainedConfig, sizes: tuple[int, int], seed: int) -> None:
    """Fail unless one of a row's models runs forward and backward with this configuration, and survives saving."""
    torch.manual_seed(seed)
    model_class = row.classes[auto_class]
    config._attn_implementation = "sdpa" if seed % 2 and model_class._supports_sdpa else "eager"
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():  # initial weights are too alike to tell one from another
            parameter.add_(torch.randn_like(parameter) * 0.1)
    head = model.get_output_embeddings()
    if head is not None and hasattr(config, "tie_word_embeddings"):
        assert (head.weight is model.get_input_embeddings().weight) == config.tie_word_embeddings
    inputs = make_inputs(config, sizes, seed)
    if not inputs["attention_mask"].any() and refuses(model, inputs):
        return
    role = model_class.__name__.removeprefix(row.config_class.__name__.removesuffix("Config"))
    check_gradients(model, inputs, make_labels(role, config, inputs["input_ids"]))
    check_saving(model, auto_class, inputs)


@pytest.fixture
def quiet():
    """Without it every saved model says two lines; tests after this one read warnings."""
    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    yield
    logging.enable_progress_bar()
    logging.set_verbosity(verbosity)


@pytest.mark.hunt
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
def test_a_configuration_is_refused_by_name_or_its_model_works(row):
    counts: Counter[str] = Counter()

    @given(
        settings_of(row),
        st.sampled_from(list(row.classes)),
        st.tuples(st.integers(1, 3), st.integers(1, 12)),
        st.integers(0, 99),
    )
    def check(settings, auto_class, sizes, seed):
        counts["drawn"] += 1
        try:
            config = row.config_class(**settings)
        except (ValueError, StrictDataclassError) as error:
            counts["rejected"] += 1
            check_reason(row, settings, error)
            return
        again = row.config_class.from_dict(config.to_dict())
        assert again.to_dict() == config.to_dict()
        check_model(row, auto_class, again, sizes, seed)

    check()
    assert 0 < counts["rejected"] <= counts["drawn"] / 2, counts


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
def test_a_batch_without_a_token_is_refused_by_name_or_computed(row):
    config = tiny_config(row.model_type)
    assert not make_inputs(config, (1, 1), 44)["attention_mask"].any()
    for auto_class in row.classes:
        check_model(row, auto_class, config, (1, 1), 44)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
def test_an_unknown_kind_of_labels_is_named_before_the_first_loss(row):
    for wrong in (-1, "", "rank"):
        with pytest.raises(StrictDataclassError, match=f"problem_type is {wrong!r}; allowed: None, regression, "):
            row.config_class(problem_type=wrong)
