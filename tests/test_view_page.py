"""The page of `ghostnet view` in a browser: it shows, zooms, compares and exports, and the console stays silent."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import experiment, inputs, running

from ghostnet import Recorder, Simulator, open_trace
from ghostnet.traces.view import view

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: the page is not tested")
READY = "document.body.dataset.ready === 'true'"
WINDOW = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two traces of the same examples by networks that differ, the second in another order, and pages of them."""
    folder = tmp_path_factory.mktemp("pages")
    e = experiment("MB", (20, 30, 6), seeds=(0, 4), batch=1)
    xs, ys = inputs(e, 8)
    for name, order, feedback in (("a", range(8), "TF"), ("b", range(7, -1, -1), "FA")):
        simulator = Simulator(running(e.replace(feedback=feedback)), "cpu", "float32")
        order = np.array(order)
        recorder = Recorder(("s", "r", "e"), presentations=slice(0, 6))
        shown = lambda n, order=order: (0, np.full((2, 1), order[n]))  # noqa: E731
        with simulator.recording(recorder, folder / f"{name}.h5", shown):
            simulator.run(xs[order], ys[order])
    view([folder / "a.h5"], folder / "one.html")
    view([folder / "a.h5", folder / "b.h5"], folder / "two.html")
    return folder


@pytest.fixture
def opened(browser, folder):
    """Open a page; at the end nothing may have been said on the console."""
    said, contexts = [], []

    def go(name: str, fragment: str = "", scheme: str = "light"):
        contexts.append(browser.new_context(viewport=WINDOW, color_scheme=scheme, offline=True))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((folder / f"{name}.html").as_uri() + fragment)
        page.wait_for_function(READY)
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []


def numbers(page, tmp_path) -> list[dict]:
    """What the page exports of its view."""
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "out.csv")
    return list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))


def drawn(page) -> int:
    """How many colours the figure has."""
    return page.evaluate("""() => {
        const plot = document.getElementById("plot"), {width, height} = plot;
        return new Set(new Uint32Array(plot.getContext("2d").getImageData(0, 0, width, height).data.buffer)).size;
    }""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_loads_and_draws_and_leaves_a_picture(opened, folder, scheme):
    page = opened("two", scheme=scheme)
    assert drawn(page) > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= WINDOW["width"]
    page.screenshot(path=folder / f"{scheme}.png")
    assert (folder / f"{scheme}.png").stat().st_size > 10_000


def test_the_numbers_of_a_view_are_those_of_the_trace(opened, folder, tmp_path):
    page = opened("one", "#panel=s_1:3,7&from=0&to=100&seeds=[1]")
    rows, trace = numbers(page, tmp_path), open_trace(folder / "a.h5")
    assert len(rows) == trace.sizes["time"] and list(rows[0])[-2:] == ["s_1[3]", "s_1[7]"]
    for unit in (3, 7):
        found = np.array([float(row[f"s_1[{unit}]"]) for row in rows])
        assert np.allclose(found, trace.s_1[:, 1, 0, unit], atol=np.ptp(trace.s_1.to_numpy()) / 65000)
    assert [int(row["step"]) for row in rows] == trace.step.to_numpy().tolist()
    assert {row["seed"] for row in rows} == {"4"} and {row["phase"] for row in rows} == {"free", "weakly clamped"}


def test_arrows_go_to_the_next_presentation_and_the_view_is_in_the_address(opened, folder):
    page = opened("one")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("t")
    page.wait_for_function("location.hash.includes('axis=onset') && location.hash.includes('p=2')")
    other = opened("one", page.evaluate("location.hash"))
    assert other.locator("#list .chosen").get_attribute("data-item") == "2.0"
    assert other.evaluate("location.hash") == "" or "p=2" in other.evaluate("location.hash")


def test_the_wheel_zooms_dragging_pans_and_a_double_click_shows_all(opened, tmp_path):
    page = opened("one", "#panel=s_1:3")
    page.dblclick("#plot", position={"x": 500, "y": 200})
    whole = len(numbers(page, tmp_path))
    page.mouse.move(600, 250)
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(100)
    part = numbers(page, tmp_path)
    assert 0 < len(part) < whole
    page.mouse.move(600, 250)
    page.mouse.down()
    page.mouse.move(400, 250, steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)
    panned = numbers(page, tmp_path)
    assert float(panned[0]["time_s"]) > float(part[0]["time_s"]) and abs(len(panned) - len(part)) <= 1


def test_a_click_on_a_row_of_the_heat_map_shows_its_line(opened):
    page = opened("one", "#panel=e_1:3&heat=e_1")
    before = page.input_value("#controls input[type=text]")
    page.mouse.click(700, 700)
    page.wait_for_timeout(100)
    after = page.input_value("#controls input[type=text]")
    assert before == "3" and after.startswith("3,")


def test_two_traces_are_matched_by_example_and_their_difference_is_that_of_the_files(opened, folder, tmp_path):
    page = opened("two", "#panel=s_1:3&compare=difference&axis=onset&p=4&from=0&to=100")
    rows = numbers(page, tmp_path)
    a, b = (open_trace(folder / f"{name}.h5") for name in "ab")
    expected = b.s_1[b.presentation == 3, 0, 0, 3].to_numpy() - a.s_1[a.presentation == 4, 0, 0, 3].to_numpy()
    assert np.allclose([float(row["s_1[3]"]) for row in rows], expected, atol=1e-3)
    assert {row["trace"] for row in rows} == {"b.h5 - a.h5"}


def test_of_several_seeds_the_mean_is_shown(opened, folder, tmp_path):
    page = opened("one", "#panel=s_1:3&spread=mean&seeds=[0,1]&from=0&to=100")
    trace = open_trace(folder / "a.h5")
    found = np.array([float(row["s_1[3]"]) for row in numbers(page, tmp_path)])
    assert np.allclose(found, trace.s_1[:, :, 0, 3].mean("run"), atol=1e-3) and drawn(page) > 20


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_picture_shown_is_exported(opened, tmp_path, kind):
    page = opened("two")
    with page.expect_download() as download:
        page.click(f"#{kind}")
    download.value.save_as(tmp_path / f"out.{kind}")
    content = (tmp_path / f"out.{kind}").read_bytes()
    assert content.startswith(b"\x89PNG" if kind == "png" else b"<svg") and len(content) > 5000


def test_an_address_that_fits_no_trace_shows_what_there_is(opened):
    page = opened("one", "#panel=q_7:3&p=999&seeds=[9]&from=x&place=-1&heat=none&also=[[99,0]]")
    assert drawn(page) > 20
