# Copyright 2026 The hf_variants authors. MIT licence.
"""The attention similarities of similarity_bert: how each is defined, and how it runs fast.

Notable:
- `naive_attention` is every definition as it is written; nothing but tests and benchmarks calls it;
- softmax ignores what is the same for all keys, so the gaussian's |q|^2 drops out and -|k|^2 / 2 is one more column;
  dot product, cosine and gaussian are therefore one call of the stock attention on other queries and keys: its speed,
  its memory, its masks;
- only the euclidean distance needs the scores themselves: from matrix products, or as a `score_mod` of FlexAttention.

Shapes: queries and keys `(batch, heads, seq, query_key)`, values and results `(batch, heads, seq, head)`. A scale is
what multiplies the similarity: tau, 1 / sigma^2 or 1 / sigma. Where heads learn theirs it is a factor `(heads, 1, 1)`
inside the queries and keys, else it is None here and the `scaling` of the call.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

# Flash kernels take queries, keys and values of one width, and want it to be a multiple of this.
WIDTH = 8
# Of a vector's length or a distance, where its reciprocal would be infinite. Rounding alone exceeds it.
SMALLEST_SQUARE = 1e-12


# ---- the definitions -----------------------------------------------------------------------------------------------


def naive_scores(similarity: str, query: torch.Tensor, key: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """Return the scores `(batch, heads, queries, keys)` by definition, from all pairs at once."""
    if similarity == "dot_product":
        return scale * (query[..., :, None, :] * key[..., None, :, :]).sum(-1)
    if similarity == "cosine":
        lengths = query.norm(dim=-1)[..., :, None] * key.norm(dim=-1)[..., None, :]
        return scale * (query[..., :, None, :] * key[..., None, :, :]).sum(-1) / lengths
    difference = query[..., :, None, :] - key[..., None, :, :]
    if similarity == "gaussian":
        return -scale * difference.square().sum(-1) / 2
    return -scale * torch.linalg.vector_norm(difference, dim=-1)


def naive_attention(
    similarity: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: torch.Tensor | float,
    visible: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attend by definition. `visible` is True where a query may see a key; a query that may see none returns 0."""
    scores = naive_scores(similarity, query, key, scale)
    if visible is not None:
        scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    return (weights if visible is None else weights * visible.any(-1, keepdim=True)) @ value


# ---- queries and keys for the stock attention ----------------------------------------------------------------------


def full_precision(states: torch.Tensor) -> torch.Tensor:
    """Return fp32, or fp64 as it is."""
    return states if states.dtype == torch.float64 else states.float()


def in_full_precision(function: Callable[..., Any], *states: torch.Tensor) -> Any:
    """Call with fp32 or better, also under autocast, which would round the inputs of a matrix product again."""
    with torch.autocast(states[0].device.type, enabled=False):
        return function(*map(full_precision, states))


def scaled(states: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """Multiply by the factor of each head, in the precision of the factor."""
    return states if scale is None else (states * scale).to(states.dtype)


def normalized(states: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    """Return vectors of length 1, or of `scale`; their lengths are computed in fp32 or better."""
    wide = full_precision(states)
    factor = wide.square().sum(-1, keepdim=True).clamp_min(SMALLEST_SQUARE).rsqrt()
    return (wide * (factor if scale is None else factor * scale)).to(states.dtype)


def gaussian_columns(
    query: torch.Tensor, key: torch.Tensor, scale: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `[q, 1, 1, 0 ...]` and `[k, high, low, 0 ...]`, whose product is q.k - |k|^2 / 2, as wide as flash wants.

    The key's term is large beside the differences that matter, and bf16 has 8 bits for it: the second column holds
    what the first has rounded away. fp32 has no use for it.
    """
    wide = full_precision(key)
    term = wide.square().sum(-1, keepdim=True) * (-0.5 if scale is None else -0.5 * scale)
    high = term.to(key.dtype)
    columns = [high] if high.dtype == term.dtype else [high, (term - high).to(key.dtype)]
    fill = -(key.shape[-1] + len(columns)) % WIDTH
    ones = query.new_ones(()).expand(*query.shape[:-1], len(columns))
    zeros = query.new_zeros(()).expand(*query.shape[:-1], fill)
    return torch.cat([scaled(query, scale), ones, zeros], -1), torch.cat([key, *columns, zeros], -1)


def transform(
    similarity: str, query: torch.Tensor, key: torch.Tensor, scale: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return queries and keys whose dot product is the similarity, up to what is the same for all keys of a query."""
    if similarity == "gaussian":
        return gaussian_columns(query, key, scale)
    if similarity == "cosine":
        return normalized(query, scale), normalized(key)
    return scaled(query, scale), key


def same_width(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fill up queries and keys, or values, with zeros where their widths differ: else SDPA takes its slow kernel."""
    width, values = query.shape[-1], value.shape[-1]
    if width == values:
        return query, key, value
    common = max(width, values) + -max(width, values) % WIDTH
    query, key = (nn.functional.pad(states, (0, common - width)) for states in (query, key))
    return query, key, nn.functional.pad(value, (0, common - values))


# ---- euclidean -----------------------------------------------------------------------------------------------------


class NegativeDistances(torch.autograd.Function):
    """`-|q - k|` of all pairs from one matrix product, in place, and its gradient from two.

    A distance of 0 has no gradient and gives 0. Autograd would hold five tensors of this size instead of one.
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, tied: bool) -> torch.Tensor:
        """Return `(batch, heads, queries, keys)`; with `tied`, queries are keys and the diagonal is exactly 0."""
        lengths = [states.square().sum(-1, keepdim=True) for states in (query, key)]
        ones = torch.ones_like(lengths[0])
        left, right = torch.cat([-2 * query, lengths[0], ones], -1), torch.cat([key, ones, lengths[1]], -1)
        scores = left @ right.transpose(-1, -2)
        if tied:
            scores.diagonal(dim1=-2, dim2=-1).zero_()
        scores.clamp_min_(0).sqrt_().neg_()
        ctx.save_for_backward(query, key, scores)
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Return the gradients of queries and keys: `(q - k) / |q - k|`, weighted and summed."""
        query, key, scores = ctx.saved_tensors
        slopes = (gradient / scores).masked_fill_(scores == 0, 0)
        by_query, by_key = (
            rows @ torch.cat([states, torch.ones_like(states[..., :1])], -1)
            for rows, states in ((slopes, key), (slopes.transpose(-1, -2), query))
        )
        return query * by_query[..., -1:] - by_query[..., :-1], key * by_key[..., -1:] - by_key[..., :-1], None


def euclidean_scores(query: torch.Tensor, key: torch.Tensor, scaling: float, tied: bool = False) -> torch.Tensor:
    """Return `-scaling |q - k|`, `(batch, heads, queries, keys)`, in fp32 or better.

    |q|^2 + |k|^2 - 2 q.k loses a distance of 0 to rounding; with `tied`, queries are keys and the diagonal is one.
    """

    def scores(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return NegativeDistances.apply(query * scaling, key * scaling, tied)

    return in_full_precision(scores, query, key)


def masked_softmax(scores: torch.Tensor, hidden: torch.Tensor | None) -> torch.Tensor:
    """Return the weights, 0 where the bool mask `hidden` is True, a query that sees no key included."""
    if hidden is None:
        return scores.softmax(-1)
    # the lowest number rather than -inf, of which a row alone would be NaN
    weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(hidden.all(-1, keepdim=True), 0.0)


def euclidean_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    tied: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend by distance; the mask is boolean, True for visible keys, or is added to the scores.

    Returns:
        What the stock attention returns: the result `(batch, seq, heads, head)`, and the weights.
    """
    scores, hidden = euclidean_scores(query, key, scaling, tied), None
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        hidden = ~attention_mask
    elif attention_mask is not None:
        hidden = attention_mask <= torch.finfo(attention_mask.dtype).min / 2
        scores = scores + attention_mask.to(scores.dtype)
    weights = masked_softmax(scores, hidden)
    weights = nn.functional.dropout(weights, p=dropout)
    output = in_full_precision(torch.matmul, weights, value).to(value.dtype)
    return output.transpose(1, 2).contiguous(), weights.to(value.dtype)


def euclidean_attention_without_weights(*states: Any, **options: Any) -> tuple[torch.Tensor, None]:
    """The same for `sdpa`, which returns no weights."""
    return euclidean_attention(*states, **options)[0], None


def euclidean_flex_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float,
    dropout: float = 0.0,
    tied: bool = False,
) -> tuple[torch.Tensor, None]:
    """The same through FlexAttention, which never holds all scores; `attention_mask` is its BlockMask or None.

    Raises:
        ValueError: there is dropout, which FlexAttention lacks.
    """
    from transformers.integrations.flex_attention import compile_friendly_flex_attention

    if dropout:
        raise ValueError(f"attention_probs_dropout_prob is {dropout}; allowed with flex_attention: 0")
    query_squares, key_squares = (states.float().square().sum(-1) for states in (query, key))

    def distance(score: torch.Tensor, row: Any, head: Any, q: Any, k: Any) -> torch.Tensor:
        square = query_squares[row, head, q] + key_squares[row, head, k] - 2 * score
        square = torch.where(q == k, 0, square) if tied else square
        return -scaling * square.clamp_min(SMALLEST_SQUARE).sqrt()

    width, dtype = value.shape[-1], value.dtype
    query, key, value = same_width(query, key, value.to(query.dtype))
    output = compile_friendly_flex_attention(
        query, key, value, score_mod=distance, block_mask=attention_mask, scale=1.0, training=query.requires_grad
    )
    return output[..., :width].to(dtype).transpose(1, 2).contiguous(), None


# Of flash kernels there is none for distances; the model says so, and transformers refuses to set one.
EUCLIDEAN_ATTENTION = {
    "eager": euclidean_attention,
    "sdpa": euclidean_attention_without_weights,
    "flex_attention": euclidean_flex_attention,
}
