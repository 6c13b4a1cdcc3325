# Copyright 2026 The hf_variants authors. MIT licence.
"""Which folder becomes which package; all else is in pyproject.toml.

The programs, and of the published comparisons what `hf-variants show` and `recipes` read, become parts of hf_variants,
where they lie as in a clone: side by side.
"""

from setuptools import find_packages, setup

MAPPED = {"hf_variants.training": "training", "hf_variants.model_cards": "model_cards"}
setup(packages=[*find_packages(include=["hf_variants*"]), *MAPPED], package_dir=MAPPED)
