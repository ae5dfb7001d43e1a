"""What can go wrong, and the exit code the command line gives it."""

from __future__ import annotations

from typing import NamedTuple


class GhostnetError(Exception):
    """Base of every error a user can cause or meet; its text is one line: what, expected, what to do."""

    exit_code = 1

    def __str__(self) -> str:
        return " ".join(super().__str__().splitlines())  # whatever value is quoted in it


class ConfigError(GhostnetError):
    """An experiment that can't be run: names the field, what it got, what it takes."""

    exit_code = 2


class InUse(ConfigError):
    """Another process is at work on the run directory."""


class Divergence(NamedTuple):
    """Where an activity first became non-finite or exploded."""

    run: int
    presentation: int  # index into the chunk that was being run
    layer: int


class DivergenceError(GhostnetError):
    """An activity became non-finite or exploded: names run, presentation and layer, and a remedy.

    Attributes:
        divergence: where, and `presentation`: after how many; None where no simulator's presentation did.
    """

    exit_code = 3
    divergence: Divergence | None = None
    presentation: int | None = None


class Stopped(GhostnetError):
    """A signal asked to stop, and nothing is lost: says how to go on."""

    exit_code = 75


class DataError(GhostnetError):
    """A data set that can't be read, or is not what a run began with: names the file or directory, and the reason."""

    exit_code = 74


class FileError(GhostnetError):
    """A result file or directory that can't be read or written: names the path and the reason."""

    exit_code = 74
