"""Progress of long work: a bar on a terminal or in a notebook, otherwise one log line a minute."""

from __future__ import annotations

import logging
import sys
import time
import warnings

from tqdm import tqdm

from ghostnet.host.streams import Steady

log = logging.getLogger("ghostnet")
_EVERY = 60.0  # seconds between log lines


class Progress:
    """A bar over `total` of something, with lasting lines.

    Args:
        done: how many there were before.
        shown: False keeps silent.
        unit: of what is counted; None shows shares only.
    """

    def __init__(self, total: float, done: float = 0, shown: bool = True, unit: str | None = "presentations"):
        self._terminal = Steady(sys.stderr)
        notebook = shown and _in_notebook()
        if notebook:
            with warnings.catch_warnings():  # that ipywidgets is not installed; a plain bar will do
                warnings.filterwarnings("ignore", "IProgress not found")
                from tqdm.auto import tqdm as bar  # takes a tenth of a second

            self._terminal = Steady(sys.stdout)  # a notebook paints the other one red
        else:
            bar = tqdm
        hidden = not (notebook or (shown and self._terminal.isatty()))
        shares = {"bar_format": "{l_bar}{bar}| {elapsed}<{remaining}", "smoothing": 0}  # time left by all that is done
        style = {"unit": f" {unit}"} if unit else shares
        where = {"file": self._terminal, "disable": hidden, "leave": False, "dynamic_ncols": True}
        self._bar = bar(total=total, initial=done, **style, **where)
        self._logs = shown and hidden
        self._what = ""
        self._unit = unit
        self._start = self._last = time.monotonic()
        self._done = 0.0
        self._total = total
        self._before = done

    def describe(self, what: str) -> None:
        """Say what is going on now."""
        self._what = what
        self._bar.set_description(what)

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._bar.update(count)
        self._done += count
        self._log()

    def revise(self, total: float, before: float, done: float) -> None:
        """All is measured anew: so much in all, so much of it before this began, and so much now, that included."""
        self._total, self._before, self._done = total, before, done - before
        self._bar.total, self._bar.initial, self._bar.n = total, before, done
        self._bar.refresh()
        self._log()

    def _log(self) -> None:
        now = time.monotonic()
        if self._logs and self._done and now - self._last >= _EVERY:
            self._last = now
            done, rate = self._before + self._done, self._done / (now - self._start)
            speed = f"{rate:.1f} {self._unit}/s" if self._unit else f"{done / self._total:.0%}"
            log.info("%s, %s, %s left", self._what, speed, _span((self._total - done) / rate))

    def line(self, text: str) -> None:
        """A line that stays, above the bar or in the log."""
        if self._logs:
            log.info("%s", text)
        elif not self._bar.disable:
            self._bar.write(text, file=self._terminal)

    def close(self) -> None:
        self._bar.close()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", bool)()
    return "IPKernelApp" in getattr(shell, "config", ())


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("h", 3600)):
        if seconds >= 3 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 60:.0f} min"
