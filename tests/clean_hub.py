# Copyright 2026 The hf_variants authors. MIT licence.
"""Run in a process of its own: loads what was published, by name and commit, as somebody without this package would.

`python -I clean_hub.py FILE` reads a list of `{repo_id, revision, auto, inputs, expected}` that `torch.save` wrote,
where `expected` is the first output for the inputs, and prints the repositories that gave exactly it.
"""

import sys

sys.modules["hf_variants"] = None  # an editable installation would be found even here

import torch  # noqa: E402
import transformers  # noqa: E402


def main(path: str) -> None:
    """Check every repository, and print each that passed."""
    for row in torch.load(path, weights_only=True):
        auto = getattr(transformers, row["auto"])
        model = auto.from_pretrained(row["repo_id"], revision=row["revision"], trust_remote_code=True).eval()
        assert "transformers_modules" in type(model).__module__
        with torch.no_grad():
            assert torch.equal(model(**row["inputs"])[0], row["expected"]), row["repo_id"]
        print(row["repo_id"])


if __name__ == "__main__":
    main(sys.argv[1])
