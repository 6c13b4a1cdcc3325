# Copyright 2026 The hf_variants authors. MIT licence.
"""The sentences that the views of a comparison justify."""

from collections.abc import Mapping
from typing import Any

from . import significance
from .views import as_paired
from .wording import describe_budget


def verdict_sentences(results: Mapping[str, Any]) -> list[str]:
    """Per arm: the largest equal-token budget, then equal training time and FLOPs, then parameter-matched pairs."""
    views, sentences = results["views"], []
    for arm in results["arms"]:
        rows = [row for row in views["equal_tokens"] if row["arm"] == arm]
        sentences += [_sentence(results, "equal_tokens", row) for row in rows[-1:]]
        for view in ("equal_time", "equal_flops"):
            sentences += [_sentence(results, view, row) for row in views[view] if row["arm"] == arm]
    baseline = results["baseline"]
    pairs = [row for row in views["parameter_matched"] if baseline not in (row["arm"], row["against"])]
    return sentences + [_sentence(results, "parameter_matched", row) for row in pairs]


def short_verdict(results: Mapping[str, Any]) -> str:
    """The equal-token sentences, and those of any other view that comes to another conclusion for the same arms."""
    views, chosen = results["views"], []
    for arm in results["arms"]:
        rows = [row for row in views["equal_tokens"] if row["arm"] == arm]
        chosen += [_sentence(results, "equal_tokens", row) for row in rows[-1:]]
        others = [(view, row) for view in ("equal_time", "equal_flops") for row in views[view] if row["arm"] == arm]
        chosen += [_sentence(results, v, row) for v, row in others if rows and row["verdict"] != rows[-1]["verdict"]]
    return " ".join(chosen) or "Nothing to compare yet: no other arm has a finished run."


def _sentence(results: Mapping[str, Any], view: str, row: Mapping[str, Any]) -> str:
    where = f"at {describe_budget(view, row['budget'], results.get('budget_unit', 'tokens'))} on {results['split']}"
    unit = {"loss": "nats"}.get(results["metric"], results["metric"])
    lower, caveat = results["lower_is_better"], row.get("caveat")
    return significance.verdict_sentence(
        row["arm"], row["against"], as_paired(row), where, row["p_holm"], unit, lower, caveat
    )
