"""Signals that ask a long work to stop: noted when they come, obeyed where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from types import FrameType

from ghostnet.errors import Stopped

_REQUESTS = (signal.SIGINT, signal.SIGTERM)
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none


class Interruption:
    """Context in which SIGINT, SIGTERM and SIGHUP are noted; a second SIGINT or SIGTERM acts as it would have outside.

    A closed terminal or a dropped connection sends SIGHUP, and its shell or service manager more after it: these hurry
    nobody. Where SIGHUP is ignored, as under nohup, it stays so.

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
            numbers = [*_REQUESTS]
            if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
                numbers.append(_HANGUP)
            self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *exception: object) -> None:
        self._leave(self._previous)

    def _leave(self, numbers: Iterable[int]) -> None:
        """Give signals back to those who heard them before."""
        for number in set(numbers) & self._previous.keys():
            signal.signal(number, self._previous.pop(number))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in _REQUESTS:
            self._leave(_REQUESTS)
        self.requested = self.requested or signal.Signals(number)
        if self._at_once:
            self._at_once = False  # another one must not disturb the end
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
