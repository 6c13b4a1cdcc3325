# Copyright 2026 The hf_variants authors. MIT licence.
"""Points the real `huggingface_hub`, of this process or of another one, at the Hub in `hub_server.py`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.hf_api
import huggingface_hub.utils._http
import pytest
import transformers.utils.hub

from tests.helpers.hub_server import WRITER, Hub


def environment(hub: Hub, home: Path, **changes: str) -> dict[str, str]:
    """What another process needs: the address, a token, and a cache of its own."""
    of_client = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": WRITER, "HF_HOME": str(home)}
    kept = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_CACHE", "HF_MODULES_CACHE")}
    return kept | of_client | {"HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"} | changes


@contextlib.contextmanager
def connected(home: Path) -> Iterator[tuple[Hub, pytest.MonkeyPatch]]:
    """A new Hub that the client in this process talks to. Its constants were read from the environment long ago."""
    hub = Hub()
    with pytest.MonkeyPatch.context() as patch:
        settings: dict[str, Any] = {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
        }
        for name, value in settings.items():
            patch.setattr(huggingface_hub.constants, name, value)
        patch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
        patch.setattr(transformers.utils.hub, "_hf_api", None)
        patch.setenv("HF_TOKEN", WRITER)
        yield hub, patch
    huggingface_hub.close_session()
    hub.close()


class Clock:
    """Stands for `time` in the client's retries: counts the seconds instead of waiting."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        patch.setattr(huggingface_hub.utils._http, "time", self)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
