"""Which runs and sweeps TensorBoard shows, and by which names."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expt.errors import UserError
from expt.servers.shown import MOST, Folder, Shown, ShownRun, choose, named
from servers.made_folder import make_run, make_sweep


def _shown(name: str, number: int, num_jobs: int | None) -> Shown:
    count = 1 if num_jobs is None else num_jobs
    runs = [ShownRun(Path(name, str(i)), str(i), (number, 0.0), float(i)) for i in range(count)]
    return Shown(name, Path(name), runs, (number, 0.0), is_sweep=num_jobs is not None)


@given(st.lists(st.none() | st.integers(1, 60), max_size=30))
def test_never_more_than_the_tabs_show_and_the_newest_sweep_first(sizes: list[int | None]) -> None:
    everything = [_shown(str(i), -i, size) for i, size in enumerate(sizes)]
    chosen = choose(everything)
    assert sum(shown.num_lines for shown in chosen) <= MOST
    sweeps = [shown for shown in everything if shown.is_sweep]
    if sweeps:
        assert chosen[0].name == sweeps[0].name
        assert len(chosen[0].runs) == min(MOST, len(sweeps[0].runs))
    room = MOST - sum(shown.num_lines for shown in chosen)
    names = {shown.name for shown in chosen}
    assert all(shown.num_lines > room for shown in everything if shown.name not in names)


def test_of_a_sweep_that_is_too_large_the_best_are_kept_in_their_order() -> None:
    (kept,) = choose([_shown("sweep", 0, 50)])
    assert [run.name for run in kept.runs] == [str(i) for i in range(10, 50)]
    assert kept.num_left_out == 10


def test_of_a_sweep_without_results_the_newest_are_kept() -> None:
    runs = [ShownRun(Path(str(i)), str(i), (i, 0.0)) for i in range(50)]
    (kept,) = choose([Shown("sweep", Path("sweep"), runs, (0, 0.0), is_sweep=True)])
    assert [run.name for run in kept.runs] == [str(i) for i in range(10, 50)]


def test_sweeps_and_runs_newest_first_by_their_names(tmp_path: Path) -> None:
    earlier = make_run(tmp_path / "runs/day/a", 1, "relu-s0")
    make_sweep(tmp_path / "sweeps/day/b", 2, 2, "act-seed", reused=earlier)
    make_run(tmp_path / "runs/day/c", 9)
    found = Folder(tmp_path).everything()
    assert [(shown.name, shown.is_sweep) for shown in found] == [
        ("c", False),
        ("act-seed", True),
        ("relu-s0", False),
    ]
    assert [run.name for run in found[1].runs] == ["job-0", "job-1", "relu-s0"]


def test_names_that_others_have_get_numbers_by_age(tmp_path: Path) -> None:
    for number, day in enumerate(("b", "a", "c"), start=1):
        make_run(tmp_path / f"runs/{day}/x", number, "relu/s0")
    make_sweep(tmp_path / "sweeps/day/y", 9, 1, "relu_s0")
    names = [shown.name for shown in Folder(tmp_path).everything()]
    assert names == ["relu_s0-4", "relu_s0-3", "relu_s0-2", "relu_s0"]


def test_early_sweeps_and_damaged_runs_and_those_without_event_files(tmp_path: Path) -> None:
    for number in (1, 2):
        make_run(tmp_path / f"sweeps/day/sweep/{number}_job", number)
    (make_run(tmp_path / "runs/day/damaged", 3) / "run.json").write_text("{")
    directory = tmp_path / "runs/day/without"
    directory.mkdir()
    (directory / "run.json").write_text('{"status": "FINISHED", "started": 4.0}')
    (sweep,) = Folder(tmp_path).everything()
    assert (sweep.name, sweep.is_sweep) == ("sweep", True)
    assert [run.name for run in sweep.runs] == ["1_job", "2_job"]


def test_records_are_read_again_when_they_change(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "runs/day/a", 1, "first")
    folder = Folder(tmp_path)
    assert [shown.name for shown in folder.everything()] == ["first"]
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**record, "run_name": "another"}))
    assert [shown.name for shown in folder.everything()] == ["another"]


def test_what_is_named(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/day/a", 1, "relu-s0")
    sweep = make_sweep(tmp_path / "sweeps/day/b", 2, 3, "act-seed")
    everything = Folder(tmp_path).everything()
    by_name = named(everything, ["act-seed", "relu-s0", "act-seed"], tmp_path)
    assert [shown.name for shown in by_name] == ["act-seed", "relu-s0"]
    for name in (str(sweep), "sweeps/day/b"):
        assert named(everything, [name], tmp_path) == by_name[:1]
    (latest,) = named(everything, ["latest"], tmp_path)
    assert (latest.name, latest.is_sweep, latest.num_lines) == ("job-2", False, 2)
    assert named(everything, ["job-2"], tmp_path) == [latest]
    with pytest.raises(UserError, match="sigmoid: there is no such run"):
        named(everything, ["sigmoid"], tmp_path)


def test_of_what_is_named_as_much_as_fits(tmp_path: Path) -> None:
    everything = [_shown("a", 3, 30), _shown("b", 2, 30), _shown("c", 1, None)]
    first, second = named(everything, ["a", "b", "c"], tmp_path)
    assert (first.num_left_out, second.num_left_out, len(second.runs)) == (0, 20, 10)
