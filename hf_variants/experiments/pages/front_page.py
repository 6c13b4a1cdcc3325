# Copyright 2026 The hf_variants authors. MIT licence.
"""The front page of published comparisons: each with its question, verdict, effect sizes, costs, and links."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..reports.overview import cells_table, difference_text, flops_text
from ..results.contracts import Cell, Overview, Results, Test
from ..results.ngrams import cells_sentence, trigram_sentence
from ..results.verdicts import answer_sentences, challengers, gradient_sentences, main_test
from ..results.views import VIEWS
from ..results.wording import OWN_BUDGET, summary_text, view_words
from ..tables import markdown_table, number, present_columns
from .sources import Sources

AnyResults = Results | Overview

_INTRODUCTION = """# Results

Every comparison of this package, from the records of its runs. This page, [claims.md](claims.md), the reports and the
cards are made by `make cards`; nothing on them is typed in, and CI refuses them when they differ from the records.

* [What was claimed, and what was measured](claims.md): the published claims that these comparisons re-run, one by one
* [Research log](LOG.md): what was tried and what failed, by date"""
# Measurements that are no comparisons: what they are, shown where their file is there.
_ELSEWHERE = {
    "speed/context_curve.json": "[training speed and memory over the context length](speed/context_curve.png)",
    "convex_hull/convex_hull.json": "[the convex-hull argument, counted](convex_hull/convex_hull.png)",
    "highway_vs_residual/depth/analysis.json": "[gates, lesions and iterative estimation by layer of "
    "highway_vs_residual](highway_vs_residual/depth/lesions.png)",
}
_NOTE = (
    "Verdicts are on the arms that are named, against the comparison's baseline. Differences are arm minus baseline "
    "with 95 % intervals over seeds; p is corrected by Holm's method within a view of one comparison, and over all "
    "tests of all cells where there are cells; a difference is detected where interval and p allow it and it does not "
    "rest on interpolation alone. One seed gives no interval and no verdict."
)


@dataclass(frozen=True)
class Entry:
    """A comparison file, and whether it is published."""

    name: str
    question: str
    path: Path
    published: bool

    @property
    def command(self) -> str:
        """The command that makes the comparison, from the root of a clone."""
        config = f"training/comparisons/{self.path.name}"
        return f"accelerate launch training/compare.py --config {config} --output_dir runs/{self.name}"


def front_page(entries: Sequence[Entry], sources: Sources) -> str:
    """README.md over all comparisons: an index, a section for each published one, and what has not been run."""
    published = {entry: sources.published(entry.name) for entry in entries if entry.published}
    parts = [_INTRODUCTION]
    if published:
        rows = [_index_row(entry, results) for entry, results in published.items()]
        parts += [markdown_table(["comparison", "question", "verdict"], rows).replace("--:", ":--"), _NOTE]
    parts += [_section(entry, results) for entry, results in published.items()]
    elsewhere = [f"* {text}" for path, text in _ELSEWHERE.items() if (sources.measurements / path).is_file()]
    parts += ["## Other measurements", "\n".join(elsewhere)] if elsewhere else []
    waiting = [f"* {entry.name}: {entry.question}" for entry in entries if not entry.published]
    parts += ["## Not measured yet", "\n".join(waiting)] if waiting else []
    return "\n\n".join(parts) + "\n"


def _index_row(entry: Entry, results: AnyResults) -> list[str]:
    return [
        f"[{entry.name}](#{entry.name})",
        results.question,
        "<br>".join(_floor_lines(results) + verdict_lines(results)),
    ]


def verdict_lines(results: AnyResults) -> list[str]:
    """Per view which arms (or in which cells arms) are better, worse, or no different, in words."""
    lines = []
    for view in VIEWS:
        found: dict[str, list[str]] = {}
        for name, row in _main_rows(results, view):
            found.setdefault(row.verdict, []).append(name)
        if found and view != "parameter_matched":
            words = "; ".join(f"**{verdict}**: {', '.join(names)}" for verdict, names in found.items())
            left_out = _left_out(results, view)
            words += f"; **nothing can be said** (see the report): {', '.join(left_out)}" if left_out else ""
            lines.append(f"{_at(results, view)}{_only_arm(results)}: {words}")
    return lines or ["nothing to compare yet"]


def _cells(results: AnyResults) -> Mapping[str, Results | Cell]:
    """The cells by their names; a comparison without cells is one that has no name."""
    return results.cells if isinstance(results, Overview) else {"": results}


def _left_out(results: AnyResults, view: str) -> list[str]:
    """The cells that have no test in a view."""
    cells = _cells(results).items()
    return [name for name, cell in cells if name and all(test.view != view for test in cell.tests)]


def _only_arm(results: AnyResults) -> str:
    """The arm that is compared in every cell, where it is always the same one; cells then stand for it."""
    arms = {arm for name, cell in _cells(results).items() if name for arm in challengers(cell)}
    return f", {arms.pop()} in cells" if len(arms) == 1 else ""


def _at(results: AnyResults, view: str) -> str:
    units = [cell.budget_unit for cell in _cells(results).values()]
    return view_words(view, units[0] if units else "tokens")


def _main_rows(results: AnyResults, view: str) -> list[tuple[str, Test]]:
    """What is compared in a view, and the test at the largest budget: arms, or where there are cells, arms by cell."""
    single, found = bool(_only_arm(results)), []
    for name, cell in _cells(results).items():
        for arm in cell.arms:
            label = arm if not name else name if single else f"{arm} in {name}"
            found.append((label, main_test(cell, view, arm)))
    return [(label, row) for label, row in found if row is not None]


# ---- one comparison ------------------------------------------------------------------------------------------------


def _section(entry: Entry, results: AnyResults) -> str:
    has_cells = isinstance(results, Overview)
    lines = _floor_lines(results) + verdict_lines(results) + ([] if has_cells else _beside(results))
    parts = [f"## {entry.name}", results.question, "\n".join(f"* {line}" for line in lines), _missing(results)]
    if has_cells:
        parts += [cells_table(results.cells)]
        parts += ["\n".join(_cell_links(entry, name, cell) for name, cell in results.cells.items())]
        parts += [f"[All cells]({entry.name}/report.md)"]
    else:
        parts += [_arms_table(results), _about_arms(results), _links(entry.name, results.arms)]
    return "\n\n".join(part for part in parts if part)


def _floor_lines(results: AnyResults) -> list[str]:
    """Where counting triples of tokens says more than the arms do."""
    text = cells_sentence(results.cells) if isinstance(results, Overview) else trigram_sentence(results)
    return [text] if text else []


def _beside(results: Results) -> list[str]:
    """What else was measured; gradients only where there is no verdict on the metric, for want of seeds."""
    sentences = answer_sentences(results) + (gradient_sentences(results) if len(results.seeds) == 1 else [])
    return [sentence.text for sentence in sentences]


def _missing(results: AnyResults) -> str:
    if isinstance(results, Overview):
        missing = [f"{cell} ({', '.join(runs)})" for cell, runs in results.missing.items()]
    else:
        missing = [f"{run.arm} seed {run.seed}" for run in results.missing]
    return f"**Not finished yet: {', '.join(missing)}.**" if missing else ""


def _arms_table(results: Results) -> str:
    """Arms with their result, differences to the baseline, and what they cost."""
    metric, split = results.metric, results.split
    unit = "" if results.unit == metric else f" ({results.unit})"
    at = "own budget" if results.budget_unit == OWN_BUDGET else f"equal {results.budget_unit}"
    header = ["arm", f"{split} {metric.replace('_', ' ')}{unit} ± 95 % CI"]
    header += [f"difference, {at}", "difference, equal time", "difference, equal FLOPs", "parameters"]
    header += ["training FLOPs", "training (s)", "training step (ms)", "inference (ms)", "peak memory (MiB)"]
    rows = []
    for arm, row in results.arms.items():
        differences = [difference_text(main_test(results, view, arm)) for view in VIEWS[:3]]
        costs = [flops_text(row.flops), number(row.quiet_seconds or row.seconds, 0)]
        costs += [number(row.train_step_ms, 1), number(row.inference_ms, 1), number(row.peak_memory_mb, 0)]
        score = summary_text(results.summary(arm))
        rows.append([arm, score, *differences, number(row.parameters), *costs])
    return markdown_table(*present_columns(header, rows))


def _about_arms(results: Results) -> str:
    """How the costs were taken, and what the baseline is."""
    quiet = [arm for arm, row in results.arms.items() if row.quiet_seconds]
    text = f"The baseline is {results.baseline}; {len(results.seeds)} seed{'s' * (len(results.seeds) > 1)}."
    if len(quiet) == len(results.arms):
        return f"{text} Times are those of a separate quiet run."
    return f"{text} Training times are those of the runs, beside whatever else ran{_but(quiet)}."


def _but(quiet: Sequence[str]) -> str:
    return f", but for {', '.join(quiet)}, which a separate quiet run timed" if quiet else ""


def _links(folder: str, arms: Iterable[str]) -> str:
    cards = ", ".join(f"[{arm}]({folder}/{arm}.md)" for arm in arms)
    plots = f"[loss curves]({folder}/loss_curves.png), [cost and quality]({folder}/cost_quality.png)"
    return f"[Report]({folder}/report.md) · cards: {cards} · plots: {plots} · [results.json]({folder}/results.json)"


def _cell_links(entry: Entry, name: str, cell: Cell) -> str:
    about = f" ({cell.description})" if cell.description else ""
    return f"* {name}{about}: {_links(f'{entry.name}/{name}', cell.arms)}"
