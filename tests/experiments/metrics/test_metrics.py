# Copyright 2026 The hf_variants authors. MIT licence.
"""Our metrics agree with hand-computed values, and load through `evaluate` from their folders without a network."""

import math
from pathlib import Path

import evaluate
import numpy as np
import pytest

from hf_variants.experiments import metrics
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.metrics import load_metric

FOLDER = Path(metrics.__file__).parent
SCORES = {"loss": np.array([1.0, 3.0]), "prediction": np.array([4, 5]), "label": np.array([4, 6])}
SCORES |= {"bytes": np.array([1, 4])}
OF_TOKENS = ("cross_entropy", "perplexity", "token_accuracy", "bits_per_byte")
ALONE = ("cross_entropy", "perplexity")  # metrics that compare with nothing


def test_hand_computed_values():
    found = {k: v for name in OF_TOKENS for k, v in load_metric(name).score(SCORES).items()}
    bits = {"bits_per_byte": pytest.approx(4 / math.log(2) / 5)}
    assert found == {"loss": 2.0, "perplexity": pytest.approx(math.e**2), "accuracy": 0.5} | bits


def test_bits_per_byte_of_no_bytes_is_refused():
    with pytest.raises(ValueError, match="no bytes of text"):
        load_metric("bits_per_byte").compute(predictions=[1.0], references=[0])


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [
        ("12", "12", True),
        (" 1  2\n", "1 2", True),
        ("12", "13", False),
        ("so 3 + 4 = 7\n#### 7", "3 + 4 = <<3+4=7>>7 #### 7", True),
        ("#### 1,234", "x #### 1234", True),
        ("#### 5 #### 7", "#### 7", True),
        ("7", "#### 7", False),
        ("a, b", "a b", False),
        ("Yes", "yes", False),
    ],
)
def test_exact_match(prediction, reference, right):
    found = load_metric("exact_match").compute(predictions=[prediction, "x"], references=[reference, "x"])
    assert found == {"exact_match": 1.0 if right else 0.5}


def test_correlation_by_hand():
    found = load_metric("correlation").compute(predictions=[1.0, 2.0, 4.0], references=[1.0, 3.0, 2.0])
    covariance, spread = 1.0, math.sqrt(14 / 3 * 2)  # sums over (-4/3, -1/3, 5/3) and (-1, 1, 0)
    assert found == {"spearman": pytest.approx(0.5), "pearson": pytest.approx(covariance / spread)}
    for constant in ([1.0, 1.0, 1.0], [1.0]):
        with pytest.raises(ValueError, match="constant"):
            load_metric("correlation").compute(predictions=constant, references=constant)


@pytest.mark.parametrize("name", [name for name in metrics.NAMES if name not in metrics.CLASSIFICATION])
def test_loads_by_path(name):
    loaded = evaluate.load(str(FOLDER / name))
    values = ["1", "2"] if name == "exact_match" else [1, 2]
    inputs = {"predictions": values} if name in ALONE else {"predictions": values, "references": values}
    found = loaded.compute(**inputs)
    assert found.keys() <= {"loss", "perplexity", "accuracy", "bits_per_byte", "exact_match", "spearman", "pearson"}


def test_batches_weigh_by_tokens_and_metrics_combine():
    metric = load_metric("cross_entropy")
    metric.add_batch(predictions=[1.0])
    metric.add_batch(predictions=[4.0, 4.0, 3.0])
    assert metric.compute() == {"loss": 3.0}
    both = evaluate.combine([load_metric("cross_entropy"), load_metric("perplexity")])
    assert both.compute(predictions=[0.0, 0.0]) == {"loss": 0.0, "perplexity": 1.0}


def test_unknown_metric():
    with pytest.raises(InputError, match="allowed: cross_entropy"):
        load_metric("bleu")
