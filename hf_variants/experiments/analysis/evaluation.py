# Copyright 2026 The hf_variants authors. MIT licence.
"""What a finished model is worth on data that it was not trained with: one function per task.

Each takes a model and its tokenizer and gives metrics and, row by row, what they were computed from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..checking import InputError
from ..configs import most_positions
from ..metrics import load_metric, summarise_scores
from ..objectives.causal_lm import CausalLanguageModeling
from ..objectives.evaluations import FixedEvaluation
from ..objectives.generation import answer_questions, pad_rows, summarise_answers
from ..recipes.sections import ObjectiveArguments
from ..text.blocks import PackedBlocks
from ..text.questions import ANSWER, as_question
from ..text.sources import find_model
from ..text.tokenizer import tokenize_documents

DEFAULT_LENGTH = 1024  # tokens read at once where nobody says how many
Scored = tuple[dict[str, float], list[dict[str, Any]]]


def load_model(
    name: str, auto_class: str, revision: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model in float32 and evaluation mode, and its tokenizer.

    Raises InputError where there is no such thing, or it lacks weights, which would be random: a head, mostly.
    """
    try:
        name = find_model(name)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=True)
        model, loading = getattr(transformers, auto_class).from_pretrained(
            name, revision=revision, trust_remote_code=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        raise InputError(f"--model_dir {name}: {' '.join(str(error).split())[:300]}") from None
    unread = "pooler" if auto_class == "AutoModel" else None  # embeddings are made of hidden states
    missing = sorted(key for key in loading["missing_keys"] if unread is None or unread not in key)
    if missing:
        raise InputError(f"--model_dir {name}: has no weights for {', '.join(missing[:3])} of {type(model).__name__}")
    return model.eval(), tokenizer


def input_size(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, wanted: int | None = None) -> int:
    """How many tokens are read at once: `wanted`, or what model and tokenizer are made for, at most DEFAULT_LENGTH.

    Raises InputError where the model cannot read so many.
    """
    positions = most_positions(model.config)
    if wanted is not None and positions is not None and wanted > positions:
        raise InputError(f"--block_size: {wanted}; allowed: up to the model's max_position_embeddings, {positions}")
    return wanted or min(positions or DEFAULT_LENGTH, tokenizer.model_max_length, DEFAULT_LENGTH)


def language_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    block_size: int,
    stride: int | None = None,
    max_blocks: int | None = None,
    batch_size: int = 16,
    cross_document_attention: bool = True,
) -> Scored:
    """Loss, perplexity, bits per byte and accuracy of a causal model over packed documents.

    With a stride, windows of `block_size` advance by it and every token is scored once; otherwise blocks are disjoint.
    `max_blocks` are the first with a stride, and at even distances without one.
    One row per scored token: {"token", "prediction", "loss"} (nats).
    """
    arguments = ObjectiveArguments(objective="causal_lm", cross_document_attention=cross_document_attention)
    objective = CausalLanguageModeling(arguments, tokenizer).for_model(model.config)
    blocks = PackedBlocks(tokenize_documents(tokenizer, texts), block_size, "evaluated")
    rows, new = blocks.all_rows(max_blocks, spread=True), None
    if stride is not None:
        rows, new = blocks.windows(stride, max_blocks)
    accelerator = Accelerator()
    evaluation = FixedEvaluation(rows, objective, 0, batch_size, new)
    scores = evaluation.scores(model.to(accelerator.device), accelerator)
    names = {i: tokenizer.decode([i]) for i in {*scores["label"].tolist(), *scores["prediction"].tolist()}}
    columns = (scores["label"].tolist(), scores["prediction"].tolist(), scores["loss"].tolist())
    predictions = [
        {"token": names[label], "prediction": names[predicted], "loss": loss}
        for label, predicted, loss in zip(*columns, strict=True)
    ]
    return summarise_scores(scores, objective.metrics), predictions


def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[str],
    block_size: int,
    max_questions: int | None = None,
) -> Scored:
    """Exact match of greedy answers to the first questions. One row per question, as `answer_questions` gives them.

    Raises InputError where the documents are no questions, or the model writes nothing.
    """
    if not all(ANSWER in document for document in documents):
        raise InputError("--task answers: the data has no questions; give --question_column and --answer_column")
    pairs = [as_question(document) for document in documents[:max_questions]]
    found = answer_questions(model.to(Accelerator().device), tokenizer, pairs, block_size)
    summary = summarise_answers(found)
    return {name: summary[name] for name in ("questions", "correct", "exact_match")}, found


# ---- similarity of sentences ---------------------------------------------------------------------------------------


@torch.no_grad()
def embed_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_length: int,
    batch_size: int = 32,
) -> np.ndarray:
    """One vector per text, float32 `(texts, width)`: the model's `embed_text(input_ids, attention_mask)`, or else the
    mean of the last hidden states over real tokens."""
    rows = tokenizer(list(texts), truncation=True, max_length=max_length, verbose=False)["input_ids"]
    parts = []
    for start in range(0, len(rows), batch_size):
        ids, mask = pad_rows(rows[start : start + batch_size], tokenizer.pad_token_id or 0)
        ids, mask = ids.to(model.device), mask.to(model.device)
        if hasattr(model, "embed_text"):
            vectors = model.embed_text(ids, mask)
        else:
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            vectors = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        parts.append(vectors.float().cpu().numpy())
    return np.concatenate(parts)


def sentence_similarity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[str, str, float]],
    max_length: int,
) -> Scored:
    """Spearman and Pearson correlation of cosine similarities with gold scores; `rows` are (text, text, score).

    One row per pair: {"text_a", "text_b", "label", "similarity"}. Raises InputError where either side is constant.
    """
    model.to(Accelerator().device)
    first, second = (embed_texts(model, tokenizer, [row[i] for row in rows], max_length) for i in (0, 1))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    similarities = (first * second).sum(1) / np.maximum(lengths, 1e-12)
    gold = [float(row[2]) for row in rows]
    try:
        metrics = load_metric("correlation").compute(predictions=similarities.tolist(), references=gold)
    except ValueError as error:
        raise InputError(f"--task sentence_similarity: {error}") from None
    predictions = [
        {"text_a": a, "text_b": b, "label": label, "similarity": float(similarity)}
        for (a, b, _), label, similarity in zip(rows, gold, similarities, strict=True)
    ]
    return metrics, predictions
