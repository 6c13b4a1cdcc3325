# Copyright 2026 The hf_variants authors. MIT licence.
"""Batches of labelled examples: what is in them, in which order, and that nothing depends on where a run stands."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AutoTokenizer

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.prepared_examples import separate_pairs
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.engine.steps import StepDataset
from hf_variants.experiments.labelled.corpus import Examples
from hf_variants.experiments.labelled.examples import BucketedOrder, TokenizedExamples
from tests.helpers.models import char_tokenizer
from tests.helpers.tiny_labelled import labelled_recipe

WORDS = {"tokenizer.tokenizer": "words", "tokenizer.special_tokens": ["[PAD]", "[UNK]"]}


class Tokenizer:
    """A tokenizer of characters: one id each, counted from 1."""

    model_input_names = ("input_ids", "attention_mask")
    pad_token_id = 0

    def __init__(self, padding_side: str = "right") -> None:
        self.padding_side = padding_side

    def num_special_tokens_to_add(self, pair):
        return 0

    def __call__(self, texts, pairs=None, max_length=None, **_):
        return {"input_ids": [[ord(c) - 96 for c in text][:max_length] for text in texts]}


def tokenized(texts: list[str], side: str = "right", max_length: int = 5) -> TokenizedExamples:
    examples = Examples(texts, labels=np.arange(len(texts)) % 2)
    return TokenizedExamples(Tokenizer(side), examples, max_length)


def test_a_batch_is_padded_to_its_longest_and_cut_at_the_limit():
    found = tokenized(["ab", "c", "abcdefgh", ""])
    batch = found.batch(np.asarray([0, 1, 3]))
    assert batch["input_ids"].tolist() == [[1, 2], [3, 0], [0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0], [0, 0]]
    assert batch["labels"].tolist() == [0, 1, 1]
    assert found.batch(np.asarray([2]))["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert found.batch(np.asarray([3]))["input_ids"].shape == (1, 1)


@pytest.mark.parametrize(("pairs", "specials", "what"), [(None, 2, "a text"), (["b c"], 3, "a pair of texts")])
def test_a_limit_that_special_tokens_fill_is_refused(pairs, specials, what):
    examples = Examples(["abc def"], pairs)
    for size in range(1, specials + 1):
        with pytest.raises(InputError, match=f"block_size: {size}; allowed: more than the {specials} .* of {what}"):
            TokenizedExamples(char_tokenizer(), examples, size)
    assert TokenizedExamples(char_tokenizer(), examples, specials + 1).lengths.tolist() == [specials + 1]


def test_padding_is_on_the_side_that_the_tokenizer_says():
    batch = tokenized(["ab", "c"], side="left").batch(np.arange(2))
    assert batch["input_ids"].tolist() == [[1, 2], [0, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1], [0, 1]]


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=60), size=st.integers(1, 7), seed=st.integers(0, 3))
@pytest.mark.hunt
def test_an_epoch_reads_every_example_once_but_for_what_fills_no_batch(lengths, size, seed):
    examples = tokenized(["a" * length for length in lengths], max_length=9)
    if len(lengths) < size:
        with pytest.raises(InputError, match=f"batch_size: {size}; the train split has {len(lengths)} examples"):
            BucketedOrder(examples, size, seed)
        return
    order = BucketedOrder(examples, size, seed)
    steps = order.steps_per_epoch
    for epoch in range(2):
        seen = np.concatenate([order.indices(step) for step in range(epoch * steps, (epoch + 1) * steps)])
        assert len(set(seen.tolist())) == steps * size
    assert steps == len(lengths) // size
    read = [int(examples.lengths[order.indices(step)].sum()) for step in range(2 * steps)]
    assert [order.tokens(step) for step in range(2 * steps + 1)] == [0, *np.cumsum(read).tolist()]
    assert BucketedOrder(examples, size, seed).tokens(2 * steps) == sum(read)  # asked for at once


def test_batches_hold_similar_lengths_in_no_order_of_length():
    rng = np.random.default_rng(0)
    examples = tokenized(["a" * int(length) for length in rng.integers(1, 60, size=640)], max_length=60)
    order = BucketedOrder(examples, 8, 0)
    batches = [examples.lengths[order.indices(step)] for step in range(order.steps_per_epoch)]
    waste = sum(int(batch.max()) * len(batch) for batch in batches) / examples.lengths.sum()
    assert waste < 1.05
    means = [batch.mean() for batch in batches]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.4


def test_micro_batches_and_processes_share_out_the_same_batch(tmp_path):
    prepared = prepare(labelled_recipe(tmp_path))
    order = BucketedOrder(prepared.examples["train"], 8, 3)
    whole = StepDataset(order, prepared.objective, 3, 1, 0, 1)[5]
    parts = [StepDataset(order, prepared.objective, 3, 2, rank, 2)[2 * 5 + part] for part in (0, 1) for rank in (0, 1)]
    for name in ("input_ids", "attention_mask", "labels"):
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name]), name
    assert {int(part["weight"]) for part in parts} == {8}


# ---- what is prepared ----------------------------------------------------------------------------------------------


def test_the_tokenizer_is_trained_on_train_alone(tmp_path):
    recipe = labelled_recipe(tmp_path, WORDS)
    for split in ("validation", "test"):
        with (tmp_path / "examples" / f"{split}.jsonl").open("a") as file:
            file.write('{"text": "zebra zebra zebra", "label": 1}\n')
    tokenizer = prepare(recipe).tokenizer
    assert "zebra" not in tokenizer.get_vocab()
    assert "good" in tokenizer.get_vocab()


def test_cleaning_is_done_by_the_saved_tokenizer(tmp_path):
    recipe = labelled_recipe(tmp_path, WORDS | {"tokenizer.clean": ["lower_case", "urls", "stop_words"]})
    prepared = prepare(recipe)
    assert "the" not in prepared.tokenizer.get_vocab()
    prepared.tokenizer.save_pretrained(tmp_path / "tokenizer")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    text = "The DAY was good http://www.example.org/day"
    assert loaded.convert_ids_to_tokens(loaded(text)["input_ids"]) == ["day", "good"]
    with pytest.raises(InputError, match="cleaning: 'wash'; allowed: lower_case"):
        prepare(labelled_recipe(tmp_path, {"tokenizer.clean": ["wash"]}))


def test_token_budgets_are_refused(tmp_path):
    recipe = labelled_recipe(tmp_path, {"training.max_epochs": None, "training.max_tokens": 1000})
    with pytest.raises(InputError, match="training.max_tokens: examples differ in length; allowed here: max_epochs"):
        prepare(recipe)


def test_the_record_says_what_was_read(tmp_path):
    record = run_recipe(labelled_recipe(tmp_path), tmp_path / "run").to_json()
    mark = record["marks"][-1]
    prepared = prepare(labelled_recipe(tmp_path))
    assert mark["steps"] == 16  # two passes over 64 examples in batches of 8
    assert mark["examples"] == 128
    splits = record["data"]["splits"]
    assert mark["tokens"] == 2 * prepared.examples["train"].lengths.sum() == 2 * splits["train"]["tokens"]
    assert splits["test"]["examples"] == 32
    assert record["data"]["label_names"] == ["0", "1"]


# ---- pairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "token"),
    [("character", "[SEP]"), ("bpe", "<|endoftext|>"), ("wordpiece", "[SEP]"), ("unigram", "[SEP]")],
)
def test_a_token_stands_between_the_texts_of_a_pair_and_is_saved_with_the_tokenizer(kind, token, tmp_path):
    changes = {"labels.pair_column": "kind", "tokenizer.tokenizer": kind, "tokenizer.vocab_size": 300}
    found = prepare(labelled_recipe(tmp_path, changes))
    tokenizer, examples = found.tokenizer, found.examples["train"]
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    mark = tokenizer.convert_tokens_to_ids(token)
    for row in range(4):
        first, second = examples.source.texts[row], examples.source.pairs[row]
        ids = examples.arrays["input_ids"][row].tolist()
        assert ids == saved(first, second, truncation=True, max_length=16)["input_ids"] and len(ids) <= 16
        after = ids[ids.index(mark) + 1 :]
        expected = saved(second, add_special_tokens=False)["input_ids"]
        assert after[: len(expected)] == expected and set(after[len(expected) :]) <= {mark}
        if kind in ("character", "bpe"):  # a single text is what it was
            assert saved(first)["input_ids"] == saved(first, add_special_tokens=False)["input_ids"]


def test_a_pretrained_tokenizer_without_a_separator_gets_one():
    tokenizer = char_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)  # as GPT-2 has
    plain = tokenizer("ab")["input_ids"]
    assert tokenizer("ab", "c")["input_ids"] == [*plain, *tokenizer("c")["input_ids"]]
    separate_pairs(tokenizer)
    assert tokenizer("ab", "c")["input_ids"] == [*plain, tokenizer.sep_token_id, *tokenizer("c")["input_ids"]]
    before = tokenizer.backend_tokenizer.to_str()
    separate_pairs(tokenizer)  # there is one now
    assert tokenizer.backend_tokenizer.to_str() == before


def test_pairs_are_refused_where_nothing_can_stand_between_them(tmp_path):
    with pytest.raises(InputError, match="labels.pair_column: the tokenizer puts no token between"):
        prepare(labelled_recipe(tmp_path, WORDS | {"labels.pair_column": "kind"}))
