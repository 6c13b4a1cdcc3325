# Copyright 2026 The hf_variants authors. MIT licence.
"""No program writes over, empties or removes what is not its own: it says so before it does anything else."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.record import OF_A_RUN, claim_folder, refuse_foreign
from hf_variants.experiments.files import claim_file
from hf_variants.hub.export import (
    MADE,
    ExportError,
    changed_files,
    check_folder,
    check_target,
    folder_files,
    put_in_place,
)
from tests.helpers.tiny import tiny_content
from tests.helpers.tiny_labelled import labelled_recipe
from training import analyze_depth, benchmark, compare, convex_hull, evaluate_model, make_cards, make_site, train
from training import prepare_tokenizer as prepare_tokenizer_program

QUICK = {"max_steps": 2, "budgets": [1.0], "warmup_steps": 0, "eval_every": 2, "checkpoint_every": 0}
MINE = "precious"


def call(program: Any, *options: Any) -> int:
    """A program's exit code."""
    with pytest.raises(SystemExit) as stop:
        program.main(list(map(str, options)))
    return stop.value.code or 0


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(MINE)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def recipe_file(folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(tiny_content(folder, training=QUICK)))))
    return path


def comparison_file(folder: Path) -> Path:
    path = folder / "pair.yaml"
    base = json.loads(json.dumps(tiny_content(folder, training=QUICK)))
    content = {"name": "pair", "question": "Which?", "recipe": base, "baseline": "one", "seeds": [0]}
    path.write_text(yaml.safe_dump(content | {"arms": {"one": {}, "two": {}}, "timing_rounds": 2}))
    return path


# ---- every program refuses -----------------------------------------------------------------------------------------

RUN_FILES = ("model/weights.safetensors", "final/model-00001-of-00002.safetensors", "snapshots/a", "metrics.jsonl",
             "record.json", "predictions.jsonl", "checkpoints/update-1/x", "loss_curves.png",
             "architecture_tiny.png")  # fmt: skip
COMPARED = ("results.json", "report.md", "table.txt", "samples.md", "one.md", "loss_curves.png", "models/one/a.md",
            "runs/a.txt", "tune/a.txt")  # fmt: skip
SOURCES: dict[str, tuple[Any, Callable[[Path], list[Any]], tuple[str, ...]]] = {
    "train": (train, lambda here: ["--config", recipe_file(here)], RUN_FILES),
    "compare": (compare, lambda here: ["--config", comparison_file(here)], COMPARED),
    "evaluate_model": (
        evaluate_model,
        lambda here: ["--model_dir", "none", "--task", "language_model", "--dataset", "none"],
        ("metrics.json", "predictions.jsonl", "confusion.png"),
    ),
    "convex_hull": (convex_hull, lambda here: ["--queries", 100], ("convex_hull.json", "convex_hull.png")),
    "analyze_depth": (
        analyze_depth,
        lambda here: ["--models", "none", "--data", "none"],
        ("analysis.json", "lesions.png", "over_training.png"),
    ),
    "prepare_tokenizer": (
        prepare_tokenizer_program,
        lambda here: ["--dataset", "builtin/pydoc", "--tokenizer", "character"],
        ("tokenizer.json", "notes.txt"),
    ),
}
CASES = [(program, name) for program, (_, _, names) in SOURCES.items() for name in names]


@pytest.mark.parametrize(("program", "name"), CASES)
def test_a_folder_with_files_of_another_is_refused_before_anything_is_written(tmp_path, capsys, program, name):
    main, options, _ = SOURCES[program]
    folder = put(tmp_path / "out", name, "README.md", "src/code.py")
    before = tree(folder)
    assert call(main, *options(tmp_path), "--output_dir", folder) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert name.split("/")[0] in error and str(folder) in error
    assert tree(folder) == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, capsys):
    put(tmp_path, "out/model")
    assert call(train, "--config", recipe_file(tmp_path), "--output_dir", tmp_path / "out") == 2
    assert "model: is a file" in capsys.readouterr().err and (tmp_path / "out" / "model").read_text() == MINE


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"a": 1}'])
def test_a_recipe_or_record_of_something_else_is_no_proof(tmp_path, capsys, content):
    for name in ("recipe.json", "record.json"):
        folder = tmp_path / name.removesuffix(".json")
        folder.mkdir()
        (folder / name).write_text(content)
        assert call(train, "--config", recipe_file(tmp_path), "--output_dir", folder) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert tree(folder) == {name: content.encode()}


def test_benchmark_writes_over_no_other_file(tmp_path, capsys):
    put(tmp_path, "bench.json", "curve/context_curve.json")
    assert call(benchmark, "--output", tmp_path / "bench.json", "--only", "minbert_8x128") == 2
    assert call(benchmark, "--curve", tmp_path / "curve") == 2
    assert set(tree(tmp_path).values()) == {MINE.encode()} and "of this program" in capsys.readouterr().err
    (tmp_path / "bench.json").write_text('{"environment": {}, "cases": [], "different": {}}')
    benchmark.parse_arguments(["--output", str(tmp_path / "bench.json")])


def test_pages_are_made_in_the_place_of_ours_alone(tmp_path, capsys):
    put(tmp_path, "docs/README.md", "site/index.html")
    assert call(make_cards, "--folder", tmp_path / "docs") == 2
    assert call(make_site, "--folder", tmp_path / "docs", "--output", tmp_path / "site") == 2
    assert set(tree(tmp_path).values()) == {MINE.encode()}
    assert "README.md: is not the page that is made here" in capsys.readouterr().err


def test_copies_are_kept_in_a_folder_of_copies(tmp_path, capsys):
    put(tmp_path, "docs/report.md", "docs/records/a.json")
    options = ["--config", comparison_file(tmp_path), "--output_dir", tmp_path / "out", "--keep_in", tmp_path / "docs"]
    assert call(compare, *options) == 2
    assert "docs: holds report.md, records, and no results.json of this program" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and set(tree(tmp_path / "docs").values()) == {MINE.encode()}


# ---- what is our own is gone on with -------------------------------------------------------------------------------


def test_other_files_do_not_hinder_a_run_and_stay(tmp_path, capsys):
    folder = put(tmp_path / "out", "run.log", "src/code.py", "README.md")
    (folder / "model").mkdir()  # empty
    assert call(train, "--config", recipe_file(tmp_path), "--output_dir", folder) == 0
    check_folder(folder / "model")
    assert {name for name, data in tree(folder).items() if data == MINE.encode()} == {"run.log", "src/code.py",
                                                                                      "README.md"}  # fmt: skip


def test_what_a_user_does_to_a_finished_model_stays(tmp_path, capsys):
    folder, options = tmp_path / "out", ["--config", recipe_file(tmp_path), "--output_dir", tmp_path / "out"]
    assert call(train, *options) == 0
    first = tree(folder)
    assert call(train, *options) == 0
    assert tree(folder) == first and "left as they are" not in capsys.readouterr().out
    card = folder / "model" / "README.md"
    card.write_text(card.read_text() + "\nMy own words.\n")
    put(folder / "model", "notes.txt", "assets/plot.svg")
    (folder / "model" / "loss_curves.png").unlink()
    before = tree(folder)
    for _ in range(2):
        assert call(train, *options) == 0
        assert "or added: README.md, assets/plot.svg, notes.txt\n" in capsys.readouterr().out
        after = tree(folder)
        assert set(after) - set(before) == {"model/loss_curves.png"}  # made again
        assert {name: after[name] for name in before if name != f"model/{MADE}"} == {
            name: data for name, data in before.items() if name != f"model/{MADE}"
        }
    assert MADE not in dict(folder_files(folder / "model"))
    card.unlink()
    assert call(train, *options) == 0
    assert card.read_bytes() == first["model/README.md"]


def test_a_model_from_before_digests_were_kept_is_ours_by_its_record(tmp_path):
    folder, options = tmp_path / "out", ["--config", recipe_file(tmp_path), "--output_dir", tmp_path / "out"]
    assert call(train, *options) == 0
    (folder / "model" / MADE).unlink()
    (folder / "model" / "README.md").write_text("---\nlicense: mit\n---\nMy own words.\n")
    put(folder / "model", "notes.txt")
    (folder / "model" / "config.json").write_text("{}")  # of a former version
    assert call(train, *options) == 0
    assert changed_files(folder / "model") == ["README.md", "notes.txt"]
    check_folder(folder / "model")
    (folder / "model" / MADE).unlink()
    (folder / "model" / "record.json").unlink()
    before = tree(folder)
    assert call(train, *options) == 2 and tree(folder) == before


def test_a_comparison_goes_on_in_its_folder_and_keeps_edited_cards(tmp_path, capsys):
    options = ["--config", comparison_file(tmp_path), "--output_dir", tmp_path / "out", "--keep_in", tmp_path / "kept"]
    assert call(compare, *options) == 0
    card = tmp_path / "out" / "models" / "one" / "README.md"
    card.write_text(card.read_text() + "\nMy own words.\n")
    before = card.read_text()
    assert call(compare, *options) == 0
    assert card.read_text() == before and "models/one: left as they are, having been" in capsys.readouterr().out
    (tmp_path / "out" / "comparison.json").unlink()  # as before folders were marked
    assert call(compare, *options, "--only", "report") == 0


def test_an_evaluation_is_written_over_by_the_next_and_over_no_run(tmp_path, capsys):
    from hf_variants.experiments.engine.run import run_recipe

    run_recipe(labelled_recipe(tmp_path, {"training.max_epochs": 1}), tmp_path / "run")
    given = ["--model_dir", tmp_path / "run" / "final", "--task", "text_classification", "--dataset",
             tmp_path / "examples"]  # fmt: skip
    for _ in range(2):
        assert call(evaluate_model, *given, "--output_dir", tmp_path / "run" / "scores") == 0
    before = tree(tmp_path / "run")
    assert call(evaluate_model, *given, "--output_dir", tmp_path / "run") == 2
    assert "run: holds predictions.jsonl, and no metrics.json of this program" in capsys.readouterr().err
    assert tree(tmp_path / "run") == before


# ---- the parts -----------------------------------------------------------------------------------------------------


def test_empty_folders_and_a_claimed_one_are_fine(tmp_path):
    for name in ("model", "final", "checkpoints"):
        (tmp_path / "run" / name).mkdir(parents=True)
    refuse_foreign(tmp_path / "run")
    claim_folder(tmp_path / "run", {"data_fingerprint": "x"})
    put(tmp_path / "run", *RUN_FILES)
    refuse_foreign(tmp_path / "run")
    claim_folder(tmp_path / "run", {"data_fingerprint": "x"})
    with pytest.raises(InputError, match="holds a run of another recipe"):
        claim_folder(tmp_path / "run", {"data_fingerprint": "y"})
    assert len(OF_A_RUN) >= len({name.split("/")[0] for name in RUN_FILES})


def test_the_proof_is_a_file_with_certain_keys(tmp_path):
    claim_file(tmp_path / "none" / "a.json", ("x",), "*.png")
    put(tmp_path, "b.png")
    with pytest.raises(InputError, match="holds b.png, and no a.json of this program"):
        claim_file(tmp_path / "a.json", ("x",), "*.png")
    (tmp_path / "a.json").write_text('{"x": 1, "y": 2}')
    claim_file(tmp_path / "a.json", ("x",), "*.png")
    with pytest.raises(InputError, match="holds a.json, b.png"):
        claim_file(tmp_path / "a.json", ("z",), "*.png")


def test_files_are_replaced_and_removed_where_they_are_as_they_were_put(tmp_path):
    def make(**files: str) -> Path:
        partial = tmp_path / "new"
        partial.mkdir()
        for name, text in files.items():
            (partial / name).write_text(text)
        return partial

    put_in_place(make(a="1", b="1", c="1", d="1"), tmp_path / "out")
    (tmp_path / "out" / "b").write_text("edited")
    (tmp_path / "out" / "d").write_text("edited")
    put(tmp_path / "out", "e", ".git/config")
    put_in_place(make(a="2", b="2", f="2"), tmp_path / "out")
    found = {name: data.decode() for name, data in tree(tmp_path / "out").items() if name != MADE}
    assert found == {"a": "2", "b": "edited", "d": "edited", "e": MINE, "f": "2", ".git/config": MINE}
    assert changed_files(tmp_path / "out") == ["b", "d", "e"]


def test_a_kill_while_a_folder_is_replaced_loses_nothing_and_is_made_good(tmp_path, monkeypatch):
    def make(text: str) -> Path:
        put(partial := tmp_path / "new")
        partial.mkdir(exist_ok=True)
        for name in "abc":
            (partial / name).write_text(text)
        return partial

    put_in_place(make("1"), tmp_path / "out")
    put(tmp_path / "out", "mine")
    original, count = os.replace, 0

    def dying(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:  # the digests, then a, then b
            raise KeyboardInterrupt
        original(source, target)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        put_in_place(make("2"), tmp_path / "out")
    monkeypatch.setattr(os, "replace", original)
    assert {name: (tmp_path / "out" / name).read_text() for name in "abc"} == {"a": "2", "b": "1", "c": "1"}
    put(tmp_path / "out", "README.md", "config.json", "model.safetensors")
    with pytest.raises(ExportError, match="was not replaced as a whole; run the command that made it again"):
        check_folder(tmp_path / "out")
    check_target(tmp_path / "out")
    put_in_place(make("3"), tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_text() for name in "abc"} == dict.fromkeys("abc", "3")
    assert (tmp_path / "out" / "mine").read_text() == MINE


def test_cells_are_all_looked_at_before_any_is_marked(tmp_path, capsys):
    path = comparison_file(tmp_path)
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"cells": {"first": {}, "second": {"training": {"max_steps": 3}}}}))
    for names in (["second/one.md"], ["report.md"]):
        folder = put(tmp_path / names[0][:3], *names)
        assert call(compare, "--config", path, "--output_dir", folder) == 2
        assert f"holds {names[0].split('/')[-1]}, and no comparison.json" in capsys.readouterr().err
        assert list(tree(folder)) == names
