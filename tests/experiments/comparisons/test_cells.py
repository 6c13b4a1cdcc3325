# Copyright 2026 The hf_variants authors. MIT licence.
"""Cells: how a file's changes are laid over, which folders a run leaves, what is missing, and what is refused."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.comparisons.cells import CellsRunner, load_cells
from hf_variants.experiments.recipes.recipe import merge
from tests.experiments.comparisons.test_comparison import content, read, run, started  # noqa: F401

CELLS = {
    "short": {"description": "blocks of 16", "tune": None},
    "long": {"data": {"block_size": 32}, "model": {"overrides": {"max_position_embeddings": 32}}, "seeds": [0],
             "tune": None, "timing_rounds": 1},
}  # fmt: skip
RUNS = {"residual-seed0", "residual-seed1", "highway-seed0", "highway-seed1"}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "pair.yaml"
    path.write_text(yaml.safe_dump(merge(content(folder) | {"cells": CELLS}, changes), sort_keys=False))
    return path


def cells_of(folder: Path, **changes: Any):
    return load_cells(write(folder, **changes)).cells


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """Two cells that ran to their end and were kept: their file and folder. Tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("cells")
    file = write(folder)
    assert run(file, folder / "out", "--keep_in", str(folder / "kept")) == 0
    return file, folder / "out"


@pytest.fixture
def copied(finished, tmp_path) -> tuple[Path, Path]:
    return finished[0], Path(shutil.copytree(finished[1], tmp_path / "out"))


# ---- what a file says ----------------------------------------------------------------------------------------------


def test_a_file_without_cells_is_one_cell_in_the_comparison_s_own_folder(tmp_path):
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump(content(tmp_path)))
    found = load_cells(tmp_path / "pair.yaml", {"training": {"max_steps": 8}})
    assert not found.are_named and list(found.cells) == [""] and found.cells[""].name == found.name == "pair"
    assert found.cells[""].recipe("highway", 0).training.max_steps == 8
    every = CellsRunner(found, tmp_path / "out", tmp_path / "records")
    assert every.runners[""].folder == tmp_path / "out" and every.runners[""].records == tmp_path / "records"
    assert load_cells(write(tmp_path)).are_named


def test_a_cell_is_laid_over_the_recipe_and_flags_over_the_cell(tmp_path):
    file = write(tmp_path)
    short, long = load_cells(file, {"training": {"max_steps": 8}}).cells.values()
    recipes = [c.recipe("highway", 0) for c in (short, long)]
    assert [r.data.block_size for r in recipes] == [16, 32]
    assert [r.model.overrides["max_position_embeddings"] for r in recipes] == [16, 32]
    assert [r.model.overrides["gate_bias"] for r in recipes] == [-1.0, -1.0]
    assert [r.training.max_steps for r in recipes] == [8, 8]
    assert load_cells(file, {"data": {"block_size": 8}}).cells["long"].recipe("residual", 0).data.block_size == 8
    assert [(c.name, c.seeds, c.timing_rounds) for c in (short, long)] == [
        ("pair/short", [0, 1], 2),
        ("pair/long", [0], 1),
    ]
    assert short.question == "Which? Here: blocks of 16." and long.question == "Which?"


def test_arms_of_a_cell_are_laid_over_those_of_the_file(tmp_path):
    wide = {"model": {"model_type": "minbert", "overrides": {"intermediate_size": 48}}}
    own = {"arms": {"highway": {"model": {"overrides": {"gate_bias": -3.0}}}, "wide": wide}}
    own |= {"parameter_matched": {"wide": "highway"}}
    short, long = cells_of(tmp_path, cells={"long": own}).values()
    assert list(short.arms) == ["residual", "highway"] and list(long.arms) == ["residual", "highway", "wide"]
    assert short.recipe("highway", 0).model.overrides["gate_bias"] == -1.0
    assert long.recipe("highway", 0).model.overrides["gate_bias"] == -3.0
    assert long.recipe("highway", 0).model.model_type == "highway_bert"
    assert (short.parameter_matched, long.parameter_matched) == ({}, {"wide": "highway"})


def test_tuning_is_the_file_s_the_cell_s_or_none(tmp_path):
    cells = cells_of(tmp_path, cells={"short": None, "long": {"tune": {"trials": 1}}, "none": {"tune": None}})
    assert cells["short"].tune["trials"] == 2
    assert cells["long"].tune == cells["short"].tune | {"trials": 1}
    assert cells["none"].tune is None


TUNED = {"short": {"tune": {"trials": 1}}, "long": {"tuned_in": "short", "timing_rounds": 1}}


def tuned_file(folder: Path, **long: Any) -> Path:
    cells = {"short": CELLS["short"] | TUNED["short"], "long": CELLS["long"] | TUNED["long"] | long}
    del cells["long"]["tune"]
    path = folder / "tuned.yaml"
    path.write_text(yaml.safe_dump(content(folder) | {"cells": cells}, sort_keys=False))
    return path


def test_a_cell_takes_the_settings_that_another_was_tuned_to(tmp_path, capsys):
    file, out = tuned_file(tmp_path), tmp_path / "out"
    assert run(file, out, "--cells", "long", "--only", "run") == 2
    assert "tune: arm residual has 0 of 1 trials" in capsys.readouterr().err
    assert run(file, out, "--cells", "short", "--only", "tune") == 0
    assert run(file, out, "--cells", "long") == 0
    chosen = read(out / "records" / "short" / "tune-highway-0.json")["settings"]
    assert list(chosen) == ["training.learning_rate", "model.overrides.gate_bias"]
    for name, value in zip(("learning_rate", "gate_bias"), chosen.values(), strict=True):
        recipe = read(out / "records" / "long" / "highway-seed0.json")["recipe"]
        assert (recipe["training"] | recipe["model"]["overrides"])[name] == value
    assert not list((out / "records" / "long").glob("tune-*"))
    assert "tuned in cell short" in (out / "long" / "highway.md").read_text()
    assert "chosen in cell short" in (out / "long" / "report.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuned_in": "shorter"}, "cell long: tuned_in 'shorter'; allowed: short"),
        ({"tuned_in": "long"}, "cell long: tuned_in 'long'; allowed: short"),
        ({"tuned_in": ["short"]}, "cell long: tuned_in ['short']; allowed: short"),
        ({"tune": {"trials": 1}}, "cell long: has tune and tuned_in; one of them is expected"),
        ({"seeds": [0, 9]}, "cell long: tuned_in 'short': its tune.seed must differ from seeds [0, 9]"),
    ],
)
def test_what_cannot_be_tuned_elsewhere_is_refused(tmp_path, changes, message):
    file = tuned_file(tmp_path)
    changed = yaml.safe_load(file.read_text())
    changed["cells"]["long"] |= changes
    file.write_text(yaml.safe_dump(changed))
    with pytest.raises(InputError, match=re.escape(message)):
        load_cells(file)


# ---- what a run leaves ---------------------------------------------------------------------------------------------


def test_every_cell_has_a_folder_and_its_records(finished):
    _, folder = finished
    for name, runs in (("short", RUNS), ("long", {"residual-seed0", "highway-seed0"})):
        assert {path.stem for path in (folder / "records" / name).glob("*.json")} == runs | {"timing", "ngrams"}
        for file in ("results.json", "report.md", "table.txt", "loss_curves.png", "models/highway/README.md"):
            assert (folder / name / file).stat().st_size > 0
    assert read(folder / "records" / "long" / "highway-seed0.json")["comparison"] == "pair/long"


def test_the_overview_says_what_the_cells_say(finished):
    _, folder = finished
    overview = read(folder / "results.json")
    assert list(overview["cells"]) == ["short", "long"] and overview["missing"] == {}
    for name, cell in overview["cells"].items():
        results = read(folder / cell["results"])
        for arm, row in cell["arms"].items():
            assert row["metrics"]["loss"]["mean"] == results["arms"][arm]["metrics"]["test"]["loss"]["mean"]
            assert results["command"] == overview["command"] and "--config" in overview["command"], name
    assert [cell["block_size"] for cell in overview["cells"].values()] == [16, 32]
    assert (folder / "context_length.png").stat().st_size > 5000
    assert "One seed only, so no interval and no verdict: long." in (folder / "report.md").read_text()
    assert (folder / "results.json").stat().st_size < 20_000


def test_what_is_kept_can_be_reported_from(finished, tmp_path):
    file, folder = finished
    kept = Path(shutil.copytree(folder.parent / "kept", tmp_path / "kept"))
    for name in ("results.json", "report.md", "context_length.png", "short/report.md", "long/highway.md"):
        assert (kept / name).read_bytes() == (folder.parent / "kept" / name).read_bytes()
    options = ("--records", str(kept / "records"), "--only", "report", "--keep_in", str(kept))
    assert run(file, tmp_path / "again", *options) == 0
    old, new = read(folder / "results.json"), read(kept / "results.json")
    assert old["cells"] == new["cells"] and not (kept / "short" / "records").exists()


def test_work_can_be_shared_by_cells_arms_and_seeds(tmp_path, started, capsys):  # noqa: F811
    file, out = write(tmp_path), tmp_path / "out"
    assert run(file, out, "--cells", "short", "--seeds", "1") == 0
    assert {path.stem for path in (out / "records" / "short").glob("*.json")} == {"residual-seed1", "highway-seed1"}
    overview = read(out / "results.json")
    assert list(overview["cells"]) == ["short"]
    assert overview["missing"] == {
        "short": ["residual-seed0", "highway-seed0"],
        "long": ["residual-seed0", "highway-seed0"],
    }
    assert "the whole cell: long" in (out / "report.md").read_text()
    assert not (out / "short" / "results.json").exists() and not (out / "context_length.png").exists()
    assert run(file, out, "--only", "report") == 0
    assert "cell long: no run of the baseline is finished" in capsys.readouterr().out
    assert run(file, out, "--seeds", "0", "--arms", "highway", "--only", "run") == 0
    assert [path.relative_to(out).as_posix() for path in started[2:]] == [
        "short/runs/highway/seed-0",
        "long/runs/highway/seed-0",
    ]


def test_a_report_before_any_run_lists_everything(tmp_path):
    assert run(write(tmp_path), tmp_path / "out", "--only", "report") == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert "Nothing to compare yet" in report and "the whole cell: long" in report


def test_finished_cells_are_not_run_again(copied, started):  # noqa: F811
    before = (copied[1] / "records" / "short" / "timing.json").read_bytes()
    assert run(*copied) == 0
    assert started == [] and (copied[1] / "records" / "short" / "timing.json").read_bytes() == before
    assert run(*copied, "--only", "time", "--time_again", "--cells", "short") == 0
    assert (copied[1] / "records" / "short" / "timing.json").read_bytes() != before


# ---- what is refused -----------------------------------------------------------------------------------------------


BAD = {
    "unknown key": ({"short": {"seed": [1]}}, "cell short: unknown key 'seed'; did you mean 'seeds'?"),
    "a word": ({"short": "minbert"}, "cell short: 'minbert'; a mapping is expected"),
    "no folder": ({"a/b": {}}, "cell a/b: is no name for a folder; allowed: letters, digits, _ and -"),
    "records": ({"records": {}}, "cell records: is no name for a folder"),
    "a section": ({"short": {"data": None}}, "cell short: data: None; a mapping is expected"),
    "seeds": ({"short": {"seeds": [1, 1]}}, "cell short: seeds [1, 1]; a list of different whole numbers"),
    "arms": ({"short": {"arms": {"highway": [1]}}}, "cell short: arm highway: [1]; a mapping is expected"),
    "an arm's data": ({"short": {"arms": {"highway": {"data": {"block_size": 8}}}}}, "has another data than"),
    "another match": ({"short": {"parameter_matched": {"wide": "highway"}}}, "parameter_matched names 'wide'"),
    "too long": ({"long": {"data": {"block_size": 64}}}, "cell long: model: max_position_embeddings 32 is below"),
    "recipe": ({"long": {"training": {"budget": 1}}}, "unknown key 'budget'; did you mean 'budgets'?"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_cell_is_refused_in_one_line_before_anything_is_written(tmp_path, capsys, case):
    changes, words = BAD[case]
    assert run(write(tmp_path, cells=changes), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("cells", "words"), [({}, "cells is empty"), ([1], "cells: [1]; a mapping is expected")])
def test_cells_that_are_none(tmp_path, cells, words):
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump(content(tmp_path) | {"cells": cells}))
    with pytest.raises(InputError) as error:
        load_cells(tmp_path / "pair.yaml")
    assert words in str(error.value)


def test_names_on_the_command_line(tmp_path, capsys):
    file = write(tmp_path)
    assert run(file, tmp_path / "out", "--cells", "shrot") == 2
    assert capsys.readouterr().err == "error: --cells: 'shrot'; allowed: short, long\n"
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(content(tmp_path)))
    assert run(tmp_path / "plain.yaml", tmp_path / "out", "--cells", "short") == 2
    assert "plain.yaml has no cells" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("selected", ["short", "long"])
def test_a_record_of_another_recipe_is_refused_also_in_a_cell_that_is_not_selected(copied, capsys, selected):
    file, folder = copied
    changed = yaml.safe_load(file.read_text())
    changed["cells"]["short"]["training"] = {"learning_rate": 0.5}
    changed_file = folder.parent / "changed.yaml"
    changed_file.write_text(yaml.safe_dump(changed, sort_keys=False))
    assert run(changed_file, folder, "--cells", selected) == 2
    assert "cell short: " in capsys.readouterr().err
    CellsRunner(load_cells(file), folder).check([])


def test_losses_at_other_horizons_are_not_compared(tmp_path, capsys):
    causal = {"recipe": {"objective": {"objective": "causal_lm"}, "model": {"overrides": None}}, "tune": None}
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 16}
    arms = {
        "residual": {"model": {"model_type": "nanogpt", "overrides": sizes}},
        "highway": {"model": {"model_type": "conv_gpt", "overrides": sizes | {"prediction_horizon": 4}}},
    }
    (tmp_path / "pair.yaml").write_text(
        yaml.safe_dump(merge(content(tmp_path), causal) | {"arms": arms}, sort_keys=False)
    )
    assert run(tmp_path / "pair.yaml", tmp_path / "out") == 2
    assert "prediction_horizon differs (residual 1, highway 4)" in capsys.readouterr().err
