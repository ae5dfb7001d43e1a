"""Every column of the paper's Tables 2, 3 and 4 by name, ``ma-100-tf`` … ``mb-500-500-fa``, and mixed ones."""

from __future__ import annotations

from typing import Any

from ghostnet.model.experiment import Experiment
from ghostnet.model.typed import require, require_known, shown

_MA = dict(model="MA", batch=100, dt=0.001, tau=0.01, beta=10.0, free_steps=200, clamped_steps=200)  # Table 2
_MA_PRIME = dict(_MA, model="MA-prime", beta=0.2, clip=2.0)  # Table 3
_MB = dict(model="MB", batch=1, dt=0.005, tau=0.01, beta=0.1, clamped_steps=40, init=0.05, epochs=50)  # Table 4


def _one_hidden_ma(units: int) -> dict[str, Any]:
    return dict(_MA, sizes=(784, units, 10), ghosts=(10,), init=0.2, epochs=200, eta=(0.1, 0.1), eta_ghost=(0.05,))


def _one_hidden_mb(units: int, eta: tuple[float, ...]) -> dict[str, Any]:
    return dict(_MB, sizes=(784, units, 10), ghosts=(5,), free_steps=100, eta=eta, eta_ghost=(20.0,))


def _two_hidden_mb(units: int, free_steps: int, eta: tuple[float, ...]) -> dict[str, Any]:
    sizes = (784, units, units, 10)
    return dict(_MB, sizes=sizes, ghosts=(20, 5), free_steps=free_steps, eta=eta, eta_ghost=(20.0, 20.0))


_MA_500_500 = dict(_MA, sizes=(784, 500, 500, 10), ghosts=(500, 10), init=0.1, epochs=300)

_COLUMNS: dict[str, dict[str, Any]] = {
    **{f"ma-{n}-{feedback}": _one_hidden_ma(n) for n in (100, 300, 500) for feedback in ("tf", "fa")},
    "ma-500-500-tf": dict(_MA_500_500, eta=(0.01,) * 3, eta_ghost=(0.01, 0.01)),
    "ma-500-500-fa": dict(_MA_500_500, eta=(0.05,) * 3, eta_ghost=(0.02, 0.02)),
    "ma-prime-500-tf": dict(
        _MA_PRIME, sizes=(784, 500, 10), ghosts=(10,), init=0.2, epochs=100, eta=(0.2, 0.2), eta_ghost=(0.03,)
    ),
    **{f"mb-{n}-tf": _one_hidden_mb(n, (4.0, 0.04)) for n in (100, 300, 500)},
    **{f"mb-{n}-fa": _one_hidden_mb(n, (8.0, 0.2)) for n in (100, 300, 500)},
    "mb-300-300-tf": _two_hidden_mb(300, 140, (40.0, 0.1, 0.005)),
    "mb-300-300-fa": _two_hidden_mb(300, 100, (200.0, 2.0, 0.02)),
    "mb-500-500-tf": _two_hidden_mb(500, 140, (40.0, 0.1, 0.01)),
    "mb-500-500-fa": _two_hidden_mb(500, 100, (200.0, 1.0, 0.01)),
}


def _mixed(mb: dict[str, Any]) -> dict[str, Any]:
    """MB's settings with a ghost for every unit above, which it imitates; they cancel as fast as MB's five."""
    ghosts = mb["sizes"][2:]
    rates = dict(eta_ghost=tuple(100 / m for m in ghosts), eta_imitation=(0.01,) * len(ghosts))
    return dict(mb, model="mixed", ghosts=ghosts, **rates)


_COLUMNS |= {name.replace("mb", "mixed"): _mixed(mb) for name, mb in _COLUMNS.items() if mb["model"] == "MB"}
_OF_MNIST = 55_000  # training examples, in the paper

PRESETS = {
    name: Experiment(feedback=name[-2:].upper(), train_examples=_OF_MNIST, **fields)
    for name, fields in _COLUMNS.items()
}


def preset(name: str, /, feedback: str | None = None, **changes: Any) -> Experiment:
    """The paper's settings by name, ``preset("mb-500-tf")`` or ``preset("mb-500", feedback="TF")``, with changes.

    Of other `data` than MNIST all training examples are taken, unless `train_examples` is given. After a full name,
    `feedback` is a change like any other: ``preset("mb-500-tf", feedback="FA")`` keeps TF's rates.

    Raises:
        ConfigError: unknown preset or field (with the nearest valid name), or an impossible value.

    Examples:
        >>> exp = gn.preset("mb-500", feedback="FA", epochs=2)
        >>> exp.sizes, exp.eta
        ((784, 500, 10), (8.0, 0.2))
    """
    require(isinstance(name, str), f"preset = {shown(name)}: expected a name, such as mb-500-tf")
    if feedback is not None and name in PRESETS:
        changes["feedback"] = feedback
    elif feedback is not None:
        name = f"{name}-{feedback}".lower()
    require_known([name], PRESETS, "preset")
    if changes.get("data", "mnist") != "mnist":
        changes = {"train_examples": None} | changes
    return PRESETS[name].replace(**changes)
