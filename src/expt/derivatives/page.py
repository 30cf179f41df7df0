"""The page: one HTML file with all pictures, the examples of the notes and their output."""

import base64
import time
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from expt.derivatives.figures import Picture
from expt.derivatives.study import Section, all_rows
from expt.derivatives.terminal import HEADINGS, cells

PAGE = "index.html"
"""The name of the page's file."""


def make_page(sections: Sequence[Section], dtype: str) -> str:
    """Returns the page as HTML.

    Args:
        sections: The sections, in order.
        dtype: The type in which the tapes computed.
    """
    # Names of options come from users' folders, so the template escapes every value.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("expt.derivatives", "."),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["source"] = _source
    return environment.get_template("page.html").render(
        sections=sections,
        headings=HEADINGS,
        rows=[cells(row) for row in all_rows(sections)],
        dtype=dtype,
        written=time.strftime("%Y-%m-%d %H:%M"),
    )


def _source(picture: Picture) -> str:
    kind = picture.name.rpartition(".")[2]
    return f"data:image/{kind};base64,{base64.b64encode(picture.data).decode()}"
