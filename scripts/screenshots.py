"""Takes pictures of TensorBoard, MLflow and the report over a folder of runs, in a real browser.

    python scripts/screenshots.py outputs pictures

Needs Debian's chromium (`apt-get install chromium`); Playwright drives it. The pages are those that
`expt.ui` prints, as they open.
"""

import argparse
import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

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
        _links(args.outputs) as links,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=_FLAGS, env={**os.environ, "HOME": home}
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        _tensorboard(page, links, args.pictures)
        _mlflow(page, links, args.pictures)
        _report(page, links, args.pictures)
        browser.close()


def _tensorboard(page: Page, links: Sequence[str], folder: Path) -> None:
    # TensorBoard's pages hold back the load event for minutes; their content is what counts.
    page.goto(_with("runFilter", links), wait_until="commit")
    page.wait_for_selector("card-view line-chart svg")
    page.get_by_label("Close side pane").click()
    page.wait_for_timeout(2_000)
    page.screenshot(path=folder / "tensorboard-scalars.png")
    page.goto(_with("#images", links), wait_until="commit")
    page.wait_for_selector("tf-image-loader img")
    page.wait_for_timeout(2_000)
    page.screenshot(path=folder / "tensorboard-images.png")
    page.goto(_with("#hparams", links), wait_until="commit")
    page.wait_for_selector("tf-hparams-main")
    page.wait_for_timeout(3_000)
    page.screenshot(path=folder / "tensorboard-hparams.png")
    page.get_by_text("Parallel Coordinates View").click()
    page.wait_for_selector("tf-hparams-parallel-coords-plot svg g.foreground path")
    page.wait_for_timeout(1_000)
    page.screenshot(path=folder / "tensorboard-parallel-coordinates.png")


def _mlflow(page: Page, links: Sequence[str], folder: Path) -> None:
    page.goto(_with("viewStateShareKey=expt-", links))
    page.wait_for_selector(".ag-row")
    _close_assistant(page)
    page.screenshot(path=folder / "mlflow-runs.png")
    page.goto(_with("compareRunsMode=CHART", links))
    page.wait_for_selector(".js-plotly-plot")
    page.wait_for_timeout(5_000)
    page.screenshot(path=folder / "mlflow-charts.png")


def _report(page: Page, links: Sequence[str], folder: Path) -> None:
    """The report of the newest sweep, its first screen and a half."""
    page.goto(_with("report.html", links))
    page.wait_for_selector("#charts canvas")
    page.wait_for_timeout(1_000)
    picture = folder / "compare-report.png"
    clip = {"x": 0, "y": 0, "width": 1400, "height": 1350}
    page.screenshot(path=picture, full_page=True, clip=clip)  # type: ignore[arg-type]
    # Few colors are enough, and make a small file.
    whole = Image.open(picture).convert("RGB")
    few = whole.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


def _with(part: str, links: Sequence[str]) -> str:
    return next(link for link in links if part in link)


def _close_assistant(page: Page) -> None:
    page.wait_for_timeout(2_000)
    button = page.locator("[aria-label='Close']").first
    if button.count():
        button.click()
        page.wait_for_timeout(1_000)


@contextlib.contextmanager
def _links(outputs: Path) -> Iterator[list[str]]:
    """The links that `expt.ui` prints."""
    command = [sys.executable, "-m", "expt.ui", f"output_dir={outputs}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        printed = itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), process.stdout)
        yield re.findall(r"(?:http|file)://\S+", "".join(printed))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
