# Copyright 2026 The hf_variants authors. MIT licence.
"""The claims file is complete, every lookup finds its result or says that it is to come, and bad input is named."""

import json
import math
import re

import pytest
import yaml

from hf_variants.experiments.benchmarks.suite import CASES, load_cases
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.comparisons.cells import load_cells
from hf_variants.experiments.pages.claim_lookups import LOOKUPS, look_up
from hf_variants.experiments.pages.claims import NEVER, NOT_MEASURED, claims_page, load_claims
from hf_variants.experiments.pages.sources import NotMeasuredError, Sources
from tests.helpers import sample_comparison as sample
from tests.helpers.places import ROOT

CLAIMS = load_claims()
LOOKED_UP = [lookup for system in CLAIMS.values() for claim in system.claims.values() for lookup in claim.measured]
# What the published systems compared, of quality and of cost; a claim of each has to be there.
TOPICS = (
    r"9 847 s.*10 547 s", r"4\.2794.*4\.3240", r"109 514 298", "convex hull", r"256 tokens.*128",
    "1 minute of training", r"487 ms", r"12\.23 ms", r"\.831 \(DistilBERT\)", r"\.391", r"\.966", "placeholder 0",
    "15/20", r"1\.3 \(conv", "9.0 after", "655 ms", "11 033 472", "where, when", r"1\.42 .*3\.54", "RoBERTa",
    "BERT.*65", r"\.927, \.987 and \.844", r"\.916, \.984 and \.824",
)  # fmt: skip


def test_every_claim_of_the_five_systems_is_there():
    assert list(CLAIMS) == ["A", "B", "C", "D", "E"]
    text = claims_page(CLAIMS, Sources(ROOT / "nowhere"))
    for topic in TOPICS:
        assert re.search(topic, text), topic
    assert not re.search(r"\b(None|nan|null)\b", text)
    assert {lookup["lookup"] for lookup in LOOKED_UP} == set(LOOKUPS)


def comparisons():
    for path in sorted((ROOT / "training" / "comparisons").glob("*.yaml")):
        cells = load_cells(path)
        yield cells.name, cells.cells


def test_lookups_name_comparisons_cells_and_arms_that_exist():
    known = dict(comparisons())
    for lookup in LOOKED_UP:
        if "comparison" in lookup:
            arms = known[lookup["comparison"]][lookup.get("cell", "")].arms
            assert {lookup[key] for key in ("arm", "against") if key in lookup} <= set(arms), lookup
    larger = {name for system in CLAIMS.values() for claim in system.claims.values() for name in claim.larger}
    assert larger < set(known) and {name for name in known if name.endswith("_published")} <= larger


def test_benchmark_cases_exist():
    load_cases()
    assert {lookup["case"] for lookup in LOOKED_UP if lookup["lookup"] == "benchmark"} <= set(CASES)


def test_equal_time_is_shown_wherever_equal_flops_are():
    shown = {(x["comparison"], x["arm"], x.get("view")) for x in LOOKED_UP if x["lookup"] == "difference"}
    for comparison, arm, view in shown:
        if view == "equal_flops":
            assert {(comparison, arm, None), (comparison, arm, "equal_time")} <= shown


def test_lookups_resolve_against_the_committed_results():
    sources, found = Sources(ROOT / "model_cards"), 0
    for lookup in LOOKED_UP:
        if lookup["lookup"] == "parameters":  # the published counts have tests of their own
            continue
        try:
            text = look_up(lookup, sources)
        except NotMeasuredError:
            missing = f"{lookup['comparison']}/results.json" if "comparison" in lookup else "speed/benchmark.json"
            assert not (ROOT / "model_cards" / missing).exists()
            continue
        found += 1
        assert re.search(r"\d", text) and "None" not in text, lookup
    assert found > 20


@pytest.fixture
def folder(tmp_path):
    """A published folder with one comparison."""
    results = sample.built(sample.comparison(), sample.records(), sample.timing())
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "results.json").write_text(json.dumps(results.to_json()))
    return tmp_path


def claims_file(tmp_path, *measured, **changes):
    claim = {"title": "T", "published": "p", "wrong": "w", "measured": list(measured)} | changes
    system = {"name": "N", "source": "s", "idea": "i", "models": ["minbert"], "claims": {"A1": claim}}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"A": system}))
    return path


def page(folder, *measured):
    return claims_page(load_claims(claims_file(folder, *measured)), Sources(folder))


def test_a_comparison_that_has_not_run_is_not_measured_until_its_results_appear(folder):
    lookup = {"lookup": "difference", "comparison": "later", "arm": "highway"}
    text = page(folder, lookup, lookup | {"view": "equal_time"})
    assert (
        text.count(f"*{NOT_MEASURED}*: the comparison *later* has no results.") == 1 and "1 not measured yet" in text
    )
    (folder / "known").rename(folder / "later")
    text = page(folder, lookup)
    assert f"*{NOT_MEASURED}*" not in text and "1 claims: 1 measured, 0 measured" in text
    assert "(later/report.md)" in text
    row = json.loads((folder / "later" / "results.json").read_text())["views"]["equal_tokens"][1]
    assert f"highway − residual = {row['difference']:+.3f} nats" in text and f"**{row['verdict']}**" in text


def test_a_missing_arm_is_not_measured_and_an_unknown_one_is_refused(folder):
    path = folder / "known" / "results.json"
    results = json.loads(path.read_text())
    del results["arms"]["highway"]
    results["missing"] = [{"arm": "highway", "seed": 0}]
    path.write_text(json.dumps(results))
    text = page(folder, {"lookup": "score", "comparison": "known", "arm": "highway"})
    assert f"*{NOT_MEASURED}*: the arm *highway*" in text
    with pytest.raises(InputError, match="known: has no arm 'other'; allowed: residual, residual_wide"):
        page(folder, {"lookup": "score", "comparison": "known", "arm": "other"})


def test_costs_are_ratios(folder):
    lookup = {"lookup": "cost", "comparison": "known", "arm": "highway", "against": "residual", "of": "train_step_ms"}
    assert "A training step takes 62.5 ms (highway) against 50.0 ms (residual): **1.25 times**" in page(folder, lookup)
    with pytest.raises(InputError, match="of 'money'; allowed: train_step_ms"):
        page(folder, lookup | {"of": "money"})


def test_a_ratio_of_runs_beside_others_is_a_rough_one(folder):
    lookup = {"lookup": "cost", "comparison": "known", "arm": "highway", "against": "residual", "of": "seconds"}
    assert re.search(r"beside whatever else ran, .*: roughly [\d.]+ times\.", page(folder, lookup))


def test_what_is_measured_is_no_matter_of_words(folder):
    """An arm may be called anything, also what the page says of claims without a result."""
    path = folder / "known" / "results.json"
    path.write_text(path.read_text().replace('"highway"', f'"{NEVER}"'))
    text = page(folder, {"lookup": "score", "comparison": "known", "arm": NEVER})
    assert "1 claims: 1 measured, 0 measured in part" in text and f"* **Measured:** {NEVER}: test loss" in text


def edit(folder, change):
    path = folder / "known" / "results.json"
    results = json.loads(path.read_text())
    change(results)
    path.write_text(json.dumps(results))


def test_a_matched_pair_is_compared_where_its_view_holds_it(folder):
    lookup = {"lookup": "difference", "comparison": "known", "arm": "highway", "view": "parameter_matched"}
    text = page(folder, lookup | {"against": "residual_wide"})
    row = json.loads((folder / "known" / "results.json").read_text())["views"]["parameter_matched"][-1]
    assert (row["arm"], row["against"]) == ("highway", "residual_wide")
    assert f"highway − residual_wide = {row['difference']:+.3f} nats" in text and "at equal parameters (" in text
    assert "highway against residual at equal parameters: no comparison" in page(folder, lookup)
    with pytest.raises(InputError, match="known: has no arm 'other'"):
        page(folder, lookup | {"against": "other"})


def test_a_budget_is_named_in_its_unit_and_a_caveat_with_its_verdict(folder):
    def change(results):
        results["budget_unit"] = "examples"
        results["views"]["equal_tokens"][1] |= {"verdict": "no difference detected", "caveat": "it holds by luck"}

    edit(folder, change)
    text = page(folder, {"lookup": "difference", "comparison": "known", "arm": "highway"})
    assert "at equal examples (" in text and "tokens" not in text.split("Measured:")[1]
    assert "**no difference detected** (it holds by luck)." in text


def test_labelled_data_and_the_training_on_them(folder):
    shares = {"train": {"a": 0.9, "b": 0.1}, "validation": {"a": 0.8, "b": 0.2}}

    def change(results):
        splits = {name: {"examples": 1200, "label_shares": found} for name, found in shares.items()}
        results["data"]["splits"] = splits
        results["arms"]["highway"]["trainable_parameters"] = 770
        rates = {5e-3: (True, 0.3), 1e-3: (False, 0.2)}
        about = {"trial": 0, "seed": 9, "tokens": 1000, "validation_loss": 1.0}
        results["tuning"] = {"highway": [
            about | {"settings": {"training.learning_rate": rate}, "chosen": chosen,
                     "selection": {"metric": "roc_auc", "lower_is_better": False, "value": value}}
            for rate, (chosen, value) in rates.items()
        ]}  # fmt: skip
        said = {"kind": "binary", "label_names": ["a", "b"]}
        results["floor"] = {"fingerprint": "", "metrics": {"test": {"loss": 1.25}}, "classification": said}

    edit(folder, change)
    text = page(
        folder,
        {"lookup": "data", "comparison": "known"},
        {"lookup": "base_rate", "comparison": "known"},
        {"lookup": "training", "comparison": "known", "arm": "highway"},
        {"lookup": "floor", "comparison": "known"},
        {"lookup": "score", "comparison": "known", "arm": "highway", "metric": ["loss", "loss"]},
    )
    assert "Examples here: train 1,200, validation 1,200" in text
    loss = -(0.8 * math.log(0.9) + 0.2 * math.log(0.1))
    assert f"a validation loss of {loss:.3f}" in text and "regression: test loss 1.250" in text
    assert re.search(r"highway: 3 seeds, [\d,]+ steps at learning rate [\d.e-]+, the highest of 2 tried", text)
    assert "(validation roc auc after 1.0 k tokens: 0.200 at 0.001, 0.300 at 0.005); 770 of " in text


def test_a_benchmark_case_has_its_interval_and_rounds(folder):
    lookup = {"lookup": "benchmark", "case": "fast"}
    assert f"*{NOT_MEASURED}*: there is no speed/benchmark.json" in page(folder, lookup)
    sides = {"ours": {"name": "new"}, "reference": {"name": "old"}}
    case = {"name": "fast", "unit": "ms", **sides, "rounds": 9, "ratio": 1.004, "ratio_interval": [0.0904, 1.2]}
    (folder / "speed").mkdir()
    (folder / "speed" / "benchmark.json").write_text(
        json.dumps({"cases": [case, case | {"name": "lean", "unit": "MiB"}, case | {"name": "few", "rounds": 5}]})
    )
    text = page(folder, *({"lookup": "benchmark", "case": name} for name in ("fast", "lean", "few", "gone")))
    assert "few: new takes 1.00 times the time of old (range 0.09 to 1.20, 5 rounds)." in text
    assert "fast: new takes 1.00 times the time of old (95 % interval 0.09 to 1.20, 9 rounds)." in text
    assert (
        "1.00 times the memory of old" in text and f"*{NOT_MEASURED}*: speed/benchmark.json has no case *gone*" in text
    )
    assert "([data](speed/benchmark.json))" in text and "1 measured in part" in text


def test_a_larger_comparison_is_open_until_it_has_results(folder):
    systems = load_claims(claims_file(folder, larger={"known": "more seeds", "published": "the published size"}))
    text = claims_page(systems, Sources(folder))
    assert "* **Also measured:** more seeds ([known](known/report.md))." in text
    assert "* **Open:** the published size (`training/comparisons/published.yaml`)." in text
    assert "1 of them are open" in text and "Of these 2 comparisons 1 have run." in text
    with pytest.raises(InputError, match="A1: larger: schedule: says not what it adds"):
        load_claims(claims_file(folder, larger={"schedule": None}))


def test_depth_is_read_by_what_is_asked(folder):
    lookup = {"lookup": "depth", "comparison": "known", "arm": "highway", "of": "gates"}
    assert f"*{NOT_MEASURED}*: there is no known/depth/analysis.json" in page(folder, lookup)
    with pytest.raises(InputError, match="of 'soul'; allowed: lesions, gates, lens, in_training"):
        page(folder, lookup | {"of": "soul"})


def test_parameters_are_counted(folder):
    lookup = {"lookup": "parameters", "model_type": "minbert", "auto_class": "AutoModelForSequenceClassification"}
    lookup |= {"settings": {"num_labels": 5, "num_hidden_layers": 1}, "part": "classifier"}
    assert "has 3,845 parameters in its classifier" in page(folder, lookup)
    with pytest.raises(InputError, match="minbert: .*num_attention_heads is 12; allowed"):
        page(folder, lookup | {"settings": {"hidden_size": 7}})


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ({"lookup": "oracle"}, "A1: measured 1: lookup 'oracle'; allowed: difference"),
        ({"lookup": "score", "comparison": "known"}, "lookup score: missing a required argument: 'arm'"),
        ({"lookup": "convex_hull", "size": 2, "colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_bad_lookup_is_named(tmp_path, lookup, message):
    with pytest.raises(InputError, match=message):
        load_claims(claims_file(tmp_path, lookup))


def test_an_incomplete_claim_is_named(tmp_path):
    with pytest.raises(InputError, match="A: A1: wrong is missing"):
        load_claims(claims_file(tmp_path, wrong=""))
    with pytest.raises(InputError, match="unknown key 'titel'"):
        load_claims(claims_file(tmp_path, titel="x"))
