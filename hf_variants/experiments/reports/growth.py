# Copyright 2026 The hf_variants authors. MIT licence.
"""What reports and cards say about growth: every growth step, the speed-up, gradients by layer, accuracy by length.

A section is there only where `results.json` holds what it shows.
"""

from collections.abc import Mapping, Sequence

from ..figures.growth import CAPTIONS, GROWTH, LAYER_GRADIENTS, arms_with_gradients, drawn_plots, growing_arms
from ..records import Receipt
from ..results.contracts import GrowthStage, LayerGradients, NoSpeedup, PooledCounts, Results, Speedup
from ..results.secondary import early_and_late, ratio_text
from ..results.speedup import AT_MOST, LATER, NOT_REACHED, REACHED, SOONER
from ..results.wording import format_p, short_count
from ..tables import DASH, markdown_table, number, present_columns

_COSTS = {"tokens": "tokens", "flops": "FLOPs", "seconds": "seconds"}
_GROWTH_NOTE = (
    "Loss is that on validation just before and just after the growth, before any decay; ± is half the 95 % interval "
    "of the jump. The probe difference is the largest change of an output on the same inputs, over all seeds. "
    "Parameters are those of the stage that begins, adapters included."
)
_MERGED_NOTE = " The published weights hold no adapters: they were merged."
_SPEED_NOTE = "In the table of arms, speed and training step of an arm that grows are those of its last stage."
_EQUATIONS_NOTE = (
    "Share of questions answered exactly, by the number of equations in the expected answer: the mean over seeds, and "
    "Wilson's 95 % interval of the counts of all seeds, which knows of chance among questions but not among seeds."
)


def report_sections(results: Results) -> list[str]:
    """All that a comparison's report says of growth, as paragraphs of Markdown; none where nothing grows."""
    makers = (_growth_section, _speedup_section, _gradient_section, _equations_section)
    return [paragraph for maker in makers for paragraph in maker(results)]


def card_sections(results: Results, arm: str) -> list[str]:
    """The growth steps of one arm, for its card."""
    if arm not in growing_arms(results):
        return []
    merged = any(stage.receipt.lora for stage in results.arms[arm].stages)
    return [growth_table(results, [arm]), _GROWTH_NOTE + (_MERGED_NOTE if merged else "")]


# ---- growth steps --------------------------------------------------------------------------------------------------


def _growth_section(results: Results) -> list[str]:
    arms = growing_arms(results)
    if not arms:
        return []
    return ["## Growth", *_plot(results, GROWTH), growth_table(results, arms), f"{_GROWTH_NOTE} {_SPEED_NOTE}"]


def growth_table(results: Results, arms: Sequence[str]) -> str:
    """A row per arm and stage: when it began, what was done, and what that changed."""
    header = ["arm", "stage", "tokens", "operation", "layers", "blocks", "parameters", "trainable",
              "loss before → after", "jump", "probe difference"]  # fmt: skip
    count = len(results.seeds)
    rows = [_growth_row(arm, stage, count) for arm in arms for stage in results.arms[arm].stages]
    return markdown_table(*present_columns(header, rows))


def _growth_row(arm: str, stage: GrowthStage, seeds: int) -> list[str]:
    receipt = stage.receipt
    which = str(stage.stage) + (f" ({stage.seeds} of {seeds} seeds)" if stage.seeds < seeds else "")
    return [
        arm, which, _when(stage), operation_text(receipt), _change(receipt.layers), _change(receipt.blocks),
        number(stage.parameters), number(stage.trainable_parameters),
        f"{stage.loss_before:.3f} → {stage.loss_after:.3f}", jump_text(stage),
        DASH if stage.max_difference is None else _small(stage.max_difference, ".3g"),
    ]  # fmt: skip


def _when(stage: GrowthStage) -> str:
    first, last = stage.tokens_range
    return short_count(stage.tokens) + (f" ({short_count(first)} to {short_count(last)})" if first != last else "")


def operation_text(receipt: Receipt) -> str:
    """An operation in a few words: `deepen (stack, copy), LoRA rank 8`."""
    arguments = receipt.arguments
    how = [str(arguments[name]) for name in ("placement", "init") if arguments.get(name)]
    lora = receipt.lora
    text = (receipt.operation or DASH) + (f" ({', '.join(how)})" if how else "")
    return text + (f", LoRA rank {number(lora.get('rank'))}" if lora else "")


def _change(sizes: Sequence[int] | None) -> str:
    """`3 → 6`, or one number where nothing changed."""
    if sizes is None:
        return DASH
    return " → ".join(map(str, sizes if sizes[0] != sizes[-1] else sizes[:1]))


def jump_text(stage: GrowthStage) -> str:
    """`+0.512 ± 0.020`; a jump of rounding size with its own exponent."""
    jump, ci95 = stage.jump, stage.jump_ci95
    if abs(jump) < 5e-4:
        return _small(jump, "+.1e")
    return f"{jump:+.3f}" + (f" ± {(ci95[1] - ci95[0]) / 2:.3f}" if ci95 else "")


def _small(value: float, form: str) -> str:
    return "0" if value == 0 else f"{value:{form}}"


def _plot(results: Results, name: str) -> list[str]:
    return [f"![{CAPTIONS[name]}]({name})"] if name in drawn_plots(results) else []


# ---- speed-up ------------------------------------------------------------------------------------------------------


def _speedup_section(results: Results) -> list[str]:
    every = results.speedups
    rows = [row for row in every if isinstance(row, Speedup)]
    left_out = [row for row in every if isinstance(row, NoSpeedup)]
    omitted = [f"* {row.arm}, {_COSTS[row.cost]}: left out, {row.reason}." for row in left_out]
    if not every:
        return []
    header = ["arm", "cost", "to reach it", "of", "speed-up", "95 % CI", "Holm p", "seeds", "verdict"]
    parts = ["## Speed-up", _speedup_note(results)]
    parts += [markdown_table(header, map(_speedup_row, rows)), speedup_sentence(results)] if rows else []
    return parts + (["\n".join(omitted)] if omitted else [])


def _speedup_note(results: Results) -> str:
    baseline, final = results.baseline, f"{results.split} {results.metric}"
    return (
        f"What the whole training of {baseline} costs, over what an arm needs to reach its final {final} with the "
        "same seed: the geometric mean over seeds, read from the arm's marks, linear in log(cost) between them, and "
        "never beyond them. Seconds are those of the quiet timing run. p-values are corrected by Holm's "
        "method over the table."
    )


def _speedup_row(row: Speedup) -> list[str]:
    cost = row.cost
    reached = DASH if row.cost_reached is None else _cost_text(cost, row.cost_reached)
    return [
        row.arm, _COSTS[cost], ("at most " if row.outcome == AT_MOST else "") + reached,
        _cost_text(cost, row.baseline_cost), _ratio_text(row),
        DASH if row.ci95 is None else f"{row.ci95[0]:.2f} to {row.ci95[1]:.2f}", format_p(row.p_holm),
        str(row.seeds), _verdict_text(row),
    ]  # fmt: skip


def _cost_text(cost: str, value: float) -> str:
    if cost == "flops":
        return f"{value:.2e}"
    return short_count(value) if cost == "tokens" else f"{value:.{1 if value < 100 else 0}f} s"


def _ratio_text(row: Speedup) -> str:
    if row.speedup is None:
        return DASH
    return f"{'at least ' if row.outcome == AT_MOST else ''}{row.speedup:.2f}"


def _verdict_text(row: Speedup) -> str:
    if row.outcome != NOT_REACHED:
        return row.verdict
    missed = "" if row.seeds_not_reached == row.seeds else f" in {row.seeds_not_reached} seeds"
    return f"not reached{missed} after {row.share_spent:.2f} of the cost: {row.gap:.3f} short"


def speedup_sentence(results: Results) -> str:
    """Which arms get to the baseline's result sooner, by which cost, and which do not: one sentence."""
    rows = [row for row in results.speedups if isinstance(row, Speedup)]
    sooner = [row for row in rows if row.verdict == SOONER]
    bounded = [row for row in rows if row.outcome == AT_MOST]
    later = [row for row in rows if row.verdict == LATER]
    missed = [row for row in rows if row.outcome == NOT_REACHED]
    open_rows = [row for row in rows if row.outcome == REACHED and row.verdict not in (SOONER, LATER)]
    groups = (("reached sooner", sooner), ("reached not later than at its first mark", bounded),
              ("reached later", later), ("reached with no difference shown", open_rows),
              ("not reached within its budget", missed))  # fmt: skip
    parts = [f"{how} by {_by_arm(group)}" for how, group in groups if group]
    return f"The final {results.metric} of {results.baseline} is {'; '.join(parts)}."


def _by_arm(rows: Sequence[Speedup]) -> str:
    """`diverge (tokens 1.41, FLOPs 1.41), stack (seconds)`."""
    found: dict[str, list[str]] = {}
    for row in rows:
        ratio = "" if row.speedup is None else f" {_ratio_text(row)}"
        found.setdefault(row.arm, []).append(_COSTS[row.cost] + ratio)
    return ", ".join(f"{arm} ({', '.join(costs)})" for arm, costs in found.items())


# ---- gradients -----------------------------------------------------------------------------------------------------


def _gradient_section(results: Results) -> list[str]:
    arms = arms_with_gradients(results)
    if not arms:
        return []
    rows = [[arm, *_gradient_row(results.arms[arm].layer_gradients)] for arm in arms]
    header = ["arm", "layers early", "first / last layer, early", "layers late", "first / last layer, late"]
    note = (
        "The gradient norm of the first layer over that of the last: below 1 the first layer gets the smaller "
        "gradient. Early and late are the first and the last fifth of the recorded points (geometric mean, without "
        "points at which one of the two is zero). Layers are those with weights of their own."
    )
    return ["## Gradients by layer", *_plot(results, LAYER_GRADIENTS), markdown_table(header, rows), note]


def _gradient_row(gradients: LayerGradients) -> list[str]:
    return [text for part in early_and_late(gradients) for text in (_layers_text(part), ratio_text(part))]


def _layers_text(part: Sequence[Sequence[float]]) -> str:
    counts = sorted({len(norms) for norms in part})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


# ---- accuracy by length --------------------------------------------------------------------------------------------


def _equations_section(results: Results) -> list[str]:
    found = {arm: row.answers_by_equations for arm, row in results.arms.items() if row.answers_by_equations}
    if not found:
        return []
    lengths = sorted({int(length) for counts in found.values() for length in counts})
    header = ["equations", "questions", *found]
    rows = [[str(n), _questions(found, str(n)), *(_accuracy(counts.get(str(n))) for counts in found.values())]
            for n in lengths]  # fmt: skip
    return ["## Accuracy by chain length", markdown_table(header, rows), _EQUATIONS_NOTE]


def _questions(found: Mapping[str, Mapping[str, PooledCounts]], length: str) -> str:
    """How many questions of a length each model was asked."""
    counts = sorted({c[length].questions // c[length].seeds for c in found.values() if length in c})
    return " to ".join(map(str, counts[:1] + counts[1:][-1:]))


def _accuracy(count: PooledCounts | None) -> str:
    if count is None:
        return DASH
    return f"{count.accuracy:.3f} ({count.ci95[0]:.3f} to {count.ci95[1]:.3f})"
