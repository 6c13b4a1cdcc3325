# Copyright 2026 The hf_variants authors. MIT licence.
"""What the first page says of results: a few verdicts, what several seeds are worth, and a figure of that."""

from collections.abc import Iterator, Sequence

from ..reports.overview import difference_text
from ..results.contracts import Overview, Results, Test
from ..results.ngrams import above_trigram
from ..results.significance import BETTER, NO_DIFFERENCE, WORSE
from ..results.single_runs import SeededDifference, seeded_differences, worth_of_seeds
from ..results.verdicts import main_test
from ..results.wording import OWN_BUDGET
from ..tables import DASH, markdown_table
from .sources import NotMeasuredError, Sources

SEEDS_FIGURE = "seeds.png"
# The comparisons of the table, and the arm that each is told by.
HEADLINES = {
    "highway_vs_residual": "highway",
    "similarities": "gaussian",
    "conv_vs_gpt": "conv_gpt",
    "progressive_vs_scratch": "deepen_identity",
    "toxic_comments": "bigru_max",
}
# Further arms of the figure.
_ALSO_DRAWN = {
    "demo": ("highway",),
    "highway_vs_residual": ("highway_bias_0", "residual_wide"),
    "highway_vs_residual_books": ("highway",),
    "progressive_arithmetic": ("deepen_identity",),
    "growth_schedules": ("grow_50",),
}
_VERDICTS = (BETTER, WORSE, NO_DIFFERENCE)  # what else there is has no interval


def verdict_table(sources: Sources, folder: str) -> str:
    """The headlines as a Markdown table, with links into `folder`, as the page sees it."""
    rows = []
    for name, arm in HEADLINES.items():
        try:
            results = sources.published(name)
        except NotMeasuredError:
            continue
        words = [_verdict(results, view, arm) for view in ("equal_tokens", "equal_time")]
        words += [_reaching_the_trigram(results)]
        rows.append([f"[{results.question}]({folder}/{name}/report.md)", f"{arm} − {_baseline(results)}", *words])
    header = ["question", "difference", "at equal tokens", "at equal time", "better than a trigram"]
    return markdown_table(header, rows).replace("--:", ":--")


def _baseline(results: Results | Overview) -> str:
    return next(iter(results.cells.values())).baseline if isinstance(results, Overview) else results.baseline


def _verdict(results: Results | Overview, view: str, arm: str) -> str:
    if isinstance(results, Overview):
        return _counted([main_test(cell, view, arm) for cell in results.cells.values()])
    test = main_test(results, view, arm)
    if test is None:
        return DASH
    metric = {"loss": "nats"}.get(results.metric, results.metric.replace("_", " "))
    own = " (own budgets)" if results.budget_unit == OWN_BUDGET else ""
    return f"{test.verdict}, {difference_text(test).partition(' (')[0]} {metric}{own}"


def _reaching_the_trigram(results: Results | Overview) -> str:
    """How many arms have learned more than counts of three tokens, of the cells in which all have."""
    if isinstance(results, Overview):
        known = {name: cell for name, cell in results.cells.items() if cell.ngrams is not None}
        reached = [name for name, cell in known.items() if not above_trigram(cell)]
        return f"all arms in {len(reached)} of {len(known)} cells" if known else DASH
    if results.ngrams is None:
        return DASH
    reached = len(results.arms) - len(above_trigram(results))
    return {0: "no arm", len(results.arms): "all arms"}.get(reached, f"{reached} of {len(results.arms)} arms")


def _counted(tests: Sequence[Test | None]) -> str:
    """`better in 1 of 6 cells, worse in 2`; cells without an interval are `open`."""
    verdicts = [test.verdict if test and test.verdict in _VERDICTS else "open" for test in tests]
    counts = [(word, verdicts.count(word)) for word in (*_VERDICTS, "open")]
    parts = [f"{word} in {count}" for word, count in counts if count]
    parts[0] += f" of {len(tests)} cells"
    return ", ".join(parts)


# ---- seeds ---------------------------------------------------------------------------------------------------------


def all_differences(sources: Sources, names: Sequence[str]) -> Iterator[SeededDifference]:
    """The differences over several seeds of published comparisons, by cells where they have some."""
    for name in names:
        results = sources.published(name)
        if isinstance(results, Results):
            yield from seeded_differences(name, results)
            continue
        for cell, tested in results.cells.items():
            yield from seeded_differences(f"{name}/{cell}", sources.comparison(name, cell), tested)


def seeds_text(sources: Sources, names: Sequence[str]) -> str:
    """What several seeds are worth, over all published comparisons by loss; empty where there is none."""
    found = list(all_differences(sources, names))
    return worth_of_seeds(found) if found else ""


def drawn_differences(sources: Sources, names: Sequence[str]) -> list[SeededDifference]:
    """The differences of the figure: those of the headlines, and a few more."""
    return [difference for difference in all_differences(sources, names) if _is_drawn(difference)]


def _is_drawn(difference: SeededDifference) -> bool:
    name = difference.where.partition("/")[0]
    return difference.arm in (HEADLINES.get(name), *_ALSO_DRAWN.get(name, ()))
