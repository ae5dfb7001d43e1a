"""The pages of docs/: whole, and beside the code that they show. `.ci/site` builds them and follows their links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ghostnet.model import equations

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]


def test_every_page_can_be_reached():
    pages = [page.name for page in PAGES] + [f"{notebook.stem}.md" for notebook in NOTEBOOKS]
    assert sorted(re.findall(r"[\w-]+\.md", NAVIGATION)) == sorted(pages)


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS, ROOT / "README.md"], ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_the_gallery_shows_every_picture_with_the_program_that_writes_it():
    sections = re.split(r"^#+ ", (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    programs = {}
    for section in sections:
        for picture in re.findall(r"!\[[^\]]+\]\(\.\./figures/([\w-]+)\.png\)", section):
            programs[picture] = re.search(r"\]\(\.\./(sims/\w+\.py)\)", section)[1]
    assert programs.keys() == {picture.stem for picture in (ROOT / "figures").glob("*.png")}
    assert [name for name, path in programs.items() if name not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_the_page_of_the_model_has_a_place_for_every_equation_that_the_code_numbers():
    numbered = set(re.findall(r"\(\d+\)", Path(equations.__file__).read_text(encoding="utf-8")))
    places = set(re.findall(r"<!-- code of (\(\d+\)) -->", (ROOT / "docs" / "model.md").read_text(encoding="utf-8")))
    assert numbered == places
