"""Fetches the common model tests of transformers: they are in its source distribution, but not in its wheel.

Nothing of it is committed: it is downloaded once per version of transformers into `.cache/conformance/<version>`.

The distribution lacks the sub-folders of the tests, and with them two classes that the common tests inherit. Whoever
has a checkout of transformers can name its tests, `TRANSFORMERS_TESTS=transformers/tests`, and gets these as well.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import transformers

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "conformance" / transformers.__version__

# The folder is renamed while unpacking, because we have a `tests` of our own. Inside, nearly all imports are relative.
PACKAGE = "hf_tests"

# Settings that every configuration of transformers takes, none of them at its default: a test gives them to ours.
COMMON_SETTINGS = {
    "chunk_size_feed_forward": 3,
    "dtype": "float16",
    "id2label": {0: "one"},
    "label2id": {"one": 0},
    "output_attentions": True,
    "output_hidden_states": True,
    "problem_type": "regression",
    "return_dict": False,
}
# What the common tests import from the sub-folders, as far as it is no test.
STUBS = {
    "__init__.py": "",
    "exporters/__init__.py": "",
    "generation/__init__.py": "",
    "utils/__init__.py": "",
    "utils/test_configuration_utils.py": f"config_common_kwargs = {COMMON_SETTINGS!r}\n",
}
# {where a class with tests is: its name}. Empty classes stand in for them, and `suite.py` inherits none of these.
MIXINS = {
    "exporters/test_export.py": "ExportTesterMixin",
    "generation/test_utils.py": "GenerationTesterMixin",
}


def download() -> Path:
    """Download the source distribution of the installed transformers, and return the path of the archive."""
    CACHE.mkdir(parents=True, exist_ok=True)
    requirement = f"transformers=={transformers.__version__}"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "transformers"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, "--dest", CACHE, requirement], check=True)
    return next(CACHE.glob("transformers-*.tar.gz"))


def unpack(archive: Path) -> None:
    """Write the test files of the archive to the package `hf_tests` in the cache."""
    folder = CACHE / PACKAGE
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = Path(member.name)
            if path.parent.name == "tests" and len(path.parts) == 3 and path.suffix == ".py":
                (folder / path.name).write_bytes(tar.extractfile(member).read())


def checkout() -> Path | None:
    """Return the folder of transformers' tests that `TRANSFORMERS_TESTS` names, or None.

    Raises:
        FileNotFoundError: the two classes are not there.
    """
    given = os.environ.get("TRANSFORMERS_TESTS")
    if not given:
        return None
    missing = [name for name in MIXINS if not (Path(given) / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"TRANSFORMERS_TESTS is {given}, where {' and '.join(missing)} is missing; allowed: the folder `tests` of "
            f"a checkout of transformers, best of version {transformers.__version__}"
        )
    return Path(given)


def complete(given: Path | None) -> None:
    """Write what the distribution lacks: stubs, and the two classes from a checkout or empty ones."""
    texts = STUBS | {name: f"class {mixin}:\n    pass\n" for name, mixin in MIXINS.items()}
    if given is not None:
        texts |= {name: (given / name).read_text(encoding="utf-8") for name in MIXINS}
    for name, text in texts.items():
        path = CACHE / PACKAGE / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("from tests.", f"from {PACKAGE}."), encoding="utf-8")


def fetch() -> Path:
    """Return the folder from which `import hf_tests` works, filling it first if need be."""
    unpacked, given = CACHE / "complete", checkout()
    if not unpacked.exists():
        print(f"downloading the source distribution of transformers {transformers.__version__}", flush=True)
        unpack(download())
        unpacked.touch()
    complete(given)
    return CACHE
