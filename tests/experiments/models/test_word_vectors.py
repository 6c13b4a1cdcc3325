# Copyright 2026 The hf_variants authors. MIT licence.
"""Pretrained word vectors: what is read, what stays, and what is refused without changing anything."""

import gzip

import pytest
import torch
from torch import nn

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.models.word_vectors import load_word_vectors
from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer
from hf_variants.gru.configuration_bigru import BiGRUConfig
from hf_variants.gru.modeling_bigru import BiGRUForSequenceClassification

LINES = ["the 1 2 3", "dog -0.5 1e-3 .25", "other 7 7 7"]


@pytest.fixture(scope="module")
def tokenizer():
    corpus = Corpus("made", {"train": ["the dog sees the cat"], "validation": ["a bird"]})
    return build_tokenizer(TokenizerArguments(tokenizer="words"), corpus, 8)


@pytest.fixture
def embedding():
    torch.manual_seed(0)
    return nn.Embedding(8, 3, padding_idx=0)


def write(path, lines, ending="\n"):
    text = ending.join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", [[], ["3 3"]], ids=["glove", "word2vec"])
@pytest.mark.parametrize("ending", ["\n", " \n", "\r\n"])
def test_words_of_the_file_are_copied_and_others_stay(tokenizer, embedding, tmp_path, name, header, ending):
    before = embedding.weight.detach().clone()
    report = load_word_vectors(embedding, tokenizer, write(tmp_path / name, header + LINES, ending))
    assert (report.found, report.missing, report.share) == (2, 2, 0.5)
    assert str(report) == "2 of 4 words have a pretrained vector (50.0%)"
    ids = tokenizer.get_vocab()
    expected = before.clone()
    expected[ids["the"]] = torch.tensor([1.0, 2.0, 3.0])
    expected[ids["dog"]] = torch.tensor([-0.5, 1e-3, 0.25])
    assert torch.equal(embedding.weight, expected) and embedding.weight.requires_grad
    assert not embedding.weight[0].any()


def test_into_a_model_of_another_type(tokenizer, tmp_path):
    config = BiGRUConfig(vocab_size=len(tokenizer), embedding_size=3, hidden_size=4)
    model = BiGRUForSequenceClassification(config).to(torch.bfloat16)
    load_word_vectors(model, tokenizer, str(write(tmp_path / "v.txt", LINES)))
    row = model.get_input_embeddings().weight[tokenizer.get_vocab()["the"]]
    assert row.dtype == torch.bfloat16 and row.tolist() == [1.0, 2.0, 3.0]


def test_odd_words_and_second_vectors(tokenizer, embedding, tmp_path):
    """Words with spaces in them, odd spaces that end no line, bytes that are no UTF-8, special tokens, blank lines."""
    lines = [". . . 1 1 1", "a\xa0b 1 1 1", "x\x85 1 1 1", "[PAD] 9 9 9", "the 1 2 3", "the 4 5 6", "", "2 1 1 1"]
    path = write(tmp_path / "v.txt", lines)
    path.write_bytes(b"\xff\xfe 1 1 1\n" + path.read_bytes())
    assert load_word_vectors(embedding, tokenizer, path).found == 1
    assert embedding.weight[tokenizer.get_vocab()["the"]].tolist() == [1.0, 2.0, 3.0]
    assert not embedding.weight[0].any()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["the 1 2 3", "dog 1 2"], "line 2: a word and 2 numbers; the embedding has 3 dimensions"),
        (["the 1 2 3", "dog 1 2 3 4"], "line 2: a word and 4 numbers; the embedding has 3 dimensions"),
        (["7 300", "the 1 2 3"], "line 1: the vectors have 300 dimensions; the embedding has 3"),
        (["the 1 2 3", "x 1 2 3", "dog 1 two 3"], "line 3: 'two' is not a finite number"),
        (["the 1 nan 3"], "line 1: 'nan' is not a finite number"),
        (["dog"], "line 1: a word and 0 numbers"),
        (["The 1 2 3"], "has none of the 4 words of the vocabulary"),
        ([], "has none of the 4 words of the vocabulary"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(tokenizer, embedding, tmp_path, lines, message):
    before = embedding.weight.detach().clone()
    path = write(tmp_path / "v.txt", lines)
    with pytest.raises(InputError) as error:
        load_word_vectors(embedding, tokenizer, path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)
    assert torch.equal(embedding.weight, before)


def test_missing_and_damaged_files_are_named(tokenizer, embedding, tmp_path):
    with pytest.raises(InputError, match="nowhere.txt: no such file"):
        load_word_vectors(embedding, tokenizer, tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match="is a folder"):
        load_word_vectors(embedding, tokenizer, tmp_path)
    path = write(tmp_path / "v.txt.gz", LINES)
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:12] + b"\xff" * 9 + whole[21:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="v.txt.gz: a damaged gzip file"):
            load_word_vectors(embedding, tokenizer, path)


def test_too_small_an_embedding_is_named(tokenizer, tmp_path):
    with pytest.raises(InputError, match="the tokenizer has an id 5; the embedding has 5 rows"):
        load_word_vectors(nn.Embedding(5, 3), tokenizer, write(tmp_path / "v.txt", LINES))
