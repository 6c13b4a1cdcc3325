# Copyright 2026 The hf_variants authors. MIT licence.
"""The documents: every command and piece of code, run as it stands (only budgets are cut short), and every link."""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from hf_variants import growth
from hf_variants.experiments.comparisons.cells import load_cells
from hf_variants.experiments.pages.claims import anchor
from hf_variants.experiments.pages.documents import DOCUMENTS, FIRST, TRAINING
from hf_variants.experiments.recipes.recipe import read_yaml, recipe_from_dict
from tests.helpers.places import ROOT

SHORT = "--max_steps 6 --warmup_steps 2 --max_eval_blocks 8"
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
MOST_WORDS = 1500  # of the first page
KINDS = {"covered", "run", "file", "row"}


class Block(NamedTuple):
    """A fenced block: its document, the kind and the words of the mark above it, and its text."""

    document: str
    kind: str
    what: str
    text: str


def _blocks() -> list[Block]:
    pattern = re.compile(r"<!-- (\w+): ([^\n]*?) -->\n```\w+\n(.*?)```", flags=re.DOTALL)
    return [Block(name, *found) for name, text in TEXTS.items() for found in pattern.findall(text)]


BLOCKS = _blocks()


def blocks(kind: str, about: str = "") -> list[tuple[str, str]]:
    """The blocks of one kind in all documents: what their mark says, and their text."""
    return [(block.what, block.text) for block in BLOCKS if block.kind == kind and about in block.what]


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_every_command_is_marked_as_run_or_covered(name):
    fenced = re.findall(r"```(?:sh|python|yaml)\n", TEXTS[name])
    assert len(fenced) == sum(block.document == name for block in BLOCKS)
    assert {block.kind for block in BLOCKS} == KINDS


def test_the_first_page_is_short():
    words = len(TEXTS[FIRST].split())
    assert words <= MOST_WORDS, f"{FIRST} has {words} words"


def test_make_targets_exist():
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = re.findall(r"\bmake ([a-z-]+)", "".join(text for _, text in blocks("covered", "make")))
    assert named and set(named) <= set(targets)


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_files_and_recipes_that_a_document_names_exist(name):
    made_here = {what for what, _ in blocks("file")}
    for path in set(re.findall(r"(?:training|model_cards|hf_variants|tests)/[\w/.-]+\.\w+", TEXTS[name])) - made_here:
        assert (ROOT / path).exists(), path
    for path in set(re.findall(r"training/comparisons/\w+\.yaml", TEXTS[name])) - made_here:
        assert load_cells(ROOT / path).cells
    for path in set(re.findall(r"training/recipes/\w+\.yaml", TEXTS[name])):
        recipe_from_dict(read_yaml(ROOT / path))


def test_modules_that_the_journeys_name_exist():
    rooms = ROOT / "hf_variants" / "experiments"
    named = set(re.findall(r"`(\w+/\w*(?:\.py)?)`", TEXTS["hf_variants/experiments/README.md"]))
    assert len(named) > 40
    assert [path for path in sorted(named) if not (rooms / path).exists()] == []


def test_the_rooms_of_the_picture_are_those_that_are_there():
    rooms = ROOT / "hf_variants" / "experiments"
    picture = TEXTS["hf_variants/experiments/README.md"].split("```")[1]
    assert set(re.findall(r"^(\w+)/", picture, flags=re.MULTILINE)) == {
        path.parent.name for path in rooms.glob("*/__init__.py")
    }


def test_the_guide_lists_what_growth_offers():
    section = TEXTS["hf_variants/README.md"].split("| function | does |")[1].split("\n\n")[0]
    assert {*re.findall(r"`(\w+)`", section)} | {"Growth"} == {*growth.__all__}


def test_no_placeholder_is_left():
    assert not [name for name, text in TEXTS.items() if "@@" in text]


# ---- links ---------------------------------------------------------------------------------------------------------


def links(text: str) -> list[str]:
    """The targets of links and images, but for those in code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(path: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {anchor(heading.replace("`", "")) for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}


def dead_links(name: str, text: str) -> list[str]:
    """The links of a document that lead to no file of the clone, or to no heading of one."""
    dead = []
    for target in links(text):
        parts = urlsplit(target)
        if not parts.scheme:
            path = ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
            path = path if parts.path else ROOT / name
            is_file = path.is_file() and path.is_relative_to(ROOT)
            if not is_file or (parts.fragment and parts.fragment not in anchors(path)):
                dead.append(target)
    return dead


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_no_link_is_dead(name):
    assert links(TEXTS[name]) and dead_links(name, TEXTS[name]) == []


def test_dead_links_are_found():
    text = "[a](README.md#models) [b](README.md#nowhere) ![c](gone.png) [d](#install) `[e](f)` [g](https://h.org/i)"
    assert dead_links(TRAINING, text) == ["README.md#models", "README.md#nowhere", "gone.png"]
    assert dead_links(FIRST, text) == ["README.md#nowhere", "gone.png", "#install"]


def test_the_first_page_leads_to_every_other():
    assert {*DOCUMENTS} - {FIRST} <= {urlsplit(target).path for target in links(TEXTS[FIRST])}


# ---- commands and code ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of package and programs with a short demo in it, and the variant and objective of the guide added."""
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
    """Puts the imports of the guide's snippet below the other imports, and its row at the end of the table."""
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
def test_the_depth_analysis_as_the_guide_calls_it(checkout):
    script = next(text for what, text in blocks("run", "tiny_shakespeare"))
    command = script.replace("\\\n", " ").splitlines()[1]
    assert command.startswith("python training/analyze_depth.py")
    run(command.replace("runs/hvr", "runs/demo").replace("tiny_shakespeare", "builtin/pydoc --max_blocks 4"), checkout)
    assert list((checkout / "runs" / "demo" / "depth").glob("*.png"))


def test_the_first_pages_piece_of_a_variant_is_one_of_the_guide():
    (piece,) = (block.text for block in BLOCKS if block.document == FIRST and "whole of it" in block.what)
    whole = next(text for what, text in blocks("file") if "modeling" in what)
    assert set(piece.splitlines()) <= set(whole.splitlines())


@pytest.mark.slow
def test_the_variant_of_the_guide_starts_as_minbert_when_asked_to(checkout):
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
