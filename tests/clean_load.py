# Copyright 2026 The hf_variants authors. MIT licence.
"""Run in a process of its own: loads folders with remote code, as somebody without this package would.

`python -I clean_load.py FOLDER AUTO_CLASS …` expects FOLDER/AUTO_CLASS to hold a model and `expected.pt`: a batch, the
first output for it, and for a causal model perhaps what `generate` and the pipeline made of it.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.modules["hf_variants"] = None  # an editable installation would be found even here
os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp()
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402


def first(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the first output of a model."""
    with torch.no_grad():
        return model.eval()(**inputs)[0]


def check_writing(folder: Path, model: torch.nn.Module, stored: dict) -> None:
    """Check what a model generates, by itself and through a pipeline that loads it from its folder."""
    for options, expected in stored["generated"]:
        assert torch.equal(model.generate(**stored["inputs"], **options), expected), options
    write = transformers.pipeline("text-generation", model=str(folder), trust_remote_code=True)
    assert "transformers_modules" in type(write.model).__module__
    assert write(stored["prompts"], **stored["options"]) == stored["texts"]


def main(root: Path, names: list[str]) -> None:
    """Check every folder, and print each Auto class that passed."""
    for name in names:
        auto = getattr(transformers, name)
        stored = torch.load(root / name / "expected.pt", weights_only=True)
        again = root / f"{name}_again"
        model = auto.from_pretrained(root / name, trust_remote_code=True)
        assert "transformers_modules" in type(model).__module__
        assert torch.equal(first(model, stored["inputs"]), stored["expected"])
        model.save_pretrained(again)
        assert {p.name for p in again.glob("*.py")} == {p.name for p in (root / name).glob("*.py")}
        assert transformers.AutoConfig.from_pretrained(again, trust_remote_code=True).auto_map == model.config.auto_map
        assert torch.equal(
            first(auto.from_pretrained(again, trust_remote_code=True), stored["inputs"]), stored["expected"]
        )
        if "generated" in stored:
            check_writing(root / name, model, stored)
        # A folder names every Auto class, whatever head was saved in it.
        for other in names:
            getattr(transformers, other).from_pretrained(again, trust_remote_code=True)
        print(name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
