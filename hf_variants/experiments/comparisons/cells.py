# Copyright 2026 The hf_variants authors. MIT licence.
"""One question asked in several cells: other data, contexts or sizes, the same arms.

A comparison file may have `cells`: a name -> changes to the base recipe. Each cell is an ordinary comparison in a
folder of its own; over all of them there is one table, one correction for many tests, and one verdict. A file without
cells is one with a single cell that has no name: its folder is that of the comparison, and nothing stands over it.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..checking import InputError, as_mapping, refuse_unknown
from ..figures.plots import CONTEXT_LENGTH, plot_context_length
from ..files import write_json
from ..recipes.recipe import SECTIONS, merge, read_yaml
from ..reports.overview import overview_markdown, overview_table
from ..results.contracts import Overview
from ..results.overview import AboutCell, build_overview
from .comparison import Comparison, comparison_from_dict, load_comparison, read_base
from .folder import check_overview, copy_present, mark
from .runner import Runner

CELL_KEYS = ("description", "seeds", "arms", "parameter_matched", "tune", "tuned_in", "timing_rounds", *SECTIONS)
# A cell's name is the name of a folder beside the folder of all records.
_NAME = re.compile(r"(?!records$)[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass
class Cells:
    """A comparison file, checked: one `Comparison` per cell."""

    name: str
    question: str
    cells: dict[str, Comparison]
    descriptions: dict[str, str]
    command: str = ""

    @property
    def are_named(self) -> bool:
        """Whether the file has cells, and hence something over all of them."""
        return "" not in self.cells

    def arms(self) -> list[str]:
        """The arms of all cells."""
        return list(dict.fromkeys(arm for comparison in self.cells.values() for arm in comparison.arms))

    def seeds(self) -> list[int]:
        """The seeds of all cells."""
        return list(dict.fromkeys(seed for comparison in self.cells.values() for seed in comparison.seeds))

    def set_command(self, command: str) -> None:
        """The command line that makes all of it again, for reports and cards."""
        self.command = command
        for comparison in self.cells.values():
            comparison.command = command


def load_cells(path: str | Path, overrides: dict[str, Any] | None = None) -> Cells:
    """The cells of a comparison file. `overrides` change the base recipe of all of them.

    Raises InputError.
    """
    content = read_yaml(path)
    if content.get("cells") is None:
        comparison = load_comparison(path, overrides)
        return Cells(comparison.name, comparison.question, {"": comparison}, {"": ""})
    base = read_base(content, path)
    cells = as_mapping(content["cells"], f"{path}: cells")
    if not cells:
        raise InputError(f"{path}: cells is empty; leave it out, or name one")
    name = content.get("name") or Path(path).stem
    found = Cells(name, content.get("question", ""), {}, {})
    for cell, changes in cells.items():
        where = f"{path}: cell {cell}"
        if not isinstance(cell, str) or not _NAME.fullmatch(cell):
            raise InputError(f"{where}: is no name for a folder; allowed: letters, digits, _ and -, but not 'records'")
        changes = as_mapping(changes or {}, where)
        refuse_unknown(changes, CELL_KEYS, where)
        found.descriptions[cell] = str(changes.get("description") or "")
        sections = {key: as_mapping(value, f"{where}: {key}") for key, value in changes.items() if key in SECTIONS}
        recipe = merge(merge(base, sections), overrides or {})
        found.cells[cell] = comparison_from_dict(_cell_content(content, cell, changes, where, name), recipe, where)
    _check_tuned_in(found, str(path))
    return found


def _check_tuned_in(found: Cells, path: str) -> None:
    """Raises InputError where `tuned_in` is no cell with trials of its own, or its trials had a seed compared here."""
    tuned = {name: comparison.tune for name, comparison in found.cells.items() if comparison.tune is not None}
    for cell, comparison in found.cells.items():
        source, where = comparison.tuned_in, f"{path}: cell {cell}: tuned_in"
        if source is not None and source not in list(tuned):
            raise InputError(f"{where} {source!r}; allowed: {', '.join(tuned) or 'no cell is tuned'}")
        if source is not None and tuned[source]["seed"] in comparison.seeds:
            raise InputError(f"{where} {source!r}: its tune.seed must differ from seeds {comparison.seeds}")


def _cell_content(
    content: dict[str, Any], cell: str, changes: dict[str, Any], where: str, name: str
) -> dict[str, Any]:
    """The cell as the content of a comparison file of its own."""
    here = f"Here: {changes['description']}." if changes.get("description") else ""
    own = {key: changes[key] for key in ("seeds", "parameter_matched", "timing_rounds") if key in changes}
    arms = dict(content["arms"])
    for arm, laid_over in as_mapping(changes.get("arms") or {}, f"{where}: arms").items():
        laid_over = as_mapping(laid_over or {}, f"{where}: arm {arm}")
        arms[arm] = merge(as_mapping(arms.get(arm) or {}, f"{where}: arm {arm}"), laid_over)
    own |= {"name": f"{name}/{cell}", "arms": arms, "question": f"{content.get('question', '')} {here}".strip()}
    if "tune" in changes:
        own["tune"] = _laid_over(content.get("tune"), changes["tune"])
    if changes.get("tuned_in") is not None:
        if "tune" in changes:
            raise InputError(f"{where}: has tune and tuned_in; one of them is expected")
        own |= {"tune": None, "tuned_in": changes["tuned_in"]}
    return content | own


def _laid_over(tune: Any, changes: Any) -> Any:
    """A file's `tune` changed by a cell's; null switches tuning off."""
    return merge(tune, changes) if isinstance(tune, dict) and isinstance(changes, dict) else changes


class CellsRunner:
    """A `Runner` per cell, and the overview over those that have names."""

    def __init__(self, cells: Cells, folder: Path, records: Path | None = None) -> None:
        self.cells, self.folder, self.records = cells, folder, records or folder / "records"
        self.runners = {
            name: Runner(comparison, folder / name, self.records / name) for name, comparison in cells.cells.items()
        }
        for name, comparison in cells.cells.items():
            self.runners[name].tuned_by = self.runners[comparison.tuned_in] if comparison.tuned_in else None

    def check(self, selected: list[str]) -> None:
        """Checks the selected cells wholly, and the records of the others, which the overview will read."""
        for name, runner in self.runners.items():
            try:
                runner.check() if name in selected else runner.check_records()
            except InputError as error:
                raise InputError(f"cell {name}: {error}" if name else str(error)) from None

    def check_folders(self, selected: list[str], keep_in: Path | None = None) -> None:
        """Raises InputError where something that is not from here would be written over, in any of the folders."""
        if self.cells.are_named:
            check_overview(self.folder, (CONTEXT_LENGTH,), keep_in)
        for name in selected:
            self.runners[name].check_folders(keep_in / name if keep_in is not None else None)

    def mark(self, selected: list[str]) -> None:
        """Says of the folders of the comparison and of these cells whose they are."""
        mark(self.folder, self.cells.name)
        for name in filter(None, selected):
            mark(self.folder / name, name)

    def can_report(self, name: str) -> bool:
        """Whether a cell has a finished run of the baseline; one without a name says itself what it lacks."""
        return not name or self.runners[name].has_results()

    def report_all(self, draw: bool = True) -> list[str]:
        """Reports every cell that can be, and all of them together; returns the figures' paths."""
        figures = []
        for name, runner in self.runners.items():
            if self.can_report(name):
                figures += [str(PurePosixPath(name, figure)) for figure in runner.figures(runner.report(draw))]
        return figures + (self.figures(self.report(draw)) if self.cells.are_named else [])

    def report(self, draw: bool = True) -> Overview:
        """Writes results.json, report.md, table.txt and, over several context lengths, a plot; returns the results.

        Without `draw` there is no plot. Cells without a finished run of the baseline are listed as missing.
        """
        cells, results = self.cells, {n: r.results() for n, r in self.runners.items() if r.has_results()}
        overview = build_overview(cells.name, cells.question, cells.command, self._about(), results)
        write_json(self.folder / "results.json", overview.to_json())
        (self.folder / CONTEXT_LENGTH).unlink(missing_ok=True)
        if draw and overview.several_block_sizes:
            plot_context_length(overview, self.folder / CONTEXT_LENGTH)
        (self.folder / "report.md").write_text(overview_markdown(overview), encoding="utf-8")
        (self.folder / "table.txt").write_text(overview_table(overview) + "\n", encoding="utf-8")
        return overview

    def figures(self, overview: Overview) -> list[str]:
        """The names of the figures that `report` draws over all cells."""
        return [CONTEXT_LENGTH] if overview.several_block_sizes else []

    def _about(self) -> dict[str, AboutCell]:
        described = {}
        for name, comparison in self.cells.cells.items():
            block_size = comparison.recipe(comparison.baseline, comparison.seeds[0]).data.block_size
            missing = self.runners[name].missing()
            described[name] = AboutCell(self.cells.descriptions[name], block_size, missing)
        return described

    def keep(self, target: Path) -> None:
        """Copies the overview to `target`; each cell's own files go through `keep_cell`."""
        copy_present(self.folder, target, ("results.json", "report.md", CONTEXT_LENGTH))

    def keep_cell(self, name: str, target: Path) -> None:
        """Copies a cell to `target`/`name`, and its records to `target`/records/`name`."""
        self.runners[name].keep(target / name, target / "records" / name)
