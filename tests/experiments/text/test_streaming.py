# Copyright 2026 The hf_variants authors. MIT licence.
"""A streamed train split gives the blocks of the one in memory, the same ones on every way to a step."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine import loop
from hf_variants.experiments.engine.identity import identity
from hf_variants.experiments.engine.prepared import PreparedStream, PreparedText, prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.engine.steps import StepDataset, step_loader
from hf_variants.experiments.engine.tokenizer_preparation import prepare_tokenizer, request_of
from hf_variants.experiments.files import read_json
from hf_variants.experiments.recipes.recipe import Recipe, merge, recipe_from_dict, set_dotted
from hf_variants.experiments.text import files as text_files
from hf_variants.experiments.text import streaming
from hf_variants.experiments.text import tokenizer as data
from hf_variants.experiments.text.streaming import Place, StreamOrder, pack
from tests.experiments.engine.test_loop import assert_same_run, run_with_kills
from tests.helpers.places import PROGRAMS
from tests.helpers.tiny import CAUSAL, WORDS

SIZE = 16
UNSHUFFLED = {"data.shuffle_buffer": 0, "data.random_phase": False}


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    """Reads, cuts and tokenizes in pieces so small that each text has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "BLOCK", 500)
        patch.setattr(data, "CHUNK", 700)
        patch.setattr(streaming, "UNIT", 900)
        yield


def documents(count: int, seed: int = 0) -> list[str]:
    """Random texts, some empty, some of several lines."""
    rng = random.Random(seed)
    lines = [[" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(rng.randint(0, 6))]
             for _ in range(count)]  # fmt: skip
    return ["\r\n".join(found) for found in lines]


def as_jsonl(texts: list[str]) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """The same kind of text in several layouts, each with a validation split."""
    root, texts = tmp_path_factory.mktemp("streams"), documents(60)
    found = {name: root / name for name in ("shards", "one_file", "one_text", "texts", "tables")}
    for folder in found.values():
        folder.mkdir()
        (folder / "validation.jsonl").write_text(as_jsonl(documents(10, seed=1)))
    (found["shards"] / "train-0.jsonl").write_text(as_jsonl(texts[:25]))
    (found["shards"] / "train-1.jsonl").write_text("")
    (found["shards"] / "train-2.jsonl").write_text(as_jsonl(["", "  \n"]))
    (found["shards"] / "train-3.jsonl.gz").write_bytes(gzip.compress(as_jsonl(texts[25:]).encode()))
    (found["one_file"] / "train.jsonl").write_text(as_jsonl(texts))
    (found["one_text"] / "train.txt").write_text("\n".join(texts), newline="")
    (found["texts"] / "train").mkdir()
    for number in range(3):
        (found["texts"] / "train" / f"{number}.txt").write_text("\n".join(texts[number::3]), newline="")
    pandas.DataFrame({"text": texts[:30]}).to_parquet(found["tables"] / "train-a.parquet")
    pandas.DataFrame({"text": texts[30:]}).to_csv(found["tables"] / "train-b.csv", index=False)
    return found


def recipe_of(folder: Path | str, changes: dict[str, Any] | None = None) -> Recipe:
    text = {"dataset": str(folder), "streaming": True, "shuffle_buffer": 20, "workers": 0}
    content = merge(CAUSAL, {"data": text, "tokenizer": {"tokenizer": "bpe", "vocab_size": 280}})
    return recipe_from_dict(merge(content, set_dotted(changes or {})))


def prepared_of(folder: Path, **changes: Any) -> tuple[PreparedStream, Recipe]:
    recipe = recipe_of(folder, changes)
    return prepare(recipe), recipe


def in_memory(folder: Path) -> PreparedText:
    return prepare(recipe_of(folder, {"data.streaming": False}))


def order_of(folder: Path, **changes: Any) -> StreamOrder:
    prepared, recipe = prepared_of(folder, **changes)
    return prepared.order(recipe.training)


def batches(order: StreamOrder, count: int, first: int = 0) -> np.ndarray:
    return np.stack([order.rows(step) for step in range(first, first + count)])


LAYOUTS = ("shards", "one_file", "one_text", "texts", "tables")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_stream_gives_the_blocks_of_the_text_in_memory_in_their_order(folders, layout):
    prepared, recipe = prepared_of(folders[layout], **UNSHUFFLED)
    memory = in_memory(folders[layout])
    assert prepared.tokenizer.get_vocab() == memory.tokenizer.get_vocab()
    expected = memory.blocks["train"].all_rows()
    steps = -(-2 * len(expected) // 4)
    found = batches(prepared.order(recipe.training), steps).reshape(-1, SIZE)
    assert len(expected) > 100 and (found[: 2 * len(expected)] == np.concatenate([expected, expected])).all()
    for split in ("validation",):
        assert (prepared.blocks[split].tokens == memory.blocks[split].tokens).all()
    assert (prepared.sample(3)["input_ids"] == memory.sample(3)["input_ids"]).all()


def test_epochs_are_other_orders_of_the_same_blocks(folders):
    stream = order_of(folders["one_file"], **{"data.random_phase": False}).stream
    epochs: list[list[list[int]]] = [[], [], []]
    for window in stream.windows(stream.beginning()):
        if window.mark.epoch == 3:
            break
        assert len(window.rows) <= 20
        epochs[window.mark.epoch] += window.rows.tolist()
    expected = in_memory(folders["one_file"]).blocks["train"].all_rows().tolist()
    assert all(rows != expected and sorted(rows) == sorted(expected) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_shards_are_read_in_a_new_order_in_every_epoch(folders):
    orders = [order_of(folders["shards"]).stream._shards(epoch) for epoch in range(9)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders) and len(set(map(tuple, orders))) > 3
    assert order_of(folders["shards"], **UNSHUFFLED).stream._shards(5) == [0, 1, 2, 3]


def test_a_random_phase_is_that_of_the_text_in_memory(folders):
    prepared, recipe = prepared_of(folders["one_file"], **{"data.shuffle_buffer": 0})
    memory = in_memory(folders["one_file"])
    phase = memory.order(recipe.training).starts(0)[0] % SIZE
    tokens = memory.blocks["train"].tokens[phase:]
    assert phase > 0 and (prepared.order(recipe.training).rows(0).flatten() == tokens[: 4 * SIZE]).all()


def test_a_window_holds_the_blocks_that_follow_each_other(folders):
    plain, mixed = (order_of(folders["one_file"], **{"data.shuffle_buffer": n}) for n in (0, 1000))
    rows = next(plain.stream.windows(plain.stream.beginning())).rows
    both = next(mixed.stream.windows(mixed.stream.beginning())).rows
    assert len(both) < 1000 and not (rows == both[: len(rows)]).all()
    assert {tuple(row) for row in rows.tolist()} <= {tuple(row) for row in both.tolist()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("buffer", [0, 20])
def test_a_step_is_the_same_from_any_position(folders, layout, buffer):
    changes = {"data.shuffle_buffer": buffer, "training.batch_size": 8}
    prepared, recipe = prepared_of(folders[layout], **changes)
    order = prepared.order(recipe.training)
    positions, expected = [], []
    for step in range(60):
        positions.append(json.loads(json.dumps(order.position(step))))
        expected.append(order.rows(step))
    assert positions[-1]["epoch"] >= 1 and (buffer == 0 or positions[20]["place"] != [0, 0, 0])
    for step in (59, 31, 30, 7, 0):  # backwards: a branch of a run goes back to where it left the trunk
        order.go_to(positions[step])
        assert (order.rows(step) == expected[step]).all()
        assert step == 59 or (order.rows(step + 1) == expected[step + 1]).all()
    order.go_to(positions[40])
    assert (order.rows(3) == expected[3]).all()  # before the position: read anew from the beginning
    assert (prepared.order(recipe.training).rows(45) == expected[45]).all()  # and without one


def test_the_number_of_workers_changes_nothing(folders):
    expected = batches(order_of(folders["shards"], **{"training.batch_size": 8}), 70)
    for workers in (1, 2):
        order = order_of(folders["shards"], **{"data.workers": workers, "training.batch_size": 8})
        assert (batches(order, 70) == expected).all()
        position = order.position(33)
        order.go_to(position | {"place": list(position["place"])})
        assert (order.rows(33) == expected[33]).all()


@pytest.mark.parametrize("objective", ["causal_lm", "masked_lm"])
def test_the_global_batch_does_not_depend_on_processes_or_micro_batches(folders, objective):
    changes = {"tokenizer.tokenizer": "wordpiece", "objective.objective": objective, "training.batch_size": 12}

    def micro_batches(parts: int, rank: int, world: int) -> list[dict[str, torch.Tensor]]:
        prepared, recipe = prepared_of(folders["shards"], **changes)
        dataset = StepDataset(prepared.order(recipe.training), prepared.objective, 3, parts, rank, world)
        return list(step_loader(dataset, 5, 8, pin_memory=False))

    whole = micro_batches(1, 0, 1)
    split = [micro_batches(3, rank, 2) for rank in range(2)]
    for step, batch in enumerate(whole):
        parts = [split[rank][3 * step + part] for part in range(3) for rank in range(2)]
        assert all(part["weight"] == batch["weight"] for part in parts)
        for name in ("input_ids", "labels"):
            assert torch.equal(torch.cat([part[name] for part in parts]), batch[name])


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 6), st.integers(0, 8))
@pytest.mark.hunt
def test_packing_tells_where_each_block_begins(sizes, size, skip):
    total = sum(sizes)
    starts = np.cumsum([0, *sizes])
    units = [(Place(number), np.arange(starts[number], starts[number + 1])) for number in range(len(sizes))]
    found = list(pack(units, size, skip))
    rows = np.concatenate([blocks for blocks, _ in found]) if found else np.zeros((0, size))
    assert rows.flatten().tolist() == list(range(skip, total))[: max(0, total - skip) // size * size]
    for row, (place, offset) in zip(rows, [origin for _, begun in found for origin in begun], strict=True):
        assert starts[place.shard] + offset == row[0]


# ---- runs ----------------------------------------------------------------------------------------------------------


RUN = {"training.max_steps": 24, "training.budgets": [0.5, 1.0], "training.checkpoint_every": 5, "data.workers": 1,
       "objective.samples": 0, "training.eval_every": 8}  # fmt: skip


def test_a_killed_run_ends_as_the_undisturbed_one(folders, tmp_path, monkeypatch):
    recipe = recipe_of(folders["shards"], RUN)
    record = run_recipe(recipe, tmp_path / "a").to_json()
    opened, windows = [], streaming.BlockStream.windows

    def watched(self: Any, mark: Any) -> Any:
        opened.append(mark)
        return windows(self, mark)

    monkeypatch.setattr(streaming.BlockStream, "windows", watched)
    run_with_kills(monkeypatch, recipe, tmp_path / "b", [7, 9, 3])
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert [mark.first for mark in opened if mark.first > 0]  # it went on, and did not read all from the beginning
    about = record["data"]
    assert about["fingerprint"].startswith("sampled-sha256:") and about["fingerprint_of"].startswith("names, sizes")
    assert about["splits"]["train"] == {"shards": 4, "bytes": sum(
        path.stat().st_size for path in folders["shards"].glob("train*"))}  # fmt: skip
    assert read_json(tmp_path / "a" / "record.json") == record and "answers" not in record


def test_a_checkpoint_holds_where_the_stream_stands(folders, tmp_path, monkeypatch):
    states, save = [], loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", lambda *args: states.append(args[3]) or save(*args))
    run_recipe(recipe_of(folders["shards"], RUN), tmp_path / "streamed")
    assert all(state["stream"]["first"] <= 4 * state["progress"]["step"] for state in states)
    states.clear()
    run_recipe(recipe_of(folders["shards"], RUN | {"data.streaming": False}), tmp_path / "memory")
    assert states and all(state["stream"] is None for state in states)


def test_workers_are_no_part_of_a_run_s_identity(folders):
    one, two = (prepared_of(folders["shards"], **{"data.workers": n}) for n in (1, 0))
    other = prepared_of(folders["shards"], **{"data.shuffle_buffer": 21})
    assert identity(one[1], one[0]) == identity(two[1], two[0]) != identity(other[1], other[0])


def test_a_tokenizer_that_was_prepared_is_that_of_the_recipe(folders, tmp_path):
    prepared, recipe = prepared_of(folders["shards"], **{"data.sample_characters": 3000})
    record = prepare_tokenizer(request_of(recipe), tmp_path / "tokenizer")
    assert 1000 < record["train"]["characters"] <= 3000
    saved = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert saved.backend_tokenizer.to_str() == prepared.tokenizer.backend_tokenizer.to_str()


# ---- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_line_is_named_where_it_is_reached(tmp_path, workers):
    (tmp_path / "train-0.jsonl").write_text(as_jsonl(documents(40)))
    (tmp_path / "train-1.jsonl").write_text(as_jsonl(documents(5)) + '{"text": \n')
    (tmp_path / "validation.jsonl").write_text(as_jsonl(documents(10, seed=1)))
    order = order_of(tmp_path, **UNSHUFFLED, **{"data.workers": workers, "data.sample_characters": 2000})
    with pytest.raises(InputError, match=r"^[^\n]*train-1.jsonl: line 6: not a JSON object with a field 'text'$"):
        batches(order, 200)
    with pytest.raises(InputError, match="train-1.jsonl: line 6"):
        in_memory(tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_character_that_no_token_stands_for_is_one_line(tmp_path, workers):
    (tmp_path / "train.jsonl").write_text(as_jsonl([*documents(30), "Ω " * 200]))
    (tmp_path / "validation.jsonl").write_text(as_jsonl(documents(10, seed=1)))
    changes = {"tokenizer.tokenizer": "character", "tokenizer.special_tokens": ["[PAD]"], "data.workers": workers,
               "data.sample_characters": 2000}  # fmt: skip
    with pytest.raises(InputError, match=r"^[^\n]*a split has unseen characters; add \[UNK\]$"):
        batches(order_of(tmp_path, **UNSHUFFLED, **changes), 200)


def test_a_cut_off_archive_is_named(folders, tmp_path):
    whole = gzip.compress(as_jsonl(documents(60)).encode())
    (tmp_path / "train.jsonl.gz").write_bytes(whole[:-200])
    (tmp_path / "validation.jsonl").write_text(as_jsonl(documents(10, seed=1)))
    with pytest.raises(InputError, match=r"train.jsonl.gz: Compressed file ended"):
        batches(order_of(tmp_path), 200)


def test_a_text_too_short_for_a_block_is_named(tmp_path):
    (tmp_path / "train.jsonl").write_text(as_jsonl(["a cat"]))
    (tmp_path / "validation.jsonl").write_text(as_jsonl(documents(10, seed=1)))
    with pytest.raises(InputError, match="the train split has less than one block of 16 tokens"):
        order_of(tmp_path, **UNSHUFFLED).rows(0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.max_steps": None, "training.max_epochs": 1}, "max_epochs: the length of a stream is not known"),
        ({"objective.objective": "text_classification"}, "data.streaming: is for language modelling"),
        ({"data.data_fraction": 0.5}, "data.data_fraction: needs to read all of the text"),
        ({"data.shuffle_buffer": -1}, "data.shuffle_buffer: -1; allowed: from 0"),
    ],
)
def test_what_a_stream_cannot_do_is_one_line(folders, changes, words):
    with pytest.raises(InputError, match=words):
        prepare(recipe_of(folders["shards"], changes))


# ---- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_stays_flat_over_a_long_stream(tmp_path):
    """training/README.md has the command for 2 GB."""
    program = PROGRAMS / "long_stream.py"
    size = os.environ.get("HF_VARIANTS_STREAM_GIGABYTES", "0.3")
    command = [sys.executable, str(program), "--gigabytes", size, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"what"')]
    assert [part["what"] for part in found] == ["stream", "train"] and found[1]["steps"] == 500
    assert all(part["growth"] < 100 for part in found) and not list(tmp_path.iterdir())
