# Copyright 2026 The hf_variants authors. MIT licence.
"""Tokenizers trained on the text of one split: characters, words, WordPiece, byte-level BPE, Unigram.

The same text gives the same tokenizer.json, byte for byte, whatever the number of threads. The trainers of
`tokenizers` promise that for words and BPE alone: they walk through the distinct words in an order that is drawn anew
in every process, and with it go WordPiece's ids (and so its ties) and the last digits of Unigram's scores. Here
WordPiece is told its letters, in their order, before it starts, and Unigram's scores are rounded (`_settled`).
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..checking import InputError
from ..recipes.sections import TokenizerArguments
from .cleaning import as_normalizer, check_steps
from .streams import TrainingText
from .words import train_words, word_special_tokens

ROLES = {
    "[PAD]": "pad_token",
    "[UNK]": "unk_token",
    "[CLS]": "cls_token",
    "[SEP]": "sep_token",
    "[MASK]": "mask_token",
    "[BOS]": "bos_token",
    "[EOS]": "eos_token",
}
END_OF_TEXT = "<|endoftext|>"  # GPT-2's only special token: begins texts and ends them
LONGEST_WORD = 256  # characters that a trainer looks at together; its time or memory grows faster than a word does
_SIGNS = r"!-/:-@\[-`{-~"  # no pre-tokenizer of pairs has them and letters in one word
_LONG = re.compile("|".join(f"{kind}{{{LONGEST_WORD + 1},}}" for kind in (rf"[^\s{_SIGNS}]", f"[{_SIGNS}]", r"\s")))
PENALTY = 1e-4  # between the scores that the Unigram trainer makes up for rare characters


def train_tokenizer(arguments: TokenizerArguments, text: TrainingText, max_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of the kind and with the cleaning that `arguments` name, trained on `text`, which is read 1-3 times.

    Raises InputError where its letters and special tokens need more than vocab_size, or where it finds no token.
    """
    kind, steps = arguments.tokenizer, check_steps(arguments.clean)
    text = text.cleaned(steps)
    backend = _TRAINERS[kind](arguments, text)
    _check_vocabulary(backend, arguments)
    specials = special_tokens(arguments)
    roles = {ROLES[token]: token for token in specials if token in ROLES}
    if kind == "bpe":
        roles = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT} | roles
    types = ["token_type_ids"] if backend.post_processor is not None else []
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        model_input_names=["input_ids", *types, "attention_mask"],
        **roles,
    )
    tokenizer.clean_up_tokenization_spaces = False
    return clean_first(tokenizer, steps)


def clean_first(tokenizer: PreTrainedTokenizerBase, steps: Sequence[str]) -> PreTrainedTokenizerBase:
    """The tokenizer itself, which from now on cleans text before it does anything else."""
    if steps:
        backend = tokenizer.backend_tokenizer
        parts = [as_normalizer(steps)] + ([backend.normalizer] if backend.normalizer is not None else [])
        backend.normalizer = normalizers.Sequence(parts)
    return tokenizer


def special_tokens(arguments: TokenizerArguments) -> list[str]:
    """The special tokens of a trained tokenizer. Left at the default, BPE has GPT-2's one, and words has two."""
    if arguments.tokenizer == "bpe" and arguments.special_tokens == TokenizerArguments().special_tokens:
        return [END_OF_TEXT]
    if arguments.tokenizer == "words":
        return word_special_tokens(arguments)
    return list(arguments.special_tokens)


def _check_vocabulary(backend: Tokenizer, arguments: TokenizerArguments) -> None:
    size, specials = backend.get_vocab_size(), special_tokens(arguments)
    if size > arguments.vocab_size:
        _refuse_size(arguments, size)
    if size == len(specials):
        raise InputError(f"tokenizer.tokenizer: '{arguments.tokenizer}' found no token in the train split")


def _refuse_size(arguments: TokenizerArguments, least: int) -> None:
    raise InputError(
        f"tokenizer.vocab_size: {arguments.vocab_size}; the letters of the train split and the special tokens alone "
        f"make {least}"
    )


# ---- the kinds -----------------------------------------------------------------------------------------------------


def _train_characters(arguments: TokenizerArguments, text: TrainingText) -> Tokenizer:
    """One token per character of the train split. Unseen characters become [UNK] where that token exists."""
    specials = list(arguments.special_tokens)
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(specials + sorted(text.alphabet)))}
    unknown = {"unk_token": "[UNK]"} if "[UNK]" in specials else {}
    backend = Tokenizer(models.WordLevel(vocabulary, **unknown))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(specials)
    return backend


def _train_wordpiece(arguments: TokenizerArguments, text: TrainingText) -> Tokenizer:
    """BERT's WordPiece (arXiv:1810.04805) with its normalizer, pre-tokenizer and [CLS] … [SEP] template.

    Every letter that can stand inside a word is a token with ## too, whether or not it was seen there.
    """
    specials = _with_unknown(arguments)
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=arguments.lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = _letters(backend, text)
    letters += [f"##{letter}" for letter in letters if len(backend.pre_tokenizer.pre_tokenize_str("a" + letter)) == 1]
    if arguments.vocab_size < len(specials) + len(letters):
        _refuse_size(arguments, len(specials) + len(letters))
    trainer = trainers.WordPieceTrainer(
        vocab_size=arguments.vocab_size, special_tokens=specials + letters, show_progress=False
    )
    backend.train_from_iterator(_short_words(text), trainer)
    vocabulary = backend.get_vocab(with_added_tokens=False)
    backend = _copy_with(backend, models.WordPiece(vocabulary, unk_token="[UNK]"))  # in which letters aren't special
    backend.decoder = decoders.WordPiece()
    return _with_template(backend, specials)


def _train_bpe(arguments: TokenizerArguments, text: TrainingText) -> Tokenizer:
    """GPT-2's byte-level BPE (Radford et al., 2019): any text comes back byte for byte."""
    specials = special_tokens(arguments)
    if END_OF_TEXT not in specials:
        raise InputError(f"tokenizer.special_tokens: bpe needs {END_OF_TEXT}")
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=arguments.vocab_size,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_short_words(text), trainer)
    return backend


def _train_unigram(arguments: TokenizerArguments, text: TrainingText) -> Tokenizer:
    """SentencePiece's Unigram (arXiv:1804.10959), as ALBERT has it (arXiv:1909.11942): NFKC, [CLS] … [SEP] template.

    White space becomes single spaces, so a text does not come back exactly.
    """
    specials = _with_unknown(arguments)
    backend = Tokenizer(models.Unigram())
    steps = [normalizers.Nmt(), normalizers.NFKC()]
    steps += [normalizers.Lowercase()] if arguments.lowercase else []
    steps += [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    backend.normalizer = normalizers.Sequence(steps)
    # Signs stay with their words: the trainer only considers what stands in two distinct strings, so that cut from
    # "said," and "said." the word itself would not be a piece (books_eltec: 1.56 tokens per word instead of 1.33).
    limit = pre_tokenizers.Split(Regex(f".{{1,{LONGEST_WORD}}}"), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), limit])
    least = len(specials) + len(_letters(backend, text)) + 1
    if arguments.vocab_size <= least:
        _refuse_size(arguments, least)
    trainer = trainers.UnigramTrainer(
        vocab_size=arguments.vocab_size, special_tokens=specials, unk_token="[UNK]", show_progress=False
    )
    backend.train_from_iterator(text, trainer)
    scored = _settled(json.loads(backend.to_str())["model"]["vocab"][len(specials) :])
    scored = [(token, 0.0) for token in specials] + scored
    backend = _copy_with(backend, models.Unigram(scored, specials.index("[UNK]"), False))
    backend.decoder = decoders.Metaspace()
    return _with_template(backend, specials)


def _settled(scored: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces with their log probabilities, best first, without what differs from one training to the next.

    Which pieces there are did not differ in any of some hundred trainings, of texts full of ties too; their scores do
    from the 11th digit on. Characters too rare for a score get the lowest ones, PENALTY apart, in random order: here
    it is that of their code points.
    """
    single = [(piece, score) for piece, score in scored if len(piece) == 1]
    floor = min((score for _, score in scored), default=0.0)
    rare = [(piece, score) for piece, score in single if score < floor + PENALTY * len(single)]
    made_up = sorted((score for _, score in rare), reverse=True)
    scores = dict(scored) | dict(zip(sorted(piece for piece, _ in rare), made_up, strict=True))
    return sorted(((piece, round(score, 4)) for piece, score in scores.items()), key=lambda pair: (-pair[1], pair[0]))


_TRAINERS: dict[str, Callable[[TokenizerArguments, TrainingText], Tokenizer]] = {
    "character": _train_characters,
    "words": train_words,
    "wordpiece": _train_wordpiece,
    "bpe": _train_bpe,
    "unigram": _train_unigram,
}
TRAINED = tuple(_TRAINERS)  # kinds of tokenizer that are trained here


def _short_words(text: TrainingText) -> Iterator[str]:
    """The text in strings that no word of more than LONGEST_WORD characters is in: those are cut between two strings.

    Both trainers of pairs move all that follows in a word for each pair that they join: a line of a megabyte without
    spaces would take them a quarter of an hour. (A pre-tokenizer that cuts doubles the time that ordinary text takes.)
    """
    for part in text:
        start = 0
        for run in _LONG.finditer(part):
            for end in range(run.start() + LONGEST_WORD, run.end(), LONGEST_WORD):
                yield part[start:end]
                start = end
        yield part[start:]


def _with_unknown(arguments: TokenizerArguments) -> list[str]:
    if "[UNK]" not in arguments.special_tokens:
        raise InputError(f"tokenizer.special_tokens: {arguments.tokenizer} needs [UNK]")
    return list(arguments.special_tokens)


def _letters(backend: Tokenizer, text: TrainingText) -> list[str]:
    """The characters that the normalizer leaves of a text and that a word can consist of, by code point."""
    normal = set().union(*(backend.normalizer.normalize_str(character) for character in text.alphabet))
    return sorted(character for character in normal if backend.pre_tokenizer.pre_tokenize_str(character))


def _copy_with(backend: Tokenizer, model: models.Model) -> Tokenizer:
    copy = Tokenizer(model)
    copy.normalizer, copy.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    return copy


def _with_template(backend: Tokenizer, specials: list[str]) -> Tokenizer:
    """Marks the special tokens, and puts [CLS] before a text and [SEP] behind it where there are these two."""
    backend.add_special_tokens(specials)
    if {"[CLS]", "[SEP]"} <= set(specials):
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
        )
    return backend
