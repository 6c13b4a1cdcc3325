# Copyright 2026 The hf_variants authors. MIT licence.
"""A small Hub on loopback: enough of its REST API for the real client, kept in memory, and faults on demand.

Repositories of models with commits, branches, pull requests, large files (LFS) and collections. Xet is not spoken:
clients set HF_HUB_DISABLE_XET=1. Three users: see TOKENS.
"""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# token -> user, and whether it may write; put together so that no scanner takes them for real ones
TOKENS = {"hf" + "_writer": ("user", True), "hf" + "_reader": ("user", False), "hf" + "_other": ("other", True)}
WRITER, READER, OTHER = TOKENS
LARGE = (".safetensors", ".png", ".bin")  # these go through LFS, whatever their size
NOW = "2026-01-01T00:00:00.000Z"


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and path match.

    `status` is answered with `headers`; or the connection is cut: within the "request" (after `after` bytes of its
    body), within the "response" (after `after` bytes), or just before the "answer", when all is done; "stall" keeps it
    open and says nothing more.
    """

    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None
    after: int = 0
    times: int = 1


@dataclass
class Commit:
    """The files of a repository at one moment: `{path: content}`, large ones included."""

    oid: str
    title: str
    parent: str | None
    files: dict[str, bytes]


@dataclass
class Repository:
    """A repository: its commits, what points to them, and the pull requests (number -> title)."""

    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    proposals: dict[int, str] = field(default_factory=dict)

    def add(self, ref: str, title: str, files: dict[str, bytes], parent: str | None) -> Commit:
        """Makes `files` the state of `ref`."""
        text = f"{len(self.commits)} {title} {sorted(files)}"
        commit = Commit(hashlib.sha1(text.encode()).hexdigest(), title, parent, dict(files))
        self.commits[commit.oid] = commit
        self.refs[ref] = commit.oid
        return commit

    def history(self, ref: str = "main") -> list[Commit]:
        """The commits behind a reference, newest first."""
        found, oid = [], self.refs.get(ref)
        while oid:
            found.append(self.commits[oid])
            oid = self.commits[oid].parent
        return found


class Refusal(Exception):  # noqa: N818
    """An answer other than 200."""

    def __init__(self, status: int, message: str, code: str = "", body: Any = None):
        super().__init__(message)
        self.status, self.body = status, body if body is not None else {"error": message}
        self.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})


class Hub:
    """The state of the server, and what it does for each request."""

    def __init__(self) -> None:
        self.clear()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.lock = threading.Lock()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def clear(self) -> None:
        """Forgets everything."""
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []

    def changes(self) -> list[tuple[str, str]]:
        """The requests so far that were meant to change something."""
        harmless = ("/preupload/", "/objects/batch", "validate-yaml", "/paths-info/")
        return [(m, p) for m, p in self.requests if m not in ("GET", "HEAD") and not any(h in p for h in harmless)]

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault to commit now, if any; one use of it is spent."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    # ---- rights ----

    def user(self, token: str | None) -> tuple[str | None, bool]:
        if token is None:
            return None, False
        if token not in TOKENS:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return TOKENS[token]

    def readable(self, repo_id: str, token: str | None) -> Repository:
        name, _ = self.user(token)
        repository = self.repositories.get(repo_id)
        if repository is None or (repository.private and name != repo_id.split("/")[0]):
            raise Refusal(404 if name else 401, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, repo_id: str, token: str | None, propose: bool = False) -> Repository:
        repository = self.readable(repo_id, token)
        name, may_write = self.user(token)
        if not may_write or (name != repo_id.split("/")[0] and not propose):
            raise Refusal(403, "you do not have the rights to write here")
        return repository

    def at(self, repository: Repository, revision: str) -> Commit:
        oid = repository.refs.get(revision, revision)
        if oid not in repository.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repository.commits[oid]

    # ---- requests; each takes the groups of its path, the query, the body and the token ----

    def create(self, query: dict, body: dict, token: str | None) -> dict:
        name, may_write = self.user(token)
        owner = body.get("organization") or name
        repo_id = f"{owner}/{body['name']}"
        if name is None:
            raise Refusal(401, "Invalid username or password.")
        if owner != name or not may_write:
            raise Refusal(403, f'You don\'t have the rights to create a model under the namespace "{owner}"')
        if repo_id in self.repositories:
            raise Refusal(409, "You already created this model repo", body={"url": f"{self.url}/{repo_id}"})
        self.repositories[repo_id] = repository = Repository(private=body.get("visibility") == "private")
        repository.add("main", "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"}, None)
        return {"url": f"{self.url}/{repo_id}", "name": repo_id}

    def info(self, repo_id: str, revision: str | None, query: dict, body: Any, token: str | None) -> dict:
        repository = self.readable(repo_id, token)
        commit = self.at(repository, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        about = {"id": repo_id, "modelId": repo_id, "sha": commit.oid, "private": repository.private, "tags": []}
        return about | {"siblings": siblings, "downloads": 0, "likes": 0}

    def tree(self, repo_id: str, revision: str, folder: str | None, query: dict, body: Any, token: str | None) -> list:
        commit = self.at(self.readable(repo_id, token), revision)
        prefix = f"{folder}/" if folder else ""
        found = [_entry(path, data) for path, data in sorted(commit.files.items()) if path.startswith(prefix)]
        if not found and folder:
            raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
        return found

    def preupload(self, repo_id: str, revision: str, query: dict, body: dict, token: str | None) -> dict:
        files = self.at(self.writable(repo_id, token, "create_pr" in query), revision).files
        return {"files": [_upload_mode(file["path"], files) for file in body["files"]]}

    def batch(self, repo_id: str, query: dict, body: dict, token: str | None) -> dict:
        self.readable(repo_id, token)
        objects = []
        for wanted in body["objects"]:
            known = wanted["oid"] in self.large
            actions = {"upload": {"href": f"{self.url}/lfs/{wanted['oid']}"}, "verify": {"href": f"{self.url}/verify"}}
            objects.append(wanted if known else wanted | {"actions": actions})
        return {"transfer": "basic", "objects": objects}

    def store(self, oid: str, query: dict, body: bytes, token: str | None) -> dict:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refusal(400, "the content does not have this hash")
        self.large[oid] = body
        return {}

    def verify(self, query: dict, body: dict, token: str | None) -> dict:
        if len(self.large.get(body["oid"], b"")) != body["size"]:
            raise Refusal(404, "no such object")
        return {}

    def commit(self, repo_id: str, revision: str, query: dict, body: bytes, token: str | None) -> dict:
        """All operations or none."""
        repository = self.writable(repo_id, token, "create_pr" in query)
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        head = self.at(repository, revision)
        if header.get("parentCommit") not in (None, head.oid):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines:
            self.apply(line["key"], line["value"], files)
        number = len(repository.proposals) + 1
        ref = f"refs/pr/{number}" if "create_pr" in query else revision
        new = repository.add(ref, header["summary"], files, head.oid)
        answer = {"success": True, "commitOid": new.oid, "commitUrl": f"{self.url}/{repo_id}/commit/{new.oid}"}
        if "create_pr" in query:
            repository.proposals[number] = header["summary"]
            answer["pullRequestUrl"] = f"{self.url}/{repo_id}/discussions/{number}"
        return answer

    def apply(self, key: str, value: dict, files: dict[str, bytes]) -> None:
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in self.large:
                raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
            files[value["path"]] = self.large[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]

    def branch(self, repo_id: str, name: str, query: dict, body: dict, token: str | None) -> dict:
        repository = self.writable(repo_id, token)
        if name in repository.refs:
            raise Refusal(409, "Reference already exists")
        repository.refs[name] = self.at(repository, body.get("startingPoint") or "main").oid
        return {}

    def discussions(self, repo_id: str, query: dict, body: Any, token: str | None) -> dict:
        about = {"author": {"name": "user"}, "createdAt": NOW, "status": "open", "isPullRequest": True}
        about |= {"repo": {"name": repo_id, "type": "model"}}
        proposals = self.readable(repo_id, token).proposals
        found = [about | {"num": number, "title": title} for number, title in proposals.items()]
        return {"count": len(found), "start": 0, "discussions": found}

    def validate(self, query: dict, body: dict, token: str | None) -> dict:
        return {"errors": [], "warnings": []}

    def new_collection(self, query: dict, body: dict, token: str | None) -> dict:
        slug = f"{body['namespace']}/{re.sub(r'[^a-z0-9]+', '-', body['title'].lower())}-{'0' * 24}"
        if self.user(token) != (body["namespace"], True):
            raise Refusal(403, "you do not have the rights to create a collection here")
        if slug in self.collections:
            raise Refusal(409, "collection exists", body={"slug": slug})
        about = {"slug": slug, "title": body["title"], "owner": {"name": body["namespace"]}, "items": []}
        about |= {"lastUpdated": NOW, "position": 0, "private": body["private"], "theme": "blue", "upvotes": 0}
        self.collections[slug] = about
        return about

    def collection(self, slug: str, query: dict, body: Any, token: str | None) -> dict:
        if slug not in self.collections:
            raise Refusal(404, "no such collection")
        return self.collections[slug]

    def add_item(self, slug: str, query: dict, body: dict, token: str | None) -> dict:
        items = self.collection(slug, query, None, token)["items"]
        if any(item["id"] == body["item"]["id"] for item in items):
            raise Refusal(409, "item exists")
        items.append(body["item"] | {"_id": str(len(items)), "position": len(items)})
        return self.collections[slug]


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _entry(path: str, data: bytes) -> dict[str, Any]:
    if not path.endswith(LARGE):
        return {"type": "file", "path": path, "size": len(data), "oid": _git_oid(data)}
    lfs = {"oid": _sha256(data), "size": len(data), "pointerSize": 130}
    return {"type": "file", "path": path, "size": len(data), "oid": _git_oid(lfs["oid"].encode()), "lfs": lfs}


def _upload_mode(path: str, files: dict[str, bytes]) -> dict[str, Any]:
    mode = {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False}
    if path in files:
        mode["oid"] = _sha256(files[path]) if path.endswith(LARGE) else _git_oid(files[path])
    return mode


REPO, REVISION = r"([^/]+/[^/]+)", r"([^/]+)"
ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("POST", r"/api/repos/create", Hub.create),
    ("POST", r"/api/validate-yaml", Hub.validate),
    ("GET", rf"/api/models/{REPO}/tree/{REVISION}(?:/([^/]+))?", Hub.tree),
    ("GET", rf"/api/models/{REPO}/discussions", Hub.discussions),
    ("GET", rf"/api/models/{REPO}(?:/revision/{REVISION})?", Hub.info),
    ("POST", rf"/api/models/{REPO}/preupload/{REVISION}", Hub.preupload),
    ("POST", rf"/api/models/{REPO}/commit/{REVISION}", Hub.commit),
    ("POST", rf"/api/models/{REPO}/branch/{REVISION}", Hub.branch),
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", Hub.batch),
    ("PUT", r"/lfs/(\w+)", Hub.store),
    ("POST", r"/verify", Hub.verify),
    ("POST", r"/api/collections", Hub.new_collection),
    ("GET", r"/api/collections/([^/]+/[^/]+)", Hub.collection),
    ("POST", r"/api/collections/([^/]+/[^/]+)/items", Hub.add_item),
]
FILE = rf"/{REPO}/resolve/{REVISION}/(.+)"


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    token: str | None = None

    def log_message(self, *arguments: Any) -> None:
        """Keeps quiet."""

    def do_GET(self) -> None:  # noqa: N802
        self.serve()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def serve(self) -> None:
        """One request: its fault, or its answer."""
        path = urlsplit(self.path).path
        self.hub.requests.append((self.command, path))
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        fault = self.hub.fault(self.command, path)
        if fault and fault.cut == "request":
            return self.cut(fault.after)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if not self.chunked() else self.unchunk()
        if fault and fault.cut == "stall":
            threading.Event().wait(30)
            return self.hang_up()
        if fault and fault.status:
            return self.answer(fault.status, b'{"error": "a fault"}', fault.headers)
        try:
            status, data, headers = self.result(path, body)
        except Refusal as refusal:
            status, data, headers = refusal.status, json.dumps(refusal.body).encode(), refusal.headers
        if fault and fault.cut == "answer":
            return self.cut(0)
        self.answer(status, data, headers, fault.after if fault and fault.cut == "response" else None)

    def chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def unchunk(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def result(self, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        query = parse_qs(urlsplit(self.path).query)
        found = re.fullmatch(FILE, path)
        if found and self.command in ("GET", "HEAD"):
            return self.file(*map(unquote, found.groups()))
        for method, pattern, function in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == self.command:
                groups = [group and unquote(group) for group in found.groups()]
                content = body if function in (Hub.store, Hub.commit) else json.loads(body or b"null")
                with self.hub.lock:
                    answer = function(self.hub, *groups, query, content, self.token)
                return 200, json.dumps(answer).encode(), {"Content-Type": "application/json"}
        raise Refusal(404, f"not spoken here: {self.command} {path}")

    def file(self, repo_id: str, revision: str, path: str) -> tuple[int, bytes, dict[str, str]]:
        commit = self.hub.at(self.hub.readable(repo_id, self.token), revision)
        if path not in commit.files:
            refusal = Refusal(404, "Entry not found", "EntryNotFound")
            return 404, b"", refusal.headers | {"X-Repo-Commit": commit.oid}
        data = commit.files[path]
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{_git_oid(data)}"'}
        if path.endswith(LARGE):
            headers |= {"X-Linked-Etag": f'"{_sha256(data)}"', "X-Linked-Size": str(len(data))}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if not wanted:
            return 200, data, headers
        start = int(wanted[1])
        return 206, data[start:], headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}

    def answer(self, status: int, data: bytes, headers: dict[str, str], stop: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:stop])
        if stop is not None:
            self.wfile.flush()
            self.hang_up()

    def cut(self, after: int) -> None:
        self.rfile.read(min(after, int(self.headers.get("Content-Length") or 0)))
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, no goodbye
        self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


if __name__ == "__main__":
    hub = Hub()
    print(f"HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_TOKEN={WRITER}", flush=True)
    threading.Event().wait()
