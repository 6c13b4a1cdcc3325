# Copyright 2026 The hf_variants authors. MIT licence.
"""`train.py` as its user meets it: it trains, evaluates and exports, and says in one line what it was given wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForMaskedLM, AutoTokenizer

from hf_variants.hub.export import check_folder
from tests.helpers.places import ROOT
from tests.helpers.tiny import tiny_content, write_text
from training import train

QUICK = {"max_steps": 4, "budgets": [1.0], "warmup_steps": 1, "eval_every": 2, "checkpoint_every": 2}


def write_recipe(folder: Path, **changes: Any) -> Path:
    content = tiny_content(folder, **(changes | {"training": QUICK | changes.get("training", {})}))
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def program(folder: str, *arguments: Any) -> subprocess.CompletedProcess:
    """`train.py` in a process of its own, started from `folder` of the repository as the user would."""
    command = [sys.executable, "training/train.py" if folder == "." else "train.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module", params=[".", pytest.param("training", marks=pytest.mark.slow)])
def trained(request, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A model trained from the root of the repository, and one from inside training/."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, program(request.param, "--config", write_recipe(folder), "--output_dir", folder / "out")


def test_it_trains_evaluates_and_exports(trained):
    folder, done = trained
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    record = json.loads((folder / "out" / "record.json").read_text())
    test = record["marks"][-1]["test"]
    assert f"test       loss {test['loss']:.4f}" in done.stdout and record["steps"] == 4
    model = folder / "out" / "model"
    assert done.stdout.endswith(f"Hub-ready folder: {model}\n")
    check_folder(model)
    loaded, tokenizer = AutoModelForMaskedLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    assert loaded.num_parameters() == record["parameters"]
    text = "the cat sat"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert loaded(**tokenizer(text, return_tensors="pt")).logits.shape == (1, len(text), loaded.config.vocab_size)


def test_the_exported_record_says_how_to_make_it_again(trained):
    folder, _ = trained
    command = json.loads((folder / "out" / "model" / "record.json").read_text())["command"]
    assert command.startswith("accelerate launch training/train.py --config ") and str(folder / "out") in command


def test_the_same_command_again_only_exports(trained):
    folder, _ = trained
    before = tree(folder / "out")
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(folder / "recipe.yaml"), "--output_dir", str(folder / "out")])
    assert stop.value.code == 0
    after = tree(folder / "out")
    assert {name: data for name, data in after.items() if not name.startswith("model/")} == {
        name: data for name, data in before.items() if not name.startswith("model/")
    }
    assert after["model/model.safetensors"] == before["model/model.safetensors"]


def test_a_changed_recipe_is_refused_and_all_is_kept(trained, capfd):
    folder, _ = trained
    before = tree(folder / "out")
    options = ["--config", folder / "recipe.yaml", "--output_dir", folder / "out", "--learning_rate", "0.5"]
    assert refused(capfd, *options).endswith(
        "holds a run of another recipe (training.learning_rate: 0.01 → 0.5); use another --output_dir"
    )
    assert tree(folder / "out") == before


def refused(capfd, *options: Any) -> str:
    """What `train.py` says when it exits with code 2: one line and no traceback."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        train.main(list(map(str, options)))
    written = capfd.readouterr().err
    assert stop.value.code == 2, written
    lines = [line for line in written.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("error: "), written
    return lines[0]


def short(folder: Path) -> str:
    (folder / "short.txt").write_text("the cat sat on the mat and fell")
    return str(folder / "short.txt")


def split_folder(folder: Path, **texts: str) -> str:
    (folder / "splits").mkdir()
    for name, text in texts.items():
        (folder / "splits" / f"{name}.txt").write_text(text)
    return str(folder / "splits")


LONG = "the cat sat on the mat " * 20
WRONG = {
    "unknown section": (lambda _: {"trainig": {}}, "unknown key 'trainig'; did you mean 'training'?"),
    "unknown key": (lambda _: {"training": {"learning_rat": 1}}, "'learning_rat'; did you mean 'learning_rate'?"),
    "unknown variant": (lambda _: {"model": {"model_type": "minbrt"}}, "'minbrt'; allowed: minbert, highway_bert"),
    "enum of the recipe": (
        lambda _: {"training": {"schedule": "cosin"}},
        "training.schedule: 'cosin'; allowed: constant_with_decay, linear, cosine",
    ),
    "enum of the model": (lambda _: {"model": {"overrides": {"norm_position": "before"}}}, "norm_position"),
    "field of the model": (
        lambda _: {"model": {"overrides": {"hiden_size": 8}}},
        "minbert has no field 'hiden_size'; did you mean 'hidden_size'?",
    ),
    "heads": (
        lambda _: {"model": {"overrides": {"num_attention_heads": 3}}},
        "num_attention_heads is 3; allowed: a divisor of hidden_size, which is 16",
    ),
    "positions": (
        lambda _: {"model": {"overrides": {"max_position_embeddings": 8}}},
        "max_position_embeddings 8 is below data.block_size 16",
    ),
    "layers": (
        lambda _: {"model": {"overrides": {"num_hidden_layers": 10**6}}},
        "num_hidden_layers 1e+06; allowed: up to 10000",
    ),
    "width": (
        lambda _: {"model": {"overrides": {"hidden_size": 10**9}}},
        "model.overrides: hidden_size is a number this large; allowed: up to 2e+07",
    ),
    "sizes that only the net itself refuses": (
        lambda _: {"model": {"model_type": "bert", "overrides": {"intermediate_size": -1}}},
        "model: RuntimeError: Trying to create tensor with negative dimension",
    ),
    "vocabulary": (lambda _: {"model": {"overrides": {"vocab_size": 9}}}, "vocab_size 9 is below the tokenizer's"),
    "no data": (lambda p: {"data": {"dataset": str(p / "none.txt")}}, "none.txt' is no file"),
    "kind of data": (lambda p: {"data": {"dataset": str(p / "recipe.yaml")}}, "unknown kind of file"),
    "empty train": (
        lambda p: {"data": {"dataset": split_folder(p, train="", validation=LONG)}},
        "train split is empty",
    ),
    "empty test": (
        lambda p: {"data": {"dataset": split_folder(p, train=LONG, validation=LONG, test=" \n")}},
        "test split is empty",
    ),
    "empty validation": (
        lambda p: {"data": {"split_fractions": [1.0, 0.0, 0.0]}},
        "validation split is empty",
    ),
    "short text": (
        lambda p: {"data": {"dataset": short(p)}},
        "tokenizes to 3 tokens, less than one block of 16",
    ),
    "warm-up": (lambda _: {"training": {"warmup_steps": 9}}, "training.warmup_steps: 9 is beyond step 3"),
    "batch": (lambda _: {"training": {"gradient_accumulation_steps": 3}}, "3 does not divide batch_size 4"),
    "objective": (lambda _: {"objective": {"objective": "masked_ml"}}, "'masked_ml'; allowed: masked_lm"),
    "tokenizer": (
        lambda _: {"tokenizer": {"tokenizer": "charcter"}},
        "'charcter'; allowed: character, words, wordpiece",
    ),
    "no mask token": (
        lambda _: {"tokenizer": {"special_tokens": ["[PAD]", "[UNK]"]}},
        "masked_lm needs a tokenizer with a mask token",
    ),
    "tracker": (lambda _: {"training": {"trackers": ["tensorbord"]}}, "tensorbord"),
    "precision": (lambda _: {"training": {"mixed_precision": "fp8"}}, "training.mixed_precision: 'fp8'; allowed: no"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_recipe_is_said_in_one_line(tmp_path, capfd, case):
    changes, words = WRONG[case]
    recipe = write_recipe(tmp_path, **changes(tmp_path))
    assert words in refused(capfd, "--config", recipe, "--output_dir", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_broken_and_misplaced_files(tmp_path, capfd):
    out = ("--output_dir", tmp_path / "out")
    assert refused(capfd, "--config", tmp_path / "no.yaml", *out) == f"error: {tmp_path}/no.yaml: no such file"
    assert "is a folder" in refused(capfd, "--config", tmp_path, *out)
    (tmp_path / "broken.yaml").write_text("model: [")
    assert "not valid YAML" in refused(capfd, "--config", tmp_path / "broken.yaml", *out)
    write_text(tmp_path)
    assert "a mapping is expected" in refused(capfd, "--config", tmp_path / "text.txt", *out)


def test_the_command_line(tmp_path, capfd):
    recipe = write_recipe(tmp_path)
    assert "--output_dir" in refused(capfd, "--config", recipe)
    given = ("--config", recipe, "--output_dir", tmp_path / "out")
    assert "--learning_rat" in refused(capfd, *given, "--learning_rats", "1")
    assert "needs --repo_id" in refused(capfd, *given, "--push_to_hub")
    assert "write field=value" in refused(capfd, *given, "--overrides", "hidden_size")
    assert "not valid YAML" in refused(capfd, *given, "--overrides", "hidden_size=[1")
    assert "training.max_steps: -1" in refused(capfd, *given, "--max_steps", "-1")


@pytest.mark.parametrize("place", ["file.txt/out", "file.txt"])
def test_where_nothing_can_be_written_it_is_said(tmp_path, capfd, place):
    (tmp_path / "file.txt").write_text("kept")
    message = refused(capfd, "--config", write_recipe(tmp_path), "--output_dir", tmp_path / place)
    assert "file.txt" in message
    assert (tmp_path / "file.txt").read_text() == "kept"


def test_an_interrupted_run_that_is_then_changed_loses_nothing(tmp_path, capfd, monkeypatch):
    from hf_variants.experiments.engine import loop

    original = loop.Loop._after_step

    def interrupted(self, phase):
        original(self, phase)
        if self.progress.step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "_after_step", interrupted)
    given = ["--config", str(write_recipe(tmp_path)), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        train.main(given)
    assert stop.value.code == 130 and "run the same command again" in capfd.readouterr().err
    before = tree(tmp_path / "out")
    assert "checkpoints/update-000000002/model.safetensors" in before
    message = refused(capfd, *given, "--seed", "7")
    assert "training.seed: None → 7" in message
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("wrong", ["recipe", pytest.param("output", marks=pytest.mark.slow)])
def test_one_line_also_from_a_process_of_its_own(tmp_path, wrong):
    (tmp_path / "file.txt").write_text("")
    recipe = write_recipe(tmp_path, **({"training": {"learning_rat": 1}} if wrong == "recipe" else {}))
    out = tmp_path / "out" if wrong == "recipe" else tmp_path / "file.txt" / "out"
    done = program(".", "--config", recipe, "--output_dir", out)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path):
    """Without dropout the number of processes changes nothing but rounding: same batches, same masks, same mean."""
    quiet = {"overrides": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    recipe = write_recipe(tmp_path, model=quiet, training={"gradient_accumulation_steps": 2})
    assert program(".", "--config", recipe, "--output_dir", tmp_path / "one").returncode == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "training/train.py"]
    command = [*launch, "--config", str(recipe), "--output_dir", str(tmp_path / "two")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"ACCELERATE_USE_CPU": "1"}
    )
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / run / "record.json").read_text()) for run in ("one", "two"))
    assert two["marks"][-1]["test"]["loss"] == pytest.approx(one["marks"][-1]["test"]["loss"], abs=1e-4)
    assert done.stdout.count("Hub-ready folder") == 1
    check_folder(tmp_path / "two" / "model")
