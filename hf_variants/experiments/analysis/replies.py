# Copyright 2026 The hf_variants authors. MIT licence.
"""What a finished model says to a text: how it goes on, what it puts into masks, which class it sees."""

from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..checking import InputError
from ..objectives.generation import sample_texts
from ..recipes.labels import MULTI, REGRESSION
from ..text.sources import find_model
from .classification import own_labels
from .evaluation import input_size, load_model


@dataclass(frozen=True)
class How:
    """How a model replies: new tokens, temperature (0: the most probable), seed, and how many candidates are shown."""

    tokens: int = 200
    temperature: float = 0.8
    seed: int = 0
    top: int = 5


class Speaker(Protocol):
    """A model that replies to a text."""

    def reply(self, text: str) -> str:
        """The reply, for a reader. Raises InputError where the text asks for nothing."""


@dataclass(frozen=True)
class Writer:
    """A decoder: goes on from the text."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    how: How

    def reply(self, text: str) -> str:
        size = input_size(self.model, self.tokenizer)
        if not self.tokenizer(text, add_special_tokens=False)["input_ids"]:
            raise InputError(f"{text!r}: the model's tokenizer finds no token in it to go on from")
        how = self.how
        [found] = sample_texts(self.model, self.tokenizer, [text], how.tokens, how.temperature, size, how.seed)
        return text + found["text"]


@dataclass(frozen=True)
class Filler:
    """A masked language model: puts the most probable tokens into the masks of the text."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    how: How

    def reply(self, text: str) -> str:
        mask = self.tokenizer.mask_token
        if mask is None or mask not in text:
            raise InputError(f"{text!r}: nothing to fill in; put {mask or 'a mask'} where a token is to be found")
        ids, logits = _logits(self.model, self.tokenizer, text)
        places = (ids == self.tokenizer.mask_token_id).nonzero().flatten().tolist()
        if not places:
            raise InputError(f"{text!r}: {mask} stands behind the {len(ids)} tokens that the model reads")
        lines = []
        for place in places:
            shares, best = logits[place].softmax(-1).topk(min(self.how.top, logits.shape[-1]))
            ids[place] = best[0]
            pairs = zip(self.tokenizer.convert_ids_to_tokens(best.tolist()), shares.tolist(), strict=True)
            lines.append("  ".join(f"{token!r} {share:.1%}" for token, share in pairs))
        return "\n".join([self.tokenizer.decode(ids, skip_special_tokens=True), *lines])


@dataclass(frozen=True)
class Classifier:
    """A classifier: its labels with their probabilities, or the number that it predicts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    how: How

    def reply(self, text: str) -> str:
        names, kind = own_labels(self.model)
        _, logits = _logits(self.model, self.tokenizer, text)
        if kind == REGRESSION:
            return "  ".join(f"{name} {value:.4f}" for name, value in zip(names, logits.tolist(), strict=True))
        shares = logits.sigmoid() if kind == MULTI else logits.softmax(-1)
        ordered = sorted(zip(names, shares.tolist(), strict=True), key=lambda pair: -pair[1])
        return "  ".join(f"{name} {share:.1%}" for name, share in ordered[: self.how.top])


def _logits(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids of a text, cut off where the model ends, `(seq,)`, and the logits, without the dimension of a batch."""
    size = input_size(model, tokenizer)
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=size)
    names = ("input_ids", "attention_mask", "token_type_ids")
    with torch.no_grad():
        logits = model(**{name: inputs[name].to(model.device) for name in names if name in inputs}).logits
    return inputs["input_ids"][0], logits[0].float().cpu()


SPEAKERS: dict[str, type[Writer] | type[Filler] | type[Classifier]] = {
    "ForCausalLM": Writer,
    "ForMaskedLM": Filler,
    "ForSequenceClassification": Classifier,
}


def load_speaker(name: str, how: How, revision: str | None = None) -> Speaker:
    """The model in a folder or of a Hub name, by the task that it was saved for. Raises InputError."""
    try:
        config = AutoConfig.from_pretrained(find_model(name), revision=revision, trust_remote_code=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise InputError(f"--model_dir {name}: {' '.join(str(error).split())[:300]}") from None
    saved = (config.architectures or ["a model without a head"])[0]
    role = next((role for role in SPEAKERS if saved.endswith(role)), None)
    if role is None:
        raise InputError(f"--model_dir {name}: is {saved}; allowed: …{', …'.join(SPEAKERS)}")
    return SPEAKERS[role](*load_model(name, f"AutoModel{role}", revision), how)
