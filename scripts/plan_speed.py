"""Measures how long a sweep takes to plan, and the memory that takes; nothing is trained.

    python scripts/plan_speed.py [JOBS] [overrides]     (default: 10000 jobs that differ by seed)

A plan is what comes before the first job starts: the jobs are composed, checked, hashed, named, and
their configs written. The preflight of a job of each kind, which TensorFlow does, is left out.
"""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from expt.config.compose import Composition
from expt.config.hashes import run_hash
from expt.config.sources import code_of
from expt.sweep.plan import SweepPlan
from expt.train.data_loading import DataLoader


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started, processor = time.perf_counter(), time.process_time()
    yield
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    print(f"{seconds:7.2f} s, {processor:6.2f} s of a processor  {what}", flush=True)


def main() -> None:
    """Plans a sweep in a temporary folder."""
    number, *overrides = sys.argv[1:] or ["10000"]
    load = DataLoader()
    with TemporaryDirectory() as folder, _timed("in all"):
        values = overrides or [f"seed=range({number})"]
        with _timed("composing"):
            jobs = Composition([*values, f"output_dir={folder}"], multirun=True).jobs()
        with _timed("loading data and checking"):
            data = [load(one.job).fingerprint for one in jobs]
        with _timed("hashing"):
            hashes = [
                run_hash(one.job.config, fingerprint, code_of(one.job.config).hash)
                for one, fingerprint in zip(jobs, data, strict=True)
            ]
        with _timed("planning and naming"):
            plan = SweepPlan.make(Path(folder) / "sweeps" / "plan", jobs, hashes)
        with _timed("writing"):
            plan.directory.mkdir(parents=True)
            plan.freeze(jobs)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(jobs):,} jobs, {memory:.2f} GiB resident at most")


if __name__ == "__main__":
    main()
