"""What `ghostnet.__all__` names, where a page says `<!-- functions -->`, `<!-- classes -->` or `<!-- errors -->`."""

from __future__ import annotations

import dataclasses
import inspect

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

import ghostnet


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the names in their places."""
    for kind, names in by_kind().items():
        markdown = markdown.replace(f"<!-- {kind} -->", "\n".join(map(_entry, names)))
    return markdown


def by_kind() -> dict[str, list[str]]:
    """The public functions, classes and errors, in the order of `ghostnet.__all__`."""
    things = {name: getattr(ghostnet, name) for name in ghostnet.__all__}
    classes = {name for name, thing in things.items() if inspect.isclass(thing)}
    errors = {name for name in classes if issubclass(things[name], BaseException)}
    functions = {name for name, thing in things.items() if inspect.isfunction(thing)}
    chosen = {"functions": functions, "classes": classes - errors, "errors": errors}
    return {kind: [name for name in things if name in some] for kind, some in chosen.items()}


def _entry(name: str) -> str:
    """What mkdocstrings makes the documentation of a name from."""
    thing = getattr(ghostnet, name)
    fields = _fields(thing) if dataclasses.is_dataclass(thing) else ""
    return f"::: {thing.__module__}.{thing.__qualname__}\n    options:\n      heading: gn.{name}\n\n{fields}"


def _fields(settings: type) -> str:
    """The fields that carry the help of the command line, as a table; nothing where none does."""
    rows = [(spec.name, spec.type, spec.metadata["help"]) for spec in dataclasses.fields(settings) if spec.metadata]
    lines = [f"| `{name}` | `{kind}` | {text} |".replace(" | None`", ", None`") for name, kind, text in rows]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *lines, ""]) if rows else ""
