"""The help of every command, where a page says `<!-- commands -->`."""

from __future__ import annotations

import argparse

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from ghostnet.cli.main import _parser


class _Wide(argparse.HelpFormatter):
    def __init__(self, prog: str, **options: object) -> None:
        super().__init__(prog, width=100)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the help in its place."""
    return markdown.replace("<!-- commands -->", _commands())


def _commands() -> str:
    (subparsers,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    shown = []
    for name, parser in subparsers.choices.items():
        parser.formatter_class = _Wide
        shown.append(f"## ghostnet {name}\n\n```text\n{parser.format_help()}```\n")
    return "\n".join(shown)
