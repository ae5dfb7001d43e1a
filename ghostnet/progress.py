"""Progress of long work: a bar on a terminal, otherwise one log line a minute."""

from __future__ import annotations

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger("ghostnet")
_EVERY = 60.0  # seconds between log lines


class Progress:
    """A bar over `total` presentations, with one lasting line per epoch.

    Args:
        done: how many there were before.
        shown: False keeps silent.
    """

    def __init__(self, total: int, done: int = 0, shown: bool = True):
        hidden = not (shown and sys.stderr.isatty())
        self._bar = tqdm(total=total, initial=done, unit=" presentations", disable=hidden, leave=False)
        self._logs, self._what = shown and hidden, ""
        self._start = self._last = time.monotonic()
        self._done, self._left = 0, total - done

    def describe(self, what: str) -> None:
        """Say what is going on now."""
        self._what = what
        self._bar.set_description(what)

    def advance(self, presentations: int) -> None:
        """So many more are done."""
        self._bar.update(presentations)
        self._done += presentations
        now = time.monotonic()
        if self._logs and now - self._last >= _EVERY:
            self._last = now
            rate = self._done / (now - self._start)
            left = (self._left - self._done) / rate
            log.info("%s, %.1f presentations/s, %.0f min left", self._what, rate, left / 60)

    def line(self, text: str) -> None:
        """A line that stays, above the bar or in the log."""
        if self._logs:
            log.info("%s", text)
        elif not self._bar.disable:
            self._bar.write(text)

    def close(self) -> None:
        self._bar.close()
