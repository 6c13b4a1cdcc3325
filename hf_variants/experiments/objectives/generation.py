# Copyright 2026 The hf_variants authors. MIT licence.
"""Text out of a causal language model: sampled texts, and greedy answers scored by exact match.

Nothing here draws from the global generators or leaves the model in another mode. A model is never asked for more
tokens than one block, as beyond that it was not trained.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from .. import configs
from ..checking import InputError
from ..metrics import load_metric
from ..text.corpora import Corpus
from ..text.tokenizer import separator_id
from .base import unwrapped

EXAMPLES = 5  # answers that are kept in the record
BATCH_SIZE = 32  # questions answered at a time


@contextmanager
def _undisturbed(model: PreTrainedModel, seed: int) -> Iterator[None]:
    """Evaluation mode and seeded generators, both put back afterwards."""
    was_training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(seed)
        model.eval()
        try:
            yield
        finally:
            model.train(was_training)


def pad_rows(rows: Sequence[Sequence[int]], pad_id: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of token ids as int64 `(rows, longest)`, filled up with `pad_id`, and the attention mask of that shape."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(len(row))
        ids[i, place], mask[i, place] = torch.tensor(row, dtype=torch.long), 1
    return ids, mask


def prediction_horizon(model: torch.nn.Module) -> int:
    """How far ahead a model predicts; also where it is wrapped by DDP or torch.compile."""
    return configs.prediction_horizon(unwrapped(model).config)


class CannotWriteError(InputError):
    """The model has no way to go on from these prompts."""


def _check(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> None:
    kind, horizon = model.config.model_type, prediction_horizon(model)
    if not (hasattr(model, "generate_blocks") if horizon > 1 else model.can_generate()):
        raise CannotWriteError(f"{kind} has no {'generate_blocks' if horizon > 1 else 'generate'}()")
    if min(map(len, rows)) < horizon:
        raise CannotWriteError(f"a prompt is shorter than {kind}'s prediction_horizon, {horizon} tokens")


def continue_rows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Sequence[int]],
    count: int,
    temperature: float = 0.0,
    stops: Sequence[int] = (),
) -> list[list[int]]:
    """Up to `count` tokens after each row of ids, until the token that ends a document or one of `stops`.

    Greedy at temperature 0; `generate` writes no other special token. Raises CannotWriteError.
    """
    _check(model, rows)
    separator = separator_id(tokenizer)
    stops = [*stops, *([] if separator is None else [separator])]
    pad_id = stops[0] if stops else 0
    ids, mask = (tensor.to(model.device) for tensor in pad_rows(rows, pad_id, left=True))
    how = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    if prediction_horizon(model) > 1:
        output = model.generate_blocks(ids, attention_mask=mask, max_new_tokens=count, **how)
    else:
        how |= {"top_k": 0} if temperature > 0 else {}
        how |= {"suppress_tokens": sorted(set(tokenizer.all_special_ids) - set(stops)) or None}
        config = GenerationConfig(max_new_tokens=count, eos_token_id=stops or None, pad_token_id=pad_id, **how)
        output = model.generate(ids, attention_mask=mask, generation_config=config)
    return [_until(row, stops) for row in output[:, ids.shape[1] : ids.shape[1] + count].tolist()]


def _until(ids: list[int], stops: Sequence[int]) -> list[int]:
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


# ---- samples -------------------------------------------------------------------------------------------------------


def sample_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str | list[int]],
    count: int,
    temperature: float,
    block_size: int,
    seed: int,
) -> list[dict[str, str]]:
    """One text per prompt (a text or token ids): [{"prompt", "text"}], the text without its prompt.

    Each has `count` tokens, or ends with its document. Where that is more than a block, the model goes on from the
    last half block of what it wrote.
    """
    rows = [_encode(tokenizer, p) if isinstance(p, str) else list(p) for p in prompts]
    with _undisturbed(model, seed):
        texts = [_long_row(model, tokenizer, row, count, temperature, block_size) for row in rows]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in rows]
    return [
        {"prompt": prompt, "text": tokenizer.decode(text, skip_special_tokens=True)}
        for prompt, text in zip(decoded, texts, strict=True)
    ]


def _long_row(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    row: list[int],
    count: int,
    temperature: float,
    block_size: int,
) -> list[int]:
    written: list[int] = []
    while len(written) < count:
        seen = row + written
        seen = seen if len(seen) < block_size else seen[-max(block_size // 2, prediction_horizon(model)) :]
        wanted = min(count - len(written), block_size - len(seen))
        new = continue_rows(model, tokenizer, [seen], wanted, temperature)[0]
        written += new
        if len(new) < wanted:
            break
    return written


def opening(tokenizer: PreTrainedTokenizerBase, corpus: Corpus, number: int, count: int) -> list[int]:
    """The first `count` tokens of one of the validation documents, counted around."""
    texts = [text for text in corpus.splits["validation"] if text.strip()]
    return _encode(tokenizer, texts[number % len(texts)][: 100 * count])[:count]


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


# ---- answers -------------------------------------------------------------------------------------------------------


def answer_questions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[tuple[str, str]],
    block_size: int,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Greedy answers to (prompt, expected answer) pairs: [{"prompt", "expected", "answer", "correct"}].

    An answer ends with its document, or with its line where all expected ones are one line, or when it is longer than
    the longest expected one. Prompts lose their beginning where the answer would not fit into a block.
    """
    one_line = not any("\n" in expected for _, expected in questions)
    stops = _newline(tokenizer) if one_line else []
    rows = [_encode(tokenizer, prompt) for prompt, _ in questions]
    longest = 1 + max(len(_encode(tokenizer, " " + expected)) for _, expected in questions)
    found: list[str] = []
    with _undisturbed(model, seed):
        for start in range(0, len(rows), BATCH_SIZE):
            part = rows[start : start + BATCH_SIZE]
            count = min(longest, max(block_size - max(map(len, part)), block_size // 2))
            part = [row[-(block_size - count) :] for row in part]
            found += [tokenizer.decode(ids) for ids in continue_rows(model, tokenizer, part, count, stops=stops)]
    found = [(text.strip().split("\n")[0] if one_line else text).strip() for text in found]
    is_right = load_metric("exact_match").is_right
    return [
        {"prompt": prompt, "expected": expected, "answer": answer, "correct": is_right(answer, expected)}
        for (prompt, expected), answer in zip(questions, found, strict=True)
    ]


def _newline(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The id of a line break, where that is one token of its own."""
    ids = _encode(tokenizer, "\n")
    return ids if len(ids) == 1 and ids[0] != tokenizer.unk_token_id else []


def summarise_answers(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{"questions", "correct", "exact_match", "examples": [{"prompt", "expected", "answer"}]}.

    Where expected answers differ in how many equations they hold there is "by_equations" too:
    {"2": {"questions", "correct"}, …}.
    """
    metric = load_metric("exact_match")
    pairs = {"predictions": [a["answer"] for a in answers], "references": [a["expected"] for a in answers]}
    examples = [{n: a[n] for n in ("prompt", "expected", "answer")} for a in answers[:EXAMPLES]]
    counts = {"questions": len(answers), "correct": sum(a["correct"] for a in answers)}
    return counts | metric.compute(**pairs) | _by_equations(answers) | {"examples": examples}


def _by_equations(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Right answers by the length of the chain that leads to them; nothing where all chains are of one length."""
    found: dict[int, list[bool]] = {}
    for answer in answers:
        found.setdefault(answer["expected"].count("="), []).append(answer["correct"])
    if sum(number > 0 for number in found) < 2:
        return {}
    counted = {str(n): {"questions": len(right), "correct": sum(right)} for n, right in sorted(found.items())}
    return {"by_equations": counted}
