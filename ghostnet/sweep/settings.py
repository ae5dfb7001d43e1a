"""Settings of a sweep: plain values that TOML gives back as they are, training options of the right type, and the
directory names that follow from them."""

from __future__ import annotations

import hashlib
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Set

from ghostnet.engines import ENGINES
from ghostnet.errors import ConfigError
from ghostnet.model.baseline import method_named
from ghostnet.model.checks import MOST
from ghostnet.model.experiment import data_place
from ghostnet.model.typed import integer, require, require_known, require_printable, shown

TRAINING = (
    "engine", "dtype", "gradcheck_every", "gradcheck_examples", "device", "fast_matmul", "settle_tol", "max_sweeps"
)  # fmt: skip
_LONGEST, _DIGITS = 93, 12  # bytes of a name; of its hash, where it is cut


def plain(name: str, value: object) -> str | bool | int | float | list:
    """A setting as text, a number or a list of them: what is written is what will be read. A path becomes absolute.

    Raises:
        ConfigError: it is none of these, or text that doesn't fit on a line.
    """
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping, Set)):
        return [_one(name, item) for item in value]
    return _one(name, value)


def _one(name: str, value: object) -> str | bool | int | float:
    if isinstance(value, os.PathLike):
        value = os.path.join(os.curdir, os.path.expanduser(value))  # no name of a data set
    if isinstance(value, str):
        require_printable(name, value)
        if name == "method":
            return str(method_named(value))
        return data_place(value) if name == "data" else str(value)
    if not isinstance(value, numbers.Real):
        raise ConfigError(f"{name} = {shown(value)}: expected text, a number or a list of them")
    if isinstance(value, bool):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def check_options(options: dict) -> None:
    """Raise ConfigError unless every option of TRAINING that is there is one that a training could take."""
    for name, valid in (("engine", ENGINES), ("dtype", ("float32", "float64"))):
        require_known([options[name]] if name in options else [], valid, name)
    for name, least in (("gradcheck_every", 0), ("gradcheck_examples", 1), ("max_sweeps", 1)):
        integer(name, options.get(name, least), least, MOST)
    device = options.get("device", "cpu")
    fast = options.get("fast_matmul", False)
    tolerance = options.get("settle_tol", 1)
    require(isinstance(device, str), f"device = {shown(device)}: expected cpu or cuda")
    require(isinstance(fast, bool), f"fast_matmul = {shown(fast)}: expected true or false")
    real = isinstance(tolerance, numbers.Real) and not isinstance(tolerance, bool)
    require(real and 0 < tolerance < math.inf, f"settle_tol = {shown(tolerance)}: expected a positive number")


def directory_name(name: str) -> str:
    """A name as that of a directory: itself where it can be. Where it can't, as it is long, has a slash, or begins with
    what means something to a shell, then a part of it and of its hash: others, and always the same.
    """
    safe = name.replace("/", "-")
    if safe.startswith((".", "-", "~")):
        safe = f"_{safe}"
    if safe == name and len(name.encode()) <= _LONGEST:
        return name
    part = safe.encode()[: _LONGEST - _DIGITS - 1].decode(errors="ignore")
    return f"{part}-{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}"
