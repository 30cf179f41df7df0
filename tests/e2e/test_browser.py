"""The pages of `expt.ui` in a real browser: they show the runs of a real sweep.

The tests need Debian's chromium. Without it they are skipped, or fail if CI is set.
"""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from mlflow_helpers import until
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright
from record_helpers import make_run
from visdom_helpers import VisdomServer

from conftest import Command
from e2e.ui_helpers import Interface, interface
from expt.analysis.cells import BEST_MARK
from expt.record.recorder import Image as ImageRecord
from expt.record.recorder import Scalars
from expt.record.visdom import VisdomRecorder
from expt.runs.layout import SUMMARY
from expt.runs.run import Status

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_MILLISECONDS = 30_000
_IMAGE_IN_VIEW = """() => [...document.images].some(each => {
  const place = each.getBoundingClientRect();
  return each.naturalWidth > 50 && place.left > innerWidth / 2 && place.bottom < innerHeight;
})"""
_LINES = "each => each.offsetHeight / parseFloat(getComputedStyle(each).lineHeight)"
# The two losses have different arguments, so that some columns are empty for half of the runs.
_SWEPT = {"act": ("relu", "tanh"), "loss": ("crossentropy", "mse"), "seed": ("0", "1")}
_NUM_RUNS, _NUM_VARIANTS = 8, 4
_PROBED = ("probe=[gradients,activations]",)  # the single run
_FIRST_CHARTS = ("val/accuracy", "best/val/accuracy", "val/mistakes")
_NUM_LINES = _NUM_RUNS + 4  # a sweep of two runs, and training and validation of the single run
_COLORED, _MANY = 40, 200  # range of a pixel's channels; number of pixels: more than antialiasing
_NUM_OTHERS = 5  # the single run, a sweep of two runs, and the MLflow runs of both sweeps


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None and "CI" not in os.environ:
        pytest.skip("there is no chromium; apt-get install chromium")
    assert found, "there is no chromium"
    return found


@pytest.fixture(scope="module")
def sweep(chromium: str, run_command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the newest of two sweeps, beside a single run."""
    assert chromium  # requested first: without a browser, nothing need be trained
    folder = tmp_path_factory.mktemp("project")
    values = [f"{key}={','.join(values)}" for key, values in _SWEPT.items()]
    for arguments in (("-m", "act=relu,tanh"), _PROBED, ("-m", *values)):
        done = run_command(*arguments, "loop.epochs=2", folder=folder)
        assert done.code == 0, done.error
    return max(folder.glob("outputs/sweeps/*/*"))


@pytest.fixture(scope="module")
def records(sweep: Path) -> list[dict[str, Any]]:
    """The records of the sweep's runs."""
    found = [json.loads(file.read_text()) for file in sorted(sweep.glob("*/run.json"))]
    assert len(found) == _NUM_RUNS
    return found


@pytest.fixture(scope="module")
def shown(sweep: Path) -> Iterator[Interface]:
    with interface(sweep.parents[3]) as shown:
        yield shown


@pytest.fixture(scope="module")
def page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    home: dict[str, str | float | bool] = {**os.environ}
    home["HOME"] = str(tmp_path_factory.mktemp("home"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS, env=home)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(_MILLISECONDS)
        expect.set_options(timeout=_MILLISECONDS)
        hosts: set[str | None] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        yield page
        browser.close()
        assert hosts <= {"127.0.0.1", None}  # a file has none


def _open(page: Page, address: str) -> None:
    """Opens a page without waiting for its load event, which TensorBoard delays for minutes."""
    page.goto("about:blank")  # if only the fragment changes, the browser loads nothing
    page.goto(address, wait_until="commit")


def _name(sweep: Path) -> str:
    return str(json.loads((sweep / "sweep.json").read_text())["sweep_name"])


def _num_colored(picture: bytes) -> int:
    """Returns the number of pixels that are neither white nor gray, which are those of curves."""
    with Image.open(io.BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGB"), np.int16)
    return int((np.ptp(pixels, axis=2) > _COLORED).sum())


def _expect_curves(card: Locator) -> None:
    """Asserts that a card shows curves by their pixels: TensorBoard draws them with WebGL."""
    plot = card.locator("line-chart .series-view")
    expect(plot).to_be_in_viewport()
    until(lambda: _num_colored(plot.screenshot()) > _MANY)


def test_first_screen_shows_the_curves_of_the_sweep(
    shown: Interface, sweep: Path, records: list[dict[str, Any]], page: Page
) -> None:
    _open(page, shown.addresses("newest sweep")[0])
    for place, tag in enumerate(("loss", "accuracy")):
        card = page.locator("card-view").nth(place)
        expect(card).to_contain_text(tag)
        _expect_curves(card)
        for record in records:
            row = card.locator("tb-data-table-content-row", has_text=record["run_name"])
            expect(row).to_contain_text(f"{record['final'][f'val/{tag}']:.4g}"[:5])
    names = page.locator("runs-data-table tb-data-table-content-row")
    expect(names).to_have_count(len(records))
    for record in records:
        expect(names.get_by_text(f"{_name(sweep)}/{record['run_name']}")).to_be_visible()


def test_curves_of_all_runs_are_shown_without_a_choice(shown: Interface, page: Page) -> None:
    board = shown.addresses("TensorBoard")[0].partition("?")[0]
    _open(page, f"{board}#timeseries")
    card = page.locator("card-view").first
    expect(card).to_contain_text("accuracy")
    _expect_curves(card)
    for text in ("mlp-ep2/train", "mlp-ep2/val"):
        expect(page.locator("runs-data-table").get_by_text(text)).to_be_visible()
    _open(page, f"{board}#scalars")
    card = page.locator("tf-scalar-card").first
    expect(card).to_be_in_viewport()
    expect(card.locator("path[d*=L]").nth(_NUM_LINES - 1)).to_be_attached()  # added one by one


def test_images_and_texts_are_shown_without_a_choice(shown: Interface, page: Page) -> None:
    images = shown.addresses("TensorBoard")[1]
    _open(page, images)
    image = page.locator("tf-image-loader img").first
    expect(image).to_be_in_viewport()
    until(lambda: bool(image.evaluate("each => each.complete && each.naturalWidth > 100")))
    _open(page, images.replace("#images", "#text"))
    text = page.locator("tf-text-loader").first
    expect(text).to_be_in_viewport()
    expect(text).to_contain_text("_target_")


@pytest.fixture(scope="module")
def probed(sweep: Path) -> Path:
    """The directory of the run with probes."""
    (directory,) = sweep.parents[2].glob("runs/*/*")
    return directory


def test_tensorboard_shows_histograms_and_figures_of_probes(shown: Interface, page: Page) -> None:
    images = shown.addresses("TensorBoard")[1]
    _open(page, images.replace("#images", "#histograms"))
    histogram = page.locator("tf-histogram-loader", has_text="mlp-ep2").first
    expect(histogram).to_be_in_viewport()
    expect(histogram.locator("path").nth(2)).to_be_attached()  # before, between and after 2 epochs
    expect(histogram).to_contain_text("within/activations/re_lu")
    _open(page, images)
    expect(page.get_by_text("probes_summary").first).to_be_visible()


def test_mlflow_shows_figures_of_probes(mlflow: str, probed: Path, page: Page) -> None:
    record = json.loads((probed / "run.json").read_text())
    _open(page, f"{_runs_page(mlflow, record)}/{record['mlflow']['run_id']}/artifacts")
    page.get_by_text("images", exact=True).first.click()
    for name in ("summary", "gradients", "activations"):
        shown = page.get_by_text(re.compile(f"^probes.{name}")).first
        expect(shown).to_be_visible()


def test_report_shows_figures_of_probes(
    probed: Path, run_command: Command, page: Page, tmp_path: Path
) -> None:
    done = run_command(
        str(probed), "--html", str(tmp_path / "r.html"), folder=tmp_path, command="compare"
    )
    assert done.code == 0, done.error
    _open(page, f"file://{tmp_path}/r.html")
    expect(page.get_by_role("heading", name="Layers by training time")).to_be_visible()
    for image in page.locator("section.images img").all():
        assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") > 100


def test_hparams_table_has_parameters_and_best_values_of_each_run(
    shown: Interface, records: list[dict[str, Any]], page: Page
) -> None:
    _open(page, shown.addresses("TensorBoard")[2])
    header = page.locator("tf-hparams-table-view .table-header")
    expected = ("act", "loss", "seed", "best/val/loss", "best/val/accuracy")
    for name in expected:
        expect(header.get_by_text(name, exact=True)).to_be_in_viewport()
    for record in records:
        choices, best = record["choices"], record["best"]
        values = (
            *(record["run_name"], choices["act"], choices["loss"], f"{record['seed']:#.5g}"),
            *(f"{best[f'val/{name}']:#.5g}" for name in ("loss", "accuracy")),
        )
        row = page.get_by_role("row", name=re.compile(" .*".join(map(re.escape, values))))
        expect(row).to_be_visible()


def test_parallel_coordinates_have_a_line_for_each_run(
    shown: Interface, sweep: Path, page: Page
) -> None:
    _open(page, shown.addresses("TensorBoard")[2])
    page.get_by_text("Parallel Coordinates View").click()
    plot = page.locator("tf-hparams-parallel-coords-plot svg")
    lines = plot.locator("g.foreground path")
    lines.first.wait_for()
    assert lines.count() == len([*sweep.parents[2].rglob("run.json")])
    assert all("L" in (line.get_attribute("d") or "") for line in lines.all())
    for axis in (*_SWEPT, "best/val/loss", "best/val/accuracy"):
        expect(plot.get_by_text(axis, exact=True)).to_be_visible()


def _expect_links(page: Page, records: list[dict[str, Any]]) -> None:
    for record in records:
        expect(page.get_by_role("link", name=record["run_name"]).first).to_be_visible()


@pytest.fixture(scope="module")
def mlflow(shown: Interface, page: Page) -> str:
    """The address of MLflow, after closing a panel that covers a part of its pages."""
    (address,) = shown.addresses("MLflow")
    _open(page, address)
    page.locator("[data-component-id='mlflow.assistant.chat_panel.close']").click()
    return address.partition("/#")[0]


def _runs_page(mlflow: str, record: dict[str, Any]) -> str:
    return f"{mlflow}/#/experiments/{record['mlflow']['experiment_id']}/runs"


def _column(page: Page, name: str) -> list[str]:
    """Returns the texts of a column of MLflow's list of runs, from top to bottom."""
    cells = page.locator(f'.ag-center-cols-container [role="gridcell"][col-id="{name}"]')
    expect(cells.first).not_to_be_empty()
    rows = [
        (
            float(cell.evaluate("each => each.closest('[row-index]').getAttribute('row-index')")),
            cell,
        )
        for cell in cells.all()
    ]
    return [cell.inner_text() for _, cell in sorted(rows, key=lambda row: row[0])]


def _best(records: list[dict[str, Any]], metric: str) -> list[float]:
    return sorted((record["best"][metric] for record in records), reverse=True)


def test_mlflow_shows_all_runs_with_their_best_values(
    shown: Interface, mlflow: str, records: list[dict[str, Any]], page: Page
) -> None:
    assert mlflow
    _open(page, shown.addresses("MLflow")[0])
    _expect_links(page, records)
    expect(page.get_by_text(f"{len(records) + _NUM_OTHERS} matching runs")).to_be_visible()
    found = [float(text.rstrip("…")) for text in _column(page, "metrics.`best/val/accuracy`")]
    newest = [record["best"]["val/accuracy"] for record in records]
    assert sorted(found[: len(newest)]) == pytest.approx(sorted(newest), abs=1e-5)


def test_list_of_runs_opens_with_the_jobs_below_their_sweeps(
    mlflow: str, sweep: Path, records: list[dict[str, Any]], page: Page
) -> None:
    """MLflow shows its list like this by default: the address selects no view."""
    _open(page, _runs_page(mlflow, records[0]))
    own = json.loads((sweep / "sweep.json").read_text())["sweep_name"]
    expect(page.get_by_role("link", name=own, exact=True)).to_be_visible()
    _expect_links(page, records)
    _open(page, f"{_runs_page(mlflow, records[0])}?compareRunsMode=CHART")
    bars = page.locator(".js-plotly-plot .barlayer .point path")
    expect(bars.first).to_be_visible()
    assert bars.count() >= len(records)


def test_mlflow_shows_the_sweep(
    shown: Interface, mlflow: str, sweep: Path, records: list[dict[str, Any]], page: Page
) -> None:
    assert mlflow
    _open(page, shown.addresses("newest sweep")[3])
    own = json.loads((sweep / "sweep.json").read_text())["sweep_name"]
    expect(page.get_by_role("heading", name=own)).to_be_visible()
    _expect_links(page, records)
    values = {"best/val/accuracy": f"{_best(records, 'val/accuracy')[0]:.6f}"[:6]}
    for name, value in {**values, "jobs": str(_NUM_RUNS), "best.act": "", "best.run": ""}.items():
        row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
        expect(row.first).to_contain_text(value)
    with (sweep / SUMMARY / "table.csv").open(newline="") as file:
        (best,) = (variant for variant in csv.DictReader(file) if variant["best"] == "1")
    row = page.get_by_role("row").filter(has_text=BEST_MARK)
    for text in (best["act"], best["loss"]):
        expect(row.get_by_role("cell", name=text, exact=True)).to_be_visible()
    rows = page.get_by_role("table").filter(has=row).get_by_role("row")
    expect(rows).to_have_count(1 + _NUM_VARIANTS)
    for one in rows.all():
        assert one.evaluate(_LINES) < 2  # each row fits on one line


def test_mlflow_shows_the_plots_of_the_sweep(shown: Interface, sweep: Path, page: Page) -> None:
    address = shown.addresses("newest sweep")[3].partition("?")[0]
    _open(page, f"{address}/artifacts")
    plots = sorted((sweep / SUMMARY / "plots").iterdir())
    assert len(plots) == 4  # curves, an effect of each parameter, and of both
    for folder in (SUMMARY.name, "plots"):
        page.get_by_text(folder, exact=True).click()
    for plot in plots:
        page.get_by_text(plot.name, exact=True).click()
        image = page.get_by_alt_text(f"{SUMMARY}/plots/{plot.name}")
        expect(image).to_be_visible()
        assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") > 100


def test_mlflow_lists_the_runs_of_the_sweep_best_first(
    shown: Interface, mlflow: str, records: list[dict[str, Any]], page: Page
) -> None:
    assert mlflow
    _open(page, shown.addresses("newest sweep")[1])
    _expect_links(page, records)
    expect(page.get_by_text(f"{len(records)} matching runs")).to_be_visible()
    found = [float(text.rstrip("…")) for text in _column(page, "metrics.`best/val/accuracy`")]
    assert found == pytest.approx(_best(records, "val/accuracy"), abs=1e-5)
    for key in _SWEPT:
        assert set(_column(page, f"params.`{key}`")) == set(_SWEPT[key])
    assert all(float(text.rstrip("…")) > 0 for text in _column(page, "metrics.`test/accuracy`"))


def test_first_mlflow_charts_are_validation_metrics_and_an_image(
    shown: Interface, mlflow: str, records: list[dict[str, Any]], page: Page
) -> None:
    assert mlflow
    _open(page, shown.addresses("newest sweep")[2])
    _expect_links(page, records)
    plots = page.locator(".js-plotly-plot")
    points = plots.first.locator(".scatterlayer .trace .point")
    expect(points.first).to_be_visible()
    assert points.count() == 2 * _NUM_RUNS  # epochs
    expect(plots.nth(1).locator(".barlayer .point")).to_have_count(_NUM_RUNS)
    titles = [page.get_by_text(name, exact=True).first for name in _FIRST_CHARTS]
    boxes = [title.bounding_box() for title in titles]
    assert all(box is not None and box["y"] < 450 for box in boxes)  # all in the first row
    page.wait_for_function(_IMAGE_IN_VIEW)


def test_mlflow_shows_a_single_run(mlflow: str, records: list[dict[str, Any]], page: Page) -> None:
    record = records[0]
    runs = _runs_page(mlflow, record)
    _open(page, f"{runs}/{record['mlflow']['run_id']}")
    expect(page.get_by_role("heading", name=record["run_name"])).to_be_visible()
    for name in ("val/accuracy", "test/loss"):
        row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
        expect(row.first).to_contain_text(f"{record['final'][name]:.5f}"[:6])
    _open(page, f"{runs}/{record['mlflow']['run_id']}/model-metrics")
    expect(page.locator(".js-plotly-plot .barlayer .point path").first).to_be_visible()


def test_mlflow_compares_two_runs(mlflow: str, records: list[dict[str, Any]], page: Page) -> None:
    one, other = records[0], records[-1]
    stored = [record["mlflow"] for record in (one, other)]
    runs = json.dumps([run["run_id"] for run in stored])
    experiments = json.dumps([stored[0]["experiment_id"]])
    _open(page, f"{mlflow}/#/compare-runs?runs={runs}&experiments={experiments}")
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    for record in (one, other):
        expect(page.get_by_text(record["run_name"], exact=True).first).to_be_visible()
    acts = page.get_by_role("row").filter(has_text=re.compile(r"^act(?!\.)"))
    expect(acts.first).to_contain_text(_SWEPT["act"][0])
    expect(acts.first).to_contain_text(_SWEPT["act"][1])


def _keys(page: Page, cells: str) -> list[float]:
    return [float(cell.get_attribute("data-key") or "nan") for cell in page.locator(cells).all()]


def test_report_shows_the_sweep(
    shown: Interface, sweep: Path, records: list[dict[str, Any]], page: Page
) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda entry: faults.append(entry.text) if entry.type == "error" else None)
    _open(page, shown.addresses("newest sweep")[-1])
    expect(page.get_by_role("heading", level=1)).to_contain_text(sweep.name)
    rows = page.locator("#variants tbody tr")
    expect(rows).to_have_count(_NUM_VARIANTS)
    heading = page.get_by_role("button", name="best val/loss")
    cells = f"#variants tbody td:nth-child({heading.evaluate('each => each.cellIndex + 1')})"
    heading.click()
    ascending = _keys(page, cells)
    heading.click()
    assert _keys(page, cells) == ascending[::-1] == sorted(ascending, reverse=True)
    for record in records:
        expect(page.get_by_text(record["run_name"])).to_have_count(1)
    assert page.locator("#charts canvas").count() >= 4  # losses and accuracies
    expect(page.locator("#effects svg")).to_have_count(2)
    images = page.locator("section.images img")
    expect(images).to_have_count(3 * _NUM_VARIANTS)  # of three kinds
    for image in images.all():
        assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") > 100
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not faults


def test_visdom_shows_a_run(page: Page, tmp_path: Path) -> None:
    server = VisdomServer(tmp_path)
    recorder = VisdomRecorder(port=server.port)
    recorder.open(make_run(tmp_path))
    for step in range(1, 5):
        recorder.write(Scalars.single(step, 1, {"train/loss": 1 / step, "val/loss": 2 / step}))
        recorder.write(ImageRecord(step, 1.0, "val/grid", lambda: np.zeros((90, 120, 3), np.uint8)))
    recorder.close(Status.FINISHED)
    _open(page, f"http://127.0.0.1:{server.port}/env/experiment_name_of_the_run")
    expect(page.locator(".js-plotly-plot .scatterlayer .trace")).to_have_count(2)
    expect(page.locator(".js-plotly-plot .legendtext")).to_have_text(["train", "val"])
    image = page.get_by_alt_text("step 4")
    expect(image).to_be_visible()
    assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") == 120
    expect(page.get_by_text("status: FINISHED")).to_be_visible()
    page.goto("about:blank")  # otherwise the page would poll the server after its end
    server.kill()
