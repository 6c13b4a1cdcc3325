# Copyright 2026 The hf_variants authors. MIT licence.
"""Run in a process of its own: loads folders with remote code, as somebody without this package would.

`python -I clean_load.py ROOT …` looks for folders ROOT/AUTO_CLASS that hold a model and `expected.pt`: its weights, a
batch, the first output for it, and perhaps what `generate` and a pipeline made of the model. Besides the files of
`helpers` it needs torch and transformers alone, of any version that this package supports (`min_versions.py`).
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.modules["hf_variants"] = None  # an editable installation would be found even here
os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp()
os.environ["HF_HUB_OFFLINE"] = "1"

sys.path.append(str(Path(__file__).parents[1] / "helpers"))  # last: its names must not hide libraries

import torch  # noqa: E402
import transformers  # noqa: E402
from sameness import SCORES, assert_same_outputs, assert_same_weights  # noqa: E402

if os.environ.get("UNALIGNED_WEIGHTS"):
    import unaligned

    unaligned.install()


def first(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the first output of a model."""
    with torch.no_grad():
        return model.eval()(**inputs)[0]


def assert_same(model: torch.nn.Module, stored: dict[str, Any]) -> None:
    """Check that a model has the stored weights and gives the stored output."""
    assert_same_weights(model, stored["weights"])
    assert_same_outputs(first(model, stored["inputs"]), stored["expected"])


def same(found: Any, expected: Any) -> bool:
    """Whether a pipeline's answer is the expected one: lists and dictionaries of texts, and of numbers as scores."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return abs(found - expected) <= max(SCORES["abs"], SCORES["rel"] * abs(expected))
    return found == expected


def check_pipeline(folder: Path, task: str, texts: list[str], options: dict[str, Any], expected: Any) -> None:
    """Check what a pipeline answers that loads the model and its tokenizer from their folder."""
    pipe = transformers.pipeline(task, model=str(folder), trust_remote_code=True)
    assert "transformers_modules" in type(pipe.model).__module__
    answers = pipe(texts, **options)
    assert same(answers, expected), (task, answers, expected)


def check_folder(root: Path, name: str, names: list[str]) -> None:
    """Check the model in `root/name`: its output, what it generates, its pipelines, and saving it again."""
    auto, again = getattr(transformers, name), root / f"{name}_again"
    stored = torch.load(root / name / "expected.pt", weights_only=True)
    model = auto.from_pretrained(root / name, trust_remote_code=True)
    assert "transformers_modules" in type(model).__module__
    assert_same(model, stored)
    model.save_pretrained(again)
    assert {p.name for p in again.glob("*.py")} == {p.name for p in (root / name).glob("*.py")}
    assert transformers.AutoConfig.from_pretrained(again, trust_remote_code=True).auto_map == model.config.auto_map
    assert_same(auto.from_pretrained(again, trust_remote_code=True), stored)
    for options, expected in stored.get("generated", ()):
        assert torch.equal(model.generate(**stored["inputs"], **options), expected), options
    for asked in stored.get("pipelines", ()):
        check_pipeline(root / name, *asked)
    # A folder names every Auto class, whatever head was saved in it.
    for other in names:
        getattr(transformers, other).from_pretrained(again, trust_remote_code=True)


def main(roots: list[Path]) -> None:
    """Check the folders of every root, and print each that passed."""
    for root in roots:
        names = sorted(path.parent.name for path in root.glob("*/expected.pt"))
        for name in names:
            check_folder(root, name, names)
            print(f"{root.name}/{name}", flush=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
