"""The symbols of a network: what the recorder, trace files, plots and the documents call things.

docs/symbols.md shows this table.
"""

from __future__ import annotations

from typing import NamedTuple


class Symbol(NamedTuple):
    """One of the paper's symbols.

    Args:
        paper: how the paper writes it.
        shape: of layer k, without the axis of runs; a batch where every example has its own.
        unit: 1 for a plain number.
        about: what it is, with {k} for the layer.
        axes: of layer k as traces name them, after those of run and example; empty for a number.
        hidden: whether only hidden layers have it.
    """

    paper: str
    shape: str
    unit: str
    about: str
    axes: tuple[str, ...] = ()
    hidden: bool = False


_UNIT, _BELOW, _ABOVE, _GHOST = "unit_{k}", "unit_{below}", "unit_{above}", "ghost_{k}"

ACTIVITIES = {
    "s": Symbol("s_k", "batch, n_k", "1", "activity of the pyramidal units of layer {k}", (_UNIT,)),
    "r": Symbol("r_k = ρ(s_k)", "batch, n_k", "1", "firing rate of layer {k}", (_UNIT,)),
    "g": Symbol("g_k", "batch, m_k", "1", "activity of the ghost units of layer {k}", (_GHOST,), hidden=True),
    "e": Symbol("e_k", "batch, n_k", "1", "error term of layer {k}", (_UNIT,)),
    "drive": Symbol("W_k r_{k-1}", "batch, n_k", "1", "feedforward drive of layer {k}, W_k r_(k-1)", (_UNIT,)),
}
WEIGHTS = {
    "W": Symbol("W_k", "n_k, n_{k-1}", "1", "feedforward weights into layer {k}", (_UNIT, _BELOW)),
    "B": Symbol("B_k", "n_k, n_{k+1}", "1", "feedback weights onto layer {k}", (_UNIT, _ABOVE), hidden=True),
    "W_pg": Symbol(
        "W^pg_k", "m_k, n_k", "1", "lateral weights of layer {k}, pyramidal to ghost", (_GHOST, _UNIT), hidden=True
    ),
    "W_gp": Symbol(
        "W^gp_k", "n_k, m_k (MB, mixed: batch, n_k, m_k)", "1", "lateral weights of layer {k}, ghost to pyramidal",
        (_UNIT, _GHOST), hidden=True,
    ),
}  # fmt: skip
NORMS = {
    f"norm_{name}": Symbol(
        f"‖{symbol.paper}‖", "", symbol.unit, f"Frobenius norm of the {symbol.about}", (), symbol.hidden
    )
    for name, symbol in WEIGHTS.items()
}
CONSTANTS = {
    "tau": Symbol("τ", "", "s", "time constant of all units"),
    "dt": Symbol("dt", "", "s", "Euler step"),
    "beta": Symbol("β", "", "1", "nudging strength of the clamped phase"),
    "nudges": Symbol("", "clamped phases", "1", "factors on β, one for each clamped phase"),
    "eta": Symbol("η_k", "layers", "1/s", "learning rate of W_k; a plain number where W learns once a presentation"),
    "eta_ghost": Symbol("η^g_k", "hidden layers", "1/s", "learning rate of the lateral weights"),
    "eta_imitation": Symbol("η^pg_k", "hidden layers", "1/s", "learning rate of W^pg_k in the mixed model"),
    "decay": Symbol("λ", "W, W_pg, W_gp", "1/s", "decay of weights; a plain number for W learning once a presentation"),
    "clip": Symbol("", "", "1/s", "bound on every |dW_ij/dt|"),
}
SYMBOLS = ACTIVITIES | WEIGHTS | NORMS | CONSTANTS


def axes(symbol: str, k: int) -> tuple[str, ...]:
    """The axes of layer k, such as ("unit_2", "unit_1") of W."""
    return tuple(axis.format(k=k, below=k - 1, above=k + 1) for axis in SYMBOLS[symbol].axes)


def table() -> str:
    """All symbols as a table in Markdown."""
    rows = [("paper", "code", "shape", "unit", "meaning"), ("---",) * 5]
    for name, symbol in SYMBOLS.items():
        about = symbol.about.format(k="k").replace("|", "\\|")
        layered = f"`{name}[k]`" if symbol.axes and name != "drive" else f"`{name}`"
        rows.append((symbol.paper, layered, f"({symbol.shape})" if symbol.shape else "", symbol.unit, about))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"
