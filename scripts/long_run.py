"""Measures a long run: memory, speed over time, closing, and how fast its journal is read.

    python scripts/long_run.py                      a million steps, with all recorders
    python scripts/long_run.py --steps 100000 'recorder=[]'

A small MLP on digits (64-16-10) is trained in a separate process. The resident memory and the
processor time of that process and of its children are read every few seconds. The first and the
last tenth of the steps are compared by wall time, from the journal, and by processor time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from expt.record.journal import FILE_NAME, read_journal

_CONFIG = ("model.units=[16]", "loop.image_every=null", "loop.eval_every=100ep")
_SECONDS_BETWEEN_SAMPLES = 2.0
_WARM_UP = 60.0  # seconds; memory is compared with the largest value of this time
_TRAINED = 0.995  # share of the journal; what follows is the end of the run
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Sample:
    """The state of the processes at a moment.

    Attributes:
        seconds: Time since the first record of the journal.
        journal: Size of the journal in bytes, by which the step is estimated.
        memory: Resident memory in bytes of the main process, and of its children together.
        processor: Processor seconds of the main process, and of its children together.
    """

    seconds: float
    journal: int
    memory: tuple[int, int]
    processor: tuple[float, float]


def main() -> None:
    """Runs and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="default: a temporary folder")
    args, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        command = [sys.executable, "-m", "expt.run", f"output_dir={folder}", *_CONFIG]
        started = time.monotonic()
        with (folder / "output.txt").open("w") as output:
            process = psutil.Popen(
                [*command, f"loop.steps={args.steps}", *overrides], stdout=output
            )
            samples = _watch(process, folder)
        if process.wait() != 0:
            sys.exit(f"the run failed; see {folder}/output.txt")
        print(f"whole command: {time.monotonic() - started:.0f} s")
        _report(folder, samples)


def _watch(process: psutil.Popen, folder: Path) -> list[Sample]:
    samples: list[Sample] = []
    begun = None
    while process.poll() is None:
        journal = next(folder.glob(f"runs/*/*/{FILE_NAME}"), None)
        size = journal.stat().st_size if journal else 0
        if size:
            begun = begun or time.monotonic()
            sample = _sample(process, time.monotonic() - begun, size)
            samples += [] if sample is None else [sample]
        time.sleep(_SECONDS_BETWEEN_SAMPLES)
    return samples


def _sample(process: psutil.Popen, seconds: float, size: int) -> Sample | None:
    try:
        children = process.children(recursive=True)
        memory = [each.memory_info().rss for each in (process, *children)]
        spent = [sum(each.cpu_times()[:2]) for each in (process, *children)]
    except psutil.NoSuchProcess:
        return None
    return Sample(seconds, size, (memory[0], sum(memory[1:])), (spent[0], sum(spent[1:])))


def _report(folder: Path, samples: list[Sample]) -> None:
    (journal,) = folder.glob(f"runs/*/*/{FILE_NAME}")
    begun = time.perf_counter()
    times = [record["time"] for record in read_journal(journal) if "train/loss" in record]
    reading, size, tenth = time.perf_counter() - begun, journal.stat().st_size, len(times) // 10
    print(
        f"steps: {len(times):,} in {times[-1] - times[0]:.0f} s; journal: {size / _MEGABYTE:.0f} MB"
    )
    first, last = times[tenth] - times[0], times[-1] - times[-tenth - 1]
    print(f"first and last {tenth:,} steps: {first:.1f} s, {last:.1f} s ({last / first:.2f}x)")
    spans = [_processor(samples, size, *part) for part in ((0.0, 0.1), (0.9, 1.0))]
    print("processor seconds of them: " + ", ".join(f"{span:.1f} s" for span in spans))
    for index, name in enumerate(("main process", "children")):
        early = [each.memory[index] for each in samples if each.seconds <= _WARM_UP]
        late = [
            each.memory[index]
            for each in samples
            if each.seconds > _WARM_UP and each.journal < _TRAINED * size
        ] or early
        growth = max(late) / max(early) - 1
        end = max(each.memory[index] for each in samples)
        print(
            f"memory of {name}: {max(early) / _MEGABYTE:.0f} MB in the first minute, then at most "
            f"{max(late) / _MEGABYTE:.0f} MB ({growth:+.1%}) while training, {end / _MEGABYTE:.0f} "
            f"MB with the end; processor {samples[-1].processor[index]:.0f} s"
        )
    print("closing: " + "; ".join(_closing(folder)))
    print(f"reading the journal: {reading:.1f} s")
    begun = time.perf_counter()
    command = [sys.executable, "-m", "expt.compare", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    print(f"expt.compare: {time.perf_counter() - begun:.1f} s")


def _processor(samples: list[Sample], size: int, start: float, end: float) -> float:
    """Returns the main process' processor seconds between two parts of the journal."""
    inside = [each for each in samples if start * size <= each.journal <= end * size]
    first, last = inside[0], inside[-1]
    share = (last.journal - first.journal) / (size * (end - start))
    return (last.processor[0] - first.processor[0]) / max(share, 1e-9)


def _closing(folder: Path) -> list[str]:
    (log,) = folder.glob("runs/*/*/run.log")
    lines = log.read_text().splitlines()
    return [line.partition("INFO ")[2] for line in lines if "completing" in line]


if __name__ == "__main__":
    main()
