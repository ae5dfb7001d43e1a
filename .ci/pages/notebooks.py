"""A page of every notebook that `.ci/notebooks` has executed; links to a notebook lead to its page.

The page has the notebook's name, `1_ghost_circuit.md`, and stands beside those of docs/; links in it are written from
examples/notebooks/, where Jupyter and the git host follow them.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "examples/notebooks"
_SHOWN = ["image/png", "text/plain"]  # of several forms of an output, the first that there is
_NAMES = {path.stem for path in (ROOT / FOLDER).glob("*.ipynb")}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages and their pictures."""
    for name in sorted(_NAMES):
        path = ROOT / "build" / "notebooks" / f"{name}.ipynb"
        if not path.exists():
            raise PluginError(f"{path}: not there: run .ci/notebooks, which executes {FOLDER}/{name}.ipynb")
        text, pictures = _converted(path)
        files.append(File.generated(config, f"{name}.md", content=text))
        for picture, content in pictures.items():
            files.append(File.generated(config, picture, content=content))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links of other pages to a notebook lead to its page."""
    if page.file.src_uri.removesuffix(".md") in _NAMES:
        return markdown
    return re.sub(rf"\]\(\.\./{FOLDER}/([\w-]+)\.ipynb\)", r"](\1.md)", markdown)


def _converted(path: Path) -> tuple[str, dict[str, bytes]]:
    """An executed notebook as Markdown, and its pictures by name."""
    notebook = nbformat.read(path, as_version=4)
    exporter = MarkdownExporter(display_data_priority=_SHOWN)
    text, resources = exporter.from_notebook_node(notebook, {"unique_key": path.stem, "output_files_dir": path.stem})
    note = f"\n\n*[This notebook](../{FOLDER}/{path.name}), executed.*\n"
    title, rest = text.lstrip().split("\n", 1)
    return title + note + _inside(rest), resources["outputs"]


def _inside(text: str) -> str:
    """Links from examples/notebooks/ as a page of docs/ has them."""
    text = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", text)
    text = re.sub(r"\]\(\.\./\.\./docs/", "](", text)
    return re.sub(r"\]\(\.\./(?=\w)", "](../examples/", text)
