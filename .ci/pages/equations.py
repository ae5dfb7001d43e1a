"""The code that computes an equation, where a page says `<!-- code of (2) -->`: whatever bears its number."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
MODEL = [f"ghostnet/model/{name}.py" for name in ("equations", "laws", "models")]
_PLACE = re.compile(r"<!-- code of (\([^)]+\)) -->")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the code in its places."""
    return _PLACE.sub(lambda place: _code(place[1]), markdown)


def _code(number: str) -> str:
    """Every part of the model's files that bears a number, under a link to where it stands."""
    shown = []
    for path in MODEL:
        text = (ROOT / path).read_text(encoding="utf-8")
        for first, last in _bearing(text, number):
            part = textwrap.dedent("\n".join(text.splitlines()[first - 1 : last]))
            shown.append(f"[`{path}`, line {first}](../{path}#L{first})\n\n```python\n{part}\n```\n")
    if not shown:
        raise ValueError(f"no line of {', '.join(MODEL)} bears the number {number}")
    return "\n".join(shown)


def _bearing(text: str, number: str) -> list[tuple[int, int]]:
    """The first and the last line of every function or statement whose docstring or comment bears a number."""
    nodes = list(ast.walk(ast.parse(text)))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    whole = [node for node in functions if number in (ast.get_docstring(node) or "")]
    spans = [(node.lineno, node.end_lineno or node.lineno) for node in whole]
    ends = {node.lineno: node.end_lineno or node.lineno for node in nodes if isinstance(node, ast.stmt)}
    for line, words in enumerate(text.splitlines(), 1):
        if number in words.partition("  # ")[2] and not any(first <= line <= last for first, last in spans):
            spans.append((line, ends.get(line, line)))
    return sorted(spans)
