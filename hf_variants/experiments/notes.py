# Copyright 2026 The hf_variants authors. MIT licence.
"""What a user should know of and need not act on, on stderr."""

import functools
import logging
import os

LOGGER = logging.getLogger("hf_variants")


@functools.cache
def note(text: str) -> None:
    """Says it once, by the first of several processes alone."""
    if int(os.environ.get("RANK", 0)) == 0:
        LOGGER.warning("note: %s", text)
