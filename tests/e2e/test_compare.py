"""expt.compare and expt.diff on real runs, as commands."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

Command = Callable[..., Any]
SWEEP = ("act=relu,leaky_relu", "seed=0,1", "loop.epochs=2", "loop.image_every=1ep", "recorder=[]")
FILES = ("--csv", "x/t.csv", "--markdown", "x/t.md", "--json", "x/t.json", "--html", "x/t.html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    """A working directory with a sweep of two activations and two seeds, and a failed run."""
    folder = tmp_path_factory.mktemp("compared")
    assert run_command("-m", *SWEEP, folder=folder).code == 0
    failing = ("optimizer=sgd", "optimizer.learning_rate=1e9", *SWEEP[2:])
    assert run_command(*failing, folder=folder).code == 1
    return folder


def records(folder: Path, act: str) -> list[Any]:
    files = sorted(folder.glob("outputs/sweeps/*/*/*/run.json"))
    found = [json.loads(file.read_text()) for file in files]
    return [record for record in found if record["choices"]["act"] == act]


def test_newest_sweep_is_compared_by_default(folder: Path, run_command: Command) -> None:
    done = run_command(*FILES, "--plots", "x/plots", folder=folder, command="compare")
    assert (done.code, done.error) == (0, "")
    assert "4 runs, 2 variants" in done.out
    assert "leaky_relu" in done.out
    assert (
        "negative_slope" not in done.out
    )  # not a difference of its own: it depends on the activation
    with (folder / "x" / "t.csv").open(newline="") as file:
        rows = {row["act"]: row for row in csv.DictReader(file)}
    for act in ("relu", "leaky_relu"):
        values = [record["best"]["val/loss"] for record in records(folder, act)]
        low, high = stats.t.interval(0.95, 1, sum(values) / 2, stats.sem(values))
        assert float(rows[act]["best/val/loss mean"]) == pytest.approx(sum(values) / 2)
        assert float(rows[act]["best/val/loss low"]) == pytest.approx(low)
        assert float(rows[act]["best/val/loss high"]) == pytest.approx(high)
        assert float(rows[act]["parameters"]) == records(folder, act)[0]["parameters"]
    plots = sorted(path.name for path in (folder / "x" / "plots").iterdir())
    assert plots == ["curves.png", "effect_act.png"]
    page = (folder / "x" / "t.html").read_text()
    assert "<h2>Predictions (val/predictions)</h2>" in page
    assert "<output>38</output>" in page
    assert page.count("data:image/") == 3 * 2 * (
        1 + 2
    )  # kinds, runs, the shown step and two further ones


def test_peak_memory_is_that_of_a_process_with_tensorflow(folder: Path) -> None:
    for record in records(folder, "relu"):
        assert 2e8 < record["peak_memory"] < 5e10


def test_failed_run_is_shown(folder: Path, run_command: Command) -> None:
    done = run_command("outputs", folder=folder, command="compare")
    assert done.code == 0
    assert "5 runs, 3 variants" in done.out
    assert "Not included in the means: 1 FAILED." in done.out
    assert "  NonFiniteLossError: train/loss became nan" in done.out


def test_filters_metric_and_sort_order_are_applied(folder: Path, run_command: Command) -> None:
    given = ("act=relu", "--metric", "val/accuracy", "output_dir=outputs", "--sort", "time")
    done = run_command(*given, folder=folder, command="compare")
    assert done.code == 0
    assert "with act=relu: 2 runs, 1 variant" in " ".join(done.out.split())
    assert "val/accuracy" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere: there is no such folder"),
        (("output_dir=empty",), "empty: there are no runs"),
        (("act=rleu",), "Did you mean 'relu'?"),
        (("atc=relu",), "Did you mean 'act'?"),
        (("--metric", "val/acc"), "Did you mean 'val/accuracy'?"),
        (("--sort", "tiem"), "Did you mean 'time'?"),
    ],
)
def test_user_errors_are_reported(
    arguments: tuple[str, ...], message: str, folder: Path, run_command: Command
) -> None:
    done = run_command(*arguments, folder=folder, command="compare")
    assert done.code == 2
    assert done.error.startswith("error: ")
    assert message in done.error
    assert "Traceback" not in done.error


class TestDiff:
    def sides(self, folder: Path) -> list[str]:
        found = [str(path.parent) for path in sorted(folder.glob("outputs/sweeps/*/*/*/run.json"))]
        return [found[0], found[2]]

    def test_differences_of_two_runs_are_shown(self, folder: Path, run_command: Command) -> None:
        done = run_command(*self.sides(folder), folder=folder, command="diff")
        assert (done.code, done.error) == (0, "")
        assert "diverge at step 1" in done.out
        assert "leaky_relu" in done.out
        assert "act.negative_slope" in done.out
        assert "packages, data" in done.out

    def test_run_does_not_differ_from_itself(self, folder: Path, run_command: Command) -> None:
        first, _ = self.sides(folder)
        done = run_command(first, first, folder=folder, command="diff")
        assert "do not diverge" in done.out
        assert "the same: config" in done.out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("latest",), "expected two runs"),
            ((), "expected two runs"),
            (("latest", "nowhere"), "nowhere: there is no such run"),
            (("latest", "latest", "output_dir=empty"), "there are no runs in empty"),
        ],
    )
    def test_user_errors_are_reported(
        self, arguments: tuple[str, ...], message: str, folder: Path, run_command: Command
    ) -> None:
        done = run_command(*arguments, folder=folder, command="diff")
        assert done.code == 2
        assert message in done.error
