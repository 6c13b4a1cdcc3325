# Copyright 2026 The hf_variants authors. MIT licence.
"""The results of one comparison, and the overview over several cells, as typed objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contract import SCHEMA, Contract, always
from ..records import (
    Answers,
    Classification,
    DataRecord,
    Floor,
    Interval,
    Metrics,
    NGramFloor,
    Pair,
    Receipt,
    Sample,
    Settings,
    Timing,
    Trial,
    WordVectors,
)

MASKED_LM, CAUSAL_LM, CLASSIFICATION = "masked_lm", "causal_lm", "text_classification"  # objectives


@dataclass(frozen=True, kw_only=True)
class Summary(Contract):
    """A value as a mean over seeds with its interval, which one seed does not have."""

    per_seed: Mapping[str, float] = field(default_factory=dict)
    mean: float
    ci95: Interval | None


@dataclass(frozen=True, kw_only=True)
class ArmMark(Contract):
    """The metric that arms are compared by, at one budget."""

    tokens: float
    mean: float
    ci95: Interval | None


@dataclass(frozen=True, kw_only=True)
class Curve(Contract):
    """The loss before decay over the seeds of an arm, at the tokens that every seed has."""

    quantity: str
    band: str = ""
    tokens: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class GrowthStage(Contract):
    """One growth of an arm over the seeds that took it; sizes and receipt are those of the first seed."""

    stage: int
    seeds: int
    operation: str
    tokens: float
    tokens_range: tuple[int, int]
    loss_before: float
    loss_after: float
    jump: float
    jump_ci95: Interval | None
    max_difference: float | None
    parameters: int | None
    trainable_parameters: int | None
    flops_per_token: Any
    receipt: Receipt


@dataclass(frozen=True, kw_only=True)
class LayerGradients(Contract):
    """Gradient norms by layer, at the tokens that every seed has."""

    tokens: tuple[int, ...]
    norms: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class PooledCounts(Contract):
    """Exact answers over all seeds, with Wilson's interval."""

    questions: int
    correct: int
    seeds: int
    accuracy: float
    ci95: Interval


@dataclass(frozen=True, kw_only=True)
class Arm(Contract):
    """One arm over its seeds: costs are means, `metrics` by split and name; what it wrote is that of the best seed.

    `unsteady` is there where the machine was busy in the quiet run; `quiet_seconds` are those of the whole training at
    that run's speed.
    """

    description: str = always("")
    model_type: str
    config: Settings | None = None
    parameters: int
    trainable_parameters: int
    flops_per_token: float
    tokens: float
    steps: float
    flops: float
    seconds: float
    tokens_per_second: float | None
    speed_source: str
    train_step_ms: float | None
    train_step_ms_quartiles: Interval | None
    inference_ms: float | None
    inference_batch: Any
    peak_memory_mb: float | None
    unsteady: float | None = None
    quiet_seconds: float | None
    metrics: Mapping[str, Mapping[str, Summary]]
    best_seed: int
    hyperparameters: Settings
    curve: Curve
    marks: tuple[ArmMark, ...]
    stages: tuple[GrowthStage, ...] = ()
    layer_gradients: LayerGradients | None = None
    samples: tuple[Sample, ...] = ()
    answers: Answers | None = None
    remarks: tuple[str, ...] = ()
    classification: Classification | None = None
    word_vectors: WordVectors | None = None
    answers_by_equations: Mapping[str, PooledCounts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MarkCost(Contract):
    """What a mark that was compared cost, as a mean over seeds, in the unit of its view."""

    tokens: int
    cost: float


@dataclass(frozen=True, kw_only=True)
class Test(Contract):
    """`arm - against` in a view at a budget: the paired difference over seeds, and what it is worth.

    `ci95` and `p` are None where the seeds cannot support them. By arm: `tokens` that the budget paid for, the `marks`
    it was read from, `parameters`. `caveat` says what speaks against a verdict.
    """

    __test__ = False  # pytest would collect it

    view: str
    arm: str
    against: str
    budget: float
    difference: float
    ci95: Interval | None
    p: float | None
    seeds: int
    tokens: Mapping[str, int] | None = None
    interpolated: tuple[str, ...] | None = None
    marks: Mapping[str, tuple[MarkCost, ...]] | None = None
    difference_at_next_mark: float | None = None
    caveat: str = ""
    parameters: Mapping[str, int] | None = None
    p_holm: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Omitted(Contract):
    """A pair of arms that a view leaves out, and why."""

    view: str
    arm: str
    against: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reach(Contract):
    """Where a run's marks meet a target: exactly, not later than its first mark, or nowhere within its budget.

    `gap` is that of the mark that comes closest, in the metric's unit; 0 where the target is met.
    """

    outcome: str
    cost: float | None
    gap: float


@dataclass(frozen=True, kw_only=True)
class Speedup(Contract):
    """What the baseline's whole training costs over what an arm needs to reach the same result, a mean over seeds."""

    arm: str
    against: str
    cost: str
    seeds: int
    target: float
    baseline_cost: float
    share_spent: float
    outcome: str
    seeds_not_reached: int
    gap: float
    speedup: float | None
    ci95: Interval | None
    p: float | None
    cost_reached: float | None
    per_seed: Mapping[str, Reach]
    p_holm: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class NoSpeedup(Contract):
    """Why there is no speed-up of an arm by a cost."""

    arm: str
    against: str
    cost: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MissingRun(Contract):
    """A run that is not finished yet."""

    arm: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Head(Contract):
    """What arms are compared by: the metric, on a split, over seeds, at budgets counted in `budget_unit`."""

    schema: int = always(SCHEMA)
    name: str
    question: str
    command: str
    baseline: str
    metric: str
    objective: str
    unit: str
    lower_is_better: bool
    split: str
    budget_unit: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Results(Head):
    """Everything that is known about one comparison: results.json."""

    arms: Mapping[str, Arm]
    views: Mapping[str, tuple[Test, ...]]
    views_omitted: Mapping[str, tuple[Omitted, ...]]
    speedups: tuple[Speedup | NoSpeedup, ...] = ()
    missing: tuple[MissingRun, ...]
    tuning: Mapping[str, tuple[Trial, ...]] | None
    tuned_in: str | None = None
    floor: Floor | None = None
    ngrams: NGramFloor | None = None
    pairs: tuple[Pair, ...] = ()
    data: DataRecord
    reading: Mapping[str, Settings | None] | None = None  # how labelled data was read
    environment: Settings
    timing: Timing | None
    verdicts: tuple[str, ...]
    verdict: str

    @property
    def tests(self) -> tuple[Test, ...]:
        """The tests of all views."""
        return tuple(test for tests in self.views.values() for test in tests)

    def summary(self, arm: str, metric: str | None = None) -> Summary | None:
        """A metric of an arm on the split that arms are compared on, by default the one that they are compared by."""
        return self.arms[arm].metrics.get(self.split, {}).get(metric or self.metric)


# ---- several cells -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CellArm(Contract):
    """An arm of a cell; ratios are multiples of the baseline's speed."""

    parameters: int
    tokens: float
    flops: float
    flops_per_token: float
    tokens_per_second: float | None
    speed_source: str
    train_step_ms: float | None
    inference_ms: float | None
    inference_batch: Any
    peak_memory_mb: float | None
    unsteady: float | None = None
    metrics: Mapping[str, Summary]
    training_speed_ratio: float | None
    inference_speed_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class DataName(Contract):
    """Which data a cell has."""

    name: str
    fingerprint: str | None


@dataclass(frozen=True, kw_only=True)
class Cell(Contract):
    """One cell of a comparison, with its tests corrected over all cells."""

    metric: str
    unit: str
    split: str
    lower_is_better: bool
    baseline: str
    objective: str
    seeds: tuple[int, ...]
    budget_unit: str
    description: str = always("")
    block_size: int
    data: DataName
    results: str
    arms: Mapping[str, CellArm]
    floor: Metrics | None = None
    ngrams: NGramFloor | None = None
    tests: tuple[Test, ...]
    omitted: tuple[Omitted, ...]
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Overview(Contract):
    """Several cells of one comparison: results.json over them. `missing` are the names of runs by cell."""

    schema: int = always(SCHEMA)
    name: str
    question: str
    command: str
    tests_corrected: int
    several_block_sizes: bool
    cells: Mapping[str, Cell]
    missing: Mapping[str, tuple[str, ...]]
    verdict: str


def read_results(content: Any, where: str = "") -> Results | Overview:
    """What a results.json holds: one comparison, or several cells. Raises InputError."""
    is_overview = isinstance(content, Mapping) and "cells" in content
    return (Overview if is_overview else Results).from_json(content, where)
