"""How Sphinx builds the documentation; `make docs` calls it."""

import runpy
from pathlib import Path

from sphinx.application import Sphinx

import expt

_SCRIPT = Path(__file__).parents[1] / "scripts/reference_pages.py"

project = "expt"
release = expt.__version__
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"expt {release}"
myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 3  # the anchors that GitHub makes of headings, too
# The pages are plain Markdown: on GitHub the same fences are diagrams.
myst_fence_as_directive = ["mermaid"]


def setup(app: Sphinx) -> None:
    """Has the reference written before Sphinx looks for pages."""
    app.connect("builder-inited", _write_reference)


def _write_reference(app: Sphinx) -> None:
    runpy.run_path(str(_SCRIPT))["write_pages"](Path(app.srcdir) / "reference")
