# Copyright 2026 The hf_variants authors. MIT licence.
"""What a folder must hold to be exported, and what keeps it from being so. Uploading: test_publishing.py."""

import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from hf_variants.auto import TABLE
from hf_variants.hub import export
from hf_variants.hub.export import check_folder, export_folder, folder_files
from hf_variants.hub.refusal import ExportError
from tests.helpers.models import TINY, char_tokenizer, tiny_config

CARD = "---\nlibrary_name: transformers\n---\n# A model\n"
# put together here, so that no scanner of this repository's text takes them for real ones
FAKES = (
    "hf" + "_" + "aB3" * 8,
    "api" + "_org_" + "aB3" * 8,
    "gh" + "p_" + "aB3" * 12,
    "github" + "_pat_" + "aB3_" * 12,
    "s" + "k-" + "aB3-" * 8,
    "AK" + "IA" + "ABCDEFGH23456789",
    "xo" + "xb-" + "123456789012",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
)


def save(row, folder: Path) -> Path:
    """What a training run leaves: model and tokenizer as `save_pretrained` writes them."""
    model_class = next(iter(row.classes.values()))
    model_class(tiny_config(row.model_type)).save_pretrained(folder)
    char_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A good folder that tests copy before they spoil it."""
    folder = tmp_path_factory.mktemp("exported")
    return export_folder(save(TABLE[0], folder / "source"), folder / "model", CARD)


@pytest.fixture
def good(exported, tmp_path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


def refusal(folder: Path) -> str:
    """The one line with which `folder` is refused."""
    with pytest.raises(ExportError) as error:
        check_folder(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.model_type)
def test_every_variant_exports_whole(row, tmp_path):
    source = save(row, tmp_path / "source")
    folder = export_folder(source, tmp_path / "model", lambda partial: CARD + partial.name, {"record.json": {"a": 1}})
    config = json.loads((folder / "config.json").read_text())
    assert set(config["auto_map"]) == set(row.auto_classes)
    names = {name for name, size in folder_files(folder) if size > 0}
    modules = {f"{reference.split('.')[0]}.py" for reference in config["auto_map"].values()}
    assert modules | {"README.md", "record.json", "model.safetensors", "tokenizer.json", "config.json"} <= names
    for name in sorted(n for n in names if n.endswith(".py")):
        for needed in re.findall(r"^from \.(\w+) import", (folder / name).read_text(), flags=re.MULTILINE):
            assert f"{needed}.py" in names
    assert json.loads((folder / "record.json").read_text()) == {"a": 1}
    assert re.fullmatch(re.escape(CARD) + r"model\.\d+\.partial", (folder / "README.md").read_text())
    assert not list(tmp_path.glob("*.partial"))


def test_a_model_of_transformers_exports_and_loads(tmp_path):
    model = BertForMaskedLM(BertConfig(**TINY))
    model.save_pretrained(tmp_path / "source")
    folder = export_folder(tmp_path / "source", tmp_path / "model", CARD)
    again = AutoModelForMaskedLM.from_pretrained(folder)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not list(folder.glob("*.py"))


def test_plots_and_results_come_along(exported, tmp_path):
    (tmp_path / "plot.png").write_bytes(b"png")
    folder = export_folder(exported, tmp_path / "model", CARD, {"results.json": []}, {"p.png": tmp_path / "plot.png"})
    assert {"p.png", "results.json"} <= {name for name, _ in folder_files(folder)}


@pytest.mark.parametrize("name", ["config.json", "README.md", "model.safetensors", "modeling_minbert.py"])
def test_a_missing_part_is_named(good, name):
    (good / name).unlink()
    assert "missing" in refusal(good) if name != "model.safetensors" else "no weights" in refusal(good)


def test_a_missing_import_of_a_code_file_is_named(good):
    with (good / "modeling_minbert.py").open("a") as file:
        file.write("from .attention_elsewhere import f\n")
    assert "attention_elsewhere.py is missing" in refusal(good)


@pytest.mark.parametrize("lost", sorted(TABLE[0].auto_classes))
def test_an_incomplete_auto_map_is_refused(good, lost):
    config = json.loads((good / "config.json").read_text())
    del config["auto_map"][lost]
    (good / "config.json").write_text(json.dumps(config))
    assert refusal(good).endswith(f"auto_map lacks {lost}")


@pytest.mark.parametrize("suffix", export.PICKLES)
def test_pickles_are_refused_also_in_folders(good, suffix):
    (good / "deep").mkdir()
    (good / "deep" / f"weights{suffix}").write_bytes(b"")
    assert "looks like a pickle" in refusal(good)


@pytest.mark.parametrize("name", ["notes", "data.npz", "model.h5"])
def test_pickles_are_refused_by_what_they_hold(good, name):
    if name == "data.npz":
        torch.save({"a": torch.zeros(2)}, good / name)
    else:
        (good / name).write_bytes(pickle.dumps([1]))
    assert f"{name}: looks like a pickle" in refusal(good)


def test_archives_and_images_are_no_pickles(good):
    with zipfile.ZipFile(good / "plots.zip", "w") as archive:
        archive.writestr("plot.svg", "<svg/>")
    (good / "plot.png").write_bytes(b"\x89PNG\0")
    check_folder(good)


@pytest.mark.parametrize("name", [".env", "LICENSE", "run.sh", "notes.rst", "deep/.netrc"])
def test_every_text_is_searched_for_tokens_whatever_its_name(good, name):
    (good / "deep").mkdir()
    (good / name).write_text(f"one\n{FAKES[0]}\n")
    assert f"{name}: line 2 holds what looks like a token" in refusal(good)


def test_bytes_are_no_text(good):
    (good / "plot.png").write_bytes(b"\x89PNG\0" + FAKES[0].encode())
    check_folder(good)


@pytest.mark.parametrize("name", ["config.json", "README.md", "modeling_minbert.py"])
@pytest.mark.parametrize("number", range(len(FAKES)))
def test_tokens_are_refused_and_not_repeated(good, name, number):
    text = (good / name).read_text()
    if name == "config.json":
        (good / name).write_text(json.dumps(json.loads(text) | {"note": f"x {FAKES[number]} y"}, indent=1))
    else:
        (good / name).write_text(f"{text}\n# {FAKES[number]}\n")
    message = refusal(good)
    line = (good / name).read_text().split(FAKES[number])[0].count("\n") + 1
    assert f"{name}: line {line} holds what looks like a token" in message and FAKES[number] not in message


def test_every_token_shape_is_tried():
    assert all(any(re.search(shape, fake) for fake in FAKES) for shape in export.TOKEN_SHAPES)


@pytest.mark.parametrize("line", ['"api_key": "{}"', "password = {}", "HF_TOKEN={}"])
def test_named_secrets_are_refused_in_prose_only(good, line):
    text = line.format("q7" * 10)
    (good / "vocab.txt").write_text(text)
    check_folder(good)
    (good / "README.md").write_text(CARD + text)
    assert "README.md: line 5" in refusal(good)


def test_a_refused_export_leaves_nothing_and_keeps_the_old_folder(exported, good, tmp_path):
    before = {path: (good / path).read_bytes() for path, _ in folder_files(good)}
    with pytest.raises(ExportError):
        export_folder(exported, good, CARD + FAKES[0])
    assert {path: (good / path).read_bytes() for path, _ in folder_files(good)} == before
    with pytest.raises(ExportError):
        export_folder(exported, tmp_path / "new", CARD + FAKES[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_card_that_fails_leaves_nothing_either(exported, good, tmp_path):
    def broken(folder: Path) -> str:
        raise ValueError("the card does not validate")

    with pytest.raises(ValueError, match="does not validate"):
        export_folder(exported, good, broken)
    check_folder(good)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_new_export_replaces_the_old_one_and_nothing_else(exported, good):
    export_folder(exported, good, CARD + "once", {"old.json": 1, "both.json": 1})
    (good / "notes.txt").write_text("x")
    export_folder(exported, good, CARD + "twice", {"both.json": 2})
    assert {"notes.txt", "both.json"} <= set(dict(folder_files(good))) and not (good / "old.json").exists()
    assert (good / "README.md").read_text() == CARD + "twice" and (good / "both.json").read_text() == "2\n"


def test_no_export_goes_to_a_folder_of_something_else(exported, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text("x")
    with pytest.raises(ExportError, match="model: holds __init__.py, and was not made here; move it away"):
        export_folder(exported, tmp_path / "model", CARD)
    with pytest.raises(ExportError, match="__init__.py: is a file"):
        export_folder(exported, tmp_path / "model" / "__init__.py", CARD)
    (tmp_path / "other.partial").mkdir()
    export_folder(exported, tmp_path / "other", CARD)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other", "other.partial"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["__init__.py"]


def test_files_are_listed_with_sizes(good):
    (good / "__pycache__").mkdir()
    (good / "__pycache__" / "x.pyc").write_bytes(b"x")
    (good / "plots").mkdir()
    (good / "plots" / "a.png").write_bytes(b"12345")
    files = folder_files(good)
    assert files == sorted(files) and ("plots/a.png", 5) in files
    assert not any("pyc" in name for name, _ in files)


def test_a_file_of_git_or_of_a_cache_is_not_published(good):
    before = folder_files(good)
    for name in (".git/config", ".cache/huggingface/x.lock", "deep/.DS_Store"):
        (good / name).parent.mkdir(parents=True, exist_ok=True)
        (good / name).write_text(FAKES[0])
    check_folder(good)
    assert folder_files(good) == before


@pytest.mark.parametrize("text", ['{"model_type": ', "[1]", ""])
def test_a_config_that_is_no_object_is_named(good, text):
    (good / "config.json").write_text(text)
    assert refusal(good).startswith(f"{good}/config.json: ")


# ---- adapters of PEFT ----------------------------------------------------------------------------------------------


@pytest.fixture
def adapter(tmp_path) -> Path:
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "user/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize("name", ["README.md", "adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_part_of_an_adapter_is_named(adapter, name):
    check_folder(adapter)
    (adapter / name).rename(adapter / "other.safetensors")
    assert ("config.json" if name == "adapter_config.json" else name) + " is missing" in refusal(adapter)


@pytest.mark.parametrize("base", [None, "", "/tmp/model", "user/a/b", str(Path(__file__).parent)])
def test_an_adapter_of_a_local_base_is_refused(adapter, base):
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    assert "base_model_name_or_path is" in refusal(adapter) and "publish the base first" in refusal(adapter)
