# Copyright 2026 The hf_variants authors. MIT licence.
"""Which label of the data is which of a model's: by name, and by position only where nothing else is meant.

A trained head means what its configuration's `id2label` says. Data that has the same classes in another order, or in
another spelling, has other ids for them; compared by these, a perfect model is always wrong.
"""

from collections import Counter
from collections.abc import Sequence

from ..recipes.labels import ANY_OF_NAMES

SHOWN = 10  # names of a longer list that messages show


class UnmatchedError(ValueError):
    """Nothing says which label is which; the message names both sides."""


def has_names(own: Sequence[str]) -> bool:
    """Whether labels are called something: `LABEL_0`, `LABEL_1`, … are what transformers writes for want of names."""
    return list(own) != [f"LABEL_{number}" for number in range(len(own))]


def match_labels(own: Sequence[str], names: Sequence[str], stated: bool = False) -> list[int]:
    """For each of the data's labels, called `names`, the id that a model has for it whose labels are called `own`.

    They are matched by name, whatever their case. By position only where the data's labels are the numbers 0 to n - 1
    and not names, or where the user has `stated` names in the model's order, and no name says otherwise. A model with
    one logit for two classes has the name of the second one. Raises UnmatchedError.
    """
    if len(own) == 1 and len(names) == 2:
        return _match_one_logit(own[0], names, stated)
    for key in (str, str.casefold):
        places = {key(name): number for number, name in enumerate(own)}
        if len(places) == len(own) and sorted(map(key, names)) == sorted(places):
            return [places[key(name)] for name in names]
    if (stated or _are_numbers(names)) and not _contradict(own, names):
        return list(range(len(names)))
    raise UnmatchedError(f"the labels of the model are {_some(own)}, those of the data {_some(names)}")


def _match_one_logit(own: str, names: Sequence[str], stated: bool) -> list[int]:
    same = [name.casefold() == own.casefold() for name in names]
    if sum(same) == 1:
        return [0, 1] if same[1] else [1, 0]
    if stated or _are_numbers(names):
        return [0, 1]
    raise UnmatchedError(f"the one logit of the model stands for {own}, the labels of the data are {_some(names)}")


def _are_numbers(names: Sequence[str]) -> bool:
    return list(names) in ([str(number) for number in range(len(names))], ANY_OF_NAMES)


def _contradict(own: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a name stands on both sides in different places, or more than once on one."""
    first, second = ([name.casefold() for name in side] for side in (own, names))
    shared = set(first) & set(second)
    if any(Counter(side)[name] > 1 for side in (first, second) for name in shared):
        return True
    return any(first.index(name) != second.index(name) for name in shared)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
