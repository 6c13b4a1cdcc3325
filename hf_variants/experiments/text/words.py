# Copyright 2026 The hf_variants authors. MIT licence.
"""A tokenizer of whole words, for models that know no parts of words.

A word is a run of letters, digits, marks and underscores, with apostrophes inside it but not at its ends: "don't" is
one word, and a curly apostrophe is a straight one. Whatever is between words is dropped: white space, punctuation and
symbols leave no token, so a text may have none. All other words than the most frequent of the train split are [UNK].
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from ..checking import InputError
from ..recipes.sections import TokenizerArguments

WORD = r"\w+(?:'\w+)*"
FIRST_TOKENS = ["[PAD]", "[UNK]"]  # ids 0 and 1


def word_special_tokens(arguments: TokenizerArguments) -> list[str]:
    """The special tokens: [PAD] and [UNK] alone, or a recipe's own list, in which these two come first."""
    specials = list(arguments.special_tokens)
    if specials == TokenizerArguments().special_tokens:
        return FIRST_TOKENS
    if specials[:2] != FIRST_TOKENS:
        raise InputError(f"tokenizer.special_tokens: {specials}; words needs [PAD] and [UNK] first, in this order")
    return specials


def train_words(arguments: TokenizerArguments, texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of the most frequent words in `texts`: `vocab_size` of them with the special tokens, or all.

    Ids rise as frequency falls; words that are as frequent as each other are in the order of their code points.
    """
    backend = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    steps = [normalizers.Replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")]
    steps += [normalizers.Lowercase()] if arguments.lowercase else []
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True)
    specials = word_special_tokens(arguments)
    trainer = trainers.WordLevelTrainer(vocab_size=arguments.vocab_size, special_tokens=specials, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    return backend
