"""The processes of a proof: each training in one of its own, as a real resume is."""

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
    """How a process ended.

    Attributes:
        code: Its exit code.
        error: What it told of what went wrong.
        seconds: How long it took.
    """

    code: int
    error: str
    seconds: float


def train_all(folder: Path, tell: Callable[[str, Outcome], None]) -> dict[str, Outcome]:
    """Trains whole, again, up to the interruption and from there; two at a time.

    A process that fails keeps that from beginning which needs it.

    Args:
        folder: Holds the proof.
        tell: Is called with the name of each that has ended, on any thread.

    Returns:
        How each ended, by name.
    """
    processes = _Processes(folder, tell)
    chains: Sequence[Sequence[str]] = ((WHOLE, REPEAT), (INTERRUPTED, RESUMED))
    # TensorFlow takes a GPU's memory whole.
    at_once = 1 if _GPU.exists() else min(len(chains), usable_cores())
    with ThreadPoolExecutor(at_once) as executor:
        try:
            outcomes = list(executor.map(processes.run_chain, chains))
        except BaseException:
            processes.stop()
            raise
    return {name: outcome for chain in outcomes for name, outcome in chain.items()}


class _Processes:
    """Processes that can be ended all at once."""

    def __init__(self, folder: Path, tell: Callable[[str, Outcome], None]) -> None:
        self._folder, self._tell = folder, tell
        self._lock = threading.Lock()
        self._started: list[subprocess.Popen[str]] = []
        self._is_stopped = False

    def run_chain(self, names: Sequence[str]) -> dict[str, Outcome]:
        """Runs one after the other, until one fails."""
        outcomes: dict[str, Outcome] = {}
        for name in names:
            process = self._start(name)
            if process is None:
                break
            outcomes[name] = _ended(process)
            if self._is_stopped:
                break
            self._tell(name, outcomes[name])
            if outcomes[name].code != 0:
                break
        return outcomes

    def stop(self) -> None:
        """Ends all that run, and lets no other begin."""
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
                start_new_session=True,  # a Ctrl-C is for this process, which ends them
            )
            self._started.append(process)
            return process


def _ended(process: subprocess.Popen[str]) -> Outcome:
    started = time.monotonic()
    assert process.stderr is not None
    told = process.stderr.read()  # up to its end; `communicate` would close what it listens to
    if process.wait() < 0:
        told = f"{_ERROR}signal {signal.Signals(-process.returncode).name} ended it"
    _, found, sentence = f"\n{told}".rpartition(f"\n{_ERROR}")
    error = sentence if found else told
    return Outcome(process.returncode, error.strip(), time.monotonic() - started)
