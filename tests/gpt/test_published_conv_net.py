# Copyright 2026 The hf_variants authors. MIT licence.
"""Why conv_gpt is built otherwise: the published convolution net, shrunk, reads the tokens that it is to predict."""

import math

import pytest
import torch
from torch import nn

from hf_variants.gpt.configuration_conv_gpt import ConvGptConfig
from hf_variants.gpt.modeling_conv_gpt import ConvGptForCausalLM
from tests.helpers.decoders import train_on_noise

VOCABULARY, CONTEXT, AHEAD, LEVELS, FACTOR, WIDTH = 4, 64, 16, 2, 4, 16


class PublishedCompressor(nn.Module):
    """LayerNorm and a strided convolution, not shifted: what it says of a group stands at the group's first token."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.conv = nn.LayerNorm(width), nn.Conv1d(width, 2 * width, FACTOR, stride=FACTOR)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        return self.conv(self.norm(stream).transpose(1, 2)).transpose(1, 2)


class PublishedExpander(nn.Module):
    """LayerNorm and dense maps over width and over all positions, early and late."""

    def __init__(self, width: int, positions: int):
        super().__init__()
        self.norm, self.narrow = nn.LayerNorm(2 * width), nn.Linear(2 * width, width)
        self.over_positions = nn.Linear(positions // FACTOR, positions)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        return self.over_positions(self.narrow(self.norm(stream)).transpose(1, 2)).transpose(1, 2)


class PublishedNet(nn.Module):
    """The published shape: compressors, causal attention at the coarsest level, expanders, a head.

    Position t is trained to predict token t + FACTOR**LEVELS, most of which are in the input.
    """

    def __init__(self):
        super().__init__()
        widths = [WIDTH * 2**level for level in range(LEVELS + 1)]
        self.embed, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.1)
        self.down = nn.Sequential(*[PublishedCompressor(width) for width in widths[:-1]])
        self.block = nn.TransformerEncoderLayer(widths[-1], 4, 4 * widths[-1], 0.0, batch_first=True, norm_first=True)
        positions = [CONTEXT // FACTOR**level for level in range(LEVELS)]
        ups = [PublishedExpander(*sizes) for sizes in zip(widths[:-1], positions, strict=True)]
        self.up = nn.Sequential(*reversed(ups))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    class Config:
        vocab_size = VOCABULARY

    config = Config

    def forward(self, input_ids: torch.Tensor):
        """Return logits `(batch, seq, vocab)` as an attribute."""
        coarse = self.down(self.embed(input_ids) + self.place)
        causal = nn.Transformer.generate_square_subsequent_mask(coarse.shape[1])
        self.logits = self.head(self.up(self.block(coarse, causal, is_causal=True)))
        return self


def test_the_published_net_predicts_what_nobody_can():
    """On i.i.d. tokens ln V is the best that is possible; whoever gets below has read the answer."""
    torch.manual_seed(0)
    leaky = train_on_noise(PublishedNet(), steps=300, ahead=AHEAD, batch_size=16, length=CONTEXT)
    assert leaky[-1] < -15  # standard errors; noise stays above -5


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [1, AHEAD])
def test_ours_does_not(ahead):
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "max_position_embeddings": CONTEXT}
    config = ConvGptConfig(**sizes, num_levels=LEVELS, num_attention_heads=2, prediction_horizon=ahead)
    ours = train_on_noise(ConvGptForCausalLM(config), steps=300, ahead=ahead, batch_size=16, length=CONTEXT)
    assert ours.min() > -5


def test_the_published_outputs_depend_on_later_tokens():
    torch.manual_seed(0)
    net, ids = PublishedNet().eval(), torch.randint(VOCABULARY, (1, CONTEXT))
    changed = ids.clone()
    changed[0, -1] = (ids[0, -1] + 1) % VOCABULARY
    with torch.no_grad():
        before, after = net(ids).logits.clone(), net(changed).logits
    assert (after - before)[0, 0].abs().max() > 0
    assert math.log(VOCABULARY) == pytest.approx(1.386, abs=1e-3)
