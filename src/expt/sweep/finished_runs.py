"""Jobs that need no training: a finished run has their result already."""

import json
from collections.abc import Sequence
from pathlib import Path

from expt.runs.chronology import order_of, place_ids, records_in
from expt.runs.record_parts import JobStatus
from expt.runs.run import Status
from expt.sweep.jobs import PlannedJob


def reuse_finished(jobs: Sequence[PlannedJob], output_dir: Path) -> list[PlannedJob]:
    """Marks the jobs whose run hash a FINISHED run has; the newest one stands in for each.

    The hash is over all of the config that can change the result, the data, and the code of expt
    and of the user's packages; the versions of installed packages are not in it. A run that was
    recorded before code was, or that continued with changed code, stands in for none.

    Args:
        jobs: Of a new sweep.
        output_dir: The folder of all runs.

    Returns:
        The jobs that are marked.
    """
    wanted = {job.run_hash for job in jobs}
    found: dict[str, tuple[tuple[int, float], Path]] = {}
    ids = place_ids(output_dir)
    for file in records_in(output_dir):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            run_hash, status = str(record["run_hash"]), record["status"]
            begun = (order_of(record, ids), file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # a damaged record stands in for nothing
        if run_hash in wanted and status == Status.FINISHED:
            found[run_hash] = max(found.get(run_hash, begun), begun)
    for job in jobs:
        if job.run_hash in found:
            job.status, job.reused = JobStatus.REUSED, str(found[job.run_hash][1].parent.resolve())
    return [job for job in jobs if job.status is JobStatus.REUSED]
