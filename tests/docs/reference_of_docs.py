"""The generated reference pages."""

import runpy
from functools import cache
from typing import Any

from docs.pages_of_docs import ROOT


@cache
def script() -> dict[str, Any]:
    """Returns the names of `scripts/reference_pages.py`."""
    return runpy.run_path(str(ROOT / "scripts/reference_pages.py"))


@cache
def reference_pages() -> dict[str, str]:
    """Returns the text of each page by its name."""
    pages: dict[str, str] = script()["pages"]()
    return pages
