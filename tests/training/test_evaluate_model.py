# Copyright 2026 The hf_variants authors. MIT licence.
"""`evaluate_model.py` as its user meets it."""

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from hf_variants.experiments.engine.run import run_recipe
from tests.helpers.tiny import causal_recipe, write_questions
from training import evaluate_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a trained model (run/final), a text and questions."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_questions(folder)
    pairs = {"text_a": ["a cat", "on a mat", "two"], "text_b": ["a cat", "birds", "fell"], "label": [5.0, 2.0, 0.5]}
    (folder / "pairs").mkdir()
    pandas.DataFrame(pairs).to_parquet(folder / "pairs" / "test.parquet")
    run_recipe(causal_recipe(folder), folder / "run")
    return folder


def evaluate(capfd, *options: Any) -> tuple[int, str]:
    """The exit code and what was written to the terminal."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        evaluate_model.main(list(map(str, options)))
    written = capfd.readouterr()
    return stop.value.code, written.out if stop.value.code == 0 else written.err


@pytest.mark.parametrize(
    ("task", "data", "more", "found"),
    [
        ("language_model", "text.txt", ["--stride", 4], {"loss", "perplexity", "bits_per_byte", "accuracy"}),
        (
            "answers",
            "questions.jsonl",
            ["--question_column", "q", "--answer_column", "a", "--max_questions", 2],
            {"questions", "correct", "exact_match"},
        ),
        ("sentence_similarity", "pairs", [], {"spearman", "pearson"}),
    ],
)
def test_every_task_writes_metrics_and_predictions(trained, tmp_path, capfd, task, data, more, found):
    given = ["--model_dir", trained / "run" / "final", "--task", task, "--dataset", trained / data]
    code, out = evaluate(capfd, *given, "--output_dir", tmp_path / "out", *more)
    assert code == 0, out
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(content["metrics"]) == found and content["options"]["block_size"] == 16
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines) and len(lines) >= 2
    assert next(iter(content["metrics"])) in out and str(tmp_path / "out" / "metrics.json") in out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--task": "spelling"}, "invalid choice: 'spelling'"),
        ({"--model_dir": "/nowhere"}, "--model_dir /nowhere"),
        ({"--dataset": "/nowhere.txt"}, "'/nowhere.txt' is no file"),
        ({"--stride": 16}, "--stride: 16; allowed: from 1 to 15"),
        ({"--block_size": 99}, "--block_size: 99; allowed: up to the model's max_position_embeddings, 24"),
        ({"--batch_size": 0}, "--batch_size: 0"),
        ({"--task": "answers"}, "give --question_column and --answer_column"),
        ({"--task": "sentence_similarity"}, "a text file has no columns text_a, text_b, label"),
        ({"--question_column": "q"}, "both question_column and answer_column"),
    ],
)
def test_what_is_wrong_is_one_line(trained, tmp_path, capfd, changes, words):
    options = {"--model_dir": trained / "run" / "final", "--task": "language_model", "--dataset": trained / "text.txt"}
    options |= {"--output_dir": tmp_path / "out"} | changes
    code, err = evaluate(capfd, *(part for pair in options.items() for part in pair))
    assert code == 2 and words in err and err.count("\n") == 1 and not (tmp_path / "out").exists()
