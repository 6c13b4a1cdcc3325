# Copyright 2026 The hf_variants authors. MIT licence.
"""The error of a folder that is not published, in a file that loads nothing."""


class ExportError(ValueError):
    """The folder must not be published as it is; the message says why."""
