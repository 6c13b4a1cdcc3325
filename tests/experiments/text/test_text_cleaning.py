# Copyright 2026 The hf_variants authors. MIT licence.
"""Each cleaning step by example; Python's `re` and a tokenizer's normalizer clean alike, and fast, on any text."""

import functools
import re
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.text.cleaning import (
    NEGATIONS,
    STEPS,
    STOP_WORDS,
    as_normalizer,
    check_steps,
    clean,
    rules,
)

LONG = 10**6


normalizer = functools.cache(as_normalizer)


def same(text, steps=STEPS):
    """What both engines make of a text."""
    found = clean(text, steps)
    assert normalizer(tuple(steps)).normalize_str(text) == found
    return found


@pytest.mark.parametrize(
    ("step", "text", "wanted"),
    [
        ("lower_case", "ÀB ΣΑΣ İ\n", "àb σασ i̇\n"),
        ("contractions", "can't Won't SHAN’T ain't", "can not will not shall not is not"),
        ("contractions", "isn't doesn’t HADN'T n't cannot cant", "is not does not HAD not n't cannot cant"),
        ("contractions", "can'to mustn't've", "can'to must not've"),
        ("emoticons", "hi :) :-D ;) :( :'( <3 </3 xD.", "hi smile laugh wink sad crying love heartbroken laugh."),
        ("emoticons", "(see:) http://a.b/:) 12:3 :-) :)))", "(see:) http://a.b/:) 12:3 smile smile"),
        ("emoticons", ":p :P :/ :o :* >:( :] ^_^", "playful playful doubtful surprised kiss angry smile smile"),
        ("urls", "see http://a.org/b?c=1&d, HTTPS://x.y www.q.de ftp://f/g", "see        "),
        ("urls", "[http://a.org title] <www.b.org> xwww.c http:// wwww.a", "[  title] < > xwww.c http:// wwww.a"),
        ("ip_addresses", "by 127.0.0.1, IP:10.0.0.255. and 8.8.8.8:53", "by  , IP: . and  :53"),
        (
            "ip_addresses",
            "256.1.1.1 v1.2.3.4 1.2.3 1.2.3.4.5 1.2.3.456",
            "256.1.1.1 v1.2.3.4 1.2.3 1.2.3.4.5 1.2.3.456",
        ),
        ("ip_addresses", "2001:DB8:0:0:8:800:200C:417A 2a02:810c::1 2001:db8:1:2::8:9", "     "),
        ("ip_addresses", "std::cout a::b dead::beef 12:30:45 2010:: 1:2:3:4", None),
        ("ip_addresses", "1:2:3:4:5:6:7:8:9 00:1B:44:11:3A:B7", None),
        ("user_names", "@bob hi @Al_1! a@b.org", "  hi  ! a@b.org"),
        ("user_names", "[[User:Bob Smith|Bob]] ([[user talk:Bob#top|talk]]) [[Bob|User]]", "  ( ) [[Bob|User]]"),
        ("user_names", "User:Bob_X, User talk:Al. User: hi SuperUser:x", " ,   User: hi SuperUser:x"),
        ("stop_words", "The cat is NOT on the mat", "  cat   NOT     mat"),
        ("stop_words", "we're it's 'the' éon onä thereuponx", "we're it's ' ' éon onä thereuponx"),
        ("non_alphanumerics", "  a -- b\n\tc!\x00😀 ", "a b c"),
        ("non_alphanumerics", "naïve_café 日本語、שלום", "naïve café 日本語 שלום"),
        ("non_alphanumerics", "?!", ""),
    ],
)
def test_each_step_by_example(step, text, wanted):
    assert same(text, [step]) == (text if wanted is None else wanted)


def test_all_steps_together():
    text = "You CAN’T revert http://x.org, @Bob :( -- [[User:Al|Al]] (10.0.0.1) isn't   the worst!"
    assert same(text) == "not revert sad not worst"


def test_steps_are_taken_in_one_order_and_names_are_checked():
    assert check_steps(["urls", "lower_case"]) == ("lower_case", "urls")
    assert clean("THE http://a.b", ["non_alphanumerics", "urls", "lower_case"]) == "the"
    assert same("As It Is.", []) == "As It Is."
    for wrong in (["lower_case", "stem"], "urls"):
        with pytest.raises(InputError, match="cleaning: '.*lower_case, contractions, emoticons, urls, ip_addresses"):
            check_steps(wrong)
        with pytest.raises(InputError, match="cleaning"):
            as_normalizer(wrong)


def test_negations_stay_and_no_word_of_another_step_is_a_stop_word():
    assert len(STOP_WORDS) > 290 and not NEGATIONS & STOP_WORDS
    for word in ("no", "not", "nor", "never", "cannot"):
        assert same(f"{word} the {word.upper()}", ["stop_words"]) == f"{word}   {word.upper()}"
    for word in sorted(STOP_WORDS):
        assert same(word, ["stop_words"]) == " " and same(word.upper(), ["stop_words"]) == " "
        assert same(f"{word}q", ["stop_words"]) == f"{word}q"
    assert not {word for _, word in rules("emoticons")} & STOP_WORDS


def test_rules_are_such_as_both_engines_read_alike():
    for step in STEPS:
        for pattern, replacement in rules(step):
            assert not re.search(r"\\[wWdDbB]|\^(?![^\[]*\])(?<!\[\^)(?<!\\\^)|\(\?[^:=!<]|\$", pattern), pattern
            assert not re.compile(pattern).search("") and "\\" not in replacement


# ---- both engines --------------------------------------------------------------------------------------------------

# Letters that Python doesn't know (Cn) may have a lower case in the other engine's newer tables.
PIECES = st.sampled_from(
    [
        " ", "can't", "won’t", "n't", ":)", ":-(", "<3", ";D", "http://", "www.", ".com", "@bob", "User:", "talk",
        "[[User:", "]]", "|", "1.2.3.4", "2001:db8:", "::", ":", "the", "THE", "not", "not'the'", "é", "א", "م",
        "\u200f", "\u0301", "😀", "👩\u200d👧", "\x00", "\r\n", "\u2028", "\x85", "\xa0", "'", "’", ".", ",", "!",
        "\n", "_", "-", "ſ", "\u212a", "İ", "Σ", "ǅ",
    ]
)  # fmt: skip
CHARACTERS = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=8)


@pytest.mark.hunt
@given(st.lists(PIECES | CHARACTERS, max_size=14).map("".join), st.sets(st.sampled_from(STEPS)))
@example("", set(STEPS))
@example("\x00", set(STEPS))
@example(" \n ", set(STEPS))
@example("שלום \u202eעולם\u202c :) http://א.com", set(STEPS))
@example("👩\u200d👧🏽 can’t 🇩🇪", set(STEPS))
def test_both_engines_clean_alike(text, steps):
    same(text, sorted(steps))


@pytest.mark.hunt
@given(st.lists(PIECES | CHARACTERS, max_size=14).map("".join))
def test_what_is_clean_holds_no_more_than_words_and_single_spaces(text):
    found = clean(text)
    assert found == " ".join(found.split(" ")).strip(" ") and "  " not in found
    assert not set(found) & set("@:/.,!?()[]<>'’\n\t\x00😀")


@pytest.mark.parametrize("step", STEPS)
def test_both_engines_agree_on_every_character(step):
    known = (chr(i) for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)) not in ("Cs", "Cn", "Co"))
    text = " ".join(known)
    assert same(text, [step])


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    ["a", " ", "[[User:", "[[User:a|" + "b" * 250, "1.", "2001:1::", "@a", " :)))x", "thereupo", "the ", "a'", "\n"],
)
def test_a_line_of_a_million_characters_takes_seconds(unit):
    begin = time.process_time()
    same((unit * (LONG // len(unit) + 1))[:LONG])
    assert time.process_time() - begin < 60  # about 2; anything quadratic takes hours


@pytest.mark.parametrize(
    ("step", "start", "unit"), [("emoticons", ":", ")"), ("emoticons", "o", "_"), ("urls", "www.", "a")]
)
def test_a_long_stretch_that_almost_matches(step, start, unit):
    begin = time.process_time()
    same(start + unit * LONG + "x", [step])
    assert time.process_time() - begin < 60


def test_a_saved_tokenizer_cleans_by_itself(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "not": 1, "good": 2, "smile": 3}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.normalizer = as_normalizer(STEPS)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert loaded.encode("This ISN’T   good! :-) http://a.b").tokens == ["not", "good", "smile"]
    assert loaded.encode("").tokens == []
