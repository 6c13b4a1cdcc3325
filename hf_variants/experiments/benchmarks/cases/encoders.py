# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of the encoders: minbert against transformers' BERT, gated highways against residual sums."""

import functools

import torch
from torch import nn
from transformers import BertConfig, BertModel

from ....bert.configuration_highway_bert import HighwayBertConfig
from ....bert.configuration_minbert import MinBertConfig
from ....bert.modeling_highway_bert import HighwayBertModel, HighwayBertOutput
from ....bert.modeling_minbert import MinBertModel
from ..suite import DEVICE, Sides, assert_same, case, random_batch, trained, with_method

# ---- minbert against transformers' BERT ----------------------------------------------------------------------------


def minbert_sides(hidden_size: int, layers: int, length: int, padded: bool) -> Sides:
    """minbert and BertModel of the same weights, both with SDPA, on 8 sequences of `length` tokens."""
    sizes = {"hidden_size": hidden_size, "num_hidden_layers": layers, "num_attention_heads": hidden_size // 64}
    sizes |= {"intermediate_size": 4 * hidden_size, "vocab_size": 1000, "attn_implementation": "sdpa"}
    reference = BertModel(BertConfig(**sizes), add_pooling_layer=False).to(DEVICE)
    ours = MinBertModel(MinBertConfig(**sizes), add_pooling_layer=False).to(DEVICE)
    ours.load_state_dict(reference.state_dict())
    batch = random_batch(reference.config, 8, length, padded)
    check = functools.partial(assert_same, ours, reference, batch)
    return Sides(check, trained(ours, batch), trained(reference, batch))


def _register_minbert() -> None:
    for size, hidden_size, layers, length in (
        ("", 256, 4, 128),
        ("", 256, 4, 512),
        ("_hidden768", 768, 2, 128),
    ):
        for padded in (False, True):
            name = f"minbert{size}_8x{length}" + ("_padded" if padded else "")
            build = functools.partial(minbert_sides, hidden_size, layers, length, padded)
            case(name, "minbert", "BertModel", target=1.00)(build)


_register_minbert()


# ---- highway against residual --------------------------------------------------------------------------------------


def naive_join(
    output: HighwayBertOutput, update: torch.Tensor, stream: torch.Tensor, normed: torch.Tensor
) -> torch.Tensor:
    """The coupled highway sum as its equation is written: `(1 - T) * x + T * F(x)`, all `(batch, seq, hidden)`."""
    T = output.gate(stream if output.reads_stream else normed)
    return (1 - T) * stream + T * update


def naive_copy(model: HighwayBertModel) -> HighwayBertModel:
    """The same net with the equation in place of the fast mix."""
    return with_method(model, HighwayBertOutput, "join", naive_join)


def highway_sides(gate_type: str, layers: int = 4, rows: int = 8) -> Sides:
    """highway_bert and minbert at hidden 512, pre-norm layers, on `rows` sequences of 128 tokens."""
    sizes = {"num_hidden_layers": layers, "attn_implementation": "sdpa"}
    config = HighwayBertConfig(gate_type=gate_type, **sizes)
    structure = {name: getattr(config, name) for name in MinBertConfig.__annotations__}
    highway = HighwayBertModel(config, add_pooling_layer=False).to(DEVICE)
    residual = MinBertModel(MinBertConfig(**structure, attn_implementation="sdpa"), add_pooling_layer=False).to(DEVICE)
    neutral_config = HighwayBertConfig(skip_connection="residual", **sizes)
    neutral = HighwayBertModel(neutral_config, add_pooling_layer=False).to(DEVICE)
    neutral.load_state_dict(residual.state_dict())
    for name, parameter in highway.named_parameters():
        if ".gate." in name:  # gates start at weight zero, where a wrong mix could go unseen
            nn.init.normal_(parameter, std=0.02)
    batch = random_batch(config, rows, 128, padded=False)

    def check() -> None:
        assert_same(neutral, residual, batch, exact=True)
        assert_same(highway, naive_copy(highway), batch)

    return Sides(check, trained(highway, batch), trained(residual, batch))


@case("highway_feature_gates", "highway", "residual", target=1.20)
def highway_feature_gates() -> Sides:
    """A gate value per feature; its matrix products alone cost 1.17."""
    return highway_sides("feature")


@case("highway_scalar_gates", "highway", "residual", target=1.05)
def highway_scalar_gates() -> Sides:
    """One gate value per position."""
    return highway_sides("scalar")
