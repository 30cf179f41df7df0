"""One HTML file with all of a comparison, which needs nothing beside itself."""

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
from expt.analysis.pictures import PictureRow, picture_rows
from expt.analysis.table import Comparison
from expt.analysis.terminal import last_text, where
from expt.analysis.verdict import headline

_MOST_ROWS = 2000  # that a browser sorts at once
_MOST_SHOWN_RUNS = 20  # directories shown of a variant
_STYLES = ("vendor/uplot/uPlot.min.css", "assets/page.css")
_LIBRARIES = ("vendor/uplot/uPlot.iife.min.js",)
_SCRIPTS = ("page.js", "table.js", "curves.js", "effects.js", "images.js")


def write_page(comparison: Comparison, path: Path, title: str) -> None:
    """Writes the page.

    Args:
        comparison: What to show.
        path: The file.
        title: What was compared.
    """
    # Whatever a record holds becomes text: the template escapes all, and the policy lets no other
    # script run than the page's own.
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
    pictures = picture_rows(comparison)
    page = environment.get_template("assets/page.html").render(
        title=title,
        # The first sentence, and the rest, which is set less heavily.
        headline=headline(comparison).partition(". "),
        comparison=comparison,
        columns=shown,
        rows=_rows(comparison, shown),
        more=max(0, len(comparison.variants) - _MOST_ROWS),
        unfinished=[
            (run.status, run.name, where(run), run.step, last_text(run), run.reason)
            for run in comparison.unfinished[:_MOST_ROWS]
        ],
        pictures=pictures,
        data={**chart_data(comparison), "images": [_image_data(row) for row in pictures]},
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
    """Returns what the template shows of each variant."""
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


def _image_data(row: PictureRow) -> dict[str, object]:
    """Returns a row's images by run and step, but for those that the page shows at first."""
    return {
        "steps": row.steps,
        "runs": [
            {
                str(step): None if step == picture.at(row.step) else source or ""
                for step, source in picture.sources.items()
            }
            for picture in row.pictures
        ],
    }


def _breakable(title: str) -> Markup:
    """A heading that may continue in another line after a dot or a slash."""
    whole = title.replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup("<wbr>").join(re.split(r"(?<=[./])(?=\S)", whole))


def _sort_key(column: TableColumn, index: int) -> str:
    if column.numbers is None:
        return column.cells[index]
    number = column.numbers[index]
    return "" if number is None else repr(float(number))


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
