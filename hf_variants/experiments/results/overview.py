# Copyright 2026 The hf_variants authors. MIT licence.
"""Several cells of one comparison in one place: a table, p-values corrected over all of them, and verdicts.

Everything comes from the cells' results. What a cell's own report corrects within a view is corrected here over all
tests of all cells (Holm), so a difference may be detected there and not here.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from . import significance
from .significance import BETTER, EQUAL, EQUAL_IN_ONE, NO_DIFFERENCE, NO_VARIATION, ONE_SEED, WORSE
from .views import VIEWS, as_paired, holm_of_rows, what_is_tested
from .wording import at, format_p, view_words

SCHEMA = 1


UNKNOWN = "nothing can be said"


_WORDS = {ONE_SEED: "no verdict from one seed", NO_VARIATION: "no verdict, as seeds do not vary"}


_KEPT = ("metric", "unit", "split", "lower_is_better", "baseline", "objective", "seeds")


_MEASURED = ("parameters", "tokens", "flops", "flops_per_token", "tokens_per_second", "speed_source", "train_step_ms",
             "inference_ms", "inference_batch", "peak_memory_mb")  # fmt: skip


def build_overview(about: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The overview of all cells as plain JSON.

    `about` holds name, question, command and cells {cell: {"description", "block_size", "missing": [names of runs]}};
    `results` the results of those cells whose baseline has a finished run.
    """
    cells = {name: _cell(name, about["cells"][name], found) for name, found in results.items()}
    count = _correct(cells)
    for name, cell in cells.items():
        for row in cell["tests"]:
            row["verdict"] = significance.verdict(
                as_paired(row), row["p_holm"], cell["lower_is_better"], row.get("caveat")
            )
        cell["verdict"] = f"{name}: {_cell_verdict(cell)}"
    overview = {
        "schema": SCHEMA,
        "name": about["name"],
        "question": about.get("question") or "",
        "command": about.get("command") or "",
        "tests_corrected": count,
        "several_block_sizes": len({cell["block_size"] for cell in cells.values()}) > 1,
        "cells": cells,
        "missing": {name: cell["missing"] for name, cell in about["cells"].items() if cell["missing"]},
    }
    overview["verdict"] = _overall_verdict(overview)
    return json.loads(json.dumps(overview, allow_nan=False))


def _cell(name: str, about: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    arms = {arm: _arm(results, arm) for arm in results["arms"]}
    omitted = [{"view": view, **row} for view in VIEWS for row in results["views_omitted"][view]]
    return {
        **{key: results[key] for key in _KEPT},
        "budget_unit": results.get("budget_unit", "tokens"),
        "description": about.get("description") or "",
        "block_size": about["block_size"],
        "data": {key: results["data"].get(key) for key in ("name", "fingerprint")},
        "results": f"{name}/results.json",
        "arms": arms,
        **({"floor": results["floor"]["metrics"].get(results["split"], {})} if results.get("floor") else {}),
        "tests": _tests(results),
        "omitted": omitted,
    }


def _arm(results: Mapping[str, Any], arm: str) -> dict[str, Any]:
    row, baseline = results["arms"][arm], results["arms"][results["baseline"]]
    metrics = row["metrics"].get(results["split"], {})
    alike = row["speed_source"] == baseline["speed_source"]
    return {
        **{key: row[key] for key in _MEASURED},
        **{key: row[key] for key in ("unsteady",) if key in row},
        "metrics": {name: {"mean": found["mean"], "ci95": found["ci95"]} for name, found in metrics.items()},
        "training_speed_ratio": _ratio(row["tokens_per_second"], baseline["tokens_per_second"]) if alike else None,
        "inference_speed_ratio": _ratio(baseline["inference_ms"], row["inference_ms"]),
    }


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value and other else None


# ---------------------------------------------------------------- tests


def _tests(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every row of every view, with the p-value that is still to be corrected.

    Matched arms at the full budget are also compared at equal tokens: that is one test, and it is listed once.
    """
    rows = [
        {"view": view, **{key: value for key, value in row.items() if key not in ("p_holm", "verdict")}}
        for view in VIEWS
        for row in results["views"][view]
    ]
    seen: dict[Any, dict[str, Any]] = {}
    for row in rows:
        tokens = row["budget"] if row["view"] in ("equal_tokens", "parameter_matched") else row["view"]
        known = seen.setdefault((frozenset((row["arm"], row["against"])), tokens), row)
        if known is not row:
            known["parameters"] = row["parameters"]
    return list(seen.values())


def _correct(cells: Mapping[str, Mapping[str, Any]]) -> int:
    """Sets `p_holm` of every row, corrected over all cells; returns how many tests that were."""
    rows = [row for cell in cells.values() for row in cell["tests"]]
    named = [row | {"against": (name, row["against"])} for name, cell in cells.items() for row in cell["tests"]]
    for row, p in zip(rows, holm_of_rows(named), strict=True):
        row["p_holm"] = p
    return len({what_is_tested(row) for row in named if row["p"] is not None})


def main_test(cell: Mapping[str, Any], view: str, arm: str, against: str | None = None) -> Mapping[str, Any] | None:
    """An arm's test in a view against another, by default the baseline: the one with the largest budget, or None."""
    pair = (arm, against or cell["baseline"])
    rows = [row for row in cell["tests"] if row["view"] == view and (row["arm"], row["against"]) == pair]
    return max(rows, key=lambda row: row["budget"], default=None)


def tests_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison's rows of all views as tests of a cell, for `main_test`; corrected as its own report does."""
    tests = [{"view": view, **row} for view in VIEWS for row in results["views"][view]]
    return {"baseline": results["baseline"], "tests": tests}


def challengers(cell: Mapping[str, Any]) -> list[str]:
    """The arms but the baseline."""
    return [arm for arm in cell["arms"] if arm != cell["baseline"]]


# ---------------------------------------------------------------- verdicts


def _cell_verdict(cell: Mapping[str, Any]) -> str:
    sentences = [_arm_verdict(cell, arm) for arm in challengers(cell)]
    return "; ".join(sentences) + "." if sentences else "nothing to compare yet, only the baseline has finished runs."


def _arm_verdict(cell: Mapping[str, Any], arm: str) -> str:
    """One arm of a cell in words: its size and speed, then equal tokens and equal time."""
    row, baseline = cell["arms"][arm], cell["arms"][cell["baseline"]]
    about = [f"{row['parameters'] / baseline['parameters']:.2f} times the parameters"]
    about += [f"trains {row['training_speed_ratio']:.2f} times as fast"] if row["training_speed_ratio"] else []
    parts = [_clause(cell, view, main_test(cell, view, arm)) for view in ("equal_tokens", "equal_time")]
    return f"{arm} against {cell['baseline']} ({', '.join(about)}): {'; '.join(parts)}"


def _clause(cell: Mapping[str, Any], view: str, row: Mapping[str, Any] | None) -> str:
    """`at equal tokens (4.0 M tokens) worse, +0.207 nats (95 % CI …, Holm p=0.003)`."""
    if row is None:
        return f"{view_words(view, cell['budget_unit'])} {UNKNOWN}"
    unit = {"loss": "nats"}.get(cell["metric"], cell["metric"].replace("_", " "))
    text = f"{at(view, row['budget'], cell['budget_unit'])} {_WORDS.get(row['verdict'], row['verdict'])}, "
    text += f"{row['difference']:+.3f} {unit}"
    if row["ci95"] is None:
        return text
    interval = f"95 % CI {row['ci95'][0]:+.3f} to {row['ci95'][1]:+.3f}, {format_p(row['p_holm'], 'Holm p')}"
    return f"{text} ({interval}{'; ' + row['caveat'] if 'caveat' in row else ''})"


def _overall_verdict(overview: Mapping[str, Any]) -> str:
    cells = overview["cells"]
    arms = dict.fromkeys(arm for cell in cells.values() for arm in challengers(cell))
    parts = [_over_cells(cells, arm) for arm in arms]
    if not parts:
        return "Nothing to compare yet: no cell has finished runs of the baseline and of another arm."
    missing = [name for name in overview["missing"]]
    parts += [f"Not all runs are finished in {_listed(missing)}."] if missing else []
    return " ".join(parts)


def _over_cells(cells: Mapping[str, Any], arm: str) -> str:
    having = {name: cell for name, cell in cells.items() if arm in cell["arms"] and arm != cell["baseline"]}
    parts = [_counted(having, view, arm) for view in ("equal_tokens", "equal_time")]
    speeds = [cell["arms"][arm]["training_speed_ratio"] for cell in having.values()]
    speeds = [f"{speed:.2f}" for speed in sorted(speed for speed in speeds if speed)]
    parts += [f"it trains {' to '.join(dict.fromkeys((speeds[0], speeds[-1])))} times as fast"] if speeds else []
    against = ", ".join(dict.fromkeys(cell["baseline"] for cell in having.values()))
    return f"{arm} against {against}: {'; '.join(parts)}."


def _counted(cells: Mapping[str, Any], view: str, arm: str) -> str:
    """`at equal tokens better in 1 of 3 cells (a), no difference detected in 2 of 3 cells (b, c)`."""
    found: dict[str, list[str]] = {}
    for name, cell in cells.items():
        row = main_test(cell, view, arm)
        found.setdefault(row["verdict"] if row else UNKNOWN, []).append(name)
    order = (BETTER, WORSE, EQUAL, EQUAL_IN_ONE, NO_DIFFERENCE, ONE_SEED, NO_VARIATION, UNKNOWN)
    total = _plural(len(cells), "cell")
    counts = [
        f"{_WORDS.get(word, word)} in {len(found[word])} of {total} ({', '.join(found[word])})"
        for word in order
        if word in found
    ]
    return f"{view_words(view, next(iter(cells.values()))['budget_unit'])} {', '.join(counts)}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
