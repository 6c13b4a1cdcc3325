# Copyright 2026 The hf_variants authors. MIT licence.
"""Folders of one name in one process: each model runs the code of its own folder, in any order of loading."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from transformers import AutoModel

from hf_variants.auto import TABLE
from tests.helpers.models import build, tiny_config

# Runs where the package is missing; prints the mark of the code that each loaded model has.
LOAD = """
import json, os, sys, tempfile
sys.modules["hf_variants"] = None
os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp()
os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import AutoModel
marks = []
for folder, module in json.loads(sys.argv[1]):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    home = type(model).__module__.rpartition(".")[0]
    marks.append(vars(sys.modules[f"{home}.{module}"]).get("MARK"))
print(json.dumps(marks))
"""
BASELINES = {"bert": "modeling_minbert", "gpt": "modeling_nanogpt", "gru": "modeling_bigru"}


def test_folders_of_one_name_run_their_own_code(tmp_path: Path) -> None:
    """What differs is the baseline's file, which a variant only imports."""
    asked, expected = [], []
    for row in TABLE:
        family = row.module.__name__.split(".")[-2]
        for order in ("ab", "ba"):
            leaf = f"{row.model_type}_{order}"
            first = tmp_path / "a" / leaf
            build(row.classes[AutoModel], tiny_config(row.model_type)).save_pretrained(first)
            shutil.copytree(first, tmp_path / "b" / leaf)
            for mark in "ab":
                code = tmp_path / mark / leaf / f"{BASELINES[family]}.py"
                code.write_text(f'{code.read_text(encoding="utf-8")}\nMARK = "{mark}"\n', encoding="utf-8")
            loaded = [*order, *order]
            asked += [[str(tmp_path / mark / leaf), BASELINES[family]] for mark in loaded]
            expected += loaded
    command = [sys.executable, "-I", "-c", LOAD, json.dumps(asked)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == expected
