# Copyright 2026 The hf_variants authors. MIT licence.
"""What the training of classifiers cost, beside their scores, where they cannot be compared at equal time.

A run that may stop early is evaluated once, at its end. Two arms whose ends cost differently then have no cost in
common to be compared at; what there is to say is how much each one took and what it got for that.
"""

from collections.abc import Mapping
from typing import Any

from ..tables import DASH, markdown_table, number, present_columns, summary_text

QUIET, BUSY = "quiet_seconds", "seconds"  # of an arm in results.json
_WORDS = {
    QUIET: "at the speed of the quiet run",
    BUSY: "as the runs took beside whatever else ran",
}
_NOTE = (
    "In place of a verdict, what all of an arm's training took, a mean over its seeds, beside its score. At quiet "
    "speed: the tokens it read times the seconds per token of the separate quiet run. As the runs took: the time of "
    "their optimizer steps, beside whatever else ran on the machine, and of reading the examples once with a frozen "
    "encoder. Evaluation is in neither."
)


def _pairs(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The pairs of classifiers that are left out at equal time."""
    if results.get("budget_unit", "tokens") == "tokens":  # marks at several budgets are what overlaps
        return []
    return [(row["arm"], row["against"]) for row in results["views_omitted"]["equal_time"]]


def cost_sentences(results: Mapping[str, Any]) -> list[str]:
    """For every pair that is left out at equal time, a sentence with the ratio of what training took."""
    return [_sentence(results, arm, against) for arm, against in _pairs(results)]


def _sentence(results: Mapping[str, Any], arm: str, against: str) -> str:
    first, second = (results["arms"][name] for name in (arm, against))
    source = BUSY if None in (first.get(QUIET), second.get(QUIET)) else QUIET
    text = f"No verdict at equal training time between {arm} and {against}: training took "
    text += f"{_ratio(first, second, source)} times as long ({_number(first[source])} s against "
    scores = [_score(results, name) for name in (arm, against)]
    metric = f"{results['split']} {results['metric'].replace('_', ' ')}"
    return f"{text}{_number(second[source])} s, {_WORDS[source]}), for a {metric} of {' against '.join(scores)}."


def cost_section(results: Mapping[str, Any]) -> list[str]:
    """The same as a table over all arms, in paragraphs of Markdown; none where nothing is left out."""
    table = cost_table(results)
    return [_NOTE, markdown_table(*table)] if table else []


def cost_table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Header and rows: seconds of both kinds, their ratios to the baseline's, and the score."""
    if not _pairs(results):
        return None
    baseline = results["baseline"]
    metric = f"{results['split']} {results['metric'].replace('_', ' ')} ± 95 % CI"
    header, rows = ["arm"], [[arm] for arm in results["arms"]]
    for source, words in ((QUIET, "at quiet speed"), (BUSY, "as the runs took")):
        header += [f"training (s), {words}", f"times {baseline}"]
        for cells, row in zip(rows, results["arms"].values(), strict=True):
            cells += [_number(row.get(source)), _ratio(row, results["arms"][baseline], source)]
    for cells, arm in zip(rows, results["arms"], strict=True):
        cells.append(summary_text(_summary(results, arm)))
    return present_columns([*header, metric], rows)


def _ratio(row: Mapping[str, Any], other: Mapping[str, Any], source: str) -> str:
    value, reference = row.get(source), other.get(source)
    return f"{value / reference:.2f}" if value is not None and reference else DASH


def _number(seconds: float | None) -> str:
    if seconds is None:
        return DASH
    return f"{seconds:.2g}" if seconds < 10 else number(seconds, 1 if seconds < 100 else 0)


def _summary(results: Mapping[str, Any], arm: str) -> Mapping[str, Any]:
    return results["arms"][arm]["metrics"][results["split"]][results["metric"]]


def _score(results: Mapping[str, Any], arm: str) -> str:
    return f"{_summary(results, arm)['mean']:.3f}"
