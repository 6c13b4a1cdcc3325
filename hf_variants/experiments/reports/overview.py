# Copyright 2026 The hf_variants authors. MIT licence.
"""What a reader sees of an overview over cells: the report and the table in the terminal."""

import textwrap
from collections.abc import Mapping

from ..figures.plots import CONTEXT_LENGTH
from ..results.arms import QUIET_RUN
from ..results.contracts import Cell, Overview, Test
from ..results.significance import NO_DIFFERENCE, NO_VARIATION, ONE_SEED
from ..results.verdicts import main_test
from ..results.wording import (
    FLOOR_ARM,
    describe_budget,
    format_p,
    interval_text,
    summary_text,
    unsteady_note,
    verdict_text,
    view_words,
)
from ..tables import DASH, aligned_table, markdown_table, number, present_columns


def overview_markdown(overview: Overview) -> str:
    """report.md over all cells: verdicts, one table, the plot where there is one, every test, and what is missing."""
    cells = overview.cells
    sections = [f"# {overview.name}", overview.question, "## Verdict", overview.verdict]
    sections += ["\n".join(f"* {cell.verdict}" for cell in cells.values()), _missing_note(overview)]
    if cells:
        sections += ["## Cells", cells_table(cells), _table_note(overview), _described(cells)]
        if overview.several_block_sizes:
            sections += [f"![Difference and speed against context length]({CONTEXT_LENGTH})"]
        sections += ["## Tests", _tests_note(overview), _tests_table(cells), _omitted(cells)]
    if overview.command:
        sections += ["## How to reproduce", f"```sh\n{overview.command}\n```"]
    return "\n\n".join(section for section in sections if section) + "\n"


def _missing_note(overview: Overview) -> str:
    missing = overview.missing.items()
    return "\n".join(
        f"* **Not finished yet{'' if name in overview.cells else ', the whole cell'}: {name}** ({', '.join(runs)})"
        for name, runs in missing
    )


def cells_table(cells: Mapping[str, Cell]) -> str:
    """Rows: cell × arm."""
    return markdown_table(*present_columns(*_rows(cells)))


def _rows(cells: Mapping[str, Cell]) -> tuple[list[str], list[list[str]]]:
    metrics = {(cell.split, cell.metric) for cell in cells.values()}
    name = " ".join(metrics.pop()) if len(metrics) == 1 else "result"
    units = {cell.budget_unit for cell in cells.values()}
    equal = view_words("equal_tokens", units.pop() if len(units) == 1 else "budget").removeprefix("at ")
    header = ["cell", "arm", "parameters", f"{name} ± 95 % CI", "bits per byte ± 95 % CI", f"difference, {equal}"]
    header += ["difference, equal time", "training FLOPs", "training speed", "inference speed"]
    header += ["peak memory (MiB)"]
    rows = []
    for cell_name, cell in cells.items():
        for arm, row in cell.arms.items():
            bits = row.metrics.get("bits_per_byte") if cell.metric != "bits_per_byte" else None
            tests = [difference_text(main_test(cell, view, arm)) for view in ("equal_tokens", "equal_time")]
            values = [summary_text(row.metrics.get(cell.metric)), summary_text(bits), *tests, flops_text(row.flops)]
            values += [_times(row.training_speed_ratio), _times(row.inference_speed_ratio)]
            rows.append([cell_name, arm, number(row.parameters), *values, number(row.peak_memory_mb, 0)])
        if cell.floor:
            rows.append([cell_name, FLOOR_ARM, DASH, number(cell.floor.get(cell.metric), 3), *[DASH] * 7])
    return header, rows


def flops_text(value: float | None) -> str:
    return DASH if value is None else f"{value:.2e}"


def _times(ratio: float | None) -> str:
    return DASH if ratio is None else f"{ratio:.2f} x"


def difference_text(row: Test | None) -> str:
    """`-0.120 ± 0.031 (better)`."""
    if row is None:
        return DASH
    half = "" if row.ci95 is None else f" ± {(row.ci95[1] - row.ci95[0]) / 2:.3f}"
    words = {NO_DIFFERENCE: "", ONE_SEED: " (1 seed)", NO_VARIATION: " (no interval)"}
    return f"{row.difference:+.3f}{half}{words.get(row.verdict, ' (' + row.verdict + ')')}"


def _table_note(overview: Overview) -> str:
    cells = overview.cells.values()
    units = sorted({cell.unit for cell in cells})
    better = "lower is better" if all(cell.lower_is_better for cell in cells) else "higher is better"
    text = f"Results are in {' or '.join(units)}, after the decay branch of the full budget; {better}. "
    text += "± is half the width of the 95 % t interval over seeds. Differences and speeds are against the baseline: "
    text += "arm minus baseline, and how many times as fast (tokens/s of training; forward passes for inference)."
    single = [name for name, cell in overview.cells.items() if len(cell.seeds) == 1]
    text += f" One seed only, so no interval and no verdict: {', '.join(single)}." if single else ""
    busy = [_busy(name, cell) for name, cell in overview.cells.items() if not _is_timed(cell)]
    text += f" Not timed in a quiet run yet, speed is that of training itself: {', '.join(busy)}." if busy else ""
    arms = {f"{arm} in {name}": row for name, cell in overview.cells.items() for arm, row in cell.arms.items()}
    return f"{text} {unsteady_note({name: row.unsteady for name, row in arms.items()})}".rstrip()


def _is_timed(cell: Cell) -> bool:
    return all(row.speed_source == QUIET_RUN for row in cell.arms.values())


def _busy(name: str, cell: Cell) -> str:
    """A cell whose speeds come from training runs; with these arms, where others were timed."""
    arms = [arm for arm, row in cell.arms.items() if row.speed_source != QUIET_RUN]
    return name if len(arms) == len(cell.arms) else f"{name} ({', '.join(arms)})"


def _described(cells: Mapping[str, Cell]) -> str:
    lines = []
    for name, cell in cells.items():
        about = f"{cell.description}; " if cell.description else ""
        about += f"data {cell.data.name}, context {cell.block_size}, {_seeds(cell)}"
        lines.append(f"* **{name}**: {about} ([report]({name}/report.md), [results]({cell.results}))")
    return "\n".join(lines)


def _seeds(cell: Cell) -> str:
    return "one seed" if len(cell.seeds) == 1 else f"{len(cell.seeds)} seeds"


def _tests_note(overview: Overview) -> str:
    count = overview.tests_corrected
    rows = [row for cell in overview.cells.values() for row in cell.tests if row.p is not None]
    text = f"p-values are corrected by Holm's method over all {count} tests of all cells"
    text += "; rows that compare the same runs are one test" if count < len(rows) else ""
    return text + "; a cell's own report corrects within one view of one cell, and may therefore detect more."


def _tests_table(cells: Mapping[str, Cell]) -> str:
    header = ["cell", "arm", "against", "view", "budget", "difference", "95 % CI", "p", "Holm p", "seeds", "verdict"]
    rows = [
        [name, row.arm, row.against, view_words(row.view, cell.budget_unit).removeprefix("at "),
         describe_budget(row.view, row.budget, cell.budget_unit), f"{row.difference:+.3f}",
         interval_text(row.ci95), format_p(row.p), format_p(row.p_holm), str(row.seeds), verdict_text(row)]
        for name, cell in cells.items() for row in cell.tests
    ]  # fmt: skip
    return markdown_table(header, rows) if rows else "No pair of arms to compare."


def _omitted(cells: Mapping[str, Cell]) -> str:
    return "\n".join(
        f"* {name}, {row.arm} {view_words(row.view, cell.budget_unit)} against {row.against}: left out, {row.reason}."
        for name, cell in cells.items()
        for row in cell.omitted
    )


def overview_table(overview: Overview) -> str:
    """The table over all cells as aligned plain text, and the verdicts below."""
    verdicts = [overview.verdict, *(cell.verdict for cell in overview.cells.values())]
    text = "\n".join(textwrap.fill(verdict, 100, subsequent_indent="  ") for verdict in verdicts)
    if not overview.cells:
        return text
    header, rows = present_columns(*_rows(overview.cells))
    return f"{aligned_table(header, rows, left=2)}\n\n{text}"
