"""Which pages there are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
_GENERATED = (ROOT / "docs/reference", ROOT / "docs/_build")


def written_pages() -> list[Path]:
    """Returns the pages that people write, not those that `make docs` writes."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if not any(page.is_relative_to(one) for one in _GENERATED)]


def page_id(page: Path) -> str:
    """Returns how a test names a page."""
    return page.relative_to(ROOT).as_posix()
