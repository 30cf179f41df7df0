"""The entries of TensorBoard's list of runs: sweeps, and runs that are not part of one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expt.errors import UserError
from expt.runs.best import find_best, is_best
from expt.runs.chronology import place_ids, records_in, sort_key
from expt.runs.find import find_run
from expt.runs.leading import best_values, larger_is_better, monitored_metric
from expt.runs.names import name_of
from expt.runs.records import SWEEP_FILE, RunRecord, read_run, read_sweep
from expt.runs.sweeps import planned_jobs

MAX_RUNS = 40
"""With more runs than this, TensorBoard's Scalars, Images and Text tabs open empty."""

TRAINING, VALIDATION = "train", "val"
"""The folders of event files in a run's directory."""


@dataclass(frozen=True)
class EntryRun:
    """A run of an entry.

    Attributes:
        directory: The run's directory.
        name: The run's name.
        order: The key by which the runs in a folder are sorted by age.
        score: The best value of the monitored metric, negated if smaller is better; None if the
            run has none.
    """

    directory: Path
    name: str
    order: tuple[int, float]
    score: float | None = None


@dataclass(frozen=True)
class Entry:
    """A sweep, or a run that is not part of one.

    Attributes:
        name: The name in TensorBoard, which is unique.
        directory: The directory of the sweep or the run.
        runs: The runs of the sweep in the order of its jobs, or the single run.
        order: The key by which the entries of a folder are sorted by age.
        is_sweep: Whether it is a sweep, of whose runs only validation is shown.
        num_omitted: How many runs of the sweep are not shown for lack of room.
    """

    name: str
    directory: Path
    runs: Sequence[EntryRun]
    order: tuple[int, float]
    is_sweep: bool = False
    num_omitted: int = 0

    @classmethod
    def of_run(cls, run: EntryRun) -> "Entry":
        """Returns the entry of a single run, which shows training and validation."""
        return cls(run.name, run.directory, [run], run.order)

    @property
    def num_lines(self) -> int:
        """The number of lines in TensorBoard's list of runs: two for training and validation."""
        return len(self.runs) if self.is_sweep else 2


class EntryReader:
    """A reader of the runs in a folder that reads only changed files again.

    Args:
        output_dir: The folder of all runs.
    """

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._read_runs: dict[Path, tuple[tuple[int, int], EntryRun | None]] = {}

    def read(self) -> list[Entry]:
        """Returns the entries of all runs that have event files, the newest first."""
        ids = place_ids(self._output_dir)
        sweeps: dict[Path, dict[Path, EntryRun]] = {}
        found: list[Entry] = []
        for file in records_in(self._output_dir):
            run, parent = self._run(file, ids), file.parent.parent
            if run is None:
                continue
            if self._is_sweep(parent):
                sweeps.setdefault(parent, {})[run.directory] = run
            else:
                found.append(Entry.of_run(run))
        # A sweep has no run of its own if all of its jobs reuse previous runs.
        for file in records_in(self._output_dir, SWEEP_FILE):
            sweeps.setdefault(file.parent, {})
        for folder, runs in sweeps.items():
            if in_order := self._in_order(folder, runs, ids):
                name, order = _read_sweep(folder, ids)
                order = order or min(run.order for run in in_order)
                found.append(Entry(name, folder, in_order, order, is_sweep=True))
        found.sort(key=lambda entry: entry.order)
        return _with_unique_names(found)[::-1]

    def _is_sweep(self, folder: Path) -> bool:
        # Sweeps of early versions have no sweep.json and are known by their place only.
        early = self._output_dir / "sweeps"
        return (folder / SWEEP_FILE).is_file() or folder.parent.parent == early

    def _in_order(
        self, sweep: Path, runs: Mapping[Path, EntryRun], ids: frozenset[str] | None
    ) -> list[EntryRun]:
        """Returns the runs in the order of the jobs, including previous runs that jobs reuse."""
        in_order: dict[Path, EntryRun] = {}
        for name, job in planned_jobs(sweep).items():
            directory = sweep / name if job.reused is None else (sweep / job.reused).resolve()
            run = runs.get(directory) or self._run(directory / "run.json", ids)
            if run is not None:
                in_order[directory] = run
        # Runs that the plan does not know come last, such as those of a damaged sweep.json.
        others = (run for run in runs.values() if run.directory not in in_order)
        return [*in_order.values(), *sorted(others, key=lambda run: run.order)]

    def _run(self, file: Path, ids: frozenset[str] | None) -> EntryRun | None:
        if not any((file.parent / folder).is_dir() for folder in (TRAINING, VALIDATION)):
            return None
        try:
            stat = file.stat()
        except OSError:
            return None
        state = stat.st_mtime_ns, stat.st_size
        if file not in self._read_runs or self._read_runs[file][0] != state:
            self._read_runs[file] = state, _read_run(file, ids)
        return self._read_runs[file][1]


def select_newest(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the default selection: the newest sweep, and the newest others that fit.

    Args:
        entries: All entries, the newest first.
    """
    newest = next((entry for entry in entries if entry.is_sweep), None)
    selected = [] if newest is None else [limit_runs(newest, MAX_RUNS)]
    room = MAX_RUNS - sum(entry.num_lines for entry in selected)
    for entry in entries:
        if entry is not newest and entry.num_lines <= room:
            selected.append(entry)
            room -= entry.num_lines
    return selected


def select_named(entries: Sequence[Entry], names: Iterable[str], output_dir: Path) -> list[Entry]:
    """Returns the entries of the named sweeps and runs that fit, in the order of the names.

    Args:
        entries: All entries.
        names: Names or directories of sweeps and runs, `latest` or `best`.
        output_dir: The folder of all runs.

    Raises:
        UserError: A name has no sweep or run.
    """
    found: dict[Path, Entry] = {}
    for name in names:
        entry = _find(entries, name, output_dir)
        found.setdefault(entry.directory, entry)
    # A sweep is cut to the room that the names before it leave.
    room, selected = MAX_RUNS, []
    for entry in found.values():
        part = limit_runs(entry, room)
        if part.num_lines <= room and part.runs:
            selected.append(part)
            room -= part.num_lines
    return selected


def limit_runs(entry: Entry, room: int) -> Entry:
    """Returns a sweep with at most `room` runs: the best ones, then the newest of those without.

    Args:
        entry: A sweep; the entry of a single run is returned unchanged.
        room: The maximum number of runs.
    """
    if not entry.is_sweep or len(entry.runs) <= room:
        return entry
    # Two stable sorts: by age, and then by score, so that runs of equal score stay sorted by age.
    ranked = sorted(entry.runs, key=lambda run: run.order, reverse=True)
    ranked.sort(key=lambda run: (run.score is None, -(run.score or 0.0)))
    kept = set(ranked[:room])
    runs = [run for run in entry.runs if run in kept]
    return replace(entry, runs=runs, num_omitted=len(entry.runs) - len(runs))


def _find(entries: Sequence[Entry], name: str, output_dir: Path) -> Entry:
    directories = {Path(name).resolve(), (output_dir / name).resolve()}
    for entry in entries:
        if entry.name == name or entry.directory.resolve() in directories:
            return entry
    runs = [run for entry in entries for run in entry.runs]
    matching = [run for run in runs if name in (run.name, run.directory.name)]
    # An ambiguous name is left to `find_run`, whose error lists the runs.
    if len(matching) != 1:
        matching = [_find_run(runs, name, output_dir)]
    run = matching[0]
    single = (e for e in entries if not e.is_sweep and e.runs[0].directory == run.directory)
    return next(single, Entry.of_run(run))


def _find_run(runs: Sequence[EntryRun], name: str, output_dir: Path) -> EntryRun:
    try:
        run = find_best(name, output_dir).run if is_best(name) else find_run(name, output_dir)
    except UserError as error:
        raise UserError(f"{error} A sweep's directory or name is fine, too.") from error
    known = (one for one in runs if one.directory.resolve() == run.directory)
    found = next(known, None) or _read_run(run.directory / "run.json", None)
    assert found is not None  # `find_run` has read the same file
    return found


def _read_run(file: Path, ids: frozenset[str] | None) -> EntryRun | None:
    """Returns the run of a run.json; None if the file is damaged."""
    try:
        record = read_run(file.parent)
        name = name_of(record, file.parent)
        return EntryRun(file.parent, name, sort_key(record, ids), _score(record))
    except UserError:
        return None


def _score(record: RunRecord) -> float | None:
    metric = monitored_metric(record)
    value = best_values(record).get(metric or "")
    if metric is None or value is None:
        return None
    return value if larger_is_better(metric, [record]) else -value


def _read_sweep(sweep: Path, ids: frozenset[str] | None) -> tuple[str, tuple[int, float] | None]:
    """Returns a sweep's name and its order by age; None for the order if it is not recorded."""
    try:
        record = read_sweep(sweep)
        return name_of(record, sweep), sort_key(record, ids)
    except UserError:
        return sweep.name, None


def _with_unique_names(found: Sequence[Entry]) -> list[Entry]:
    """Appends numbers to duplicate names.

    Args:
        found: The oldest first, so that an entry keeps its name when newer ones begin.
    """
    taken: set[str] = set()
    renamed = []
    for entry in found:
        runs, taken_within = [], set[str]()
        for run in entry.runs:
            name = _unique_name(run.name, taken_within)
            runs.append(replace(run, name=name))
        renamed.append(replace(entry, name=_unique_name(entry.name, taken), runs=runs))
    return renamed


def _unique_name(name: str, taken: set[str]) -> str:
    # The name becomes that of a folder: one level deep, neither hidden nor `..`.
    plain = name.replace("/", "_").lstrip(".") or "_"
    unique, number = plain, 2
    while unique in taken:
        unique, number = f"{plain}-{number}", number + 1
    taken.add(unique)
    return unique
