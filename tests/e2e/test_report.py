"""The HTML report in a real browser: its charts, images and table react to the mouse.

The tests need Debian's chromium. Without it they are skipped, or fail if CI is set.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect, sync_playwright

from analysis.made_runs import write_image, write_journal, write_run
from expt.analysis.compared_run import read_compared
from expt.analysis.page import write_page
from expt.analysis.table import compare

_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_ACTS = {"relu": (0.30, 0.40), "tanh": (0.35, 0.44), "gelu": (0.91, 1.02)}
_STEPS = range(10, 210, 10)
_LARGE, _PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None and "CI" not in os.environ:
        pytest.skip("there is no chromium; apt-get install chromium")
    assert found, "there is no chromium"
    home: dict[str, str | float | bool] = {**os.environ}
    home["HOME"] = str(tmp_path_factory.mktemp("home"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS, env=home)
        yield browser
        browser.close()


def _loss(act: str, seed: int, step: int) -> float:
    return _ACTS[act][seed] + 5.0 / step


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of three activations with two learning rates and two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for act, values in _ACTS.items():
        for rate in (0.1, 0.01):
            for seed, value in enumerate(values):
                metrics = {"val/loss": value / rate, "val/accuracy": 1 - value / 2}
                params = {"act": act, "optimizer.learning_rate": rate}
                run = write_run(folder / f"{act}_{rate}_{seed}", params, seed=seed, values=metrics)
                lines = [{"step": s, "val/loss": _loss(act, seed, s) / rate} for s in _STEPS]
                write_journal(
                    run, [{**line, "val/accuracy": 1 - 1 / line["step"]} for line in lines]
                )
                for step in (0, 100, 200):
                    write_image(run, "val/mistakes", step, (step, 0, 200))
    path = folder / "report.html"
    runs = [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]
    write_page(compare(runs), path, "acts")
    return path


@pytest.fixture
def open_report(browser: Browser, report: Path) -> Iterator[Open]:
    """Opens the report; asserts at the end that it raised no error and loaded no other file."""
    faults: list[str] = []
    contexts = []

    def open_it(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": _LARGE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console", lambda entry: faults.append(entry.text) if entry.type == "error" else None
        )
        page.on(
            "request",
            lambda request: (
                faults.append(request.url)
                if not request.url.startswith(("file:", "data:"))
                else None
            ),
        )
        page.goto(report.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not faults


def _plot(page: Page, metric: str = "val/loss") -> Locator:
    return page.locator(f'#charts figure[data-metric="{metric}"]')


def _scrolled_to(page: Page, place: Locator) -> FloatRect:
    """Scrolls to a place and returns its box.

    Waits for the scroll event, which hides the tip: a later one would hide the tip of a test.
    """
    place.scroll_into_view_if_needed()
    _after_drawing(page, "0")
    box = place.bounding_box()
    assert box is not None
    return box


def _hover(page: Page, step: int) -> list[str]:
    """Moves the mouse to a step of the first chart; returns the lines of the tip."""
    over = _plot(page).locator(".u-over")
    box = _scrolled_to(page, over)
    place = page.evaluate(f"charts[0].plot.valToPos({step}, 'x')")
    page.mouse.move(box["x"] + place, box["y"] + box["height"] / 2)
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    return tip.inner_text().splitlines()


_COUNT_PIXELS = """() => {
  const { ctx } = charts[0].plot;
  const { data } = ctx.getImageData(0, 0, ctx.canvas.width, ctx.canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    count += data[i] === 0x3b && data[i + 1] === 0x7d && data[i + 2] === 0xd8;
  return count;
}"""


def _after_drawing(page: Page, expression: str) -> Any:
    """Evaluates JavaScript once the browser has drawn.

    Not with Playwright's `wait_for_function`: the content security policy of the page forbids it.
    """
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(expression)


def _expect_best_curve(page: Page, is_there: bool) -> None:
    """Asserts whether the first chart has pixels in the color of the best variant's mean."""
    count = _after_drawing(page, _COUNT_PIXELS)
    assert count > 100 if is_there else count == 0


def test_first_screen_shows_the_result(open_report: Open) -> None:
    page = open_report()
    headline, best = page.locator("#headline"), page.locator("#variants tr.best")
    for shown in (headline, best):
        box = shown.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < _LARGE["height"]
    expect(headline).to_contain_text("relu")
    expect(best.locator("td").nth(1)).to_have_text("relu")
    assert page.evaluate("scrollY") == 0
    top = _plot(page).bounding_box()
    assert top is not None
    assert top["y"] < _LARGE["height"]  # the curves begin on it too


def test_hovering_shows_the_values_of_the_journal(open_report: Open) -> None:
    lines = _hover(open_report(), 50)
    assert lines[0] == "step 50"
    values = {
        f"act={act}, learning_rate={rate:g}": np.mean([_loss(act, s, 50) / rate for s in (0, 1)])
        for act in _ACTS
        for rate in (0.1, 0.01)
    }
    expected = [
        text for name in sorted(values, key=lambda n: values[n]) for text in (name, values[name])
    ]
    shown = lines[1:]
    assert shown[::2] == expected[::2]  # the best first
    for text, value in zip(shown[1::2], expected[1::2], strict=True):
        assert float(text) == pytest.approx(value, rel=5e-4)


def test_click_on_the_legend_hides_a_variant(open_report: Open) -> None:
    page = open_report()
    _expect_best_curve(page, True)
    before = _hover(page, 50)
    button = page.locator("#legend button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    _expect_best_curve(page, False)
    assert len(_hover(page, 50)) == len(before) - 2
    page.get_by_role("button", name="all", exact=True).click()
    _expect_best_curve(page, True)
    page.get_by_role("button", name="none", exact=True).click()
    assert page.evaluate("charts[0].plot.series.slice(1).every((one) => !one.show)")


def test_axis_can_be_logarithmic(open_report: Open) -> None:
    page = open_report()
    button = _plot(page).get_by_role("button", name="log")
    kinds = []
    for _ in range(2):
        kinds.append(
            (button.get_attribute("aria-pressed"), page.evaluate("charts[0].plot.scales.y.distr"))
        )
        button.click()
    assert kinds == [("true", 3), ("false", 1)]  # a loss is on a log axis at first
    accuracy = page.evaluate("[charts[1].content.metric, charts[1].plot.scales.y.distr]")
    assert accuracy == ["val/accuracy", 1]


def test_curves_can_be_smoothed_and_bands_hidden(open_report: Open) -> None:
    page = open_report()
    means = "charts[0].plot.data[meanOf(0)].filter((value) => value != null)"
    raw = page.evaluate(means)
    slider = page.locator("#smoothing")
    slider.fill("0.6")
    smooth, last = [], 0.0
    for count, value in enumerate(raw, start=1):
        last = 0.6 * last + 0.4 * value
        smooth.append(last / (1 - 0.6**count))
    assert page.evaluate(means) == pytest.approx(smooth)
    slider.fill("0")
    assert page.evaluate(means) == pytest.approx(raw)
    assert page.evaluate("charts[0].plot.series[highOf(0)].show") is True
    page.locator("#band").uncheck()
    assert page.evaluate("charts[0].plot.series[highOf(0)].show") is False


def test_chart_can_be_enlarged_and_zoomed(open_report: Open) -> None:
    page = open_report()
    width = "charts[0].plot.width"
    before = page.evaluate(width)
    _plot(page).get_by_role("button", name="enlarge").click()
    assert _after_drawing(page, width) > 1.5 * before
    over = _plot(page).locator(".u-over")
    box = _scrolled_to(page, over)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
    page.mouse.up()
    least = "charts[0].plot.scales.x.min"
    assert _after_drawing(page, least) > 90
    over.dblclick()
    assert _after_drawing(page, least) == 10


def test_effect_charts_react_to_the_mouse(open_report: Open) -> None:
    page = open_report()
    figure = page.locator('#effects figure[data-key="act"]')
    expect(figure.locator("svg circle.mean")).to_have_count(len(_ACTS))
    _scrolled_to(page, figure)
    figure.locator("svg .hit").last.hover(force=True)
    expect(page.locator("#tip")).to_contain_text("act=tanh")
    mean = np.mean([value / rate for value in _ACTS["tanh"] for rate in (0.1, 0.01)])
    expect(page.locator("#tip")).to_contain_text(f"{mean:.4g}")
    heat = page.locator("#effects figure.pair td.top")
    assert float(heat.inner_text()) == pytest.approx(np.mean(_ACTS["relu"]) / 0.1, rel=5e-4)


def _red(image: Locator) -> int:
    """Returns the red value of the first pixel of an image, which the fixture sets to the step."""
    return int(
        image.evaluate(
            """async (image) => {
              await image.decode();
              const context = document.createElement("canvas").getContext("2d");
              context.drawImage(image, 0, 0);
              return context.getImageData(4, 4, 1, 1).data[0];
            }"""
        )
    )


def test_slider_shows_another_step(open_report: Open) -> None:
    page = open_report()
    images = page.locator("section.images img")
    expect(images).to_have_count(6)
    slider = page.locator("section.images input.step")
    for place, step in ((2, 200), (0, 0), (1, 100)):
        slider.fill(str(place))
        expect(page.locator("section.images output")).to_have_text(str(step))
        for image in (images.first, images.last):
            assert abs(_red(image) - step) <= 2


def test_click_enlarges_an_image(open_report: Open) -> None:
    page = open_report()
    viewer = page.locator("#viewer")
    expect(viewer).to_be_hidden()
    page.locator("section.images .enlarge").first.click()
    expect(viewer).to_be_visible()
    expect(viewer.locator("p")).to_contain_text("★ act=relu, learning_rate=0.1, seed 0")
    assert abs(_red(viewer.locator("img")) - 200) <= 2
    viewer.locator("input").fill("0")
    assert abs(_red(viewer.locator("img")) - 0) <= 2
    viewer.get_by_role("button", name="next run").click()
    expect(viewer.locator("p")).to_contain_text("act=tanh, learning_rate=0.1, seed 0")
    expect(viewer.locator("output")).to_have_text("0")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()


def test_click_on_a_heading_sorts_the_table(open_report: Open) -> None:
    page = open_report()
    heading = page.get_by_role("button", name="best val/loss")
    cells = f"#variants tbody td:nth-child({heading.evaluate('each => each.cellIndex + 1')})"
    heading.press("Enter")
    heading.click()
    keys = [float(cell.get_attribute("data-key") or "nan") for cell in page.locator(cells).all()]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) == 6


def _background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_has_a_light_and_a_dark_mode(scheme: str, open_report: Open) -> None:
    colors = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}
    page = open_report(color_scheme=scheme)
    assert _background(page) == colors[scheme]
    page.locator("#theme").click()
    other = "dark" if scheme == "light" else "light"
    assert _background(page) == colors[other]
    page.reload()
    assert _background(page) == colors[other]  # it is remembered
    _expect_best_curve(page, True)


def test_on_a_phone_only_the_table_scrolls_sideways(open_report: Open) -> None:
    page = open_report(viewport=_PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= _PHONE["width"]
    for figure in page.locator("figure").all():
        box = figure.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= _PHONE["width"]
    expect(page.locator("#headline")).to_be_in_viewport()
    expect(page.locator("#variants tr.best")).to_be_in_viewport()
    page.locator("section.images .enlarge").first.click()
    box = page.locator("#viewer").bounding_box()
    assert box is not None
    assert box["width"] <= _PHONE["width"]
