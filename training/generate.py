#!/usr/bin/env python
# Copyright 2026 The hf_variants authors. MIT licence.
"""Lets a trained model speak: a decoder writes on, a masked language model fills masks, a classifier classifies.

The text is that of --prompt, or of standard input where something is piped there (a decoder goes on from all of it,
others take it line by line). On a terminal it asks for one after the other; an empty line or Ctrl-D ends that.
"""

import argparse
import sys
from collections.abc import Iterator

from hf_variants.experiments.checking import InputError, Range
from hf_variants.experiments.recipes.programs import OneLineParser, one_line_errors

EXAMPLES = (
    'hf-variants generate --model_dir runs/gpt/model --prompt "12 + 30 = " --tokens 20 --temperature 0',
    'echo "the [MASK] statement" | hf-variants generate --model_dir runs/minbert/model',
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = OneLineParser(__doc__, EXAMPLES)
    parser.add_argument("--model_dir", required=True, help="folder of a model, or its Hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a Hub name")
    parser.add_argument("--prompt", nargs="+", metavar="TEXT", help="texts to reply to")
    parser.add_number("--tokens", int, Range(1), "decoders: write so many tokens", 200)
    parser.add_number("--temperature", float, Range(0), "decoders: of sampling; 0: the most probable", 0.8)
    parser.add_number("--seed", int, Range(0), "decoders: of sampling", 0)
    parser.add_number("--top", int, Range(1), "masks and classes: show so many candidates", 5)
    return parser.parse_args(argv)


def asked() -> Iterator[str]:
    """What is typed, line by line."""
    while True:
        try:
            text = input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if not text:
            return
        yield text


def piped(whole: bool) -> Iterator[str]:
    """What stands on standard input: all of it, or the lines that are not empty."""
    text = sys.stdin.read().rstrip("\n")
    parts = [text] if whole else text.splitlines()
    yield from (part for part in parts if part.strip())


@one_line_errors
def main(argv: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse_arguments(argv)
    import transformers

    from hf_variants.experiments.analysis.replies import How, Writer, load_speaker

    transformers.utils.logging.disable_progress_bar()
    how = How(options.tokens, options.temperature, options.seed, options.top)
    speaker = load_speaker(options.model_dir, how, options.revision)
    if options.prompt is None and sys.stdin.isatty():
        for text in asked():
            try:
                print(speaker.reply(text), flush=True)
            except InputError as error:  # the next text may do
                print(f"error: {error}", file=sys.stderr, flush=True)
        return
    for text in options.prompt or piped(whole=isinstance(speaker, Writer)):
        print(speaker.reply(text), flush=True)


if __name__ == "__main__":
    main()
