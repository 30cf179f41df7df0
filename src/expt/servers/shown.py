"""The runs and sweeps in a folder as TensorBoard shows them: their names, and which are chosen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expt.errors import UserError
from expt.runs.best import find_best, is_best
from expt.runs.chronology import order_of, place_ids, records_in
from expt.runs.find import find_run
from expt.runs.leading import best_values, larger_is_better, watched_metric
from expt.runs.names import name_of
from expt.runs.records import SWEEP_FILE, RunRecord, read_run, read_sweep
from expt.runs.sweeps import planned_jobs

MOST = 40
"""TensorBoard's Scalars, Images and Text tabs show nothing if there are more runs than this."""


TRAINING, VALIDATION = "train", "val"
"""The folders of event files in a run's directory."""


@dataclass(frozen=True)
class ShownRun:
    """A run.

    Attributes:
        directory: Its directory.
        name: What people call it.
        order: When it began, among the runs in the folder.
        score: Its best value, of which the largest is the best; None without one.
    """

    directory: Path
    name: str
    order: tuple[int, float]
    score: float | None = None


@dataclass(frozen=True)
class Shown:
    """A sweep, or a run in none.

    Attributes:
        name: What it is called in TensorBoard, which nothing else is.
        directory: Its directory.
        runs: The sweep's runs in the order of the jobs, or the run.
        order: When it began, among those in the folder.
        is_sweep: Whether it is a sweep: of its runs validation alone is shown.
        num_left_out: How many runs of the sweep there is no room for.
    """

    name: str
    directory: Path
    runs: Sequence[ShownRun]
    order: tuple[int, float]
    is_sweep: bool = False
    num_left_out: int = 0

    @classmethod
    def of_run(cls, run: ShownRun) -> "Shown":
        """Makes a run that is shown by itself, with its training metrics."""
        return cls(run.name, run.directory, [run], run.order)

    @property
    def num_lines(self) -> int:
        """The number of TensorBoard's runs that it takes."""
        return len(self.runs) if self.is_sweep else 2


class Folder:
    """Reads the runs in a folder again and again; files that have not changed are read once."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._read: dict[Path, tuple[tuple[int, int], ShownRun | None]] = {}

    def everything(self) -> list[Shown]:
        """Returns all sweeps and all runs in none that have event files, the newest first."""
        ids = place_ids(self._output_dir)
        sweeps: dict[Path, dict[Path, ShownRun]] = {}
        found: list[Shown] = []
        for file in records_in(self._output_dir):
            run, parent = self._run(file, ids), file.parent.parent
            if run is None:
                continue
            if self._is_sweep(parent):
                sweeps.setdefault(parent, {})[run.directory] = run
            else:
                found.append(Shown.of_run(run))
        for file in records_in(self._output_dir, SWEEP_FILE):
            sweeps.setdefault(file.parent, {})  # earlier runs may stand in for all of its jobs
        for folder, runs in sweeps.items():
            if in_order := self._in_order(folder, runs, ids):
                name, order = _read_sweep(folder, ids)
                order = order or min(run.order for run in in_order)
                found.append(Shown(name, folder, in_order, order, is_sweep=True))
        found.sort(key=lambda shown: shown.order)
        return _with_own_names(found)[::-1]

    def _is_sweep(self, folder: Path) -> bool:
        early = self._output_dir / "sweeps"
        return (folder / SWEEP_FILE).is_file() or folder.parent.parent == early

    def _in_order(
        self, sweep: Path, runs: Mapping[Path, ShownRun], ids: frozenset[str] | None
    ) -> list[ShownRun]:
        """The runs in the order of the jobs, those of earlier runs that stand in for one too."""
        in_order: dict[Path, ShownRun] = {}
        for name, job in planned_jobs(sweep).items():
            directory = sweep / name if job.reused is None else (sweep / job.reused).resolve()
            run = runs.get(directory) or self._run(directory / "run.json", ids)
            if run is not None:
                in_order[directory] = run
        others = (run for run in runs.values() if run.directory not in in_order)
        return [*in_order.values(), *sorted(others, key=lambda run: run.order)]

    def _run(self, file: Path, ids: frozenset[str] | None) -> ShownRun | None:
        if not any((file.parent / folder).is_dir() for folder in (TRAINING, VALIDATION)):
            return None
        try:
            stat = file.stat()
        except OSError:
            return None
        state = stat.st_mtime_ns, stat.st_size
        if file not in self._read or self._read[file][0] != state:
            self._read[file] = state, _read_run(file, ids)
        return self._read[file][1]


def choose(everything: Sequence[Shown]) -> list[Shown]:
    """Returns what is shown unless it is named: the newest sweep whole, and others that fit.

    Args:
        everything: The newest first.
    """
    newest = next((shown for shown in everything if shown.is_sweep), None)
    chosen = [] if newest is None else [shorten(newest, MOST)]
    room = MOST - sum(shown.num_lines for shown in chosen)
    for shown in everything:
        if shown is not newest and shown.num_lines <= room:
            chosen.append(shown)
            room -= shown.num_lines
    return chosen


def named(everything: Sequence[Shown], names: Iterable[str], output_dir: Path) -> list[Shown]:
    """Returns the sweeps and runs that are named, in the order of the names.

    Raises:
        UserError: There is none of a name.
    """
    found: dict[Path, Shown] = {}
    for name in names:
        one = _find(everything, name, output_dir)
        found.setdefault(one.directory, one)
    room, chosen = MOST, []
    for one in found.values():
        part = shorten(one, room)
        if part.num_lines <= room and part.runs:
            chosen.append(part)
            room -= part.num_lines
    return chosen


def shorten(shown: Shown, room: int) -> Shown:
    """Returns a sweep with its best runs if there is no room for all; of others the newest."""
    if not shown.is_sweep or len(shown.runs) <= room:
        return shown
    ranked = sorted(shown.runs, key=lambda run: run.order, reverse=True)
    ranked.sort(key=lambda run: (run.score is None, -(run.score or 0.0)))
    kept = set(ranked[:room])
    runs = [run for run in shown.runs if run in kept]
    return replace(shown, runs=runs, num_left_out=len(shown.runs) - len(runs))


def _find(everything: Sequence[Shown], name: str, output_dir: Path) -> Shown:
    directories = {Path(name).resolve(), (output_dir / name).resolve()}
    for shown in everything:
        if shown.name == name or shown.directory.resolve() in directories:
            return shown
    runs = [run for shown in everything for run in shown.runs]
    called = [run for run in runs if name in (run.name, run.directory.name)]
    if len(called) != 1:
        called = [_as_found(runs, name, output_dir)]
    run = called[0]
    alone = (s for s in everything if not s.is_sweep and s.runs[0].directory == run.directory)
    return next(alone, Shown.of_run(run))


def _as_found(runs: Sequence[ShownRun], name: str, output_dir: Path) -> ShownRun:
    try:
        run = find_best(name, output_dir).run if is_best(name) else find_run(name, output_dir)
    except UserError as error:
        raise UserError(f"{error} A sweep's directory or name is fine, too.") from error
    shown = (one for one in runs if one.directory.resolve() == run.directory)
    found = next(shown, None) or _read_run(run.directory / "run.json", None)
    assert found is not None  # it was just read
    return found


def _read_run(file: Path, ids: frozenset[str] | None) -> ShownRun | None:
    """None if the record is damaged."""
    try:
        record = read_run(file.parent)
        name = name_of(record, file.parent)
        return ShownRun(file.parent, name, order_of(record, ids), _score(record))
    except UserError:
        return None


def _score(record: RunRecord) -> float | None:
    metric = watched_metric(record)
    value = best_values(record).get(metric or "")
    if metric is None or value is None:
        return None
    return value if larger_is_better(metric, [record]) else -value


def _read_sweep(sweep: Path, ids: frozenset[str] | None) -> tuple[str, tuple[int, float] | None]:
    """The sweep's name and when it began; None if that was not recorded."""
    try:
        record = read_sweep(sweep)
        return name_of(record, sweep), order_of(record, ids)
    except UserError:
        return sweep.name, None


def _with_own_names(found: Sequence[Shown]) -> list[Shown]:
    """Adds numbers to names that others have, by age: what has begun keeps its name."""
    taken: set[str] = set()
    renamed = []
    for shown in found:
        runs, own = [], set[str]()
        for run in shown.runs:
            name = _own_name(run.name, own)
            runs.append(replace(run, name=name))
        renamed.append(replace(shown, name=_own_name(shown.name, taken), runs=runs))
    return renamed


def _own_name(name: str, taken: set[str]) -> str:
    plain = name.replace("/", "_").lstrip(".") or "_"
    own, number = plain, 2
    while own in taken:
        own, number = f"{plain}-{number}", number + 1
    taken.add(own)
    return own
