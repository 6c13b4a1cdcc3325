# Copyright 2026 The hf_variants authors. MIT licence.
"""The metrics of classification against hand-computed values, their definitions written out, and scikit-learn."""

import json
import math
from pathlib import Path

import evaluate
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import calibration
from sklearn import metrics as sk

from hf_variants.experiments import metrics
from hf_variants.experiments.metrics import CLASSIFICATION, load_metric

pytestmark = pytest.mark.filterwarnings("error")
FOLDER = Path(metrics.__file__).parent
BINARY = {"probability": np.array([0.9, 0.8, 0.7, 0.6, 0.5]), "label": np.array([1, 0, 1, 0, 0])}
NAMES = ["low", "middle", "high"]


def score(name, probability, label, **more):
    return load_metric(name).score({"probability": np.asarray(probability), "label": np.asarray(label)} | more)


def multi_class(n=200, count=4, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, count)) ** 3
    label = rng.integers(count, size=n)
    weights[np.arange(n), label] += 0.3
    return weights / weights.sum(1, keepdims=True), label


def multi_label(n=200, count=3, seed=0):
    rng = np.random.default_rng(seed)
    probability = np.round(rng.random((n, count)), 2)
    return probability, (rng.random((n, count)) < 0.2 + 0.5 * probability**2).astype(int)


# ---- binary --------------------------------------------------------------------------------------------------------


def test_binary_by_hand():
    found = {k: v for name in CLASSIFICATION for k, v in score(name, **BINARY, threshold=0.65).items()}
    assert found == {
        "average_precision": pytest.approx((1 + 2 / 3) / 2),  # precision where each positive is found: 1/1 and 2/3
        "roc_auc": pytest.approx(5 / 6),  # one of six pairs is the wrong way round: 0.8 over 0.7
        "f1": pytest.approx(2 * 2 / (2 * 2 + 1 + 0)),
        "accuracy": 4 / 5,
        "matthews": pytest.approx((2 * 2 - 1 * 0) / math.sqrt(3 * 2 * 3 * 2)),
        "calibration_error": pytest.approx((0.1 + 0.8 + 0.3 + 0.6 + 0.5) / 5),  # each has a bin of its own
        "brier": pytest.approx((0.01 + 0.64 + 0.09 + 0.36 + 0.25) / 5),
    }


def test_a_binary_score_is_that_of_the_positive_class_and_no_mean_over_both():
    probability, label = BINARY["probability"], BINARY["label"]
    positive, negative = 5 / 6, (1 / 1 + 2 / 2 + 3 / 4) / 3  # the negatives, ranked by 1 - p, stand at 1, 2 and 4
    assert score("average_precision", **BINARY) == {"average_precision": pytest.approx(positive)}
    both = np.stack([1 - probability, probability], 1)
    trap = sk.average_precision_score(np.stack([1 - label, label], 1), both, average="macro")
    assert trap == pytest.approx((positive + negative) / 2) and trap > positive + 0.04
    for name in CLASSIFICATION:
        with pytest.raises(ValueError, match=rf"{name}: .*the probabilities of the positive class alone"):
            score(name, both, label)


def test_the_threshold_itself_is_positive_and_is_a_half_by_default():
    assert score("accuracy", [0.5, 0.4], [1, 0]) == {"accuracy": 1.0}
    assert score("accuracy", [0.5, 0.4], [1, 0], threshold=0.4) == {"accuracy": 0.5}
    assert score("f1", [0.5, 0.4], [1, 0], threshold=0.51) == {"f1": 0.0}
    assert score("matthews", [0.5, 0.4], [1, 0], threshold=0.51) == {"matthews": 0.0}


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(name, label):
    with pytest.raises(ValueError, match=rf"^{name}: all 2 examples have the label {label} "):
        score(name, [0.1, 0.9], [label, label])
    with pytest.raises(ValueError, match=rf"^{name}: all 2 examples have the label {label} "):
        score(name, [[0.1, 0.8, 0.1], [0.9, 0.1, 0]], [label, label])


def scored_labels():
    """Labels of both kinds, with probabilities that often tie and often are constant."""
    chances = st.sampled_from([0.0, 1 / 15, 0.2, 0.25, 1 / 3, 0.5, 0.6, 1.0]) | st.floats(0, 1)
    pairs = st.lists(st.tuples(chances, st.integers(0, 1)), min_size=2, max_size=30)
    constant = st.tuples(chances, st.lists(st.integers(0, 1), min_size=2, max_size=20))
    pairs |= constant.map(lambda drawn: [(drawn[0], label) for label in drawn[1]])
    return pairs.filter(lambda rows: len({label for _, label in rows}) == 2)


def average_precision_as_defined(p, y):
    total, recall = 0.0, 0.0
    for threshold in sorted(set(p), reverse=True):
        found = p >= threshold
        now = y[found].sum() / y.sum()
        total, recall = total + (now - recall) * y[found].mean(), now
    return total


def calibration_error_as_defined(p, y, bins):
    total = 0.0
    for m in range(1, bins + 1):
        inside = (p > np.linspace(0, 1, bins + 1)[m - 1]) & (p <= np.linspace(0, 1, bins + 1)[m])
        inside |= (m == 1) & (p == 0)
        total += inside.mean() * abs(y[inside].mean() - p[inside].mean()) if inside.any() else 0.0
    return total


@pytest.mark.hunt
@given(scored_labels(), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(1, 20))
def test_binary_as_defined(rows, threshold, bins):
    p, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    pairs = np.sign(p[y == 1][:, None] - p[y == 0][None]) / 2 + 0.5
    tp, fp = ((p >= threshold) & (y == 1)).sum(), ((p >= threshold) & (y == 0)).sum()
    fn, tn = (y == 1).sum() - tp, (y == 0).sum() - fp
    spread = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    found = {k: v for name in CLASSIFICATION[:5] for k, v in score(name, p, y, threshold=threshold).items()}
    assert found == {
        "average_precision": pytest.approx(average_precision_as_defined(p, y)),
        "roc_auc": pytest.approx(pairs.mean()),
        "f1": pytest.approx(2 * tp / (2 * tp + fp + fn)),
        "accuracy": pytest.approx((tp + tn) / len(y)),
        "matthews": pytest.approx((tp * tn - fp * fn) / spread if spread else 0.0),
    }
    calibrated = load_metric("calibration_error")._compute(p, y, bins=bins)
    assert calibrated["calibration_error"] == pytest.approx(calibration_error_as_defined(p, y, bins), abs=1e-12)
    assert calibrated["brier"] == pytest.approx(sk.brier_score_loss(y, p))


@pytest.mark.hunt
@given(scored_labels(), st.randoms(use_true_random=False))
def test_order_of_examples_and_monotone_rescaling_change_no_ranking(rows, random):
    p, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    p = np.round(p, 6)  # so that no two of them become equal by being squeezed
    order = random.sample(range(len(p)), len(p))
    for name in ("average_precision", "roc_auc"):
        wanted = pytest.approx(score(name, p, y))
        assert score(name, p[order], y[order]) == wanted
        assert score(name, p / 2 + 0.25, y) == wanted


def test_a_constant_score_gets_each_ranking_metrics_floor():
    y = np.array([1, 0, 0, 0])
    assert score("average_precision", np.full(4, 0.3), y) == {"average_precision": 0.25}
    assert score("roc_auc", np.full(4, 0.3), y) == {"roc_auc": 0.5}
    calibrated = score("calibration_error", np.full(4, 0.25), y)
    assert calibrated == {"calibration_error": 0.0, "brier": pytest.approx(0.25 * 0.75)}


def test_calibration_agrees_with_scikit_learn_s_curve():
    rng = np.random.default_rng(0)
    p = rng.random(500) ** 2
    y = (rng.random(500) < p**1.5).astype(int)
    true, mean = calibration.calibration_curve(y, p, n_bins=15)
    sizes = np.histogram(p, np.linspace(0, 1, 16))[0]  # no probability stands on an edge here
    wanted = np.sum(sizes[sizes > 0] * np.abs(true - mean)) / 500
    assert score("calibration_error", p, y)["calibration_error"] == pytest.approx(wanted)


# ---- multi-class ---------------------------------------------------------------------------------------------------


def test_multi_class_by_hand():
    p = [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]
    found = {k: v for name in CLASSIFICATION for k, v in score(name, p, [0, 1, 2, 1], label_names=NAMES).items()}
    each = {f"{m}/{name}": pytest.approx(1.0) for m in ("average_precision", "roc_auc") for name in NAMES}
    each |= {"f1/low": pytest.approx(2 / 3), "f1/middle": pytest.approx(2 / 3), "f1/high": 1.0}
    assert found == each | {
        "average_precision_macro": 1.0,
        "roc_auc_macro": 1.0,
        "f1_macro": pytest.approx(7 / 9),
        "accuracy": 0.75,
        "matthews": pytest.approx((3 * 4 - 5) / math.sqrt((16 - 6) * (16 - 6))),  # Gorodkin: c s - sum t p, over …
        # Four bins: (0.7 right, 0.7 right) and 0.5 right together with 0.5 wrong.
        "calibration_error": pytest.approx(0.5 * 0.3 + 0.5 * 0.0),
        "brier": pytest.approx((0.14 + 0.38 + 0.14 + 0.62) / 4),
    }


def test_multi_class_as_scikit_learn_has_it():
    p, y = multi_class()
    guess = p.argmax(1)
    assert score("roc_auc", p, y)["roc_auc_macro"] == pytest.approx(
        sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
    )
    assert score("average_precision", p, y)["average_precision_macro"] == pytest.approx(
        sk.average_precision_score(y, p, average="macro")
    )
    found = score("f1", p, y)
    assert found.pop("f1_macro") == pytest.approx(sk.f1_score(y, guess, average="macro"))
    assert list(found.values()) == pytest.approx(list(sk.f1_score(y, guess, average=None)))
    assert score("accuracy", p, y) == {"accuracy": pytest.approx(np.mean(y == guess))}
    assert score("matthews", p, y) == {"matthews": pytest.approx(sk.matthews_corrcoef(y, guess))}
    wanted = calibration_error_as_defined(p.max(1), (guess == y).astype(int), 15)
    assert score("calibration_error", p, y)["calibration_error"] == pytest.approx(wanted)


def test_no_metric_of_several_classes_has_the_plain_name_of_a_ranking_metric():
    for p, y in (multi_class(), multi_label()):
        for name in ("average_precision", "roc_auc", "f1"):
            assert name not in score(name, p, y)


def test_a_class_that_does_not_occur_is_left_out_and_counted():
    p, y = multi_class(count=4)
    kept = y != 2
    for name in ("average_precision", "roc_auc", "f1"):
        found = score(name, p[kept], y[kept], label_names=list("abcd"))
        assert found[f"{name}_undefined"] == 1.0 and f"{name}/c" not in found
        assert found[f"{name}_macro"] == pytest.approx(np.mean([found[f"{name}/{label}"] for label in "abd"]))
        json.dumps(found, allow_nan=False)


# ---- multi-label ---------------------------------------------------------------------------------------------------


def test_multi_label_by_hand():
    p = [[0.9, 0.2, 0.3], [0.4, 0.8, 0.6], [0.6, 0.1, 0.7], [0.1, 0.3, 0.8]]
    y = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]]
    scores = {"label_names": ["insult", "threat", "never"], "threshold": [0.5, 0.25, 0.75]}
    found = {k: v for name in CLASSIFICATION[:5] for k, v in score(name, p, y, **scores).items()}
    assert found == {
        "average_precision/insult": pytest.approx((1 + 2 / 3) / 2),
        "average_precision/threat": 1.0,
        "average_precision_macro": pytest.approx(11 / 12),
        "average_precision_undefined": 1.0,
        "roc_auc/insult": 0.75,
        "roc_auc/threat": 1.0,
        "roc_auc_macro": 0.875,
        "roc_auc_undefined": 1.0,
        "f1/insult": 0.5,
        "f1/threat": 1.0,
        "f1_macro": 0.75,
        "f1_undefined": 1.0,
        "f1_micro": pytest.approx(2 * 3 / (2 * 3 + 2 + 1)),  # the false alarm for "never" counts here
        "accuracy/insult": 0.5,
        "accuracy/threat": 1.0,
        "accuracy/never": 0.75,
        "accuracy_macro": 0.75,
        "accuracy_subset": 0.25,  # the first example alone
        "matthews/insult": 0.0,
        "matthews/threat": 1.0,
        "matthews_macro": 0.5,
        "matthews_undefined": 1.0,
    }
    calibrated = score("calibration_error", p, y, label_names=scores["label_names"])
    assert calibrated["calibration_error/insult"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)
    assert calibrated["calibration_error/never"] == pytest.approx((0.3 + 0.6 + 0.7 + 0.8) / 4)
    assert calibrated["brier/insult"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    for name in ("calibration_error", "brier"):
        assert calibrated[f"{name}_macro"] == pytest.approx(
            np.mean([calibrated[f"{name}/{label}"] for label in scores["label_names"]])
        )


def test_multi_label_as_scikit_learn_has_it():
    p, y = multi_label()
    guess = (p >= 0.4).astype(int)
    for average in ("macro", "micro"):
        found = score("f1", p, y, threshold=0.4)
        assert found[f"f1_{average}"] == pytest.approx(sk.f1_score(y, guess, average=average))
    pairs = (("average_precision", sk.average_precision_score), ("roc_auc", sk.roc_auc_score))
    for name, reference in pairs:
        found = score(name, p, y)
        assert found.pop(f"{name}_macro") == pytest.approx(reference(y, p, average="macro"))
        assert list(found.values()) == pytest.approx(list(reference(y, p, average=None)))
    assert score("accuracy", p, y)["accuracy_macro"] == pytest.approx(1 - sk.hamming_loss(y, p >= 0.5))


@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "f1", "matthews"])
def test_labels_without_any_example_of_one_kind(name):
    with pytest.raises(ValueError, match=rf"^{name}: undefined for every label \(a, b\)"):
        score(name, [[0.1, 0.2], [0.3, 0.4]], [[0, 0], [0, 0]], label_names=["a", "b"])


# ---- inputs and loading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "label", "more", "words"),
    [
        ([0.1, 1.2], [0, 1], {}, "not from 0 to 1 .logits"),
        ([0.1, math.nan], [0, 1], {}, "not from 0 to 1"),
        ([0.1, 0.2, 0.3], [0, 1], {}, r"probability \(3,\), label \(2,\): not equally many"),
        ([], [], {}, "there are no examples"),
        ([0.1, 0.2], [0, 2], {}, "a label is not one of 0 to 1"),
        ([0.1, 0.2], [0, 0.5], {}, "a label is not one of 0 to 1"),
        ([[0.1, 0.2, 0.3]] * 2, [0, 1], {}, "do not sum to 1"),
        ([[0.2, 0.2, 0.6]] * 2, [0, 3], {}, "a label is not one of 0 to 2, which a multi-class task"),
        ([[0.2, 0.2, 0.6]] * 2, [0, 1], {"threshold": 0.5}, "a multi-class task has none"),
        ([[0.2, 0.2, 0.6]] * 2, [0, 1], {"label_names": ["a", "b"]}, "3 different names are expected"),
        ([[0.2, 0.2, 0.6]] * 2, [0, 1], {"label_names": ["a", "b", "a"]}, "3 different names are expected"),
        ([[0.2, 0.6]] * 2, [[0, 1], [1, 1]], {"threshold": [0.5, 0.5, 0.5]}, "one for each of 2 labels"),
        ([0.1, 0.2], [0, 1], {"threshold": [0.5, 0.5]}, "threshold: .*allowed: a number"),
        ([[[0.1]]], [0], {}, r"allowed: \(n,\) and \(n,\)"),
    ],
)
def test_wrong_inputs_are_named(probability, label, more, words):
    with pytest.raises(ValueError, match=words):
        score("f1", probability, label, **more)


def test_an_error_leaves_a_metric_usable():
    with pytest.raises(ValueError, match="bins: 0"):
        load_metric("calibration_error").compute(predictions=[0.1, 0.9], references=[0, 1], bins=0)
    with pytest.raises(ValueError, match="one of 0 to 1"):
        load_metric("f1").compute(predictions=[0.1, 0.9], references=[0, 7])
    p, y = multi_label()
    assert load_metric("f1").compute(predictions=p.tolist(), references=y.tolist()) == score("f1", p, y)


@pytest.mark.filterwarnings("ignore")  # of evaluate's loader and its file locks
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_loads_by_path_and_takes_all_three_tasks(name):
    loaded = evaluate.load(str(FOLDER / name))
    for p, y in ((BINARY["probability"], BINARY["label"]), multi_class(), multi_label()):
        found = loaded.compute(predictions=p.tolist(), references=y.tolist())
        assert found == score(name, p, y)
        loaded.add_batch(predictions=p[:2], references=y[:2])
        loaded.add_batch(predictions=p[2:], references=y[2:])
        assert loaded.compute() == found
        assert all(type(value) is float for value in found.values())


def test_combined():
    both = evaluate.combine([load_metric(name) for name in CLASSIFICATION])
    found = both.compute(predictions=BINARY["probability"], references=BINARY["label"], threshold=0.65)
    assert found == {k: v for name in CLASSIFICATION for k, v in score(name, **BINARY, threshold=0.65).items()}


def test_float32_probabilities_tie_as_they_are():
    p = np.array([0.1, 0.1, 0.2], dtype=np.float32)
    assert score("roc_auc", p, [0, 1, 1]) == {"roc_auc": 0.75}
