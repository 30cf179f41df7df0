"""Takes MLflow's server away while a run goes on, and compares times and what is stored.

    python scripts/outages.py [--rounds 3]

In turn: a run that nothing disturbs; one whose server stands still for ten seconds in the middle;
one whose server is killed in the middle and never comes back. Whole processes are timed, from start
to exit. Afterwards the server is there again, and `expt.sync` completes each run: the store must
equal the journal, value by value.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "record"))

from mlflow_helpers import Server, assert_store_equals_files

CONFIG = ("model.units=[700,700]", "loop.epochs=400", "loop.image_every=80ep")
MIDDLE = 100  # the epoch at which the server goes; there must be training left when it is back
STEPS_PER_EPOCH = 19
STANDSTILL = 10.0


def main() -> int:
    """Prints the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in ("undisturbed", "stopped", "killed")}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        server = Server(root)
        os.environ["MLFLOW_TRACKING_URI"] = server.uri
        try:
            for number in range(rounds):
                for name, disturb in (
                    ("undisturbed", lambda: None),
                    ("stopped", lambda: stand_still(server)),
                    ("killed", server.kill),
                ):
                    directory = root / f"{name}{number}"
                    seconds[name].append(timed_run(directory, root, disturb))
                    if name == "killed":
                        server.start()
                    sync(directory, root)
                    assert_store_equals_files(directory, server.uri)
                    sync(directory, root)
                    assert_store_equals_files(directory, server.uri)
                    print(f"{name}: {seconds[name][-1]:.2f} s; the store equals the journal")
        finally:
            server.kill()
    baseline = statistics.median(seconds["undisturbed"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<12} {median:6.2f} s  {median / baseline:.3f}x")
    return 0


def timed_run(directory: Path, root: Path, disturb: Callable[[], None]) -> float:
    """Returns how long a run takes as a process, disturbed in its middle."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "expt.run", f"hydra.run.dir={directory}", *CONFIG],
        cwd=root,
        stdout=subprocess.DEVNULL,
    )
    journal = directory / "metrics.jsonl"
    while (
        not journal.exists() or f'{{"step": {MIDDLE * STEPS_PER_EPOCH}, ' not in journal.read_text()
    ):
        assert process.poll() is None
        time.sleep(0.05)
    disturb()
    assert process.wait() == 0
    return time.perf_counter() - began


def stand_still(server: Server) -> None:
    """Stops the server's processes, and lets another one wake them."""
    server.signal(signal.SIGSTOP)
    later = f"import os, time; time.sleep({STANDSTILL}); os.killpg({server.group}, "
    wake = f"{later}{int(signal.SIGCONT)})"
    subprocess.Popen([sys.executable, "-c", wake], start_new_session=True)


def sync(directory: Path, root: Path) -> None:
    """Completes a run's copy in the store."""
    subprocess.run(
        [sys.executable, "-m", "expt.sync", str(directory)],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
