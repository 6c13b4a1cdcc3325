# Copyright 2026 The hf_variants authors. MIT licence.
"""The claims file is complete, every lookup finds its result or says that it is to come, and bad input is named."""

import json
import re
from pathlib import Path

import pytest
import yaml

from hf_variants.experiments.cells import load_cells
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.claim_lookups import LOOKUPS, look_up
from hf_variants.experiments.claims import NOT_MEASURED, claims_page, load_claims
from hf_variants.experiments.comparison import load_comparison
from hf_variants.experiments.results import build_results
from hf_variants.experiments.sources import NotMeasuredError, Sources
from tests.experiments import sample_comparison as sample

ROOT = Path(__file__).parents[2]
CLAIMS = load_claims()
LOOKED_UP = [lookup for system in CLAIMS.values() for claim in system.claims.values() for lookup in claim.measured]
# SYSTEMS.md's comparisons, of quality and of cost; a claim of each has to be there.
TOPICS = (
    r"9 847 s.*10 547 s", r"4\.2794.*4\.3240", r"109 514 298", "convex hull", r"256 tokens.*128",
    "1 minute of training", r"487 ms", r"12\.23 ms", r"\.955 \(DistilBERT\)", r"\.391", r"\.966", "placeholder 0",
    "15/20", r"1\.3 \(conv", "9.0 after", "655 ms", "11 033 472",
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
        found = {None: load_comparison(path)} if cells is None else cells.cells
        yield (cells or found[None]).name, found


def test_lookups_name_comparisons_cells_and_arms_that_exist():
    known = dict(comparisons())
    for lookup in LOOKED_UP:
        if "comparison" in lookup:
            arms = known[lookup["comparison"]][lookup.get("cell")].arms
            assert {lookup[key] for key in ("arm", "against") if key in lookup} <= set(arms), lookup


def test_lookups_resolve_against_the_committed_results():
    sources, found = Sources(ROOT / "model_cards"), 0
    for lookup in LOOKED_UP:
        if lookup["lookup"] == "parameters":  # the published counts have tests of their own
            continue
        try:
            text = look_up(lookup, sources)
        except NotMeasuredError:
            assert not (ROOT / "model_cards" / lookup["comparison"] / "results.json").exists()
            continue
        found += 1
        assert re.search(r"\d", text) and "None" not in text, lookup
    assert found > 20


@pytest.fixture
def folder(tmp_path):
    """A published folder with one comparison."""
    results = build_results(sample.comparison(), sample.records(), sample.timing())
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "results.json").write_text(json.dumps(results))
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
        text.count(f"*{NOT_MEASURED}*: the comparison *later* has no results.") == 1 and "0 of them measured" in text
    )
    (folder / "known").rename(folder / "later")
    text = page(folder, lookup)
    assert NOT_MEASURED not in text and "1 of them measured" in text and "(later/report.md)" in text
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
