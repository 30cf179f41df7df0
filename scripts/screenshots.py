"""Takes pictures of TensorBoard, MLflow and the report over a folder of runs, in a real browser.

    python scripts/screenshots.py outputs pictures

Needs Debian's chromium (`apt-get install chromium`); Playwright drives it. The servers are those of
`expt.ui`.
"""

import argparse
import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from expt.comparison.output import summarise
from expt.record.mlflow import store_uri
from expt.runs.sweeps import newest_sweep
from expt.servers.tensorboard_links import tensorboard_lines

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def main() -> None:
    """Takes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("pictures", type=Path)
    args = parser.parse_args()
    args.pictures.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        _servers(args.outputs) as (board, mlflow),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=_FLAGS, env={**os.environ, "HOME": home}
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        _tensorboard(page, board, args.pictures)
        _mlflow(page, mlflow, store_uri(args.outputs), args.pictures)
        _report(page, args.outputs, args.pictures)
        browser.close()


def _tensorboard(page: Page, address: str, folder: Path) -> None:
    # TensorBoard's pages hold back the load event for minutes; their content is what counts.
    _, curves = next(tensorboard_lines(address, [], 0))
    page.goto(curves, wait_until="commit")
    page.wait_for_selector("card-view line-chart svg")
    page.get_by_label("Close side pane").click()
    page.wait_for_timeout(2_000)
    page.screenshot(path=folder / "tensorboard-scalars.png")
    page.goto(f"{address}/#images", wait_until="commit")
    page.wait_for_selector("tf-image-loader img")
    page.locator(
        "tf-category-paginated-view >> text=val_predictions"
    ).first.scroll_into_view_if_needed()
    page.wait_for_timeout(2_000)
    page.screenshot(path=folder / "tensorboard-images.png")
    page.goto(f"{address}/#hparams", wait_until="commit")
    page.wait_for_selector("tf-hparams-main")
    page.wait_for_timeout(3_000)
    page.screenshot(path=folder / "tensorboard-hparams.png")
    page.get_by_text("Parallel Coordinates View").click()
    page.wait_for_selector("tf-hparams-parallel-coords-plot svg g.foreground path")
    page.wait_for_timeout(1_000)
    page.screenshot(path=folder / "tensorboard-parallel-coordinates.png")


def _mlflow(page: Page, address: str, store: str, folder: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(store)
    (experiment,) = client.search_experiments(filter_string="name = 'expt'")
    (run,) = client.search_runs([experiment.experiment_id], max_results=1)
    runs = f"{address}/#/experiments/{experiment.experiment_id}/runs"
    page.goto(runs)
    page.wait_for_selector(".ag-row")
    _close_assistant(page)
    page.screenshot(path=folder / "mlflow-runs.png")
    page.goto(f"{runs}?compareRunsMode=CHART")
    page.wait_for_selector(".js-plotly-plot")
    page.get_by_placeholder("Search metric charts").fill("val")
    page.wait_for_timeout(3_000)
    page.screenshot(path=folder / "mlflow-charts.png")
    page.goto(f"{runs}/{run.info.run_id}/artifacts")
    page.get_by_text("images", exact=True).click()
    page.get_by_text(re.compile(r"^val~predictions.*png$")).last.click()
    page.wait_for_timeout(3_000)
    page.screenshot(path=folder / "mlflow-image.png")


def _report(page: Page, outputs: Path, folder: Path) -> None:
    """The report of the newest sweep, its top and a row of its pictures."""
    sweep = newest_sweep(outputs)
    assert sweep is not None, "there is no sweep"
    report = next(path for path in summarise(sweep, folder / "summary") if path.suffix == ".html")
    page.goto(report.absolute().as_uri())
    last = page.locator("h2").nth(1).locator("+ .pictures").bounding_box()
    assert last is not None
    height = last["y"] + last["height"] + 24
    picture = folder / "compare-report.png"
    page.screenshot(
        path=picture,
        full_page=True,
        clip={"x": 0, "y": 0, "width": 1400, "height": height},
    )
    # Few colours are enough, and make a small file.
    whole = Image.open(picture).convert("RGB")
    few = whole.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


def _close_assistant(page: Page) -> None:
    page.wait_for_timeout(2_000)
    button = page.locator("[aria-label='Close']").first
    if button.count():
        button.click()
        page.wait_for_timeout(1_000)


@contextlib.contextmanager
def _servers(outputs: Path) -> Iterator[list[str]]:
    """TensorBoard's address and MLflow's."""
    command = [sys.executable, "-m", "expt.ui", f"output_dir={outputs}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), process.stdout)
        yield re.findall(r"^(?:TensorBoard|MLflow) +(http://[^/]+)", "".join(told), re.MULTILINE)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
