# Copyright 2026 The hf_variants authors. MIT licence.
"""What `make_cards.py` writes is what `--check` accepts; what differs, is missing or stale is named."""

import json
import shutil

import pytest

from hf_variants.experiments.figures.recorded_config import is_ours
from hf_variants.experiments.reports.cards import validate_card
from tests.helpers.places import ROOT
from training import make_cards, publish

CARDS, COMPARISONS = ROOT / "model_cards", ROOT / "training" / "comparisons"


def run(capsys, *options):
    """The exit code, and all lines said."""
    with pytest.raises(SystemExit) as ended:
        make_cards.main([*map(str, options)])
    said = capsys.readouterr()
    message = [ended.value.code] if isinstance(ended.value.code, str) else []
    code = 1 if message else ended.value.code
    return code, [*said.out.splitlines(), *said.err.splitlines(), *message]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of what is published, but for all comparisons except the smallest."""
    folder = tmp_path_factory.mktemp("published")
    for name in ("demo", "convex_hull", "speed"):
        shutil.copytree(CARDS / name, folder / name)
    return folder


def test_the_committed_demo_is_what_its_records_give(folder, capsys, monkeypatch):
    monkeypatch.setenv("HF_VARIANTS_DATA", str(folder / "nowhere"))
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    code, lines = run(capsys, "--check", "--folder", folder)
    # the pages over all comparisons are those of all of them, and not of this one alone
    assert code == 1 and lines[:-1] == ["README.md: missing", "claims.md: missing", "seeds.png: missing"]


def test_what_differs_is_named(folder, capsys):
    demo = folder / "demo"
    card, committed = demo / "highway.md", (demo / "highway.md").read_bytes()
    card.write_bytes(committed + b"x")
    (demo / "residual.md").rename(demo / "other.md")
    (demo / "loss_curves.png").rename(demo / "curves.png")
    try:
        code, lines = run(capsys, "--check", "--folder", folder)
    finally:
        card.write_bytes(committed)
        (demo / "other.md").rename(demo / "residual.md")
        (demo / "curves.png").rename(demo / "loss_curves.png")
    assert code == 1 and set(lines) >= {
        *("demo/highway.md: differs", "demo/residual.md: missing", "demo/other.md: no longer generated"),
        *("demo/loss_curves.png: missing", "demo/curves.png: no longer generated"),
    }
    assert "8 files are not" in lines[-1] and "make cards" in lines[-1]


def test_committed_cards_are_valid_and_complete():
    cards = [path for path in CARDS.rglob("*.md") if path.read_text(encoding="utf-8").startswith("---\n")]
    assert len(cards) > 20
    for path in cards:
        text = path.read_text(encoding="utf-8")
        data = validate_card(text).to_dict()
        for key in ("license", "language", "library_name", "pipeline_tag", "tags", "model-index"):
            assert data.get(key), (path, key)
        for title in ("What it changes", "Use", "Training data", "Results", "Limits", "How to reproduce", "Citation"):
            assert f"\n## {title}\n" in text, (path, title)
        assert "null" not in text.split("---\n")[1], path
        arm = json.loads((path.parent / "results.json").read_text(encoding="utf-8"))["arms"][path.stem]
        assert (f"architecture_{path.stem}.png" in text) == is_ours(arm["model_type"]), path


def test_every_figure_that_a_committed_card_shows_is_there():
    for path in CARDS.rglob("*.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("![") and line.endswith(".png)"):
                assert (path.parent / line[line.rindex("(") + 1 : -1]).is_file(), (path, line)


def test_bad_input_ends_with_one_line(tmp_path, capsys):
    assert run(capsys, "--folder", tmp_path / "none") == (2, [f"error: {tmp_path / 'none'}: no such folder"])
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "results.json").write_text("{}")
    code, lines = run(capsys, "--folder", tmp_path)
    assert code == 2 and len(lines) == 1 and "has this name" in lines[0]
    (tmp_path / "unknown").rename(tmp_path / "demo")
    code, lines = run(capsys, "--check", "--folder", tmp_path)
    assert code == 2 and len(lines) == 1 and "no records" in lines[0]


def test_a_record_of_another_recipe_is_named(folder, tmp_path, capsys):
    records = shutil.copytree(folder / "demo", tmp_path / "demo") / "records"
    path = records / "highway-seed1.json"
    path.write_text(path.read_text().replace('"learning_rate": 0.003', '"learning_rate": 0.004'))
    code, lines = run(capsys, "--check", "--folder", tmp_path)
    assert code == 2 and len(lines) == 1 and f"{path}: is the record of another recipe" in lines[0]


def test_the_published_comparisons_are_listed(folder, capsys):
    assert run(capsys, "--list", "--folder", folder) == (0, ["demo"])


@pytest.mark.slow
def test_writing_twice_changes_nothing(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "cards")
    (tmp_path / "cards" / "demo" / "stale.md").write_text("of an arm that is gone")
    (tmp_path / "cards" / "demo" / "architecture_highway.png").unlink()
    code, lines = run(capsys, "--folder", tmp_path / "cards")
    stale = "demo/stale.md: nothing makes it any more; delete it, unless it is yours"
    assert code == 0 and {"README.md", "claims.md", stale, "demo/architecture_highway.png"} <= set(lines)
    assert run(capsys, "--folder", tmp_path / "cards") == (0, ["nothing changed", stale])
    assert (tmp_path / "cards" / "seeds.png").is_file()
    (tmp_path / "cards" / "demo" / "stale.md").unlink()
    code, lines = run(capsys, "--check", "--folder", tmp_path / "cards")
    assert code == 0
    page = (tmp_path / "cards" / "README.md").read_text(encoding="utf-8")
    assert "[demo](#demo)" in page and "* sst5: " in page and "](demo/highway.md)" in page


# ---- publishing all of them ----------------------------------------------------------------------------------------


def options(*arguments):
    return publish.wanted(publish.parse_arguments([*map(str, arguments)]))


def test_all_exported_arms_are_published_under_names_of_their_own(tmp_path):
    for path in ("demo/models/highway", "conv/math_256/models/gpt", "demo/runs/highway"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "config.json").write_text("{}")
    found = options("--all", tmp_path, "--namespace", "me")
    assert found == {
        "me/conv-math_256-gpt": tmp_path / "conv/math_256/models/gpt",
        "me/demo-highway": tmp_path / "demo/models/highway",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --model_dir and --repo_id, or --all and --namespace"),
        (["--all", "runs", "--namespace", ""], "--all: give --namespace"),
        (["--all", "nowhere", "--namespace", "me"], "nowhere: no exported model"),
        (["--all", "runs", "--namespace", "me", "--repo_id", "me/x"], "nothing of one folder"),
    ],
)
def test_publishing_says_what_is_missing(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        publish.main(arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err
