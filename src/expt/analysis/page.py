"""The HTML report of a comparison: a single file with all data, scripts and images."""

import base64
import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from expt.analysis.cells import TableColumn, columns
from expt.analysis.chart_data import chart_data
from expt.analysis.findings import finding_rows
from expt.analysis.images import ImageRow, image_rows
from expt.analysis.table import Comparison
from expt.analysis.terminal import last_text, where
from expt.analysis.verdict import headline

_MOST_ROWS = 2000  # the most that a browser sorts without a delay
_MOST_SHOWN_RUNS = 20  # of a variant, with their directories
_STYLES = ("vendor/uplot/uPlot.min.css", "assets/page.css")
_LIBRARIES = ("vendor/uplot/uPlot.iife.min.js",)
_SCRIPTS = ("page.js", "table.js", "curves.js", "effects.js", "images.js")


def write_page(comparison: Comparison, path: Path, title: str) -> None:
    """Writes the report.

    Args:
        comparison: The comparison.
        path: The path of the HTML file.
        title: The title, which names the compared folders.
    """
    # Records may come from other people and contain HTML. The template escapes every value, and the
    # content security policy allows no scripts but the ones below, by their hashes.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("expt.analysis", "."),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters["breakable"] = _breakable
    style = "\n".join(_asset(environment, name) for name in _STYLES)
    library = "\n".join(_asset(environment, name) for name in _LIBRARIES)
    script = "\n".join(_asset(environment, f"assets/{name}") for name in _SCRIPTS)
    shown = columns(comparison)
    images = image_rows(comparison)
    page = environment.get_template("assets/page.html").render(
        title=title,
        # The first sentence is set in bold.
        headline=headline(comparison).partition(". "),
        comparison=comparison,
        columns=shown,
        rows=_rows(comparison, shown),
        more=max(0, len(comparison.variants) - _MOST_ROWS),
        unfinished=[
            (run.status, run.name, where(run), run.step, last_text(run), run.reason)
            for run in comparison.unfinished[:_MOST_ROWS]
        ],
        findings=finding_rows(comparison.variants)[:_MOST_ROWS],
        images=images,
        data={**chart_data(comparison), "images": [_image_data(row) for row in images]},
        written=time.strftime("%Y-%m-%d %H:%M"),
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(library)}' '{_digest(script)}'",
        style=style,
        library=library,
        script=script,
    )
    path.write_text(page, encoding="utf-8")


def _asset(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _rows(comparison: Comparison, shown: Sequence[TableColumn]) -> list[dict[str, object]]:
    """Returns the rows of the table for the template, one per variant."""
    return [
        {
            "cells": [
                (
                    column.cells[index],
                    _sort_key(column, index),
                    column.is_text,
                )
                for column in shown
            ],
            "is_best": variant.is_best,
            "runs": [
                (run.name, run.seed, run.status, where(run))
                for run in variant.runs[:_MOST_SHOWN_RUNS]
            ],
            "more": max(0, len(variant.runs) - _MOST_SHOWN_RUNS),
        }
        for index, variant in enumerate(comparison.variants[:_MOST_ROWS])
    ]


def _image_data(row: ImageRow) -> dict[str, object]:
    """Returns the images of a row by run and step, for the script of the sliders."""
    # The images shown at first are in the page already: None instead of a second copy.
    return {
        "steps": row.steps,
        "runs": [
            {
                str(step): None if step == series.at(row.step) else source or ""
                for step, source in series.sources.items()
            }
            for series in row.series
        ],
    }


def _breakable(title: str) -> Markup:
    """Returns a heading that may be broken into lines after a dot or a slash."""
    whole = title.replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup("<wbr>").join(re.split(r"(?<=[./])(?=\S)", whole))


def _sort_key(column: TableColumn, index: int) -> str:
    if column.numbers is None:
        return column.cells[index]
    number = column.numbers[index]
    return "" if number is None else repr(float(number))


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
