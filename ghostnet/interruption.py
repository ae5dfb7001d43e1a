"""Signals that ask a long work to stop: noted when they come, obeyed where nothing is lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from ghostnet.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Context in which SIGINT and SIGTERM are noted; a second one acts as it would have outside.

    Args:
        listen: False changes nothing, as outside the main thread, where Python does not let handlers be set.
    """

    def __init__(self, listen: bool = True):
        self._listens = listen and threading.current_thread() is threading.main_thread()
        self.requested: signal.Signals | None = None
        self._at_once = False
        self._previous: dict = {}

    def __enter__(self) -> Interruption:
        if self._listens:
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *exception) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.__exit__()
        self.requested = signal.Signals(number)
        if self._at_once:
            self.obey()

    def obey(self) -> None:
        """Raise Stopped if a signal has come."""
        if self.requested:
            raise Stopped(f"stopped by {self.requested.name}")

    def at_once(self, allowed: bool) -> None:
        """Whether a signal may interrupt what is being done: true where there is nothing to lose, such as compiling."""
        self._at_once = allowed
        if allowed:
            self.obey()
