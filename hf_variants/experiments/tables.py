# Copyright 2026 The hf_variants authors. MIT licence.
"""Numbers as text, and tables in Markdown and for the terminal. What is unknown is a dash."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DASH = "-"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A GitHub table: first column left, the others right; a bar within a cell is escaped."""
    align = [":--"] + ["--:"] * (len(header) - 1)
    lines = [list(header), align, *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: Any, digits: int | None = None) -> str:
    """A dash for what is unknown; thousands separated in integers."""
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if digits is not None:
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def duration(seconds: float | None) -> str:
    """Seconds as a reader wants them: `40 s`, `12 min`, `3.5 h`; a dash where they are unknown."""
    if seconds is None:
        return DASH
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def present_columns(header: Sequence[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows without the columns in which every cell is a dash."""
    kept = [i for i in range(len(header)) if any(row[i] != DASH for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def plain_table(title: str, rows: Iterable[Sequence[str]]) -> str:
    """A GitHub table of names and values, both to the left."""
    return markdown_table([title, "value"], rows).replace("| :-- | --: |", "| :-- | :-- |", 1)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}; what is unset (None, empty) is left out."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif value is not None and value != "" and value != []:
            flat[f"{prefix}{key}"] = value
    return flat


def value_text(value: Any) -> str:
    """A setting in short: lists with commas, floats without trailing zeros."""
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def aligned_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Plain text with aligned columns, the first `left` of them to the left."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    padded = [[f"{cell:{'<' if i < left else '>'}{widths[i]}}" for i, cell in enumerate(line)] for line in lines]
    return "\n".join("  ".join(line) for line in padded)
