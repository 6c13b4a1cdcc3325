# Copyright 2026 The hf_variants authors. MIT licence.
"""What a reader sees of `results.json`: the report, the table in the terminal, and one model card per arm.

Everything is rendered from the results; no number is typed in by hand, and what is unknown is left out or a dash.
The template lies beside this module, so that an installed package finds it as the repository does.
"""

import json
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData, metadata_load

from . import classification_costs, classification_figures, classification_sections, growth_plots, growth_report
from .card_texts import CITATIONS, TASKS
from .classification_figures import FLOOR_ARM
from .plots import COST_QUALITY, LOSS_CURVES
from .results import CAUSAL_LM, CLASSIFICATION, build_results
from .samples import SAMPLES, has_written, written_sections
from .significance import format_p
from .tables import (
    DASH,
    aligned_table,
    flatten,
    markdown_table,
    number,
    plain_table,
    present_columns,
    summary_text,
    value_text,
)
from .views import NEAR_MARK, OWN_BUDGET, VIEWS, describe_budget, short_count

WEIGHTS_LICENSE = "mit"

_VIEW_TITLES = {
    "equal_tokens": "At equal tokens",
    "equal_time": "At equal training time",
    "equal_flops": "At equal training FLOPs",
    "parameter_matched": "At equal parameters (within 2 %)",
}
_INTERPOLATION_NOTE = (
    "Read from the same runs, linear in log(cost) between compared budgets (marks), at the largest cost that both "
    f"arms reach, or up to half of it where from there a next mark is more than {NEAR_MARK:g} times away. "
    "A verdict against an interpolated arm has to hold against its next mark too. "
    "Uncertainty of the timing itself is not in the intervals."
)
# What is shown beside the metric that arms are compared by.
_ALSO_SHOWN = {
    CAUSAL_LM: ("loss", "bits_per_byte", "perplexity", "accuracy", "exact_match"),
    CLASSIFICATION: (
        *("average_precision", "average_precision_macro", "roc_auc", "roc_auc_macro", "accuracy", "f1_tuned"),
        *("f1_macro", "f1_macro_tuned", "matthews", "pearson", "spearman", "loss", "calibration_error"),
    ),
}


# ---------------------------------------------------------------- tables


def _metric(results: Mapping[str, Any], arm: str, metric: str) -> Mapping[str, Any] | None:
    return results["arms"][arm]["metrics"].get(results["split"], {}).get(metric)


def _arms_table(results: Mapping[str, Any], highlight: str | None = None) -> str:
    batch = next((row["inference_batch"] for row in results["arms"].values() if row["inference_batch"]), None)
    metrics = _shown_metrics(results)
    columns = ["arm", "parameters", "tokens", *(_metric_title(results, metric) for metric in metrics)]
    columns += ["tokens/s", "training step (ms)", "inference (ms" + (f", batch {_shape(batch)})" if batch else ")")]
    rows = [
        [
            f"**{arm}**" if arm == highlight else arm,
            *(number(row["parameters"]), number(row["tokens"], 0)),
            *(summary_text(_metric(results, arm, metric)) for metric in metrics),
            *(number(row["tokens_per_second"], 0), number(row["train_step_ms"], 1), number(row["inference_ms"], 1)),
            number(row["peak_memory_mb"], 0),
        ]
        for arm, row in results["arms"].items()
    ]
    rows += _floor_rows(results, ["", "", *metrics, "", "", "", ""])
    return markdown_table(*present_columns([*columns, "peak memory (MB)"], rows))


def _floor_rows(results: Mapping[str, Any], columns: Sequence[str]) -> list[list[str]]:
    """The floor's row below the arms, if there is one: the metrics that it has, one fit and hence without interval."""
    if not results.get("floor"):
        return []
    found = results["floor"]["metrics"].get(results["split"], {})
    return [[FLOOR_ARM, *(number(found.get(name), 3) for name in columns)]]


def _shown_metrics(results: Mapping[str, Any]) -> list[str]:
    """The metric that arms are compared by, and those beside it."""
    metric = results["metric"]
    also = _ALSO_SHOWN.get(results["objective"], ("accuracy" if metric != "accuracy" else "loss",))
    return [metric, *(name for name in also if name != metric)]


def _metric_title(results: Mapping[str, Any], metric: str) -> str:
    title = metric.replace("_", " ")
    if metric == results["metric"]:
        title = f"{results['split']} {title}"
        title += f" ({results['unit']})" if results["objective"] == CAUSAL_LM and metric == "loss" else ""
    return f"{title} ± 95 % CI"


def _shape(batch: Any) -> str:
    return " x ".join(str(size) for size in batch) if isinstance(batch, (list, tuple)) else str(batch)


def _view_section(results: Mapping[str, Any], view: str) -> str:
    rows = [_view_row(view, row, results.get("budget_unit", "tokens")) for row in results["views"][view]]
    header = ["arm", "against", "budget", "difference", "95 % CI", "p", "Holm p", "seeds", "verdict"]
    title, unit = _VIEW_TITLES[view], results.get("budget_unit", "tokens")
    if view == "equal_tokens":
        title = f"At {describe_budget(view, 1, unit)}" if unit == OWN_BUDGET else title.replace("tokens", unit)
    parts = [f"### {title}"]
    parts += [markdown_table(header, rows)] if rows else []
    if rows and view in ("equal_time", "equal_flops"):
        parts += ["\n".join(_marks_note(view, row) for row in results["views"][view]), _INTERPOLATION_NOTE]
    left_out = results["views_omitted"][view]
    omitted = [f"* {row['arm']} against {row['against']}: left out, {row['reason']}." for row in left_out]
    parts += ["\n".join(omitted)] if omitted else []
    parts += classification_costs.cost_section(results) if view == "equal_time" else []
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "No pair of arms to compare."])


def _view_row(view: str, row: Mapping[str, Any], unit: str) -> list[str]:
    budget = describe_budget(view, row["budget"], unit).removesuffix(" and matched parameters")
    if "tokens" in row:
        had = ", ".join(f"{arm} {tokens:,}" for arm, tokens in row["tokens"].items())
        budget += f" (tokens: {had})"
    ci95 = DASH if row["ci95"] is None else f"{row['ci95'][0]:+.3f} to {row['ci95'][1]:+.3f}"
    words = row["verdict"] + (f" ({row['caveat']})" if "caveat" in row else "")
    p_values = (format_p(row["p"]), format_p(row["p_holm"]))
    return [row["arm"], row["against"], budget, f"{row['difference']:+.3f}", ci95, *p_values, str(row["seeds"]), words]


def _marks_note(view: str, row: Mapping[str, Any]) -> str:
    """Which marks of each arm were compared, and how far apart they are."""
    return f"* {row['arm']} against {row['against']}: " + "; ".join(
        f"{arm} {_marks_of(view, marks)}" for arm, marks in row["marks"].items()
    )


def _marks_of(view: str, marks: Sequence[Mapping[str, float]]) -> str:
    costs = [describe_budget(view, m["cost"]).removesuffix(" of training") for m in marks]
    words = [f"{short_count(m['tokens'])} tokens ({cost})" for m, cost in zip(marks, costs, strict=True)]
    if len(marks) == 1:
        return f"at its mark of {words[0]}"
    apart = marks[1]["cost"] / marks[0]["cost"]
    return f"between its marks of {words[0]} and {words[1]}, {apart:.2f} times apart"


def _tuning_table(tuning: Mapping[str, Any]) -> str:
    """A row per trial; where trials are not chosen by their loss, what they are chosen by stands beside it."""
    every = [(arm, trial, trial.get("selection") or {}) for arm, trials in tuning.items() for trial in trials]
    metrics = list(dict.fromkeys(found["metric"] for _, _, found in every if found and found["metric"] != "loss"))
    rows = [
        [arm, number(trial["trial"]), _settings(trial["settings"]), number(trial["tokens"], 0),
         "diverged" if trial["validation_loss"] is None else f"{trial['validation_loss']:.4f}",
         *(number(found["value"], 4) if found.get("metric") == metric else DASH for metric in metrics),
         "yes" if trial["chosen"] else ""]
        for arm, trial, found in every
    ]  # fmt: skip
    names = [f"validation {metric.replace('_', ' ')}" for metric in metrics]
    return markdown_table(["arm", "trial", "settings", "tokens", "validation loss", *names, "chosen"], rows)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value_text(value)}" for key, value in flatten(settings).items()) or "as in the recipe"


def _data_table(data: Mapping[str, Any]) -> str:
    rows = [["data set", number(data.get("name"))], ["licence", data.get("license") or "not stated"]]
    rows += [["Hub id", f"`{data['hub_id']}`"]] if data.get("hub_id") else []
    rows += [["language", data["language"]]] if data.get("language") else []
    rows += [["fingerprint", f"`{data['fingerprint']}`"]]
    for split, size in (data.get("splits") or {}).items():
        rows.append([split, ", ".join(_size(unit, count) for unit, count in size.items() if count is not None)])
    if data.get("unigram_entropy") is not None:
        rows.append(["unigram entropy", f"{data['unigram_entropy']:.3f} nats per token"])
    return plain_table("data", rows)


def _size(unit: str, value: Any) -> str:
    """A split's size in one unit, or what its labels are."""
    if unit == "label_shares":
        return f"labels ({', '.join(f'{name}: {100 * share:.1f} %' for name, share in value.items())})"
    if unit == "label_range":
        return f"labels from {value[0]:g} to {value[1]:g}"
    return f"unlabelled ({value})" if unit == "why_unlabelled" else f"{number(value)} {unit.replace('_', ' ')}"


def _environment_table(results: Mapping[str, Any]) -> str:
    timing = {f"timing {key}": (results["timing"] or {}).get(key) for key in ("rounds", "load_average")}
    rows = flatten({**results["environment"], **timing}).items()
    return plain_table("environment", [[key.replace("_", " "), value_text(value)] for key, value in rows])


def _settings_table(settings: Mapping[str, Any]) -> str:
    return plain_table("setting", [[key, value_text(value)] for key, value in flatten(settings).items()])


# ---------------------------------------------------------------- report and terminal


def report_markdown(results: Mapping[str, Any]) -> str:
    """report.md: question, verdict, arms, every view, tuning, data, environment; plots by their file names."""
    sections = [f"# {results['name']}", results["question"], "## Verdict"]
    sections += ["\n".join(f"* {sentence}" for sentence in results["verdicts"]) or results["verdict"]]
    sections += [_missing_note(results), "## Arms", _arms_table(results), _interval_note(results), _described(results)]
    sections += [_remarks(results), _samples_link(results)]
    sections += [f"![Loss curves]({LOSS_CURVES})", f"![Quality against cost]({COST_QUALITY})", "## Comparisons"]
    unit, better = results["unit"], "lower" if results["lower_is_better"] else "higher"
    sections += [f"Differences are arm minus against, in {unit}, on {results['split']}; {better} is better."]
    sections += [_view_section(results, view) for view in VIEWS] + growth_report.report_sections(results)
    sections += classification_sections.report_sections(results)
    if results["tuning"]:
        sections += ["## Tuning", "On validation only, every arm by itself.", _tuning_table(results["tuning"])]
    sections += ["## Data", _data_table(results["data"]), "## Environment", _environment_table(results)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _missing_note(results: Mapping[str, Any]) -> str:
    missing = ", ".join(f"{run['arm']} seed {run['seed']}" for run in results["missing"])
    return f"**Not finished yet, and not in any number here: {missing}.**" if missing else ""


def _interval_note(results: Mapping[str, Any]) -> str:
    count, metric = len(results["seeds"]), results["metric"]
    seeds = f"{count} seeds" if count > 1 else "one seed"
    text = f"The {metric} is in {results['unit']}, after the decay branch of the full budget, over {seeds}"
    if results["objective"] == CLASSIFICATION:
        text = f"The {_with_unit(results).replace('_', ' ')} is that of the finished models, over {seeds}"
    text += "; ± is half the width of the 95 % t interval." if count > 1 else "; one seed gives no interval."
    return f"{text} {_speed_note(results['arms'])}"


def _speed_note(arms: Mapping[str, Any]) -> str:
    """Where speeds come from. What a quiet run cannot say of an arm (a frozen encoder's) was measured in training."""
    busy = [arm for arm, row in arms.items() if row["speed_source"] != "quiet run"]
    if not busy:
        return "Speed was measured in a separate quiet run."
    if all(row["inference_ms"] is None for row in arms.values()):
        return "Speed was measured during training, beside whatever else ran."
    during = f"the tokens/s of {', '.join(busy)} during training, beside whatever else ran"
    return f"Speed was measured in a separate quiet run, but {during}."


def _with_unit(results: Mapping[str, Any]) -> str:
    """The metric that arms are compared by, with its unit where that is not the metric's own name."""
    metric, unit = results["metric"], results["unit"]
    return metric if unit == metric else f"{metric} ({unit})"


def _described(results: Mapping[str, Any]) -> str:
    arms = results["arms"].items()
    return "\n".join(f"* **{arm}**: {row['description']}" for arm, row in arms if row["description"])


def _remarks(results: Mapping[str, Any]) -> str:
    arms = results["arms"].items()
    return "\n".join(f"* {arm}: {remark}" for arm, row in arms for remark in row.get("remarks") or ())


def _samples_link(results: Mapping[str, Any]) -> str:
    return f"What the models wrote: [{SAMPLES}]({SAMPLES})." if has_written(results) else ""


def console_table(results: Mapping[str, Any]) -> str:
    """Arms with parameters, loss ± CI and tokens/s as aligned plain text, what they cost, and the verdict below."""
    header = ["arm", "parameters", f"{results['split']} {results['metric']} ± 95 % CI", "tokens/s"]
    rows = [
        [arm, number(row["parameters"]), summary_text(_metric(results, arm, results["metric"])),
         number(row["tokens_per_second"], 0)]
        for arm, row in results["arms"].items()
    ]  # fmt: skip
    rows += _floor_rows(results, ["", results["metric"], ""])
    costs = classification_costs.cost_table(results)
    tables = [aligned_table(header, rows)] + ([aligned_table(*costs)] if costs else [])
    return "\n\n".join([*tables, textwrap.fill(results["verdict"], 100)])


# ---------------------------------------------------------------- model cards


def model_card(results_or_run: Mapping[str, Any], arm: str | None = None, folder: str | Path | None = None) -> str:
    """The README.md of one exported model: validated YAML metadata and text.

    `results_or_run` is a comparison's results, or the record of a single run (then `arm` may be left out).
    `folder` is the exported folder: its plots are linked if they are there, and config.json names the Auto classes.
    Raises ValueError for an unknown arm, and when the card does not validate.
    """
    is_comparison = "arms" in results_or_run
    results = results_or_run if is_comparison else _single_run(results_or_run)
    arm = arm if is_comparison else next(iter(results["arms"]))
    if arm not in results["arms"]:
        raise ValueError(f"arm {arm!r} is not one of {', '.join(results['arms'])}")
    context = _card_context(results, arm, Path(folder) if folder is not None else None, is_comparison)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = files(__package__).joinpath("card_template.md").read_text(encoding="utf-8")
    text = environment.from_string(template).render(context).rstrip("\n") + "\n"
    validate_card(text)
    return text


def _single_run(record: Mapping[str, Any]) -> dict[str, Any]:
    """A run of train.py as a comparison of one arm."""
    recipe = record["recipe"]
    arm = record.get("arm") or recipe["name"]
    seed = record.get("seed")
    seed = seed if seed is not None else (recipe.get("training") or {}).get("seed", 0)
    about = {"description": recipe.get("description") or ""}
    comparison = {"name": recipe["name"], "baseline": arm, "arms": {arm: about}, "command": record.get("command")}
    return build_results(comparison, [{**record, "arm": arm, "seed": seed}])


def _card_context(results: Mapping[str, Any], arm: str, folder: Path | None, is_comparison: bool) -> dict[str, Any]:
    row, config = results["arms"][arm], _config(folder)
    model_type = row["model_type"] or config.get("model_type") or ""
    task = TASKS.get(results["objective"], TASKS[""])
    return {
        **{"results": results, "arm": arm, "name": results["name"], "is_comparison": is_comparison, "task": task},
        "metadata": card_metadata(results, arm, model_type).to_yaml().strip(),
        "title": _title(results, arm),
        "usage": _usage(task, row, config),
        "question": results["question"],
        "description": (row["description"] or f"A `{model_type or arm}` model").rstrip(".") + ".",
        "trained": f"{number(row['parameters'])} parameters, trained {task['purpose']}{_origin(row)}.",
        "model_type": model_type,
        "auto_classes": ", ".join(f"`{name}`" for name in config.get("auto_map", {}) if name.startswith("AutoModel")),
        **_card_data(results["data"]),
        "procedure": _procedure(results, row),
        "hyperparameters": _settings_table(row["hyperparameters"]),
        **_card_results(results, arm, folder, is_comparison),
        "written": "\n\n".join(written_sections(row)),
        "limits": _limits(results, row),
        "reproduce": _reproduce(results, is_comparison),
        "environment_table": _environment_table(results),
        "citations": CITATIONS.get(model_type, ()),
    }


def _usage(task: Mapping[str, str], row: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The task's example, for a text generator with a beginning that its data has and a length that it can read."""
    half = (config.get("max_position_embeddings") or 80) // 2
    found = [example["prompt"] for name in ("answers", "samples") for example in _prompted(row.get(name))]
    usable = [text for text in found if text.strip() and text.isprintable() and "`" not in text and len(text) <= half]
    prompt = json.dumps((usable or ["The"])[0], ensure_ascii=False)
    return task["usage"].replace("NEW_TOKENS", str(min(40, half))).replace("PROMPT", prompt)


def _prompted(written: Any) -> Sequence[Mapping[str, str]]:
    """Samples, or the examples of answers; each has a prompt."""
    return (written["examples"] if isinstance(written, Mapping) else written) or ()


def _title(results: Mapping[str, Any], arm: str) -> str:
    return arm if arm == results["name"] else f"{arm} ({results['name']})"


def _config(folder: Path | None) -> dict[str, Any]:
    path = folder / "config.json" if folder is not None else None
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}


def _card_data(data: Mapping[str, Any]) -> dict[str, str]:
    note = "The weights are under the MIT licence; the data keeps its own." if data.get("license") else (
        "The weights are under the MIT licence. The data's licence was not stated in the recipe: check it before use."
    )  # fmt: skip
    return {"data_table": _data_table(data), "data_note": note}


def card_metadata(results: Mapping[str, Any], arm: str, model_type: str = "") -> ModelCardData:
    """The card's YAML block; its model-index holds the published weights' own values (the best seed), not the mean."""
    data, task = results["data"], TASKS.get(results["objective"], TASKS[""])
    return ModelCardData(
        language=data.get("language") or None,
        license=WEIGHTS_LICENSE,
        library_name="transformers",
        pipeline_tag=task["pipeline_tag"] or None,
        datasets=[data["hub_id"]] if data.get("hub_id") else None,
        tags=[tag for tag in (model_type, "hf_variants", "custom_code") if tag],
        model_name=_title(results, arm),
        eval_results=_eval_results(results, arm, task),
    )


def _eval_results(results: Mapping[str, Any], arm: str, task: Mapping[str, str]) -> list[EvalResult]:
    row, data, split = results["arms"][arm], results["data"], results["split"]
    values = {
        metric: summary["per_seed"].get(str(row["best_seed"])) for metric, summary in row["metrics"][split].items()
    }
    # A data set that is not on the Hub must not borrow the id of one that happens to share its name.
    return [
        EvalResult(
            task_type=task["pipeline_tag"] or "other", task_name=task["name"],
            dataset_type=data.get("hub_id") or "custom", dataset_name=data["name"], dataset_split=split,
            metric_type=metric, metric_name=_with_unit(results) if metric == results["metric"] else metric,
            metric_value=value,
        )
        for metric, value in values.items() if value is not None
    ]  # fmt: skip


def _procedure(results: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    text = f"Trained for {number(row['tokens'], 0)} tokens in {number(row['steps'], 0)} optimizer steps "
    text += f"({row['flops']:.2e} FLOPs, {number(row['seconds'], 0)} seconds on {_device(results)})."
    if results["tuning"]:
        trials = sorted({len(trials) for trials in results["tuning"].values()})
        text += f" Hyperparameters were tuned on validation, {' to '.join(map(str, trials))} trials per arm."
    return text


def _origin(row: Mapping[str, Any]) -> str:
    model = row["hyperparameters"].get("model") or {}
    return f", starting from the weights of `{model['name_or_path']}`" if model.get("pretrained") else " from scratch"


def _device(results: Mapping[str, Any]) -> str:
    return value_text(results["environment"].get("device") or "an unrecorded device")


def _card_results(results: Mapping[str, Any], arm: str, folder: Path | None, is_comparison: bool) -> dict[str, Any]:
    row, metric, split = results["arms"][arm], results["metric"], results["split"]
    per_seed, best = row["metrics"][split][metric]["per_seed"], row["best_seed"]
    unit = f" ({results['unit']})" if results["unit"] != metric else ""
    text = f"These weights: {split} {metric.replace('_', ' ')} {per_seed[str(best)]:.3f}{unit}, seed {best}"
    text += f", the best of {len(per_seed)} seeds on validation." if len(per_seed) > 1 else "."
    texts = {LOSS_CURVES: "Loss against training tokens", COST_QUALITY: "Final quality against cost"}
    texts |= growth_plots.TEXTS | classification_figures.TEXTS
    there = [name for name in texts if folder is not None and (folder / name).is_file()]
    return {
        "weights_result": text,
        "arms_table": _arms_table(results, arm if is_comparison else None),
        "interval_note": _interval_note(results),
        "verdicts": results["verdicts"],
        "growth": "\n\n".join(growth_report.card_sections(results, arm)),
        "classification": "\n\n".join(classification_sections.card_sections(results, arm)),
        "plots": [{"file": name, "text": texts[name]} for name in there],
    }


def _limits(results: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    count, data = len(results["seeds"]), results["data"]
    limits = [f"A research model trained on {data['name']} alone: not meant for use on other text or for decisions."]
    limits += ["It repeats whatever bias its training text holds; none was measured."]
    if results["objective"] == CAUSAL_LM:
        limits += ["It writes what is probable after a text, whether or not it is true."]
    limits += [f"{remark[0].upper()}{remark[1:].rstrip('.')}." for remark in row.get("remarks") or ()]
    if len(results["arms"]) > 1:
        limits += ["The comparison holds for this data, size, budget and tuning; other scales may order arms anew."]
        limits += [f"With {count} seed{'s' if count > 1 else ''}, differences smaller than the intervals go unseen."]
    elif count == 1:
        limits += ["One seed: the results carry no interval, and nothing is claimed against other models."]
    return limits


def _reproduce(results: Mapping[str, Any], is_comparison: bool) -> str:
    name, commit = results["name"], results["environment"].get("commit")
    program, kind = ("compare", "comparisons") if is_comparison else ("train", "recipes")
    default = f"accelerate launch training/{program}.py --config training/{kind}/{name}.yaml --output_dir runs/{name}"
    at = f", at commit `{value_text(commit)}`" if commit else ""
    return f"In a clone of `hf_variants`{at}:\n\n```sh\n{results['command'] or default}\n```"


def validate_card(text: str) -> ModelCardData:
    """Checks a card without the network: its YAML parses, survives a round trip, and states the essentials.

    Raises ValueError naming what is wrong. `ModelCard.validate` asks the Hub as well, and is left to publishing.
    """
    try:
        data = ModelCard(text, ignore_metadata_errors=False).data
    except Exception as error:
        raise ValueError(f"the card's metadata is invalid: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "README.md"
        path.write_text(text, encoding="utf-8")
        loaded = metadata_load(path) or {}
    absent = [key for key in ("license", "library_name", "tags") if not loaded.get(key)]
    if absent:
        raise ValueError(f"the card's metadata lacks {', '.join(absent)}")
    again = ModelCard(f"---\n{data.to_yaml()}\n---\n", ignore_metadata_errors=False).data
    if again.to_dict() != data.to_dict() or loaded != data.to_dict():
        raise ValueError("the card's metadata changes in a round trip")
    return data
