# Copyright 2026 The hf_variants authors. MIT licence.
"""Writing with a model: left padding changes nothing, nothing is disturbed, and blocks are no limit."""

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from hf_variants.experiments.objectives.generation import (
    CannotWriteError,
    answer_questions,
    continue_rows,
    opening,
    pad_rows,
    sample_texts,
    summarise_answers,
)
from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer

CORPUS = Corpus("made", {"train": ["abcdefgh \n"], "validation": ["  ", "bad", "cab"]})
TOKENIZER = build_tokenizer(TokenizerArguments(), CORPUS, 16)


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16}
    config = GPT2Config(vocab_size=len(TOKENIZER), bos_token_id=None, eos_token_id=None, **sizes)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def test_rows_are_padded_on_either_side():
    ids, mask = pad_rows([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    ids, mask = pad_rows([[1, 2, 3], [4]], 9, left=True)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_batch_goes_on_as_each_row_alone_would(model):
    rows = [TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in ("abc", "h", "fade bad")]
    together = continue_rows(model, TOKENIZER, rows, 8)
    assert together == [continue_rows(model, TOKENIZER, [row], 8)[0] for row in rows]
    plain, ids = [], list(rows[0])
    for _ in range(8):  # without cache and without generate()
        logits = model(torch.tensor([ids])).logits[0, -1]
        logits[TOKENIZER.all_special_ids] = torch.where(
            torch.tensor(TOKENIZER.all_special_ids) == TOKENIZER.sep_token_id, logits[TOKENIZER.all_special_ids], -1e9
        )
        ids.append(int(logits.argmax()))
        plain.append(ids[-1])
    end = plain.index(TOKENIZER.sep_token_id) if TOKENIZER.sep_token_id in plain else len(plain)
    assert together[0] == plain[:end]


def test_samples_are_long_reproducible_and_leave_no_trace(model):
    model.train()
    before = torch.get_rng_state()
    first = sample_texts(model, TOKENIZER, ["ab", "ab"], 100, 1.5, 16, seed=1)
    assert model.training and torch.equal(torch.get_rng_state(), before)
    assert sample_texts(model, TOKENIZER, ["ab", "ab"], 100, 1.5, 16, seed=1) == first
    assert sample_texts(model, TOKENIZER, ["ab", "ab"], 100, 1.5, 16, seed=2) != first
    assert [sample["prompt"] for sample in first] == ["ab", "ab"] and first[0]["text"] != first[1]["text"]
    endless = build_tokenizer(
        TokenizerArguments(special_tokens=["[PAD]", "[UNK]", "[MASK]", "[X]", "[Y]"]), CORPUS, 16
    )
    (sample,) = sample_texts(
        model, endless, ["ab"], 100, 1.5, 16, seed=1
    )  # nothing ends it; [X] and [Y] are not shown
    assert 80 < len(sample["text"]) <= 100
    model.eval()


def test_answers_end_with_the_line_and_long_prompts_lose_their_beginning(model):
    pairs = [("abc" * 20, "a"), ("b", "bad")]
    found = answer_questions(model, TOKENIZER, pairs, 16)
    assert [set(row) for row in found] == [{"prompt", "expected", "answer", "correct"}] * 2
    assert all(len(row["answer"]) <= 5 and "\n" not in row["answer"] for row in found)
    own = [(prompt, row["answer"]) for (prompt, _), row in zip(pairs, found, strict=True)]
    summary = summarise_answers([row | {"expected": answer} for row, (_, answer) in zip(found, own, strict=True)])
    assert summary["exact_match"] == 1.0 and summary["questions"] == 2 and len(summary["examples"]) == 2


def test_a_model_that_cannot_write_says_so():
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    with pytest.raises(CannotWriteError, match="bert has no generate"):
        continue_rows(BertModel(BertConfig(**sizes)), TOKENIZER, [[1]], 3)


def test_an_empty_prompt_is_refused(model):
    with pytest.raises(CannotWriteError, match="a prompt is shorter than"):
        continue_rows(model, TOKENIZER, [[]], 3)


def test_openings_are_those_of_documents():
    assert [TOKENIZER.decode(opening(TOKENIZER, CORPUS, number, 2)) for number in range(3)] == ["ba", "ca", "ba"]


def answered(*pairs):
    return [{"prompt": "?", "expected": expected, "answer": "", "correct": right} for expected, right in pairs]


def test_answers_are_counted_by_the_equations_in_the_expected_one():
    two, ten = "1 + 1 = 2, 2 + 1 = 3 #### 3", ", ".join(["1 + 1 = 2"] * 10)
    summary = summarise_answers(answered((ten, True), (two, True), ("none", False), (two, False)))
    assert summary["by_equations"] == {
        "0": {"questions": 1, "correct": 0},
        "2": {"questions": 2, "correct": 1},
        "10": {"questions": 1, "correct": 1},
    }
    assert list(summary["by_equations"]) == ["0", "2", "10"] and summary["correct"] == 2


def test_chains_of_one_length_are_not_counted_apart():
    assert "by_equations" not in summarise_answers(answered(("1 = 1", True), ("2 = 2", False), ("none", False)))
    assert "by_equations" not in summarise_answers(answered(("none", True)))
