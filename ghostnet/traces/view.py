"""`ghostnet view`: traces as one HTML page that holds all it needs, to be looked at in a browser or mailed."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import xarray as xr

from ghostnet.errors import ConfigError
from ghostnet.files.publishing import publish
from ghostnet.traces.view_sources import Choice, Source, source, traces_of

CEILING = 200  # MB
_PAGE = resources.files("ghostnet.traces") / "page"
_LARGEST = 3  # variables that a refusal names


def view(
    paths: Iterable[str | os.PathLike], out: str | os.PathLike, choice: Choice | None = None, ceiling: float = CEILING
) -> Path:
    """Write traces as a page to `out`; returns where.

    Args:
        paths: trace files, or run directories with traces; two or more are compared.
        ceiling: MB that the page may have.

    Raises:
        ConfigError: what is asked for was not recorded, or the page would be larger. FileError: a trace can't be read,
            or the page can't be written.
    """
    choice = choice or Choice()
    found = {}
    for path in map(Path, paths):
        for name, trace in traces_of(path, choice.variables).items():
            name = name if name not in found else str(path)
            found[name] = source(name, trace.isel(_units(trace, choice.units)), choice)
    _require_below(ceiling, found)
    content = page(list(found.values()))
    publish(Path(out), content)
    return Path(out)


def _units(trace: xr.Dataset, units: slice | None) -> dict[str, slice]:
    return {axis: units for axis in map(str, trace.dims) if units and axis.startswith(("unit_", "ghost_"))}


def _require_below(ceiling: float, found: dict[str, Source]) -> None:
    sizes = {(name, key): len(text) / 1e6 for name, one in found.items() for key, text in one.payloads.items()}
    if (total := sum(sizes.values())) > ceiling:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:_LARGEST]
        which = ", ".join(f"{key} of {name} {size:.3g}" for (name, key), size in largest)
        raise ConfigError(
            f"page: {total:.3g} MB, more than {ceiling:g} (of it, {which}); leave some out with --variables, "
            "--units or --presentations, or raise --ceiling"
        )


def page(sources: list[Source]) -> bytes:
    """The page itself."""
    data = [
        f'<script type="text/plain" id="data-{i}-{name}">{text}</script>'
        for i, one in enumerate(sources)
        for name, text in one.payloads.items()
    ]
    about = json.dumps([one.about for one in sources], ensure_ascii=False, separators=(",", ":"))
    parts = {
        "<!-- style -->": f"<style>\n{_text('page.css')}</style>",
        "<!-- modules -->": f'<script type="importmap">{json.dumps({"imports": _modules()})}</script>',
        "<!-- about -->": f'<script type="application/json" id="about">{_inert(about)}</script>',
        "<!-- data -->": "\n".join(data),
    }
    whole = _text("page.html")
    for mark, text in parts.items():
        whole = whole.replace(mark, text, 1)
    return whole.encode()


def _modules() -> dict[str, str]:
    """The modules by name. A page that was opened from a disk may not load files beside it, so each is a data: address,
    from which `./other.js` leads nowhere: they are given names instead.
    """
    found = {}
    for file in _PAGE.iterdir():
        if file.name.endswith(".js"):
            code = file.read_text("utf-8").replace('from "./', 'from "page/')
            found[f"page/{file.name}"] = "data:text/javascript;base64," + base64.b64encode(code.encode()).decode(
                "ascii"
            )
    return dict(sorted(found.items()))


def _text(name: str) -> str:
    return (_PAGE / name).read_text("utf-8")


def _inert(text: str) -> str:
    """JSON that can't end the element that it stands in."""
    return text.replace("<", "\\u003c")
