# Copyright 2026 The hf_variants authors. MIT licence.
"""Thresholds against brute force; the bootstrap's fast scores against scikit-learn, resample by resample."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from hf_variants.experiments.metrics import load_metric
from hf_variants.experiments.metrics.bootstrap import SCORES, bootstrap_interval, paired_bootstrap
from hf_variants.experiments.metrics.thresholds import best_threshold

pytestmark = pytest.mark.filterwarnings("error")
NAIVE = {
    "average_precision": lambda a: _of_both(a, sk.average_precision_score),
    "roc_auc": lambda a: _of_both(a, sk.roc_auc_score),
    "f1": lambda a: _of_both(a, lambda label, p: sk.f1_score(label, p >= a["threshold"])),
    "accuracy": lambda a: sk.accuracy_score(a["label"], a["probability"] >= a["threshold"]),
    "loss": lambda a: a["loss"].mean(),
}


def _of_both(arrays, score):
    if len(set(arrays["label"].tolist())) < 2:
        raise ValueError("one class")
    return score(arrays["label"], arrays["probability"])


def binary(n=300, seed=0, strength=1.0, digits=2, share=0.2):
    """Probabilities that tie, and labels that follow them more or less."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(int)
    logit = rng.normal(size=n) + strength * (2 * label - 1)
    probability = np.round(1 / (1 + np.exp(-logit)), digits)
    loss = -np.log(np.clip(np.where(label == 1, probability, 1 - probability), 0.01, 1))
    return {"label": label, "probability": probability, "loss": loss, "threshold": 0.5, "label_names": ["no", "yes"]}


# ---- threshold -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "probability", "wanted"),
    [
        ([0, 1, 1], [0.1, 0.4, 0.9], 0.25),
        ([1, 0, 0], [0.9, 0.4, 0.1], 0.65),
        ([0, 1, 0, 1], [0.2, 0.2, 0.8, 0.8], 0.1),  # all called positive: F1 is 4/6, against 2/4
        ([0, 1], [0.3, 0.3], 0.15),
        ([0, 1], [0.0, 0.0], 0.0),
        ([1, 0, 1], [0.9, 0.6, 0.1], 0.05),  # F1 is 2/3, 1/2 and 4/5
        ([1, 0, 0, 1], [0.9, 0.8, 0.7, 0.2], 0.85),  # F1 2/3 at .85 and again at .1: the nearer to .5
        ([0, 1], [0.5, np.nextafter(0.5, 1)], np.nextafter(0.5, 1)),
    ],
)
def test_threshold_by_hand(label, probability, wanted):
    assert best_threshold(np.array(label), np.array(probability)) == pytest.approx(wanted, rel=1e-15)


@pytest.mark.hunt
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1), st.integers(0, 1)), min_size=2))
def test_no_cut_is_better_than_the_threshold(rows):
    p, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    if len(set(y.tolist())) < 2:
        with pytest.raises(ValueError, match="threshold: all .* labels are"):
            best_threshold(y, p)
        return

    def f1(threshold):
        found = p >= threshold
        return 2 * (found & (y == 1)).sum() / (found.sum() + y.sum())

    chosen = best_threshold(y, p)
    assert f1(chosen) == max(f1(cut) for cut in p)
    assert best_threshold(y[::-1], p[::-1]) == chosen
    assert load_metric("f1").score({"probability": p, "label": y, "threshold": chosen})["f1"] == pytest.approx(
        f1(chosen)
    )


def test_thresholds_per_label():
    label = np.array([[0, 1, 0], [1, 1, 0], [1, 0, 0]])
    probability = np.array([[0.1, 0.9, 0.3], [0.4, 0.5, 0.3], [0.9, 0.2, 0.3]])
    assert best_threshold(label, probability) == [0.25, 0.35, 0.5]  # without positives: .5
    with pytest.raises(ValueError, match="must agree"):
        best_threshold(label, probability[:2])
    with pytest.raises(ValueError, match="not finite"):
        best_threshold(np.array([0, 1]), np.array([0.1, np.nan]))


# ---- scores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAIVE)
@pytest.mark.parametrize("digits", [0, 1, 8])
def test_fast_scores_equal_the_naive_ones_on_every_resample(name, digits):
    arrays = binary(60, digits=digits, share=0.07, seed=3)
    assert SCORES[name](arrays) == pytest.approx(NAIVE[name](arrays))
    fast, slow = (bootstrap_interval(score, arrays, 150, seed=5) for score in (name, NAIVE[name]))
    assert fast.interval == pytest.approx(slow.interval)
    assert fast.undefined == slow.undefined
    assert (fast.undefined > 0) == (name not in ("accuracy", "loss"))


def labelled(n=80, labels=3, seed=1):
    rng = np.random.default_rng(seed)
    probability = np.round(rng.random((n, labels)), 1)
    return {"probability": probability, "label": (rng.random((n, labels)) < probability**4).astype(int)}


@pytest.mark.parametrize(
    ("name", "reference"),
    [("average_precision_macro", sk.average_precision_score), ("roc_auc_macro", sk.roc_auc_score)],
)
def test_macro_means_equal_the_naive_ones(name, reference):
    def naive(arrays):
        if (arrays["label"].sum(axis=0) == 0).any():
            raise ValueError("a label has no positives")
        return reference(arrays["label"], arrays["probability"], average="macro")

    arrays = labelled()
    fast, slow = (bootstrap_interval(score, arrays, 100) for score in (name, naive))
    assert (fast.value, *fast.interval) == pytest.approx((slow.value, *slow.interval))
    assert fast.undefined == slow.undefined
    never = arrays | {"label": arrays["label"] * [1, 1, 0]}  # a label that never occurs is no part of the mean
    assert SCORES[name](never) == pytest.approx(load_metric(name.removesuffix("_macro")).score(never)[name])


def test_macro_of_classes_and_accuracy_of_classes():
    rng = np.random.default_rng(0)
    arrays = {"probability": rng.dirichlet([1, 1, 1], 50), "label": rng.integers(3, size=50)}
    assert SCORES["roc_auc_macro"](arrays) == pytest.approx(load_metric("roc_auc").score(arrays)["roc_auc_macro"])
    assert SCORES["accuracy"](arrays) == pytest.approx(load_metric("accuracy").score(arrays)["accuracy"])


# ---- bootstrap -----------------------------------------------------------------------------------------------------


def test_the_interval_of_a_share_is_about_the_normal_one():
    arrays = binary(1000, seed=2)
    found = bootstrap_interval("accuracy", arrays, 2000)
    half = 1.96 * np.sqrt(found.value * (1 - found.value) / 1000)
    assert found.interval == pytest.approx((found.value - half, found.value + half), abs=0.1 * half + 0.001)
    wider = bootstrap_interval("accuracy", arrays, 2000, level=0.99)
    assert wider.interval[0] < found.interval[0] < found.value < found.interval[1] < wider.interval[1]
    assert (found.level, found.resamples, found.undefined) == (0.95, 2000, 0)


def test_same_seed_same_interval_and_rows_stay_together():
    arrays = binary() | {"row": np.arange(300)}

    def joint(found):
        assert (found["probability"] == arrays["probability"][found["row"]]).all()
        assert found["label_names"] == ["no", "yes"] and len(found["label"]) == 300
        return float(found["label"].mean())

    bootstrap_interval(joint, arrays, 20)
    assert bootstrap_interval("roc_auc", arrays, 200) == bootstrap_interval("roc_auc", arrays, 200)
    assert bootstrap_interval("roc_auc", arrays, 200) != bootstrap_interval("roc_auc", arrays, 200, seed=1)
    assert bootstrap_interval("roc_auc", arrays, 200) == bootstrap_interval(SCORES["roc_auc"], arrays, 200)


def test_two_models_on_the_same_examples():
    weak, strong = binary(400, strength=0.7), binary(400, strength=1.0)
    found = paired_bootstrap("average_precision", strong, weak)
    alone = [bootstrap_interval("average_precision", arrays) for arrays in (strong, weak)]
    assert found.difference == pytest.approx(alone[0].value - alone[1].value)
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    assert found.p == pytest.approx(2 / 1001)
    # The same noise is in both: in pairs it cancels.
    assert np.ptp(found.interval) < 0.7 * np.ptp(alone[0].interval)
    back = paired_bootstrap("average_precision", weak, strong)
    assert back.difference == -found.difference and back.p == found.p
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    naive = paired_bootstrap(NAIVE["average_precision"], strong, weak, 100)
    assert paired_bootstrap("average_precision", strong, weak, 100).interval == pytest.approx(naive.interval)


def test_a_model_does_not_differ_from_itself():
    same = paired_bootstrap("f1", binary(), binary())
    assert (same.difference, same.interval, same.p) == (0.0, (0.0, 0.0), 1.0)


def test_what_is_refused():
    arrays = binary(20)
    one_class = arrays | {"label": np.zeros(20, dtype=int)}
    missing = (19 / 20) ** 20  # the probability that a resample has not the one positive example
    few = arrays | {"label": np.eye(1, 20, dtype=int)[0]}
    with pytest.raises(ValueError, match="paired bootstrap: .* not scored on the same examples"):
        paired_bootstrap("roc_auc", arrays, binary(19))
    assert bootstrap_interval("roc_auc", few, 5000).undefined == pytest.approx(5000 * missing / (1 - missing), rel=0.1)
    with pytest.raises(ValueError, match="average_precision: undefined"):
        bootstrap_interval("average_precision", one_class)
    with pytest.raises(ValueError, match="not scored on the same examples"):
        paired_bootstrap("roc_auc", arrays, one_class)
    with pytest.raises(ValueError, match="score 'auc'; allowed: average_precision, roc_auc"):
        bootstrap_interval("auc", arrays)
    with pytest.raises(ValueError, match="takes .n,. probabilities of it"):
        bootstrap_interval("f1", labelled())
    with pytest.raises(ValueError, match="accuracy takes one label per example"):
        bootstrap_interval("accuracy", labelled())
    with pytest.raises(ValueError, match="a macro mean is over labels"):
        bootstrap_interval("roc_auc_macro", arrays)
    with pytest.raises(ValueError, match="0 resamples"):
        bootstrap_interval("roc_auc", arrays, 0)

    def only_whole(found):
        if len(set(found["row"].tolist())) < 20:
            raise ValueError("a row is missing")
        return 1.0

    with pytest.raises(ValueError, match="undefined for 1280 of 1280 resamples of 20 examples"):
        bootstrap_interval(only_whole, arrays | {"row": np.arange(20)}, 10)


def test_a_thousand_resamples_of_a_test_split_take_seconds():
    arrays = binary(2500, digits=8)
    begin = time.process_time()
    for name in ("average_precision", "roc_auc"):
        bootstrap_interval(name, arrays)
    assert time.process_time() - begin < 15  # about 1
