# Copyright 2026 The hf_variants authors. MIT licence.
"""Run in a process of its own: loads what was published, by name and commit, as somebody without this package would.

`python -I clean_hub.py FILE` reads a list of `{repo_id, revision, auto, inputs, expected}` that `torch.save` wrote,
where `expected` is the first output for the inputs, and prints the repositories that gave it up to rounding, and those
without an adapter the `weights` to the bit. An adapter has its `base` as well.
"""

import os
import sys
from pathlib import Path

sys.modules["hf_variants"] = None  # an editable installation would be found even here
sys.path.append(str(Path(__file__).parents[1] / "helpers"))  # last: its names must not hide libraries

import torch  # noqa: E402
import transformers  # noqa: E402
from sameness import assert_same_outputs, assert_same_weights  # noqa: E402

if os.environ.get("UNALIGNED_WEIGHTS"):
    import unaligned

    unaligned.install()


def first(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the first output of a model."""
    with torch.no_grad():
        return model.eval()(**inputs)[0]


def load(row: dict) -> torch.nn.Module:
    """Return the model at its commit; from_pretrained would look for an adapter's commit in the base as well."""
    auto = getattr(transformers, row["auto"])
    pinned = {"revision": row["revision"]}
    if "base" not in row:
        return auto.from_pretrained(row["repo_id"], trust_remote_code=True, **pinned)
    from peft import PeftModel

    newest = auto.from_pretrained(row["repo_id"], trust_remote_code=True)
    assert_same_outputs(first(newest, row["inputs"]), row["expected"])  # by the name alone
    base = auto.from_pretrained(row["base"], trust_remote_code=True)
    return PeftModel.from_pretrained(base, row["repo_id"], **pinned).base_model.model


def main(path: str) -> None:
    """Check every repository, and print each that passed."""
    for row in torch.load(path, weights_only=True):
        model = load(row)
        assert "transformers_modules" in type(model).__module__
        if "base" not in row:
            assert_same_weights(model, row["weights"])
        assert_same_outputs(first(model, row["inputs"]), row["expected"])
        print(row["repo_id"])


if __name__ == "__main__":
    main(sys.argv[1])
