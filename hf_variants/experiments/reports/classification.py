# Copyright 2026 The hf_variants authors. MIT licence.
"""What reports and cards say about classifiers: the floor, intervals over test examples, what trained, curves.

A section is there only where `results.json` holds what it shows.
"""

from collections.abc import Mapping, Sequence

from ..figures.classification import CAPTIONS, FLOOR_LABEL, drawn_figures
from ..records import Classification, ExampleInterval, Pair
from ..results.contracts import Arm, Results
from ..results.wording import interval_text
from ..tables import DASH, markdown_table, number, present_columns

_INTERVALS_NOTE = (
    "Of the published weights (the seed that was best on validation), with 95 % percentile intervals over resamples "
    "of the test examples. They say what another test split could have shown of these weights; what another seed "
    "would have trained is in the table of arms."
)
_PAIRS_NOTE = (
    "Arm minus against, of one seed and on the same test examples, with 95 % percentile intervals of a paired "
    "bootstrap over the examples. They say what another test split could have shown of these two models. Verdicts, "
    "which are about other seeds too, are in the comparisons above."
)
_FLOOR_NOTE = (
    "The floor is logistic regression on TF-IDF of words and pairs of words, its regularisation chosen on validation, "
    "trained on the same examples."
)
_TRAINS = {
    "full": "all parameters train",
    "frozen": "the encoder is frozen and in evaluation mode, its features are computed once, and the head trains",
    "lora": "adapters of all linear maps and the head train; the adapters are merged at the end",
    "gradual": "the head trains, then the layers too, one after the other from the last to the first",
}


def report_sections(results: Results) -> list[str]:
    """All that a comparison's report says of classifiers, as paragraphs of Markdown; none where there are none."""
    rows = {arm: row.classification for arm, row in results.arms.items() if row.classification}
    if not rows:
        return []
    if results.floor is not None:
        rows[FLOOR_LABEL] = results.floor.classification
    parts = ["## Classification", intervals_table(rows), _INTERVALS_NOTE]
    parts += [_FLOOR_NOTE] if results.floor else []
    parts += [_pairs_table(results.pairs), _PAIRS_NOTE] if results.pairs else []
    parts += ["\n".join(f"* {arm}: {_training(row)}." for arm, row in results.arms.items())]
    return parts + [f"![{CAPTIONS[name]}]({name})" for name in drawn_figures(results)]


def card_sections(results: Results, arm: str) -> list[str]:
    """What the card of one classifier says."""
    row = results.arms[arm]
    about = row.classification
    if not about:
        return []
    sentences = [f"In training, {_training(row)}."]
    if about.threshold is not None:
        where = "config.json holds it as `classification_threshold`"
        sentences.append(f"The threshold with the highest F1 on validation is {_threshold(about)}; {where}.")
    clean = (row.hyperparameters.get("tokenizer") or {}).get("clean")
    if clean:
        sentences.append(f"The tokenizer cleans text itself ({', '.join(clean)}): give it text as it is.")
    return [" ".join(sentences), intervals_table({arm: about}), _INTERVALS_NOTE]


def intervals_table(rows: Mapping[str, Classification]) -> str:
    """A row per arm: every metric that has an interval over examples, and the threshold."""
    names = list(dict.fromkeys(name for about in rows.values() for name in about.intervals))
    cells = [
        [arm, *(_interval(about.intervals.get(name)) for name in names), _threshold(about)]
        for arm, about in rows.items()
    ]
    return markdown_table(*present_columns(["arm", *(n.replace("_", " ") for n in names), "threshold"], cells))


def _pairs_table(pairs: Sequence[Pair]) -> str:
    metric = pairs[0].metric.replace("_", " ")
    rows = [
        [pair.arm, pair.against, str(pair.seed), number(pair.examples), f"{pair.difference:+.3f}",
         interval_text(pair.ci95)]
        for pair in pairs
    ]  # fmt: skip
    return markdown_table(["arm", "against", "seed", "examples", f"difference in {metric}", "95 % CI"], rows)


def _interval(found: ExampleInterval | None) -> str:
    if found is None:
        return DASH
    low, high = found.ci95
    return f"{found.value:.3f} ({low:.3f} to {high:.3f})"


def _threshold(about: Classification) -> str:
    threshold = about.threshold
    if isinstance(threshold, Sequence):
        pairs = zip(about.label_names, threshold, strict=True)
        return ", ".join(f"{name} {value:.3f}" for name, value in pairs)
    return number(threshold, 3)


def _training(row: Arm) -> str:
    training = row.hyperparameters.get("training") or {}
    text = _TRAINS[training.get("train") or "full"]
    text += f" ({number(row.trainable_parameters)} of {number(row.parameters)} parameters)"
    found = row.word_vectors
    return f"{text}; {found}" if found else text
