# Copyright 2026 The hf_variants authors. MIT licence.
"""Where pages over several comparisons read their numbers: results that are published, and nothing else."""

from pathlib import Path
from typing import Any

from ..checking import InputError
from ..files import read_json
from ..results.contracts import Arm, Overview, Results, read_results


class NotMeasuredError(Exception):
    """What is asked for has no result yet; the message says which one."""


class Sources:
    """The results under `results`, by comparison, and the other measurements under `measurements`.

    The two are one folder, unless results are just being made again.
    """

    def __init__(self, results: Path, measurements: Path | None = None) -> None:
        self.folder, self.measurements = results, measurements or results
        self._results: dict[Path, Results | Overview] = {}
        self._measured: dict[Path, Any] = {}

    def published(self, name: str) -> Results | Overview:
        """results.json of a comparison: its own results, or those over its cells.

        Raises NotMeasuredError where it has none.
        """
        path = self.folder / name / "results.json"
        if not path.is_file():
            raise NotMeasuredError(f"the comparison *{name}* has no results")
        return self._read(path)

    def overview(self, name: str, cell: str) -> Overview:
        """The overview that has this cell. Raises NotMeasuredError where it has no results, InputError without it."""
        overview = self.published(name)
        if isinstance(overview, Overview) and cell in overview.cells:
            return overview
        if isinstance(overview, Overview) and cell in overview.missing:
            raise NotMeasuredError(f"the cell *{cell}* of *{name}* has no results")
        raise InputError(f"{self.folder / name / 'results.json'}: has no cell '{cell}'")

    def comparison(self, name: str, cell: str | None = None) -> Results:
        """The results of a comparison, or of one of its cells.

        Raises NotMeasuredError where the comparison, or the cell, has none; InputError for an unknown cell, and where
        there are cells and none is named.
        """
        if cell is not None:
            self.overview(name, cell)
        path = self.folder / name / (cell or "") / "results.json"
        results = self.published(name) if cell is None else self._read(path)
        if isinstance(results, Overview):
            raise InputError(f"{path}: has cells, and none is named; allowed: {', '.join(results.cells)}")
        return results

    def arm(self, name: str, cell: str | None, arm: str) -> Arm:
        """One arm of `comparison`. Raises NotMeasuredError where its runs are missing, InputError if it is unknown."""
        results = self.comparison(name, cell)
        if arm in results.arms:
            return results.arms[arm]
        if arm in {run.arm for run in results.missing}:
            raise NotMeasuredError(f"the arm *{arm}* of *{name}* has no finished run")
        raise InputError(f"{name}: has no arm '{arm}'; allowed: {', '.join(results.arms)}")

    def measurement(self, path: str) -> Any:
        """A JSON file that is not a comparison's. Raises NotMeasuredError where it is missing."""
        file = self.measurements / path
        if not file.is_file():
            raise NotMeasuredError(f"there is no {path}")
        if file not in self._measured:
            self._measured[file] = read_json(file)
        return self._measured[file]

    def _read(self, path: Path) -> Results | Overview:
        if path not in self._results:
            self._results[path] = read_results(read_json(path), str(path))
        return self._results[path]
