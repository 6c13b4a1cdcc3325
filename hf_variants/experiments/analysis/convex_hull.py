# Copyright 2026 The hf_variants authors. MIT licence.
"""The convex-hull argument for other similarities than the dot product, counted.

A query's largest dot product over a set of keys is always reached at a corner of their convex hull: a key inside can
never be the one that is attended to most, whatever the query. Distances and angles have no such blind spot. Here a
key is put at a random place within the hull of four others, and it is counted how many random queries choose it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...bert.attention_similarity_bert import naive_scores
from ..figures.plots import INK, PALETTE, figure_legend, new_figure, save_figure

SIMILARITIES = ("dot_product", "cosine", "gaussian", "euclidean")
SIZES = (2, 4, 8, 16, 32, 64)
OUTER = 4
QUERIES = 100  # for each set of keys
PICTURE = 400  # pixels of a side of the map
_SHOWN = {"dot_product": "dot product", "cosine": "cosine", "euclidean": "distance (gaussian, euclidean)"}


def random_keys(draws: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return `(draws, 5, size)`: four normal keys, and last one that is their mean with random weights."""
    outer = torch.randn(draws, OUTER, size, generator=generator, dtype=torch.float64)
    shares = -torch.rand(draws, 1, OUTER, generator=generator, dtype=torch.float64).log()  # a flat Dirichlet
    return torch.cat([outer, shares / shares.sum(-1, keepdim=True) @ outer], dim=1)


def chosen(similarity: str, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Return which of the queries `(draws, queries, size)` have their largest score at the last key."""
    scores = naive_scores(similarity, queries[:, None], keys[:, None], 1.0)[:, 0]
    return scores.argmax(-1) == keys.shape[1] - 1


def count_inner_choices(sizes: Sequence[int] = SIZES, queries: int = 20_000, seed: int = 0) -> dict[str, Any]:
    """Count the queries that choose the inner key, by size of the vectors and similarity.

    Returns:
        The settings, and under `counts` a row for each size: `{"size": 2, "dot_product": 0, "cosine": …}`.
    """
    rows = []
    for size in sizes:
        generator = torch.Generator().manual_seed(seed)
        keys = random_keys(queries // QUERIES, size, generator)
        asked = torch.randn(len(keys), QUERIES, size, generator=generator, dtype=torch.float64)
        rows.append({"size": size} | {name: int(chosen(name, asked, keys).sum()) for name in SIMILARITIES})
    return {"queries": queries // QUERIES * QUERIES, "outer_keys": OUTER, "seed": seed, "counts": rows}


def plot_convex_hull(found: Mapping[str, Any], path: str | Path) -> Path:
    """In the plane, which key each query chooses, by similarity; and the shares over the size of the vectors."""
    figure = new_figure(len(_SHOWN) + 1, width=3.4)
    *maps, lines = figure.subplots(1, len(_SHOWN) + 1)
    keys = torch.tensor([[1.6, 0.9], [-1.2, 1.4], [-1.0, -1.3], [1.3, -1.2], [0.5, 0.3]], dtype=torch.float64)
    side = torch.linspace(-2.2, 2.2, PICTURE, dtype=torch.float64)
    queries = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).view(1, -1, 2)
    for axis, (name, title) in zip(maps, _SHOWN.items(), strict=True):
        inner = chosen(name, queries, keys[None]).view(PICTURE, PICTURE)
        axis.contourf(side, side, inner.float(), levels=[0.5, 1.5], colors=[PALETTE[4]], alpha=0.6)
        axis.fill(*keys[:OUTER].T, fill=False, edgecolor="#999999", linestyle="--")
        axis.plot(*keys[:OUTER].T, "o", color=PALETTE[0])
        axis.plot(*keys[OUTER:].T, "s", color=PALETTE[1])
        axis.set_title(title, fontsize=9)
        axis.set_aspect("equal")
        axis.set_xlabel("query, first feature")
    maps[0].set_ylabel("second feature")
    for color, (name, title) in zip(PALETTE, _SHOWN.items(), strict=False):
        shares = [row[name] / found["queries"] for row in found["counts"]]
        lines.plot([row["size"] for row in found["counts"]], shares, marker="o", color=color, label=title)
    lines.set_xscale("log", base=2)
    lines.set_xlabel("size of queries and keys")
    lines.set_ylabel("share of queries")
    lines.set_title(f"random keys, {found['queries']:,} queries", fontsize=9)
    figure_legend(figure, lines)
    caption = (
        "Circles: keys on the hull; square: the key within. Shaded, and on the right: queries that choose that one."
    )
    figure.supxlabel(caption, fontsize=8, color=INK)
    return save_figure(figure, path)
