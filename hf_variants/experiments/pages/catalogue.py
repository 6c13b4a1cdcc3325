# Copyright 2026 The hf_variants authors. MIT licence.
"""All recipes and comparisons of training/ as tables: what they train, on what, how long, and what came out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from ..comparisons.cells import load_cells
from ..comparisons.comparison import Comparison
from ..recipes.recipe import Recipe, read_yaml, recipe_from_dict
from ..recipes.sections import BUDGETS, TrainingArguments
from ..results.contracts import Arm, Overview, Results
from ..results.wording import short_count, summary_text
from ..tables import DASH, markdown_table, number
from .front_page import Entry
from .sources import Sources

_UNITS = dict(zip(BUDGETS, ("tokens", "steps", "s", "epochs"), strict=True))
# An arm trains a recipe where nothing else differs: rates are tuned, and checkpoints change no result.
_MAY_DIFFER = ("seed", "learning_rate", "checkpoint_every", "keep_checkpoints", "snapshot_every", "trackers")


@dataclass(frozen=True)
class Trained:
    """An arm of a published comparison without cells: its recipe, and what its results say."""

    comparison: str
    arm: str
    recipe: Recipe
    row: Arm
    score: str


def recipes_table(folder: Path, entries: Sequence[Entry], sources: Sources, results: str) -> str:
    """The recipes of a folder as a Markdown table; `results` is the folder of published ones as the page sees it."""
    trained = list(_trained(entries, sources))
    rows = [_recipe_row(path, trained, results) for path in sorted(folder.glob("*.yaml"))]
    header = ["recipe", "what it is", "model", "width × layers", "data", "budget"]
    header += ["one run on two cores (s)", "test result"]
    return markdown_table(header, rows).replace("--:", ":--")


def _recipe_row(path: Path, trained: Sequence[Trained], results: str) -> list[str]:
    recipe = recipe_from_dict(read_yaml(path), str(path))
    cells = [f"[{path.stem}](recipes/{path.name})", recipe.description, _model(recipe), _width(recipe)]
    cells += [_data(recipe), _budget(recipe.training)]
    found = next((arm for arm in trained if _is_alike(arm.recipe, recipe)), None)
    if found is None:
        return [*cells, DASH, DASH]
    link = f"[{found.comparison}]({results}/{found.comparison}/report.md)"
    return [*cells, f"{_time(found.row):,.0f}", f"{found.score}, {found.arm} of {link}"]


def _trained(entries: Sequence[Entry], sources: Sources) -> Iterator[Trained]:
    for entry in entries:
        cells = load_cells(entry.path)
        if entry.published and not cells.are_named:
            results, comparison = sources.comparison(entry.name), next(iter(cells.cells.values()))
            for arm, row in results.arms.items():
                score = f"{results.metric.replace('_', ' ')} {summary_text(results.summary(arm))}"
                yield Trained(entry.name, arm, comparison.recipe(arm, comparison.seeds[0]), row, score)


def _is_alike(recipe: Recipe, other: Recipe) -> bool:
    contents = [one.to_dict() for one in (recipe, other)]
    for content in contents:
        for name in ("name", "description"):
            del content[name]
        for name in _MAY_DIFFER:
            del content["training"][name]
    return contents[0] == contents[1]


def _model(recipe: Recipe) -> str:
    names = (recipe.model.model_type, recipe.model.name_or_path if recipe.model.pretrained else None)
    return " from ".join(name for name in names if name)


def _width(recipe: Recipe) -> str:
    sizes = [recipe.model.overrides.get(name) for name in ("hidden_size", "num_hidden_layers")]
    return " × ".join(str(size) for size in sizes if size is not None) or DASH


def _data(recipe: Recipe) -> str:
    name = recipe.data.dataset
    return "/".join(PurePosixPath(name).parts[-2:]) if "://" in name else name


def _budget(training: TrainingArguments) -> str:
    name, value = next((name, value) for name, value in asdict(training).items() if name in BUDGETS and value)
    return f"{short_count(value)} {_UNITS[name]}"


# ---- comparisons ---------------------------------------------------------------------------------------------------


def comparisons_table(entries: Sequence[Entry], sources: Sources, results: str) -> str:
    """All comparison files as a Markdown table; `results` is the folder of published ones as the page sees it."""
    rows = [_comparison_row(entry, sources, results) for entry in entries]
    header = ["comparison", "question", "arms", "data", "budget of a run", "parameters", "seeds"]
    header += ["one run on two cores (s)", "result"]
    return markdown_table(header, rows).replace("--:", ":--")


def _comparison_row(entry: Entry, sources: Sources, results: str) -> list[str]:
    parts = list(load_cells(entry.path).cells.values())
    recipes = [part.recipe(arm, part.seeds[0]) for part in parts for arm in part.arms]
    row = [f"[{entry.name}](comparisons/{entry.path.name})", entry.question, _arms(parts)]
    row += [_listed(map(_data, recipes)), _listed(_budget(recipe.training) for recipe in recipes)]
    if not entry.published:
        return [*row, DASH, _seeds(parts), DASH, "not run yet"]
    found = _published(entry.name, sources)
    sizes = [arm.parameters for part in found for arm in part.arms.values()]
    row += [_range([number(size) for size in sorted(sizes)]), _seeds(parts), _seconds(found)]
    return [*row, f"[report]({results}/{entry.name}/report.md)"]


def _published(name: str, sources: Sources) -> list[Results]:
    results = sources.published(name)
    return [sources.comparison(name, cell) for cell in results.cells] if isinstance(results, Overview) else [results]


def _arms(parts: Sequence[Comparison]) -> str:
    return _listed(arm for part in parts for arm in part.arms)


def _seeds(parts: Sequence[Comparison]) -> str:
    return _range([str(count) for count in sorted({len(part.seeds) for part in parts})])


def _time(arm: Arm) -> float:
    return arm.quiet_seconds or arm.seconds


def _seconds(found: Sequence[Results]) -> str:
    return _range([f"{time:,.0f}" for time in sorted(_time(arm) for part in found for arm in part.arms.values())])


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _range(texts: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys((texts[0], texts[-1])))
