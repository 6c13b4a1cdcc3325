# Copyright 2026 The hf_variants authors. MIT licence.
"""Our metrics agree with hand-computed values, and load through `evaluate` from their folders without a network."""

import math
from pathlib import Path

import evaluate
import numpy as np
import pytest

from hf_variants.experiments import metrics
from hf_variants.experiments.arguments import InputError
from hf_variants.experiments.metrics import load_metric

FOLDER = Path(metrics.__file__).parent
SCORES = {"loss": np.array([1.0, 3.0]), "prediction": np.array([4, 5]), "label": np.array([4, 6])}


def test_hand_computed_values():
    found = {k: v for name in metrics.NAMES for k, v in load_metric(name).score(SCORES).items()}
    assert found == {"loss": 2.0, "perplexity": pytest.approx(math.e**2), "accuracy": 0.5}


@pytest.mark.parametrize("name", metrics.NAMES)
def test_loads_by_path(name):
    loaded = evaluate.load(str(FOLDER / name))
    inputs = {"predictions": [1, 2]} if name != "token_accuracy" else {"predictions": [1, 2], "references": [1, 1]}
    assert loaded.compute(**inputs).keys() <= {"loss", "perplexity", "accuracy"}


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
