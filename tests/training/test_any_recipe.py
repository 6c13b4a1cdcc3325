# Copyright 2026 The hf_variants authors. MIT licence.
"""Whatever is written into a recipe or a comparison, a program runs it or says in one line what is wrong."""

import contextlib
import copy
import io
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hf_variants.experiments.comparisons.comparison import KEYS
from hf_variants.experiments.engine import run
from hf_variants.experiments.recipes.recipe import SECTIONS, merge, read_yaml
from tests.helpers.tiny import write_text
from tests.helpers.tiny_labelled import write_examples
from tests.training.test_recipes import COMPARISONS, RECIPES, is_labelled, stem
from training import compare, train

LONGEST = 120  # seconds in which one line should be said
# Sizes that models of one family or another have, as small as they go; a recipe keeps those that it sets itself.
SMALL = {
    **{"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8},
    **{"max_position_embeddings": 16, "embedding_size": 4, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16},
    **{"level_layers": None, "level_heads": None, "num_blocks": 1, "query_key_size": 4},
}
QUICK = {"max_tokens": None, "max_epochs": None, "max_seconds": None, "max_steps": 2, "batch_size": 2,
         "gradient_accumulation_steps": 1, "budgets": [1.0], "warmup_steps": 0, "eval_every": 2, "eval_batch_size": 4,
         "mixed_precision": "no", "checkpoint_every": 0, "snapshot_every": 0}  # fmt: skip
BRIEF = {"samples": 1, "sample_tokens": 2, "answer_questions": 2, "bootstrap_samples": 5, "selection_metric": None}
STRANGE = (
    *(None, True, False, 0, 1, -1, 2, 3.7, -0.5, 10**9, 10**30, -(10**18), float("nan"), float("inf"), 1e300, 1e-300),
    *("", " ", "no", "1e-3", "nan", "-1", "x" * 300, "\x00", "é😀", "a/b", "..", "/", "null", "a=1,b", "builtin/none"),
    *([], [None], [1, "a"], [[]], [float("nan")], {}, {"a": 1}, {1: 2}, {"a": {"b": []}}, [{}], [{"x": 1}]),
)
TEXT_EDITS = (
    *(
        "\t",
        ":",
        "- ",
        "{",
        "}",
        "[",
        "&a ",
        "*a",
        "<<: *a",
        "!!python/object:os.system ",
        "!!binary x",
        "%",
        "@",
        "|",
    ),
    *("|", "> ", "---\n", "...\n", "? ", "\x00", "\ud800", "2026-02-30", "2026-02-28", "0o17", "1_000", ".inf", "~"),
    *("9" * 5000, "0x" + "f" * 5000, "[" * 3000, "#", "'", '"', "\\", "\ufeff", "="),
)


class AcceptedError(Exception):
    """Stands for the training that would begin now."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[bool, str]:
    """Data sets without and with labels."""
    folder = tmp_path_factory.mktemp("data")
    return {False: str(write_text(folder, 2500)), True: str(write_examples(folder))}


def small(content: dict[str, Any], data: dict[bool, str]) -> dict[str, Any]:
    """A shipped recipe with small data, a small new model, and two steps to train."""
    content = copy.deepcopy(content)
    labelled = is_labelled(content)
    model_type = content["model"].get("model_type") or ("bert" if labelled else "gpt2")
    known = transformers.CONFIG_MAPPING[model_type]().to_dict()
    sizes = {name: value for name, value in SMALL.items() if name in known}
    own = {} if content["model"].get("pretrained") else content["model"].get("overrides") or {}
    kept = {name: value for name, value in own.items() if name not in sizes}
    content["model"] = {"model_type": model_type, "overrides": {**sizes, **kept}}
    text = {"dataset": data[labelled], "block_size": 8, "max_eval_blocks": 4, "split_fractions": [0.8, 0.1, 0.1]}
    kind = (content.get("tokenizer") or {}).get("tokenizer", "character")
    tokenizer = {"tokenizer": kind if kind in ("character", "words", "bpe") else "character", "vocab_size": 300}
    content |= {"data": text, "tokenizer": tokenizer, "labels": {}}
    training = QUICK | ({"train": "full", "early_stopping": None} if labelled else {})
    return merge(content, {"training": training, "objective": BRIEF})


@pytest.fixture(scope="module")
def recipes(data) -> dict[str, dict[str, Any]]:
    return {path.stem: small(read_yaml(path), data) for path in RECIPES}


@pytest.fixture(scope="module")
def comparisons(data) -> dict[str, dict[str, Any]]:
    """Shipped comparisons of small recipes, each with two of its arms, which are alike but for what edits make."""
    found = {}
    for path in COMPARISONS:
        content = read_yaml(path)
        base = content["recipe"]
        base = read_yaml(path.parent / base) if isinstance(base, str) else base
        first, *others = content["arms"]
        model = {"model": content["arms"][first].get("model", {})}
        arms = {arm: {"description": "an arm", "model": {"overrides": {}}} for arm in (first, others[0])}
        content |= {"recipe": small(merge(base, model), data), "arms": arms, "baseline": first, "seeds": [0]}
        found[path.stem] = content | {"tune": None, "cells": None, "parameter_matched": {}}
    return found


def places(content: Any, at: tuple = ()) -> Iterator[tuple]:
    """The path of every key and item of nested mappings and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from places(value, (*at, key))


def parent_of(content: Any, place: tuple) -> Any:
    for key in place[:-1]:
        content = content[key]
    return content


def missing_fields() -> list[tuple[str, str]]:
    return [(section, name) for section, cls in SECTIONS.items() for name in cls.__dataclass_fields__]


@st.composite
def edited(draw: st.DrawFn, content: dict[str, Any], more: tuple[tuple, ...]) -> str:
    """A file's text after one to three random edits. `more` are places that a file may have."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([*places(content), *more]))
        parent = content
        with contextlib.suppress(KeyError, TypeError, IndexError):
            parent = parent_of(content, place)
        kind = draw(st.sampled_from(["set", "set", "set", "delete", "rename", "swap", "wrap"]))
        _edit(draw, parent, place[-1], kind)
    text = yaml.safe_dump(content, allow_unicode=draw(st.booleans()), sort_keys=False)
    if draw(st.integers(0, 4)) == 4:
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.sampled_from(TEXT_EDITS)) + text[cut + draw(st.integers(0, 3)) :]
    return text


def _edit(draw: st.DrawFn, parent: Any, key: Any, kind: str) -> None:
    """Changes `parent[key]`, where that can be."""
    has = isinstance(parent, dict) and key in parent or isinstance(parent, list) and key in range(len(parent))
    if kind == "set" and (has or isinstance(parent, dict)):
        parent[key] = copy.deepcopy(draw(st.sampled_from(STRANGE)))  # the next edit may change it
    elif kind == "delete" and has:
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict) and has:
        parent[f"{str(key)[:-1]}{draw(st.sampled_from(['', 's', 'é', ' ']))}"] = parent.pop(key)
    elif kind == "swap" and has:
        other = draw(st.sampled_from(list(parent) if isinstance(parent, dict) else range(len(parent))))
        parent[key], parent[other] = parent[other], parent[key]
    elif kind == "wrap" and has:
        parent[key] = draw(st.sampled_from([[parent[key]], {"value": parent[key]}, str(parent[key])]))


def run_program(program: Any, path: Path, folder: Path) -> str:
    """Runs a program's `main`. Returns "accepted", "finished", or the one line that it says; fails otherwise."""
    told = io.StringIO()
    arguments = ["--config", str(path), "--output_dir", str(folder / "out")]
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            program.main(arguments)
    except AcceptedError:
        return "accepted"
    except SystemExit as stop:
        if stop.code == 0:
            return "finished"
        lines = [line for line in told.getvalue().splitlines() if line.startswith("error: ")]
        assert stop.code == 2 and len(lines) == 1 and "Traceback" not in told.getvalue(), told.getvalue()
        assert len(lines[0]) < 4000
        return lines[0]
    finally:
        signal.alarm(0)
    raise AssertionError("the program did not exit")


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"nothing was said in {LONGEST} seconds")


def begin(*_: Any, **__: Any) -> None:
    raise AcceptedError


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


MORE = (*((section,) for section in SECTIONS), *missing_fields())
COMPARISON_MORE = (*((key,) for key in KEYS), *(("tune", name) for name in ("trials", "seed", "space", "max_steps")))


@pytest.mark.hunt
def test_an_edited_recipe_is_run_or_refused_in_one_line(recipes, monkeypatch):
    counts: Counter[str] = Counter()
    training = run._train

    @given(st.sampled_from(sorted(recipes)).flatmap(lambda name: edited(recipes[name], MORE)), st.integers(0, 19))
    def check(text, number):
        monkeypatch.setattr(run, "_train", training if number == 7 and is_short(text) else begin)
        with tempfile.TemporaryDirectory() as folder:
            said = run_program(train, write(Path(folder), text), Path(folder))
        counts[said if said in ("accepted", "finished") else "refused"] += 1

    check()
    assert counts["refused"] and counts["accepted"], counts


def is_short(text: str) -> bool:
    """Whether an edited recipe still says to take two steps, with little to do after them."""
    try:
        found = yaml.safe_load(text)
        training, objective = found["training"], found["objective"]
        steps = all(training[name] == QUICK[name] for name in ("max_steps", "batch_size", "budgets", "eval_every"))
        return steps and all(objective[name] == BRIEF[name] for name in ("samples", "sample_tokens"))
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        return False


@pytest.mark.hunt
def test_an_edited_comparison_is_run_or_refused_in_one_line(comparisons, monkeypatch):
    counts: Counter[str] = Counter()
    monkeypatch.setattr(compare, "work", begin)

    @given(st.sampled_from(sorted(comparisons)).flatmap(lambda name: edited(comparisons[name], COMPARISON_MORE)))
    def check(text):
        with tempfile.TemporaryDirectory() as folder:
            said = run_program(compare, write(Path(folder), text), Path(folder))
        counts[said if said in ("accepted", "finished") else "refused"] += 1

    check()
    assert counts["refused"] and counts["accepted"], counts


@pytest.mark.parametrize("name", [stem(path) for path in RECIPES])
def test_what_is_edited_is_accepted_as_it_is(recipes, monkeypatch, tmp_path, name):
    monkeypatch.setattr(run, "_train", begin)
    assert run_program(train, write(tmp_path, yaml.safe_dump(recipes[name])), tmp_path) == "accepted"


@pytest.mark.parametrize("name", [stem(path) for path in COMPARISONS])
def test_what_is_edited_of_comparisons_is_accepted_as_it_is(comparisons, monkeypatch, tmp_path, name):
    monkeypatch.setattr(compare, "work", begin)
    assert run_program(compare, write(tmp_path, yaml.safe_dump(comparisons[name])), tmp_path) == "accepted"
