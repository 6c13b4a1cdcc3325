# Copyright 2026 The hf_variants authors. MIT licence.
"""Comparisons of classifiers: arms that read other tokens, fewer seeds, a floor, the report, usable cards."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf_variants.experiments.analysis.recorded_splits import recorded_reading
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.comparisons import runner as module
from hf_variants.experiments.comparisons.comparison import load_comparison
from hf_variants.experiments.comparisons.runner import Runner
from hf_variants.experiments.recipes.recipe import merge
from hf_variants.experiments.reports.cards import validate_card
from hf_variants.experiments.results.wording import FLOOR_ARM
from hf_variants.hub.export import check_folder
from tests.helpers import sample_comparison as sample
from tests.helpers.tiny_labelled import CONTENT, write_examples

SIZES = CONTENT["model"]["overrides"]
ARMS = {
    "minbert": {"description": "a transformer", "model": {"model_type": "minbert", "overrides": SIZES}},
    "bigru": {
        "seeds": [0],
        "model": {"model_type": "bigru", "overrides": {"embedding_size": 8, "hidden_size": 6}},
        "tokenizer": {"tokenizer": "words", "clean": ["lower_case"], "special_tokens": ["[PAD]", "[UNK]"]},
    },
}
TUNE = {"trials": 2, "seed": 9, "max_steps": 4, "space": {"training.learning_rate": [1e-3, 3e-2]}}
RECORDS = {"minbert-seed0", "minbert-seed1", "bigru-seed0"}
FIGURES = ("precision_recall.png", "reliability.png", "confusion.png")


def write(folder: Path, **changes: Any) -> Path:
    """A comparison file of two classifiers and two seeds."""
    data = folder / "examples"
    if not data.exists():
        write_examples(folder)
    recipe = merge(CONTENT, {"data": {"dataset": str(data)}, "training": {"max_epochs": 1}})
    recipe["model"] = {"model_type": "minbert"}
    content = {"name": "classifiers", "question": "Which?", "recipe": recipe, "baseline": "minbert", "seeds": [0, 1]}
    content |= {"arms": ARMS, "floor": True, "timing_rounds": 2}
    path = folder / "classifiers.yaml"
    path.write_text(yaml.safe_dump(merge(content, changes), sort_keys=False))
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    """A comparison that ran to its end, tuning, floor, timing and export included."""
    folder = tmp_path_factory.mktemp("classifiers")
    work = Runner(load_comparison(write(folder, tune=TUNE)), folder / "out")
    work.check()
    work.tune(list(ARMS))
    work.run(list(ARMS), [0, 1])
    work.write_floor()
    work.time()
    work.export(work.report())
    return work


@pytest.fixture(scope="module")
def results(runner) -> dict[str, Any]:
    return read(runner.folder / "results.json")


# ---- runs and results ----------------------------------------------------------------------------------------------


def test_an_arm_runs_with_its_own_seeds_and_nothing_else_is_missing(runner, results):
    found = {path.stem for path in runner.records.glob("*.json")}
    trials = {f"tune-{arm}-{number}" for arm in ARMS for number in (0, 1)}
    assert found == RECORDS | trials | {"floor", "timing", "pairs"}
    assert runner.missing() == [] and results["missing"] == []
    assert results["seeds"] == [0, 1]
    assert list(results["arms"]["bigru"]["metrics"]["test"]["loss"]["per_seed"]) == ["0"]


def test_only_expected_runs_are_listed_as_missing(runner):
    records = [read(runner.records / f"{name}.json") for name in ("minbert-seed0", "bigru-seed0")]
    about = {"name": "c", "baseline": "minbert", "arms": ARMS, "seeds": [0, 1], "seeds_of": {"minbert": [0, 1]}}
    assert sample.built(about, records).to_json()["missing"] == [
        {"arm": "minbert", "seed": 1},
        {"arm": "bigru", "seed": 1},
    ]
    about["seeds_of"]["bigru"] = [0]
    assert sample.built(about, records).to_json()["missing"] == [{"arm": "minbert", "seed": 1}]


def test_arms_are_compared_by_what_they_are_chosen_by_at_equal_examples(results):
    assert (results["metric"], results["lower_is_better"], results["split"]) == ("average_precision", False, "test")
    assert results["budget_unit"] == "examples" and results["objective"] == "text_classification"
    (row,) = results["views"]["equal_tokens"]
    values = {arm: results["arms"][arm]["metrics"]["test"]["average_precision"]["per_seed"]["0"] for arm in ARMS}
    assert (row["arm"], row["budget"], row["seeds"]) == ("bigru", 64, 1)
    assert row["difference"] == pytest.approx(values["bigru"] - values["minbert"])
    tokens = {arm: results["arms"][arm]["tokens"] for arm in ARMS}
    assert tokens["bigru"] < tokens["minbert"]  # words are fewer than their pieces and [CLS] and [SEP]


def test_every_arm_has_what_its_figures_are_drawn_from(results):
    for arm in ARMS:
        found = results["arms"][arm]["classification"]
        assert set(found["curves"]) == {"precision_recall", "reliability", "confusion"}
        assert set(found["intervals"]) == {"average_precision", "roc_auc", "f1", "accuracy", "f1_tuned"}
        assert found["label_names"] == ["0", "1"] and 0 < found["threshold"] < 1


def test_the_floor_is_of_the_same_examples(runner, results):
    floor = read(runner.records / "floor.json")
    assert results["floor"] == floor
    assert floor["fingerprint"] == results["data"]["fingerprint"]
    assert set(floor["metrics"]) == {"validation", "test"}
    assert floor["metrics"]["test"]["average_precision"] > 0.9  # one word decides
    assert floor["classification"]["intervals"]["average_precision"]["value"] == pytest.approx(
        floor["metrics"]["test"]["average_precision"]
    )
    assert sum(map(sum, floor["classification"]["curves"]["confusion"])) == 32


def test_a_floor_is_not_fitted_again(runner, monkeypatch):
    monkeypatch.setattr(module, "floor_record", None)
    runner.write_floor()


def test_a_floor_of_other_data_is_refused(runner, tmp_path):
    records = Path(shutil.copytree(runner.records, tmp_path / "records"))
    (records / "floor.json").write_text(json.dumps(read(records / "floor.json") | {"fingerprint": "sha256:0"}))
    with pytest.raises(InputError, match="the floor was made from other data"):
        Runner(runner.comparison, tmp_path, records).results()


def test_arms_are_paired_on_the_test_examples_and_again_from_the_records_alone(runner, results, tmp_path):
    (pair,) = results["pairs"]
    values = {arm: results["arms"][arm]["metrics"]["test"]["average_precision"]["per_seed"]["0"] for arm in ARMS}
    assert (pair["arm"], pair["against"], pair["seed"], pair["examples"]) == ("bigru", "minbert", 0, 32)
    assert pair["difference"] == pytest.approx(values["bigru"] - values["minbert"], abs=1e-5)
    assert pair["ci95"][0] <= pair["difference"] <= pair["ci95"][1]
    text = (runner.folder / "report.md").read_text()
    assert f"| bigru | minbert | 0 | 32 | {pair['difference']:+.3f} | {pair['ci95'][0]:+.3f} to " in text
    assert Runner(runner.comparison, tmp_path, runner.records).report().to_json()["pairs"] == [pair]


def test_results_say_how_the_data_was_read_for_whoever_evaluates_a_published_model(runner, results):
    recorded = recorded_reading(str(runner.folder / "models" / "bigru"))
    assert recorded.data["dataset"] == results["data"]["name"] and recorded.labels["label_column"] == "label"
    assert recorded.fingerprint == results["data"]["fingerprint"]


def test_cost_stands_beside_score_where_arms_end_at_different_costs(runner, results):
    cost = {arm: results["arms"][arm]["quiet_seconds"] for arm in ARMS}
    (sentence,) = [s for s in results["verdicts"] if s.startswith("No verdict at equal training time")]
    assert f"training took {cost['bigru'] / cost['minbert']:.2f} times as long" in sentence
    assert "| arm | training (s), at quiet speed | times minbert |" in (runner.folder / "report.md").read_text()
    assert "training (s), at quiet speed" in (runner.folder / "table.txt").read_text()


# ---- tuning --------------------------------------------------------------------------------------------------------


def test_trials_are_chosen_by_average_precision_and_higher_is_better(runner, tmp_path):
    """Also where the loss says otherwise."""
    records = Path(shutil.copytree(runner.records, tmp_path / "records"))
    for number, (score, loss) in enumerate([(0.9, 0.7), (0.8, 0.1)]):
        path = records / f"tune-bigru-{number}.json"
        trial = read(path)
        assert trial["selection"]["metric"] == "average_precision" and not trial["selection"]["lower_is_better"]
        trial["selection"]["value"] = score
        path.write_text(json.dumps(trial | {"validation_loss": loss}))
    work = Runner(runner.comparison, tmp_path, records)
    assert [trial.chosen for trial in work.trials()["bigru"]] == [True, False]
    assert work.chosen("bigru") == work.trials()["bigru"][0].settings


def test_the_compared_runs_have_the_chosen_settings(runner):
    for arm in ARMS:
        trials = runner.trials()[arm]
        best = max(trials, key=lambda trial: trial.selection.value)
        recipe = read(runner.records / f"{arm}-seed0.json")["recipe"]
        assert best.chosen and recipe["training"]["learning_rate"] == best.settings["training.learning_rate"]


# ---- what a reader sees --------------------------------------------------------------------------------------------


def test_the_report_says_what_the_arms_are_worth_as_classifiers(runner):
    text = (runner.folder / "report.md").read_text()
    for heading in ("## Verdict", "## Arms", "### At equal examples", "## Classification", "## Tuning", "## Data"):
        assert f"{heading}\n" in text
    section = text.split("## Classification")[1].split("## Tuning")[0]
    assert re.findall(r"^\| ([\w -]+?) \| \d", section, flags=re.MULTILINE) == ["minbert", "bigru", "TF-IDF floor"]
    assert "The floor is logistic regression on TF-IDF" in section
    arms = text.split("## Arms")[1].split("## Comparisons")[0]
    assert re.findall(r"^\| (\w[^|]+) \| [\d-]", arms, flags=re.MULTILINE) == [*ARMS, FLOOR_ARM]
    assert "* bigru: all parameters train (722 of 722 parameters)." in section
    assert all(f"]({name})" in section and (runner.folder / name).stat().st_size > 5000 for name in FIGURES)
    assert "| validation average precision | chosen |" in text
    assert "One seed only, so no interval" in text
    assert "The average precision is that of the finished models, over 2 seeds" in text
    assert re.search(r"\| train \| 64 rows, .*, labels \(0: 57.8 %, 1: 42.2 %\), ", text)
    assert "**Not finished yet" not in text and "{'" not in text


@pytest.mark.parametrize("arm", ARMS)
def test_cards_are_valid_and_say_how_the_classifier_is_used(runner, arm):
    folder = runner.folder / "models" / arm
    check_folder(folder)
    card = (folder / "README.md").read_text()
    assert validate_card(card).pipeline_tag == "text-classification"
    assert "### As a classifier" in card and "`classification_threshold`" in card
    assert ("The tokenizer cleans text itself (lower_case)" in card) == (arm == "bigru")
    assert ("the best of 2 seeds on validation" in card) == (arm == "minbert")
    assert "average_precision (average_precision)" not in card and "{'" not in card
    assert all((folder / name).exists() for name in FIGURES)


@pytest.mark.slow
def test_the_examples_of_the_cards_run_in_their_folders_without_the_package(runner, tmp_path):
    code = ["import os, sys; sys.modules['hf_variants'] = None"]
    for arm in ARMS:
        card = (runner.folder / "models" / arm / "README.md").read_text()
        code += [
            f"os.chdir({str(runner.folder / 'models' / arm)!r})",
            re.search(r"```python\n(.*?)```", card, re.DOTALL)[1],
        ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path)}
    given = [sys.executable, "-c", "\n".join(code)]
    done = subprocess.run(given, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.strip().splitlines()[-2:]:
        found = ast.literal_eval(line)
        assert {one["label"] for one in found} == {"0", "1"} and sum(one["score"] for one in found) == pytest.approx(1)


def test_what_is_kept_is_small_and_holds_the_figures_and_the_floor(runner, tmp_path):
    runner.keep(tmp_path / "kept")
    found = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"report.md", "results.json", "minbert.md", "bigru.md", "records", *FIGURES} <= found
    assert {path.stem for path in (tmp_path / "kept" / "records").iterdir()} >= RECORDS | {"floor"}
    assert sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*") if path.is_file()) < 2e6


def test_figures_that_a_comparison_no_longer_has_are_not_kept(runner, tmp_path):
    (tmp_path / "confusion.png").write_bytes(b"of old")
    folder = tmp_path / "out"
    folder.mkdir()
    Runner(runner.comparison, folder, runner.records).keep(tmp_path, tmp_path / "records")
    assert not (tmp_path / "confusion.png").exists()


# ---- budgets of their own ------------------------------------------------------------------------------------------


def test_arms_with_other_budgets_are_refused_unless_they_are_meant_to(tmp_path):
    longer = {"bigru": {"training": {"max_epochs": 2}}}
    with pytest.raises(InputError, match="arm bigru has another training.max_epochs than minbert"):
        load_comparison(write(tmp_path, arms=longer))
    assert load_comparison(write(tmp_path, arms=longer, own_budgets=True)).own_budgets


def test_own_budgets_are_compared_at_their_ends(tmp_path):
    changes = {"arms": {"bigru": {"training": {"max_epochs": 2, "batch_size": 16}}}, "own_budgets": True}
    work = Runner(load_comparison(write(tmp_path, seeds=[0], floor=False, **changes)), tmp_path / "out")
    work.run(list(ARMS), [0])
    results = work.report().to_json()
    assert results["budget_unit"] == "own budget" and "floor" not in results
    (row,) = results["views"]["equal_tokens"]
    assert (row["arm"], row["against"], row["budget"]) == ("bigru", "minbert", 1.0)
    assert (results["arms"]["minbert"]["steps"], results["arms"]["bigru"]["steps"]) == (8, 8)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "### At equal own budget" not in text
    assert "### At the end of each arm's own budget" in text
    assert not (work.records / "floor.json").exists()


# ---- what is refused -----------------------------------------------------------------------------------------------


BAD = {
    "another length": ({"bigru": {"data": {"block_size": 8}}}, None),
    "other data": ({"bigru": {"data": {"text_column": "body"}}}, "arm bigru has another data than minbert"),
    "other labels": ({"bigru": {"labels": {"label_column": "kind"}}}, "arm bigru: unknown key 'labels'"),
    "unknown seeds": ({"bigru": {"seeds": [7]}}, r"arm bigru: seeds \[7\]; allowed: some of \[0, 1\]"),
    "no seeds": ({"bigru": {"seeds": []}}, r"arm bigru: seeds \[\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_arms_have_the_same_labelled_examples_however_they_read_them(tmp_path, case):
    arms, message = BAD[case]
    if message is None:
        assert load_comparison(write(tmp_path, arms=arms)).recipe("bigru", 0).data.block_size == 8
        return
    with pytest.raises(InputError, match=message):
        load_comparison(write(tmp_path, arms=arms))


@pytest.mark.parametrize("labels", [{"label_column": "score", "problem_type": "regression"}, {"pair_column": "kind"}])
def test_what_has_no_floor_is_said(tmp_path, labels):
    file = write(tmp_path, recipe={"labels": labels}, baseline="minbert")
    with pytest.raises(InputError, match="floor: is for classes or labels of single texts"):
        Runner(load_comparison(file), tmp_path / "out").write_floor(lambda _: None)
