# Copyright 2026 The hf_variants authors. MIT licence.
"""Every kind of tokenizer: what it is made of, that it is the same each time, and what is too small for it."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.recipes.sections import TokenizerArguments
from hf_variants.experiments.text.builtin import load_builtin
from hf_variants.experiments.text.cleaning import clean
from hf_variants.experiments.text.corpora import Corpus
from hf_variants.experiments.text.streams import TrainingText
from hf_variants.experiments.text.tokenizer import build_tokenizer
from hf_variants.experiments.text.tokenizer_training import PENALTY, TRAINED, _settled, train_tokenizer

TEXTS = ["The cat can't see, the DOG (a big dog) can: naïve!", "Two birds; 42 cats, 1 dog. β"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = {"character": 60, "words": 20, "wordpiece": 90, "bpe": 270, "unigram": 50}


def train(kind: str, texts: list[str] = TEXTS, **options: Any) -> PreTrainedTokenizerFast:
    arguments = TokenizerArguments(tokenizer=kind, **({"vocab_size": SIZES[kind]} | options))
    return train_tokenizer(arguments, TrainingText(lambda: texts), 16)


def saved(tokenizer: PreTrainedTokenizerFast) -> str:
    return tokenizer.backend_tokenizer.to_str()


def tied_texts() -> Iterator[tuple[str, list[str], int]]:
    """Texts full of words that are as frequent as each other, where a trainer must choose; and real ones."""
    rng = random.Random(0)
    yield "random", [" ".join("".join(rng.choices("abcdefghij", k=7)) for _ in range(300))], 150
    blocks = [a + b + c for a in ("ab", "cd", "ef") for b in ("gh", "ij") for c in ("mn", "op", "qr")]
    yield "symmetric", [" ".join(blocks)], 40
    yield "real", [load_builtin("builtin/pydoc")[0]["train"][0][:15_000]], 300


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize(("texts", "size"), [pytest.param(t, n, id=name) for name, t, n in tied_texts()])
def test_the_same_text_gives_the_same_file(monkeypatch, kind, texts, size):
    """The trainers' own order of words differs between two trainings of one process; so do threads."""
    size = {"bpe": 256 + size, "character": 300}.get(kind, size)
    files = set()
    for parallel in ("true", "false", "true"):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
        files.add(saved(train(kind, texts, vocab_size=size)))
    assert len(files) == 1


@pytest.mark.parametrize("kind", TRAINED)
def test_a_recipe_s_own_tokenizer_is_the_same(kind):
    corpus = Corpus("made", {"train": TEXTS, "validation": ["entirely different"]})
    arguments = TokenizerArguments(tokenizer=kind, vocab_size=SIZES[kind])
    assert saved(build_tokenizer(arguments, corpus, 16)) == saved(train(kind))


@pytest.mark.parametrize("kind", TRAINED)
def test_through_a_folder(kind, tmp_path):
    tokenizer = train(kind)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(again, PreTrainedTokenizerFast) and again.model_max_length == 16
    assert again.get_vocab() == tokenizer.get_vocab() and again.special_tokens_map == tokenizer.special_tokens_map
    text = "the naïve cat [MASK] ¿"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.decode(again(text)["input_ids"]) == tokenizer.decode(tokenizer(text)["input_ids"])


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_encoders_get_bert_s_special_tokens_and_template(kind):
    tokenizer = train(kind)
    assert tokenizer.convert_ids_to_tokens(range(5)) == SPECIALS and tokenizer.pad_token_id == 0
    pair = tokenizer("the cat", "a dog", padding="max_length")
    tokens = tokenizer.convert_ids_to_tokens(pair["input_ids"])
    first = tokens.index("[SEP]") + 1
    assert tokens[0] == "[CLS]" and tokens.count("[SEP]") == 2 and tokens[-1] == "[PAD]"
    ends = first + tokens[first:].index("[SEP]") + 1
    assert pair["token_type_ids"] == [0] * first + [1] * (ends - first) + [0] * (16 - ends)
    assert pair["attention_mask"] == [1] * ends + [0] * (16 - ends)
    assert tokenizer("see [MASK]")["input_ids"][-2] == tokenizer.mask_token_id
    added = json.loads(saved(tokenizer))["added_tokens"]
    assert [token["content"] for token in added] == SPECIALS  # letters are told to the trainer as if they were
    plain = train(kind, special_tokens=["[UNK]", "[EOS]"])
    assert plain.eos_token_id == 1 and plain.convert_ids_to_tokens(plain("cat")["input_ids"])[0] != "[CLS]"
    assert "token_type_ids" not in plain("cat")
    with pytest.raises(InputError, match=f"tokenizer.special_tokens: {kind} needs .UNK."):
        train(kind, special_tokens=["[PAD]"])


def test_a_special_token_of_one_character_leaves_no_id_without_a_token():
    vocabulary = train("character", ["a#b"], special_tokens=["[UNK]", "#"]).get_vocab()
    assert vocabulary == {"[UNK]": 0, "#": 1, "a": 2, "b": 3}


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "words"])
def test_case_is_a_choice(kind):
    lower, kept = (train(kind, vocab_size=120, lowercase=lowercase) for lowercase in (True, False))
    assert lower("THE Dog")["input_ids"] == lower("the dog")["input_ids"]
    assert kept("THE Dog")["input_ids"] != kept("the dog")["input_ids"]
    assert not any(c.isupper() for token in lower.get_vocab() if token not in SPECIALS for c in token)


def test_wordpiece_knows_every_letter_of_train_inside_words_too():
    tokenizer = train("wordpiece")
    vocabulary = tokenizer.get_vocab()
    letters = {token for token in vocabulary if len(token) == 1 and token.isalpha()}
    assert set("abcdeghinorstvw") <= letters and "ï" not in letters  # accents go with the case
    assert {f"##{letter}" for letter in letters} <= set(vocabulary) and "##," not in vocabulary
    assert tokenizer.unk_token_id not in tokenizer("wagons. integrated").input_ids
    assert tokenizer.tokenize("a ж b") == ["a", "[UNK]", "b"]


def test_wordpiece_learns_frequent_words_before_rare_ones():
    tokenizer = train("wordpiece", ["low lower lowest slow " * 20 + "qx"], vocab_size=5 + 2 * 9 + 2)
    assert tokenizer.tokenize("Low") == ["low"] and tokenizer.tokenize("qx") == ["q", "##x"]


def test_unigram_is_sentencepiece_s():
    text = "low lower lowest slow " * 20 + "\N{LATIN SMALL LIGATURE FI}n (low) 12"
    tokenizer = train("unigram", [text], vocab_size=40)
    assert tokenizer.tokenize(" low  low\n") == ["▁low", "▁low"]
    parts = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("low " + "x" * 600)
    assert [len(part) for part, _ in parts] == [4, 256, 256, 89]  # no lattice is larger
    assert tokenizer.decode(tokenizer("Low \tfin, 12", add_special_tokens=False)["input_ids"]) == "low fin[UNK] 12"
    scores = [score for _, score in json.loads(saved(tokenizer))["model"]["vocab"]]
    assert scores[:5] == [0.0] * 5 and scores[5:] == sorted(scores[5:], reverse=True)
    assert all(round(score, 4) == score for score in scores)


def test_what_differs_between_trainings_of_unigram_is_settled():
    sure = [("▁the", -2.0), ("e", -3.0), ("▁", -8.0)]
    rare = [-8.0 + n * PENALTY for n in range(3)]
    noise = random.Random(0)
    found = set()
    for _ in range(20):
        letters = noise.sample("xyz", 3)
        scored = [(token, score + noise.uniform(-1e-11, 1e-11)) for token, score in sure] + list(
            zip(letters, rare, strict=True)
        )
        noise.shuffle(scored)
        found.add(tuple(_settled(scored)))
    (only,) = found
    assert [token for token, _ in only[:2]] == ["▁the", "e"] and {token for token, _ in only[2:]} == set("▁xyz")


@pytest.mark.parametrize("kind", ["character", "wordpiece", "unigram", "bpe"])
def test_a_vocabulary_smaller_than_the_alphabet_is_refused(kind):
    letters = " ".join(map(chr, range(ord("a"), ord("z") + 1))) + " ab abc"
    least = {"character": 5 + 27, "wordpiece": 5 + 26 * 2, "unigram": 5 + 27 + 1, "bpe": 1 + 256}[kind]
    assert len(train(kind, [letters], vocab_size=least)) == least
    if kind == "bpe":
        with pytest.raises(InputError, match="tokenizer.vocab_size: 256; allowed: from 257"):
            train(kind, [letters], vocab_size=256)
        more = {"special_tokens": ["<|endoftext|>", "[PAD]"], "vocab_size": 257}
        with pytest.raises(InputError, match="tokenizer.vocab_size: 257; .* alone make 258"):
            train(kind, [letters], **more)
        return
    said = least - (kind == "unigram")
    with pytest.raises(InputError, match=f"tokenizer.vocab_size: {least - 1}; the letters .* alone make {said}"):
        train(kind, [letters], vocab_size=least - 1)


@pytest.mark.parametrize("size", [0, -5, 10**12])
def test_nonsense_is_refused(size):
    with pytest.raises(InputError, match=f"tokenizer.vocab_size: {size}; allowed: from"):
        train("wordpiece", vocab_size=size)


@pytest.mark.parametrize(("kind", "text"), [("words", "?!"), ("wordpiece", "\x00\x01"), ("unigram", "\x01")])
def test_text_without_any_token_is_named(kind, text):
    with pytest.raises(InputError, match=f"tokenizer.tokenizer: '{kind}' found no token in the train split"):
        train(kind, [text])


@pytest.mark.parametrize("kind", TRAINED)
def test_what_is_cleaned_for_training_is_cleaned_for_good(kind):
    steps = ["urls", "lower_case"]
    texts = [f"{text} see http://example.org/QZ" for text in TEXTS]
    cleaned = train(kind, texts, clean=steps)
    plain = train(kind, [clean(text, steps) for text in texts])
    assert cleaned.get_vocab() == plain.get_vocab()
    assert cleaned("A dog http://q.org cat")["input_ids"] == plain("a dog   cat")["input_ids"]
    with pytest.raises(InputError, match="cleaning: 'url'; allowed: lower_case"):
        train(kind, clean=["url"])


@given(st.text(max_size=40))
@pytest.mark.hunt
def test_no_text_is_too_strange(text):
    for kind in TRAINED:
        try:
            tokenizer = train(kind, [text, "filler"], vocab_size=400)
        except InputError as error:
            assert "make" in str(error)
        else:
            assert tokenizer(text)["input_ids"] is not None
