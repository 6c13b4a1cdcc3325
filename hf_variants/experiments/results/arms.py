# Copyright 2026 The hf_variants authors. MIT licence.
"""What the runs of one arm say together: means over seeds, its curve and marks, how it grew, what it wrote."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import binomtest

from ..records import ArmTiming, Counts, GrowthStep, Mark, Metrics, RecordedRecipe, RunRecord, Settings
from . import significance
from .contracts import Arm, ArmMark, Curve, GrowthStage, Head, LayerGradients, PooledCounts, Summary
from .views import BySeed, seconds_of_marks, unsteadiness

SPLITS = ("validation", "test")
QUIET_RUN, TRAINING_RUNS = "quiet run", "training runs"  # where a speed is from


def build_arm(description: str, by_seed: BySeed, head: Head, quiet: ArmTiming) -> Arm:
    """One arm of the results. Speed is that of the quiet run, or tokens/s of training itself, and it says so."""
    records = list(by_seed.values())
    first, last = records[0], [record.last for record in records]
    best = by_seed[str(_best_seed(by_seed, head))]
    seconds = seconds_of_marks(quiet)
    is_timed = quiet.tokens_per_second is not None
    return Arm(
        description=description,
        model_type=first.recipe.model.get("model_type") or first.model_type,
        config=first.config or None,
        parameters=first.parameters,
        trainable_parameters=first.trainable_parameters,
        flops_per_token=first.flops_per_token,
        tokens=mean(mark.tokens for mark in last),
        steps=mean(mark.steps for mark in last),
        flops=mean(mark.flops for mark in last),
        seconds=mean(record.seconds for record in records),
        tokens_per_second=quiet.tokens_per_second if is_timed else _tokens_per_second(last),
        speed_source=QUIET_RUN if is_timed else TRAINING_RUNS,
        train_step_ms=quiet.train_step_ms,
        train_step_ms_quartiles=quiet.train_step_ms_quartiles,
        inference_ms=quiet.inference_ms,
        inference_batch=quiet.inference_batch,
        peak_memory_mb=quiet.peak_memory_mb,
        unsteady=unsteadiness(quiet),
        quiet_seconds=None if seconds is None else mean(seconds(mark) for mark in last),
        metrics=_metrics(by_seed),
        best_seed=best.seed,
        hyperparameters=_hyperparameters(first.recipe),
        curve=_curve(records),
        marks=_marks(records, head),
        stages=_growth(records),
        layer_gradients=_layer_gradients(records),
        samples=best.samples,
        answers=best.answers,
        remarks=best.remarks,
        classification=best.classification,
        word_vectors=best.word_vectors,
        answers_by_equations=_answers_by_equations(records),
    )


def _tokens_per_second(last: Sequence[Mark]) -> float | None:
    seconds = sum(mark.seconds for mark in last)
    return sum(mark.tokens for mark in last) / seconds if seconds > 0 else None


def _metrics(by_seed: BySeed) -> dict[str, dict[str, Summary]]:
    found = {}
    for split in SPLITS:
        per_seed = {seed: numbers(record.last.metrics(split)) for seed, record in by_seed.items()}
        names = dict.fromkeys(name for values in per_seed.values() for name in values)
        having = {name: {s: values[name] for s, values in per_seed.items() if name in values} for name in names}
        if names:
            found[split] = {name: significance.summary_of(values) for name, values in having.items()}
    return found


def numbers(metrics: Metrics) -> dict[str, float]:
    """The metrics that are numbers."""
    return {name: float(v) for name, v in metrics.items() if isinstance(v, (int, float)) and v is not True}


def _best_seed(by_seed: BySeed, head: Head) -> int:
    """Chosen on validation, never on test; the first seed wins a tie."""
    sign = 1.0 if head.lower_is_better else -1.0
    return int(min(by_seed, key=lambda seed: sign * by_seed[seed].last.validation[head.metric]))


def _hyperparameters(recipe: RecordedRecipe) -> Settings:
    parts = {"model": recipe.model, "tokenizer": recipe.tokenizer, "objective": recipe.objective}
    parts["training"] = {name: value for name, value in recipe.training.items() if name != "seed"}
    stages = (recipe.growth or {}).get("stages") or ()
    parts["growth"] = {f"stage_{number}": stage for number, stage in enumerate(stages, 1)}
    return {name: part for name, part in parts.items() if part}


def _curve(records: Sequence[RunRecord]) -> Curve:
    """Mean and range over the seeds of the trunk's loss, at the steps that every seed has."""
    for quantity in ("validation_loss", "train_loss"):
        per_seed = [_points(record, quantity) for record in records]
        steps = sorted(set.intersection(*(set(points) for points in per_seed)))
        if len(steps) > 1 or quantity == "train_loss":
            break
    table = [[points[step][1] for points in per_seed] for step in steps]
    return Curve(
        quantity=quantity,
        band="range over seeds",
        tokens=tuple(mean(points[step][0] for points in per_seed) for step in steps),
        mean=tuple(float(np.mean(row)) for row in table),
        low=tuple(min(row) for row in table),
        high=tuple(max(row) for row in table),
    )


def _points(record: RunRecord, quantity: str) -> dict[int, tuple[int, float]]:
    """By step: tokens, which differ among seeds where examples differ in length, and the value."""
    is_validation = quantity == "validation_loss"
    every = {p.steps: (p.tokens, p.validation_loss if is_validation else p.train_loss) for p in record.curve}
    return {step: point for step, point in every.items() if point[1] is not None and math.isfinite(point[1])}


def _marks(records: Sequence[RunRecord], head: Head) -> tuple[ArmMark, ...]:
    """The final loss at each compared budget; budgets in seconds end at different tokens, whose mean is given."""
    marks = []
    for column in zip(*(record.marks for record in records), strict=False):
        found = [mark.metrics(head.split) for mark in column]
        values = [metrics[head.metric] for metrics in found if head.metric in metrics]
        if len(values) == len(column):
            average, ci95 = significance.mean_and_ci(values)
            marks.append(ArmMark(tokens=mean(mark.tokens for mark in column), mean=average, ci95=ci95))
    return tuple(marks)


# ---- what only some arms have --------------------------------------------------------------------------------------


def _growth(records: Sequence[RunRecord]) -> tuple[GrowthStage, ...]:
    """The growth steps of an arm, each over the seeds that took it; nothing for an arm that does not grow."""
    count = max(len(record.stages) for record in records)
    return tuple(_stage([record.stages[i] for record in records if i < len(record.stages)]) for i in range(count))


def _stage(steps: Sequence[GrowthStep]) -> GrowthStage:
    """One growth step over the seeds: means in nats and tokens; sizes and receipt are those of the first seed."""
    first, tokens = steps[0], [step.tokens for step in steps]
    jump, jump_ci95 = significance.mean_and_ci([step.loss_after - step.loss_before for step in steps])
    differences = [step.receipt.max_difference for step in steps if step.receipt.max_difference is not None]
    return GrowthStage(
        stage=first.stage,
        seeds=len(steps),
        operation=first.receipt.operation,
        tokens=mean(tokens),
        tokens_range=(min(tokens), max(tokens)),
        loss_before=mean(step.loss_before for step in steps),
        loss_after=mean(step.loss_after for step in steps),
        jump=jump,
        jump_ci95=jump_ci95,
        max_difference=max(differences, default=None),
        parameters=first.parameters,
        trainable_parameters=first.trainable_parameters,
        flops_per_token=first.flops_per_token,
        receipt=first.receipt,
    )


def _layer_gradients(records: Sequence[RunRecord]) -> LayerGradients | None:
    """Gradient norms per layer at the token counts that every seed has; a growing arm's rows get longer."""
    every = [{p.tokens: p.layer_grad_norms for p in record.curve if p.layer_grad_norms} for record in records]
    tokens = sorted(set.intersection(*(set(points) for points in every)))
    norms = tuple(_mean_by_layer([points[t] for points in every]) for t in tokens)
    return LayerGradients(tokens=tuple(tokens), norms=norms) if tokens else None


def _mean_by_layer(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean over seeds; the first seed's where one has grown and another has not."""
    alike = rows if len({len(row) for row in rows}) == 1 else rows[:1]
    return tuple(float(np.mean(column)) for column in zip(*alike, strict=True))


def _answers_by_equations(records: Sequence[RunRecord]) -> dict[str, PooledCounts]:
    """Right answers by the number of equations in the expected one, counts pooled over seeds.

    The interval is Wilson's for the pooled counts: it knows of chance among questions, not among seeds.
    """
    every = [record.answers.by_equations for record in records if record.answers is not None]
    lengths = sorted({int(length) for counts in every for length in counts})
    return {str(n): _pooled([counts[str(n)] for counts in every if str(n) in counts]) for n in lengths}


def _pooled(counts: Sequence[Counts]) -> PooledCounts:
    questions, correct = sum(count.questions for count in counts), sum(count.correct for count in counts)
    interval = binomtest(correct, questions).proportion_ci(significance.CONFIDENCE, method="wilson")
    return PooledCounts(
        questions=questions,
        correct=correct,
        seeds=len(counts),
        accuracy=mean(count.correct / count.questions for count in counts),
        ci95=(float(interval.low), float(interval.high)),
    )


def mean(values: Iterable[float]) -> float:
    """The mean; a whole number where all values and it are."""
    values = list(values)
    found = sum(values) / len(values)
    return int(found) if all(isinstance(v, int) for v in values) and found == int(found) else found
