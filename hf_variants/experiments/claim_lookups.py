# Copyright 2026 The hf_variants authors. MIT licence.
"""The measured side of a published claim: small lookups by name, each a sentence from published results.

A lookup raises `NotMeasuredError` while its result is still to come, and InputError for what will never be there.
"""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from ..auto import TABLE
from .checking import InputError
from .overview import VIEW_WORDS, main_test, tests_of
from .significance import format_p
from .sources import Results, Sources
from .tables import number, summary_text
from .views import OWN_BUDGET, describe_budget

COSTS = {
    "train_step_ms": ("A training step takes", "ms", 1),
    "inference_ms": ("A forward pass without gradients takes", "ms", 1),
    "tokens_per_second": ("Tokens read per second of training:", "", 0),
    "peak_memory_mb": ("Peak memory is", "MB", 0),
    "parameters": ("Parameters:", "", 0),
    "flops": ("Training takes", "FLOPs", 3),
    "quiet_seconds": ("The whole training takes, at the quiet run's speed,", "s", 0),
    "seconds": ("The optimizer steps of the whole training took, beside whatever else ran,", "s", 0),
}


def difference(
    sources: Sources, comparison: str, arm: str, view: str = "equal_tokens", cell: str | None = None
) -> str:
    """An arm's difference to the baseline in a view, with interval, corrected p and verdict."""
    results, _ = sources.comparison(comparison, cell), sources.arm(comparison, cell, arm)
    _one_of("view", view, VIEW_WORDS)
    against, unit = results["baseline"], results.get("budget_unit", "tokens")
    # A cell's tests are corrected over all cells, which its own report is not.
    tested = tests_of(results) if cell is None else sources.comparison(comparison)["cells"][cell]
    row = main_test(tested, view, arm)
    if row is None:
        reasons = [row["reason"] for row in results["views_omitted"][view] if row["arm"] == arm]
        return f"{arm} against {against} {VIEW_WORDS[view]}: no comparison{f', {reasons[0]}' if reasons else ''}"
    metric = {"loss": "nats"}.get(results["metric"], results["metric"].replace("_", " "))
    at = describe_budget(view, row["budget"], unit)
    words = f"at {at}" if unit == OWN_BUDGET else f"{VIEW_WORDS[view]} ({at})"
    text = f"{arm} − {against} = {row['difference']:+.3f} {metric}"
    if row["ci95"] is not None:
        low, high = row["ci95"]
        text += f" (95 % CI {low:+.3f} to {high:+.3f}, {format_p(row['p_holm'], 'Holm p')}, {row['seeds']} seeds)"
    return f"{text} {words}: **{row['verdict']}**" + (f", {row['caveat']}" if "caveat" in row else "")


def score(
    sources: Sources, comparison: str, arm: str, metric: str | None = None, split: str | None = None,
    cell: str | None = None,
) -> str:  # fmt: skip
    """An arm's mean over seeds with its interval; by default of the metric and split that arms are compared by."""
    results, row = sources.comparison(comparison, cell), sources.arm(comparison, cell, arm)
    metric, split = metric or results["metric"], split or results["split"]
    found = row["metrics"].get(split, {}).get(metric)
    if found is None:
        raise InputError(f"{comparison}, arm {arm}: has no {split} {metric}")
    unit = f" {results['unit']}" if metric == results["metric"] == "loss" else ""
    return f"{arm}: {split} {metric.replace('_', ' ')} {summary_text(found)}{unit}"


def ranking(sources: Sources, comparison: str, metric: str | None = None) -> str:
    """All arms from best to worst, with intervals and what their training took."""
    results = sources.comparison(comparison)
    metric, split = metric or results["metric"], results["split"]
    rows = [(arm, row["metrics"][split].get(metric)) for arm, row in results["arms"].items()]
    have = [(arm, found) for arm, found in rows if found is not None]
    if not have:
        raise InputError(f"{comparison}: no arm has a {split} {metric}")
    have.sort(key=lambda pair: pair[1]["mean"], reverse=not _lower(results, metric))
    words = ", ".join(f"{arm} {summary_text(found)}" for arm, found in have)
    return f"{split} {metric.replace('_', ' ')}, best first: {words}"


def _lower(results: Results, metric: str) -> bool:
    return results["lower_is_better"] if metric == results["metric"] else metric == "loss"


def cost(sources: Sources, comparison: str, arm: str, against: str, of: str, cell: str | None = None) -> str:
    """What an arm costs, and as a multiple of another; `of` is one of `COSTS`."""
    _one_of("of", of, COSTS)
    words, unit, digits = COSTS[of]
    first, second = (sources.arm(comparison, cell, name)[of] for name in (arm, against))
    if first is None or second is None:
        return f"{arm} against {against}: {of.replace('_', ' ')} was not measured"
    values = [f"{value:.2e}" if value >= 1e9 else number(value, digits) for value in (first, second)]
    first_words, second_words = (f"{value} {unit}".rstrip() for value in values)
    return f"{words} {first_words} ({arm}) against {second_words} ({against}): **{_times(first / second)}**"


def jump(sources: Sources, comparison: str, arm: str) -> str:
    """How the validation loss changes in each growth step."""
    stages = sources.arm(comparison, None, arm).get("stages")
    if not stages:
        raise InputError(f"{comparison}: arm {arm} does not grow")
    words = [f"{stage['loss_before']:.3f} → {stage['loss_after']:.3f}" for stage in stages]
    return f"{arm}: loss before and after each growth {', '.join(words)}"


def unigram_entropy(sources: Sources, comparison: str, cell: str | None = None) -> str:
    """The loss of who knows the frequencies of tokens and nothing else."""
    entropy = sources.comparison(comparison, cell)["data"].get("unigram_entropy")
    if entropy is None:
        raise InputError(f"{comparison}: no unigram entropy was recorded")
    return f"Who knows only how frequent each token is has {entropy:.3f} nats per token"


def label_shares(sources: Sources, comparison: str, split: str = "test") -> str:
    """How often each label occurs in a split."""
    shares = (sources.comparison(comparison)["data"]["splits"].get(split) or {}).get("label_shares")
    if not shares:
        raise InputError(f"{comparison}: {split} has no labels")
    words = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    return f"Labels of {split} here: {words}"


def parameters(sources: Sources, model_type: str, auto_class: str, settings: Mapping[str, Any], part: str = "") -> str:
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
    rows = [next((r for r in models.get(name, ()) if r["context"] == context), None) for name in (model, against)]
    if None in rows:
        raise InputError(f"context_curve: {model} and {against} were not both timed at {context}")
    first, second = (row["median_ms"] for row in rows)
    text = f"At context {context:,} and {rows[0]['parameters'] / 1e6:.1f} M parameters a training step takes"
    return f"{text} {first:,.0f} ms ({model}) against {second:,.0f} ms ({against}): **{_times(first / second)}**"


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio >= 0.1 else f"{ratio:.2g} times"


def _one_of(what: str, value: str, allowed: Mapping[str, Any]) -> None:
    if value not in allowed:
        raise InputError(f"{what} '{value}'; allowed: {', '.join(allowed)}")


LOOKUPS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(difference, score, ranking, cost, jump, unigram_entropy, label_shares),
        *(parameters, convex_hull, context_curve),
    )
}


def check_lookup(settings: Mapping[str, Any], where: str) -> None:
    """Raises InputError unless `settings` name a lookup and give it the arguments that it takes."""
    name = settings.get("lookup")
    _one_of(f"{where}: lookup", name, LOOKUPS)
    try:
        inspect.signature(LOOKUPS[name]).bind(None, **_arguments(settings))
    except TypeError as error:
        raise InputError(f"{where}: lookup {name}: {error}") from None


def look_up(settings: Mapping[str, Any], sources: Sources) -> str:
    """The sentence of one lookup of the claims file, which has been checked."""
    return LOOKUPS[settings["lookup"]](sources, **_arguments(settings))


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "lookup"}
