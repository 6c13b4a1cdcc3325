# Copyright 2026 The hf_variants authors. MIT licence.
"""An exported folder → one commit on the Hub, checked before and after.

- Everything that can be found wrong here is found before the first request that changes anything.
- One commit, with the parent that was looked at. (`HfApi.upload_folder` makes several where Xet is installed.)
- What is there already is found by its hashes, on the branch or in an open pull request: publishing again commits
  nothing, and neither does a retry after a lost answer. Large files that arrived are not sent again.
- Files of somebody else that would load in the place of ours make the name a taken one; nothing is ever deleted.
"""

import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import ModelInfo, RepoFile
from huggingface_hub.utils import get_session, validate_repo_id

from . import load_check
from .errors import NO_TOKEN, is_unclear, told_in_one_line
from .export import PICKLES, check_folder, folder_files, is_adapter
from .refusal import ExportError

MESSAGE = "Upload model"
# Files that `from_pretrained` may read: one that stays in the repository may be taken for one of ours.
LOADED = (*PICKLES, ".safetensors", ".json", ".py", ".jinja", ".model", "vocab.txt", "merges.txt", ".h5", ".msgpack")
NOTHING = "nothing was published"
PATIENCE = 120.0  # seconds without a byte, after which a connection counts as lost; the client itself waits for ever


@dataclass(frozen=True)
class Destination:
    """Where a folder goes. Raises ExportError, without a request, where that is no place on a Hub."""

    repo_id: str
    private: bool = False
    create_pr: bool = False
    branch: str | None = None
    collection: str | None = None

    def __post_init__(self) -> None:
        try:
            validate_repo_id(self.repo_id)
            valid = self.repo_id.count("/") == 1
        except HFValidationError:
            valid = False
        if not valid:
            raise ExportError(
                f"--repo_id {self.repo_id!r}: allowed is user/name, of letters, digits, '-', '_' and '.', at most 96 "
                "characters, without '--' or '..', and without '-' or '.' at an end"
            )
        if self.create_pr and self.branch:
            raise ExportError("--create_pr and --branch: give one of them; a pull request is always against main")
        if self.branch is not None and (not self.branch.strip() or self.branch.startswith(("refs/", "-"))):
            raise ExportError(f"--branch {self.branch!r}: allowed is the name of a branch, not of a reference")

    @property
    def revision(self) -> str:
        return self.branch or "main"


@dataclass(frozen=True)
class Digest:
    """The hashes by which the Hub knows a file: git's of small ones, SHA-256 of large ones."""

    git: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Digest":
        """Reads the file once, in pieces."""
        git, sha256 = hashlib.sha1(b"blob %d\0" % path.stat().st_size), hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                git.update(piece)
                sha256.update(piece)
        return cls(git.hexdigest(), sha256.hexdigest())

    def matches(self, file: RepoFile) -> bool:
        return file.lfs.sha256 == self.sha256 if file.lfs else file.blob_id == self.git


@dataclass(frozen=True)
class Published:
    """What `publish` did: the commit that holds the folder, and whether it is a new one."""

    repo_id: str
    commit: str
    url: str
    new: bool


# ---- before --------------------------------------------------------------------------------------------------------


def check(folder: Path, validate_card: Callable[[str], Any]) -> dict[str, Any]:
    """Checks all that can be checked here; returns what `load_check` found out (which Auto class to load with, …).

    Raises ExportError, one line, for what is missing, unsafe, or does not load without this package.
    """
    check_folder(folder)
    try:
        validate_card((folder / "README.md").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{folder}/README.md: {' '.join(str(error).split())}") from None
    found = load_elsewhere(folder)
    if "problem" in found:
        raise ExportError(f"{folder}: does not load without hf_variants: {found['problem']}")
    return found


def load_elsewhere(folder: Path) -> dict[str, Any]:
    """Runs `load_check.py` on the folder in a fresh process that cannot import this package."""
    command = [sys.executable, "-I", load_check.__file__, str(folder.resolve())]
    offline = {} if is_adapter(folder) else {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | offline)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"the process ended with code {done.returncode}"])[-1]
        return {"problem": last}


# ---- the one commit ------------------------------------------------------------------------------------------------


def publish(folder: Path, to: Destination) -> Published:
    """Uploads a checked folder in one commit, downloads that commit and compares; adds it to a collection if asked.

    The token comes from the environment or `hf auth login`. Raises ExportError, one line, where the Hub refuses.
    """
    if get_token() is None:
        raise ExportError(f"{to.repo_id}: {NO_TOKEN} ({NOTHING})")
    get_session().timeout = PATIENCE
    api = HfApi(library_name="hf_variants")
    wanted = {name: Digest.of(folder / name) for name, _ in folder_files(folder)}
    with told_in_one_line(to.repo_id, NOTHING):
        info = _open(api, to)
        there = _find(api, to, wanted)
        commit = there or _commit(api, to, folder, wanted)
    with told_in_one_line(to.repo_id, f"committed as {commit}, but not compared"):
        _compare(api, to.repo_id, commit, wanted)
    if to.collection:
        with told_in_one_line(to.repo_id, f"published as {commit}, but not in the collection {to.collection}"):
            _collect(api, to, bool(info.private))
    return Published(to.repo_id, commit, f"{api.endpoint}/{to.repo_id}/commit/{commit}", there is None)


def _open(api: HfApi, to: Destination) -> ModelInfo:
    """The repository, created if it is missing, and the branch likewise."""
    try:
        info = api.model_info(to.repo_id)
    except RepositoryNotFoundError as error:
        if error.response.status_code != 404:  # a token that the Hub does not know is no missing repository
            raise
        api.create_repo(to.repo_id, private=to.private or None)
        info = api.model_info(to.repo_id)
    if to.private and not info.private:
        raise ExportError(f"{to.repo_id}: exists and is public; make it private in its settings, or drop --private")
    if to.branch:
        api.create_branch(to.repo_id, branch=to.branch, exist_ok=True)
    return info


def _find(api: HfApi, to: Destination, wanted: dict[str, Digest]) -> str | None:
    """The commit that holds all that is wanted, if there is one. Raises ExportError where the name is taken."""
    files = _tree(api, to.repo_id, to.revision)
    _refuse_foreign(to.repo_id, files, wanted)
    if _holds(files, wanted):
        return api.model_info(to.repo_id, revision=to.revision).sha
    if not to.create_pr:
        return None
    for proposal in api.get_repo_discussions(to.repo_id, discussion_type="pull_request", discussion_status="open"):
        revision = f"refs/pr/{proposal.num}"
        if proposal.title == MESSAGE and _holds(_tree(api, to.repo_id, revision), wanted):
            return api.model_info(to.repo_id, revision=revision).sha
    return None


def _tree(api: HfApi, repo_id: str, revision: str) -> dict[str, RepoFile]:
    listed = api.list_repo_tree(repo_id, recursive=True, revision=revision)
    return {file.path: file for file in listed if isinstance(file, RepoFile)}


def _refuse_foreign(repo_id: str, files: Iterable[str], wanted: Mapping[str, Digest]) -> None:
    foreign = sorted(path for path in files if path.endswith(LOADED) and path not in wanted)
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise ExportError(
            f"{repo_id}: is taken: it holds {shown}, which the folder lacks and from_pretrained may load; choose "
            "another --repo_id, or delete them there"
        )


def _holds(files: dict[str, RepoFile], wanted: dict[str, Digest]) -> bool:
    return all(path in files and digest.matches(files[path]) for path, digest in wanted.items())


def _commit(api: HfApi, to: Destination, folder: Path, wanted: dict[str, Digest]) -> str:
    parent = api.model_info(to.repo_id, revision=to.revision).sha
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in wanted]
    try:
        return api.create_commit(
            *(to.repo_id, operations),
            commit_message=MESSAGE,
            revision=to.branch,
            create_pr=to.create_pr,
            parent_commit=parent,
        ).oid
    except Exception as error:
        if not is_unclear(error):
            raise
        # the commit may have been made, and only the answer lost
        with told_in_one_line(to.repo_id, "whether the commit arrived could not be found out"):
            there = _find(api, to, wanted)
        if there is None:
            raise
        return there


def _compare(api: HfApi, repo_id: str, commit: str, wanted: dict[str, Digest]) -> None:
    """Downloads what was published, and raises ExportError unless every file is what was sent."""
    with tempfile.TemporaryDirectory() as cache:
        names = [glob.escape(name) for name in wanted]
        root = Path(api.snapshot_download(repo_id, revision=commit, cache_dir=cache, allow_patterns=names))
        differing = [n for n, digest in wanted.items() if not (root / n).is_file() or Digest.of(root / n) != digest]
    if differing:
        raise ExportError(
            f"{repo_id}: {', '.join(differing)} of commit {commit} is not what the folder held when it was sent; "
            "publish again"
        )


def _collect(api: HfApi, to: Destination, private: bool) -> None:
    """Adds the repository to a collection: an existing one by its slug (owner/…), or one of its owner by its title."""
    slug = to.collection
    if "/" not in slug:
        slug = api.create_collection(slug, namespace=to.repo_id.split("/")[0], private=private, exists_ok=True).slug
    api.add_collection_item(slug, to.repo_id, "model", exists_ok=True)


# ---- after ---------------------------------------------------------------------------------------------------------


def snippet(found: dict[str, Any], repo_id: str, commit: str) -> str:
    """The lines of Python that load what was published, at exactly this commit; `found` is what `check` returned."""
    trust = ", trust_remote_code=True" if found["remote_code"] else ""
    pinned = f'"{repo_id}", revision="{commit}"'
    auto = found["auto_class"]
    if "base" in found:
        base = f'"{found["base"]}"' + (f', revision="{found["base_revision"]}"' if found["base_revision"] else "")
        return "\n".join(
            [
                f"from peft import PeftModel\nfrom transformers import {auto}\n",
                f"base = {auto}.from_pretrained({base}{trust})",
                f"model = PeftModel.from_pretrained(base, {pinned})",
            ]
        )
    lines = [f"from transformers import {auto}" + (", AutoTokenizer" if found["tokenizer"] else ""), ""]
    lines += [f"model = {auto}.from_pretrained({pinned}{trust})"]
    lines += [f"tokenizer = AutoTokenizer.from_pretrained({pinned}{trust})"] if found["tokenizer"] else []
    return "\n".join(lines)
