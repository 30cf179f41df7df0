import json
from pathlib import Path
from typing import Any

import pytest

from expt.analysis.run_argument import find_directory, resolve_run, resolve_runs
from expt.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Creates a run and a sweep of two runs in the outputs of the working directory."""
    monkeypatch.chdir(tmp_path)
    write("runs/day/08_a", 1, "mlp", 0.5)
    write("sweeps/day/09_b/0", 3, "cnn-s0", 0.2125)
    write("sweeps/day/09_b/1", 4, "cnn-s1", 0.25)
    plan = {"status": "FINISHED", "started": 2.0, "sweep_name": "seed", "jobs": []}
    Path("outputs/sweeps/day/09_b/sweep.json").write_text(json.dumps(plan))
    return tmp_path


def write(place: str, started: float, name: str, loss: float, **fields: Any) -> None:
    directory = Path("outputs") / place
    directory.mkdir(parents=True)
    best = {"step": 1, "watched": "val/loss", "val/loss": loss}
    record = {"status": "FINISHED", "started": started, "run_name": name, "best": best, **fields}
    (directory / "run.json").write_text(json.dumps(record))


def test_the_runs_that_latest_and_best_select_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = resolve_runs(["latest", "best", "best@seed", "cnn-s1"], Path("outputs"))
    assert [run.record.run_name for run in runs] == ["cnn-s1", "cnn-s0", "cnn-s0", "cnn-s1"]
    reason = "val/loss 0.2125, the best of 2 in the sweep seed"
    assert capsys.readouterr().out.splitlines() == [
        "latest: outputs/sweeps/day/09_b/1 (cnn-s1)",
        f"best: outputs/sweeps/day/09_b/0 (cnn-s0), {reason}",
        f"best@seed: outputs/sweeps/day/09_b/0 (cnn-s0), {reason}",
    ]


def test_the_number_of_runs_left_out_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    write("sweeps/day/09_b/2", 5, "cnn-s2", 0.1, status="FAILED")
    resolve_run("best", Path("outputs"))
    assert capsys.readouterr().out.endswith("the best of 2 in the sweep seed; 1 left out\n")


def test_nothing_is_printed_for_a_run_named_directly(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve_run("mlp", Path("outputs")).directory.name == "08_a"
    assert capsys.readouterr().out == ""


def test_a_metric_without_best_is_an_error() -> None:
    with pytest.raises(UserError, match="--metric val/loss: this option applies only to the runs"):
        resolve_run("latest", Path("outputs"), "val/loss")


def test_control_characters_in_a_name_are_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    write("runs/day/10_c", 9, "\x1b[31mred", 0.5)
    resolve_run("latest", Path("outputs"))
    assert (
        capsys.readouterr().out
        == "latest: outputs/runs/day/10_c (\N{REPLACEMENT CHARACTER}[31mred)\n"
    )


@pytest.mark.parametrize(
    ("name", "place"),
    [
        *(("outputs", "outputs"), ("seed", "outputs/sweeps/day/09_b")),
        *(("mlp", "outputs/runs/day/08_a"), ("best", "outputs/sweeps/day/09_b/0")),
    ],
)
def test_directories_of_runs_sweeps_and_folders_are_found(name: str, place: str) -> None:
    assert find_directory(name, Path("outputs")).resolve() == Path(place).resolve()
