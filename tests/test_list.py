from pathlib import Path

import pytest

from analysis.made_runs import write_run
from conftest import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        sweep = tmp_path / "outputs/sweeps/day/09_b"
        write_run(sweep / f"{number}", seed=number, started=float(number), run_name=f"s{number}")
        write_run(tmp_path / f"outputs/runs/day/{number}", started=9.0 + number)
    return tmp_path


def test_list_shows_first_lines_and_number_of_others(folder: Path, run_here: Command) -> None:
    done = run_here("-n", "2", folder=folder, command="list")
    heading, *lines = done.out.splitlines()
    assert heading.split()[:2] == ["name", "status"]
    assert [line.split()[0] for line in lines] == ["2", "1", "2"]
    assert lines[-1] == "2 older ones are not shown; to list all, add -n 0"
    assert len(run_here("-n", "0", folder=folder, command="list").out.splitlines()) == 5


def test_list_shows_jobs(folder: Path, run_here: Command) -> None:
    lines = run_here("--jobs", folder=folder, command="list").out.splitlines()
    assert [line.split()[0] for line in lines[4:]] == ["09_b", "s2", "s1", "s0"]
    for name in ("latest", "outputs/sweeps/day/09_b"):
        done = run_here(name, "seed=0,1", folder=folder, command="list")
        title, _, *lines = done.out.splitlines()
        assert title == "outputs/sweeps/day/09_b"
        assert [line.split()[0] for line in lines] == ["s1", "s0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "x: there is no such sweep"),
        (["a", "b"], "a b: expected one sweep"),
        (["-n", "x"], "expected a whole number"),
        (["output_dir=nowhere"], "output_dir=nowhere: there are no runs"),
    ],
)
def test_invalid_arguments_are_rejected(
    arguments: list[str], message: str, folder: Path, run_here: Command
) -> None:
    done = run_here(*arguments, folder=folder, command="list")
    assert (done.code, message in done.error) == (2, True)
