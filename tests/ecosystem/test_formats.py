# Copyright 2026 The hf_variants authors. MIT licence.
"""Encoders as ONNX graphs and with int8 weights, each against the model it was made from."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel

from hf_variants.auto import TABLE, Row
from tests.helpers.folders import model_with_tokenizer, write_folder
from tests.helpers.models import DECODERS, batch, build, find_row, outputs, tiny_config
from tests.helpers.places import LIBRARY_GUIDE

pytestmark = pytest.mark.ecosystem
ENCODERS = pytest.mark.parametrize(
    "row", [row for row in TABLE if row not in DECODERS and row.model_type != "bigru"], ids=lambda row: row.model_type
)


def padded_batch(model: PreTrainedModel, size: int, length: int) -> dict[str, torch.Tensor]:
    """Return ids and a mask `(size, length)` in which the first row ends early."""
    inputs = batch(model.config, size, length)
    inputs["attention_mask"][0, length // 2 :] = 0
    return inputs


# ---- ONNX ----------------------------------------------------------------------------------------------------------


def guide_code(folder: Path) -> str:
    """Return the guide's lines that write `model.onnx`, for a folder."""
    text = LIBRARY_GUIDE.read_text(encoding="utf-8")
    code = re.search(r"<!-- covered: make test-ecosystem -->\n```python\n(.*?)```", text, flags=re.DOTALL).group(1)
    return code.replace('"runs/demo/models/highway"', repr(str(folder)))


@ENCODERS
def test_onnx_graph_for_any_batch(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs it")
    runtime = pytest.importorskip("onnxruntime", reason="runs the graph")
    space: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(guide_code(write_folder(row, AutoModelForMaskedLM, tmp_path / "model")), space)
    session = runtime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    for size, length in ((2, 9), (5, 17), (3, 2)):
        inputs = padded_batch(space["model"], size, length)
        logits = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
        torch.testing.assert_close(torch.from_numpy(logits), outputs(space["model"], inputs), atol=1e-4, rtol=1e-4)


# ---- int8 ----------------------------------------------------------------------------------------------------------


def weight_bytes(model: torch.nn.Module) -> int:
    """Return the bytes of all linear layers' weights as they lie in memory."""
    total = 0
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            names = getattr(module.weight, "tensor_data_names", None)
            parts = [getattr(module.weight, name) for name in names] if names else [module.weight]
            total += sum(part.numel() * part.element_size() for part in parts)
    return total


def in_int8(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, float]:
    """Quantise a model in place; return its logits, and their error by the spread of those that it had before."""
    pytest.importorskip("torchao", reason="quantises")
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    expected = outputs(model, inputs)
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    found = outputs(model, inputs)
    assert not torch.equal(found, expected)
    return found, float((found - expected).square().mean().sqrt() / expected.std())


def a_minbert() -> PreTrainedModel:
    """Return a classifier whose rounding the others are held against."""
    config = tiny_config("minbert", hidden_size=64, intermediate_size=128)
    return build(find_row("minbert").classes[AutoModelForSequenceClassification], config, spread=0.1)


def test_minbert_in_int8_is_bert_in_int8() -> None:
    """Bit for bit: so dynamic int8 costs a minbert what it costs a BERT, however much that is."""
    model = a_minbert()
    settings = {
        name: value for name, value in model.config.to_dict().items() if name not in ("model_type", "auto_map")
    }
    bert = transformers.BertForSequenceClassification(transformers.BertConfig(**settings)).eval()
    bert.load_state_dict(model.state_dict())
    inputs = padded_batch(model, 8, 15)
    torch.testing.assert_close(in_int8(model, inputs)[0], in_int8(bert, inputs)[0], atol=0, rtol=0)


@pytest.mark.parametrize("row", [row for row in TABLE if row not in DECODERS], ids=lambda row: row.model_type)
def test_dynamic_int8_is_no_worse_than_berts_and_small(row: Row) -> None:
    """At most minbert's error, which is BERT's, at about a quarter of the layers' bytes."""
    sizes = {"hidden_size": 64} | ({} if row.model_type == "bigru" else {"intermediate_size": 128})
    config = tiny_config(row.model_type, **sizes)
    model, reference = build(row.classes[AutoModelForSequenceClassification], config, spread=0.1), a_minbert()
    before = weight_bytes(model)
    _, error = in_int8(model, padded_batch(model, 8, 15))
    _, allowed = in_int8(reference, padded_batch(reference, 8, 15))
    assert error <= allowed
    assert weight_bytes(model) < 0.3 * before


def test_bigru_has_no_graph_for_any_batch() -> None:
    """How many rows it reads at a time depends on the lengths of the texts: the guide says so."""
    model, _ = model_with_tokenizer(find_row("bigru"), AutoModelForSequenceClassification)
    with pytest.raises(torch.fx.experimental.symbolic_shapes.GuardOnDataDependentSymNode):
        torch.export.export(model, (), kwargs=padded_batch(model, 2, 9), strict=False)
