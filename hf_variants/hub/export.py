# Copyright 2026 The hf_variants authors. MIT licence.
"""A saved model → the folder that the Hub would hold, checked.

The folder is complete: weights (safetensors), configuration with the full `auto_map`, the code files it names, the
tokenizer, the model card, results and plots. It is put together under a temporary name and put in place when every
check has passed, so a folder with the final name can be published as it is (`publishing.py`).

Nothing of a user's is overwritten: a folder that was made here says so, with the digests of its files (MADE). In one
that did not come from here nothing is written, and in one that did every file that was edited or added since stays.

A folder that PEFT wrote holds an adapter instead: its weights, `adapter_config.json` and the card.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.utils import HFValidationError, validate_repo_id

from ..auto import TABLE
from .refusal import ExportError

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")
MADE = ".made_by_hf_variants.json"  # in a folder that was made here: the digests of its files
NOT_PUBLISHED = (
    "__pycache__",
    ".git",
    ".cache",
    ".DS_Store",
    MADE,
)  # nothing below a folder, and no file, of these names
PROSE = ("config.json", "README.md", "results.json", "record.json", ".env")
SETTINGS = (".env", ".ini", ".cfg", ".toml", ".yaml", ".yml", ".sh")
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


def export_folder(
    source: Path,
    folder: Path,
    card: Callable[[Path], str] | str,
    contents: Mapping[str, Any] | None = None,
    files: Mapping[str, Path] | None = None,
) -> Path:
    """Writes `folder` from `source` (what `save_pretrained` of model and tokenizer left there).

    `contents` are JSON values and `files` existing files to add, by name; `card` is the README's text, or a function
    of the folder so far that returns it. What a user has edited in `folder`, or added to it, stays; `changed_files`
    says what that is. Raises ExportError, and writes nothing, where a check fails or `folder` holds something else.
    """
    check_target(folder)
    partial = new_partial(folder)
    try:
        ignored = shutil.ignore_patterns("__pycache__", "*.partial", MADE)
        shutil.copytree(source, partial, ignore=ignored, dirs_exist_ok=True)
        for name, content in (contents or {}).items():
            (partial / name).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        for name, path in (files or {}).items():
            shutil.copyfile(path, partial / name)
        (partial / "README.md").write_text(card(partial) if callable(card) else card, encoding="utf-8")
        check_folder(partial)
        put_in_place(partial, folder, edited=("README.md",))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


# ---- what is there already -----------------------------------------------------------------------------------------


def new_partial(folder: Path) -> Path:
    """An empty folder beside `folder`, for what is to be put in its place; no other has its name."""
    names = (folder.with_name(f"{folder.name}.{number}.partial") for number in itertools.count(os.getpid()))
    partial = next(name for name in names if not name.exists())
    partial.mkdir(parents=True)
    return partial


def check_target(folder: Path) -> None:
    """Raises ExportError where `folder` holds something that was not made here."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: is a file; move it away, or use another --output_dir")
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if held and _digests(folder) is None and not _has_record(folder):
        what = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise ExportError(f"{folder}: holds {what}, and was not made here; move it away, or use another --output_dir")


def put_in_place(partial: Path, folder: Path, edited: Sequence[str] = ()) -> None:
    """Moves the files of a folder that was just made to where they belong; `partial` is used up.

    A file of `folder` is replaced, or removed where there is none of its name any more, if it is what was put there
    last. `edited` are those that a user may have edited in a folder from before digests were kept.
    """
    made = {name: _digest(partial / name) for name in _names(partial)}
    if not folder.is_dir() or not any(folder.iterdir()):
        _write_digests(partial, {name: [digest] for name, digest in made.items()})
        partial.rename(folder)
        return
    before = _digests(folder)
    if before is None:
        before = {name: [_digest(folder / name)] for name in made if (folder / name).is_file() and name not in edited}
    # a kill half-way leaves files of before and of now: both are ours
    _write_digests(folder, {name: [*before.get(name, ()), made.get(name, "")] for name in {**before, **made}}, False)
    for name in {**before, **made}:
        path = folder / name
        if path.is_file() and _digest(path) not in before.get(name, ()):
            continue
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial / name, path)
        else:
            path.unlink(missing_ok=True)
    _write_digests(folder, {name: [digest] for name, digest in made.items()})


def changed_files(folder: Path) -> list[str]:
    """The files of a folder that was made here which were edited since, or added, sorted."""
    digests = _digests(folder) or {}
    return [name for name in _names(folder) if _digest(folder / name) not in digests.get(name, ())]


def _has_record(folder: Path) -> bool:
    """Whether a folder is one of before digests were kept: with the record of a run, or results of a comparison."""
    for name, keys in (("record.json", {"recipe_fingerprint"}), ("results.json", {"schema", "arms", "baseline"})):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and keys <= content.keys():
            return True
    return False


def _digests(folder: Path) -> dict[str, list[str]] | None:
    """What the files of a folder were when they were put there, by name; None where nothing says so."""
    try:
        return dict(json.loads((folder / MADE).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_digests(folder: Path, files: Mapping[str, list[str]], whole: bool = True) -> None:
    partial = folder / f"{MADE}.partial"
    partial.write_text(json.dumps({"files": files, "whole": whole}, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / MADE)


def _names(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not set(NOT_PUBLISHED) & set(path.parts))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# ---- what a folder must hold ---------------------------------------------------------------------------------------


def check_folder(folder: Path) -> None:
    """Raises ExportError unless `folder` is complete, holds no pickle and nothing that looks like a token."""
    adapter = is_adapter(folder)
    if (folder / MADE).is_file() and read_json(folder / MADE).get("whole") is False:
        raise ExportError(f"{folder}: was not replaced as a whole; run the command that made it again")
    for name in ("adapter_config.json" if adapter else "config.json", "README.md"):
        if not (folder / name).is_file():
            raise ExportError(f"{folder}: {name} is missing")
    if not list(folder.glob("*.safetensors")):
        raise ExportError(f"{folder}: no weights (*.safetensors)")
    for path in _files(folder):
        if _is_pickle(path):
            raise ExportError(f"{path}: looks like a pickle; only safetensors are published")
        if _is_text(path):
            refuse_secrets(path)
    (_check_adapter if adapter else _check_code)(folder)


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter of PEFT, and no model of its own."""
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def folder_files(folder: Path) -> list[tuple[str, int]]:
    """What an upload sends: path in the repository and size in bytes, sorted."""
    return sorted((p.relative_to(folder).as_posix(), p.stat().st_size) for p in _files(folder))


def _files(folder: Path) -> list[Path]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in found if not set(NOT_PUBLISHED) & set(p.relative_to(folder).parts))


def _is_pickle(path: Path) -> bool:
    """By the name, and by the content: a bare pickle, or the archive that `torch.save` makes."""
    if path.suffix in PICKLES:
        return True
    if path.suffix == ".safetensors":  # starts with a length, which may be any bytes
        return False
    with path.open("rb") as file:
        start = file.read(2)
    if len(start) == 2 and start[0] == 0x80 and start[1] in range(2, 6):
        return True
    return zipfile.is_zipfile(path) and any(Path(n).suffix in PICKLES for n in zipfile.ZipFile(path).namelist())


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(8192)


def refuse_secrets(path: Path) -> None:
    """Raises ExportError where the file holds something that looks like a token. The value itself is not shown."""
    text = path.read_text(encoding="utf-8", errors="replace")
    prose = path.name in PROSE or path.suffix in SETTINGS
    for shape in TOKEN_SHAPES + ((NAMED_SECRET,) if prose else ()):
        found = re.search(shape, text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            raise ExportError(f"{path}: line {line} holds what looks like a token ({found.group()[:6]}…); remove it")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ExportError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ExportError(f"{path}: a JSON object is expected, found {type(content).__name__}")
    return content


def _check_adapter(folder: Path) -> None:
    """The adapter has its weights, and its base is one that others can load: a Hub name, not a folder of this disk."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise ExportError(f"{folder}: adapter_model.safetensors is missing")
    base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    try:
        validate_repo_id(base)
        named = isinstance(base, str) and not Path(base).exists()
    except HFValidationError:
        named = False
    if not named:
        raise ExportError(
            f"{folder}/adapter_config.json: base_model_name_or_path is {base!r}; allowed is a Hub name (user/name): "
            "publish the base first"
        )


def _check_code(folder: Path) -> None:
    """Every class of the table is in `auto_map`, and every file that it names is there with all it imports."""
    config = read_json(folder / "config.json")
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
