"""Every link within the documentation leads to a file, and to a heading in it."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from docs.pages_of_docs import ROOT, page_id, written_pages
from docs.reference_of_docs import reference_pages

_FENCED = re.compile(r"^( *)(`{3,}|~{3,}).*?^ *\2\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+).+?\1")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_IMAGE = re.compile(r"<img[^>]+src=\"([^\"]+)\"")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?)(?: +#+)? *$", re.MULTILINE)
_LABEL = re.compile(r"^\((\S+)\)= *$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@cache
def _texts() -> Mapping[str, str]:
    """Returns all pages by their paths from the root, those that are generated too."""
    texts = {page_id(page): page.read_text(encoding="utf-8") for page in written_pages()}
    return texts | {f"docs/reference/{name}": text for name, text in reference_pages().items()}


def links(text: str) -> Iterator[str]:
    """Yields the targets of links and images, not of those in code."""
    text = _CODE.sub("", _FENCED.sub("", text))
    for pattern in (_LINK, _DEFINITION, _IMAGE):
        yield from (target for target in pattern.findall(text) if not _ELSEWHERE.match(target))


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page as GitHub and MyST make them of its headings."""
    text = _FENCED.sub("", text)
    found: set[str] = set(_LABEL.findall(text))
    counts: Counter[str] = Counter()
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("\\", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return found


def broken(page: str, texts: Mapping[str, str], root: Path) -> list[str]:
    """Returns the links of a page that lead nowhere."""
    wrong = []
    for target in links(texts[page]):
        path, _, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        is_there = place in texts or (root / place).exists()
        if not is_there or (anchor and place in texts and anchor not in anchors(texts[place])):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", [page_id(page) for page in written_pages()])
def test_links_of_a_page(page: str) -> None:
    assert broken(page, _texts(), ROOT) == []


def test_links_of_the_reference() -> None:
    found = {page: broken(page, _texts(), ROOT) for page in _texts() if "reference/" in page}
    assert {page: wrong for page, wrong in found.items() if wrong} == {}


def test_what_a_link_may_lead_to(tmp_path: Path) -> None:
    (tmp_path / "figure.png").touch()
    texts = {
        "docs/a.md": "# One `two`!\n[x](b.md) [x](b.md#sec-tion) [x](#one-two)\n"
        "![x](../figure.png) [x](https://a.b/c) [x](c.md) [x](b.md#other) [x](#none) `[x](d.md)`\n"
        "```\n[x](e.md)\n```\n[r]: f.md\n",
        "docs/b.md": "## Sec-tion\n## Sec-tion\n",
    }
    assert broken("docs/a.md", texts, tmp_path) == ["c.md", "b.md#other", "#none", "f.md"]
    assert anchors(texts["docs/b.md"]) == {"sec-tion", "sec-tion-1"}
