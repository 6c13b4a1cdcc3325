# Copyright 2026 The hf_variants authors. MIT licence.
"""Cleaning of English text from the web in named steps, the same in Python and inside a saved tokenizer.

Each step is a list of rules (regular expression, replacement) in one table. `clean` applies them with `re` and is the
reference; `as_normalizer` builds the same out of `tokenizers`, so that a tokenizer.json cleans its own input and
whoever loads it need not know. Cleaning helps models of whole words; a pretrained model has seen text as it is.

Both engines must read every rule alike. Therefore rules spell out their character sets: `\\w`, `\\s`, `\\d` and `\\b`
depend on the engine's Unicode tables, as ignoring case does, and `^` and `$` match at every line in one of them only.
Repetitions are of single sets, or bounded, so that no text makes a rule slow; and no rule matches the empty string.
"""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from tokenizers import Regex, normalizers

from ..checking import InputError

Rule = tuple[str, str]

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Letters, marks and digits: exact for ASCII and Latin-1, by whole blocks beyond them, and no emoji.
_LETTER = (
    "0-9A-Za-z\xaa\xb5\xba\xc0-\xd6\xd8-\xf6\xf8-\u167f\u1681-\u1fff\u2c00-\u2dff\u3041-\ud7ff\uf900-\ufdff\ufe70-\ufefc"
    "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00010000-\U0001efff\U00020000-\U000323af"
)
_APOSTROPHE = "['`´‘’ʼ＇]"
_WORD_STARTS = f"(?<![{_LETTER}])"
_WORD_ENDS = f"(?![{_LETTER}])"

# Kept although they are on the list of stop words: without them "not good" is "good".
NEGATIONS = frozenset(
    {
        "no", "not", "nor", "never", "none", "nobody", "nothing", "noone", "nowhere", "neither", "cannot", "cant",
        "couldnt", "hasnt", "without",
    }
)  # fmt: skip
STOP_WORDS = ENGLISH_STOP_WORDS - NEGATIONS


def _any_case(word: str) -> str:
    """A pattern for an ASCII word in upper, lower or mixed case."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in word)


def _one_of(words: Iterable[str]) -> str:
    """A pattern for any of the words in any case, as a tree of their letters: few tries at every place of a text."""
    branches: dict[str, list[str]] = {}
    ends = False
    for word in sorted(words):
        if word:
            branches.setdefault(word[0], []).append(word[1:])
        else:
            ends = True
    if not branches:
        return ""
    pattern = "(?:" + "|".join(_any_case(first) + _one_of(rest) for first, rest in branches.items()) + ")"
    return pattern + "?" if ends else pattern


# ---- the rules of each step ----------------------------------------------------------------------------------------


def _contractions() -> list[Rule]:
    """ "can't" -> "can not", "won't" -> "will not", "isn't" -> "is not"."""
    irregular = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
    end = f"{_any_case('n')}{_APOSTROPHE}{_any_case('t')}{_WORD_ENDS}"
    rules = [(f"{_WORD_STARTS}{_any_case(stem)}{end}", f"{word} not") for stem, word in irregular.items()]
    return [*rules, (f"(?<=[A-Za-z]){end}", " not")]


# Between white space, or before a full stop or comma: the ends of brackets and URLs are no faces. No word here may be
# a stop word, and "cry" is one.
_EMOTICONS = {
    r"(?:[:=]['`´’]-?\(+|;_;|T_T)": "crying",
    r"(?::-?|=)\)+|:-?\]|\^_*\^|\(:": "smile",
    r"(?::-?|=)[dD]+|[xX]-?[dD]+": "laugh",
    r";-?[)dD]+": "wink",
    r"(?::-?|=)\(+|:-?\[|\):": "sad",
    r">:-?\(+": "angry",
    r"(?::-?|=)[pP]": "playful",
    r":-?[oO0]|[oO]_+[oO]": "surprised",
    r"(?::-?|=)[/\\|]": "doubtful",
    r":-?\*": "kiss",
    r"<3+": "love",
    r"</3": "heartbroken",
}


def _emoticons() -> list[Rule]:
    """ ":-)" -> "smile"."""
    return [(f"(?<![^{_SPACE}])(?:{face})(?![^{_SPACE}.,!?])", word) for face, word in _EMOTICONS.items()]


def _urls() -> list[Rule]:
    """Addresses that begin with http://, https://, ftp:// or www."""
    rest = f'[^{_SPACE}<>"{{}}|\\[\\]]+'
    start = f"(?:{_any_case('http')}[sS]?://|{_any_case('ftp')}://|{_any_case('www')}\\.)"
    return [(f"{_WORD_STARTS}{start}{rest}", " ")]


def _ip_addresses() -> list[Rule]:
    """Version 4; version 6 in full, or shortened where it begins as public ones do (C++ has `a::b` too)."""
    byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    group, start, end = "[0-9A-Fa-f]{1,4}", f"(?<![{_LETTER}.:])", f"(?![{_LETTER}]|[.:][{_LETTER}])"
    shortened = f"[23][0-9A-Fa-f]{{3}}(?::{group}){{1,5}}::{group}(?::{group}){{0,4}}"
    return [
        (f"(?<![{_LETTER}.])(?:{byte}\\.){{3}}{byte}(?!\\.?[{_LETTER}])", " "),
        (f"{start}(?:{group}:){{7}}{group}{end}", " "),
        (f"{start}{shortened}{end}", " "),
    ]


def _user_names() -> list[Rule]:
    """@name, [[User:Name|text]] and User talk:Name; a name without brackets ends at white space."""
    user = f"{_any_case('user')}(?:[ _]{_any_case('talk')})?:"
    return [
        (f"\\[\\[ ?{user}[^\\[\\]\\n|]{{1,255}}(?:\\|[^\\[\\]\\n]{{0,255}})?\\]\\]", " "),
        (f"{_WORD_STARTS}{user}[^{_SPACE}<>\\[\\]{{}}|,;:!?()\"']{{1,255}}", " "),
        (f"(?<![{_LETTER}._%+@-])@[0-9A-Za-z_]{{1,255}}", " "),
    ]


def _stop_words() -> list[Rule]:
    """Whole words of STOP_WORDS. What an apostrophe joins is one word: "we're" stays, and so does "it's"."""
    starts = f"{_WORD_STARTS}(?<![{_LETTER}]{_APOSTROPHE})"
    ends = f"(?!{_APOSTROPHE}?[{_LETTER}])"
    return [(f"{starts}{_one_of(STOP_WORDS)}{ends}", " ")]


def _non_alphanumerics() -> list[Rule]:
    """Every stretch of anything but letters and digits becomes one space, and none is left at the ends."""
    return [(f"[^{_LETTER}]+", " "), ("(?<![\\s\\S]) | (?![\\s\\S])", "")]


_TABLE: dict[str, Callable[[], list[Rule]] | None] = {
    "lower_case": None,  # the one step that is no rule
    "contractions": _contractions,
    "emoticons": _emoticons,
    "urls": _urls,
    "ip_addresses": _ip_addresses,
    "user_names": _user_names,
    "stop_words": _stop_words,
    "non_alphanumerics": _non_alphanumerics,
}
STEPS = tuple(_TABLE)


@functools.cache
def rules(step: str) -> tuple[Rule, ...]:
    """The rules of a step in order; none for lower_case, which is no rule."""
    build = _TABLE[step]
    return tuple(build()) if build else ()


@functools.cache
def _compiled(step: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules(step))


# ---- applying them -------------------------------------------------------------------------------------------------


def check_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """The named steps in the order of STEPS, in which they are always taken. Raises InputError for another name."""
    if isinstance(steps, str):
        raise InputError(f"cleaning: '{steps}'; a list is expected, of {', '.join(STEPS)}")
    for step in steps:
        if step not in STEPS:
            raise InputError(f"cleaning: '{step}'; allowed: {', '.join(STEPS)}")
    return tuple(step for step in STEPS if step in steps)


def clean(text: str, steps: Sequence[str] = STEPS) -> str:
    """`text` after the named steps, taken in the order of STEPS. Raises InputError for a step that there is not."""
    for step in check_steps(steps):
        if step == "lower_case":
            # Letter by letter, as tokenizers does it: str.lower() of a whole word knows the Greek final sigma.
            text = "".join(map(str.lower, text))
        for pattern, replacement in _compiled(step):
            text = pattern.sub(replacement, text)
    return text


def as_normalizer(steps: Sequence[str] = STEPS) -> Any:
    """The same as a `tokenizers` normalizer: `normalize_str(text) == clean(text, steps)`.

    The two differ only for letters that are newer than Python's own Unicode tables, and in lower case. A tokenizer
    cleans what stands between special tokens in a text piece by piece.
    """
    parts: list[Any] = []
    for step in check_steps(steps):
        if step == "lower_case":
            parts.append(normalizers.Lowercase())
        parts += [normalizers.Replace(Regex(pattern), replacement) for pattern, replacement in rules(step)]
    return normalizers.Sequence(parts)
