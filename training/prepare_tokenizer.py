#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Trains a tokenizer on the train split of a data set, measures it on validation, and saves it as a folder.

A recipe then names the folder: `tokenizer: {tokenizer: runs/tokenizer}`. Data is named as in a recipe and read as a
stream. With --config, data and tokenizer are those of a recipe (and labelled data is cut as it cuts them), so that the
folder holds what the recipe would train for itself.
"""

import argparse
from pathlib import Path
from typing import Any

from hf_variants.experiments.recipes.flags import flags_as_recipe, recipe_flags
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors
from hf_variants.experiments.recipes.recipe import merge, read_yaml, recipe_from_dict
from hf_variants.experiments.recipes.sections import TEXT_FIELDS, DataArguments, TokenizerArguments
from hf_variants.experiments.recipes.shipped import RECIPES, find_file

USAGE = "%(prog)s [-h] (--config RECIPE | --dataset DATA --tokenizer KIND) --output_dir FOLDER [--FIELD VALUE …]"
EXAMPLES = (
    "hf-variants prepare-tokenizer --dataset builtin/pydoc --tokenizer wordpiece --output_dir runs/tokenizer",
    "hf-variants prepare-tokenizer --config minbert_pydoc --vocab_size 2000 --output_dir runs/tokenizer",
)
FIELDS = ("vocab_size", "lowercase", "clean", "special_tokens")  # of a recipe's tokenizer, beside its kind


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES, usage=USAGE)
    parser.add_argument(
        "--config", help="recipe (a file or a name) whose data and tokenizer are meant; flags override it"
    )
    parser.add_argument("--output_dir", required=True, type=Path, help="folder of the tokenizer: a new or empty one")
    kinds = "its kind: character, words, wordpiece, bpe or unigram"
    parser.add_argument("--tokenizer", default=argparse.SUPPRESS, help=kinds)
    length = "most tokens of a text that a model reads (default: 512, or the recipe's block_size)"
    parser.add_argument("--model_max_length", type=int, help=length)
    recipe_flags(parser, {"data": TEXT_FIELDS, "tokenizer": FIELDS})
    options = parser.parse_args(argv)
    if options.config is None and "tokenizer" not in options:
        parser.error("give --tokenizer, or a recipe with --config")
    return options


def prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Does what the flags ask for, laid over the recipe if there is one; returns the record."""
    from hf_variants.experiments.engine.tokenizer_preparation import Request, prepare_tokenizer, request_of

    given, length = flags_as_recipe(options), options.model_max_length
    if options.config is not None:
        content = merge(read_yaml(find_file(options.config, Path(__file__).parent, RECIPES)), given)
        request = request_of(recipe_from_dict(content, options.config), length)
    else:
        data = DataArguments(**given.get("data", {}))
        request = Request(TokenizerArguments(**given["tokenizer"]), data, 512 if length is None else length)
    return prepare_tokenizer(request, options.output_dir)


def report(record: dict[str, Any], folder: Path) -> None:
    """Prints what the tokenizer makes of validation, in one row."""
    from hf_variants.experiments.tables import aligned_table, number

    kind, size, asked = record["tokenizer"], record["vocab_size"], record["vocab_size_asked"]
    found, train = record["validation"], record["train"]
    header = ["tokenizer", "vocabulary", "tokens/word", "characters/token", "bytes/token", "unknown"]
    measured = [number(found[name], 3) for name in ("tokens_per_word", "characters_per_token", "bytes_per_token")]
    print(aligned_table(header, [[kind, number(size), *measured, f"{found['unknown_rate']:.4%}"]]))
    if size < asked and kind != "character":
        print(f"the train split has no more than {size:,} of the {asked:,} tokens that were asked for")
    texts = "1 text" if train["documents"] == 1 else f"{train['documents']:,} texts"
    print(f"trained on {train['characters']:,} characters in {texts}, measured on validation")
    print(f"{folder}   in a recipe: tokenizer: {{tokenizer: {folder}}}")


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    report(prepare(options), options.output_dir)


if __name__ == "__main__":
    main()
