"""One HTML file with all of a comparison, which needs nothing beside itself."""

import base64
import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from expt.comparison.cells import Column, columns
from expt.comparison.pictures import data_address, picture_rows
from expt.comparison.table import Comparison
from expt.comparison.terminal import last_text, where

_MOST_ROWS = 2000  # that a browser sorts at once
_MOST_SHOWN_RUNS = 20  # directories told of a variant


def write_page(
    comparison: Comparison, path: Path, title: str, plots: Sequence[tuple[str, str, bytes]]
) -> None:
    """Writes the page.

    Args:
        comparison: What to show.
        path: The file.
        title: What was compared.
        plots: Name, title and PNG of each.
    """
    # Whatever a record holds becomes text: the template escapes all, and the policy lets no other
    # script run than the page's own.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("expt.comparison", "."),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    load = environment.loader
    assert load is not None
    style, script = (load.get_source(environment, f"page.{kind}")[0] for kind in ("css", "js"))
    shown = columns(comparison)
    page = environment.get_template("page.html").render(
        title=title,
        comparison=comparison,
        columns=shown,
        rows=_rows(comparison, shown),
        more=max(0, len(comparison.variants) - _MOST_ROWS),
        unfinished=[
            (run.status, where(run), run.step, last_text(run), run.reason)
            for run in comparison.unfinished[:_MOST_ROWS]
        ],
        plots=[(name, data_address(png, "png")) for _, name, png in plots],
        pictures=picture_rows(comparison),
        written=time.strftime("%Y-%m-%d %H:%M"),
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'",
        style=style,
        script=script,
    )
    path.write_text(page, encoding="utf-8")


def _rows(comparison: Comparison, shown: Sequence[Column]) -> list[dict[str, object]]:
    """What the template shows of each variant."""
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
            "is_noise": variant.verdict == "inconclusive",
            "runs": [(run.seed, run.status, where(run)) for run in variant.runs[:_MOST_SHOWN_RUNS]],
            "more": max(0, len(variant.runs) - _MOST_SHOWN_RUNS),
        }
        for index, variant in enumerate(comparison.variants[:_MOST_ROWS])
    ]


def _breakable(title: str) -> Markup:
    """A heading that may go on in another line after a dot or a slash."""
    return Markup("<wbr>").join(re.split(r"(?<=[./])(?=\S)", title))


def _sort_key(column: Column, index: int) -> str:
    if column.numbers is None:
        return column.cells[index]
    number = column.numbers[index]
    return "" if number is None else repr(float(number))


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
