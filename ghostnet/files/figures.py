"""Pictures as files, with how they were made beside them."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.errors import ConfigError
from ghostnet.files import jsonfile
from ghostnet.files.provenance import provenance
from ghostnet.files.publishing import publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def appended(path: Path, ending: str) -> Path:
    """`path` with `ending` behind its whole name: a point in it, as in beta-0.05, begins no suffix."""
    whole = path if path.name.strip(".") else path.resolve()  # `.` and `..` have no name of their own
    return Path(f"{whole}{ending}")


def picture_path(path: Path) -> Path:
    """Where a picture goes that is asked for as `path`: there, or to `path`.png if its name ends in no format."""
    return path if path.suffix[1:].isalpha() else appended(path, ".png")


def publish_picture(figure: Figure, path: Path) -> Path:
    """Write a Matplotlib figure to `picture_path(path)`, in the format that its name ends in; returns where.

    Raises:
        ConfigError: there is no such format. FileError: it can't be written.
    """
    image, known, path = io.BytesIO(), figure.canvas.get_supported_filetypes(), picture_path(path)
    if path.suffix[1:] not in known:
        raise ConfigError(f"out = {path}: no such picture format; expected one of {', '.join(sorted(known))}")
    figure.savefig(image, format=path.suffix[1:])
    publish(path, image.getvalue())
    return path


def publish_figure(figure: Figure, path: Path, **facts: object) -> None:
    """Write a Matplotlib figure as `path`.png and .pdf, and how it was made, with `facts`, as `path`.json."""
    made = provenance()  # before the new picture makes the checkout differ from its commit
    for ending in (".png", ".pdf"):
        publish_picture(figure, appended(path, ending))
    publish(appended(path, ".json"), jsonfile.text(made | {"date": date.today().isoformat()} | facts))
