# Copyright 2026 The hf_variants authors. MIT licence.
"""What each variant changes, in words and as a formula with the numbers of one configuration."""

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedConfig

from ...auto import TABLE

Config = Any  # one of our configurations; each formula knows its own fields

SUMMARIES = {
    "minbert": "BERT's encoder, and nothing else: the baseline that other encoders are a change of.",
    "highway_bert": "minbert whose skip connections are gated: what a sublayer gives replaces its input to a learned "
    "degree, instead of being added to it (highway networks).",
    "similarity_bert": "minbert whose attention compares queries and keys by another similarity than the dot product.",
    "nanogpt": "GPT-2's decoder, and nothing else: the baseline that other decoders are a change of.",
    "conv_gpt": "nanogpt's blocks at several levels. A strided convolution compresses the sequence for the next, "
    "wider level, its transpose expands it again; windows are shifted so that no position sees a later one.",
    "progressive_gpt": "nanogpt whose neighbouring layers may be applications of one block, until the blocks diverge.",
    "bigru": "No transformer: word embeddings, a GRU in either direction, and one vector pooled from its states.",
}


def summary(model_type: str) -> str:
    """One sentence on a model type: for a new row of the table its module's own, for what is not ours whose it is."""
    if model_type in SUMMARIES:
        return SUMMARIES[model_type]
    for row in TABLE:
        if row.model_type == model_type:
            return (row.module.__doc__ or model_type).strip().splitlines()[0]
    return f"Nothing: this is `{model_type}` as transformers has it."


def formula(config: PreTrainedConfig | None) -> str:
    """The variant's equations as plain text, with the configuration's numbers; empty where none is known."""
    written = _FORMULAS.get(config.model_type) if config is not None else None
    return written(config) if written is not None else ""


def _residual(config: Config) -> str:
    if config.norm_position == "pre":
        return "y = x + F(LN(x))        F: attention, then feed-forward"
    return "y = LN(x + F(x))        F: attention, then feed-forward"


def _highway(config: Config) -> str:
    if config.skip_connection == "residual":
        return _residual(config)
    pre, coupled = config.norm_position == "pre", config.gate_coupling == "coupled"
    read = "LN(x)" if pre and config.gate_input == "normed" else "x"
    joined = f"C * x + T * F({'LN(x)' if pre else 'x'})"
    factor = "" if coupled else "2 * "
    width = f"{config.hidden_size} values, one per feature"
    width = width if config.gate_type == "feature" else "one value per position"
    start = "0 (neutral start)" if config.gate_init == "neutral" else f"{config.gate_bias:g}"
    carry = "1 - T" if coupled else f"{factor}sigmoid(W_C {read} + b_C)"
    return "\n".join(
        [
            f"y = {joined if pre else f'LN({joined})'}        F: attention, then feed-forward",
            f"T = {factor}sigmoid(W_T {read} + b_T)        {width}; b_T starts at {start}, W_T at 0",
            f"C = {carry}",
        ]
    )


def _similarity(config: Config) -> str:
    scale = f"{config.initial_scale:.4g}{', learned per head' if config.learns_temperature else ''}"
    scores = {
        "dot_product": f"tau * q.k        tau = {scale}",
        "cosine": f"tau * q.k / (|q| |k|)        tau = {scale}",
        "gaussian": f"-|q - k|^2 / (2 sigma^2)        sigma = {scale}",
        "euclidean": f"-|q - k| / sigma        sigma = {scale}",
    }
    return "\n".join(
        [
            "attention = softmax over keys k of s(q, k)",
            f"s(q, k) = {scores[config.attention_similarity]}; q and k have {config.query_key_width} features",
            _residual(config),
        ]
    )


def _decoder(config: Config) -> str:
    return "x <- x + attention(LN(x))        causal\nx <- x + feed_forward(LN(x))"


def _levels(config: Config) -> str:
    if not config.num_levels:
        return _decoder(config)
    k, last = config.sequence_factor, config.num_levels - 1
    widths = ", ".join(map(str, config.level_sizes))
    return "\n".join(
        [
            f"z[l+1][i] = conv(LN(z[l]))[{k}i-{k - 1} .. {k}i]        down, l = 0 .. {last}; widths {widths}",
            f"z[l][t] <- z[l][t] + transposed_conv(LN(z[l+1]))[t // {k}]        up, l = {last} .. 0",
            "between them at every level, causal:",
            *(f"    {line.split('  ')[0]}" for line in _decoder(config).splitlines()),
        ]
    )


def _shared(config: Config) -> str:
    layers, blocks = config.num_hidden_layers, config.num_blocks
    shared = f"layer i applies block floor(i * {blocks} / {layers}), i = 0 .. {layers - 1}"
    return shared + ("; every layer has a block of its own" if layers == blocks else "") + f"\n{_decoder(config)}"


def _gru(config: Config) -> str:
    pooled = {
        "last": "[last state forward, last state backward]",
        "max": "the maximum over the text of [forward, backward]",
        "mean": "the mean over the text of [forward, backward]",
        "attention": "the sum over the text of a_t [forward, backward]_t, a = softmax(w . tanh(W h))",
    }
    return (
        "h_t = (1 - z) * n + z * h_(t-1)        z, r: sigmoid gates, n = tanh(W x_t + r * (U h_(t-1)))\n"
        f"vector = {pooled[config.pooling]}"
    )


_FORMULAS: dict[str, Callable[[Config], str]] = {
    "minbert": _residual,
    "highway_bert": _highway,
    "similarity_bert": _similarity,
    "nanogpt": _decoder,
    "conv_gpt": _levels,
    "progressive_gpt": _shared,
    "bigru": _gru,
}
