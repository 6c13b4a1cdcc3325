# Copyright 2026 The hf_variants authors. MIT licence.
"""What the training of classifiers cost, beside their scores, where they cannot be compared at equal time.

A run that may stop early is evaluated once, at its end. Two arms whose ends cost differently then have no cost in
common to be compared at; what there is to say is how much each one took and what it got for that.
"""

from ..tables import DASH, markdown_table, number, present_columns
from .contracts import Arm, Results
from .wording import summary_text

_NOTE = (
    "In place of a verdict, what all of an arm's training took, a mean over its seeds, beside its score. At quiet "
    "speed: the tokens it read times the seconds per token of the separate quiet run. As the runs took: the time of "
    "their optimizer steps, beside whatever else ran on the machine, and of reading the examples once with a frozen "
    "encoder. Evaluation is in neither."
)


def pairs_without_cost(results: Results) -> list[tuple[str, str]]:
    """The pairs of classifiers that are left out at equal time."""
    if results.budget_unit == "tokens":  # marks at several budgets are what overlaps
        return []
    return [(row.arm, row.against) for row in results.views_omitted["equal_time"]]


def cost_section(results: Results) -> list[str]:
    """The same as a table over all arms, in paragraphs of Markdown; none where nothing is left out."""
    table = cost_table(results)
    return [_NOTE, markdown_table(*table)] if table else []


def cost_table(results: Results) -> tuple[list[str], list[list[str]]] | None:
    """Header and rows: seconds of both kinds, their ratios to the baseline's, and the score."""
    if not pairs_without_cost(results):
        return None
    arms, baseline = results.arms, results.arms[results.baseline]
    times = f"times {results.baseline}"
    header = ["arm", "training (s), at quiet speed", times, "training (s), as the runs took", times]
    header += [f"{results.split} {results.metric.replace('_', ' ')} ± 95 % CI"]
    rows = [
        [arm, *_cost(row.quiet_seconds, baseline.quiet_seconds), *_cost(row.seconds, baseline.seconds),
         summary_text(results.summary(arm))]
        for arm, row in arms.items()
    ]  # fmt: skip
    return present_columns(header, rows)


def _cost(seconds: float | None, reference: float | None) -> tuple[str, str]:
    return seconds_text(seconds), ratio_of(seconds, reference)


def ratio_of(value: float | None, reference: float | None) -> str:
    """How many times the reference, a dash where one is unknown."""
    return f"{value / reference:.2f}" if value is not None and reference else DASH


def seconds_text(seconds: float | None) -> str:
    """Seconds, the fewer the more digits."""
    if seconds is None:
        return DASH
    return f"{seconds:.2g}" if seconds < 10 else number(seconds, 1 if seconds < 100 else 0)


def seconds_of_both(first: Arm, second: Arm) -> tuple[float, float, bool]:
    """What the training of two arms took: at the quiet run's speed, which the last value says, or as the runs took."""
    if first.quiet_seconds is None or second.quiet_seconds is None:
        return first.seconds, second.seconds, False
    return first.quiet_seconds, second.quiet_seconds, True
