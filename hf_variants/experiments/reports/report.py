# Copyright 2026 The hf_variants authors. MIT licence.
"""What a reader sees of `results.json`: the report, and the table in the terminal.

Everything is rendered from the results; no number is typed in by hand, and what is unknown is left out or a dash.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ..figures.plots import COST_QUALITY, LOSS_CURVES
from ..records import DataRecord, NGramFloor, Settings, Timing, Trial
from ..results import costs as classification_costs
from ..results.arms import QUIET_RUN
from ..results.contracts import CAUSAL_LM, CLASSIFICATION, Arm, MarkCost, Results, Test
from ..results.ngrams import NAMES as NGRAM_NAMES
from ..results.views import NEAR_MARK, VIEWS
from ..results.wording import (
    FLOOR_ARM,
    OWN_BUDGET,
    describe_budget,
    format_p,
    interval_text,
    short_count,
    summary_text,
    unsteady_note,
    verdict_text,
)
from ..tables import (
    DASH,
    aligned_table,
    flatten,
    markdown_table,
    number,
    plain_table,
    present_columns,
    value_text,
)
from . import classification as classification_sections
from . import growth as growth_report
from .samples import SAMPLES, has_written

_VIEW_TITLES = {
    "equal_tokens": "At equal tokens",
    "equal_time": "At equal training time",
    "equal_flops": "At equal training FLOPs",
    "parameter_matched": "At equal parameters (within 2 %)",
}
_INTERPOLATION_NOTE = (
    "Read from the same runs, linear in log(cost) between compared budgets (marks), at the largest cost that both "
    f"arms reach, or up to half of it where from there a next mark is more than {NEAR_MARK:g} times away. "
    "A verdict against an interpolated arm has to hold against its next mark too. "
    "Uncertainty of the timing itself is not in the intervals."
)
RULE = (
    "One is called detected where its 95 % interval excludes zero, Holm's p is below 0.05, and no caveat speaks "
    "against it; where none is, arms may still differ by what the interval holds."
)
# What is shown beside the metric that arms are compared by.
_ALSO_SHOWN = {
    CAUSAL_LM: ("loss", "bits_per_byte", "perplexity", "accuracy", "exact_match"),
    CLASSIFICATION: (
        *("average_precision", "average_precision_macro", "roc_auc", "roc_auc_macro", "accuracy", "f1_tuned"),
        *("f1_macro", "f1_macro_tuned", "matthews", "pearson", "spearman", "loss", "calibration_error"),
    ),
}


# ---------------------------------------------------------------- tables


def arms_table(results: Results, highlight: str | None = None) -> str:
    batches = {_shape(row.inference_batch) for row in results.arms.values() if row.inference_batch}
    metrics = _shown_metrics(results)
    columns = ["arm", "parameters", "tokens", *(_metric_title(results, metric) for metric in metrics)]
    shape = f", batch {min(batches)}" if len(batches) == 1 else ""
    columns += ["tokens/s", "training step (ms)", f"inference (ms{shape})"]
    rows = [
        [
            f"**{arm}**" if arm == highlight else arm,
            *(number(row.parameters), number(row.tokens, 0)),
            *(summary_text(results.summary(arm, metric)) for metric in metrics),
            *(number(row.tokens_per_second, 0), number(row.train_step_ms, 1)),
            number(row.inference_ms, 1) + _batch_note(row, batches),
            number(row.peak_memory_mb, 0),
        ]
        for arm, row in results.arms.items()
    ]
    rows += _floor_rows(results, ["", "", *metrics, "", "", "", ""])
    return markdown_table(*present_columns([*columns, "peak memory (MiB)"], rows))


def _floor_rows(results: Results, columns: Sequence[str]) -> list[list[str]]:
    """The floor's row below the arms, if there is one: the metrics that it has, one fit and hence without interval."""
    if results.floor is None:
        return []
    found = results.floor.metrics.get(results.split, {})
    return [[FLOOR_ARM, *(number(found.get(name), 3) for name in columns)]]


def _shown_metrics(results: Results) -> list[str]:
    """The metric that arms are compared by, and those beside it."""
    metric = results.metric
    also = _ALSO_SHOWN.get(results.objective, ("accuracy" if metric != "accuracy" else "loss",))
    return [metric, *(name for name in also if name != metric)]


def _metric_title(results: Results, metric: str) -> str:
    title = metric.replace("_", " ")
    if metric == results.metric:
        title = f"{results.split} {title}"
        title += f" ({results.unit})" if results.objective == CAUSAL_LM and metric == "loss" else ""
    return f"{title} ± 95 % CI"


def _batch_note(row: Arm, batches: set[str]) -> str:
    """What an arm's inference was timed on, where arms were timed on batches of different shapes."""
    return f" ({_shape(row.inference_batch)})" if len(batches) > 1 and row.inference_batch else ""


def _shape(batch: Any) -> str:
    return " x ".join(str(size) for size in batch) if isinstance(batch, (list, tuple)) else str(batch)


def _view_section(results: Results, view: str) -> str:
    rows = [_view_row(row, results.budget_unit) for row in results.views[view]]
    header = ["arm", "against", "budget", "difference", "95 % CI", "p", "Holm p", "seeds", "verdict"]
    title, unit = _VIEW_TITLES[view], results.budget_unit
    if view == "equal_tokens":
        title = f"At {describe_budget(view, 1, unit)}" if unit == OWN_BUDGET else title.replace("tokens", unit)
    parts = [f"### {title}"]
    parts += [markdown_table(header, rows)] if rows else []
    if rows and view in ("equal_time", "equal_flops"):
        parts += ["\n".join(_marks_note(row) for row in results.views[view]), _INTERPOLATION_NOTE]
    left_out = results.views_omitted[view]
    omitted = [f"* {row.arm} against {row.against}: left out, {row.reason}." for row in left_out]
    parts += ["\n".join(omitted)] if omitted else []
    parts += classification_costs.cost_section(results) if view == "equal_time" else []
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "No pair of arms to compare."])


def _view_row(row: Test, unit: str) -> list[str]:
    budget = describe_budget(row.view, row.budget, unit).removesuffix(" and matched parameters")
    if row.tokens is not None:
        had = ", ".join(f"{arm} {tokens:,}" for arm, tokens in row.tokens.items())
        budget += f" (tokens: {had})"
    p_values = (format_p(row.p), format_p(row.p_holm))
    evidence = [f"{row.difference:+.3f}", interval_text(row.ci95), *p_values, str(row.seeds)]
    return [row.arm, row.against, budget, *evidence, verdict_text(row)]


def _marks_note(row: Test) -> str:
    """Which marks of each arm were compared, and how far apart they are."""
    return f"* {row.arm} against {row.against}: " + "; ".join(
        f"{arm} {_marks_of(row.view, marks)}" for arm, marks in row.marks.items()
    )


def _marks_of(view: str, marks: Sequence[MarkCost]) -> str:
    costs = [describe_budget(view, m.cost).removesuffix(" of training") for m in marks]
    words = [f"{short_count(m.tokens)} tokens ({cost})" for m, cost in zip(marks, costs, strict=True)]
    if len(marks) == 1:
        return f"at its mark of {words[0]}"
    apart = marks[1].cost / marks[0].cost
    return f"between its marks of {words[0]} and {words[1]}, {apart:.2f} times apart"


def _tuning_table(tuning: Mapping[str, Sequence[Trial]]) -> str:
    """A row per trial; where trials are not chosen by their loss, what they are chosen by stands beside it."""
    every = [(arm, trial, trial.selection) for arm, trials in tuning.items() for trial in trials]
    metrics = list(dict.fromkeys(found.metric for *_, found in every if found and found.metric != "loss"))
    rows = [
        [arm, number(trial.trial), _settings(trial.settings), number(trial.tokens, 0),
         "diverged" if trial.validation_loss is None else f"{trial.validation_loss:.4f}",
         *(number(found.value, 4) if found and found.metric == metric else DASH for metric in metrics),
         "yes" if trial.chosen else ""]
        for arm, trial, found in every
    ]  # fmt: skip
    names = [f"validation {metric.replace('_', ' ')}" for metric in metrics]
    return markdown_table(["arm", "trial", "settings", "tokens", "validation loss", *names, "chosen"], rows)


def _settings(settings: Settings) -> str:
    return ", ".join(f"{key} = {value_text(value)}" for key, value in flatten(settings).items()) or "as in the recipe"


def data_table(data: DataRecord) -> str:
    rows = [["data set", number(data.name)], ["licence", data.license or "not stated"]]
    rows += [["Hub id", f"`{data.hub_id}`"]] if data.hub_id else []
    rows += [["language", data.language]] if data.language else []
    rows += [["fingerprint", f"`{data.fingerprint}`"]]
    for split, size in data.splits.items():
        rows.append([split, ", ".join(_size(unit, count) for unit, count in size.items() if count is not None)])
    if data.unigram_entropy is not None:
        rows.append(["unigram entropy", f"{data.unigram_entropy:.3f} nats per token"])
    return plain_table("data", rows)


def ngram_note(floor: NGramFloor) -> str:
    """What the n-gram table holds."""
    sides = "the hidden tokens, seen from both sides" if floor.sides == 2 else "the tokens that models are scored on"
    return (
        "Interpolated Kneser-Ney models, counted on the tokens that a run reads and on all of train. Mean loss in "
        f"nats of {sides}, {number(floor.predicted)} of {floor.split}."
    )


def ngram_table(floor: NGramFloor) -> str:
    """A row for each text that was counted, a column for each order."""
    rows = [["the tokens of a run", number(floor.tokens_seen), *(f"{loss:.3f}" for loss in floor.seen)]]
    if floor.whole is not None:
        rows.append(["all of train", number(floor.tokens_whole), *(f"{loss:.3f}" for loss in floor.whole)])
    return markdown_table(["counted on", "tokens", *NGRAM_NAMES[: len(floor.seen)]], rows)


def _size(unit: str, value: Any) -> str:
    """A split's size in one unit, or what its labels are."""
    if unit == "label_shares":
        return f"labels ({', '.join(f'{name}: {100 * share:.1f} %' for name, share in value.items())})"
    if unit == "label_range":
        return f"labels from {value[0]:g} to {value[1]:g}"
    if unit == "evaluated":
        return f"evaluated: {value}"
    return f"unlabelled ({value})" if unit == "why_unlabelled" else f"{number(value)} {unit.replace('_', ' ')}"


def environment_table(results: Results) -> str:
    timed, ran = results.timing or Timing(arms={}), results.environment
    timing = {"rounds": timed.rounds, "load_average": timed.load_average}
    timing |= {key: value for key, value in timed.environment.items() if ran.get(key) != value}
    rows = flatten({**ran, **{f"timing {key}": value for key, value in timing.items()}}).items()
    return plain_table("environment", [[key.replace("_", " "), value_text(value)] for key, value in rows])


def settings_table(settings: Settings) -> str:
    return plain_table("setting", [[key, value_text(value)] for key, value in flatten(settings).items()])


# ---------------------------------------------------------------- report and terminal


def report_markdown(results: Results) -> str:
    """report.md: question, verdict, arms, every view, tuning, data, environment; plots by their file names."""
    sections = [f"# {results.name}", results.question, "## Verdict"]
    sections += ["\n".join(f"* {sentence}" for sentence in results.verdicts) or results.verdict]
    sections += [_missing_note(results), "## Arms", arms_table(results), interval_note(results), _described(results)]
    sections += [_remarks(results), _samples_link(results)]
    sections += [f"![Loss curves]({LOSS_CURVES})", f"![Quality against cost]({COST_QUALITY})", "## Comparisons"]
    unit, better = results.unit, "lower" if results.lower_is_better else "higher"
    sections += [f"Differences are arm minus against, in {unit}, on {results.split}; {better} is better. {RULE}"]
    sections += [_view_section(results, view) for view in VIEWS] + growth_report.report_sections(results)
    sections += classification_sections.report_sections(results)
    if results.tuning:
        sections += ["## Tuning", "On validation only, every arm by itself.", _tuning_table(results.tuning)]
    if results.tuned_in:
        sections += ["## Tuning", f"None here; every arm has the settings chosen in cell {results.tuned_in}."]
    if results.ngrams is not None:
        sections += ["## N-gram floor", ngram_note(results.ngrams), ngram_table(results.ngrams)]
    sections += ["## Data", data_table(results.data), "## Environment", environment_table(results)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _missing_note(results: Results) -> str:
    missing = ", ".join(f"{run.arm} seed {run.seed}" for run in results.missing)
    return f"**Not finished yet, and not in any number here: {missing}.**" if missing else ""


def interval_note(results: Results) -> str:
    count, metric = len(results.seeds), results.metric
    seeds = f"{count} seeds" if count > 1 else "one seed"
    text = f"The {metric} is in {results.unit}, after the decay branch of the full budget, over {seeds}"
    if results.objective == CLASSIFICATION:
        text = f"The {with_unit(results).replace('_', ' ')} is that of the finished models, over {seeds}"
    text += "; ± is half the width of the 95 % t interval." if count > 1 else "; one seed gives no interval."
    doubt = unsteady_note({arm: row.unsteady for arm, row in results.arms.items()})
    return f"{text} {_speed_note(results.arms)} {doubt}".rstrip()


def _speed_note(arms: Mapping[str, Arm]) -> str:
    """Where speeds come from. What a quiet run cannot say of an arm (a frozen encoder's) was measured in training."""
    busy = [arm for arm, row in arms.items() if row.speed_source != QUIET_RUN]
    if not busy:
        return "Speed was measured in a separate quiet run."
    if all(row.inference_ms is None for row in arms.values()):
        return "Speed was measured during training, beside whatever else ran."
    during = f"the tokens/s of {', '.join(busy)} during training, beside whatever else ran"
    return f"Speed was measured in a separate quiet run, but {during}."


def with_unit(results: Results) -> str:
    """The metric that arms are compared by, with its unit where that is not the metric's own name."""
    metric, unit = results.metric, results.unit
    return metric if unit == metric else f"{metric} ({unit})"


def _described(results: Results) -> str:
    arms = results.arms.items()
    return "\n".join(f"* **{arm}**: {row.description}" for arm, row in arms if row.description)


def _remarks(results: Results) -> str:
    arms = results.arms.items()
    return "\n".join(f"* {arm}: {remark}" for arm, row in arms for remark in row.remarks)


def _samples_link(results: Results) -> str:
    return f"What the models wrote: [{SAMPLES}]({SAMPLES})." if has_written(results) else ""


def console_table(results: Results) -> str:
    """Arms with parameters, loss ± CI and tokens/s as aligned plain text, what they cost, and the verdict below."""
    header = ["arm", "parameters", f"{results.split} {results.metric} ± 95 % CI", "tokens/s"]
    rows = [
        [arm, number(row.parameters), summary_text(results.summary(arm)),
         number(row.tokens_per_second, 0)]
        for arm, row in results.arms.items()
    ]  # fmt: skip
    rows += _floor_rows(results, ["", results.metric, ""])
    costs = classification_costs.cost_table(results)
    tables = [aligned_table(header, rows)] + ([aligned_table(*costs)] if costs else [])
    return "\n\n".join([*tables, textwrap.fill(results.verdict, 100)])
