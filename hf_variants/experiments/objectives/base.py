# Copyright 2026 The hf_variants authors. MIT licence.
"""What all objectives share."""

from typing import Any

from ..checking import InputError


def selected(metric: str, values: dict[str, float], objective: Any) -> float:
    """The value of `values` that models are chosen by, or the worst there is where this model has none of it.

    Raises InputError where the objective has no such metric.
    """
    known = getattr(objective, "undefined", {}) | values
    if metric not in known:
        raise InputError(f"objective.selection_metric: '{metric}'; allowed: {', '.join(known)}")
    return known[metric]


IGNORED = -100
