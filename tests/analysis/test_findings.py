"""Tests of what the doctor found, and of what separates two variants, in a comparison."""

import re
from pathlib import Path
from typing import Any

import pytest

from analysis.made_runs import write_run
from expt.analysis.compared_run import read_compared
from expt.analysis.findings import finding_rows
from expt.analysis.page import write_page
from expt.analysis.table import Comparison, compare

VANISHING: dict[str, Any] = {
    "rule": "vanishing_gradients",
    "message": "gradients vanish: <b>dense</b>",
    "layer": "dense",
    "step": 190,
    "number": 3e-7,
    "remedy": "act=relu",
    "source": "X. Glorot",
}
SHUFFLED: dict[str, Any] = {"rule": "shuffled_labels", "message": "they may not belong"}


def comparison_of(folder: Path) -> Comparison:
    return compare([read_compared(file.parent) for file in sorted(folder.rglob("run.json"))])


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    write_run(tmp_path / "a", {"act": "sigmoid"}, seed=0, findings=[VANISHING, VANISHING, SHUFFLED])
    write_run(tmp_path / "b", {"act": "sigmoid"}, seed=1, findings=[VANISHING], status="FAILED")
    write_run(tmp_path / "c", {"act": "relu"}, findings=[])
    write_run(tmp_path / "d", {"act": "relu"}, seed=1)  # of a version without a doctor
    return comparison_of(tmp_path)


def test_rows_count_the_runs_of_a_variant(comparison: Comparison) -> None:
    rows = finding_rows(comparison.variants)
    assert [(row.variant, row.rule, row.runs, row.step, row.remedy) for row in rows] == [
        ("act=sigmoid", "vanishing_gradients", "2 of 2", 190, "act=relu"),
        ("act=sigmoid", "shuffled_labels", "1 of 2", None, ""),
    ]


def test_note_names_the_rules(comparison: Comparison) -> None:
    assert (
        "The training doctor found vanishing_gradients (2 runs), shuffled_labels (1 run); the "
        "report of --html has the details."
    ) in comparison.notes


def test_page_has_a_section(comparison: Comparison, tmp_path: Path) -> None:
    write_page(comparison, tmp_path / "report.html", "title")
    page = (tmp_path / "report.html").read_text()
    (section,) = re.findall(r'<section id="findings">.*?</section>', page, re.DOTALL)
    assert "<code>act=relu</code>" in section
    assert "X. Glorot" in section
    assert "&lt;b&gt;dense&lt;/b&gt;" in section


def test_healthy_runs_have_no_section(tmp_path: Path) -> None:
    write_run(tmp_path / "a", findings=[])
    comparison = comparison_of(tmp_path)
    write_page(comparison, tmp_path / "report.html", "title")
    assert 'id="findings"' not in (tmp_path / "report.html").read_text()
    assert not any("doctor" in note for note in comparison.notes)
