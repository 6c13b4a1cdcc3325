# Copyright 2026 The hf_variants authors. MIT licence.
"""The sentences that the numbers of a comparison justify, made last. Each knows which arms it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..tables import DASH
from . import significance
from .contracts import Cell, Results, Test
from .costs import pairs_without_cost, ratio_of, seconds_of_both, seconds_text
from .ngrams import cells_sentence, constant_sentence, trigram_sentence
from .secondary import answer_tests, early_and_late, ratio_text
from .significance import BETTER, EQUAL, EQUAL_IN_ONE, NO_DIFFERENCE, NO_VARIATION, ONE_SEED, WORSE
from .wording import at, describe_budget, format_p, listed, view_words

UNKNOWN = "nothing can be said"
_WORDS = {ONE_SEED: "no verdict from one seed", NO_VARIATION: "no verdict, as seeds do not vary"}


@dataclass(frozen=True)
class Sentence:
    """A sentence about some arms."""

    text: str
    arms: tuple[str, ...]


def sentences_of(results: Results) -> list[Sentence]:
    """All that a comparison without cells says."""
    return [
        *floor_sentences(results),
        *verdict_sentences(results),
        *cost_sentences(results),
        *answer_sentences(results),
        *gradient_sentences(results),
    ]


def floor_sentences(results: Results) -> list[Sentence]:
    """What counting says of the arms: first, for where it says more than they do, their differences mean little."""
    arms = tuple(results.arms)
    return [Sentence(text, arms) for text in (trigram_sentence(results), constant_sentence(results)) if text]


def verdict_sentences(results: Results) -> list[Sentence]:
    """Per arm: the largest equal-token budget, then equal training time and FLOPs, then parameter-matched pairs."""
    views = results.views
    rows = [row for arm in results.arms for row in (*_last(results, arm), *_at_equal_cost(results, arm))]
    rows += [row for row in views["parameter_matched"] if results.baseline not in (row.arm, row.against)]
    return [Sentence(_sentence(results, row), (row.arm, row.against)) for row in rows]


def short_verdict(results: Results) -> str:
    """The equal-token sentences, and those of any other view that comes to another conclusion for the same arms."""
    chosen = [sentence.text for sentence in floor_sentences(results)]
    said = len(chosen)
    for arm in results.arms:
        last = _last(results, arm)
        others = [row for row in _at_equal_cost(results, arm) if last and row.verdict != last[0].verdict]
        chosen += [_sentence(results, row) for row in (*last, *others)]
    chosen += ["Nothing to compare yet: no other arm has a finished run."] if len(chosen) == said else []
    return " ".join(chosen)


def _last(results: Results, arm: str) -> list[Test]:
    """An arm's test at the largest budget in tokens, if there is one."""
    return [row for row in results.views["equal_tokens"] if row.arm == arm][-1:]


def _at_equal_cost(results: Results, arm: str) -> list[Test]:
    return [row for view in ("equal_time", "equal_flops") for row in results.views[view] if row.arm == arm]


def _sentence(results: Results, row: Test) -> str:
    where = f"at {describe_budget(row.view, row.budget, results.budget_unit)} on {results.split}"
    unit = {"loss": "nats"}.get(results.metric, results.metric)
    return verdict_sentence(row.arm, row.against, row, where, row.p_holm, unit, results.lower_is_better, row.caveat)


def verdict_sentence(
    arm: str,
    against: str,
    paired: significance.Difference,
    where: str,
    p_holm: float | None = None,
    unit: str = "nats",
    lower_is_better: bool = True,
    caveat: str = "",
) -> str:
    """One sentence that claims no more than the interval does.

    `where` says at which budget and on which split, for instance "at 4.0 M tokens on test".
    """
    outcome = significance.verdict(paired, p_holm, lower_is_better, caveat)
    signed = f"{arm} - {against} = {paired.difference:+.3f} {unit}"
    if outcome == ONE_SEED:
        return f"One seed only, so no interval and no verdict {where}: {signed}."
    if outcome == NO_VARIATION:
        return f"All {paired.seeds} seeds differ by one amount, so no interval and no verdict {where}: {signed}."
    if outcome in (EQUAL, EQUAL_IN_ONE):
        seeds = "the one seed" if paired.seeds == 1 else f"all {paired.seeds} seeds"
        return f"{arm} and {against} are equal in {seeds} {where}."
    evidence = f"{format_p(paired.p if p_holm is None else p_holm, 'p' if p_holm is None else 'Holm p')}"
    evidence += f", n={paired.seeds} seeds"
    low, high = paired.ci95
    if outcome == NO_DIFFERENCE:
        interval = f"95 % CI {low:+.3f} to {high:+.3f}"
        return f"No difference detected between {arm} and {against} {where}: {signed} ({interval}; {evidence})" + (
            f"; {caveat}." if caveat else "."
        )
    near, far = sorted((abs(low), abs(high)))
    size = f"{abs(paired.difference):.3f} {unit} (95 % CI {near:.3f} to {far:.3f})"
    return f"{arm} is {outcome} than {against} by {size} {where}; {evidence}."


# ---- beside the metric that arms are compared by -------------------------------------------------------------------


def cost_sentences(results: Results) -> list[Sentence]:
    """For every pair that is left out at equal time, a sentence with the ratio of what training took."""
    return [Sentence(_cost_sentence(results, *pair), pair) for pair in pairs_without_cost(results)]


def _cost_sentence(results: Results, arm: str, against: str) -> str:
    first, second, is_quiet = seconds_of_both(results.arms[arm], results.arms[against])
    how = "at the speed of the quiet run" if is_quiet else "as the runs took beside whatever else ran"
    text = f"No verdict at equal training time between {arm} and {against}: training took "
    text += (
        f"{ratio_of(first, second)} times as long ({seconds_text(first)} s against {seconds_text(second)} s, {how})"
    )
    scores = [f"{results.summary(name).mean:.3f}" for name in (arm, against)]
    metric = f"{results.split} {results.metric.replace('_', ' ')}"
    return f"{text}, for a {metric} of {' against '.join(scores)}."


def answer_sentences(results: Results) -> list[Sentence]:
    """The share of right answers of every arm against the baseline's."""
    where, baseline = f"in exact answers on {results.split}", results.baseline
    return [
        Sentence(
            verdict_sentence(
                test.arm, baseline, test.difference, where, test.p_holm, "of all questions", lower_is_better=False
            ),
            (test.arm, baseline),
        )
        for test in answer_tests(results)
    ]


def gradient_sentences(results: Results) -> list[Sentence]:
    """Per arm, how the first layer's gradient compares with the last one's, early and late in training."""
    sentences = []
    for arm, row in results.arms.items():
        early, late = map(ratio_text, early_and_late(row.layer_gradients)) if row.layer_gradients else (DASH, DASH)
        if DASH not in (early, late):
            text = f"{arm}: the first layer's gradient norm is {early} times the last one's early in training, {late} "
            sentences.append(Sentence(f"{text}times late.", (arm,)))
    return sentences


# ---- several cells -------------------------------------------------------------------------------------------------


def main_test(cell: Cell | Results, view: str, arm: str, against: str | None = None) -> Test | None:
    """An arm's test in a view against another, by default the baseline: the one with the largest budget, or None."""
    pair = (arm, against or cell.baseline)
    rows = [row for row in cell.tests if row.view == view and (row.arm, row.against) == pair]
    return max(rows, key=lambda row: row.budget, default=None)


def challengers(cell: Cell | Results) -> list[str]:
    """The arms but the baseline."""
    return [arm for arm in cell.arms if arm != cell.baseline]


def cell_verdict(name: str, cell: Cell) -> str:
    """What one cell says of every arm."""
    parts = "; ".join(_arm_verdict(cell, arm) for arm in challengers(cell))
    return f"{name}: {parts or 'nothing to compare yet, only the baseline has finished runs'}."


def _arm_verdict(cell: Cell, arm: str) -> str:
    """One arm of a cell in words: its size and speed, then equal tokens and equal time."""
    row, baseline = cell.arms[arm], cell.arms[cell.baseline]
    about = [f"{row.parameters / baseline.parameters:.2f} times the parameters"]
    about += [f"trains {row.training_speed_ratio:.2f} times as fast"] if row.training_speed_ratio else []
    parts = [_clause(cell, view, main_test(cell, view, arm)) for view in ("equal_tokens", "equal_time")]
    return f"{arm} against {cell.baseline} ({', '.join(about)}): {'; '.join(parts)}"


def _clause(cell: Cell, view: str, row: Test | None) -> str:
    """`at equal tokens (4.0 M tokens) worse, +0.207 nats (95 % CI …, Holm p=0.003)`."""
    if row is None:
        return f"{view_words(view, cell.budget_unit)} {UNKNOWN}"
    unit = {"loss": "nats"}.get(cell.metric, cell.metric.replace("_", " "))
    text = f"{at(view, row.budget, cell.budget_unit)} {_WORDS.get(row.verdict, row.verdict)}, "
    text += f"{row.difference:+.3f} {unit}"
    if row.ci95 is None:
        return text
    interval = f"95 % CI {row.ci95[0]:+.3f} to {row.ci95[1]:+.3f}, {format_p(row.p_holm, 'Holm p')}"
    return f"{text} ({interval}{'; ' + row.caveat if row.caveat else ''})"


def overall_verdict(cells: Mapping[str, Cell], missing: Sequence[str]) -> str:
    """What all cells say together; `missing` are the cells in which not all runs are finished."""
    arms = dict.fromkeys(arm for cell in cells.values() for arm in challengers(cell))
    parts = [_over_cells(cells, arm) for arm in arms]
    if not parts:
        return "Nothing to compare yet: no cell has finished runs of the baseline and of another arm."
    parts += [f"Not all runs are finished in {listed(missing)}."] if missing else []
    return " ".join(filter(None, (cells_sentence(cells), *parts)))


def _over_cells(cells: Mapping[str, Cell], arm: str) -> str:
    having = {name: cell for name, cell in cells.items() if arm in cell.arms and arm != cell.baseline}
    parts = [_counted(having, view, arm) for view in ("equal_tokens", "equal_time")]
    speeds = [cell.arms[arm].training_speed_ratio for cell in having.values()]
    speeds = [f"{speed:.2f}" for speed in sorted(speed for speed in speeds if speed)]
    parts += [f"it trains {' to '.join(dict.fromkeys((speeds[0], speeds[-1])))} times as fast"] if speeds else []
    against = ", ".join(dict.fromkeys(cell.baseline for cell in having.values()))
    return f"{arm} against {against}: {'; '.join(parts)}."


def _counted(cells: Mapping[str, Cell], view: str, arm: str) -> str:
    """`at equal tokens better in 1 of 3 cells (a), no difference detected in 2 of 3 cells (b, c)`."""
    found: dict[str, list[str]] = {}
    for name, cell in cells.items():
        row = main_test(cell, view, arm)
        found.setdefault(row.verdict if row else UNKNOWN, []).append(name)
    order = (BETTER, WORSE, EQUAL, EQUAL_IN_ONE, NO_DIFFERENCE, ONE_SEED, NO_VARIATION, UNKNOWN)
    total = _plural(len(cells), "cell")
    counts = [
        f"{_WORDS.get(word, word)} in {len(found[word])} of {total} ({', '.join(found[word])})"
        for word in order
        if word in found
    ]
    return f"{view_words(view, next(iter(cells.values())).budget_unit)} {', '.join(counts)}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
