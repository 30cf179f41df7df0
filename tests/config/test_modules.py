"""Finding modules without importing them."""

import sys
from pathlib import Path

import pytest

from expt.config.modules import find_module, is_library, read_source


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole/__init__.py", "whole/inner/deep/one.py", "whole/two.py", "spread/one.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"raise AssertionError({name!r})")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("whole", "whole/__init__.py"),
        ("whole.two", "whole/two.py"),
        ("whole.inner.deep.one", "whole/inner/deep/one.py"),
        ("spread.one", "spread/one.py"),
    ],
)
def test_module_is_found_without_import(name: str, file: str, tmp_path: Path) -> None:
    spec = find_module(name)
    assert spec is not None
    assert spec.origin == str(tmp_path / file)
    assert read_source(spec) == f"raise AssertionError({file!r})"
    assert not is_library(spec)
    assert name.partition(".")[0] not in sys.modules


@pytest.mark.parametrize("name", ["spread", "whole.inner", "whole.inner.deep"])
def test_namespace_package_has_no_source(name: str) -> None:
    spec = find_module(name)
    assert spec is not None
    assert read_source(spec) is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "nothing", "whole.nothing", "whole.two.nothing", "whole..two", "whole.inner.nothing"],
)
def test_missing_module_is_not_found(name: str) -> None:
    assert find_module(name) is None


@pytest.mark.parametrize("name", ["sys", "os", "json", "json.decoder", "numpy", "rich.console"])
def test_python_and_installed_packages_are_libraries(name: str) -> None:
    spec = find_module(name)
    assert spec is not None
    assert is_library(spec)
