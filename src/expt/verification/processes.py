"""The processes of a verification.

Each training runs in a separate process, since a real resume does, too: state that lives in a
process would survive an interruption that is only simulated.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from expt.runs.cores import usable_cores
from expt.verification.worker import INTERRUPTED, REPEAT, RESUMED, WHOLE

_ERROR = "error: "
_GPU = Path("/dev/nvidiactl")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a process.

    Attributes:
        code: The exit code; negative if a signal ended the process.
        error: The error message, or all of stderr if there is none.
        seconds: The duration in seconds.
    """

    code: int
    error: str
    seconds: float


def train_all(folder: Path, report: Callable[[str, Outcome], None]) -> dict[str, Outcome]:
    """Runs all trainings of a verification, two at a time unless there is a GPU or a single core.

    They are the whole training, its repeat, the interrupted training, and the resumed one. If a
    process fails, the next one of its chain is not started.

    Args:
        folder: The folder of the verification, with the plan written to it.
        report: Called with the name and the outcome of each process that has ended, on any thread.

    Returns:
        The outcomes of the processes that were started, by name.
    """
    processes = _Processes(folder, report)
    chains: Sequence[Sequence[str]] = ((WHOLE, REPEAT), (INTERRUPTED, RESUMED))
    # TensorFlow reserves all memory of a GPU, so that a second process would find none.
    at_once = 1 if _GPU.exists() else min(len(chains), usable_cores())
    with ThreadPoolExecutor(at_once) as executor:
        try:
            outcomes = list(executor.map(processes.run_chain, chains))
        # On Ctrl-C, leaving the executor would wait for trainings that may take minutes.
        except BaseException:
            processes.stop()
            raise
    return {name: outcome for chain in outcomes for name, outcome in chain.items()}


class _Processes:
    """Processes that can be killed all at once."""

    def __init__(self, folder: Path, report: Callable[[str, Outcome], None]) -> None:
        self._folder, self._report = folder, report
        # Between a check of `_is_stopped` and the start of a process, `stop` must not run.
        self._lock = threading.Lock()
        self._started: list[subprocess.Popen[str]] = []
        self._is_stopped = False

    def run_chain(self, names: Sequence[str]) -> dict[str, Outcome]:
        """Runs processes one after the other, until one fails."""
        outcomes: dict[str, Outcome] = {}
        for name in names:
            process = self._start(name)
            if process is None:
                break
            outcomes[name] = _wait_for(process)
            if self._is_stopped:
                break
            self._report(name, outcomes[name])
            if outcomes[name].code != 0:
                break
        return outcomes

    def stop(self) -> None:
        """Kills all running processes, and prevents others from starting."""
        with self._lock:
            self._is_stopped = True
            for process in self._started:
                process.kill()

    def _start(self, name: str) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._is_stopped:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "expt.verification.worker", str(self._folder), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # Not in the terminal's process group: a Ctrl-C reaches this process, which then
                # kills the others.
                start_new_session=True,
            )
            self._started.append(process)
            return process


def _wait_for(process: subprocess.Popen[str]) -> Outcome:
    started = time.monotonic()
    assert process.stderr is not None
    # `communicate` would close stdin, which the process watches for the end of its parent.
    output = process.stderr.read()
    if process.wait() < 0:
        output = f"{_ERROR}the process was ended by {signal.Signals(-process.returncode).name}"
    _, found, sentence = f"\n{output}".rpartition(f"\n{_ERROR}")
    error = sentence if found else output
    return Outcome(process.returncode, error.strip(), time.monotonic() - started)
