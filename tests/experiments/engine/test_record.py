# Copyright 2026 The hf_variants authors. MIT licence.
"""What the lines of a metrics.jsonl and the work after training become in the record of a run."""

import pytest

from hf_variants.experiments.engine.record import Finished, course_of
from hf_variants.experiments.records import CurvePoint, Mark

TRUNK = {"phase": "trunk", "budget": None}


def line(event, step, **values):
    return {"event": event, "step": step, "tokens": 10 * step, "seconds": step / 2} | TRUNK | values


def test_lines_become_marks_curve_and_growths():
    lines = [
        line("train", 1, loss=3.0),
        line("train", 2, loss=2.5, layer_grad_norms=[0.1, 0.2]),
        line("validation", 2, loss=2.6),
        line("growth", 2, stage=1, loss_before=2.6, loss_after=2.7, receipt={"operation": "deepen"}),
        line("growth", 3, stage=2, receipt={"operation": "unfreeze", "layers": "bert.layer"}),
        line("validation", 3, loss=2.4, phase="decay", budget=0.5),
        line("test", 3, loss=2.2, phase="decay", budget=0.5, best_step=2),
        line("train", 4, loss=2.0, phase="decay", budget=0.5),
    ]
    course = course_of(lines, flops_per_token=2.0)
    assert course.curve == (
        CurvePoint(tokens=10, steps=1, train_loss=3.0),
        CurvePoint(tokens=20, steps=2, train_loss=2.5, layer_grad_norms=(0.1, 0.2), validation_loss=2.6),
    )
    [mark] = course.marks
    assert (mark.flops, mark.seconds, mark.validation, mark.test) == (60.0, 1.5, {"loss": 2.4}, {"loss": 2.2})
    assert [step.receipt.operation for step in course.stages] == ["deepen"]
    assert [step.receipt["layers"] for step in course.unfrozen] == ["bert.layer"]


def test_what_a_finished_model_gets_is_laid_over_its_last_mark():
    mark = Mark(tokens=1, steps=1, flops=1.0, seconds=1.0, validation={"loss": 2.0})
    found = Finished.from_json({"metrics": {"test": {"exact_match": 0.5}}, "remarks": ["short"], "colour": "green"})
    added = found.added_to(mark)
    assert added.test == {"exact_match": 0.5} and added.validation == {"loss": 2.0} and mark.test == {}
    assert found.remarks == ("short",) and found.unknown == {"colour": "green"}
    with pytest.raises(AttributeError):
        mark.tokens = 2
