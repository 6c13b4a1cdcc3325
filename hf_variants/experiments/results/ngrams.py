# Copyright 2026 The hf_variants authors. MIT licence.
"""What arms are worth against counting: their losses beside those of n-gram models on the same tokens."""

from collections.abc import Mapping

from ..records import NGramFloor
from .contracts import Cell, Results
from .wording import listed, short_count

TRIGRAM = 3
NAMES = ("unigram", "bigram", "trigram", "4-gram", "5-gram")


def floor_lines(floor: NGramFloor) -> list[tuple[str, float]]:
    """Of the n-grams of the tokens that an arm reads, the best order and the trigram: names and losses in nats."""
    best = min(range(len(floor.seen)), key=lambda order: floor.seen[order])
    orders = dict.fromkeys((TRIGRAM - 1, best))
    return [(NAMES[order], floor.seen[order]) for order in orders if order < len(floor.seen)]


def reference_losses(results: Results) -> list[tuple[str, float]]:
    """The lines of a plot of losses, with names: the trigram and the best n-gram; without them the unigram entropy."""
    if results.metric != "loss":
        return []
    if results.ngrams is not None and results.ngrams.split == results.split:
        return [(f"{name} ({loss:.2f})", loss) for name, loss in floor_lines(results.ngrams)]
    entropy = results.data.unigram_entropy
    return [] if entropy is None else [(f"unigram entropy ({entropy:.2f})", entropy)]


def above_trigram(results: Results | Cell) -> list[str]:
    """The arms whose mean loss is above that of the trigram of the tokens that they read; none where it is unknown."""
    floor = results.ngrams
    if floor is None or results.metric != "loss" or floor.split != results.split or len(floor.seen) < TRIGRAM:
        return []
    return [arm for arm, loss in losses_of(results).items() if loss > floor.seen[TRIGRAM - 1]]


def losses_of(results: Results | Cell) -> dict[str, float]:
    """The mean loss of every arm, on the split that arms are compared on."""
    if isinstance(results, Cell):
        return {arm: row.metrics["loss"].mean for arm, row in results.arms.items() if "loss" in row.metrics}
    found = {arm: results.summary(arm, "loss") for arm in results.arms}
    return {arm: summary.mean for arm, summary in found.items() if summary is not None}


def trigram_sentence(results: Results) -> str:
    """Which arms the trigram beats, and by how much; empty where it beats none."""
    arms, losses = above_trigram(results), losses_of(results)
    if not arms:
        return ""
    floor = results.ngrams
    who = "No arm reaches" if len(arms) == len(losses) else f"{listed(arms)} {_verb(arms, 'does', 'do')} not reach"
    text = f"{who} the trigram of the same {short_count(floor.tokens_seen)} training tokens: counting triples gives "
    text += f"{floor.seen[TRIGRAM - 1]:.3f} nats on {results.split}, "
    return text + f"{listed(f'{arm} {losses[arm]:.3f}' for arm in arms)}."


def constant_sentence(results: Results) -> str:
    """Which arms answer no more questions than one who always says the same; empty where all do."""
    answer = results.ngrams.constant_answer if results.ngrams is not None else None
    found = {arm: results.summary(arm, "exact_match") for arm in results.arms}
    right = {arm: summary.mean for arm, summary in found.items() if summary is not None}
    if answer is None or not right:
        return ""
    text = f'Always answering "{answer.answer}" is right in {100 * answer.exact_match:.1f} % of the questions'
    below = [f"{arm} ({100 * share:.1f} %)" for arm, share in right.items() if share <= answer.exact_match]
    return (
        f"{text}; {listed(below)} {_verb(below, 'is', 'are')} no better." if below else f"{text}; every arm is better."
    )


def cells_sentence(cells: Mapping[str, Cell]) -> str:
    """In which cells no arm, or not every arm, reaches the trigram; empty where all do in all."""
    found = {name: above_trigram(cell) for name, cell in cells.items()}
    none = [name for name, arms in found.items() if arms and len(arms) == len(cells[name].arms)]
    some = [f"{listed(arms)} in {name}" for name, arms in found.items() if arms and name not in none]
    parts = [f"no arm reaches it in {listed(none)}"] if none else []
    parts += [f"it is not reached by {listed(some)}"] if some else []
    return f"Against the trigram of the same training tokens, {', and '.join(parts)}." if parts else ""


def _verb(names: list[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many
