# Copyright 2026 The hf_variants authors. MIT licence.
"""The results of a benchmark as a table, for the terminal and in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..tables import aligned_table, markdown_table

MARK = "benchmark"  # of the table's part of a document
SHOWN = ("date", "device", "threads", "torch", "transformers", "commit", "load_average")
HEADER = (
    *("case", "ours / reference", "ours", "reference", "rounds"),
    *("ratio", "interval", "speed-up", "target", "verdict"),
)


def row(result: dict[str, Any]) -> tuple[str, ...]:
    """One measured case as the cells of the table; the speed-up is 1 / ratio."""
    names = f"{result['ours']['name']} / {result['reference']['name']}"
    unit = result["unit"]
    keys = (f"median_{unit.lower()}", f"quartiles_{unit.lower()}")
    sides = [with_quartiles(*(result[side][key] for key in keys)) + f" {unit}" for side in ("ours", "reference")]
    low, high = result["ratio_interval"]
    ratio = (f"{result['ratio']:.3f}", f"{low:.3f}–{high:.3f}", f"{1 / result['ratio']:.3g}x")
    target = "" if result["target"] is None else f"{result['target']:.2f}"
    return (result["name"], names, *sides, str(result["rounds"]), *ratio, target, result["verdict"] or "")


def with_quartiles(median: float, between: Sequence[float]) -> str:
    """`12.3 (11.9–12.8)`."""
    return f"{median:.1f} ({between[0]:.1f}–{between[1]:.1f})"


def table(results: Sequence[dict[str, Any]]) -> str:
    """All measured cases as aligned columns: medians with quartiles, the ratio, its target."""
    return aligned_table(HEADER, map(row, results), left=2)


def markdown(content: Mapping[str, Any]) -> str:
    """The results of a run as a GitHub table, with a line above it that says where they come from."""
    known = {name: content["environment"][name] for name in SHOWN if name in content["environment"]}
    about = ", ".join(f"{n} {round(v, 2) if isinstance(v, float) else v}" for n, v in known.items())
    lines = [f"Measured: {about}.", "", markdown_table(HEADER, map(row, content["cases"]))]
    lines += [f"\n{name}: the two sides can't be compared: {why}" for name, why in content["different"].items()]
    return "\n".join(lines)
