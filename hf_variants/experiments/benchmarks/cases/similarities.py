# Copyright 2026 The hf_variants authors. MIT licence.
"""Benchmark cases of similarity_bert: each similarity against the dot product, in its fast and in its naive form."""

import functools
from typing import Any

import torch
from torch import nn

from ....bert.attention_similarity_bert import normalized
from ....bert.configuration_similarity_bert import SimilarityBertConfig
from ....bert.modeling_similarity_bert import SimilarityBertModel, SimilarityBertSelfAttention
from ...machine.timing import in_new_process, peak_memory_mb
from ..suite import (
    DEVICE,
    DifferentError,
    Sides,
    assert_same,
    case,
    forward_backward,
    random_batch,
    trained,
    with_method,
)

LENGTH = 512
MEMORY_LENGTH = 2048


def similarity_model(similarity: str, hidden_size: int, layers: int, length: int = LENGTH) -> SimilarityBertModel:
    """An encoder without head, with heads of 64. On a CPU, SDPA has its fast kernel only without attention dropout."""
    config = SimilarityBertConfig(
        attention_similarity=similarity,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 64,
        intermediate_size=4 * hidden_size,
        vocab_size=1000,
        max_position_embeddings=length,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
    return SimilarityBertModel(config, add_pooling_layer=False).to(DEVICE)


def naive_scores(similarity: str, query: torch.Tensor, key: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """The scores of all pairs, as one writes them with what PyTorch has, `(batch, heads, queries, keys)`.

    The definition of `attention_similarity_bert.py` holds all differences of vectors: no memory is enough for that.
    """
    if similarity == "cosine":
        return scale * normalized(query) @ normalized(key).transpose(-1, -2)
    if similarity == "dot_product":
        return scale * query @ key.transpose(-1, -2)
    distances = torch.cdist(query, key)
    return -scale * (distances.square() / 2 if similarity == "gaussian" else distances)


def naive_forward(
    attention: SimilarityBertSelfAttention,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention that holds all scores; the shapes are those of `SimilarityBertSelfAttention.forward`."""
    query, key, value = attention.project(hidden_states)
    scale = attention.scaling if attention.scale() is None else attention.scale()
    scores = naive_scores(attention.similarity, query, key, scale)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = nn.functional.dropout(scores.softmax(-1), attention.dropout.p, attention.training)
    return (weights @ value).transpose(1, 2).reshape(hidden_states.shape), None


def naive_copy(model: SimilarityBertModel) -> SimilarityBertModel:
    """The same net with naive attention."""
    return with_method(model, SimilarityBertSelfAttention, "forward", naive_forward)


def similarity_sides(similarity: str, hidden_size: int, layers: int, naive: bool) -> Sides:
    """A similarity, fast or naive, and the dot product, on 8 sequences of 512 tokens."""
    model = similarity_model(similarity, hidden_size, layers)
    plain = naive_copy(model)
    reference = similarity_model("dot_product", hidden_size, layers)
    batch = random_batch(model.config, 8, LENGTH, padded=False)
    check = functools.partial(assert_same, model, plain, random_batch(model.config, 2, 128, padded=True))
    return Sides(check, trained(plain if naive else model, batch), trained(reference, batch))


def _register_speed() -> None:
    targets = {"cosine": (1.10, 1.20), "gaussian": (1.10, 1.20), "euclidean": (1.50, 2.00)}
    for similarity, target in targets.items():
        for (hidden_size, layers), allowed in zip(((768, 1), (256, 2)), target, strict=True):
            for naive in (False, True):
                kind = "naive_" if naive else ""
                name = f"{kind}{similarity}_hidden{hidden_size}"
                build = functools.partial(similarity_sides, similarity, hidden_size, layers, naive)
                case(name, f"{kind}{similarity}", "dot_product", target=None if naive else allowed)(build)


_register_speed()


# ---- memory --------------------------------------------------------------------------------------------------------


def step_memory(similarity: str, naive: bool = False) -> float:
    """The peak memory of a training step on one sequence of 2 048 tokens, in MiB, above that of the model.

    For a process of its own, where freed memory that could be used again does not hide a need.

    Raises:
        DifferentError: the system can't tell.
    """
    model = similarity_model(similarity, 256, 2, MEMORY_LENGTH).train()
    model = naive_copy(model) if naive else model
    forward_backward(model, random_batch(model.config, 1, 16, padded=False))
    model.zero_grad()
    batch = random_batch(model.config, 1, MEMORY_LENGTH, padded=False)
    peak = peak_memory_mb(lambda: forward_backward(model, batch))
    if peak is None:
        raise DifferentError("this system can't tell a peak of memory")
    return peak


def memory_sides(similarity: str, naive: bool) -> Sides:
    """A similarity, fast or naive, and the dot product; both sides return MiB. The check is that of the speed."""
    check = similarity_sides(similarity, 256, 1, naive).check
    measures = ((similarity, naive), ("dot_product", False))
    return Sides(check, *(functools.partial(in_new_process, step_memory, *arguments) for arguments in measures))


def _register_memory() -> None:
    for similarity, naive, target in (
        ("cosine", False, 1.20),
        ("gaussian", False, 1.20),
        ("gaussian", True, None),
    ):
        kind = "naive_" if naive else ""
        build = functools.partial(memory_sides, similarity, naive)
        case(f"memory_{kind}{similarity}_1x2048", f"{kind}{similarity}", "dot_product", target, unit="MiB")(build)


_register_memory()
