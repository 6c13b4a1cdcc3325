# Copyright 2026 The hf_variants authors. MIT licence.
"""Keeps tests off the network, and the code that they load remotely out of the user's cache.

Where `UNALIGNED_WEIGHTS` is set, loaded weights lie in memory as on other machines (`unaligned.py`, `kernels.py`).

Tests marked `hunt` take their number of examples from a profile of hypothesis, `--hypothesis-profile`: few and always
the same ones by default, 1 000 and always the same ones with `thorough`, 1 000 new ones with `new`.
"""

import os
import tempfile

from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_MODULES_CACHE", tempfile.mkdtemp(prefix="hf_modules_"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

if os.environ.get("UNALIGNED_WEIGHTS"):
    from tests.helpers import unaligned

    unaligned.install()

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("quick", max_examples=25, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=1000, derandomize=True, **COMMON)
settings.register_profile("new", max_examples=1000, print_blob=True, **COMMON)
settings.load_profile("quick")
