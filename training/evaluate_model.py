#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Evaluates a finished model (a folder or a Hub name) on one split of a data set.

language_model: loss, perplexity, bits per byte and accuracy; answers: exact match of greedy answers to questions;
sentence_similarity: correlation of the embeddings' cosine with gold scores; text_classification: scores with
intervals, slices by length and label, worst errors, plots. Writes metrics.json and predictions.jsonl.

A single labelled file is scored as a whole, unless training cut it into splits: then only the split that is asked for.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from hf_variants.experiments.checking import InputError, Range, check_range
from hf_variants.experiments.recipes.labels import LabelArguments
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.recipes.sections import DataArguments

LABEL_FLAGS = (
    "label_column",
    "label_columns",
    "label_list_column",
    "pair_column",
    "label_names",
    "problem_type",
    "on_bad_row",
)
EXAMPLES = (
    "hf-variants evaluate --model_dir runs/gpt/model --task language_model --dataset builtin/pydoc --stride 16 "
    "--output_dir runs/gpt/evaluation",
    "hf-variants evaluate --model_dir runs/sst5/model --task text_classification --dataset test.tsv "
    "--output_dir runs/sst5/evaluation",
)
TASKS = {
    "language_model": "AutoModelForCausalLM",
    "answers": "AutoModelForCausalLM",
    "sentence_similarity": "AutoModel",
    "text_classification": "AutoModelForSequenceClassification",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--model_dir", required=True, help="folder of a model, or its Hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a Hub name")
    parser.add_argument("--task", required=True, choices=TASKS, help="what is evaluated")
    parser.add_argument("--dataset", required=True, help="as in a recipe: builtin/NAME, a path, or a Hub name")
    parser.add_argument("--dataset_config", help="configuration of a Hub data set")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test", "all"),
                        help="default: test; all: text_classification, every row of a single file")  # fmt: skip
    parser.add_argument("--split_fractions", nargs=3, type=float, metavar=("TRAIN", "VALIDATION", "TEST"),
                        help="cut data without splits by these shares, as a recipe does")  # fmt: skip
    parser.add_argument("--output_dir", required=True, type=Path, help="folder of metrics.json and predictions.jsonl")
    parser.add_argument("--text_column", help="column of the text (default: text)")
    parser.add_argument("--question_column", help="column of questions")
    parser.add_argument("--answer_column", help="column of their answers")
    parser.add_argument("--pair_columns", nargs=3, default=["text_a", "text_b", "label"], metavar=("A", "B", "SCORE"),
                        help="sentence_similarity: two texts and their gold score")  # fmt: skip
    parser.add_number("--block_size", int, Range(2), "tokens read at once (default: as many as the model can)")
    parser.add_number("--stride", int, Range(1), "language_model: advance windows by so many tokens")
    parser.add_number("--max_blocks", int, Range(1), "language_model: only the first so many blocks")
    parser.add_number("--batch_size", int, Range(1), "blocks or texts per batch", 16)
    parser.add_number("--max_questions", int, Range(1), "answers: only the first so many questions")
    labels = parser.add_argument_group(
        "text_classification", "where the labels are, as in recipes; known of data that training cut into splits"
    )
    for field in dataclasses.fields(LabelArguments):
        if field.name in LABEL_FLAGS:
            is_list = field.default_factory is not dataclasses.MISSING
            labels.add_argument(f"--{field.name}", help=field.metadata["help"], **({"nargs": "+"} if is_list else {}))
    labels.add_argument("--any_of", action="store_true", help="one label: whether any of label_columns is 1")
    parser.add_argument("--separate_documents", action="store_true",
                        help="language_model: packed documents don't see each other")  # fmt: skip
    return parser.parse_args(argv)


def classify(
    model, tokenizer, data: dict[str, Any], options: argparse.Namespace, size: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a classifier does on the split, and a row per example."""
    from hf_variants.experiments.analysis import classification as classification_evaluation
    from hf_variants.experiments.analysis.recorded_splits import find_split, recorded_reading

    given = {name: getattr(options, name) for name in (*LABEL_FLAGS, "any_of") if getattr(options, name)}
    reading = recorded_reading(options.model_dir, options.revision)
    split, cut = find_split(data, given, options.split, reading)
    names, kind, batch_size = split.label_names, split.problem_type, options.batch_size
    found, rows = classification_evaluation.classify(
        model, tokenizer, split.examples, names, kind, size, batch_size, stated=bool(options.label_names)
    )
    about = {"split": options.split, "cut": cut, "examples": len(split.examples), "skipped": split.skipped}
    return found | {"data": about}, rows


def evaluate(options: argparse.Namespace) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """What metrics.json says, predictions and the block size of the task that was asked for."""
    from hf_variants.experiments.analysis import evaluation

    model, tokenizer = evaluation.load_model(options.model_dir, TASKS[options.task], options.revision)
    size = evaluation.input_size(model, tokenizer, options.block_size)
    if options.stride is not None:
        check_range("--stride", options.stride, low=1, high=size - 1)
    names = ("dataset", "dataset_config", "text_column", "question_column", "answer_column", "split_fractions")
    data = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.task == "text_classification":
        return *classify(model, tokenizer, data, options, size), size
    found, rows = evaluate_plain(options, model, tokenizer, DataArguments(**data), size)
    return {"metrics": found}, rows, size


def evaluate_plain(
    options: argparse.Namespace, model, tokenizer, data: DataArguments, size: int
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Metrics and predictions of the tasks without labels."""
    from hf_variants.experiments.analysis import evaluation
    from hf_variants.experiments.text.corpora import load_split
    from hf_variants.experiments.text.sources import load_rows

    if options.task == "sentence_similarity":
        rows = load_rows(data, options.pair_columns)
        if options.split not in rows:
            raise InputError(f"--split {options.split}: {options.dataset} has {', '.join(rows)}")
        return evaluation.sentence_similarity(model, tokenizer, rows[options.split], size)
    texts = load_split(data, options.split)
    if options.task == "answers":
        return evaluation.answers(model, tokenizer, texts, size, options.max_questions)
    across = not options.separate_documents
    return evaluation.language_model(
        model, tokenizer, texts, size, options.stride, options.max_blocks, options.batch_size, across
    )


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    import transformers

    from hf_variants.experiments.figures.classification import CAPTIONS as FIGURES
    from hf_variants.experiments.files import claim_file, write_json
    from hf_variants.experiments.machine.environment import environment

    transformers.utils.logging.disable_progress_bar()
    path = options.output_dir / "metrics.json"
    claim_file(path, ("options", "environment"), "predictions.jsonl", *FIGURES)
    found, predictions, block_size = evaluate(options)
    about = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    about |= {"block_size": block_size}
    content = found | {"options": about, "environment": environment()}
    write_json(path, content)  # first: it says whose the others are
    lines = [json.dumps(row, ensure_ascii=False) for row in predictions]
    (options.output_dir / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(found, options)
    report(found, options)


def draw(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Plots what a classifier does."""
    from hf_variants.experiments.figures.classification import plot_evaluation

    if "curves" in found:
        name = Path(options.model_dir).absolute().name
        plot_evaluation(found["curves"], found["label_names"], name, options.output_dir)


def report(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints what came out."""
    from hf_variants.experiments.labelled.corpus import skipped_rows

    about = found.get("data") or {}
    if about.get("cut"):
        print(f"{options.dataset}: of it the {about['split']} split, {about['cut']}, {about['examples']} examples")
    if skipped := skipped_rows({about["split"]: about["skipped"]} if about else {}):
        print(skipped)
    if "why_unlabelled" in found:
        print(f"no score: the {options.split} split is unlabelled, {found['why_unlabelled']}")
    else:
        print("  ".join(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in found["metrics"].items()))  # fmt: skip
    print(f"{options.output_dir / 'metrics.json'}   {options.output_dir / 'predictions.jsonl'}")


if __name__ == "__main__":
    main()
