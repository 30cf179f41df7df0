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
    def test_the_watched_metric_decides(self) -> None:
        best = best_of(losses(0.3, 0.1, 0.2))
        assert (best.index, best.metric, best.value, best.count) == (1, "val/loss", 0.1, 3)

    @pytest.mark.parametrize("metric", ["val/accuracy", "best/val/accuracy"])
    def test_a_metric_of_which_more_is_better(self, metric: str) -> None:
        best = best_of(losses(0.3, 0.1, 0.2), metric)
        assert (best.index, best.metric, best.value) == (0, "val/accuracy", 0.3)

    def test_a_full_name_may_say_that_more_is_better(self) -> None:
        records = [one.updated({"larger_is_better": ["val/loss"]}) for one in losses(0.1, 0.2)]
        assert best_of(records).index == 1

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
    def test_it_is_never_worse_than_another(self, values: list[float]) -> None:
        best = best_of(losses(*values))
        assert best.value == min(values)
        assert best.index == values.index(best.value)

    def test_where_losses_differ_another_metric_decides(self) -> None:
        records = [
            make_record({"val/loss": 0.9, "val/accuracy": 0.8}),
            make_record({"val/loss": 0.1, "val/accuracy": 0.7}, params={"loss": "mse"}),
        ]
        assert best_of(records).metric == "val/accuracy"
        assert best_of(records).index == 0
        assert best_of(records, "val/loss").index == 1

    @pytest.mark.parametrize("key", ["loss", "loss.delta"])
    def test_losses_without_another_metric_are_not_compared(self, key: str) -> None:
        records = [make_record({"val/loss": 0.9}, params={key: value}) for value in (1, 2)]
        with pytest.raises(UserError, match=r"different losses.*--metric val/loss"):
            best_of(records)

    def test_what_is_not_finished_does_not_count(self) -> None:
        records = losses(0.3, 0.1, 0.2)
        records[1] = records[1].updated({"status": "KILLED"})
        records[2] = records[2].updated({"best": None})
        assert (best_of(records).index, best_of(records).count) == (0, 1)
        with pytest.raises(UserError, match="no run has finished"):
            best_of(records[1:])

    def test_what_is_not_finite_does_not_count(self) -> None:
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
    def test_other_data_is_not_compared(self, fields: dict[str, Any]) -> None:
        records = [*losses(0.1), make_record({"val/loss": 0.2}, **fields)]
        with pytest.raises(UserError, match="different data or tasks"):
            best_of(records)

    def test_a_metric_that_no_run_has(self) -> None:
        with pytest.raises(UserError, match=r"--metric val/acc: .*Did you mean 'val/accuracy'"):
            best_of(losses(0.1), "val/acc")


class TestFolders:
    def test_it_is_that_of_the_newest_sweep(self, tmp_path: Path) -> None:
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

    def test_without_a_sweep_it_is_of_the_runs_on_the_newest_ones_data(
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

    def test_a_damaged_run_is_left_out(self, tmp_path: Path) -> None:
        sweep = write_sweep(tmp_path / "sweeps/day/1", losses(0.3, 0.1))
        (sweep / "1/run.json").write_text("{")
        assert find_best("best", tmp_path).run.directory == sweep / "0"

    def test_there_may_be_none(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"^best: there are no runs in"):
            find_best("best", tmp_path)
        write_sweep(tmp_path / "sweeps/day/1", [make_record({}, status="FAILED")])
        with pytest.raises(UserError, match=r"^best: the sweep 1: no run has finished"):
            find_best("best", tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("best", True), ("best@x", True), ("bestof", False), ("./best", False), ("latest", False)],
)
def test_which_names_ask_for_it(name: str, expected: bool) -> None:
    assert is_best(name) is expected
