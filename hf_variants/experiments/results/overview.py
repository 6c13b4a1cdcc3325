# Copyright 2026 The hf_variants authors. MIT licence.
"""Several cells of one comparison in one place: a table, p-values corrected over all of them, and verdicts.

Everything comes from the cells' results. What a cell's own report corrects within a view is corrected here over all
tests of all cells (Holm), so a difference may be detected there and not here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .contracts import Cell, CellArm, DataName, Overview, Results, Summary, Test
from .verdicts import cell_verdict, overall_verdict
from .views import VIEWS, holm_of_rows, what_is_tested, with_verdict


@dataclass(frozen=True)
class AboutCell:
    """What a comparison file says of a cell: its context in tokens, and the names of its runs that are missing."""

    description: str
    block_size: int
    missing: Sequence[str] = ()


def build_overview(
    name: str, question: str, command: str, about: Mapping[str, AboutCell], results: Mapping[str, Results]
) -> Overview:
    """The overview of all cells in `about`, from the results of those whose baseline has a finished run."""
    cells, count = _corrected({cell: _cell(cell, about[cell], found) for cell, found in results.items()})
    missing = {cell: tuple(said.missing) for cell, said in about.items() if said.missing}
    overview = Overview(
        name=name,
        question=question,
        command=command,
        tests_corrected=count,
        several_block_sizes=len({cell.block_size for cell in cells.values()}) > 1,
        cells=cells,
        missing=missing,
        verdict=overall_verdict(cells, list(missing)),
    )
    json.dumps(overview.to_json(), allow_nan=False)  # refuses what is not finite
    return overview


def _cell(name: str, about: AboutCell, results: Results) -> Cell:
    """A cell with its tests, which are not corrected yet."""
    return Cell(
        metric=results.metric,
        unit=results.unit,
        split=results.split,
        lower_is_better=results.lower_is_better,
        baseline=results.baseline,
        objective=results.objective,
        seeds=results.seeds,
        budget_unit=results.budget_unit,
        description=about.description,
        block_size=about.block_size,
        data=DataName(name=results.data.name, fingerprint=results.data.fingerprint),
        results=f"{name}/results.json",
        arms={arm: _arm(results, arm) for arm in results.arms},
        floor=results.floor.metrics.get(results.split, {}) if results.floor is not None else None,
        ngrams=results.ngrams,
        tests=_tests(results),
        omitted=tuple(row for view in VIEWS for row in results.views_omitted[view]),
        verdict="",
    )


def _arm(results: Results, arm: str) -> CellArm:
    row, baseline = results.arms[arm], results.arms[results.baseline]
    metrics = row.metrics.get(results.split, {})
    alike = row.speed_source == baseline.speed_source
    return CellArm(
        parameters=row.parameters,
        tokens=row.tokens,
        flops=row.flops,
        flops_per_token=row.flops_per_token,
        tokens_per_second=row.tokens_per_second,
        speed_source=row.speed_source,
        train_step_ms=row.train_step_ms,
        inference_ms=row.inference_ms,
        inference_batch=row.inference_batch,
        peak_memory_mb=row.peak_memory_mb,
        unsteady=row.unsteady,
        metrics={name: Summary(mean=found.mean, ci95=found.ci95) for name, found in metrics.items()},
        training_speed_ratio=_ratio(row.tokens_per_second, baseline.tokens_per_second) if alike else None,
        inference_speed_ratio=_ratio(baseline.inference_ms, row.inference_ms),
    )


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value and other else None


# ---------------------------------------------------------------- tests


def _tests(results: Results) -> tuple[Test, ...]:
    """Every row of every view.

    Matched arms at the full budget are also compared at equal tokens: that is one test, and it is listed once.
    """
    seen: dict[tuple[frozenset[str], float | str], Test] = {}
    for row in (row for view in VIEWS for row in results.views[view]):
        at = row.budget if row.view in ("equal_tokens", "parameter_matched") else row.view
        key = (frozenset((row.arm, row.against)), at)
        seen[key] = replace(seen[key], parameters=row.parameters) if key in seen else row
    return tuple(seen.values())


def _corrected(cells: Mapping[str, Cell]) -> tuple[dict[str, Cell], int]:
    """The cells with p-values corrected over all of them, and verdicts; and how many tests that were."""
    names = [name for name, cell in cells.items() for _ in cell.tests]
    rows = [row for cell in cells.values() for row in cell.tests]
    corrected = iter(holm_of_rows(rows, names))
    found = {}
    for name, cell in cells.items():
        tests = tuple(with_verdict(row, next(corrected), cell.lower_is_better) for row in cell.tests)
        cell = replace(cell, tests=tests)
        found[name] = replace(cell, verdict=cell_verdict(name, cell))
    count = len({what_is_tested(row, name) for row, name in zip(rows, names, strict=True) if row.p is not None})
    return found, count
