# Copyright 2026 The hf_variants authors. MIT licence.
"""Loads exported models where only torch and transformers are installed, at both ends of the range that we support.

`make test-min-versions` makes an environment under `.cache` for the lowest transformers that pyproject.toml allows and
one for the newest. Every Auto class of every row is exported here, and in each environment a fresh process loads the
folder through every Auto class, has the same weights, computes the same logits (up to rounding), generates and runs
pipelines as here, saves the model and loads it again. Exit code 1 if anything differs. It needs the package index.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a program, this file alone would be in its own folder

from transformers.utils.logging import disable_progress_bar  # noqa: E402

from hf_variants.auto import TABLE  # noqa: E402  # noqa: E402
from tests.helpers.folders import CLEAN_LOAD, write_folder  # noqa: E402  # noqa: E402

TORCH = "torch==2.13.0"
REPORT = "import torch, transformers as t, huggingface_hub as h, importlib.util as u; "
REPORT += "print('torch', torch.__version__, 'transformers', t.__version__, 'huggingface_hub', h.__version__); "
REPORT += "assert not [n for n in ('accelerate', 'peft', 'datasets', 'hf_variants') if u.find_spec(n)]"


def transformers_range() -> dict[str, str]:
    """Return what to install: `{"lowest": "transformers==…", "newest": "transformers…"}`, from pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    requirement, lowest = re.search(r'"(transformers>=([\d.]+)[^"]*)"', text).groups()
    return {"lowest": f"transformers=={lowest}", "newest": requirement}


def environment(name: str, requirement: str) -> str:
    """Make or update a bare environment and return the path of its Python."""
    folder = ROOT / ".cache" / "bare" / name
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([*install, TORCH], check=True)  # by itself: the big one
    subprocess.run([*install, "--upgrade", TORCH, requirement], check=True)
    return python


def main() -> int:
    """Export once, load in each environment, and return the exit code."""
    disable_progress_bar()
    failed, count = [], sum(len(row.classes) for row in TABLE)
    with tempfile.TemporaryDirectory() as work:
        roots = [Path(work) / row.model_type for row in TABLE]
        for row, root in zip(TABLE, roots, strict=True):
            for auto in row.classes:
                write_folder(row, auto, root / auto.__name__)
        for name, requirement in transformers_range().items():
            python = environment(name, requirement)
            clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            subprocess.run([python, "-I", "-c", REPORT], check=True, env=clean)
            done = subprocess.run([python, "-I", str(CLEAN_LOAD), *map(str, roots)], cwd=work, env=clean, text=True,
                                  capture_output=True)  # fmt: skip
            passed = len(done.stdout.split())
            sys.stderr.write(done.stderr[-3000:] if done.returncode else "")
            print(f"{name}: {passed} of {count} Auto classes passed", flush=True)
            failed += [name] if done.returncode or passed != count else []
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
