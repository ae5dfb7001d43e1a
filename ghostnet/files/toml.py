"""TOML: flat settings as lines of text, and back without more memory or depth than the text needs."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ghostnet.errors import ConfigError
from ghostnet.files.opening import read_bytes

_NOT_TOML = "not TOML "
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){64}""")


def lines(values: Mapping[str, object]) -> str:
    """Strings, numbers and lists of them as lines of TOML. What is None is left out: TOML has no null."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items() if value is not None)


def _toml(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # JSON's strings are TOML's too, but for this character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower()  # true and false; Python's shortest decimals, which are exact, inf and nan


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields given in a TOML file, unchecked.

    Raises:
        FileError: the file can't be read.
        ConfigError: it is not TOML.
    """
    content = read_bytes(path, "give an existing TOML file")
    try:
        return parsed(content.decode())
    except (ConfigError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix(_NOT_TOML)
        raise ConfigError(f"{path}: {_NOT_TOML}{reason}; write lines such as 'epochs = 2'") from error


def parsed(text: str) -> dict[str, Any]:
    """The fields given in TOML, unchecked.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        return loads(text)
    except ValueError as error:  # that of tomllib, or of an integer with too many digits
        raise ConfigError(f"{_NOT_TOML}({error})") from error


def loads(text: str) -> dict[str, Any]:
    """As `tomllib.loads`, with no more memory and depth than text of that length needs.

    Raises:
        tomllib.TOMLDecodeError: it is not TOML, a key has more than 64 parts, or tables are nested too deeply.
    """
    if _LONG_KEY.search(text):  # tomllib's memory grows with the square of the parts: 1.6 GB for 80 kB
        raise tomllib.TOMLDecodeError("a key of more than 64 parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("nested too deeply") from error
