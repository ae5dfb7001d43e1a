"""argparse, where an option with several values leaves positional words alone or says where to write them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, NoReturn, TypeAlias

import ghostnet

_MISSING = "the following arguments are required"


class Parser(argparse.ArgumentParser):
    """A parser in which `--seeds 0 1 mb-500-tf` ends the numbers at the first word that is none."""

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        return super().parse_known_args(args if args is None else self._numbers_last(list(args)), namespace)

    def _numbers_last(self, words: list[str]) -> list[str]:
        """Options of several numbers behind all else, so that they can't take the words between them."""
        several = [o for a in self._actions if a.nargs == "+" and a.type in (int, float) for o in a.option_strings]
        words, after = (words[: words.index("--")], words[words.index("--") :]) if "--" in words else (words, [])
        others: list[str] = []
        numbers: list[str] = []
        group, first = others, False  # `first`: the word after an option is its value, be it wrong
        for word in words:
            if word.startswith("--"):
                group = numbers if any(option.startswith(word.partition("=")[0]) for option in several) else others
            elif group is numbers and not (first or _is_number(word)):
                group = others
            first = word.startswith("--")
            group.append(word)
        return [*others, *numbers, *after]

    def error(self, message: str) -> NoReturn:
        """End with a usage message, and say where missing words are to be written if an option may have taken them."""
        greedy = [action.option_strings[0] for action in self._actions if action.nargs == "+" and action.option_strings]
        if message.startswith(_MISSING) and greedy:
            message += f"; write them before {' and '.join(greedy)}, which take all words up to the next option"
        super().error(message)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


class Version(argparse.Action):
    """Shows the version of the distribution; it is looked up only when asked for, as that takes time."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        print(f"ghostnet {ghostnet.__version__}")
        parser.exit()
