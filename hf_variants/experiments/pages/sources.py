# Copyright 2026 The hf_variants authors. MIT licence.
"""Where pages over several comparisons read their numbers: results that are published, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checking import InputError
from ..files import read_json

Results = Mapping[str, Any]


class NotMeasuredError(Exception):
    """What is asked for has no result yet; the message says which one."""


class Sources:
    """The results under `results`, by comparison, and the other measurements under `measurements`.

    The two are one folder, unless results are just being made again.
    """

    def __init__(self, results: Path, measurements: Path | None = None) -> None:
        self.folder, self.measurements = results, measurements or results
        self._read: dict[Path, Any] = {}

    def comparison(self, name: str, cell: str | None = None) -> Results:
        """results.json of a comparison, or of one of its cells.

        Raises NotMeasuredError where the comparison, or the cell, has none; InputError for an unknown cell.
        """
        path = self.folder / name / "results.json"
        if not path.is_file():
            raise NotMeasuredError(f"the comparison *{name}* has no results")
        overview = self._json(path)
        if cell is None:
            return overview
        if cell in overview.get("missing", {}) and cell not in overview["cells"]:
            raise NotMeasuredError(f"the cell *{cell}* of *{name}* has no results")
        if cell not in overview.get("cells", {}):
            raise InputError(f"{path}: has no cell '{cell}'")
        return self._json(self.folder / name / cell / "results.json")

    def arm(self, name: str, cell: str | None, arm: str) -> Results:
        """One arm of `comparison`. Raises NotMeasuredError where its runs are missing, InputError if it is unknown."""
        results = self.comparison(name, cell)
        if arm in results["arms"]:
            return results["arms"][arm]
        if arm in {run["arm"] for run in results["missing"]}:
            raise NotMeasuredError(f"the arm *{arm}* of *{name}* has no finished run")
        raise InputError(f"{name}: has no arm '{arm}'; allowed: {', '.join(results['arms'])}")

    def measurement(self, path: str) -> Any:
        """A JSON file that is not a comparison's. Raises NotMeasuredError where it is missing."""
        if not (self.measurements / path).is_file():
            raise NotMeasuredError(f"there is no {path}")
        return self._json(self.measurements / path)

    def _json(self, path: Path) -> Any:
        if path not in self._read:
            self._read[path] = read_json(path)
        return self._read[path]
