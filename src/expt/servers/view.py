"""A folder of links to the event files of some runs, by the names that people call them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from expt.errors import UserError
from expt.servers.shown import TRAINING, VALIDATION, Folder, Shown, choose, named

_EVENTS, _PLUGINS = "events.out.tfevents.*", "plugins"


class View:
    """What TensorBoard shows: `SWEEP/RUN` of a sweep's jobs, `RUN/train` and `RUN/val` of others.

    Attributes:
        folder: Where the links are.
        shown: The sweeps and runs that the folder links to.
        num_runs: How many runs there are in all.
    """

    folder: Path
    shown: Sequence[Shown]
    num_runs: int

    def __init__(self, folder: Path, output_dir: Path, names: Sequence[str] = ()) -> None:
        """Makes the links.

        Args:
            folder: Where they go; empty.
            output_dir: The folder of all runs.
            names: The sweeps and runs to show; if none, the newest that fit.

        Raises:
            UserError: One of them is not there.
        """
        self.folder, self._output_dir = folder, output_dir
        self._runs, self._names = Folder(output_dir), names
        self._link()

    def refresh(self) -> None:
        """Adds links to what has begun since, and removes those to files that have gone."""
        # What is named may be removed meanwhile, or its folder for a moment out of reach.
        with suppress(UserError, OSError):
            self._link()

    def _link(self) -> None:
        everything = self._runs.everything()
        self.num_runs = len({run.directory for one in everything for run in one.runs})
        if self._names:
            self.shown = named(everything, self._names, self._output_dir)
        else:
            self.shown = choose(everything)
        wanted = dict(_links(self.shown))
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
                with suppress(OSError):  # it is not empty
                    Path(place).rmdir()


def _links(chosen: Iterable[Shown]) -> Iterator[tuple[Path, Path]]:
    """Yields each link's place in the folder, and the file or the folder it leads to."""
    for shown in chosen:
        for run in shown.runs:
            source = run.directory.resolve()
            if shown.is_sweep:
                name = Path(shown.name, run.name)
                yield from _files(name, source / VALIDATION)
                plugins = name
            else:
                name = Path(shown.name)
                yield from _files(name / VALIDATION, source / VALIDATION)
                yield from _files(name / TRAINING, source / TRAINING)
                plugins = name / TRAINING
            if (source / TRAINING / _PLUGINS).is_dir():
                yield plugins / _PLUGINS, source / TRAINING / _PLUGINS


def _files(name: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    # Earlier versions kept texts and HParams in the run's own directory.
    former = folder.parent if folder.name == VALIDATION else None
    for source in (folder, former):
        for file in source.glob(_EVENTS) if source is not None else ():
            yield name / file.name, file
