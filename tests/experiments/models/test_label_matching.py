# Copyright 2026 The hf_variants authors. MIT licence.
"""A trained head and labelled data mean the same by a label, whatever its place and spelling, or it is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from hf_variants.experiments.analysis.classification import classify
from hf_variants.experiments.checking import InputError
from hf_variants.experiments.comparisons.comparison import comparison_from_dict
from hf_variants.experiments.comparisons.runner import Runner
from hf_variants.experiments.engine.new_model import new_model
from hf_variants.experiments.engine.prepared import prepare
from hf_variants.experiments.engine.run import run_recipe
from hf_variants.experiments.labelled.corpus import Examples
from hf_variants.experiments.labelled.matching import UnmatchedError, match_labels
from hf_variants.experiments.models.build import build_config
from hf_variants.experiments.models.head_order import align_head
from hf_variants.experiments.recipes.labels import MULTI, SINGLE
from hf_variants.experiments.recipes.recipe import Recipe
from hf_variants.experiments.recipes.sections import ModelArguments
from tests.helpers.models import TINY, char_tokenizer
from tests.helpers.tiny_labelled import labelled_recipe, write_examples

NEWS = ["World", "Sports", "Business", "Tech"]


# ---- which is which ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "names", "stated", "places"),
    [
        (NEWS, NEWS, False, [0, 1, 2, 3]),
        (NEWS, ["business", "SPORTS", "tech", "world"], False, [2, 1, 3, 0]),
        (NEWS, ["Business", "Sports", "Tech", "World"], True, [2, 1, 3, 0]),  # by name, whatever the order stated
        (NEWS, ["0", "1", "2", "3"], False, [0, 1, 2, 3]),
        (NEWS, ["politics", "games", "money", "science"], True, [0, 1, 2, 3]),
        (["Pos", "pos"], ["pos", "Pos"], False, [1, 0]),  # the case is a difference there
        (["LABEL_0", "LABEL_1"], ["0", "1"], False, [0, 1]),
        (["LABEL_0", "LABEL_1"], ["bad", "good"], True, [0, 1]),
        (["LABEL_0", "LABEL_1"], ["label_1", "label_0"], False, [1, 0]),
        (["harmless", "toxic"], ["none", "any"], False, [0, 1]),  # of any_of: not names, but 0 and 1
        (["good"], ["bad", "good"], False, [0, 1]),
        (["good"], ["Good", "bad"], False, [1, 0]),
        (["good"], ["0", "1"], False, [0, 1]),
        (["LABEL_0"], ["no", "yes"], True, [0, 1]),
    ],
)
def test_labels_are_matched(own, names, stated, places):
    assert match_labels(own, names, stated) == places


@pytest.mark.parametrize(
    ("own", "names", "stated"),
    [
        (["different", "paraphrase"], ["equivalent", "not_equivalent"], False),
        (NEWS, ["Business", "Sports", "Tech", "Weather"], False),
        (NEWS, ["Business", "Sports", "Tech", "Weather"], True),  # Business is not World, whoever says so
        (["LABEL_0", "LABEL_1"], ["bad", "good"], False),
        (["a", "b"], ["1", "2"], False),
        (["1", "2", "3"], ["0", "1", "2"], False),
        (["a", "b"], ["b", "c"], True),
        (["good"], ["bad", "worse"], False),
    ],
)
def test_what_cannot_be_matched_is_named(own, names, stated):
    with pytest.raises(UnmatchedError) as error:
        match_labels(own, names, stated)
    assert all(name in str(error.value) for name in [*own, *names])


# ---- a finished model is evaluated ---------------------------------------------------------------------------------


class Knows(torch.nn.Module):
    """Says of a text which letter it begins with, behind [CLS]: a to d are the classes 0 to 3."""

    def __init__(self, names: list[str], problem_type: str | None = None) -> None:
        super().__init__()
        self.config = BertConfig(id2label=dict(enumerate(names)), problem_type=problem_type)

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        first = torch.tensor(char_tokenizer().convert_tokens_to_ids(list("abcd")))
        logits = 20.0 * (input_ids[:, 1:2] == first).float() - 10
        return type("Output", (), {"logits": logits})


TEXTS = [f"{letter} text" for letter in "abcdabcd"]
RIGHT = np.array([0, 1, 2, 3] * 2)


def accuracy(names: list[str], labels: np.ndarray, stated: bool = False, kind: str = SINGLE):
    found, rows = classify(
        Knows(NEWS),
        char_tokenizer(),
        Examples(list(TEXTS), labels=labels),
        names,
        kind,
        16,
        resamples=0,
        stated=stated,
    )
    return found["metrics"].get("accuracy", found["metrics"].get("f1_macro")), rows, found


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 1, 3, 0], [3, 2, 1, 0]])
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
@pytest.mark.parametrize("kind", [SINGLE, MULTI])
def test_a_perfect_model_is_perfect_in_any_order_and_spelling(order, spell, kind):
    names, labels = [spell(NEWS[n]) for n in order], np.argsort(order)[RIGHT]
    if kind.startswith("multi"):
        labels = np.eye(4, dtype=np.int64)[labels]
    score, rows, found = accuracy(names, labels, kind=kind)
    assert score == 1.0
    wanted = np.eye(4, dtype=np.int64)[RIGHT].tolist() if kind.startswith("multi") else RIGHT.tolist()
    assert [row["label"] for row in rows] == wanted  # ids of the model
    assert [part["label"] for part in found["slices"]["label"]] == NEWS


def test_numbers_and_stated_names_go_by_position():
    assert accuracy(["0", "1", "2", "3"], RIGHT)[0] == 1.0
    assert accuracy(["politics", "games", "money", "science"], RIGHT, stated=True)[0] == 1.0
    with pytest.raises(
        InputError, match="labels of the model are World, .* those of the data politics, .*--label_names"
    ):
        accuracy(["politics", "games", "money", "science"], RIGHT)


# ---- a trained head goes on learning -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with `examples` of the classes a, b, c and a model of them, `final`."""
    folder = tmp_path_factory.mktemp("trained")
    write_examples(folder)
    run_recipe(labelled_recipe(folder, {"labels.label_column": "kind"}), folder / "run")
    return folder


def going_on(folder: Path, kinds: dict[str, str], **changes: Any) -> Recipe:
    """A recipe that begins with the model, on the same examples under other labels."""
    place = folder / ("-".join(kinds.values()) or "same")
    (place / "examples").mkdir(parents=True, exist_ok=True)
    for file in (folder / "examples").iterdir():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            row["kind"] = kinds.get(row["kind"], row["kind"])
        (place / "examples" / file.name).write_text("\n".join(map(json.dumps, rows)))
    model = {"model.name_or_path": str(folder / "run" / "final"), "model.pretrained": True, "model.model_type": None}
    model |= {"model.overrides": {}, "tokenizer.tokenizer": str(folder / "run" / "final")}
    return labelled_recipe(place, {"labels.label_column": "kind"} | model | changes)


def logits_by_label(recipe: Recipe) -> dict[str, torch.Tensor]:
    """What the model that a run begins with says of one batch, by the name of the label in the data."""
    prepared = prepare(recipe)
    task = prepared.config_settings(recipe.model.overrides)
    config = build_config(recipe.model, prepared.tokenizer, recipe.data.block_size, task)
    model = new_model(recipe, config, prepared).eval()
    batch = {name: torch.from_numpy(array) for name, array in prepared.sample(8).items() if name != "labels"}
    with torch.no_grad():
        logits = model(**batch).logits
    return {model.config.id2label[number]: logits[:, number] for number in range(3)}


def test_a_head_keeps_its_meaning_in_another_order_and_spelling(trained):
    same = logits_by_label(going_on(trained, {}))
    other = logits_by_label(going_on(trained, {"a": "A", "c": "C"}))  # sorted: A, C, b
    assert list(same) == ["a", "b", "c"] and list(other) == ["A", "C", "b"]
    for name, found in other.items():
        torch.testing.assert_close(found, same[name.lower()])
    assert not torch.allclose(same["a"], same["b"], atol=1e-3)


def test_a_head_with_other_labels_is_refused_unless_their_order_is_stated(trained, tmp_path):
    kinds = {"a": "z", "b": "y", "c": "x"}
    recipe = going_on(trained, kinds)
    words = (
        "trained head, which is kept: the labels of the model are a, b, c, those of the data x, y, z; say with labels"
    )
    with pytest.raises(InputError, match=words):
        run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    stated = logits_by_label(going_on(trained, kinds, **{"labels.label_names": ["z", "y", "x"]}))
    same = logits_by_label(going_on(trained, {}))
    for name, label in kinds.items():
        torch.testing.assert_close(stated[label], same[name])


def test_a_comparison_refuses_such_a_head_before_anything_is_trained(trained, tmp_path):
    recipe = going_on(trained, {"a": "z", "b": "y", "c": "x"})
    content = {"name": "c", "baseline": "one", "arms": {"one": {}}, "seeds": [0]}
    comparison = comparison_from_dict(content, recipe.to_dict(), "c.yaml")
    with pytest.raises(InputError, match="has a trained head"):
        Runner(comparison, tmp_path / "out").check()


def test_a_new_head_has_no_meaning_to_keep(trained):
    """Four labels: the head of three does not fit."""
    kinds = {"a": "z", "b": "y", "c": "x"}
    recipe = going_on(trained, kinds)
    for split in ("train", "validation", "test"):
        file = Path(recipe.data.dataset) / f"{split}.jsonl"
        extra = "\n".join(json.dumps({"text": f"extra {n}", "kind": "w"}) for n in range(8))
        file.write_text(file.read_text() + "\n" + extra)
    prepared = prepare(recipe)
    task = prepared.config_settings({})
    config = build_config(recipe.model, prepared.tokenizer, recipe.data.block_size, task)
    assert new_model(recipe, config, prepared).config.num_labels == 4


def test_the_rows_of_a_head_of_transformers_are_put_in_order(tmp_path):
    model = BertForSequenceClassification(BertConfig(**TINY, id2label={0: "x", 1: "y", 2: "z"})).eval()
    model.save_pretrained(tmp_path)
    arguments = ModelArguments(name_or_path=str(tmp_path), pretrained=True)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    align_head(again, arguments, ["z", "X", "y"], stated=False)
    ids = torch.arange(5, 15)[None]
    torch.testing.assert_close(again(ids).logits, model(ids).logits[:, [2, 0, 1]])
