# Copyright 2026 The hf_variants authors. MIT licence.
"""Streams a data set from a Hub in this process, with the real `datasets`: a program, because clients read their
settings once. Prints what it found as one line of JSON."""

import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
ONLINE = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
os.environ.update(ONLINE | {"HF_HOME": tempfile.mkdtemp(), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"})

from tests.helpers import hub_server  # noqa: E402
from tests.helpers.hub_server import REPO, REVISION, ROUTES, Hub, _entry, _Handler  # noqa: E402

DOCUMENTS = [f"document {number} {'word ' * (number % 9)}" for number in range(400)]


def _directory(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}


def paths_info(hub: Hub, repo_id: str, revision: str, query: dict, body: dict, token: str | None) -> list:
    files = hub.at(hub.readable(repo_id, token), revision).files
    folders = [path for path in body["paths"] if any(name.startswith(f"{path}/") for name in files)]
    return [_entry(path, files[path]) for path in body["paths"] if path in files] + list(map(_directory, folders))


def tree(hub: Hub, repo_id: str, revision: str, folder: str | None, query: dict, body: Any, token: str | None) -> list:
    files, prefix = hub.at(hub.readable(repo_id, token), revision).files, f"{folder}/" if folder else ""
    inside = {path: path.removeprefix(prefix) for path in sorted(files) if path.startswith(prefix)}
    folders = sorted({prefix + rest.split("/")[0] for rest in inside.values() if "/" in rest})
    recursive = query.get("recursive", ["false"])[0].lower() == "true"
    found = [_entry(path, files[path]) for path, rest in inside.items() if recursive or "/" not in rest]
    return list(map(_directory, folders)) + found


class Handler(_Handler):
    """Answers what `datasets` asks beside what models need."""

    def result(self, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        path = re.sub("^/datasets/", "/", re.sub("^/api/datasets/", "/api/models/", path))
        if "/paths-info/" in path and not body.startswith(b"{"):
            body = json.dumps({"paths": parse_qs(body.decode())["paths"]}).encode()
        return super().result(path, body)

    def file(self, repo_id: str, revision: str, path: str) -> tuple[int, bytes, dict[str, str]]:
        status, data, headers = super().file(repo_id, revision, path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if status != 200 or not wanted:
            return status, data, headers
        start, end = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
        return 206, data[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}


def start_hub() -> tuple[Hub, str]:
    """A Hub with a data set of four shards, and its commit."""
    import pandas

    ROUTES.insert(0, ("GET", rf"/api/models/{REPO}/tree/{REVISION}(?:/([^/]+))?", tree))
    ROUTES.append(("POST", rf"/api/models/{REPO}/paths-info/{REVISION}", paths_info))
    hub_server._Handler = Handler
    hub = Hub()
    hub.create({}, {"name": "corpus"}, hub_server.WRITER)
    files = {"README.md": b"---\nlicense: mit\n---\n"}
    for number in range(4):
        buffer = io.BytesIO()
        pandas.DataFrame({"text": DOCUMENTS[100 * number : 100 * number + 100], "n": range(100)}).to_parquet(buffer)
        files[f"data/train-{number:05d}-of-00004.parquet"] = buffer.getvalue()
    repository = hub.repositories["user/corpus"]
    return hub, repository.add("main", "data", files, repository.refs["main"]).oid


def main() -> None:
    """Runs the program."""
    hub, commit = start_hub()
    os.environ["HF_ENDPOINT"] = hub.url
    import datasets
    import huggingface_hub
    import numpy as np

    from hf_variants.experiments.engine.prepared import prepare
    from tests.experiments.text.test_streaming import batches, recipe_of

    def read(workers: int) -> tuple[Any, Any]:
        changes = {"data.held_out_documents": 20, "data.workers": workers, "data.shuffle_buffer": 0}
        prepared = prepare(recipe := recipe_of("user/corpus", changes))
        return prepared, prepared.order(recipe.training)

    prepared, order = read(0)
    first, position = batches(order, 60), order.position(60)
    expected = np.concatenate([first, batches(order, 30, 60)])
    other = read(3)[1]
    found = {"same_with_workers": bool((batches(other, 90) == expected).all())}
    other.go_to(position)
    found["same_resumed"] = bool((other.rows(60) == expected[60]).all())
    found["validation"] = prepared.corpus.splits["validation"] == DOCUMENTS[:20]
    about = prepared.describe()
    found |= {"hub_id": about["hub_id"] == "user/corpus", "commit": commit in about["fingerprint_of"]}
    datasets.load_dataset("user/corpus")  # into the cache, from which it is streamed where there is no network
    hub.close()
    for module in (huggingface_hub.constants, datasets.config):
        module.HF_HUB_OFFLINE = True
    prepared, order = read(0)
    found["same_offline"] = bool((batches(order, 9) == expected[:9]).all())
    found["same_commit_offline"] = commit in prepared.describe()["fingerprint_of"]
    found["other_shards_are_known"] = prepared.corpus.fingerprint != about["fingerprint"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
