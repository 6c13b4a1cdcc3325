# Copyright 2026 The hf_variants authors. MIT licence.
"""A saved model → the folder that the Hub would hold, checked; and its upload in one commit.

The folder is complete: weights (safetensors), configuration with the full `auto_map`, the code files it names, the
tokenizer, the model card, results and plots. It is put together under a temporary name and renamed when every check
has passed, so a folder with the final name can be published as it is.
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .auto import TABLE

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
TEXTS = (".json", ".md", ".py", ".txt", ".yaml", ".yml", ".jsonl", ".jinja")
PROSE = ("config.json", "README.md", "results.json", "record.json")
TOKEN_SHAPES = (
    r"\bhf_[A-Za-z0-9]{20,}",  # Hugging Face
    r"\bapi_org_[A-Za-z0-9]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{40,}",  # GitHub
    r"\bsk-[A-Za-z0-9_-]{24,}",  # OpenAI and others
    r"\bAKIA[0-9A-Z]{16}\b",  # Amazon
    r"\bxox[abpr]-[A-Za-z0-9-]{10,}",  # Slack
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)
# only for the files that we or the user write: a tokenizer's vocabulary may hold anything
NAMED_SECRET = (
    r"(?i)(?:api[_-]?key|secret|password|passwd|access[_-]?token|hf[_-]?token)[\"']?\s*[:=]\s*[\"']?[\w\-]{16,}"
)


class ExportError(ValueError):
    """The folder must not be published as it is; the message says why."""


def export_folder(
    source: Path,
    folder: Path,
    card: Callable[[Path], str] | str,
    contents: Mapping[str, Any] | None = None,
    files: Mapping[str, Path] | None = None,
) -> Path:
    """Writes `folder` from `source` (what `save_pretrained` of model and tokenizer left there).

    `contents` are JSON values and `files` existing files to add, by name; `card` is the README's text, or a function
    of the folder so far that returns it. Raises ExportError, and writes nothing, where a check fails.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns("__pycache__", "*.partial"))
        for name, content in (contents or {}).items():
            (partial / name).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        for name, path in (files or {}).items():
            shutil.copyfile(path, partial / name)
        (partial / "README.md").write_text(card(partial) if callable(card) else card, encoding="utf-8")
        check_folder(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Raises ExportError unless `folder` is complete, holds no pickle and nothing that looks like a token."""
    for name in ("config.json", "README.md"):
        if not (folder / name).is_file():
            raise ExportError(f"{folder}: {name} is missing")
    if not list(folder.glob("*.safetensors")):
        raise ExportError(f"{folder}: no weights (*.safetensors)")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix in PICKLES:
            raise ExportError(f"{path}: looks like a pickle; only safetensors are published")
        if path.suffix in TEXTS:
            refuse_secrets(path)
    _check_code(folder)


def refuse_secrets(path: Path) -> None:
    """Raises ExportError where the file holds something that looks like a token. The value itself is not shown."""
    text = path.read_text(encoding="utf-8", errors="replace")
    for shape in TOKEN_SHAPES + ((NAMED_SECRET,) if path.name in PROSE else ()):
        found = re.search(shape, text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            raise ExportError(f"{path}: line {line} holds what looks like a token ({found.group()[:6]}…); remove it")


def _check_code(folder: Path) -> None:
    """Every class of the table is in `auto_map`, and every file that it names is there with all it imports."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    auto_map = config.get("auto_map", {})
    row = next((row for row in TABLE if row.model_type == config.get("model_type")), None)
    missing = [name for name in row.auto_classes if name not in auto_map] if row else []
    if missing:
        raise ExportError(f"{folder}/config.json: auto_map lacks {', '.join(missing)}")
    modules = {reference.split("--")[-1].split(".")[0] for reference in auto_map.values()}
    for module in sorted(modules):
        _check_module(folder, module, set())


def _check_module(folder: Path, module: str, seen: set[str]) -> None:
    path = folder / f"{module}.py"
    if not path.is_file():
        raise ExportError(f"{folder}: {path.name} is missing, which the configuration or another file needs")
    seen.add(module)
    imports = re.findall(r"^\s*from\s+\.(\w+)\s+import", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for name in imports:
        if name not in seen:
            _check_module(folder, name, seen)


# ---- Hub -----------------------------------------------------------------------------------------------------------


def folder_files(folder: Path) -> list[tuple[str, int]]:
    """What an upload would send: path in the repository and size in bytes, sorted."""
    files = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return sorted((p.relative_to(folder).as_posix(), p.stat().st_size) for p in files)


def upload(folder: Path, repo_id: str, private: bool = False) -> str:
    """Checks `folder`, creates the repository if it is missing, uploads all in one commit; returns the commit's URL.

    The token comes from the environment or `hf auth login`. Raises ExportError, one line, where the Hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    check_folder(folder)
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        info = api.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message="Upload model", ignore_patterns=["**/__pycache__/**"]
        )
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise ExportError(f"{repo_id}: {str(error).strip().splitlines()[0]}") from None
    return info.commit_url
