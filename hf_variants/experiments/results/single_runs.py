# Copyright 2026 The hf_variants authors. MIT licence.
"""What one run would have said, beside what all seeds say: differences in loss at equal tokens, seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from .contracts import Cell, Results
from .significance import BETTER, NO_DIFFERENCE, WORSE
from .verdicts import challengers, main_test


@dataclass(frozen=True)
class SeededDifference:
    """An arm minus its baseline on test, at equal tokens and the full budget, in nats."""

    where: str  # the comparison, or comparison/cell
    arm: str
    against: str
    runs: tuple[float, ...]  # one per seed
    mean: float
    interval: tuple[float, float]
    verdict: str

    @property
    def is_detected(self) -> bool:
        """Whether interval and corrected p-value allow a verdict."""
        return self.verdict != NO_DIFFERENCE

    @property
    def runs_disagree(self) -> bool:
        """Whether one run has the arm ahead, and another the baseline."""
        return min(self.runs) < 0 < max(self.runs)


def seeded_differences(where: str, results: Results, cell: Cell | None = None) -> list[SeededDifference]:
    """One difference for every arm that has a verdict; none where arms are compared by another metric than the loss.

    `cell` has the tests of the overview over cells, whose p-values count there; by default the comparison's own count.
    """
    if results.metric != "loss":
        return []
    baseline, found = results.baseline, []
    per_seed = {arm: row.metrics[results.split]["loss"].per_seed for arm, row in results.arms.items()}
    for arm in challengers(results):
        test = main_test(results if cell is None else cell, "equal_tokens", arm)
        if test is not None and test.verdict in (BETTER, WORSE, NO_DIFFERENCE):
            runs = tuple(per_seed[arm][seed] - per_seed[baseline][seed] for seed in per_seed[arm])
            found.append(SeededDifference(where, arm, baseline, runs, test.difference, test.ci95, test.verdict))
    return found


def worth_of_seeds(differences: Sequence[SeededDifference]) -> str:
    """What several seeds are worth, in words, over all differences. Raises ValueError where there are none."""
    if not differences:
        raise ValueError("no difference over several seeds")
    seeds = sorted({len(difference.runs) for difference in differences})
    between = " or ".join(map(str, seeds))
    open_ = [difference for difference in differences if not difference.is_detected]
    disagree = [difference for difference in open_ if difference.runs_disagree]
    detected = len(differences) - len(open_)
    text = f"Of {len(differences)} differences in loss at equal tokens, measured here over {between} seeds each, "
    text += f"{detected} {'is' if detected == 1 else 'are'} detected. "
    text += f"In {len(disagree)} of the {len(open_)} others the runs do not even agree on which arm is ahead"
    if open_:
        largest = max(abs(run) for difference in open_ for run in difference.runs)
        text += f"; single runs there differ by up to {largest:.2f} nats"
    return text + "."
