# Copyright 2026 The hf_variants authors. MIT licence.
"""The measured side of a published claim: small lookups by name, each a sentence from published results.

A lookup raises `NotMeasuredError` while its result is still to come, and InputError for what will never be there.
"""

import functools
import inspect
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from ...auto import TABLE
from ..checking import InputError
from ..records import Settings, Trial
from ..results.contracts import Arm, Results, Test
from ..results.significance import LEAST_FOR_MEDIAN
from ..results.verdicts import main_test
from ..results.wording import VIEW_WORDS, at, format_p, short_count, summary_text, view_words
from ..tables import number
from .sources import NotMeasuredError, Sources

Lookup = Mapping[str, Any]  # of the claims file: the name of a function here, and its arguments
Content = Any  # the content of a JSON file that is no comparison's

BESIDE = "beside whatever else ran"
COSTS: dict[str, tuple[Callable[[Arm], float | None], str, str, int]] = {
    "train_step_ms": (lambda arm: arm.train_step_ms, "A training step takes", "ms", 1),
    "inference_ms": (lambda arm: arm.inference_ms, "A forward pass without gradients takes", "ms", 1),
    "tokens_per_second": (lambda arm: arm.tokens_per_second, "Tokens read per second of training:", "", 0),
    "peak_memory_mb": (lambda arm: arm.peak_memory_mb, "Peak memory is", "MiB", 0),
    "parameters": (lambda arm: arm.parameters, "Parameters:", "", 0),
    "flops": (lambda arm: arm.flops, "Training takes", "FLOPs", 3),
    "quiet_seconds": (lambda arm: arm.quiet_seconds, "The whole training takes, at the quiet run's speed,", "s", 0),
    "seconds": (lambda arm: arm.seconds, f"The optimizer steps of the whole training took, {BESIDE},", "s", 0),
}


def difference(
    sources: Sources, comparison: str, arm: str, view: str = "equal_tokens", cell: str | None = None,
    against: str | None = None,
) -> str:  # fmt: skip
    """An arm's difference in a view, with interval, corrected p and verdict.

    `against` is the baseline, unless another arm is named; `parameter_matched` is the view that has such pairs.
    """
    results, _ = sources.comparison(comparison, cell), sources.arm(comparison, cell, arm)
    _one_of("view", view, VIEW_WORDS)
    unit = results.budget_unit
    if against is not None:
        sources.arm(comparison, cell, against)
    against = against or results.baseline
    # A cell's tests are corrected over all cells, which its own report is not.
    tested = results if cell is None else sources.overview(comparison, cell).cells[cell]
    row = main_test(tested, view, arm, against)
    if row is None:
        pair = (arm, against)
        reasons = [row.reason for row in results.views_omitted[view] if (row.arm, row.against) == pair]
        return (
            f"{arm} against {against} {view_words(view, unit)}: no comparison{''.join(f', {r}' for r in reasons[:1])}"
        )
    return _difference_text(row, results, at(view, row.budget, unit))


def _difference_text(row: Test, results: Results, where: str) -> str:
    metric = {"loss": "nats"}.get(results.metric, results.metric.replace("_", " "))
    text = f"{row.arm} − {row.against} = {row.difference:+.3f} {metric}"
    if row.p_holm is not None:
        low, high = row.ci95
        text += f" (95 % CI {low:+.3f} to {high:+.3f}, {format_p(row.p_holm, 'Holm p')}, {row.seeds} seeds)"
    text += f" {where}: **{row.verdict}**"
    return f"{text} ({row.caveat})" if row.caveat else text


def score(
    sources: Sources, comparison: str, arm: str, metric: str | Sequence[str] | None = None, split: str | None = None,
    cell: str | None = None,
) -> str:  # fmt: skip
    """An arm's means over seeds with intervals; by default of the metric and split that arms are compared by."""
    results, row = sources.comparison(comparison, cell), sources.arm(comparison, cell, arm)
    metrics, split = metric or results.metric, split or results.split
    found = {
        name: row.metrics.get(split, {}).get(name) for name in ([metrics] if isinstance(metrics, str) else metrics)
    }
    for name, summary in found.items():
        if summary is None:
            raise InputError(f"{comparison}, arm {arm}: has no {split} {name}")
    words = ", ".join(f"{name.replace('_', ' ')} {summary_text(summary)}" for name, summary in found.items())
    unit = f" {results.unit}" if list(found) == ["loss"] == [results.metric] else ""
    return f"{arm}: {split} {words}{unit}"


def floor(sources: Sources, comparison: str, metric: str | None = None) -> str:
    """What TF-IDF and logistic regression make of the same examples."""
    results = sources.comparison(comparison)
    metric, split = metric or results.metric, results.split
    value = results.floor.metrics.get(split, {}).get(metric) if results.floor is not None else None
    if value is None:
        raise InputError(f"{comparison}: its floor has no {split} {metric}")
    return f"TF-IDF and logistic regression: {split} {metric.replace('_', ' ')} {value:.3f}"


def ranking(sources: Sources, comparison: str, metric: str | None = None) -> str:
    """All arms from best to worst, with intervals and what their training took."""
    results = sources.comparison(comparison)
    metric, split = metric or results.metric, results.split
    rows = [(arm, row.metrics[split].get(metric)) for arm, row in results.arms.items()]
    have = [(arm, found) for arm, found in rows if found is not None]
    if not have:
        raise InputError(f"{comparison}: no arm has a {split} {metric}")
    have.sort(key=lambda pair: pair[1].mean, reverse=not _lower(results, metric))
    words = ", ".join(f"{arm} {summary_text(found)}" for arm, found in have)
    return f"{split} {metric.replace('_', ' ')}, best first: {words}"


def _lower(results: Results, metric: str) -> bool:
    return results.lower_is_better if metric == results.metric else metric == "loss"


def cost(sources: Sources, comparison: str, arm: str, against: str, of: str, cell: str | None = None) -> str:
    """What an arm costs, and as a multiple of another; `of` is one of `COSTS`."""
    _one_of("of", of, COSTS)
    value_of, words, unit, digits = COSTS[of]
    first, second = (value_of(sources.arm(comparison, cell, name)) for name in (arm, against))
    if first is None or second is None:
        return f"{arm} against {against}: {of.replace('_', ' ')} was not measured"
    values = [f"{value:.2e}" if value >= 1e9 else number(value, digits) for value in (first, second)]
    first_words, second_words = (f"{value} {unit}".rstrip() for value in values)
    times = f"roughly {_times(first / second)}" if BESIDE in words else f"**{_times(first / second)}**"
    return f"{words} {first_words} ({arm}) against {second_words} ({against}): {times}"


def jump(sources: Sources, comparison: str, arm: str) -> str:
    """How the validation loss changes in each growth step."""
    stages = sources.arm(comparison, None, arm).stages
    if not stages:
        raise InputError(f"{comparison}: arm {arm} does not grow")
    words = [f"{stage.loss_before:.3f} → {stage.loss_after:.3f}" for stage in stages]
    return f"{arm}: loss before and after each growth {', '.join(words)}"


def unigram_entropy(sources: Sources, comparison: str, cell: str | None = None) -> str:
    """The loss of who knows the frequencies of tokens and nothing else."""
    entropy = sources.comparison(comparison, cell).data.unigram_entropy
    if entropy is None:
        raise InputError(f"{comparison}: no unigram entropy was recorded")
    return f"Who knows only how frequent each token is has {entropy:.3f} nats per token"


def data(sources: Sources, comparison: str, cell: str | None = None) -> str:
    """How much there was to train, validate and test on."""
    splits = sources.comparison(comparison, cell).data.splits
    unit = "examples" if "examples" in splits["train"] else "characters"
    counts = ", ".join(f"{name} {split[unit]:,}" for name, split in splits.items())
    return f"{unit.capitalize()} here: {counts}"


def base_rate(sources: Sources, comparison: str, split: str = "validation") -> str:
    """The loss of who knows how frequent the labels of the training data are and nothing else."""
    splits = sources.comparison(comparison).data.splits
    known, met = (splits[name].get("label_shares") for name in ("train", split))
    if not known or not met:
        raise InputError(f"{comparison}: {split} or train has no labels")
    loss = -sum(share * math.log(known[label]) for label, share in met.items() if share)
    return f"Guessing by how frequent each label is in train has a {split} loss of {loss:.3f}"


def training(sources: Sources, comparison: str, arm: str, cell: str | None = None) -> str:
    """How an arm was trained: seeds, steps, learning rate, and what the trials of learning rates came to."""
    results, row = sources.comparison(comparison, cell), sources.arm(comparison, cell, arm)
    settings = row.hyperparameters["training"]
    seeds = len(results.summary(arm).per_seed)
    text = f"{arm}: {seeds} seed{'s' * (seeds > 1)}, {row.steps:,.0f} steps"
    text += f" in at most {settings['max_epochs']:g} epochs" if settings.get("max_epochs") else ""
    text += f" at learning rate {settings['learning_rate']:g}{_trials((results.tuning or {}).get(arm) or ())}"
    if row.trainable_parameters < row.parameters:
        text += f"; {row.trainable_parameters:,} of {row.parameters:,} parameters train"
    return text


def _trials(trials: Sequence[Trial]) -> str:
    rate = "training.learning_rate"
    if not trials or any(set(trial.settings) != {rate} for trial in trials):
        return ""
    tried = sorted(trials, key=lambda trial: trial.settings[rate])
    chosen = next(trial for trial in tried if trial.chosen)
    edge = {id(tried[0]): "the lowest", id(tried[-1]): "the highest"}.get(id(chosen), "one")
    metric = (chosen.selection.metric if chosen.selection else "loss").replace("_", " ")
    values = ", ".join(f"{_selected(trial):.3f} at {trial.settings[rate]:g}" for trial in tried)
    return f", {edge} of {len(tried)} tried (validation {metric} after {short_count(chosen.tokens)} tokens: {values})"


def _selected(trial: Trial) -> float:
    return trial.selection.value if trial.selection else trial.validation_loss


def label_shares(sources: Sources, comparison: str, split: str = "test") -> str:
    """How often each label occurs in a split."""
    shares = (sources.comparison(comparison).data.splits.get(split) or {}).get("label_shares")
    if not shares:
        raise InputError(f"{comparison}: {split} has no labels")
    words = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    return f"Labels of {split} here: {words}"


def parameters(sources: Sources, model_type: str, auto_class: str, settings: Settings, part: str = "") -> str:
    """Parameters of a model, or of its modules whose names begin with `part`, built without memory for them."""
    _one_of("model_type", model_type, {row.model_type: row for row in TABLE})
    try:
        sizes = _sizes(model_type, auto_class, json.dumps(settings))
    except (AttributeError, StrictDataclassError, ValueError, TypeError) as error:
        raise InputError(f"{model_type}: {' '.join(str(error).split())}") from None
    count = sum(size for name, size in sizes.items() if name.startswith(part))
    named = ", ".join(f"{name} {value}" for name, value in settings.items()) or "defaults"
    return f"{model_type} ({named}) has {count:,} parameters" + (f" in its {part}" if part else "")


@functools.cache
def _sizes(model_type: str, auto_class: str, settings: str) -> dict[str, int]:
    """Every parameter's size, by its name; `settings` as JSON."""
    config = transformers.CONFIG_MAPPING[model_type](**json.loads(settings))
    with torch.device("meta"):
        model = getattr(transformers, auto_class).from_config(config)
    return {name: parameter.numel() for name, parameter in model.named_parameters()}


# ---- measurements that are no comparisons --------------------------------------------------------------------------


def convex_hull(sources: Sources, size: int) -> str:
    """How many random queries attend most to a key inside the hull of four others, by similarity."""
    found = sources.measurement("convex_hull/convex_hull.json")
    row = next((row for row in found["counts"] if row["size"] == size), None)
    if row is None:
        raise InputError(f"convex_hull: no size {size}; allowed: {', '.join(str(r['size']) for r in found['counts'])}")
    counts = ", ".join(f"{row[name]:,} by {name.replace('_', ' ')}" for name in row if name != "size")
    outer, queries = found["outer_keys"], found["queries"]
    return f"In {size} dimensions, of {queries:,} queries the key inside the hull of {outer} others has: {counts}"


def context_curve(sources: Sources, context: int, model: str, against: str) -> str:
    """A training step of two models at one context length."""
    models = sources.measurement("speed/context_curve.json")["models"]
    found = [
        next((row for row in models.get(name, ()) if row["context"] == context), None) for name in (model, against)
    ]
    if None in found:
        raise InputError(f"context_curve: {model} and {against} were not both timed at {context}")
    first, second = found
    text = f"At context {context:,} and {first['parameters'] / 1e6:.1f} M parameters a training step takes"
    text += f" {first['median_ms']:,.0f} ms ({model}) against {second['median_ms']:,.0f} ms ({against}): "
    rounds = min(first["rounds"], second["rounds"])
    return f"{text}{_times(first['median_ms'] / second['median_ms'])}, by medians of {rounds} rounds"


def benchmark(sources: Sources, case: str) -> str:
    """A case of the benchmark: the time or memory of one side as a multiple of the other's, with its interval."""
    path = "speed/benchmark.json"
    found = next((row for row in sources.measurement(path)["cases"] if row["name"] == case), None)
    if found is None:
        raise NotMeasuredError(f"{path} has no case *{case}*")
    (low, high), rounds = found["ratio_interval"], found["rounds"]
    what = "time" if found.get("unit", "ms") == "ms" else "memory"
    text = f"{case}: {found['ours']['name']} takes {_times(found['ratio'])} the {what} of {found['reference']['name']}"
    words = "95 % interval" if rounds >= LEAST_FOR_MEDIAN else "range"
    return f"{text} ({words} {_ratio(low)} to {_ratio(high)}, {rounds} rounds)"


def depth(sources: Sources, comparison: str, arm: str, of: str) -> str:
    """What `training/analyze_depth.py` found about an arm's layers; `of` is one of `DEPTH`."""
    _one_of("of", of, DEPTH)
    analysis = sources.measurement(f"{comparison}/depth/analysis.json")
    if arm not in analysis["models"]:
        raise InputError(
            f"{comparison}: the depth of {arm} was not analysed; allowed: {', '.join(analysis['models'])}"
        )
    return f"{arm}: {DEPTH[of](analysis, arm)}"


def _lesions(analysis: Content, arm: str) -> str:
    lesions = analysis["models"][arm]["lesions"]
    words = ", ".join(f"{loss - lesions['intact']:+.2f} (layer {name})" for name, loss in lesions["layers"].items())
    return f"leaving out a layer changes the {analysis['data']['split']} loss of {lesions['intact']:.3f} by {words}"


def _gates(analysis: Content, arm: str) -> str:
    openings = {name: row["transform"]["by_class"] for name, row in analysis["models"][arm]["openings"].items()}
    words = ", ".join(f"{row['masked']:.2f} and {row['not masked']:.2f} ({name})" for name, row in openings.items())
    return f"gates are open, on masked and on other tokens, {words}"


def _lens(analysis: Content, arm: str) -> str:
    losses = analysis["models"][arm]["iterative_estimation"]["lens_loss"]
    return f"the loss read off before the first and after each layer is {', '.join(f'{loss:.2f}' for loss in losses)}"


def _in_training(analysis: Content, arm: str) -> str:
    stages = next(rows for name, rows in analysis["over_training"].items() if name.startswith(f"{arm}/"))
    first, last = stages[0], stages[-1]
    words = ", ".join(f"{_lesion(first, name)} → {_lesion(last, name)} ({name})" for name in last["openings"])
    return f"leaving out a sublayer changes the loss, at step {first['step']:,} → {last['step']:,}, by {words}"


def _lesion(stage: Content, sublayer: str) -> str:
    change = stage["lesions"]["sublayers"][sublayer] - stage["lesions"]["intact"]
    return f"{round(change, 2) + 0.0:+.2f}"  # no -0.00


DEPTH: dict[str, Callable[[Content, str], str]] = {
    "lesions": _lesions, "gates": _gates, "lens": _lens, "in_training": _in_training
}  # fmt: skip


def _times(ratio: float) -> str:
    return f"{_ratio(ratio)} times"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _one_of(what: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise InputError(f"{what} '{value}'; allowed: {', '.join(allowed)}")


# ---- the lookups by name -------------------------------------------------------------------------------------------


LOOKUPS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(difference, score, ranking, floor, cost, jump, training, data, unigram_entropy, base_rate, label_shares),
        *(parameters, convex_hull, context_curve, benchmark, depth),
    )
}


def check_lookup(settings: Lookup, where: str) -> None:
    """Raises InputError unless `settings` name a lookup and give it the arguments that it takes."""
    name = settings.get("lookup")
    _one_of(f"{where}: lookup", name, LOOKUPS)
    try:
        inspect.signature(LOOKUPS[name]).bind(None, **_arguments(settings))
    except TypeError as error:
        raise InputError(f"{where}: lookup {name}: {error}") from None


def look_up(settings: Lookup, sources: Sources) -> str:
    """The sentence of one lookup of the claims file, which has been checked."""
    return LOOKUPS[settings["lookup"]](sources, **_arguments(settings))


def _arguments(settings: Lookup) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "lookup"}
