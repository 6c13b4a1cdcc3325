# Copyright 2026 The hf_variants authors. MIT licence.
"""Publishing with the real client against a Hub on loopback: one commit, what fails and how, and going on after it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from hf_variants.auto import TABLE
from hf_variants.hub import load_check, publishing
from hf_variants.hub.export import export_folder, folder_files
from hf_variants.hub.publishing import Destination, Digest, load_elsewhere, publish, snippet
from hf_variants.hub.refusal import ExportError
from tests.helpers.hub_client import Clock, connected, environment
from tests.helpers.hub_server import OTHER, READER, WRITER, Fault
from tests.helpers.models import TINY, char_tokenizer, tiny_config
from training import publish as program
from training import train

CARD = "---\nlicense: mit\nlibrary_name: transformers\ntags:\n- minbert\n---\n# A model\n"
NAME = "user/name"
FOUND = {"auto_class": "AutoModel", "remote_code": True, "tokenizer": True}
GOES_ON = "run the same command again"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A good folder that tests copy before they change it."""
    root = tmp_path_factory.mktemp("exported")
    TABLE[0].classes[AutoModelForMaskedLM](tiny_config("minbert")).save_pretrained(root / "source")
    char_tokenizer().save_pretrained(root / "source")
    (root / "plot.png").write_bytes(b"\x89PNG" + bytes(200))
    return export_folder(root / "source", root / "model", CARD, {"record.json": {}}, {"plot.png": root / "plot.png"})


@pytest.fixture
def good(exported, tmp_path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with connected(tmp_path_factory.mktemp("home")) as (hub, _):
        yield hub


@pytest.fixture
def hub(connection, monkeypatch):
    """An empty Hub, and no waiting between the client's retries."""
    connection.clear()
    connection.clock = Clock(monkeypatch)
    return connection


def published_files(hub, ref: str = "main", repo_id: str = NAME) -> dict[str, bytes]:
    repository = hub.repositories[repo_id]
    return {n: d for n, d in repository.commits[repository.refs[ref]].files.items() if n != ".gitattributes"}


def local_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name, _ in folder_files(folder)}


def titles(hub, ref: str = "main") -> list[str]:
    return [commit.title for commit in hub.repositories[NAME].history(ref)]


def refusal(folder: Path, **where) -> str:
    """The one line with which publishing ends."""
    with pytest.raises(ExportError) as error:
        publish(folder, Destination(**{"repo_id": NAME} | where))
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- where it goes -------------------------------------------------------------------------------------------------


def test_everything_goes_in_one_commit_and_again_changes_nothing(good, hub):
    (good / "deep").mkdir()
    (good / "deep" / "a[1].txt").write_text("a name that is a pattern")
    (good / "__pycache__").mkdir()
    (good / "__pycache__" / "x.pyc").write_bytes(b"x")
    first = publish(good, Destination(NAME))
    assert titles(hub) == ["Upload model", "initial commit"] and published_files(hub) == local_files(good)
    assert first.new and first.url == f"{hub.url}/{NAME}/commit/{first.commit}"
    assert hub.repositories[NAME].refs == {"main": first.commit}
    hub.requests.clear()
    again = publish(good, Destination(NAME))
    assert (again.commit, again.new) == (first.commit, False)
    assert hub.changes() == [] and len(titles(hub)) == 2


def test_a_changed_folder_is_one_more_commit_of_what_changed(good, hub):
    publish(good, Destination(NAME))
    hub.requests.clear()
    (good / "README.md").write_text(CARD + "More.\n")
    assert publish(good, Destination(NAME)).new
    assert len(titles(hub)) == 3 and published_files(hub) == local_files(good)
    assert not any(method == "PUT" for method, _ in hub.requests)


@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository_is_as_private_as_asked(good, hub, private):
    publish(good, Destination(NAME, private=private))
    assert hub.repositories[NAME].private == private
    if not private:
        assert "exists and is public; make it private" in refusal(good, private=True)


def test_a_branch_is_created_and_main_stays(good, hub):
    commit = publish(good, Destination(NAME, branch="trial/1")).commit
    assert publish(good, Destination(NAME, branch="trial/1")).commit == commit
    assert titles(hub, "trial/1") == ["Upload model", "initial commit"] and titles(hub) == ["initial commit"]
    assert published_files(hub, "trial/1") == local_files(good) and published_files(hub) == {}


def test_a_pull_request_is_made_once(good, hub, monkeypatch):
    first = publish(good, Destination(NAME))
    (good / "README.md").write_text(CARD + "Better.\n")
    monkeypatch.setenv("HF_TOKEN", OTHER)
    assert "use one with write permission there, or propose it with --create_pr" in refusal(good)
    proposed = publish(good, Destination(NAME, create_pr=True))
    assert publish(good, Destination(NAME, create_pr=True)).commit == proposed.commit
    repository = hub.repositories[NAME]
    assert repository.refs == {"main": first.commit, "refs/pr/1": proposed.commit}
    assert published_files(hub, "refs/pr/1") == local_files(good)


@pytest.mark.parametrize("collection", ["Our models", "user/our-models-" + "0" * 24])
def test_a_collection_holds_it_once(good, hub, collection):
    publish(good, Destination(NAME, collection="Our models"))
    publish(good, Destination(NAME, collection=collection))
    (found,) = hub.collections.values()
    assert found["title"] == "Our models" and [item["id"] for item in found["items"]] == [NAME]


def test_an_unknown_collection_is_told_and_what_is_published_stays(good, hub):
    line = refusal(good, collection="user/nothing-there")
    commit = hub.repositories[NAME].refs["main"]
    assert f"published as {commit}, but not in the collection user/nothing-there" in line
    assert published_files(hub) == local_files(good)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model-00001-of-00002.safetensors", "old.py", "vocab.txt"])
def test_a_name_with_files_that_would_load_instead_is_taken(good, hub, name):
    publish(good, Destination(NAME))
    hub.repositories[NAME].add("main", "by hand", published_files(hub) | {name: b"x"}, None)
    (good / "README.md").write_text(CARD + "Another.\n")
    assert re.search(rf"is taken: it holds {re.escape(name)}, .*choose another --repo_id", refusal(good))
    assert titles(hub) == ["by hand"]


def test_files_of_somebody_else_that_never_load_stay(good, hub):
    publish(good, Destination(NAME))
    hub.repositories[NAME].add("main", "by hand", published_files(hub) | {"notes.md": b"x"}, None)
    (good / "README.md").write_text(CARD + "Another.\n")
    publish(good, Destination(NAME))
    assert published_files(hub) == local_files(good) | {"notes.md": b"x"}


# ---- what goes wrong there -----------------------------------------------------------------------------------------

ALWAYS = 99
LOST = "the connection was lost"
FAULTS = {
    "token refused": (Fault("GET", "/api/models", 401), "the Hub does not accept the token; log in again"),
    "no permission": (Fault("POST", "/repos/create", 403), "the token may not write to user; use one with write"),
    "name taken": (Fault("POST", "/repos/create", 409), "the name is taken.*choose another --repo_id"),
    "rate limit": (Fault("POST", "/repos/create", 429, {"Retry-After": "60"}), f"wait 60 s, then {GOES_ON}"),
    "rate limit at the commit": (Fault("POST", "/commit/", 429), f"rate limit: wait a few minutes, then {GOES_ON}"),
    "moved meanwhile": (Fault("POST", "/commit/", 412), "somebody else committed meanwhile"),
    "broken Hub": (Fault("POST", "/preupload/", 500, times=ALWAYS), rf"problem \(status 500\).*{GOES_ON}"),
    "broken at the commit": (Fault("POST", "/commit/", 500), rf"problem \(status 500\).*{GOES_ON}"),
    "broken store": (Fault("PUT", "/lfs/", 500, times=ALWAYS), rf"problem \(status 500\).*{GOES_ON}"),
    "cut within a file": (Fault("PUT", "/lfs/", cut="request", after=5000, times=ALWAYS), f"{LOST}.*{GOES_ON}"),
    "cut after a file": (Fault("PUT", "/lfs/", cut="answer", times=ALWAYS), f"{LOST}.*{GOES_ON}"),
    "cut within the commit": (Fault("POST", "/commit/", cut="request", after=500), f"{LOST}.*{GOES_ON}"),
    "cut while looking": (Fault("GET", "/tree/", cut="response", after=9, times=ALWAYS), f"{LOST}.*{GOES_ON}"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_failure_is_one_line_leaves_nothing_and_a_retry_goes_on(good, hub, what):
    fault, line = FAULTS[what]
    hub.faults = [Fault(**vars(fault))]
    assert re.search(f"^user/name: .*{line}.*nothing was published", refusal(good))
    assert NAME not in hub.repositories or titles(hub) == ["initial commit"]
    hub.faults.clear()
    hub.requests.clear()
    arrived = set(hub.large)
    assert publish(good, Destination(NAME)).new
    assert titles(hub) == ["Upload model", "initial commit"] and published_files(hub) == local_files(good)
    sent = {path.rsplit("/", 1)[1] for method, path in hub.requests if method == "PUT"}
    assert sent == set(hub.large) - arrived
    assert not publish(good, Destination(NAME)).new


PASSING = {
    "rate limit": (Fault("POST", "/preupload/", 429, {"Retry-After": "7"}), [8]),
    "broken store": (Fault("PUT", "/lfs/", 503, times=2), [1, 1]),  # two files, each once
    "cut within a file": (Fault("PUT", "/lfs/", cut="request", after=5000), [1]),
    "lost answer to the commit": (Fault("POST", "/commit/", cut="answer"), []),
    "cut within a download": (Fault("GET", "/resolve/.*safetensors", cut="response", after=5000), []),
}


@pytest.mark.parametrize("what", PASSING)
def test_what_passes_is_waited_out(good, hub, what):
    fault, waits = PASSING[what]
    hub.faults = [Fault(**vars(fault))]
    publish(good, Destination(NAME))
    assert hub.faults[0].times == 0 and sum(hub.clock.slept) >= sum(waits) and bool(waits) == bool(hub.clock.slept)
    assert titles(hub) == ["Upload model", "initial commit"] and published_files(hub) == local_files(good)


def test_whoever_has_lost_the_answer_and_the_network_is_told_that_it_is_not_known(good, hub):
    hub.faults = [Fault("POST", "/commit/", cut="answer")]
    whole = hub.fault

    def network(method, path):
        return Fault(method, path, cut="request") if "/tree/" in path and titles(hub)[0] != "initial commit" else None

    hub.fault = lambda method, path: network(method, path) or whole(method, path)
    try:
        assert "whether the commit arrived could not be found out" in refusal(good)
    finally:
        del hub.fault
    assert not publish(good, Destination(NAME)).new


def test_a_connection_that_falls_silent_is_given_up(good, hub, monkeypatch):
    monkeypatch.setattr(publishing, "PATIENCE", 0.3)
    hub.faults = [Fault("POST", "/commit/", cut="stall")]
    assert LOST in refusal(good) and titles(hub) == ["initial commit"]
    assert publish(good, Destination(NAME)).new


@pytest.mark.parametrize("token", [READER, OTHER, "hf_" + "unknown"])
def test_a_token_that_may_not_write_creates_nothing(good, hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    assert "nothing was published" in refusal(good)
    assert hub.repositories == {} and hub.large == {}


def test_without_a_token_nothing_is_asked(good, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert refusal(good).startswith("user/name: no token: run `hf auth login`, or set HF_TOKEN") and not hub.requests


def test_offline_is_named(good, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set: unset it" in refusal(good) and not hub.requests


def test_what_the_hub_gives_back_is_compared(good, hub, monkeypatch):
    commit = publish(good, Destination(NAME)).commit
    repository = hub.repositories[NAME]
    same_tree = [publishing.RepoFile(path=n, size=1, oid=Digest.of(good / n).git) for n in local_files(good)]
    monkeypatch.setattr(publishing, "_tree", lambda *_: {file.path: file for file in same_tree})
    repository.commits[commit].files["config.json"] += b" "
    assert f"config.json of commit {commit} is not what the folder held" in refusal(good)


# ---- what is refused before ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["name", "", "user/a/b", "user/na--me", "user/..", "user/na me", "user/-name", "user/" + "x" * 97]
)
def test_a_bad_name_is_refused(name):
    with pytest.raises(ExportError, match="allowed is user/name"):
        Destination(name)


@pytest.mark.parametrize("where", [{"branch": "refs/pr/1"}, {"branch": ""}, {"branch": "b", "create_pr": True}])
def test_a_bad_branch_is_refused(where):
    with pytest.raises(ExportError, match="--branch"):
        Destination(NAME, **where)


def test_a_digest_is_git_s_and_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"what is up, doc?")  # the example of the Pro Git book
    assert Digest.of(tmp_path / "x").git == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"


def test_the_folder_loads_in_a_process_without_this_package(good):
    expected = {"auto_class": "AutoModelForMaskedLM", "remote_code": True, "tokenizer": True}
    assert load_elsewhere(good) == expected


def change_config(folder: Path, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def drop_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "key.weight" in name)]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


MISFITS = {
    "sizes": (lambda folder: change_config(folder, intermediate_size=50), "size"),
    "layers": (lambda folder: change_config(folder, num_hidden_layers=1), "unexpected keys.* and [0-9]+ more"),
    "a weight": (drop_a_weight, "weights and config.json disagree: missing keys of MinBertForMaskedLM: .*key.weight"),
    "tokens": (
        lambda folder: char_tokenizer("".join(map(chr, range(256, 400)))).save_pretrained(folder),
        "vocab_size of 99",
    ),
    "a value": (lambda folder: change_config(folder, num_attention_heads=5), "num_attention_heads"),
    "no weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "Error"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_parts_that_do_not_fit_are_named(good, what):
    spoil, words = MISFITS[what]
    spoil(good)
    problem = load_check.check(good)["problem"]
    assert re.search(words, problem) and "\n" not in problem


def test_a_model_of_transformers_needs_no_remote_code(tmp_path):
    BertForMaskedLM(BertConfig(**TINY)).save_pretrained(tmp_path)
    found = load_check.check(tmp_path)
    assert found == {"auto_class": "AutoModelForMaskedLM", "remote_code": False, "tokenizer": False}
    assert "trust" not in snippet(found, NAME, "c" * 40) and "AutoTokenizer" not in snippet(found, NAME, "c" * 40)


# ---- the program ---------------------------------------------------------------------------------------------------


def call(capsys, folder: Path, *flags: str, repo_id: str = NAME) -> tuple[int, str, str]:
    """The program's exit code, and what it wrote."""
    with pytest.raises(SystemExit) as stop:
        program.main(["--model_dir", str(folder), "--repo_id", repo_id, *flags])
    return stop.value.code, *capsys.readouterr()


@pytest.fixture
def loads(monkeypatch):
    """The check in a fresh process is left out; it has tests of its own."""
    monkeypatch.setattr(publishing, "load_elsewhere", lambda folder: FOUND)


def test_the_program_prints_how_to_load_the_commit(good, hub, loads, capsys):
    code, out, _ = call(capsys, good, "--collection", "Ours")
    commit = hub.repositories[NAME].refs["main"]
    assert code == 0 and out.startswith(f"published: {hub.url}/{NAME}/commit/{commit}\n") and hub.collections
    pinned = f'from_pretrained("{NAME}", revision="{commit}", trust_remote_code=True)'
    assert f"\nmodel = AutoModel.{pinned}\ntokenizer = AutoTokenizer.{pinned}\n" in out
    code, out, _ = call(capsys, good)
    assert code == 0 and out.startswith("nothing changed since") and pinned in out and len(titles(hub)) == 2


def test_a_dry_run_lists_what_would_go_and_the_card(good, hub, loads, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    code, out, _ = call(capsys, good, "--dry_run", "--branch", "trial")
    assert code == 0 and hub.requests == []
    for name, size in folder_files(good):
        assert re.search(rf"^ *{size:,}  {re.escape(name)}$", out, flags=re.MULTILINE)
    assert CARD in out and out.endswith("would go to user/name in one commit, to trial\n")


TOKEN = "hf" + "_" + "aB3" * 8
BAD = {
    "no card": (lambda folder: (folder / "README.md").unlink(), "README.md is missing"),
    "no licence": (lambda folder: (folder / "README.md").write_text("# A\n"), "README.md: the card's metadata"),
    "a token": (lambda folder: (folder / "run.sh").write_text(f"login {TOKEN}\n"), "run.sh: line 1 holds what looks"),
    "a pickle": (lambda folder: torch.save({}, folder / "notes"), "notes: looks like a pickle"),
    "a half config": (lambda folder: (folder / "config.json").write_text('{"model_'), "config.json: not valid JSON"),
    "no folder": (shutil.rmtree, "config.json is missing"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_folder_is_refused_in_one_line_before_any_request(good, hub, capsys, what):
    spoil, words = BAD[what]
    spoil(good)
    code, out, err = call(capsys, good)
    assert (code, out) == (2, "") and re.fullmatch(rf"error: .*{words}.*\n", err) and TOKEN not in err
    assert hub.requests == []


def test_a_bad_name_is_refused_in_one_line(good, hub, capsys):
    code, out, err = call(capsys, good, repo_id="user/na me")
    assert (code, out) == (2, "") and err.startswith("error: --repo_id 'user/na me': allowed is user/name")
    code, _, err = call(capsys, good, "--branch", "b", "--create_pr")
    assert code == 2 and err.count("\n") == 1 and hub.requests == []


def test_what_does_not_load_is_refused_before_any_request(good, hub, capsys, monkeypatch):
    drop_a_weight(good)
    monkeypatch.setattr(publishing, "load_elsewhere", load_check.check)  # in this process: sooner
    code, out, err = call(capsys, good)
    assert (code, out, hub.requests) == (2, "", [])
    assert re.match("error: .*does not load without hf_variants: weights and config.json disag", err.splitlines()[-1])


def test_a_failure_there_is_one_line_of_the_program(good, hub, loads, capsys):
    hub.faults = [Fault("POST", "/repos/create", 403)]
    code, out, err = call(capsys, good)
    assert (code, out) == (2, "") and err.splitlines()[-1].startswith("error: user/name: the token may not write")


def test_training_publishes_with_the_same_function(good, hub, loads, capsys):
    train.publish(good, Destination(NAME))
    commit = hub.repositories[NAME].refs["main"]
    assert published_files(hub) == local_files(good) and f'revision="{commit}"' in capsys.readouterr().out


def test_training_refuses_a_bad_name_before_it_starts(hub, tmp_path, capsys):
    recipe = Path(train.__file__).parent / "recipes" / "minbert_pydoc.yaml"
    with pytest.raises(SystemExit) as stop:
        train.main(
            ["--config", str(recipe), "--output_dir", str(tmp_path / "x"), "--push_to_hub", "--repo_id", "user/na me"]
        )
    assert stop.value.code == 2 and "error: --repo_id 'user/na me'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_the_program_in_a_process_of_its_own(exported, hub, tmp_path):
    command = [sys.executable, program.__file__, "--model_dir", exported, "--repo_id", NAME]
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            list(map(str, command)), env=environment(hub, tmp_path, HF_TOKEN=WRITER), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert titles(hub) == ["Upload model", "initial commit"] and published_files(hub) == local_files(exported)
    assert outputs[0].startswith("published: ") and outputs[1].startswith("nothing changed since ")


@pytest.mark.slow
def test_sixty_megabytes_go_through_lfs_and_survive_a_cut(good, hub):
    save_file({"weight": torch.rand(15_000_000)}, good / "model.safetensors")
    hub.faults = [Fault("PUT", "/lfs/", cut="request", after=30_000_000, times=ALWAYS)]
    assert LOST in refusal(good) and titles(hub) == ["initial commit"]
    hub.faults.clear()
    publish(good, Destination(NAME))
    assert published_files(hub) == local_files(good)
    hub.repositories[NAME].refs["main"] = hub.repositories[NAME].history()[1].oid  # as if the commit had failed
    hub.requests.clear()
    publish(good, Destination(NAME))
    assert published_files(hub) == local_files(good) and not any(method == "PUT" for method, _ in hub.requests)
