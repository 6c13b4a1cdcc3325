# Copyright 2026 The hf_variants authors. MIT licence.
"""Tokenizers, blocks, and an order of data that knows nothing but seed and step."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.engine.schedule import learning_rate, plan
from hf_variants.experiments.engine.steps import StepDataset, step_loader
from hf_variants.experiments.objectives.base import IGNORED
from hf_variants.experiments.objectives.evaluations import FixedEvaluation
from hf_variants.experiments.objectives.masked_lm import MaskedLanguageModeling
from hf_variants.experiments.objectives.registry import build_objective
from hf_variants.experiments.recipes.sections import ObjectiveArguments, TokenizerArguments, TrainingArguments
from hf_variants.experiments.text.blocks import BlockOrder, PackedBlocks
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import _chunks, build_tokenizer, separator_id, tokenize_documents

CORPUS = Corpus("made", {"train": ["to be or not\nto be\t" * 50], "validation": ["be Ω"]})


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TokenizerArguments(), CORPUS, 8)


def test_characters_round_trip(tokenizer, tmp_path):
    text = "be or\n\tnot  to"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text) and tokenizer.decode(ids) == text
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(text)["input_ids"] == ids and again.mask_token == "[MASK]" and again.decode(ids) == text
    assert again("be [MASK]r")["input_ids"][3] == again.mask_token_id


def test_the_vocabulary_comes_from_train_alone(tokenizer):
    assert len(tokenizer) == 5 + len(set(CORPUS.splits["train"][0]))
    assert tokenizer("Ω", add_special_tokens=False)["input_ids"] == [tokenizer.unk_token_id]


def test_wordpiece_is_berts(tmp_path):
    arguments = TokenizerArguments(tokenizer="wordpiece", vocab_size=40)
    trained = build_tokenizer(arguments, CORPUS, 8)
    ids = trained("To be")["input_ids"]
    assert trained.convert_ids_to_tokens(ids)[0] == "[CLS]" and trained.convert_ids_to_tokens(ids)[-1] == "[SEP]"
    assert trained.decode(ids, skip_special_tokens=True) == "to be" and len(trained) <= 40
    pair = trained("to", "be")
    assert pair["token_type_ids"][-1] == 1


def test_bpe_has_the_one_special_token_of_gpt2(tmp_path):
    trained = build_tokenizer(TokenizerArguments(tokenizer="bpe", vocab_size=270), CORPUS, 8)
    assert trained.eos_token == trained.bos_token == "<|endoftext|>" and trained.pad_token is None
    assert len(trained) <= 270 and trained.all_special_ids == [trained.eos_token_id]
    text = "to  be Ω\n\t¿"
    ids = trained(text)["input_ids"]
    trained.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(text)["input_ids"] == ids and again.decode(ids) == text
    more = TokenizerArguments(tokenizer="bpe", vocab_size=270, special_tokens=["[PAD]", "<|endoftext|>", "[MASK]"])
    assert build_tokenizer(more, CORPUS, 8).mask_token == "[MASK]"
    with pytest.raises(InputError, match="bpe needs <|endoftext|>"):
        build_tokenizer(TokenizerArguments(tokenizer="bpe", special_tokens=["[PAD]"]), CORPUS, 8)


def test_a_tokenizer_of_the_data_folder(tokenizer, tmp_path, monkeypatch):
    tokenizer.save_pretrained(tmp_path / "mine")
    monkeypatch.setenv("HF_VARIANTS_DATA", str(tmp_path))
    loaded = build_tokenizer(TokenizerArguments(tokenizer="mine"), CORPUS, 8)
    assert loaded.get_vocab() == tokenizer.get_vocab()


@pytest.mark.skipif(
    not (Path(os.environ.get("HF_VARIANTS_DATA", "none")) / "gpt2_bpe").exists(), reason="needs HF_VARIANTS_DATA"
)
def test_real_gpt2_bpe():
    from hf_variants.experiments.objectives.causal_lm import bytes_per_token

    loaded = build_tokenizer(TokenizerArguments(tokenizer="gpt2_bpe"), CORPUS, 8)
    assert len(loaded) == 50257 and separator_id(loaded) == 50256
    text = "Ωmega  §1: it's 2½ \n\n日本"
    ids = loaded(text)["input_ids"]
    assert loaded.decode(ids) == text and bytes_per_token(loaded)[ids].sum() == len(text.encode())


def test_an_unknown_tokenizer_is_one_line():
    with pytest.raises(InputError, match="allowed: character, words, wordpiece, bpe, unigram, a folder"):
        build_tokenizer(TokenizerArguments(tokenizer="./nowhere"), CORPUS, 8)


@given(st.text(alphabet="ab\n", max_size=400))
@pytest.mark.hunt
def test_chunks_lose_nothing(text):
    assert "".join(_chunks([text * 400])) == text * 400


def test_documents_are_separated(tokenizer):
    one = tokenize_documents(tokenizer, ["to be"])
    two = tokenize_documents(tokenizer, ["to be", "", "not"])
    assert len(one) == 5 and len(two) == 5 + 1 + 3 + 1
    assert (two == tokenizer.sep_token_id).sum() == 2


def test_a_split_shorter_than_a_block_is_named():
    with pytest.raises(InputError, match="test split tokenizes to 3 tokens, less than one block of 8"):
        PackedBlocks(np.arange(3), 8, "test")


@given(st.integers(2, 9), st.data(), st.integers(9, 70), st.none() | st.integers(1, 9))
@pytest.mark.hunt
def test_every_token_is_new_in_exactly_one_window(size, data, length, limit):
    stride = data.draw(st.integers(1, size - 1))
    rows, new = PackedBlocks(np.arange(length), size, "test").windows(stride, limit)
    covered = length if limit is None else min(length, limit * size)
    assert sorted(rows[new].tolist()) == list(range(covered))
    assert rows.shape == new.shape == (len(rows), size) and new[0].all()
    assert not new[1:, 0].any()  # each later token has context, and no less than the window leaves room for
    assert (new[1:].sum(axis=1) <= stride).all()


def test_windows_give_a_causal_evaluation_more_context():
    """Every token but the first is scored once, and in the first window as without windows."""
    from accelerate import Accelerator
    from transformers import GPT2Config, GPT2LMHeadModel

    tokens = np.random.default_rng(0).integers(0, 12, 37).astype(np.int32)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=12, bos_token_id=0, eos_token_id=0, n_embd=8, n_layer=1, n_head=1, n_positions=8)
    )
    blocks = PackedBlocks(tokens, 8, "test")
    objective = build_objective(
        ObjectiveArguments(objective="causal_lm"), build_tokenizer(TokenizerArguments(), CORPUS, 8)
    )
    plain = FixedEvaluation(blocks.all_rows(), objective, 1, 4).scores(model, Accelerator(cpu=True))
    rows, new = blocks.windows(3)
    slid = FixedEvaluation(rows, objective, 1, 4, new).scores(model, Accelerator(cpu=True))
    assert slid["label"].tolist() == tokens[1:].tolist() and len(plain["label"]) == 4 * 7
    np.testing.assert_allclose(slid["loss"][:7], plain["loss"][:7], atol=1e-6)


@given(st.integers(1, 9), st.integers(0, 3), st.booleans(), st.integers(20, 90))
@pytest.mark.hunt
def test_every_epoch_sees_every_block_once(batch_size, seed, random_phase, length):
    blocks = PackedBlocks(np.arange(length), 8, "train")
    order = BlockOrder(blocks, batch_size, seed, random_phase)
    starts = np.concatenate([order.starts(step) for step in range(3 * order.blocks_per_epoch)])
    for epoch in range(2):
        seen = starts[epoch * order.blocks_per_epoch : (epoch + 1) * order.blocks_per_epoch]
        assert len(set(seen.tolist())) == order.blocks_per_epoch and len(set((seen % 8).tolist())) == 1
        assert seen.max() + 8 <= length
    assert (BlockOrder(blocks, batch_size, seed, random_phase).starts(5) == order.starts(5)).all()


def dataset(tokenizer, parts: int, rank: int, world: int) -> StepDataset:
    blocks = PackedBlocks(tokenize_documents(tokenizer, CORPUS.splits["train"]), 8, "train")
    objective = MaskedLanguageModeling(ObjectiveArguments(), tokenizer)
    return StepDataset(BlockOrder(blocks, 12, 3, True), objective, 3, parts, rank, world)


def test_the_global_batch_does_not_depend_on_processes_or_micro_batches(tokenizer):
    whole = dataset(tokenizer, 1, 0, 1)[5]
    pieces = [dataset(tokenizer, 3, rank, 2)[5 * 3 + part] for part in range(3) for rank in range(2)]
    for name in ("input_ids", "labels"):
        assert torch.equal(torch.cat([piece[name] for piece in pieces]), whole[name])
    assert all(piece["weight"] == whole["weight"] for piece in pieces)


def test_the_loader_draws_nothing_from_the_global_generator(tokenizer):
    before = torch.get_rng_state()
    batches = list(step_loader(dataset(tokenizer, 2, 0, 1), 4, 6, pin_memory=False))
    assert len(batches) == 4 and torch.equal(torch.get_rng_state(), before)


# ---- objective -----------------------------------------------------------------------------------------------------


def test_masks_follow_the_published_shares(tokenizer):
    objective = MaskedLanguageModeling(ObjectiveArguments(), tokenizer)
    ordinary = objective.ordinary_ids
    rows = np.random.default_rng(0).choice(ordinary, size=(400, 100))
    batch, count = objective.prepare(rows, np.random.default_rng(1))
    chosen = batch["labels"] != IGNORED
    assert chosen.sum() == count and abs(chosen.mean() - 0.15) < 0.01
    assert (batch["labels"][chosen] == rows[chosen]).all() and (batch["input_ids"][~chosen] == rows[~chosen]).all()
    masked = batch["input_ids"][chosen] == tokenizer.mask_token_id
    kept = batch["input_ids"][chosen] == rows[chosen]
    assert abs(masked.mean() - 0.8) < 0.02 and abs(kept.mean() - 0.1 - 0.1 / len(ordinary)) < 0.02


def test_special_tokens_are_never_predicted_and_something_always_is(tokenizer):
    objective = MaskedLanguageModeling(ObjectiveArguments(mask_probability=0.01), tokenizer)
    rows = np.full((1, 6), tokenizer.sep_token_id)
    assert objective.prepare(rows, np.random.default_rng(0))[1] == 0
    rows[0, 3] = 7
    batch, count = objective.prepare(rows, np.random.default_rng(0))
    assert count == 1 and batch["labels"][0, 3] == 7


def test_a_limit_takes_the_first_blocks_or_some_from_all_over_the_text():
    blocks = PackedBlocks(np.arange(83, dtype=np.int32), 8, "test")
    assert blocks.all_rows(4)[:, 0].tolist() == [0, 8, 16, 24]
    assert blocks.all_rows(4, spread=True)[:, 0].tolist() == [0, 24, 48, 72]
    for limit in (1, 10, 99, None):
        rows = blocks.all_rows(limit, spread=True)
        assert len(rows) == min(limit or 10, 10) and len(np.unique(rows)) == rows.size
    np.testing.assert_array_equal(blocks.all_rows(99, spread=True), blocks.all_rows())


def test_evaluation_is_the_same_for_every_batch_size(tokenizer):
    from accelerate import Accelerator
    from transformers import BertConfig, BertForMaskedLM

    rows = PackedBlocks(tokenize_documents(tokenizer, CORPUS.splits["train"]), 8, "train").all_rows(20)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes))
    objective = MaskedLanguageModeling(ObjectiveArguments(), tokenizer)
    scores = [FixedEvaluation(rows, objective, 1, size).scores(model, Accelerator(cpu=True)) for size in (3, 20)]
    np.testing.assert_allclose(scores[0]["loss"], scores[1]["loss"], atol=1e-5)
    assert (scores[0]["label"] == scores[1]["label"]).all()


def test_logits_of_predicted_tokens_alone_give_the_same_losses(tokenizer):
    from transformers import BertConfig, BertForMaskedLM

    from hf_variants.bert.configuration_minbert import MinBertConfig
    from hf_variants.bert.modeling_minbert import MinBertForMaskedLM

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    bert = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).eval()
    ours = MinBertForMaskedLM(MinBertConfig(vocab_size=len(tokenizer), **sizes)).eval()
    ours.load_state_dict(bert.state_dict())
    shapes = []
    ours.cls.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    objective = MaskedLanguageModeling(ObjectiveArguments(), tokenizer)
    rows = PackedBlocks(tokenize_documents(tokenizer, CORPUS.splits["train"]), 8, "train").all_rows(20)
    batch, count = objective.prepare(rows, np.random.default_rng(0))
    batch = {name: torch.from_numpy(values) for name, values in batch.items()}
    with torch.no_grad():
        found, expected = (objective.losses(model, batch) for model in (ours, bert))
    assert shapes == [(count, len(tokenizer))]
    torch.testing.assert_close(found["loss"], expected["loss"], atol=1e-5, rtol=1e-5)
    assert torch.equal(found["label"], expected["label"])
    in_training = objective.losses(ours, batch)
    assert list(in_training) == ["loss"] and torch.equal(in_training["loss"].detach(), found["loss"])


# ---- schedule ------------------------------------------------------------------------------------------------------


def rates(arguments: TrainingArguments, block_size: int = 10) -> list[list[float]]:
    return [
        [learning_rate(arguments, phase, step) for step in range(phase.start, phase.end)]
        for phase in plan(arguments, block_size)
    ]


def test_trunk_and_branches():
    arguments = TrainingArguments(max_tokens=1000, batch_size=1, budgets=[0.5, 1.0], warmup_steps=4, learning_rate=1.0)
    first, early, second, late = rates(arguments)
    assert first[:5] == [0.25, 0.5, 0.75, 1.0, 1.0] and set(second) == {1.0}
    assert len(first) == 40 and len(early) == 10 and len(second) == 40 and len(late) == 20
    assert early == pytest.approx([1 - i / 10 for i in range(10)])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_one_piece_schedules_fall_to_the_end(schedule):
    arguments = TrainingArguments(
        max_steps=100, schedule=schedule, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.1
    )
    (values,) = rates(arguments)
    assert (
        values[9] == 1.0 and values[10] == 1.0 and all(a >= b for a, b in zip(values[10:], values[11:], strict=False))
    )
    assert 0.1 < values[-1] < 0.12


@pytest.mark.parametrize(("budgets", "words"), [([0.5, 0.51, 1.0], "0.51 of 20 steps ends at step 10"),
                                                ([0.02, 1.0], "0.02 of 20 steps ends at step 0")])  # fmt: skip
def test_a_budget_has_an_end_of_its_own(budgets, words):
    with pytest.raises(InputError, match=words):
        plan(TrainingArguments(max_steps=20, budgets=budgets, warmup_steps=0), 10)


def test_warm_up_must_end_before_the_first_decay():
    with pytest.raises(InputError, match="50 is beyond step 40"):
        plan(TrainingArguments(max_steps=100, budgets=[0.5, 1.0], warmup_steps=50), 10)
