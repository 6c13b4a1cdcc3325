# Copyright 2026 The hf_variants authors. MIT licence.
"""One model card per arm, and one for a model of train.py: all from the same template, rendered from the results.

No number is typed in by hand, and what is unknown is left out or a dash. The template lies beside this module, so that
an installed package finds it as the repository does.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData, metadata_load

from ..figures import architecture
from ..figures import classification as classification_figures
from ..figures import growth as growth_plots
from ..figures.plots import COST_QUALITY, LOSS_CURVES, plot_loss_curves
from ..figures.recorded_config import arm_config, auto_class_names, is_ours
from ..records import RunRecord
from ..results.contracts import CAUSAL_LM, Arm, Results
from ..results.results import Compared, build_results
from ..results.verdicts import sentences_of
from ..tables import number, value_text
from . import classification as classification_sections
from . import growth as growth_report
from .card_texts import BASES, CITATIONS, SOFTWARE, TASKS
from .report import arms_table, data_table, environment_table, interval_note, settings_table, with_unit
from .samples import written_sections
from .variant_texts import formula, summary

WEIGHTS_LICENSE = "mit"
ARCHITECTURE = "architecture"
_PLOTS = {LOSS_CURVES: "Loss against training tokens", COST_QUALITY: "Final quality against cost"}
_PLOTS |= growth_plots.CAPTIONS | classification_figures.CAPTIONS


def model_card(results: Results, arm: str, plots: Sequence[str] = ()) -> str:
    """The README.md of one exported model of a comparison: validated YAML metadata and text.

    `plots` are the names of the figures that lie beside the card, one of them perhaps what `architecture_file` gives.
    Raises ValueError for an unknown arm, and when the card does not validate.
    """
    if arm not in results.arms:
        raise ValueError(f"arm {arm!r} is not one of {', '.join(results.arms)}")
    return _rendered(results, arm, plots, is_comparison=True)


def run_card(record: RunRecord, plots: Sequence[str] = ()) -> str:
    """The README.md of the model of a single run, as `model_card`."""
    return _rendered(single_run(record), record.arm, plots, is_comparison=False)


def _rendered(results: Results, arm: str, plots: Sequence[str], is_comparison: bool) -> str:
    context = _card_context(results, arm, plots, is_comparison)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = files(__package__).joinpath("card_template.md").read_text(encoding="utf-8")
    text = environment.from_string(template).render(context).rstrip("\n") + "\n"
    validate_card(text)
    return text


def architecture_file(arm: str) -> str:
    """The name of the figure of an arm's architecture."""
    return f"{ARCHITECTURE}_{re.sub(r'[^A-Za-z0-9_.-]', '_', arm)}.png"


def single_run(record: RunRecord) -> Results:
    """A run of train.py as a comparison of one arm."""
    recipe, arms = record.recipe, {record.arm: record.recipe.description}
    return build_results(Compared(name=recipe.name, baseline=record.arm, arms=arms, command=record.command), [record])


def draw_for_card(record: RunRecord, folder: Path) -> dict[str, Path]:
    """Draws the figures for the card of a single run into `folder`; returns them by name."""
    results = single_run(record)
    ((arm, row),) = results.arms.items()
    drawn = [plot_loss_curves(results, folder / LOSS_CURVES)]
    drawn += [architecture.plot_architecture(row, folder / architecture_file(arm))]
    return {path.name: path for path in drawn if path is not None}


def _card_context(results: Results, arm: str, plots: Sequence[str], is_comparison: bool) -> dict[str, Any]:
    row = results.arms[arm]
    model_type = row.model_type
    task, config = TASKS.get(results.objective, TASKS[""]), arm_config(row)
    return {
        **{"results": results, "arm": arm, "name": results.name, "is_comparison": is_comparison, "task": task},
        "metadata": card_metadata(results, arm).to_yaml().strip(),
        "title": _title(results, arm),
        "usage": _usage(task, row, getattr(config, "max_position_embeddings", None) or 80),
        "question": results.question,
        "description": _sentence(row.description or f"A `{model_type or arm}` model"),
        "trained": f"{number(row.parameters)} parameters, trained {task['purpose']}{_origin(row)}.",
        **{"model_type": model_type, "is_ours": is_ours(model_type), "changes": _changes(row)},
        "formula": formula(config),
        "architecture": {"file": architecture_file(arm), "text": architecture.TEXT}
        if architecture_file(arm) in plots
        else None,
        "auto_classes": ", ".join(f"`{name}`" for name in auto_class_names(row)),
        **_card_data(results, row),
        "procedure": _procedure(results, row),
        "hyperparameters": settings_table(row.hyperparameters),
        **_card_results(results, arm, plots, is_comparison),
        "written": "\n\n".join(written_sections(row)),
        "limits": _limits(results, row),
        "reproduce": _reproduce(results, is_comparison),
        "environment_table": environment_table(results),
        "citations": (*CITATIONS.get(model_type, ()), SOFTWARE),
    }


def _changes(row: Arm) -> str:
    grew = " This one grew while it trained, see *How it grew*." if row.stages else ""
    return summary(row.model_type) + grew


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _usage(task: Mapping[str, str], row: Arm, longest: int) -> str:
    """The task's example, for a text generator with a beginning that its data has and a length that it can read."""
    half = longest // 2
    found = [written.prompt for written in (*(row.answers.examples if row.answers else ()), *row.samples)]
    usable = [text for text in found if text.strip() and text.isprintable() and "`" not in text and len(text) <= half]
    prompt = json.dumps((usable or ["The"])[0], ensure_ascii=False)
    return task["usage"].replace("NEW_TOKENS", str(min(40, half))).replace("PROMPT", prompt)


def _title(results: Results, arm: str) -> str:
    return arm if arm == results.name else f"{arm} ({results.name})"


def _card_data(results: Results, row: Arm) -> dict[str, str]:
    note = f"The weights are under the licence `{_license(row)}`"
    note += "; the data keeps its own." if results.data.license else (
        ". The data's licence was not stated in the recipe: check it before use."
    )  # fmt: skip
    return {"data_table": data_table(results.data), "data_note": note}


def _base(row: Arm) -> tuple[str, str] | None:
    """The Hub id and the licence of what the weights started from; None where that was nothing, or has no id."""
    model = row.hyperparameters.get("model") or {}
    source = model.get("name_or_path") if model.get("pretrained") else None
    if source is None or source in BASES:
        return BASES.get(source)
    # By its form alone: whether a folder of this name exists differs from machine to machine.
    is_hub_id = re.fullmatch(r"(?!runs/)[\w-][\w.-]*(/[\w.-]+)?", source) is not None
    return (source, "other") if is_hub_id else None


def _tags(row: Arm) -> list[str]:
    custom = ["custom_code"] if auto_class_names(row) else []
    return [tag for tag in (row.model_type, "hf_variants", *custom) if tag]


def _license(row: Arm) -> str:
    base = _base(row)
    return base[1] if base else WEIGHTS_LICENSE


def card_metadata(results: Results, arm: str) -> ModelCardData:
    """The card's YAML block; its model-index holds the published weights' own values (the best seed), not the mean."""
    data, task, row = results.data, TASKS.get(results.objective, TASKS[""]), results.arms[arm]
    base = _base(row)
    other = {"license_name": "as-base-model"} if base and base[1] == "other" else {}
    return ModelCardData(
        language=data.language or None,
        license=_license(row),
        library_name="transformers",
        pipeline_tag=task["pipeline_tag"] or None,
        base_model=base[0] if base else None,
        datasets=[data.hub_id] if data.hub_id else None,
        tags=_tags(row),
        model_name=_title(results, arm),
        eval_results=_eval_results(results, arm, task),
        **other,
    )


def _eval_results(results: Results, arm: str, task: Mapping[str, str]) -> list[EvalResult]:
    row, data, split = results.arms[arm], results.data, results.split
    values = {metric: summary.per_seed.get(str(row.best_seed)) for metric, summary in row.metrics[split].items()}
    # A data set that is not on the Hub must not borrow the id of one that happens to share its name.
    return [
        EvalResult(
            task_type=task["pipeline_tag"] or "other", task_name=task["name"],
            dataset_type=data.hub_id or "custom", dataset_name=data.name, dataset_split=split,
            metric_type=metric, metric_name=with_unit(results) if metric == results.metric else metric,
            metric_value=value,
        )
        for metric, value in values.items() if value is not None
    ]  # fmt: skip


def _procedure(results: Results, row: Arm) -> str:
    text = f"Trained for {number(row.tokens, 0)} tokens in {number(row.steps, 0)} optimizer steps "
    text += f"({row.flops:.2e} FLOPs, {number(row.seconds, 0)} seconds on {_device(results)})."
    if results.tuning:
        trials = sorted({len(trials) for trials in results.tuning.values()})
        text += f" Hyperparameters were tuned on validation, {' to '.join(map(str, trials))} trials per arm."
    if results.tuned_in:
        text += f" Hyperparameters are those that were tuned in cell {results.tuned_in}."
    return text


def _origin(row: Arm) -> str:
    model = row.hyperparameters.get("model") or {}
    return f", starting from the weights of `{model['name_or_path']}`" if model.get("pretrained") else " from scratch"


def _device(results: Results) -> str:
    return value_text(results.environment.get("device") or "an unrecorded device")


def _card_results(results: Results, arm: str, plots: Sequence[str], is_comparison: bool) -> dict[str, Any]:
    row, metric, split = results.arms[arm], results.metric, results.split
    per_seed, best = row.metrics[split][metric].per_seed, row.best_seed
    unit = f" ({results.unit})" if results.unit != metric else ""
    text = f"These weights: {split} {metric.replace('_', ' ')} {per_seed[str(best)]:.3f}{unit}, seed {best}"
    text += f", the best of {len(per_seed)} seeds on validation." if len(per_seed) > 1 else "."
    return {
        "weights_result": text,
        "arms_table": arms_table(results, arm if is_comparison else None),
        "interval_note": interval_note(results),
        "verdicts": _own_verdicts(results, arm),
        "growth": "\n\n".join(growth_report.card_sections(results, arm)),
        "classification": "\n\n".join(classification_sections.card_sections(results, arm)),
        "plots": [{"file": name, "text": text} for name, text in _PLOTS.items() if name in plots],
    }


def _own_verdicts(results: Results, arm: str) -> list[str]:
    """The verdicts that are about an arm; of the baseline, all."""
    every = sentences_of(results)
    return [sentence.text for sentence in every if arm == results.baseline or arm in sentence.arms]


def _limits(results: Results, row: Arm) -> list[str]:
    count, data = len(row.metrics[results.split][results.metric].per_seed), results.data
    is_tuned = (row.hyperparameters.get("model") or {}).get("pretrained")
    limits = [f"A research model {'fine-tuned' if is_tuned else 'trained'} on {data.name} alone: not meant for use "
              "on other text or for decisions."]  # fmt: skip
    if results.objective == CAUSAL_LM:
        limits += ["It writes what is probable after a text, whether or not it is true."]
    limits += [f"{remark[0].upper()}{remark[1:].rstrip('.')}." for remark in row.remarks]
    if len(results.arms) > 1:
        limits += ["The comparison holds for this data, size, budget and tuning; other scales may order arms anew."]
        limits += [f"With {count} seed{'s' if count > 1 else ''}, differences smaller than the intervals go unseen."]
    elif count == 1:
        limits += ["One seed: the results carry no interval, and nothing is claimed against other models."]
    return limits


def _reproduce(results: Results, is_comparison: bool) -> str:
    name, data = results.name, results.data
    program, kind = ("compare", "comparisons") if is_comparison else ("train", "recipes")
    default = f"accelerate launch training/{program}.py --config training/{kind}/{name}.yaml --output_dir runs/{name}"
    text = f"In a clone of `hf_variants`{_commits(results.environment.get('commit'))}"
    text += f":\n\n```sh\n{results.command or default}\n```"
    is_local_set = re.fullmatch(r"(?!builtin/)\w[\w-]*(/[\w-]+)?", data.name)  # no URL and no file
    if is_local_set and not data.hub_id:
        text += f"\n\nThe data set `{data.name}` is read from the folder that `HF_VARIANTS_DATA` names."
    return text


def _commits(found: str | Sequence[str] | None) -> str:
    """The commit of the runs; of several, all, for none of them made everything."""
    if not found:
        return ""
    if isinstance(found, str):
        return f", at commit `{found}`"
    named = ", ".join(f"`{commit}`" for commit in found)
    dirty = "; a `-dirty` one had changes that were not committed" if "-dirty" in named else ""
    return f" (the runs were made at the commits {named}{dirty})"


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
