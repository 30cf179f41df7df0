"""Helpers that create folders of runs with empty event files."""

import json
from pathlib import Path
from typing import Any


def make_run(directory: Path, number: int, name: str | None = None, **record: Any) -> Path:
    """Creates a run; `number` is its position by age in its folder."""
    for folder in ("train", "val"):
        (directory / folder).mkdir(parents=True)
        (directory / folder / f"events.out.tfevents.{number}").touch()
    content = {
        "status": "FINISHED",
        "started": float(number),
        "place": {"id": "here", "directory": directory.name, "number": number},
        "run_name": name or directory.name,
        **record,
    }
    (directory / "run.json").write_text(json.dumps(content))
    return directory


def make_sweep(
    directory: Path, number: int, num_jobs: int, name: str | None = None, reused: Path | None = None
) -> Path:
    """Creates a sweep whose runs have the next numbers; the last ones are the best."""
    directory.mkdir(parents=True)
    jobs: list[dict[str, Any]] = [
        {"directory": f"{job}_job", "reused": None} for job in range(num_jobs)
    ]
    if reused is not None:
        jobs.append({"directory": "reused", "reused": str(reused)})
    plan = [{"overrides": [], "status": "FINISHED", "error": None, **job} for job in jobs]
    place = {"id": "here", "directory": directory.name, "number": number}
    content = {"sweep_name": name, "started": float(number), "place": place, "jobs": plan}
    content["status"] = "FINISHED"
    (directory / "sweep.json").write_text(json.dumps(content))
    for job in range(num_jobs):
        best = {"step": 1, "watched": "val/accuracy", "val/accuracy": job / num_jobs}
        record = {"best": best, "larger_is_better": ["accuracy"]}
        make_run(directory / f"{job}_job", number + 1 + job, f"job-{job}", **record)
    return directory
