"""Runs every notebook of a folder, and writes it with what it shows into another: python .ci/execute.py FROM TO

Errors, warnings or anything else on standard error, and more than 500 kB in all are refused: a reader is to see none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

MOST = 500_000  # bytes of an executed notebook
SECONDS = 600  # of one cell


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook after a run in its own folder."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": path.parent}}
    with tempfile.TemporaryDirectory() as private:
        how = Config(KernelManager={"transport": "ipc", "ip": f"{private}/kernel"})  # by files: nobody else can listen
        how.NotebookClient.coalesce_streams = True  # bars leave their end
        NotebookClient(notebook, timeout=SECONDS, resources=where, config=how).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and output.name == "stderr":
                raise SystemExit(f"{path}: a cell says on standard error: {output.text}")
    return notebook


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.ipynb")):
        start = time.monotonic()
        text = nbformat.writes(executed(path))
        size = len(text.encode())
        if size > MOST:
            raise SystemExit(f"{path}: {size} bytes with its outputs: expected at most {MOST}; show less")
        (target / path.name).write_text(text, encoding="utf-8")
        print(f"{path}: {time.monotonic() - start:.0f} s, {size // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
