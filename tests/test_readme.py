# Copyright 2026 The hf_variants authors. MIT licence.
"""Every command and every piece of code in the README, run as it stands (only budgets are cut short)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hf_variants.experiments.comparisons.cells import load_cells
from hf_variants.experiments.recipes.recipe import read_yaml, recipe_from_dict
from tests.helpers.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- (\w+): ([^\n]*?) -->\n```\w+\n(.*?)```", README, flags=re.DOTALL)
SHORT = "--max_steps 6 --warmup_steps 2 --max_eval_blocks 8"


def blocks(kind: str, about: str = "") -> list[tuple[str, str]]:
    """The blocks of one kind: what their mark says, and their text."""
    return [(what, text) for marked, what, text in BLOCKS if marked == kind and about in what]


def test_every_command_is_marked_as_run_or_covered():
    fenced = re.findall(r"```(?:sh|python|yaml)\n", README)
    assert len(fenced) == len(BLOCKS) and {kind for kind, _, _ in BLOCKS} == {"covered", "run", "file", "row"}


def test_make_targets_exist():
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = re.findall(r"make ([a-z-]+)", "".join(text for _, text in blocks("covered", "make")))
    assert named and set(named) <= set(targets)


def test_files_and_recipes_that_the_readme_names_exist():
    made_here = {what for what, _ in blocks("file")}
    for path in set(re.findall(r"(?:training|model_cards|hf_variants)/[\w/.-]+\.\w+", README)) - made_here:
        assert (ROOT / path).exists(), path
    for path in set(re.findall(r"training/comparisons/\w+\.yaml", README)) - made_here:
        assert load_cells(ROOT / path).cells
    for path in set(re.findall(r"training/recipes/\w+\.yaml", README)):
        recipe_from_dict(read_yaml(ROOT / path))


def test_no_placeholder_is_left():
    assert "@@" not in README


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the package and programs with a short demo in it, and the README's own variant and objective added."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("hf_variants", "training"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in blocks("file"):
        (folder / path).write_text(text, encoding="utf-8")
    add_row(folder / "hf_variants" / "auto.py", blocks("row")[0][1])
    demo = "training/compare.py --config training/comparisons/demo.yaml --output_dir runs/demo"
    run(f"{sys.executable} {demo} {SHORT}", folder)
    for _, text in blocks("run", "sh, first"):
        run(shortened(text), folder)
    return folder


def add_row(path: Path, snippet: str) -> None:
    """Puts the imports of the README's snippet below the other imports, and its row at the end of the table."""
    imports = [line for line in snippet.splitlines() if line.startswith("from")]
    row = next(line for line in snippet.splitlines() if line.startswith("    Row("))
    text = path.read_text(encoding="utf-8")
    text = text.replace("\n\n\n@dataclass", "\n" + "\n".join(imports) + "\n\n\n@dataclass", 1)
    path.write_text(re.sub(r"(TABLE = \(.*?)\n\)", rf"\1\n{row}\n)", text, count=1, flags=re.DOTALL), encoding="utf-8")


def run(script: str, folder: Path) -> str:
    """Runs a shell script in the copied checkout and returns its output."""
    environment = os.environ | {"PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def shortened(script: str) -> str:
    """The script with a small budget for every training command."""
    lines = script.replace("\\\n", " ").splitlines()
    return "\n".join(line + f" {SHORT}" if "train.py" in line or "compare.py" in line else line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", [text for what, text in blocks("run", "sh") if what != "sh, first" and "tiny_shakespeare" not in what]
)
def test_shell_commands(checkout, script):
    run(shortened(script), checkout)


@pytest.mark.slow
@pytest.mark.parametrize("code", [text for _, text in blocks("run", "python")])
def test_python_examples(checkout, code):
    run(f"{sys.executable} - <<'END'\n{code}\nEND", checkout)


@pytest.mark.slow
def test_the_depth_analysis_as_the_readme_calls_it(checkout):
    script = next(text for what, text in blocks("run", "tiny_shakespeare"))
    command = script.replace("\\\n", " ").splitlines()[1]
    assert command.startswith("python training/analyze_depth.py")
    run(command.replace("runs/hvr", "runs/demo").replace("tiny_shakespeare", "builtin/pydoc --max_blocks 4"), checkout)
    assert list((checkout / "runs" / "demo" / "depth").glob("*.png"))


@pytest.mark.slow
def test_the_readme_variant_starts_as_minbert_when_asked_to(checkout):
    code = """
import torch
from hf_variants.bert.modeling_minbert import MinBertModel
from hf_variants.bert.modeling_rezero_bert import ReZeroBertConfig, ReZeroBertModel
sizes = dict(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
variant = ReZeroBertModel(ReZeroBertConfig(**sizes, initial_scale=1.0)).eval()
baseline = MinBertModel(variant.config).eval()
print(baseline.load_state_dict(variant.state_dict(), strict=False))
ids = torch.arange(6)[None]
assert torch.equal(variant(ids).last_hidden_state, baseline(ids).last_hidden_state)
"""
    run(f"{sys.executable} - <<'END'\n{code}\nEND", checkout)
