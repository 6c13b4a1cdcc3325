# Copyright 2026 The hf_variants authors. MIT licence.
"""`prepare_tokenizer.py` as its user meets it: a folder that loads, that knows the train split alone, and its use."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.identity import identity
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.models.build import build_config
from hf_variants.experiments.recipes.recipe import merge, recipe_from_dict
from hf_variants.experiments.recipes.sections import DataArguments, TokenizerArguments
from hf_variants.experiments.text.corpora import fingerprint, load_corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer
from hf_variants.experiments.text.tokenizer_training import TRAINED
from tests.helpers.tiny import WORDS, tiny_content, tiny_recipe
from tests.helpers.tiny_labelled import labelled_recipe, write_examples
from training import prepare_tokenizer, train

FILES = ["tokenizer.json", "tokenizer_config.json", "tokenizer_record.json"]
SIZE = {"bpe": 290, "unigram": 60, "wordpiece": 80}


def write_rows(path: Path, seed: int, extra: str = "", count: int = 60) -> None:
    rng = random.Random(seed)
    rows = [{"text": " ".join(rng.choices(WORDS, k=8)) + extra} for _ in range(count)]
    path.write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with the three splits."""
    folder = tmp_path_factory.mktemp("data")
    for seed, split in enumerate(("train", "validation", "test")):
        write_rows(folder / f"{split}.jsonl", seed)
    return folder


def program(*options: Any) -> int:
    with pytest.raises(SystemExit) as stop:
        prepare_tokenizer.main(list(map(str, options)))
    return stop.value.code


def make(data: Path | str, folder: Path, kind: str = "wordpiece", *options: Any) -> dict[str, Any]:
    """Runs the program and returns its record."""
    given = ["--dataset", data, "--tokenizer", kind, "--vocab_size", SIZE.get(kind, 99), "--output_dir", folder]
    assert program(*given, *options) == 0
    return record_of(folder)


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "tokenizer_record.json").read_text())


def content(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names or FILES[:2]]


# ---- what is written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TRAINED)
def test_the_folder_loads_and_is_what_a_recipe_trains_for_itself(data, tmp_path, kind):
    record = make(data, tmp_path / "out", kind, "--model_max_length", 33)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert isinstance(loaded, PreTrainedTokenizerFast) and loaded.model_max_length == 33
    assert record["vocab_size"] == len(loaded) and record["vocab_size_asked"] == SIZE.get(kind, 99)
    arguments = TokenizerArguments(tokenizer=kind, vocab_size=SIZE.get(kind, 99))
    own = build_tokenizer(arguments, load_corpus(DataArguments(dataset=str(data))), 33)
    own.save_pretrained(tmp_path / "own")
    assert content(tmp_path / "own") == content(tmp_path / "out")
    assert (loaded.unk_token, loaded.pad_token_id) == ((None, None) if kind == "bpe" else ("[UNK]", 0))


def test_the_record_says_how_it_was_made_and_what_it_is_worth(data, tmp_path, capfd):
    write_rows(tmp_path / "train.jsonl", 0)
    (tmp_path / "validation.jsonl").write_text(json.dumps({"text": "The cat\u00e9 saw ж ж fly"}))
    record = make(tmp_path, tmp_path / "out", "wordpiece", "--data_fraction", 0.5)
    out = capfd.readouterr().out
    train = load_corpus(DataArguments(dataset=str(tmp_path), data_fraction=0.5)).splits["train"]
    assert record["train"]["fingerprint"] == fingerprint({"train": train})
    assert record["train"]["documents"] == len(train) < 60 and record["train"]["characters"] == sum(map(len, train))
    assert record["request"]["data"] == {"dataset": str(tmp_path), "data_fraction": 0.5}
    assert record["data_fraction"] == 0.5 and record["tokenizer"] == "wordpiece"
    tokens = AutoTokenizer.from_pretrained(tmp_path / "out").tokenize("The cat\u00e9 saw ж ж fly")
    found = record["validation"]
    assert (found["words"], found["characters"], found["bytes"]) == (6, 20, 23)
    assert found["tokens"] == len(tokens) and found["tokens_per_word"] == len(tokens) / 6
    assert found["bytes_per_token"] == 23 / len(tokens) and found["characters_per_token"] == 20 / len(tokens)
    assert tokens.count("[UNK]") == 2 and found["unknown_rate"] == 2 / len(tokens)
    assert {"tokenizers", "python", "commit"} <= set(record["environment"])
    row = out.splitlines()[2].split()
    assert row[:3] == ["wordpiece", "80", f"{len(tokens) / 6:.3f}"] and row[-1] == f"{2 / len(tokens):.4%}"


def test_validation_and_test_have_no_influence(data, tmp_path):
    """Neither have they when all of their letters and words are others; test is not read at all."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.jsonl").write_bytes((data / "train.jsonl").read_bytes())
    write_rows(tmp_path / "other" / "validation.jsonl", 9, " \u0416\u65e5 zebra")
    (tmp_path / "other" / "test.jsonl").write_bytes(b"\xff no text")
    for kind in TRAINED:
        first, second = tmp_path / f"a_{kind}", tmp_path / f"b_{kind}"
        records = [make(data, first, kind), make(tmp_path / "other", second, kind)]
        assert content(first) == content(second) and "zebra" not in (second / "tokenizer.json").read_text()
        assert records[0]["train"] == records[1]["train"] and records[0]["validation"] != records[1]["validation"]


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_what_is_cut_off_for_validation_and_test_has_no_influence(tmp_path, suffix):
    """One file: the same train part, and others behind it of the same length."""
    texts = [[f"the cat sat on mat {n}" for n in range(60)] for _ in range(2)]
    if suffix == "txt":
        texts[1][55:] = ["xyz qqq jjj vv ww xx y"[: len(text)] for text in texts[1][55:]]
    else:
        for n in [n for n in range(60) if texts[0][n] not in cut_train(tmp_path, texts[0])]:
            texts[1][n] = "zebra"[: len(texts[1][n])].ljust(len(texts[1][n]), "z")
    for number, rows in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text("\n".join(rows))
        (tmp_path / f"{number}.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows))
        make(tmp_path / f"{number}.{suffix}", tmp_path / f"out{number}", "bpe", "--split_fractions", 0.8, 0.1, 0.1)
    assert texts[0] != texts[1] and content(tmp_path / "out0") == content(tmp_path / "out1")


def cut_train(folder: Path, rows: list[str]) -> set[str]:
    (folder / "cut.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows))
    arguments = DataArguments(dataset=str(folder / "cut.jsonl"), split_fractions=[0.8, 0.1, 0.1])
    return set(load_corpus(arguments).splits["train"])


# ---- recipes -------------------------------------------------------------------------------------------------------


def write_recipe(folder: Path, data: Path, **changes: Any) -> Path:
    wanted = {"data": {"dataset": str(data)}, "tokenizer": {"tokenizer": "wordpiece", "vocab_size": 70}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(merge(merge(tiny_content(folder), wanted), changes)))
    return folder / "recipe.yaml"


def test_a_recipe_names_data_and_tokenizer(data, tmp_path):
    recipe = write_recipe(tmp_path, data)
    assert program("--config", recipe, "--output_dir", tmp_path / "out", "--vocab_size", 60) == 0
    record = record_of(tmp_path / "out")
    assert record["request"]["tokenizer"] == {"tokenizer": "wordpiece", "vocab_size": 60}
    assert record["request"]["model_max_length"] == 16  # its block_size


def test_labelled_data_is_cut_as_its_recipe_cuts_it(tmp_path):
    """A file without splits is cut by strata there, and second texts count too."""
    write_examples(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "examples" / "train.jsonl").read_text().splitlines()]
    rows = [row | {"text": row["text"] + f" q{n}", "pair": f"p{n}"} for n, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    changes = {"data.dataset": str(tmp_path / "rows.jsonl"), "labels.pair_column": "pair",
               "tokenizer.clean": ["lower_case"], "tokenizer.vocab_size": 200}  # fmt: skip
    recipe = labelled_recipe(tmp_path, changes)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.to_dict()))
    assert program("--config", tmp_path / "recipe.yaml", "--output_dir", tmp_path / "out") == 0
    made, own = (
        json.loads(content(tmp_path / "out")[0]),
        json.loads(prepare(recipe).tokenizer.backend_tokenizer.to_str()),
    )
    assert own.pop("truncation") is not None and made.pop("truncation") is None  # it has been used
    assert made == own


def test_a_recipe_trains_with_the_folder(data, tmp_path, monkeypatch):
    record = make(data, tmp_path / "mine")
    monkeypatch.setenv("HF_VARIANTS_DATA", str(tmp_path))
    quick = {"max_steps": 2, "budgets": [1.0], "warmup_steps": 1, "eval_every": 2, "checkpoint_every": 0}
    sizes = {"model": {"overrides": {"vocab_size": None}}, "training": quick, "data": {"dataset": str(data)}}
    for number, name in enumerate((str(tmp_path / "mine"), "mine")):
        found = merge(tiny_content(tmp_path), sizes | {"tokenizer": {"tokenizer": name}})
        del found["model"]["overrides"]["vocab_size"]
        recipe = recipe_from_dict(found)
        run_recipe(recipe, tmp_path / f"run{number}")
        saved = AutoTokenizer.from_pretrained(tmp_path / f"run{number}" / "final")
        config = json.loads((tmp_path / f"run{number}" / "final" / "config.json").read_text())
        assert len(saved) == config["vocab_size"] == record["vocab_size"] and config["pad_token_id"] == 0
    before = identity(recipe, prepare(recipe))
    (tmp_path / "mine" / "tokenizer_record.json").write_text("{}")  # how it was made decides no result
    assert identity(recipe, prepare(recipe)) == before
    with (tmp_path / "mine" / "tokenizer.json").open("a") as file:
        file.write(" ")
    assert identity(recipe, prepare(recipe)) != before


@pytest.fixture(scope="module")
def folders(data, tmp_path_factory) -> Path:
    """A prepared tokenizer of 80 tokens, a BERT that has 60, one that has 96, and one that has another 80."""
    folder = tmp_path_factory.mktemp("folders")
    make(data, folder / "mine")
    write_rows(folder / "train.jsonl", 0, " \u00df\u00f8 zebra quagga")
    write_rows(folder / "validation.jsonl", 1)
    make(folder, folder / "other")
    for size in (60, 80, 96):
        config = BertConfig(vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                            intermediate_size=16, max_position_embeddings=16)  # fmt: skip
        BertForMaskedLM(config).save_pretrained(folder / f"bert{size}")
    AutoTokenizer.from_pretrained(folder / "other").save_pretrained(folder / "bert80")
    return folder


MISFITS = {
    "new model, too small": ({"model_type": "minbert", "overrides": {"vocab_size": 79}}, "vocab_size 79 is below the"),
    "weights, too small": (
        {"name_or_path": "bert60", "pretrained": True},
        "have 60; use the tokenizer that they were trained with",
    ),
    "weights, larger": ({"name_or_path": "bert96", "pretrained": True}, "has 80 tokens, and the weights of"),
    "weights of another vocabulary": ({"name_or_path": "bert80", "pretrained": True}, "is not the one that"),
    "another size than the weights": (
        {"name_or_path": "bert96", "pretrained": True, "overrides": {"vocab_size": 100}},
        "model.overrides: vocab_size 100; the weights of",
    ),
    "another width than the weights": (
        {"name_or_path": "bert96", "pretrained": True, "overrides": {"vocab_size": 96, "hidden_size": 32}},
        "have other shapes: bert.embeddings",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_tokenizer_that_does_not_fit_the_model_is_one_line(folders, data, tmp_path, capfd, case):
    model, words = MISFITS[case]
    if "name_or_path" in model:
        model = {"model_type": None} | model | {"name_or_path": str(folders / model["name_or_path"])}
    recipe = write_recipe(tmp_path, data, tokenizer={"tokenizer": str(folders / "mine")})
    found = yaml.safe_load(recipe.read_text()) | {"model": model}
    recipe.write_text(yaml.safe_dump(found))
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(recipe), "--output_dir", str(tmp_path / "out")])
    error = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert stop.value.code == 2 and len(error) == 1 and words in error[0] and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "overrides"), [("bert96", {"vocab_size": 96}), ("bert80", {})])
def test_a_padded_vocabulary_and_the_weights_own_tokenizer_fit(folders, data, tmp_path, name, overrides):
    tokenizer = AutoTokenizer.from_pretrained(folders / ("mine" if overrides else "other"))
    recipe = tiny_recipe(tmp_path)
    recipe.model = type(recipe.model)(name_or_path=str(folders / name), pretrained=True, overrides=overrides)
    assert build_config(recipe.model, tokenizer, 16).vocab_size == int(name[4:])


@pytest.mark.parametrize("broken", ["{", "{}", None])
def test_a_folder_without_a_working_tokenizer_is_one_line(folders, tmp_path, broken):
    """Of a model without a tokenizer transformers makes one that knows nothing."""
    folder = folders / "bert60"
    if broken is not None:
        folder = tmp_path
        (folder / "tokenizer.json").write_text(broken)
    with pytest.raises(InputError, match="allowed: character, words, wordpiece, bpe, unigram, a folder") as error:
        build_tokenizer(TokenizerArguments(tokenizer=str(folder)), None, 8)
    assert "\n" not in str(error.value)


# ---- the folder, again, and errors ---------------------------------------------------------------------------------


def test_the_same_again_changes_nothing_and_anything_else_is_refused(data, tmp_path, capfd):
    write_rows(tmp_path / "train.jsonl", 0)
    write_rows(tmp_path / "validation.jsonl", 1)
    given = ["--dataset", tmp_path, "--tokenizer", "words", "--output_dir", tmp_path / "out"]
    assert program(*given) == 0
    before, said = content(tmp_path / "out", *FILES), capfd.readouterr().out
    assert program(*given) == 0 and capfd.readouterr().out == said
    assert program(*given, "--vocab_size", 30) == 2
    assert "holds another tokenizer (tokenizer.vocab_size: None → 30); use another" in capfd.readouterr().err
    write_rows(tmp_path / "train.jsonl", 5)
    assert program(*given) == 2
    assert "was trained on another text of this name" in capfd.readouterr().err
    assert content(tmp_path / "out", *FILES) == before


@pytest.mark.parametrize("place", ["full", "file", "file/below", "run"])
def test_an_output_folder_that_holds_something_else_is_refused(data, tmp_path, capfd, place):
    (tmp_path / "full").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    (tmp_path / "run" / "tokenizer.json").write_text("kept")
    (tmp_path / "file").write_text("kept")
    given = ["--dataset", data, "--tokenizer", "words", "--output_dir", tmp_path / place]
    assert program(*given) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"error: {tmp_path}") and error.count("\n") == 1
    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"kept"}


@pytest.mark.parametrize("record", ["{}", "[]"])
def test_an_output_folder_with_the_record_of_something_else_is_refused(data, tmp_path, capfd, record):
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_record.json").write_text(record)
    assert program("--dataset", data, "--tokenizer", "bpe", "--output_dir", tmp_path) == 2
    assert "tokenizer_record.json: is no record of this program; use another --output_dir" in capfd.readouterr().err


def split_folder(folder: Path, **splits: str | bytes) -> Path:
    for name, text in splits.items():
        (folder / f"{name}.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


ROWS = "text,n\nthe cat,1\na dog,2\n"
WRONG = {
    "kind": (lambda p: ROWS, ["--tokenizer", "wordpeice"], "'wordpeice' is no kind that is trained; allowed"),
    "existing": (lambda p: ROWS, ["--tokenizer", "gpt2"], "'gpt2' is no kind that is trained"),
    "size": (lambda p: ROWS, ["--vocab_size", 16], "tokenizer.vocab_size: 16; the letters of the train split"),
    "negative": (lambda p: ROWS, ["--vocab_size", -1], "tokenizer.vocab_size: -1; allowed: from 1 to"),
    "text": (lambda p: ROWS, ["--vocab_size", "many"], "argument --vocab_size"),
    "length": (lambda p: ROWS, ["--model_max_length", 0], "--model_max_length: 0; allowed: from 1"),
    "fraction": (lambda p: ROWS, ["--data_fraction", 0], "data.data_fraction: 0.0; allowed: above 0"),
    "special": (lambda p: ROWS, ["--special_tokens", "[PAD]"], "wordpiece needs [UNK]"),
    "cleaning": (lambda p: ROWS, ["--clean", "url"], "cleaning: 'url'; allowed: lower_case"),
    "no train": (None, [], "has no train split; there are: validation"),
    "part of no train": (None, ["--data_fraction", 0.5], "has no train split; there are: validation"),
    "empty train": (lambda p: "text,n\n,1\n", [], "the train split is empty"),
    "column": (lambda p: "body,n\nthe cat,1\n", [], "train.csv: no column 'text'; there are: body, n"),
    "encoding": (lambda p: b"text,n\nna\xefve,1\n", [], "train.csv: not UTF-8 at byte 9, in row 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(tmp_path, capfd, case):
    train_rows, options, words = WRONG[case]
    splits = {"validation": ROWS} | ({"train": train_rows(tmp_path)} if train_rows else {})
    (tmp_path / "data").mkdir()
    given = {"--dataset": split_folder(tmp_path / "data", **splits), "--tokenizer": "wordpiece"}
    given |= {"--output_dir": tmp_path / "out"} | dict(zip(options[::2], options[1::2], strict=True))
    assert program(*(part for pair in given.items() for part in pair)) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_data_and_kind_must_be_given(tmp_path, capfd):
    for options, words in [
        (["--tokenizer", "bpe"], "data.dataset: is missing"),
        (["--dataset", tmp_path / "none.txt", "--tokenizer", "bpe"], "none.txt' is no file"),
        (["--dataset", tmp_path], "give --tokenizer, or a recipe with --config"),
        (["--config", tmp_path / "none.yaml"], "none.yaml: no such file"),
    ]:
        assert program(*options, "--output_dir", tmp_path / "out") == 2
        assert words in capfd.readouterr().err
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    assert program("--dataset", tmp_path / "a.txt", "--tokenizer", "bpe", "--output_dir", tmp_path / "out") == 2
    assert "a.txt: not UTF-8 at byte 0" in capfd.readouterr().err
