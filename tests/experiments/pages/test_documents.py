# Copyright 2026 The hf_variants authors. MIT licence.
"""Generated parts of documents: what they say is in the results, what differs is named, the rest of a page stays."""

import re
import shutil

import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.figures.seeds import plot_seeds
from hf_variants.experiments.pages.documents import (
    DOCUMENTS,
    FIRST,
    SPEED,
    TRAINING,
    document_differences,
    generated_parts,
    write_documents,
)
from hf_variants.experiments.pages.headlines import HEADLINES, drawn_differences
from hf_variants.experiments.pages.model_cards import entries
from hf_variants.experiments.pages.sources import Sources
from hf_variants.experiments.recipes.recipe import read_yaml
from tests.helpers.places import CARDS, ROOT
from tests.helpers.places import TRAINING as PROGRAMS


@pytest.fixture(scope="module")
def parts():
    every = entries(CARDS, PROGRAMS / "comparisons")
    return {(part.document, part.name): part for part in generated_parts(ROOT, CARDS, every)}


@pytest.fixture
def root(tmp_path):
    for name in DOCUMENTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def rows(part):
    return [line.strip("| ").split(" | ") for line in part.text.splitlines()[2:]]


def test_the_committed_documents_are_what_the_results_give(parts):
    assert document_differences(ROOT, parts.values()) == []


def test_what_differs_is_named_and_mended_and_the_rest_stays(parts, root):
    page = root / FIRST
    committed = page.read_text()
    page.write_text(committed.replace("better in", "best in", 1).replace("# hf_variants", "# Ours", 1))
    assert document_differences(root, parts.values()) == [f"{FIRST}: its part 'verdicts' differs"]
    assert write_documents(root, parts.values()) == [FIRST]
    assert page.read_text() == committed.replace("# hf_variants", "# Ours", 1)
    assert write_documents(root, parts.values()) == []


@pytest.mark.parametrize("name", [FIRST, TRAINING, SPEED])
def test_a_document_without_its_marks_is_refused(parts, root, name):
    (root / name).write_text("# Nothing\n")
    with pytest.raises(InputError, match="has not one line <!-- "):
        write_documents(root, parts.values())
    (root / name).unlink()
    with pytest.raises(InputError, match="No such file"):
        document_differences(root, parts.values())


def test_results_that_a_document_shows_are_named_where_they_are_missing(tmp_path):
    (tmp_path / "model_cards").mkdir()
    with pytest.raises(InputError, match="the comparison .demo. has no results, and a document shows them"):
        generated_parts(ROOT, tmp_path / "model_cards", [])


def test_the_verdicts_are_those_of_the_results(parts):
    table = rows(parts[FIRST, "verdicts"])
    assert len(table) == len(HEADLINES) == 5
    found = {re.search(r"model_cards/(\w+)/", row[0])[1]: row for row in table}
    results = Sources(CARDS).comparison("highway_vs_residual")
    row = [row for row in results.views["equal_tokens"] if row.arm == "highway"][-1]
    words = found["highway_vs_residual"]
    assert words[1] == "highway − residual" and words[2].startswith(f"{row.verdict}, {row.difference:+.3f} ±")
    cells = Sources(CARDS).published("conv_vs_gpt").cells
    counted = re.findall(r" in (\d+)", found["conv_vs_gpt"][2])
    assert sum(map(int, counted)) == len(cells) and f"of {len(cells)} cells" in found["conv_vs_gpt"][2]


def test_every_recipe_and_comparison_has_its_row(parts):
    recipes, comparisons = rows(parts[TRAINING, "recipes"]), rows(parts[TRAINING, "comparisons"])
    for table, folder in ((recipes, "recipes"), (comparisons, "comparisons")):
        paths = [re.search(rf"\(({folder}/\w+\.yaml)\)", row[0])[1] for row in table]
        assert paths == [f"{folder}/{path.name}" for path in sorted((PROGRAMS / folder).glob("*.yaml"))]
    published = {row[0].split("]")[0][1:] for row in comparisons if row[-1] != "not run yet"}
    assert published == {path.parent.name for path in CARDS.glob("*/results.json")}


def test_a_recipe_has_the_result_of_the_arm_that_trains_it_and_no_other(parts):
    table = {row[0].split("]")[0][1:]: row for row in rows(parts[TRAINING, "recipes"])}
    demo = Sources(CARDS).comparison("demo").arms["residual"]
    assert table["demo"][6] == f"{demo.quiet_seconds:.0f}"
    assert table["demo"][7].startswith(f"loss {demo.metrics['test']['loss'].mean:.3f} ± ")
    assert "residual of [demo](../model_cards/demo/report.md)" in table["demo"][7]
    alike = read_yaml(PROGRAMS / "recipes" / "minbert_pydoc.yaml")
    assert alike["data"]["dataset"] == "builtin/pydoc"  # as the demo's
    assert table["minbert_pydoc"][6:] == ["-", "-"]


def test_seeds_are_drawn_of_comparisons_by_loss_with_several_seeds(tmp_path):
    sources = Sources(CARDS)
    drawn = drawn_differences(sources, ["conv_vs_gpt", "demo", "sst5", "gradient_depth"])
    cells = [name for name, cell in sources.published("conv_vs_gpt").cells.items() if len(cell.seeds) > 1]
    assert [one.where for one in drawn] == [*(f"conv_vs_gpt/{cell}" for cell in cells), "demo"]
    assert plot_seeds(drawn, tmp_path / "seeds.png").read_bytes().startswith(b"\x89PNG")
    assert drawn_differences(sources, ["sst5", "gradient_depth"]) == []
