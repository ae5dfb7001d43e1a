"""JSON objects, read strictly and written readably."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ghostnet.errors import FileError
from ghostnet.files.opening import read_bytes


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileError: it can't be read, or is none.
    """
    text = read_bytes(path, "give a run that `ghostnet train` made")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: not JSON ({error}); take a backup or run anew") from error
    if not isinstance(value, dict):
        raise FileError(f"{path}: holds no JSON object; take a backup or run anew")
    return value


def text(value: dict[str, Any]) -> bytes:
    """JSON text; arrays as lists. Bytes of a file name that are no text become escapes that JSON reads back."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=lambda array: array.tolist())
    return (text + "\n").encode(errors="backslashreplace")
