"""The selection of the runs and sweeps that TensorBoard shows, and their names."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expt.errors import UserError
from expt.servers.entries import MAX_RUNS, Entry, EntryReader, EntryRun, select_named, select_newest
from servers.made_folder import make_run, make_sweep


def _entry(name: str, number: int, num_jobs: int | None) -> Entry:
    count = 1 if num_jobs is None else num_jobs
    runs = [EntryRun(Path(name, str(i)), str(i), (number, 0.0), float(i)) for i in range(count)]
    return Entry(name, Path(name), runs, (number, 0.0), is_sweep=num_jobs is not None)


@given(st.lists(st.none() | st.integers(1, 60), max_size=30))
def test_selection_fits_the_tabs_and_starts_with_the_newest_sweep(sizes: list[int | None]) -> None:
    entries = [_entry(str(i), -i, size) for i, size in enumerate(sizes)]
    selected = select_newest(entries)
    assert sum(entry.num_lines for entry in selected) <= MAX_RUNS
    sweeps = [entry for entry in entries if entry.is_sweep]
    if sweeps:
        assert selected[0].name == sweeps[0].name
        assert len(selected[0].runs) == min(MAX_RUNS, len(sweeps[0].runs))
    room = MAX_RUNS - sum(entry.num_lines for entry in selected)
    names = {entry.name for entry in selected}
    assert all(entry.num_lines > room for entry in entries if entry.name not in names)


def test_large_sweep_is_limited_to_its_best_runs() -> None:
    (kept,) = select_newest([_entry("sweep", 0, 50)])
    assert [run.name for run in kept.runs] == [str(i) for i in range(10, 50)]
    assert kept.num_omitted == 10


def test_large_sweep_without_results_is_limited_to_its_newest_runs() -> None:
    runs = [EntryRun(Path(str(i)), str(i), (i, 0.0)) for i in range(50)]
    (kept,) = select_newest([Entry("sweep", Path("sweep"), runs, (0, 0.0), is_sweep=True)])
    assert [run.name for run in kept.runs] == [str(i) for i in range(10, 50)]


def test_entries_are_named_and_sorted_newest_first(tmp_path: Path) -> None:
    earlier = make_run(tmp_path / "runs/day/a", 1, "relu-s0")
    make_sweep(tmp_path / "sweeps/day/b", 2, 2, "act-seed", reused=earlier)
    make_run(tmp_path / "runs/day/c", 9)
    found = EntryReader(tmp_path).read()
    assert [(entry.name, entry.is_sweep) for entry in found] == [
        ("c", False),
        ("act-seed", True),
        ("relu-s0", False),
    ]
    assert [run.name for run in found[1].runs] == ["job-0", "job-1", "relu-s0"]


def test_duplicate_names_get_numbers_by_age(tmp_path: Path) -> None:
    for number, day in enumerate(("b", "a", "c"), start=1):
        make_run(tmp_path / f"runs/{day}/x", number, "relu/s0")
    make_sweep(tmp_path / "sweeps/day/y", 9, 1, "relu_s0")
    names = [entry.name for entry in EntryReader(tmp_path).read()]
    assert names == ["relu_s0-4", "relu_s0-3", "relu_s0-2", "relu_s0"]


def test_early_sweeps_are_found_and_damaged_runs_skipped(tmp_path: Path) -> None:
    for number in (1, 2):
        make_run(tmp_path / f"sweeps/day/sweep/{number}_job", number)
    (make_run(tmp_path / "runs/day/damaged", 3) / "run.json").write_text("{")
    directory = tmp_path / "runs/day/without"
    directory.mkdir()
    (directory / "run.json").write_text('{"status": "FINISHED", "started": 4.0}')
    # The last run has no event files, so it is not an entry either.
    (sweep,) = EntryReader(tmp_path).read()
    assert (sweep.name, sweep.is_sweep) == ("sweep", True)
    assert [run.name for run in sweep.runs] == ["1_job", "2_job"]


def test_changed_records_are_read_again(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "runs/day/a", 1, "first")
    reader = EntryReader(tmp_path)
    assert [entry.name for entry in reader.read()] == ["first"]
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**record, "run_name": "another"}))
    assert [entry.name for entry in reader.read()] == ["another"]


def test_named_entries_are_selected(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/day/a", 1, "relu-s0")
    sweep = make_sweep(tmp_path / "sweeps/day/b", 2, 3, "act-seed")
    entries = EntryReader(tmp_path).read()
    by_name = select_named(entries, ["act-seed", "relu-s0", "act-seed"], tmp_path)
    assert [entry.name for entry in by_name] == ["act-seed", "relu-s0"]
    for name in (str(sweep), "sweeps/day/b"):
        assert select_named(entries, [name], tmp_path) == by_name[:1]
    (latest,) = select_named(entries, ["latest"], tmp_path)
    assert (latest.name, latest.is_sweep, latest.num_lines) == ("job-2", False, 2)
    assert select_named(entries, ["job-2"], tmp_path) == [latest]
    with pytest.raises(UserError, match="sigmoid: there is no such run"):
        select_named(entries, ["sigmoid"], tmp_path)


def test_named_sweeps_are_limited_to_what_fits(tmp_path: Path) -> None:
    entries = [_entry("a", 3, 30), _entry("b", 2, 30), _entry("c", 1, None)]
    first, second = select_named(entries, ["a", "b", "c"], tmp_path)
    assert (first.num_omitted, second.num_omitted, len(second.runs)) == (0, 20, 10)
