# Copyright 2026 The hf_variants authors. MIT licence.
"""The tokenizer of whole words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.tokenizer import build_tokenizer
from hf_variants.experiments.text.words import WORD

TEXTS = ["The cat -- the DOG!", "a dog, a bird: the bird?", "emu cow ant"]


def train(texts=TEXTS, validation=("unseen",), **options):
    corpus = Corpus("made", {"train": list(texts), "validation": list(validation)})
    return build_tokenizer(TokenizerArguments(tokenizer="words", **options), corpus, 8)


def test_the_most_frequent_words_then_the_alphabet():
    # the 3; a, bird, dog 2; ant, cat, cow, emu 1
    words = ["[PAD]", "[UNK]", "the", "a", "bird", "dog", "ant", "cat"]
    tokenizer = train(vocab_size=8)
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == words
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    assert tokenizer.cls_token is None and tokenizer.sep_token is None and tokenizer.mask_token is None
    assert tokenizer("the cow")["input_ids"] == [2, 1]
    assert len(train(vocab_size=100)) == 10


def test_training_is_deterministic_and_reads_the_train_split_alone():
    vocabularies = [train(texts).get_vocab() for texts in (TEXTS, TEXTS[::-1], TEXTS)]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2] and "unseen" not in vocabularies[0]
    assert train(validation=["other"] * 9).get_vocab() == vocabularies[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!", ["don't", "stop"]),
        ("o\N{RIGHT SINGLE QUOTATION MARK}neill's 'quoted' rock'n'roll'", ["o'neill's", "quoted", "rock'n'roll"]),
        ("e-mail\tto_you\n\nx2 --  3.5", ["e", "mail", "to_you", "x2", "3", "5"]),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}t\N{LATIN CAPITAL LETTER E WITH ACUTE} 日本", ["été", "日本"]),
        ("?! ''", []),
        ("", []),
    ],
)
def test_what_a_word_is(text, words):
    tokenizer = train([text, "filler"])
    assert tokenizer.tokenize(text) == words
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "filler", *words}


def test_case_is_kept_if_asked():
    assert {"The", "the", "DOG", "dog"} <= set(train(lowercase=False).get_vocab())


@given(st.text(max_size=60))
@pytest.mark.hunt
def test_no_text_is_too_strange(text):
    ids = train([text, "filler"])(text)["input_ids"]
    # what looks like a special token is one
    assert 1 not in ids or "[UNK]" in text


def test_padding_and_the_way_through_a_folder(tmp_path):
    tokenizer = train()
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for each in (tokenizer, again):
        batch = each(["The dog.", "an EMU", "!"], padding=True)
        assert list(batch) == ["input_ids", "attention_mask"]
        assert batch["attention_mask"] == [[1, 1], [1, 1], [0, 0]]
        assert batch["input_ids"][2] == [0, 0] and batch["input_ids"][1][0] == each.unk_token_id
        assert each.decode(batch["input_ids"][0]) == "the dog"
        assert each("a " * 20, truncation=True)["input_ids"] == each("a " * 8)["input_ids"]
    assert again.get_vocab() == tokenizer.get_vocab()


def test_special_tokens_of_ones_own_follow_the_first_two():
    tokenizer = train(special_tokens=["[PAD]", "[UNK]", "[MASK]"], vocab_size=5)
    assert tokenizer.mask_token_id == 2 and len(tokenizer) == 5
    with pytest.raises(InputError, match=r"tokenizer.special_tokens: \['\[MASK\]'\]; words needs \[PAD\] and \[UNK\]"):
        train(special_tokens=["[MASK]"])


def test_text_without_words_is_named():
    with pytest.raises(InputError, match="'words' found no token in the train split"):
        train(["?!", ""])


def test_a_cleaning_normalizer_may_stand_before_ours():
    """An experiment puts the steps of text/cleaning.py there."""
    from tokenizers import normalizers

    tokenizer = train(["see <b>bold</b> see"])
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Replace("<b>", " "), backend.normalizer])
    assert tokenizer.tokenize("SEE<b>") == ["see"] and WORD.startswith(r"\w")
