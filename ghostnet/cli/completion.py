"""`ghostnet --print-completion SHELL`: a script by which a shell completes the words of a command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

SHELLS = ("bash", "zsh", "tcsh")


class Completion(argparse.Action):
    """Shows the script of a shell; what it takes to make one is loaded only when asked for."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        import shtab

        from ghostnet.model.baseline import METHODS
        from ghostnet.model.presets import PRESETS
        from ghostnet.results.targets import targets

        names = {"PRESET": [*PRESETS], "METHOD": [*METHODS], "RUN_OR_PRESET": [*PRESETS], "TARGET": [*targets()]}
        for action in _actions(parser):  # the parser has done its work
            action.choices = names.get(str(action.metavar or action.dest).upper(), action.choices)
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab looks for it
        print(shtab.complete(parser, str(values)))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options and words of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
