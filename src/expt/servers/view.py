"""The folder of links that TensorBoard reads, named after runs and sweeps."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from expt.errors import UserError
from expt.servers.entries import (
    TRAINING,
    VALIDATION,
    Entry,
    EntryReader,
    select_named,
    select_newest,
)

_EVENTS, _PLUGINS = "events.out.tfevents.*", "plugins"


class View:
    """A folder of links to event files.

    TensorBoard names runs after their folders: `SWEEP/RUN` for the jobs of a sweep, `RUN/train`
    and `RUN/val` for other runs.

    Attributes:
        folder: The folder.
        entries: The sweeps and runs that the folder has links to.
        num_runs: The number of all runs, including those without links.
    """

    folder: Path
    entries: Sequence[Entry]
    num_runs: int

    def __init__(self, folder: Path, output_dir: Path, names: Sequence[str] = ()) -> None:
        """Creates the links.

        Args:
            folder: An empty folder for the links.
            output_dir: The folder of all runs.
            names: The sweeps and runs to show; if empty, the newest ones, up to the limit of lines.

        Raises:
            UserError: There is no sweep or run with one of the names.
        """
        self.folder, self._output_dir = folder, output_dir
        self._reader, self._names = EntryReader(output_dir), names
        self._link()

    def refresh(self) -> None:
        """Adds links to new event files, and removes links to those that no longer exist."""
        # A named run may have been removed, or a network folder may be unavailable for a moment.
        with suppress(UserError, OSError):
            self._link()

    def _link(self) -> None:
        entries = self._reader.read()
        self.num_runs = len({run.directory for entry in entries for run in entry.runs})
        if self._names:
            self.entries = select_named(entries, self._names, self._output_dir)
        else:
            self.entries = select_newest(entries)
        wanted = dict(_links(self.entries))
        for link in [path for path in self.folder.rglob("*") if path.is_symlink()]:
            if wanted.get(link.relative_to(self.folder)) != link.readlink():
                link.unlink()
        for name, target in wanted.items():
            link = self.folder / name
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
        self._remove_empty_folders()

    def _remove_empty_folders(self) -> None:
        for place, _, _ in os.walk(self.folder, topdown=False):
            if Path(place) != self.folder:
                with suppress(OSError):  # the folder is not empty
                    Path(place).rmdir()


def _links(entries: Iterable[Entry]) -> Iterator[tuple[Path, Path]]:
    """Yields each link as its path, relative to the view's folder, and its target."""
    for entry in entries:
        for run in entry.runs:
            source = run.directory.resolve()
            if entry.is_sweep:
                name = Path(entry.name, run.name)
                yield from _files(name, source / VALIDATION)
                plugins = name
            else:
                name = Path(entry.name)
                yield from _files(name / VALIDATION, source / VALIDATION)
                yield from _files(name / TRAINING, source / TRAINING)
                plugins = name / TRAINING
            # The profiler's traces are in `plugins`, which TensorBoard expects beside event files.
            if (source / TRAINING / _PLUGINS).is_dir():
                yield plugins / _PLUGINS, source / TRAINING / _PLUGINS


def _files(name: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    # Earlier versions wrote texts and HParams directly to the run's directory.
    former = folder.parent if folder.name == VALIDATION else None
    for source in (folder, former):
        for file in source.glob(_EVENTS) if source is not None else ():
            yield name / file.name, file
