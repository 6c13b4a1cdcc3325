# Copyright 2026 The hf_variants authors. MIT licence.
"""hf_variants in two steps: first its modules that need no model, then the package itself, which loads torch."""

import importlib.util
import sys

PACKAGE = "hf_variants"


def open_package() -> None:
    """Makes modules of hf_variants importable without running the package's own file, unless that has been done."""
    if PACKAGE not in sys.modules:
        spec = importlib.util.find_spec(PACKAGE)
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)


def load_package() -> None:
    """Runs the package's own file, which registers the models, if `open_package` has put it off."""
    module = sys.modules[PACKAGE]
    if "register" not in vars(module):
        module.__spec__.loader.exec_module(module)
