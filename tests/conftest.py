# Copyright 2026 The hf_variants authors. MIT licence.
"""Keeps tests off the network, and the code that they load remotely out of the user's cache."""

import os
import tempfile

os.environ.setdefault("HF_MODULES_CACHE", tempfile.mkdtemp(prefix="hf_modules_"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
