import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.errors import UserError
from expt.runs.best import best_of, find_best, is_best
from expt.runs.leading import best_values
from expt.runs.records import RunRecord, write_run


def make_record(values: Mapping[str, float], **fields: Any) -> RunRecord:
    record = {
        "status": "FINISHED",
        "started": 1.0,
        "best": {"step": 3, "watched": "val/loss", **values},
        "watched": "val/loss",
        "larger_is_better": ["accuracy"],
        "params": {"loss": "crossentropy"},
        "data": {"name": "digits", "task": "classification"},
        **fields,
    }
    return RunRecord.of(record)


def losses(*values: float) -> list[RunRecord]:
    return [make_record({"val/loss": value, "val/accuracy": value}) for value in values]


def write(directory: Path, record: RunRecord) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    write_run(directory, record)
    return directory


def write_sweep(directory: Path, records: Sequence[RunRecord], **fields: Any) -> Path:
    for number, record in enumerate(records):
        write(directory / str(number), record)
    jobs = [{"directory": str(n), "status": "FINISHED"} for n in range(len(records))]
    content = {"status": "FINISHED", "started": 1.0, "jobs": jobs, **fields}
    (directory / "sweep.json").write_text(json.dumps(content))
    return directory


class TestRecords:
    def test_monitored_metric_decides(self) -> None:
        best = best_of(losses(0.3, 0.1, 0.2))
        assert (best.index, best.metric, best.value, best.count) == (1, "val/loss", 0.1, 3)

    @pytest.mark.parametrize("metric", ["val/accuracy", "best/val/accuracy"])
    def test_larger_is_better_metric(self, metric: str) -> None:
        best = best_of(losses(0.3, 0.1, 0.2), metric)
        assert (best.index, best.metric, best.value) == (0, "val/accuracy", 0.3)

    def test_direction_may_be_given_by_full_name(self) -> None:
        records = [one.updated({"larger_is_better": ["val/loss"]}) for one in losses(0.1, 0.2)]
        assert best_of(records).index == 1

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
    def test_best_is_never_worse_than_others(self, values: list[float]) -> None:
        best = best_of(losses(*values))
        assert best.value == min(values)
        assert best.index == values.index(best.value)

    def test_other_metric_decides_if_losses_differ(self) -> None:
        records = [
            make_record({"val/loss": 0.9, "val/accuracy": 0.8}),
            make_record({"val/loss": 0.1, "val/accuracy": 0.7}, params={"loss": "mse"}),
        ]
        assert best_of(records).metric == "val/accuracy"
        assert best_of(records).index == 0
        assert best_of(records, "val/loss").index == 1

    @pytest.mark.parametrize("key", ["loss", "loss.delta"])
    def test_different_losses_without_other_metric_are_refused(self, key: str) -> None:
        records = [make_record({"val/loss": 0.9}, params={key: value}) for value in (1, 2)]
        with pytest.raises(UserError, match=r"different losses.*--metric val/loss"):
            best_of(records)

    def test_unfinished_runs_are_ignored(self) -> None:
        records = losses(0.3, 0.1, 0.2)
        records[1] = records[1].updated({"status": "KILLED"})
        records[2] = records[2].updated({"best": None})
        assert (best_of(records).index, best_of(records).count) == (0, 1)
        with pytest.raises(UserError, match="no run has finished"):
            best_of(records[1:])

    def test_nonfinite_values_are_ignored(self) -> None:
        record = make_record({"val/loss": math.nan, "val/mae": math.inf, "val/rmse": 2.0})
        assert best_values(record) == {"val/rmse": 2.0}

    @pytest.mark.parametrize(
        "fields",
        [
            {"data": {"name": "iris", "task": "classification"}},
            {"data": {"name": "digits", "task": "autoencoding"}},
            {"params": {"loss": "crossentropy", "data.target": "price"}},
        ],
    )
    def test_runs_on_different_data_are_refused(self, fields: dict[str, Any]) -> None:
        records = [*losses(0.1), make_record({"val/loss": 0.2}, **fields)]
        with pytest.raises(UserError, match="different data or tasks"):
            best_of(records)

    def test_unknown_metric_is_user_error(self) -> None:
        with pytest.raises(UserError, match=r"--metric val/acc: .*Did you mean 'val/accuracy'"):
            best_of(losses(0.1), "val/acc")


class TestFolders:
    def test_best_is_searched_in_newest_sweep(self, tmp_path: Path) -> None:
        write(tmp_path / "runs/day/a", *losses(0.01))
        first = write_sweep(tmp_path / "sweeps/day/1", losses(0.3, 0.1), sweep_name="act")
        second = write_sweep(tmp_path / "sweeps/day/2", losses(0.2, 0.5), started=2.0)
        assert find_best("best", tmp_path).run.directory == second / "0"
        for name in ("best@act", f"best@{first}", "best@sweeps/day/1"):
            found = find_best(name, tmp_path)
            assert found.run.directory == first / "1"
            assert (found.where, found.best.value, found.left_out) == ("the sweep act", 0.1, 0)
        assert find_best("best@latest", tmp_path).run.directory == second / "0"
        assert find_best("best@runs", tmp_path).best.value == 0.01

    def test_without_sweep_runs_on_the_same_data_as_the_newest_are_compared(
        self, tmp_path: Path
    ) -> None:
        iris = {"name": "iris", "task": "classification"}
        write(tmp_path / "runs/day/a", make_record({"val/loss": 0.1}, started=1.0))
        write(tmp_path / "runs/day/b", make_record({"val/loss": 0.3}, started=2.0, data=iris))
        write(tmp_path / "runs/day/c", make_record({"val/loss": 0.4}, started=3.0, data=iris))
        write(tmp_path / "runs/day/d", make_record({}, started=4.0, status="FAILED"))
        found = find_best("best", tmp_path)
        assert (found.run.directory.name, found.best.count, found.left_out) == ("b", 2, 2)
        assert found.where == f"{tmp_path} on iris"

    def test_damaged_run_is_ignored(self, tmp_path: Path) -> None:
        sweep = write_sweep(tmp_path / "sweeps/day/1", losses(0.3, 0.1))
        (sweep / "1/run.json").write_text("{")
        assert find_best("best", tmp_path).run.directory == sweep / "0"

    def test_no_finished_run_is_user_error(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"^best: there are no runs in"):
            find_best("best", tmp_path)
        write_sweep(tmp_path / "sweeps/day/1", [make_record({}, status="FAILED")])
        with pytest.raises(UserError, match=r"^best: the sweep 1: no run has finished"):
            find_best("best", tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("best", True), ("best@x", True), ("bestof", False), ("./best", False), ("latest", False)],
)
def test_is_best(name: str, expected: bool) -> None:
    assert is_best(name) is expected
