# Copyright 2026 The hf_variants authors. MIT licence.
"""Versions, device, threads and commit, for the record."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("hf_variants", "torch", "transformers", "accelerate", "datasets", "tokenizers", "evaluate", "numpy")


def environment() -> dict[str, Any]:
    """Versions, device, threads and commit, for the record."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    place = {"python": platform.python_version(), "system": platform.system(), "device": device}
    return place | {"threads": torch.get_num_threads(), "commit": _commit()} | versions


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()} ({os.cpu_count()} cores)"
    return f"{platform.processor() or platform.machine()} ({os.cpu_count()} cores)"


def _commit() -> str:
    """The commit of the checkout that this code lies in, with a mark where files differ from it."""
    here = Path(__file__).resolve().parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def default_device() -> str:
    """Where models are timed."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_average() -> float | None:
    """How many processes wanted a core in the last minute, on average; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # there is none on Windows
        return None
