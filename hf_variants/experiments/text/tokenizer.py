# Copyright 2026 The hf_variants authors. MIT licence.
"""The recipe's tokenizer, trained or loaded, and documents as rows of its tokens."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..checking import InputError
from ..recipes.sections import TokenizerArguments
from .cleaning import check_steps
from .corpora import Corpus
from .sources import find_local, find_model
from .streams import Document, TrainingText, pieces
from .tokenizer_training import TRAINED, clean_first, train_tokenizer

CHUNK = 50_000  # characters that are tokenized at a time


LONGEST_LINE = 4_000_000  # characters; a longer line of a text file that is streamed is cut between words


def build_tokenizer(
    arguments: TokenizerArguments, corpus: Corpus | TrainingText, max_length: int
) -> PreTrainedTokenizerBase:
    """The recipe's tokenizer: trained on the train split of a corpus, or loaded by name. It cleans text if asked."""
    if arguments.tokenizer in TRAINED:
        text = corpus if isinstance(corpus, TrainingText) else TrainingText(lambda: corpus.splits["train"])
        return train_tokenizer(arguments, text, max_length)
    return clean_first(load_tokenizer(arguments.tokenizer), check_steps(arguments.clean))


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, of `package:NAME` or of the Hub. Raises InputError where there is none."""
    allowed = f"'{name}'; allowed: {', '.join(TRAINED)}, a folder, a Hub name"
    where = find_local(name) or find_model(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 a broken file raises anything; the user named something that is none
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"tokenizer.tokenizer: {allowed} ({first})") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes of a model without a tokenizer
        raise InputError(f"tokenizer.tokenizer: {allowed} (there is no vocabulary)")
    return tokenizer


def separator_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token that follows every document: the sep token, else the eos token, else none."""
    return tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id


def tokenize_documents(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> np.ndarray:
    """All documents as one row of token ids (int32), a separator after each where there are several."""
    separator = separator_id(tokenizer) if len(texts) > 1 else None
    rows = [tokenize_parts(tokenizer, list(document_parts(text, separator)), separator) for text in texts]
    return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)


def document_parts(document: Document, separator: int | None) -> Iterator[str | None]:
    """The text of a document in chunks, then None for the separator where there is one and the text is not empty."""
    is_short = isinstance(document, str) and len(document) <= CHUNK
    longest = None if isinstance(document, str) else LONGEST_LINE
    is_empty = True
    for chunk in filter(None, [document] if is_short else _chunks(pieces(document), longest)):
        yield chunk
        is_empty = False
    if separator is not None and not is_empty:
        yield None


def tokenize_parts(
    tokenizer: PreTrainedTokenizerBase, parts: Sequence[str | None], separator: int | None
) -> np.ndarray:
    """Token ids (int32) of chunks of text, and the separator for each None."""
    rows = iter(tokenize_chunks(tokenizer, [part for part in parts if part is not None]))
    found = [np.asarray([separator] if part is None else next(rows), dtype=np.int32) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int32)


def tokenize_chunks(tokenizer: PreTrainedTokenizerBase, chunks: list[str]) -> list[list[int]]:
    """Token ids of each text, no special ones added. Raises InputError where a character is unknown and can't be."""
    try:
        return tokenizer(chunks, add_special_tokens=False, verbose=False)["input_ids"] if chunks else []
    except Exception as error:  # tokenizers raises nothing more precise
        if "[UNK]" not in str(error):
            raise
        raise InputError("tokenizer.special_tokens: a split has unseen characters; add [UNK]") from None


def _chunks(text: Iterable[str], longest: int | None = None) -> Iterator[str]:
    """A text given in pieces, as chunks of about CHUNK characters that end with a line, so that no word is cut.

    A line stays whole, however long; given `longest`, one that is longer is cut at a space.
    """
    chunk: list[str] = []
    size, rest = 0, ""
    for piece in text:
        *lines, rest = (rest + piece).splitlines(keepends=True) or [""]  # the last may go on, or lack half a line end
        for line in lines:
            chunk.append(line)
            size += len(line)
            if size >= CHUNK:
                yield "".join(chunk)
                chunk, size = [], 0
        if longest is not None and len(rest) > longest:
            end = rest.rfind(" ", 1)
            end = end if end > 0 else len(rest)
            yield "".join(chunk) + rest[:end]
            chunk, size, rest = [], 0, rest[end:]
    if chunk or rest:
        yield "".join(chunk) + rest
