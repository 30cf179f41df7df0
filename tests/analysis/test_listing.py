import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.made_runs import write_run
from expt.analysis.listing import ListRow, flatten_rows, list_jobs, list_rows
from expt.analysis.listing_terminal import age_text, list_lines
from expt.errors import UserError

OUTPUTS = Path("outputs")
SWEEP = OUTPUTS / "sweeps/day/09_b"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_sweep(directory: Path, *jobs: dict[str, Any], **fields: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    content = {"name": "default", "status": "FINISHED", "started": 50.0, "ended": 90.0}
    complete = [{"directory": str(n), "status": "FINISHED", **one} for n, one in enumerate(jobs)]
    (directory / "sweep.json").write_text(json.dumps({**content, "jobs": complete, **fields}))
    return directory


def write_all() -> None:
    """Writes an early run, a sweep of three jobs (one not started), and a late run."""
    values = {"val/loss": 0.5125, "val/accuracy": 0.9}
    write_run(OUTPUTS / "runs/day/08_a", values=values, started=10.0, ended=13.5, run_name="early")
    pending = {"status": "PENDING", "run_name": "mlp-s2"}
    write_sweep(SWEEP, {}, {"status": "FAILED"}, pending, sweep_name="act", status="FAILED")
    better = {"val/loss": 0.2375, "val/accuracy": 0.75}
    write_run(SWEEP / "0", {"act": "tanh"}, values=better, started=51.0, run_name="mlp-s0")
    write_run(SWEEP / "1", started=52.0, run_name="mlp-s1", status="FAILED", best=None)
    write_run(
        OUTPUTS / "runs/day/10_c", values=values, started=100.0, run_name="late", name="other"
    )


def names(rows: Any) -> list[str]:
    return [row.name for row in rows]


def test_runs_and_sweeps_are_listed_newest_first() -> None:
    write_all()
    late, sweep, early = list_rows(OUTPUTS)
    assert names([late, sweep, early]) == ["late", "act", "early"]
    assert (early.status, early.metric, early.value, early.seconds) == (
        *("FINISHED", "val/loss", 0.5125),
        3.5,
    )
    assert (sweep.status, sweep.metric, sweep.value, sweep.seconds) == (
        *("FAILED", "val/loss", 0.2375),
        40.0,
    )
    assert (sweep.num_done, sweep.num_failed, names(sweep.jobs)) == (
        *(1, 1),
        ["mlp-s1", "mlp-s0", "mlp-s2"],
    )


def test_the_numbers_of_a_folder_order_runs_before_their_start_times() -> None:
    for number, started in ((1, 9.0), (2, 1.0)):
        place = {"id": "x", "directory": "runs/day/a", "number": number}
        write_run(OUTPUTS / f"runs/day/{number}", started=started, place=place)
    assert names(list_rows(OUTPUTS)) == ["2", "1"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["act=tanh"], ["act"]),
        (["act=tanh,relu"], ["late", "act", "early"]),
        (["name=other"], ["late"]),
        (["status=FINISHED"], ["late", "early"]),
        (["status=FAILED"], ["act"]),
        (["name=default", "status=FINISHED"], ["early"]),
    ],
)
def test_filters_select_runs_and_sweeps(filters: list[str], expected: list[str]) -> None:
    write_all()
    assert names(list_rows(OUTPUTS, filters)) == expected


def test_a_sweep_is_listed_with_the_jobs_that_pass_the_filters() -> None:
    write_all()
    (sweep,) = list_rows(OUTPUTS, ["act=tanh"])
    assert names(sweep.jobs) == ["mlp-s0"]


def test_unknown_filters_and_metrics_are_errors_with_a_suggestion() -> None:
    write_all()
    with pytest.raises(UserError, match=r"actt=tanh: no run has a parameter.*'act'"):
        list_rows(OUTPUTS, ["actt=tanh"])
    with pytest.raises(UserError, match=r"--metric val/acc: .*'val/accuracy'"):
        list_rows(OUTPUTS, metric="val/acc")


def test_the_metric_can_be_chosen() -> None:
    write_all()
    assert [row.value for row in list_rows(OUTPUTS, metric="best/val/accuracy")] == [0.9, 0.75, 0.9]


def test_jobs_with_different_losses_show_a_comparable_metric() -> None:
    for number, (loss, accuracy) in enumerate((("mse", 0.7), ("mae", 0.8))):
        values = {"val/loss": 0.1, "val/accuracy": accuracy}
        write_run(SWEEP / str(number), {"loss": loss}, values=values, started=float(number))
    write_sweep(SWEEP, {}, {})
    (sweep,) = list_rows(OUTPUTS)
    assert (sweep.metric, sweep.value) == ("val/accuracy", 0.8)
    assert [(job.metric, job.value) for job in list_jobs(SWEEP)] == [
        ("val/accuracy", 0.8),
        ("val/accuracy", 0.7),
    ]


def test_a_reused_run_is_listed_as_the_run_of_its_job() -> None:
    earlier = write_run(OUTPUTS / "runs/day/08_a", run_name="early", values={"val/loss": 0.125})
    reused = {"status": "REUSED", "reused": f"../../../{earlier.relative_to(OUTPUTS)}"}
    write_sweep(SWEEP, reused)
    (job,) = list_jobs(SWEEP)
    assert (job.name, job.status, job.value) == ("early", "REUSED", 0.125)


@pytest.mark.parametrize("content", ["{", "[]", '{"status": "FINISHED"}', '{"started": "x"}'])
def test_damaged_records_are_listed_as_unreadable(content: str) -> None:
    write_all()
    (OUTPUTS / "runs/day/10_c/run.json").write_text(content)
    (SWEEP / "sweep.json").write_text(content)
    statuses = {row.name: row.status for row in list_rows(OUTPUTS)}
    assert statuses == {"10_c": "UNREADABLE", "09_b": "UNREADABLE", "early": "FINISHED"}


def test_a_sweep_without_a_plan_is_listed() -> None:
    for number in range(2):
        write_run(SWEEP / str(number), started=float(number + 1))
    (sweep,) = list_rows(OUTPUTS)
    assert (sweep.name, sweep.num_done, sweep.started) == ("09_b", 2, 1.0)


def test_a_folder_without_runs_is_an_error() -> None:
    with pytest.raises(UserError, match="output_dir=outputs: there are no runs"):
        list_rows(OUTPUTS)


def row(name: str, **fields: Any) -> ListRow:
    return ListRow(
        directory=Path(f"outputs/runs/day/{name}"), name=name, status="FINISHED", **fields
    )


class TestLines:
    def test_the_table_has_aligned_columns(self) -> None:
        write_all()
        lines = list(list_lines(flattened_rows(), None, now=400.0))
        assert [line.split("  outputs")[0].rstrip() for line in lines] == [
            "name      experiment  status    jobs             best  metric      started  training"
            "  directory",
            "late      other       FINISHED                 0.5125  val/loss  5 min ago     4.0 s",
            "act       default     FAILED    1/3, 1 failed  0.2375  val/loss  6 min ago      40 s",
            "  mlp-s1  default     FAILED                                     6 min ago      52 s",
            "  mlp-s0  default     FINISHED                 0.2375  val/loss  6 min ago      53 s",
            "  mlp-s2              PENDING",
            "early     default     FINISHED                 0.5125  val/loss  6 min ago     3.5 s",
        ]

    def test_names_are_shortened_to_fit_a_terminal(self) -> None:
        rows = [row("x" * 100, started=0.0, seconds=7200.0, metric="val/accuracy", value=0.5)]
        for line in list_lines(rows, 80, now=10.0):
            assert len(line) <= 80
        assert "x…" in line
        assert "x" * 100 in list(list_lines(rows, None))[1]

    @pytest.mark.parametrize("width", [50, 60, 80])
    def test_less_important_columns_are_left_out_where_space_is_limited(self, width: int) -> None:
        values = {"started": 0.0, "seconds": 7200.0, "metric": "val/accuracy", "value": 0.5}
        rows = [row("x" * 60, experiment=name, **values) for name in ("a" * 12, "b" * 12)]
        lines = list(list_lines(rows, width, now=10.0))
        assert max(map(len, lines)) <= width
        assert lines[0].split()[0] == "name"
        assert {"status", "best", "started"} <= set(lines[0].split())

    def test_directories_are_shown_if_they_fit(self) -> None:
        assert "directory" not in next(iter(list_lines([row("a" * 50)], 80)))
        assert "outputs/runs/day/a" in list(list_lines([row("a")], 80))[1]

    def test_control_characters_are_removed(self) -> None:
        assert "\x1b" not in "".join(list_lines([row("\x1b[31m", experiment="\x1b")], None))

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            *((0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7199, "120 min ago")),
            *((7200, "2 h ago"), (172800, "2 d ago"), (-5, "0 s ago")),
        ],
    )
    def test_ages_use_a_fitting_unit(self, seconds: float, text: str) -> None:
        assert age_text(seconds) == text


def flattened_rows() -> list[ListRow]:
    return list(flatten_rows(list_rows(OUTPUTS)))


def test_the_list_command_imports_no_slow_library() -> None:
    slow = {"numpy", "hydra", "yaml", "rich", "tensorflow", "mlflow"}
    code = f"import sys, expt.list; print(sorted({slow} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
