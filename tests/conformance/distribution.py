"""Fetches the common model tests of transformers: they are in its source distribution, but not in its wheel.

Nothing of it is committed: it is downloaded once per version of transformers into `.cache/conformance/<version>`.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

import transformers

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "conformance" / transformers.__version__

# The folder is renamed while unpacking, because we have a `tests` of our own. Inside, every import is relative.
PACKAGE = "hf_tests"

# The distribution leaves out the sub-folders of its tests. What the common tests import from there, in brief:
STUBS = {
    "__init__.py": "",
    "exporters/__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/__init__.py": "",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/__init__.py": "",
    "utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
}


def download() -> Path:
    """Download the source distribution of the installed transformers, and return the path of the archive."""
    CACHE.mkdir(parents=True, exist_ok=True)
    requirement = f"transformers=={transformers.__version__}"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "transformers"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, "--dest", CACHE, requirement], check=True)
    return next(CACHE.glob("transformers-*.tar.gz"))


def unpack(archive: Path) -> None:
    """Write the test files of the archive, and the stubs they need, to the package `hf_tests` in the cache."""
    folder = CACHE / PACKAGE
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = Path(member.name)
            if path.parent.name == "tests" and len(path.parts) == 3 and path.suffix == ".py":
                (folder / path.name).write_bytes(tar.extractfile(member).read())
    for name, text in STUBS.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def fetch() -> Path:
    """Return the folder from which `import hf_tests` works, filling it first if need be."""
    complete = CACHE / "complete"
    if not complete.exists():
        print(f"downloading the source distribution of transformers {transformers.__version__}", flush=True)
        unpack(download())
        complete.touch()
    return CACHE
