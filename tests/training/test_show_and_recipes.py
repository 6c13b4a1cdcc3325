# Copyright 2026 The hf_variants authors. MIT licence.
"""What `show` and `list_recipes` say of committed comparisons is what their reports and results say."""

import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.files import read_json
from hf_variants.experiments.results.contracts import read_results
from hf_variants.experiments.tables import duration
from tests.helpers.places import CARDS, TRAINING
from training import list_recipes, show


def said(program, capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        program.main(list(arguments))
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", show.published(CARDS))
def test_a_comparison_is_shown_with_its_verdict_and_its_table(name, capsys):
    report = (CARDS / name / "report.md").read_text()
    text = said(show, capsys, name)
    assert text.startswith(name) and "\nVerdict\n" in text and "---  ---" in text
    assert "![" not in text and "](" not in text and "**" not in text and "| --: |" not in text
    assert len(text) < len(said(show, capsys, name, "--full")) < 3 * len(report)
    results = read_json(CARDS / name / "results.json")
    for arm in results.get("arms", {}):
        assert f"\n{arm}" in text


def test_names_are_listed_and_near_ones_suggested(capsys):
    assert said(show, capsys).splitlines() == show.published(CARDS)
    with pytest.raises(InputError, match="demoo: no published comparison has this name; did you mean demo"):
        show.find_report("demoo", CARDS)


def test_markdown_becomes_plain_text():
    table = "| a | b |\n| :-- | --: |\n| x \\| y | **1** |\n"
    text = show.as_text(f"# Title\n\n{table}\n![figure](a.png)\n\n[report](b.md)\n")
    assert text == "Title\n\na      b\n-----  -\nx | y  1\n\nreport"


def test_every_recipe_and_comparison_is_listed_with_what_records_say(capsys):
    text = said(list_recipes, capsys)
    recipes, _, comparisons = text.partition("\ncomparison")
    for part, folder in ((recipes, "recipes"), (comparisons, "comparisons")):
        rows = {line.split()[0]: line for line in part.splitlines() if line}
        assert {path.stem for path in (TRAINING / folder).glob("*.yaml")} <= set(rows)
        row = rows["demo"].split()
        assert "builtin/pydoc" in row and "118,124" in row
        assert "https" not in part
    assert said(list_recipes, capsys, "--kind", "recipes") in text
    assert " 1 worse " in next(line for line in comparisons.splitlines() if line.startswith("demo "))


@pytest.mark.parametrize("path", sorted(CARDS.glob("*/results.json")), ids=lambda path: path.parent.name)
def test_time_and_verdicts_come_from_the_results(path):
    found = list_recipes.measured(read_results(read_json(path), str(path)))
    assert found.seconds > found.baseline_seconds > 1 and found.parameters > 10_000 and found.verdict != "-"


def test_durations_are_read_at_a_glance():
    given = (None, 40, 89.4, 90, 5399, 5400, 36_000)
    assert [duration(seconds) for seconds in given] == ["-", "40 s", "89 s", "2 min", "90 min", "1.5 h", "10.0 h"]
