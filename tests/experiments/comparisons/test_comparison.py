# Copyright 2026 The hf_variants authors. MIT licence.
"""Comparisons: what is run, what is not run again, how arms are tuned, and which files are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForMaskedLM

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.comparisons import arm_timing
from hf_variants.experiments.comparisons import runner as module
from hf_variants.experiments.comparisons.comparison import load_comparison
from hf_variants.experiments.comparisons.runner import Runner
from hf_variants.experiments.comparisons.tuning import trial_settings
from hf_variants.experiments.recipes.recipe import merge
from hf_variants.experiments.results.views import VIEWS
from hf_variants.hub.export import check_folder
from tests.helpers.tiny import tiny_content
from training import compare

QUICK = {"max_steps": 6, "budgets": [1.0], "warmup_steps": 1, "eval_every": 3, "checkpoint_every": 0}
RUNS = {"residual-seed0", "residual-seed1", "highway-seed0", "highway-seed1"}
TRIALS = {f"tune-{arm}-{number}" for arm in ("residual", "highway") for number in (0, 1)}


def content(folder: Path, **changes: Any) -> dict[str, Any]:
    """A comparison of two arms and two seeds, as a comparison file holds it."""
    arms = {
        "residual": {"description": "the baseline", "model": {"model_type": "minbert"}},
        "highway": {"model": {"model_type": "highway_bert", "overrides": {"gate_bias": -1.0}}},
    }
    tune = {"trials": 2, "seed": 9, "max_steps": 4, "space": {"training.learning_rate": {"low": 1e-3, "high": 1e-1}}}
    tune["arm_space"] = {"highway": {"model.overrides.gate_bias": [-1.0, -2.0, -3.0]}}
    base = {"name": "pair", "question": "Which?", "recipe": tiny_content(folder, training=QUICK), "arms": arms}
    return merge(base | {"baseline": "residual", "seeds": [0, 1], "tune": tune, "timing_rounds": 2}, changes)


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "pair.yaml"
    path.write_text(yaml.safe_dump(content(folder, **changes), sort_keys=False))
    return path


def run(file: Path, folder: Path, *arguments: str) -> int:
    """`compare.py`, in this process; returns its exit code."""
    with pytest.raises(SystemExit) as stop:
        compare.main(["--config", str(file), "--output_dir", str(folder), *arguments])
    return stop.value.code


def runner(file: Path, folder: Path) -> Runner:
    return Runner(load_comparison(file), folder)


def names(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "records").glob("*.json")}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def started(monkeypatch) -> list[Path]:
    """The folders of all runs that were started."""
    folders, original = [], module.run_recipe

    def noted(recipe, folder, prepared=None):
        folders.append(folder)
        return original(recipe, folder, prepared)

    monkeypatch.setattr(module, "run_recipe", noted)
    return folders


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """A comparison that ran to its end: its file and its folder. Tests that change something take a copy."""
    folder = tmp_path_factory.mktemp("comparison")
    file = write(folder)
    assert run(file, folder / "out") == 0
    return file, folder / "out"


@pytest.fixture
def copied(finished, tmp_path) -> tuple[Path, Path]:
    return finished[0], Path(shutil.copytree(finished[1], tmp_path / "out"))


# ---- the whole path ------------------------------------------------------------------------------------------------


def test_every_run_leaves_a_record(finished):
    _, folder = finished
    assert names(folder) == RUNS | TRIALS | {"timing", "ngrams"}
    record = read(folder / "records" / "highway-seed1.json")
    assert (record["arm"], record["seed"], record["comparison"]) == ("highway", 1, "pair")
    assert record["steps"] == 6 and record["model_type"] == "highway_bert"


def test_results_hold_every_view_and_every_trial(finished):
    results = read(finished[1] / "results.json")
    assert set(results["views"]) == set(VIEWS)
    assert [row["arm"] for row in results["views"]["equal_tokens"]] == ["highway"]
    assert set(results["arms"]) == {"residual", "highway"} and results["missing"] == []
    assert {arm: len(trials) for arm, trials in results["tuning"].items()} == {"residual": 2, "highway": 2}
    for name in ("report.md", "table.txt", "loss_curves.png"):
        assert (finished[1] / name).stat().st_size > 0


@pytest.mark.parametrize("arm", ["residual", "highway"])
def test_each_arm_has_a_folder_for_the_hub_from_its_best_seed(finished, arm):
    _, folder = finished
    model = folder / "models" / arm
    check_folder(model)
    losses = [
        read(folder / "records" / f"{arm}-seed{seed}.json")["marks"][-1]["validation"]["loss"] for seed in (0, 1)
    ]
    best = losses.index(min(losses))
    weights = folder / "runs" / arm / f"seed-{best}" / "final" / "model.safetensors"
    assert (model / "model.safetensors").read_bytes() == weights.read_bytes()
    assert read(model / "results.json") == read(folder / "results.json")
    loaded = AutoModelForMaskedLM.from_pretrained(model)
    assert loaded.config.model_type == {"residual": "minbert", "highway": "highway_bert"}[arm]


def test_a_finished_comparison_runs_nothing_again(copied, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("a finished run was started again")

    monkeypatch.setattr(module, "run_recipe", fail)
    before = (copied[1] / "records" / "timing.json").read_bytes()
    assert run(*copied) == 0
    assert (copied[1] / "records" / "timing.json").read_bytes() == before


def test_a_lost_record_is_had_again_from_its_run(copied, started):
    file, folder = copied
    path = folder / "records" / "highway-seed1.json"
    before = read(path)
    path.unlink()
    runner(file, folder).run(["residual", "highway"], [0, 1])
    assert started == [folder / "runs" / "highway" / "seed-1"] and read(path) == before


def test_a_lost_run_is_run_again_to_the_same_end(copied, started):
    file, folder = copied
    path = folder / "records" / "highway-seed1.json"
    before = read(path)
    path.unlink()
    shutil.rmtree(folder / "runs" / "highway" / "seed-1")
    runner(file, folder).run(["residual", "highway"], [0, 1])
    assert len(started) == 1
    for key in ("recipe_fingerprint", "parameters", "flops_per_token", "steps"):
        assert read(path)[key] == before[key]
    for mark, old in zip(read(path)["marks"], before["marks"], strict=True):
        assert (mark["validation"], mark["test"]) == (old["validation"], old["test"])


def test_work_can_be_shared_by_arms_and_seeds(tmp_path, started, capsys):
    file, folder = write(tmp_path, tune=None), tmp_path / "out"
    assert run(file, folder, "--arms", "highway", "--seeds", "1") == 0
    assert names(folder) == {"highway-seed1"}
    assert "3 runs are missing: residual-seed0, residual-seed1, highway-seed0" in capsys.readouterr().out
    assert not (folder / "results.json").exists()
    assert run(file, folder, "--only", "report") == 2  # the baseline has no run yet
    assert run(file, folder) == 0
    assert names(folder) == RUNS | {"timing", "ngrams"} and len(started) == 4
    assert (folder / "models" / "residual" / "README.md").exists()


def test_unknown_arms_and_seeds_on_the_command_line(tmp_path, capsys):
    file = write(tmp_path)
    assert run(file, tmp_path / "out", "--arms", "highwai") == 2
    assert capsys.readouterr().err == "error: --arms: 'highwai'; allowed: residual, highway\n"
    assert run(file, tmp_path / "out", "--seeds", "7") == 2
    assert not (tmp_path / "out").exists()


# ---- tuning --------------------------------------------------------------------------------------------------------


def test_arms_get_as_many_trials_and_the_same_shared_draws(tmp_path):
    loaded = load_comparison(write(tmp_path, tune={"trials": 3}))
    drawn = {arm: trial_settings(loaded, arm) for arm in loaded.arms}
    rates = {arm: [s["training.learning_rate"] for s in settings] for arm, settings in drawn.items()}
    assert rates["residual"] == rates["highway"] and len(set(rates["residual"])) == 3
    assert all(1e-3 <= rate <= 1e-1 for rate in rates["residual"])
    assert {len(s) for s in drawn["residual"]} == {1}
    assert {s["model.overrides.gate_bias"] for s in drawn["highway"]} <= {-1.0, -2.0, -3.0}
    assert trial_settings(loaded, "highway") == drawn["highway"]


@pytest.mark.parametrize("seed", range(50, 60))
def test_shared_draws_agree_also_where_they_come_from_a_short_list(tmp_path, seed):
    loaded = load_comparison(write(tmp_path))
    loaded.tune |= {"seed": seed, "trials": 2, "space": {"training.learning_rate": [1e-3, 1e-2]}}
    drawn = {arm: [s["training.learning_rate"] for s in trial_settings(loaded, arm)] for arm in loaded.arms}
    assert drawn["residual"] == drawn["highway"] and set(drawn["residual"]) == {1e-3, 1e-2}


def test_a_space_too_small_for_the_trials_is_named(tmp_path):
    small = {"trials": 3, "space": {"training.learning_rate": [1e-3, 1e-2]}, "arm_space": None}
    with pytest.raises(InputError, match="fewer than 3 different"):
        load_comparison(_with_tune(tmp_path, small))


def _with_tune(folder: Path, tune: dict[str, Any]) -> Path:
    """The comparison file with other tune keys, replaced and not merged."""
    changed = content(folder)
    changed["tune"] = changed["tune"] | tune
    (folder / "pair.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    return folder / "pair.yaml"


@pytest.mark.parametrize("arm", ["residual", "highway"])
def test_the_lowest_validation_loss_is_chosen(finished, arm):
    work = runner(*finished)
    trials = work.trials()[arm]
    best = min(trials, key=lambda trial: trial.validation_loss)
    assert [trial.chosen for trial in trials] == [trial is best for trial in trials]
    assert work.chosen(arm) == best.settings
    recipe = read(finished[1] / "records" / f"{arm}-seed0.json")["recipe"]
    assert recipe["training"]["learning_rate"] == best.settings["training.learning_rate"]
    assert {trial.tokens for trial in trials} == {4 * 4 * 16} and {trial.seed for trial in trials} == {9}


def test_a_diverged_trial_is_kept_and_not_chosen(tmp_path):
    wild = {"space": {"training.learning_rate": [1e-2, 1e30]}, "arm_space": {}}
    file = _with_tune(tmp_path, wild)
    work = runner(file, tmp_path / "out")
    work.comparison.base["training"] |= {"max_grad_norm": None, "warmup_steps": 0}
    work.tune(["residual"])
    losses = {t.settings["training.learning_rate"]: t.validation_loss for t in work.trials()["residual"]}
    assert losses[1e30] is None and losses[1e-2] < 5
    assert work.chosen("residual") == {"training.learning_rate": 1e-2}
    with pytest.raises(InputError, match="highway has 0 of 2 trials"):
        work.chosen("highway")


def test_an_arm_that_diverges_does_not_stop_the_others(tmp_path, capsys):
    wild = {"learning_rate": 1e30, "max_grad_norm": None, "warmup_steps": 0}
    file = write(tmp_path, tune=None, arms={"highway": {"training": wild}})
    assert run(file, tmp_path / "out") == 0
    assert names(tmp_path / "out") == {"residual-seed0", "residual-seed1"}
    printed = capsys.readouterr().out
    assert "highway, seed 1: training: the gradient norm is" in printed and "2 runs are missing" in printed


def test_where_all_trials_diverge_it_is_said(copied):
    file, folder = copied
    for number in (0, 1):
        path = folder / "records" / f"tune-highway-{number}.json"
        path.write_text(json.dumps(read(path) | {"validation_loss": None}))
    with pytest.raises(InputError, match="every trial of arm highway diverged"):
        runner(file, folder).chosen("highway")


def test_speed_is_measured_in_the_precision_of_the_training(copied, monkeypatch):
    seen, original = set(), arm_timing.one_batch

    def noted(prepared, size):
        losses = original(prepared, size)
        return lambda model: seen.add(torch.is_autocast_enabled("cpu")) or losses(model)

    monkeypatch.setattr(arm_timing, "one_batch", noted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    work = runner(*copied)
    work.time(again=True)
    assert seen == {False}
    seen.clear()
    monkeypatch.setattr(
        work, "final_recipe", lambda arm, seed: work.comparison.recipe(arm, seed, mixed_precision="bf16")
    )
    work.time(again=True)
    assert seen == {True}
    precisions = {"residual": "bf16", "highway": "no"}
    monkeypatch.setattr(
        work, "final_recipe", lambda arm, seed: work.comparison.recipe(arm, seed, mixed_precision=precisions[arm])
    )
    seen.clear()
    work.time(again=True)
    assert seen == {True, False}


def test_a_timing_on_a_busy_machine_says_so(copied, monkeypatch):
    original = arm_timing.time_models

    def busy(candidates, rounds):
        found = original(candidates, rounds)
        found["arms"]["highway"] |= {"train_step_ms": 10.0, "train_step_ms_quartiles": [8.0, 20.0]}
        return found

    monkeypatch.setattr(arm_timing, "time_models", busy)
    said = []
    runner(*copied).time(said.append, again=True)
    assert "of highway spans 1.20 times their median" in said[-1] and said[-1].endswith("repeats it.")


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["highway-seed1", "tune-highway-1"])
def test_a_record_of_another_recipe_is_refused_before_anything_is_run(copied, started, capsys, name):
    file, folder = copied
    path = folder / "records" / f"{name}.json"
    path.write_text(json.dumps(read(path) | {"recipe_fingerprint": "sha256:0"}))
    (folder / "records" / "residual-seed0.json").unlink()
    before = path.read_bytes()
    assert run(file, folder) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: is the record of another recipe") and error.count("\n") == 1
    assert started == [] and path.read_bytes() == before


BAD = {
    "unknown key": ({"seed": [1]}, "unknown key 'seed'; did you mean 'seeds'?"),
    "no arms": ({"arms": None}, "arms is missing"),
    "a list of arms": ({"arms": ["residual"]}, "arms: ['residual']; a mapping is expected"),
    "an arm that is a word": ({"arms": {"highway": "highway_bert"}}, "arm highway: 'highway_bert'; a mapping"),
    "unknown key of an arm": ({"arms": {"highway": {"modle": {}}}}, "unknown key 'modle'; did you mean 'model'?"),
    "baseline": ({"baseline": "resnet"}, "baseline 'resnet'; allowed: residual, highway"),
    "duplicate seeds": ({"seeds": [0, 1, 0]}, "seeds [0, 1, 0]; a list of different whole numbers is expected"),
    "seeds": ({"seeds": 3}, "seeds 3; a list of different whole numbers is expected"),
    "tune.seed": ({"tune": {"seed": 1}}, "tune.seed must be given and differ from seeds [0, 1]"),
    "unknown key of tune": ({"tune": {"trails": 2}}, "unknown key 'trails'; did you mean 'trials'?"),
    "tune is a list": ({"tune": [1]}, "tune: [1]; a mapping is expected"),
    "a seed that is yes": ({"seeds": [True, 0]}, "seeds [True, 0]; a list of different whole numbers is expected"),
    "a seed of tune that is a list": ({"tune": {"seed": [1]}}, "tune.seed: [1]; a whole number is expected"),
    "an arm that is no file": ({"arms": {"../x": {}}}, "arm '../x': is no name for a file"),
    "matched with a list": (
        {"parameter_matched": {"highway": ["residual"]}},
        "parameter_matched names '['residual']'",
    ),
    "seeds of an arm": ({"arms": {"highway": {"seeds": [[0]]}}}, "arm highway: seeds [[0]]; allowed: some of [0, 1]"),
    "a name that is a list": ({"name": ["a"]}, "name ['a']; text is expected"),
    "a description that is a list": ({"arms": {"highway": {"description": [1]}}}, "description [1]; text is expected"),
    "a recipe that is a list": ({"recipe": [1]}, "recipe: [1]; a mapping is expected"),
    "a field beside its part": (
        {"tune": {"space": {"training": [1, 2], "training.learning_rate": [1e-3]}}},
        "training: has a value of its own beside 'training.learning_rate'",
    ),
    "no trials": ({"tune": {"trials": 0}}, "tune.trials: 0; allowed: from 1"),
    "tune for nobody": ({"tune": {"arm_space": {"highwai": {}}}}, "unknown key 'highwai'; did you mean 'highway'?"),
    "tuned field": ({"tune": {"space": {"training.rate": [1, 2]}}}, "unknown key 'rate'"),
    "tuned range": ({"tune": {"space": {"training.learning_rate": {"low": 0, "high": 1}}}}, "low and high above 0"),
    "tuned budget": ({"tune": {"max_tokens": 100}}, "exactly one of max_tokens, max_steps, max_seconds, max_epochs"),
    "parameter_matched": ({"parameter_matched": {"highway": "wide"}}, "parameter_matched names 'wide'"),
    "model field": (
        {"arms": {"highway": {"model": {"overrides": {"gate_bais": 0.0}}}}},
        "highway_bert has no field 'gate_bais'; did you mean 'gate_bias'?",
    ),
    "tuned model field": (
        {"tune": {"arm_space": {"highway": {"model.overrides.gate_tipe": ["scalar", "feature"]}}}},
        "highway_bert has no field 'gate_tipe'; did you mean 'gate_type'?",
    ),
    "heads": ({"recipe": {"model": {"overrides": {"num_attention_heads": 3}}}}, "num_attention_heads is 3"),
    "tuned heads": ({"tune": {"space": {"model.overrides.num_attention_heads": [2, 3]}}}, "num_attention_heads is 3"),
    "model type": ({"arms": {"highway": {"model": {"model_type": "highway"}}}}, "'highway'; allowed: minbert"),
    "warm-up": ({"recipe": {"training": {"warmup_steps": 100}}}, "training.warmup_steps: 100 is beyond step"),
    "tuned warm-up": ({"tune": {"space": {"training.warmup_steps": [1, 50]}}}, "training.warmup_steps: 50 is beyond"),
    "another mask": ({"arms": {"highway": {"objective": {"eval_seed": 1}}}}, "arm highway has another objective than"),
    "another batch": (
        {"arms": {"highway": {"training": {"batch_size": 8}}}},
        "arm highway has another training.batch_si",
    ),
    "data": ({"recipe": {"data": {"dataset": "/nowhere/text.txt"}}}, "'/nowhere/text.txt' is no file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_line_before_anything_is_written(tmp_path, capsys, started, case):
    changes, words = BAD[case]
    assert run(write(tmp_path, **changes), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert started == [] and not (tmp_path / "out").exists()


def test_missing_files_are_named(tmp_path, capsys):
    assert run(tmp_path / "none.yaml", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.yaml'}: no such file\n"
    file = tmp_path / "pair.yaml"
    file.write_text(yaml.safe_dump(content(tmp_path) | {"recipe": "none.yaml"}))
    assert run(file, tmp_path / "out") == 2
    assert "none.yaml: no such file" in capsys.readouterr().err


def test_the_name_of_a_comparison_defaults_to_its_file(tmp_path):
    changed = content(tmp_path)
    del changed["name"]
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    assert load_comparison(tmp_path / "other.yaml").name == "other"
