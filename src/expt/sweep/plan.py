"""The plan of a sweep: its jobs, composed and frozen before the first starts; sweep.json."""

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from expt.config.compose import Composed, Job
from expt.config.frozen import CONFIG_FILE, read_frozen
from expt.config.sources import Code, code_of
from expt.errors import UserError
from expt.runs.directories import held
from expt.runs.environment import process
from expt.runs.find import folder_above, read_run
from expt.runs.naming import distinctive, run_name, sweep_name, varying
from expt.runs.order import newest, records_in
from expt.runs.place import claim
from expt.runs.records import (
    SWEEP_FILE,
    JobStatus,
    RunRecord,
    SweepRecord,
    check_complete,
    damaged,
    read_sweep,
    write_sweep,
)
from expt.runs.run import Membership
from expt.runs.secrets import redacted
from expt.runs.taken_names import take_names

__all__ = ["JobStatus"]

ENDED_WELL = (JobStatus.FINISHED, JobStatus.REUSED)
UNDER_WAY = (JobStatus.PENDING, JobStatus.RUNNING)


@dataclass
class PlannedJob:
    """A job and how it stands.

    Attributes:
        directory: Of its run, which holds the frozen config from the beginning.
        job: The frozen config.
        run_hash: Of config, data and code.
        variant: Its values of what varies in the sweep, the seed left out.
        status: How it stands.
        error: Why it failed.
        reused: The directory of the earlier run that stands in for it; read back, from that of
            the sweep.
        code: What it is to run; None if it was planned before that was recorded.
        run_name: The name of its run for people; empty if it was planned before runs had any.
    """

    directory: Path
    job: Job
    run_hash: str
    variant: str = ""
    status: JobStatus = JobStatus.PENDING
    error: str | None = None
    reused: str | None = None
    code: Code | None = None
    run_name: str = ""

    @property
    def name(self) -> str:
        """The name of its run, such as `mlp-relu-s0`."""
        return self.run_name or self.directory.name

    @property
    def reason(self) -> str:
        """Why it failed, in a line."""
        return (self.error or "").partition("\n")[0]

    def record(self) -> RunRecord | None:
        """Returns the content of its run.json, if the run has begun.

        Raises:
            UserError: It is damaged.
        """
        if not (self.directory / "run.json").is_file():
            return None
        return read_run(self.directory, self.directory).record


@dataclass
class Plan:
    """A sweep's jobs, kept in a file that is replaced atomically with each change.

    Attributes:
        directory: The sweep's.
        jobs: In the order in which they start.
        facts: The sweep's id and name, when it started, its status, which keys vary in it, which
            process trains it, and whether MLflow's copies are complete.
    """

    directory: Path
    jobs: Sequence[PlannedJob]
    facts: dict[str, Any]

    @classmethod
    def make(cls, directory: Path, composed: Sequence[Composed], hashes: Sequence[str]) -> "Plan":
        """Plans jobs; nothing is written yet.

        Args:
            directory: The sweep's.
            composed: The jobs.
            hashes: The run hash of each.

        Raises:
            UserError: Two jobs have the same directory, or one is not directly in the sweep's.
        """
        variants = _variants([one.job.overrides for one in composed])
        jobs: list[PlannedJob] = []
        for one, run_hash, variant in zip(composed, hashes, variants, strict=True):
            place = directory / one.subdirectory
            if not _is_inside(place, directory) or place in [job.directory for job in jobs]:
                raise UserError(
                    f"hydra.sweep.subdir={one.subdirectory}: expected a folder in the sweep's for "
                    "each job alone; ${hydra.job.num} tells them apart."
                )
            code = code_of(one.job.config)
            jobs.append(PlannedJob(place, one.job, run_hash, variant, code=code))
        facts = {
            "id": uuid.uuid4().hex,
            "name": redacted(str(composed[0].job.config["name"])),
            "varied": varying([one.job.overrides for one in composed]),
            "started": time.time(),
            "status": "RUNNING",
        }
        return cls(directory, jobs, {**facts, "process": process()})

    @property
    def name(self) -> str:
        """The sweep's name for people, such as `act-loss`."""
        return str(self.facts.get("sweep_name") or self.directory.name)

    @property
    def experiment(self) -> str:
        """The MLflow experiment of the sweep's own run."""
        return str(self.jobs[0].job.config["name"])

    @property
    def output_dir(self) -> Path:
        """The folder of all runs."""
        return self.jobs[0].job.output_dir

    def membership(self, job: PlannedJob) -> Membership:
        """Returns what a job's run tells of the sweep."""
        varied = tuple(self.facts.get("varied") or ())
        return Membership(
            self.facts["id"], self.name, self.experiment, job.variant, varied, job.name
        )

    def count(self, *statuses: JobStatus) -> int:
        """Returns how many jobs stand so."""
        return sum(job.status in statuses for job in self.jobs)

    def note(self, job: PlannedJob, status: JobStatus, error: str | None = None) -> None:
        """Changes how a job stands."""
        job.status, job.error = status, error
        self._write()

    def update(self, **facts: Any) -> None:
        """Changes what is known of the sweep."""
        self.facts |= facts
        self._write()

    def freeze(self, composed: Sequence[Composed]) -> None:
        """Writes the jobs' configs into their directories, and the file.

        Args:
            composed: The jobs that the plan was made of.
        """
        for job, one in zip(self.jobs, composed, strict=True):
            file = job.directory / CONFIG_FILE
            file.parent.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(one.config, file)
            OmegaConf.save(list(one.job.overrides), file.with_name("overrides.yaml"))
        place = claim(self.output_dir, self.directory)
        self._take_names()
        self.update(place=place, output_dir=str(self.output_dir))

    def _take_names(self) -> None:
        """Gives the sweep and its jobs names; a job that is reused has its run's."""
        varied = self.facts["varied"]
        (name,) = take_names(self.output_dir, self.experiment, [sweep_name(varied)])
        self.facts["sweep_name"] = name
        by_experiment: dict[str, list[PlannedJob]] = {}
        for job in self.jobs:
            if job.reused is None:
                by_experiment.setdefault(str(job.job.config["name"]), []).append(job)
            else:
                record = read_run(Path(job.reused), self.output_dir).record
                job.run_name = str(record.get("run_name", ""))
        for experiment, jobs in by_experiment.items():
            wanted = [run_name(one.job, distinctive(one.job, varied), varied) for one in jobs]
            names = take_names(self.output_dir, experiment, wanted)
            for job, name in zip(jobs, names, strict=True):
                job.run_name = name

    def held(self) -> AbstractContextManager[None]:
        """Keeps other processes from the sweep and its runs; raises a UserError if one is there."""
        return held(self.directory)

    def _write(self) -> None:
        jobs = [
            {
                "directory": each.directory.name,
                "run_name": each.run_name,
                "run_hash": each.run_hash,
                "code": each.code and each.code.hash,
                "variant": redacted(each.variant),
                "overrides": [redacted(override) for override in each.job.overrides],
                "choices": each.job.choices,
                "status": each.status,
                "error": each.error,
                # From the sweep's directory: that is moved with the folder of all runs.
                "reused": each.reused and os.path.relpath(each.reused, self.directory.resolve()),
            }
            for each in self.jobs
        ]
        codes = {job.code.hash: job.code.modules for job in self.jobs if job.code is not None}
        content = {**self.facts, "codes": codes, "jobs": jobs}
        write_sweep(self.directory, SweepRecord.of(content))


def read_plan(directory: Path) -> Plan:
    """Reads the plan of a sweep.

    Args:
        directory: The sweep's.

    Raises:
        UserError: The plan, or the config of a job, is damaged.
    """
    content = read_content(directory)
    outputs, jobs = folder_above(directory.resolve(), content.place), []
    for entry in content.jobs:
        place = directory / entry.directory
        if not _is_inside(place, directory):
            raise UserError(
                f"{directory / SWEEP_FILE} is damaged: {entry.directory} leads elsewhere."
            )
        frozen = read_frozen(place, {**_of_process(place), **entry.to_mapping()})
        jobs.append(
            PlannedJob(
                place,
                replace(frozen, moved_to=outputs),
                entry.run_hash,
                entry.variant,
                entry.status,
                entry.error,
                entry.reused,
                _code(entry.code, content.codes),
                entry.run_name or "",
            )
        )
    facts = content.to_mapping()
    return Plan(directory, jobs, {k: v for k, v in facts.items() if k not in ("jobs", "codes")})


def _of_process(directory: Path) -> dict[str, Any]:
    """Returns what a job's run, if it has begun, recorded of the process that trained it."""
    try:
        record = read_run(directory, directory).record.to_mapping()
    except UserError:
        return {}
    return {key: record[key] for key in ("machine", "environment") if key in record}


def _code(code: str | None, codes: Mapping[str, Mapping[str, str]]) -> Code | None:
    """Returns a job's code; the jobs of a sweep have a few among them."""
    return None if code is None or code not in codes else Code(code, codes[code])


def newest_plan(output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that was planned last, wherever in the folder it lies.

    Raises:
        UserError: A plan is damaged that may be newer.
    """
    file = newest(records_in(output_dir, SWEEP_FILE), output_dir)
    return None if file is None else file.parent


def read_content(directory: Path) -> SweepRecord:
    """Reads what a sweep's file says, without the configs of its jobs.

    Raises:
        UserError: It is damaged.
    """
    record = read_sweep(directory)
    check_complete(directory, record)
    if not record.jobs:
        raise damaged(directory / SWEEP_FILE, "jobs")
    return record


def _is_seed(override: str) -> bool:
    return override.lstrip("+").startswith("seed=")


def _is_inside(place: Path, directory: Path) -> bool:
    """Whether a job's directory is directly in the sweep's."""
    return place.parent == directory and place.name != ".."


def _variants(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Returns those of each job's overrides that not all have, but for the seed's."""
    common = set(overrides[0]).intersection(*overrides)
    return [
        ",".join(one for one in job if one not in common and not _is_seed(one)) for job in overrides
    ]
