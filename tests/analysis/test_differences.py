import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.made_runs import write_journal, write_run
from expt.analysis.diff_terminal import print_difference
from expt.analysis.differences import (
    DiffRow,
    Divergence,
    code_rows,
    config_rows,
    final_rows,
    find_divergences,
    module_rows,
    record_rows,
)
from expt.errors import UserError
from expt.runs.find import FoundRun, load_run

DIFF = """\
# not known to git: new.py
diff --git a/same.py b/same.py
--- a/same.py
+++ b/same.py
+one
diff --git a/other.py b/other.py
--- a/other.py
+++ b/other.py
-before
+after {}
"""


def pair(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> list[FoundRun]:
    return [
        load_run(write_run(folder / name, **fields), folder)
        for name, fields in (("a", first), ("b", second))
    ]


def with_journals(folder: Path, *records: list[dict[str, Any]]) -> list[FoundRun]:
    runs = pair(folder, {}, {})
    for run, each in zip(runs, records, strict=True):
        write_journal(run.directory, each)
    return runs


class TestRows:
    def test_config_values_that_differ(self, tmp_path: Path) -> None:
        runs = pair(tmp_path, {}, {"params": {"act": "tanh", "act.alpha": 0.5}})
        assert config_rows(*runs) == [
            DiffRow("act", "relu", "tanh"),
            DiffRow("act.alpha", "–", "0.5"),
        ]

    def test_modules_that_differ_and_changes_at_a_resume(self, tmp_path: Path) -> None:
        one = {"mine.losses": "1" * 16, "mine.models": "2" * 16, "mine.old": "3" * 16}
        other = {"mine.losses": "4" * 16, "mine.models": "2" * 16}
        change = {"from": "0" * 16, "changed": ["mine.models", "mine.old"]}
        runs = pair(
            tmp_path,
            {"code": {"hash": "5", "modules": one}},
            {
                "code": {"hash": "6", "modules": other},
                "resumed": [{"step": 7}, {"step": 19, "code": change}],
            },
        )
        assert module_rows(*runs) == [
            DiffRow("mine.losses", "1" * 8, "4" * 8),
            DiffRow("mine.old", "3" * 8, "–"),
            DiffRow("changed at step 19", "–", "mine.models, mine.old"),
        ]
        assert module_rows(runs[0], runs[0]) == []

    def test_code_that_was_not_recorded_is_not_reported_as_equal(self, tmp_path: Path) -> None:
        runs = pair(tmp_path, {}, {"code": {"hash": "6", "modules": {"mine": "1"}}})
        for run in runs:
            write_journal(run.directory, [])
        shown = io.StringIO()
        print_difference(Console(file=shown, width=200), *runs)
        assert "code: not recorded by A, so it may differ" in shown.getvalue()

    def test_null_differs_from_a_missing_key(self, tmp_path: Path) -> None:
        runs = pair(tmp_path, {"params": {"loss.weights": None}}, {})
        assert config_rows(*runs) == [DiffRow("loss.weights", "null", "–")]

    def test_targets_come_from_the_config_file_without_output_dir(self, tmp_path: Path) -> None:
        runs = pair(tmp_path, {}, {})
        for run, target in zip(runs, ("my.a", "my.b"), strict=True):
            (run.directory / ".hydra").mkdir()
            file = run.directory / ".hydra" / "config.yaml"
            file.write_text(f"name: n\noutput_dir: {target}\nmodel:\n  _target_: {target}\n")
        assert config_rows(*runs) == [DiffRow("model._target_", "my.a", "my.b")]

    def test_files_with_uncommitted_changes(self, tmp_path: Path) -> None:
        states = [{"git": {"commit": "c", "dirty": dirty}} for dirty in (False, True)]
        first, second = pair(tmp_path, *states)
        (second.directory / "git.diff").write_text(DIFF.format(1))
        assert code_rows(first, second) == [
            DiffRow("dirty", "false", "true"),
            DiffRow("new.py", "as in the commit", "untracked"),
            DiffRow("same.py", "as in the commit", "+1 -0 lines"),
            DiffRow("other.py", "as in the commit", "+1 -1 lines"),
        ]
        (first.directory / "git.diff").write_text(DIFF.format(2))
        assert code_rows(first, second)[1:] == [
            DiffRow("other.py", "+1 -1 lines, not the same ones", "+1 -1 lines, not the same ones")
        ]

    def test_parts_of_the_record_that_differ(self, tmp_path: Path) -> None:
        versions = [{"versions": {"numpy": v, "keras": "3"}} for v in ("2.1", "2.2")]
        first, second = pair(tmp_path, *versions)
        assert record_rows(first, second, ["versions"]) == [DiffRow("versions.numpy", "2.1", "2.2")]
        assert record_rows(first, second, ["data"]) == []

    def test_final_and_best_values_of_both_runs(self, tmp_path: Path) -> None:
        runs = pair(tmp_path, {}, {"values": {"val/loss": 0.25}, "status": "FAILED"})
        rows = {row.name: row for row in final_rows(*runs)}
        assert rows["status"] == DiffRow("status", "FINISHED", "FAILED")
        assert rows["val/loss"] == DiffRow("val/loss", "0.5", "0.25")
        assert rows["val/accuracy"] == DiffRow("val/accuracy", "0.9", "–")
        assert rows["best/val/loss"] == DiffRow("best/val/loss", "0.5", "0.25")


class TestDivergences:
    def test_the_first_different_step_of_each_metric_is_found(self, tmp_path: Path) -> None:
        one = [{"step": s, "train/loss": 1.0 / s, "train/x": 1.0} for s in (1, 2, 3)]
        other = [{"step": s, "train/loss": 1.0 / s + (s > 1), "train/x": 1.0} for s in (1, 2, 3)]
        val = [{"step": 3, "val/loss": 7.0, "perf/steps_per_s": 1.0}]
        later = [{"step": 3, "val/loss": 8.0, "perf/steps_per_s": 2.0}]
        *diverging, same = find_divergences(*with_journals(tmp_path, one + val, other + later))
        assert diverging == [
            Divergence("train/loss", 3, 2, 0.5, 1.5),
            Divergence("val/loss", 1, 3, 7.0, 8.0),
        ]
        assert (same.metric, same.common, same.step) == ("train/x", 3, None)

    def test_a_difference_of_one_bit_is_found(self, tmp_path: Path) -> None:
        runs = with_journals(
            tmp_path, [{"step": 1, "val/loss": 0.1}], [{"step": 1, "val/loss": 0.10000001}]
        )
        assert find_divergences(*runs)[0].step == 1

    def test_nan_and_infinity_equal_themselves(self, tmp_path: Path) -> None:
        records = [{"step": 1, "val/loss": "nan"}, {"step": 2, "val/loss": "inf"}]
        (found,) = find_divergences(*with_journals(tmp_path, records, records))
        assert (found.common, found.step) == (2, None)

    def test_only_common_steps_are_compared(self, tmp_path: Path) -> None:
        one = [{"step": s, "val/loss": float(s)} for s in (2, 4, 6)]
        other = [{"step": s, "val/loss": float(s) + (s == 6)} for s in (3, 6)]
        (found,) = find_divergences(*with_journals(tmp_path, one, other))
        assert (found.common, found.step) == (1, 6)

    def test_a_missing_journal_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="can't be read"):
            find_divergences(*pair(tmp_path, {}, {}))


def shown(runs: list[FoundRun]) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_difference(console, *runs)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestTerminal:
    def test_equal_runs_are_reported_as_equal(self, tmp_path: Path) -> None:
        records = [{"step": 1, "val/loss": 1.0}]
        text = shown(with_journals(tmp_path, records, records))
        assert "git: not recorded, neither run started in a checkout" in text
        assert "the same: config, packages, data, machine" in text
        assert "metrics: do not diverge" in text

    def test_different_runs_are_shown_without_control_characters(self, tmp_path: Path) -> None:
        runs = pair(tmp_path, {}, {"params": {"act": "[b]\x1b[31m"}, "values": {"val/loss": 0.75}})
        for number, run in enumerate(runs):
            write_journal(run.directory, [{"step": 4, "val/loss": number}])
        text = shown(runs)
        assert "metrics: diverge at step 4" in text
        assert "+0.25" in text
        assert "\x1b" not in text
        assert "[b]" in text

    def test_without_journals_the_other_parts_are_shown(self, tmp_path: Path) -> None:
        text = shown(pair(tmp_path, {}, {}))
        assert "metrics: the journal" in text
        assert "val/loss" in text
