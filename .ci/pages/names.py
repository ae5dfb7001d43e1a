"""What `ghostnet.__all__` names, where a page says `<!-- functions -->`, `<!-- classes -->` or `<!-- errors -->`.

What that of a module of it names stands where a page says `<!-- sweep -->` or the like.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

import ghostnet


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the names in their places."""
    for place, entries in _entries().items():
        markdown = markdown.replace(f"<!-- {place} -->", "\n".join(entries))
    return markdown


def _entries() -> dict[str, list[str]]:
    """What mkdocstrings makes the documentation from, by place, in the order of `__all__`."""
    things = _things(ghostnet)
    errors = {n: thing for n, thing in things.items() if inspect.isclass(thing) and issubclass(thing, Exception)}
    classes = {n: thing for n, thing in things.items() if inspect.isclass(thing) and n not in errors}
    functions = {n: thing for n, thing in things.items() if n not in errors | classes}
    places = {"functions": functions, "classes": classes, "errors": errors}
    entries = {place: [_entry(f"gn.{n}", thing) for n, thing in some.items()] for place, some in places.items()}
    modules = {n: module for n in ghostnet.__all__ if inspect.ismodule(module := getattr(ghostnet, n))}
    for place, module in modules.items():
        entries[place] = [_entry(f"gn.{place}.{n}", thing) for n, thing in _things(module).items()]
    return entries


def _things(module: ModuleType) -> dict[str, type]:
    """Its public functions and classes, of those that stand in a text."""
    named = {n: getattr(module, n) for n in module.__all__}
    called = {n: thing for n, thing in named.items() if inspect.isfunction(thing) or inspect.isclass(thing)}
    return {n: thing for n, thing in called.items() if re.search(rf"(?m)^(def|class) {n}\b", _text(thing))}


def _text(thing: type) -> str:
    return inspect.getsource(sys.modules[thing.__module__])


def _entry(name: str, thing: type) -> str:
    fields = _fields(thing) if dataclasses.is_dataclass(thing) else ""
    return f"::: {thing.__module__}.{thing.__qualname__}\n    options:\n      heading: {name}\n\n{fields}"


def _fields(settings: type) -> str:
    """The fields that carry the help of the command line, as a table; nothing where none does."""
    rows = [(spec.name, spec.type, spec.metadata["help"]) for spec in dataclasses.fields(settings) if spec.metadata]
    lines = [f"| `{name}` | `{kind}` | {text} |".replace(" | None`", ", None`") for name, kind, text in rows]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *lines, ""]) if rows else ""
