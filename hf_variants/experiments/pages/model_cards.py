# Copyright 2026 The hf_variants authors. MIT licence.
"""The folder of published comparisons (model_cards/): everything in it that is generated, made again from the records.

A comparison is published once `<name>/results.json` is there. From then on its results, report, samples and cards must
be what its records and its comparison file give, to the byte; so must the pages over all of them.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..checking import InputError
from ..comparisons.cells import CellsRunner, load_cells
from ..figures.seeds import plot_seeds
from ..recipes.recipe import read_yaml
from .claims import claims_page, load_claims
from .front_page import Entry, front_page
from .headlines import SEEDS_FIGURE, drawn_differences
from .sources import Sources

FRONT_PAGE, CLAIMS = "README.md", "claims.md"
# Figures are drawn again by `write` and only their names are checked: matplotlib draws the same bytes from the same
# numbers with one version of itself and of FreeType, but not across versions. All numbers in them are in results.json.
FIGURES = (".png",)
GENERATED = (".md", ".json", *FIGURES)


def entries(folder: Path, comparisons: Path) -> list[Entry]:
    """All comparison files of a folder, by name. Raises InputError where a published folder has none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = {}
    for path in sorted(comparisons.glob("*.yaml")):
        content = read_yaml(path)
        name = content.get("name") or path.stem
        published = (folder / name / "results.json").is_file()
        found[name] = Entry(name, content.get("question") or "", path, published)
    for results in sorted(folder.glob("*/results.json")):
        if results.parent.name not in found:
            raise InputError(f"{results.parent}: no file in {comparisons} has this name")
    return [found[name] for name in sorted(found)]


# ---- one comparison ------------------------------------------------------------------------------------------------


def regenerate(entry: Entry, folder: Path, target: Path, draw: bool) -> list[str]:
    """Makes a comparison's files again from `folder`/<name>/records in `target`; returns the names of its figures.

    Raises InputError where a record was made by another recipe than the comparison file's.
    """
    here = target / entry.name
    records = folder / entry.name / "records"
    if not records.is_dir():
        raise InputError(f"{folder / entry.name}: no records, from which its results could be made again")
    shutil.copytree(records, here / "records")  # reporting may write there; checks name the original
    cells = load_cells(entry.path)
    cells.set_command(entry.command)
    CellsRunner(cells, here, records).check([])
    figures = CellsRunner(cells, here).report_all(draw)
    for table in here.rglob("table.txt"):
        table.unlink()
    shutil.rmtree(here / "records")
    return figures


# ---- all of them ---------------------------------------------------------------------------------------------------


def build(folder: Path, comparisons: Path, target: Path, draw: bool) -> list[str]:
    """Makes all that is generated in `folder` again in `target`; returns the relative paths of the figures."""
    every = entries(folder, comparisons)
    figures = []
    for entry in every:
        if entry.published:
            figures += [f"{entry.name}/{name}" for name in regenerate(entry, folder, target, draw)]
    sources = Sources(target, folder)
    (target / FRONT_PAGE).write_text(front_page(every, sources), encoding="utf-8")
    (target / CLAIMS).write_text(claims_page(load_claims(), sources), encoding="utf-8")
    return figures + _figure_of_seeds([entry.name for entry in every if entry.published], sources, target, draw)


def _figure_of_seeds(names: Sequence[str], sources: Sources, target: Path, draw: bool) -> list[str]:
    differences = drawn_differences(sources, names)
    if differences and draw:
        plot_seeds(differences, target / SEEDS_FIGURE)
    return [SEEDS_FIGURE] if differences else []


def differences(folder: Path, comparisons: Path) -> list[str]:
    """What in `folder` is not what its records give: a line for each file, with what is the matter. Writes nothing."""
    with TemporaryDirectory() as temporary:
        target = Path(temporary)
        figures = build(folder, comparisons, target, draw=False)
        made = {str(path.relative_to(target)): path for path in _files(target)}
        lines = [f"{name}: {_differs(folder / name, path)}" for name, path in made.items()]
        lines += [f"{name}: missing" for name in figures if not (folder / name).is_file()]
        lines += [f"{name}: no longer generated" for name in _stale(folder, {*made, *figures})]
    return sorted(line for line in lines if not line.endswith(": "))


def _differs(committed: Path, made: Path) -> str:
    if not committed.is_file():
        return "missing"
    return "" if committed.read_bytes() == made.read_bytes() else "differs"


def write(folder: Path, comparisons: Path) -> tuple[list[str], list[str]]:
    """Brings `folder` up to date, figures included; returns the relative paths of the files that changed, and of those
    that nothing makes any more, which stay: who made them is not known.

    Raises InputError, and writes nothing, where `folder` has another page in the place of one of ours.
    """
    with TemporaryDirectory() as temporary:
        target = Path(temporary)
        build(folder, comparisons, target, draw=True)
        _check_pages(folder, target)
        made = [str(path.relative_to(target)) for path in _files(target)]
        changed = [name for name in made if _differs(folder / name, target / name)]
        for name in changed:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / name, folder / name)
        return sorted(changed), sorted(_stale(folder, set(made)))


def _check_pages(folder: Path, target: Path) -> None:
    """Raises InputError where a page over all comparisons would be written over a text that does not begin as it."""
    for name in (FRONT_PAGE, CLAIMS):
        page = folder / name
        begins = (target / name).read_text(encoding="utf-8").splitlines()[0]
        if page.is_file() and not page.read_text(encoding="utf-8", errors="replace").startswith(begins + "\n"):
            raise InputError(f"{page}: is not the page that is made here, which begins with '{begins}'; move it away")


def _files(target: Path) -> Iterator[Path]:
    yield from sorted(path for path in target.rglob("*") if path.is_file())


def _stale(folder: Path, made: Iterable[str]) -> Iterator[str]:
    """Generated files, beside those of published comparisons and their cells, that nothing makes any more."""
    made = set(made)
    for results in (name for name in sorted(made) if name.endswith("/results.json")):
        for path in sorted((folder / results).parent.glob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and path.suffix in GENERATED and name not in made:
                yield name
