# Copyright 2026 The hf_variants authors. MIT licence.
"""`hf-variants`: what it runs, and that help, mistakes and what needs no model come without torch."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import hf_variants_command.main as command
from hf_variants.experiments.files import read_json
from tests.helpers.places import ROOT, TRAINING

# Says on stderr, beside what the command says, which of the heavy libraries were loaded.
WATCHED = """
import atexit, sys
HEAVY = ("torch", "transformers", "datasets", "numpy", "matplotlib")
atexit.register(lambda: print("loaded:", *(name for name in HEAVY if name in sys.modules), file=sys.stderr))
from hf_variants_command.main import main
main(sys.argv[1:])
"""
NOTHING = "loaded:\n"
FOUND = "from importlib.util import find_spec; exit(find_spec('hf_variants.training') is None)"
pytestmark = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", FOUND], cwd="/", capture_output=True).returncode != 0,
    reason="hf_variants.training is not there: install the package again (pip install -e .)",
)


def run(*arguments: str, folder: Path = ROOT, program: str = WATCHED, given: str = "") -> subprocess.CompletedProcess:
    command_line = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command_line, cwd=folder, capture_output=True, text=True, input=given)


def test_help_is_grouped_and_ends_with_two_examples():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, NOTHING)
    assert all(f"\n{group}:\n" in done.stdout for group in command.GROUPS)
    assert done.stdout.splitlines()[-2:] == [f"  {example}" for example in command.EXAMPLES]
    assert run().stdout == done.stdout


def test_help_takes_less_than_a_second():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    run("--help")
    run("train", "--help")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2


@pytest.mark.parametrize("name", command.PROGRAMS)
def test_the_help_of_every_program_loads_no_torch(name):
    done = run(name, "--help")
    assert (done.returncode, done.stderr) == (0, NOTHING)
    assert done.stdout.startswith(f"usage: hf-variants {name} [-h]")
    examples = done.stdout.partition("\nexamples:\n")[2].splitlines()
    assert len(examples) == 2 and all("hf-variants " in line or "accelerate launch " in line for line in examples)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tran"], "command line: 'tran'; did you mean 'train'?"),
        (["zzz"], "allowed: demo, train, compare"),
        (["train", "--no_such", "1"], "required: --config, --output_dir"),
        (["train", "--config", "demo", "--output_dir", "x", "--no_such"], "unrecognized arguments: --no_such"),
        (["train", "--config", "minbert_pydocs", "--output_dir", "x"], "did you mean minbert_pydoc"),
        (["train", "--config", "demo", "--output_dir", "x", "--learning_rate", "0"], "allowed: above 0"),
        (["compare", "--config", "conv_gpt", "--output_dir", "x"], "did you mean conv_vs_gpt"),
        (["evaluate", "--model_dir", "x", "--task", "guess"], "--task: invalid choice: 'guess'"),
        (["generate", "--model_dir", "x", "--top", "0"], "--top: 0; allowed: from 1 up"),
        (["show", "conv_v_gpt"], "did you mean conv_vs_gpt"),
    ],
)
def test_a_mistake_is_one_line_and_costs_no_import(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.endswith(NOTHING) and done.stderr.count("\n") == 2
    assert words in done.stderr


def test_the_version_is_the_package_s():
    from hf_variants import __version__

    assert run("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize("arguments", [["show", "conv_vs_gpt"], ["show"], ["recipes"]])
def test_what_needs_no_model_loads_none(arguments):
    done = run(*arguments)
    assert done.returncode == 0 and done.stderr == NOTHING and done.stdout


def test_every_program_is_there():
    assert {program.module for program in command.PROGRAMS.values()} <= {path.stem for path in TRAINING.glob("*.py")}


def test_it_trains_by_name_in_any_folder_and_says_how(tmp_path):
    short = ["--max_eval_blocks", "2", "--max_steps", "2", "--warmup_steps", "1"]
    done = run("train", "--config", "minbert_pydoc", "--output_dir", "runs/a", *short, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_json(tmp_path / "runs" / "a" / "model" / "record.json")
    assert record["model_type"] == "minbert"  # registered, although the package was opened without its own file
    assert record["command"] == f"hf-variants train --config minbert_pydoc --output_dir runs/a {' '.join(short)}"
    said = run("generate", "--model_dir", "runs/a/model", folder=tmp_path, given="the [MASK]\n\na [MASK] [MASK]\n")
    assert said.returncode == 0 and len(said.stdout.splitlines()) == 2 + 3


def test_the_demo_is_a_comparison_in_the_current_folder(monkeypatch):
    asked = []
    monkeypatch.setattr(command, "start", lambda program, arguments: asked.append((program.module, arguments)))
    with pytest.raises(SystemExit) as stop:
        command.main(["demo", "--seeds", "0"])
    assert stop.value.code == 0
    assert asked == [("compare", ["--config", "demo", "--output_dir", "runs/demo", "--seeds", "0"])]


def test_opening_the_package_later_is_the_same_as_importing_it():
    code = """
from hf_variants_command.loading import load_package, open_package
open_package()
import hf_variants.experiments.recipes.sections, sys
assert "torch" not in sys.modules
load_package()
import hf_variants
from transformers import AutoConfig
assert hf_variants.__version__ and AutoConfig.for_model("minbert").model_type == "minbert"
open_package(); load_package()
assert sys.modules["hf_variants"] is hf_variants
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_it_says_what_to_install():
    hidden = 'import sys\nsys.modules["accelerate"] = None\n' + WATCHED
    done = run("train", "--config", "demo", "--output_dir", "x", program=hidden)
    assert done.returncode == 2
    assert "error: accelerate is not installed; pip install 'hf_variants[train]'\n" in done.stderr


@pytest.mark.parametrize("command_line", ["--help", "recipes", "show conv_vs_gpt"])
def test_output_that_nobody_reads_ends_in_silence(command_line):
    program = [sys.executable, "-m", "hf_variants_command", *command_line.split()]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert running.stderr.read() == b"" and running.wait() == 141


def test_it_runs_as_a_module_too():
    done = subprocess.run([sys.executable, "-m", "hf_variants_command", "--help"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0 and b"new-variant" in done.stdout


@pytest.mark.slow
def test_a_program_is_launched_as_a_module(tmp_path):
    program = ["hf_variants.training.train", "--config", "minbert_pydoc", "--output_dir", str(tmp_path / "run")]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "-m"]
    short = ["--max_steps", "2", "--warmup_steps", "1", "--max_eval_blocks", "2"]
    done = subprocess.run([*launcher, *program, *short], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "run" / "model" / "record.json")["command"].startswith("hf-variants train --config")
