"""The data sets that are known by name: MNIST, which travels with the package, and Fashion-MNIST, which is fetched."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

from ghostnet.data.idx import FILES, find
from ghostnet.errors import DataError

# Of the decompressed files, in the order of FILES: a copy compressed anew is still the same data.
_SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}

NAMES = tuple(_SHA256)

# Of the published .gz files: what a download has to be, whichever mirror (one has no TLS) it came from.
_FASHION_GZ_SHA256 = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
_FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
_FASHION_SYSTEM = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


def sources(name: str) -> tuple[Sequence[Path | Traversable], Sequence[str]]:
    """Where the four IDX files of a data set are, and the SHA-256 of each, decompressed.

    Raises:
        DataError: they are nowhere, and can't be fetched.
    """
    folder = importlib.resources.files("ghostnet") / "data" / "mnist"
    files = [folder / f"{file}.gz" for file in FILES] if name == "mnist" else _find_fashion()
    return files, _SHA256[name]


def _find_fashion() -> list[Path]:
    """Fashion-MNIST's files from the first folder that has all four, else from pooch's cache or the net."""
    own = os.environ.get("GHOSTNET_DATA")
    folders = [Path(own) / "fashion-mnist", Path(own)] if own else []
    folders.append(_FASHION_SYSTEM)
    for folder in folders:
        try:
            return find(folder)
        except DataError:
            continue

    import pooch  # here, because only a download needs it

    cache = Path(pooch.os_cache("ghostnet")) / "fashion-mnist"
    places = ", ".join(map(str, [*folders, cache]))
    wanted = zip(FILES, _FASHION_GZ_SHA256, strict=True)
    return [_fetch(f"{file}.gz", sha256, cache, places) for file, sha256 in wanted]


def _fetch(file: str, sha256: str, cache: Path, places: str) -> Path:
    """`file` in `cache`, downloaded if it isn't there whole; DataError saying where it was sought in vain."""
    import pooch

    failures = []
    for mirror in _FASHION_MIRRORS:
        try:
            return Path(pooch.retrieve(mirror + file, known_hash=f"sha256:{sha256}", fname=file, path=cache))
        except (OSError, ValueError) as error:  # OSError: all of requests' errors; ValueError: another hash
            failures.append(f"{mirror} ({type(error).__name__})")
    sought = f"{file} is not in {places} and can't be had from {' or '.join(failures)}"
    raise DataError(f"fashion-mnist: {sought}; set GHOSTNET_DATA to a directory with the four .gz files")
