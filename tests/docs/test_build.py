"""`make docs` builds the documentation without a warning."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs.pages_of_docs import ROOT, page_id, written_pages


def test_the_documentation_builds_without_warnings(tmp_path: Path) -> None:
    if find_spec("sphinx") is None and "CI" not in os.environ:
        pytest.skip("Sphinx is not installed: pip install 'expt[docs]'")
    # As in the Makefile, but for the folder.
    build = ["-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html"]
    done = subprocess.run(
        [sys.executable, *build, str(ROOT / "docs"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for page in written_pages():
        if page.is_relative_to(ROOT / "docs"):
            html = Path(page_id(page)).relative_to("docs").with_suffix(".html")
            assert (tmp_path / html).is_file()
    assert (tmp_path / "reference/model.html").is_file()


def test_the_makefile_has_the_same_options() -> None:
    line = "$(BIN)/sphinx-build -W --keep-going -n -b html docs docs/_build/html"
    assert line in (ROOT / "Makefile").read_text(encoding="utf-8")
