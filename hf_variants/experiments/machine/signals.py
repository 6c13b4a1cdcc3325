# Copyright 2026 The hf_variants authors. MIT licence.
"""What a run does when it is asked to stop: it finishes its step and writes a checkpoint."""

import os
import signal
import threading
from types import FrameType
from typing import Any

from ..checking import StoppedError


class StopSignals:
    """While entered, SIGTERM and SIGINT are only remembered, in `received`.

    A second SIGINT interrupts at once, but not under a launcher: torchrun passes on the Ctrl-C that the terminal has
    already sent to its processes.
    """

    NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {number: signal.signal(number, self._remember) for number in self.NUMBERS}
        return self

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, StoppedError) and "LOCAL_RANK" in os.environ:
            return  # torchrun sends SIGTERM to the others as soon as one has ended
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT == self.received and "LOCAL_RANK" not in os.environ:
            raise KeyboardInterrupt
        self.received = self.received or number
