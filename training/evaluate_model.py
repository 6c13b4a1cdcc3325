#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Evaluates a finished model (a folder or a Hub name) on one split of a data set.

    python training/evaluate_model.py --model_dir runs/gpt/model --task language_model \\
        --dataset tiny_shakespeare --stride 16 --output_dir runs/gpt/evaluation

language_model: loss, perplexity, bits per byte and accuracy; answers: exact match of greedy answers to questions;
sentence_similarity: correlation of the embeddings' cosine with gold scores. Writes metrics.json and predictions.jsonl.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from hf_variants.experiments.arguments import (
    DataArguments,
    InputError,
    OneLineParser,
    check_range,
    one_line_errors,
)

TASKS = {
    "language_model": "AutoModelForCausalLM",
    "answers": "AutoModelForCausalLM",
    "sentence_similarity": "AutoModel",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True, help="folder of a model, or its Hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a Hub name")
    parser.add_argument("--task", required=True, choices=TASKS, help="what is evaluated")
    parser.add_argument("--dataset", required=True, help="as in a recipe: builtin/NAME, a path, or a Hub name")
    parser.add_argument("--dataset_config", help="configuration of a Hub data set")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"), help="default: test")
    parser.add_argument("--output_dir", required=True, type=Path, help="folder of metrics.json and predictions.jsonl")
    parser.add_argument("--text_column", default="text", help="language_model: column of the text (default: text)")
    parser.add_argument("--question_column", help="column of questions")
    parser.add_argument("--answer_column", help="column of their answers")
    parser.add_argument("--pair_columns", nargs=3, default=["text_a", "text_b", "label"], metavar=("A", "B", "SCORE"),
                        help="sentence_similarity: two texts and their gold score")  # fmt: skip
    parser.add_argument("--block_size", type=int, help="tokens read at once (default: as many as the model can)")
    parser.add_argument("--stride", type=int, help="language_model: advance windows by so many tokens")
    parser.add_argument("--max_blocks", type=int, help="language_model: only the first so many blocks")
    parser.add_argument("--batch_size", type=int, default=16, help="language_model: blocks per batch (default: 16)")
    parser.add_argument("--max_questions", type=int, help="answers: only the first so many questions")
    parser.add_argument("--separate_documents", action="store_true",
                        help="language_model: packed documents don't see each other")  # fmt: skip
    options = parser.parse_args(argv)
    for name in ("block_size", "max_blocks", "batch_size", "max_questions"):
        if getattr(options, name) is not None:
            check_range(f"--{name}", getattr(options, name), low=2 if name == "block_size" else 1)
    return options


def evaluate(options: argparse.Namespace) -> tuple[dict[str, float], list[dict[str, Any]], int]:
    """Metrics, predictions and the block size of the task that was asked for."""
    from hf_variants.experiments import evaluation
    from hf_variants.experiments.corpora import load_rows, load_split

    model, tokenizer = evaluation.load_model(options.model_dir, TASKS[options.task], options.revision)
    size = evaluation.input_size(model, tokenizer, options.block_size)
    if options.stride is not None:
        check_range("--stride", options.stride, low=1, high=size - 1)
    names = ("dataset", "dataset_config", "text_column", "question_column", "answer_column")
    data = DataArguments(**{name: getattr(options, name) for name in names})
    if options.task == "sentence_similarity":
        rows = load_rows(data, options.pair_columns)
        if options.split not in rows:
            raise InputError(f"--split {options.split}: {options.dataset} has {', '.join(rows)}")
        return *evaluation.sentence_similarity(model, tokenizer, rows[options.split], size), size
    texts = load_split(data, options.split)
    if options.task == "answers":
        return *evaluation.answers(model, tokenizer, texts, size, options.max_questions), size
    how = (options.stride, options.max_blocks, options.batch_size, not options.separate_documents)
    return *evaluation.language_model(model, tokenizer, texts, size, *how), size


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    import transformers

    from hf_variants.experiments.record import environment, write_json

    transformers.utils.logging.disable_progress_bar()
    metrics, predictions, block_size = evaluate(options)
    about = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    about |= {"block_size": block_size}
    content = {"metrics": metrics, "options": about, "environment": environment()}
    options.output_dir.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in predictions]
    (options.output_dir / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(options.output_dir / "metrics.json", content)
    print("  ".join(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in metrics.items()))  # fmt: skip
    print(f"{options.output_dir / 'metrics.json'}   {options.output_dir / 'predictions.jsonl'}")


if __name__ == "__main__":
    main()
