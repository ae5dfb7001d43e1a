"""Links out of docs/ work on the site as on the git host: what they lead to becomes part of it.

`../figures/x.png` is copied, `../figures/x.md` is a page, and so is a program such as `../examples/x.py`, with numbered
lines, to which `../examples/x.py#L12` leads.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\(\.\./([^)#\s]+)(?:#L(\d+))?\)")
_SHOWN = {".py", ".toml"}  # as pages; a browser would offer them for download


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add whatever a page of docs/ links to."""
    texts = [file.content_string for file in files.documentation_pages()]
    for path in sorted({link[1] for text in texts for link in _LINK.finditer(text)}):
        if Path(path).suffix in _SHOWN:
            files.append(File.generated(config, f"{path}.md", content=_numbered(path)))
        else:
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have the links lead there."""
    return _LINK.sub(_inside, markdown)


def _inside(link: re.Match[str]) -> str:
    page = ".md" if Path(link[1]).suffix in _SHOWN else ""
    line = f"#L-{link[2]}" if link[2] else ""
    return f"]({link[1]}{page}{line})"


def _numbered(path: str) -> str:
    """A page of a file's text, with an anchor at each line."""
    formatter = HtmlFormatter(linenos="inline", lineanchors="L")
    text = (ROOT / path).read_text(encoding="utf-8")
    return (
        f"---\nhide: [navigation, toc]\n---\n\n# {path}\n\n{highlight(text, get_lexer_for_filename(path), formatter)}"
    )
