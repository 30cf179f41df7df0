"""Fixtures: the command line in processes of its own, and jobs run in this one."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ready_processes

if TYPE_CHECKING:
    from expt.runs.records import RunRecord

# As a user's shell: no store of their own, no allowed packages.
for _name in ("MLFLOW_TRACKING_URI", "EXPT_ALLOW", "HYDRA_FULL_ERROR"):
    os.environ.pop(_name, None)
# Tests that compute before they start TensorFlow as a run does share its process with others.
os.environ["TF_NUM_INTRAOP_THREADS"] = "2"


def pytest_xdist_auto_num_workers() -> int:
    """Returns one more than there are cores, because some tests mostly wait."""
    from expt.runs.cores import usable_cores

    return usable_cores() + 1


def pytest_configure(config: pytest.Config) -> None:
    """Lets the workers of pytest-xdist share a server of ready processes."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in a shell's job in the background; what the tests start would ignore Ctrl-C, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        os.environ[ready_processes.ADDRESS] = ready_processes.start_server()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files first that take longest, so that no worker has one left at the end."""
    items.sort(key=lambda item: _SLOW.isdisjoint(item.path.parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distributes files, and the long tests of some one by one, so that workers end together."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, _ = nodeid.partition("::")
            return nodeid if file in _OF_LONG_TESTS else file

    return Scheduling(config, log) if config.option.dist == "loadfile" else None


def pytest_unconfigure() -> None:
    """Ends the server that this process has started."""
    ready_processes.stop_server()


# Folders, and files in others.
_SLOW = {
    *("e2e", "resume", "contracts", "docs", "verification", "exports", "executors"),
    *("test_gradients.py", "test_threads.py", "test_process.py", "test_growth.py"),
}
_OF_LONG_TESTS = {
    *("tests/docs/test_commands.py", "tests/resume/test_every_option.py"),
    *("tests/contracts/test_parts.py", "tests/contracts/test_wholes.py"),
}


@pytest.fixture(scope="session", autouse=True)
def _forked_children() -> None:
    """Lets the code under test fork the processes that it starts, in place of imports in each."""
    if sys.platform == "linux":
        from expt.record import process
        from expt.verification import processes

        ready_processes.fork_what_modules_start(process, processes)
        ready_processes.fork_what_is_spawned()


@pytest.fixture(scope="session", autouse=True)
def _configs_read_once() -> None:
    """Lets Hydra parse each file of conf/ once: they do not change while tests run."""
    from hydra._internal.core_plugins.file_config_source import FileConfigSource
    from hydra.plugins.config_source import ConfigResult

    from expt.config.location import config_directory

    source_class: Any = FileConfigSource
    load, conf = source_class.load_config, str(config_directory())
    known: dict[tuple[str, str], ConfigResult] = {}

    def load_once(source: FileConfigSource, config_path: str) -> Any:
        if source.path != conf:
            return load(source, config_path)
        key = (source.provider, config_path)
        if key not in known:
            known[key] = load(source, config_path)
        return deepcopy(known[key])

    source_class.load_config = load_once


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    out: str
    error: str


Command = Callable[..., Finished]


@pytest.fixture(scope="session")
def run_command() -> Command:
    """Runs `python -m expt.run`, or another command, with some arguments in a folder."""

    def run(
        *arguments: str,
        folder: Path,
        environment: dict[str, str] | None = None,
        command: str = "run",
    ) -> Finished:
        done = ready_processes.run(
            [sys.executable, "-m", f"expt.{command}", *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def run_here() -> Command:
    """Does as `run_command`, but in this process, which need not import TensorFlow each time."""
    # Only where many commands share a process does TensorFlow see a function traced often.
    logging.getLogger("tensorflow").addFilter(lambda r: "retracing" not in r.getMessage())

    def run(*arguments: str, folder: Path, command: str = "run") -> Finished:
        from e2e.bad_inputs_helpers import answer

        done = answer(command, *arguments, folder=folder)
        assert done.code is not None, done.error
        return Finished(done.code, done.out, done.error)

    return run


@dataclass(frozen=True)
class Trained:
    """A job run in this process."""

    directory: Path
    record: "RunRecord"
    job: Any
    dataset: Any

    @property
    def final(self) -> dict[str, Any]:
        """Its last step and the values there."""
        assert self.record.final is not None
        return self.record.final.to_mapping()


Train = Callable[[Sequence[str], Path], Trained]


@pytest.fixture(scope="session")
def train_here() -> Train:
    """Runs a job in this process, with the journal, the console and what the overrides name."""

    def train(overrides: Sequence[str], folder: Path) -> Trained:
        from rich.console import Console

        from expt.config.compose import compose_jobs
        from expt.train.backend import start_for
        from expt.train.data_loading import DataLoader
        from expt.train.recorders import Sinks

        directory = folder / "run"
        directory.mkdir(parents=True)
        given = ["recorder=[]", "loop.image_every=null", f"output_dir={folder}", *overrides]
        (job, *_), _ = compose_jobs(given, None, multirun=False)  # of a sweep, its first
        dataset, sinks = DataLoader()(job), Sinks()
        start_for(job.config)
        from expt.train.session import Session

        try:
            record = Session(job, dataset, directory, sinks(job), Console(quiet=True)).run()
        finally:
            sinks.stop()
        return Trained(directory, record, job, dataset)

    return train
