"""The plan of a sweep, sweep.json: its jobs, composed and frozen before the first one starts."""

import os
import shlex
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.config.frozen import ConfigWriter
from expt.config.job import ComposedJob
from expt.config.sources import code_of
from expt.errors import UserError
from expt.runs.directories import locked
from expt.runs.environment import process
from expt.runs.folder_identity import assign_number
from expt.runs.naming import distinctive_keys, run_name, sweep_name, varied_keys
from expt.runs.record_parts import JobStatus
from expt.runs.records import SweepRecord, read_run, write_sweep
from expt.runs.run import Membership
from expt.runs.secrets import redacted
from expt.runs.unique_names import reserve_names
from expt.sweep.jobs import SUCCESSFUL, PlannedJob


@dataclass
class SweepPlan:
    """The jobs of a sweep and their statuses.

    The plan is written to sweep.json, which is replaced atomically with each change, so that a
    killed sweep can be resumed from it.

    Attributes:
        directory: Directory of the sweep.
        jobs: The jobs, in the order in which they start.
        facts: The other values of sweep.json: the sweep's id and name, when it started, its status,
            the keys that vary, the process that trains it, and whether its MLflow mirrors are
            complete.
    """

    directory: Path
    jobs: list[PlannedJob]
    facts: dict[str, Any]

    @classmethod
    def make(
        cls,
        directory: Path,
        composed: Sequence[ComposedJob],
        hashes: Sequence[str],
        varied: Sequence[str] | None = None,
    ) -> "SweepPlan":
        """Makes the plan of a new sweep, without writing it; see `freeze`.

        Args:
            directory: Directory of the sweep.
            composed: The composed jobs.
            hashes: Run hash of each job.
            varied: Keys that vary, if a sweeper may add jobs; None to derive them from the jobs.

        Raises:
            UserError: Two jobs have the same directory, or a job's directory is not directly
                inside the sweep's.
        """
        overrides = [one.job.overrides for one in composed]
        facts = {
            "id": uuid.uuid4().hex,
            "name": redacted(str(composed[0].job.config.name)),
            "varied": varied_keys(overrides) if varied is None else list(varied),
            "started": time.time(),
            "status": "RUNNING",
        }
        plan = cls(directory, [], {**facts, "process": process()})
        variants = _variants(overrides) if varied is None else None
        plan._plan_jobs(composed, hashes, variants)
        return plan

    def append(self, composed: Sequence[ComposedJob], hashes: Sequence[str]) -> list[PlannedJob]:
        """Adds jobs without writing the plan, and returns them.

        Args:
            composed: The composed jobs.
            hashes: Run hash of each job.

        Raises:
            UserError: As for `make`.
        """
        return self._plan_jobs(composed, hashes, None)

    def _plan_jobs(
        self, composed: Sequence[ComposedJob], hashes: Sequence[str], variants: Sequence[str] | None
    ) -> list[PlannedJob]:
        """Adds jobs; `variants=None` makes their variants from the values of the varied keys."""
        if variants is None:
            variants = [_variant_of(one.job.overrides, self.facts["varied"]) for one in composed]
        places, first = {job.directory for job in self.jobs}, len(self.jobs)
        for one, run_hash, variant in zip(composed, hashes, variants, strict=True):
            place = self.directory / one.subdirectory
            if not is_inside(place, self.directory) or place in places:
                raise UserError(
                    f"hydra.sweep.subdir={one.subdirectory}: expected a different folder for each "
                    "job, directly in the sweep's directory. ${hydra.job.num} makes it unique."
                )
            places.add(place)
            code = code_of(one.job.config)
            self.jobs.append(PlannedJob(place, one.job, run_hash, variant, code=code))
        return self.jobs[first:]

    @property
    def name(self) -> str:
        """The human-readable name of the sweep, such as `act-loss`."""
        return str(self.facts.get("sweep_name") or self.directory.name)

    @property
    def quoted(self) -> str:
        """The sweep's directory, relative and quoted for use in a shell command."""
        return shlex.quote(os.path.relpath(self.directory))

    @property
    def experiment(self) -> str:
        """The MLflow experiment of the sweep's own run."""
        return str(self.jobs[0].job.config.name)

    @property
    def output_dir(self) -> Path:
        """The folder of all runs."""
        return self.jobs[0].job.output_dir

    def membership(self, job: PlannedJob) -> Membership:
        """Returns the description of the sweep that the run of a job records."""
        varied = tuple(self.facts.get("varied") or ())
        return Membership(
            self.facts["id"], self.name, self.experiment, job.variant, varied, job.name
        )

    def count(self, *statuses: JobStatus) -> int:
        """Returns the number of jobs that have any of the given statuses."""
        return sum(job.status in statuses for job in self.jobs)

    def unfinished(self, *, retry_failed: bool) -> list[PlannedJob]:
        """Returns the jobs that have not ended, and with `retry_failed` the failed ones as well."""
        done = SUCCESSFUL if retry_failed else (*SUCCESSFUL, JobStatus.FAILED)
        return [job for job in self.jobs if job.status not in done]

    def set_status(self, job: PlannedJob, status: JobStatus, error: str | None = None) -> None:
        """Changes the status of a job, and writes the plan.

        Raises:
            OSError: The file can't be written.
        """
        job.status, job.error = status, error
        self._write()

    def update(self, **facts: Any) -> None:
        """Changes facts of the sweep, and writes the plan.

        Raises:
            OSError: The file can't be written.
        """
        self.facts |= facts
        self._write()

    def freeze(self, composed: Sequence[ComposedJob]) -> None:
        """Names new jobs, writes their configs into their directories, and writes the plan.

        From then on, later edits of `conf/` do not affect the jobs.

        Args:
            composed: The jobs last passed to `make` or `append`.
        """
        jobs = self.jobs[len(self.jobs) - len(composed) :]
        writer = ConfigWriter()
        for job, one in zip(jobs, composed, strict=True):
            writer.write(job.directory, one.config, one.job.overrides)
        if "place" not in self.facts:
            place = assign_number(self.output_dir, self.directory)
            names = [sweep_name(self.facts["varied"])]
            (self.facts["sweep_name"],) = reserve_names(self.output_dir, self.experiment, names)
            self.facts |= {"place": place, "output_dir": str(self.output_dir)}
        self._name(jobs)
        self._write()

    def _name(self, jobs: Sequence[PlannedJob]) -> None:
        """Assigns names to jobs. A reused job gets the name of the finished run."""
        varied = self.facts["varied"]
        # Names are unique within an experiment, and jobs may have different ones: `name` can vary.
        by_experiment: dict[str, list[PlannedJob]] = {}
        for job in jobs:
            if job.reused is None:
                by_experiment.setdefault(str(job.job.config.name), []).append(job)
            else:
                job.run_name = read_run(Path(job.reused)).run_name
        for experiment, named in by_experiment.items():
            wanted = [run_name(one.job, distinctive_keys(one.job, varied), varied) for one in named]
            names = reserve_names(self.output_dir, experiment, wanted)
            for job, name in zip(named, names, strict=True):
                job.run_name = name

    def locked(self) -> AbstractContextManager[None]:
        """Locks the sweep and its runs against other processes.

        Raises:
            LockedError: Another process has locked the sweep or one of its runs.
        """
        return locked(self.directory)

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
                # Relative, so that it is still valid when the whole output directory is moved.
                "reused": each.reused and os.path.relpath(each.reused, self.directory.resolve()),
            }
            for each in self.jobs
        ]
        # Each distinct code once: with its module hashes it is far larger than the rest of a job.
        codes = {job.code.hash: job.code.modules for job in self.jobs if job.code is not None}
        content = {**self.facts, "codes": codes, "jobs": jobs}
        write_sweep(self.directory, SweepRecord.of(content))


def _is_seed(override: str) -> bool:
    return override.lstrip("+").startswith("seed=")


def is_inside(place: Path, directory: Path) -> bool:
    """Whether a job's directory is directly inside the sweep's directory."""
    return place.parent == directory and place.name != ".."


def _variants(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Returns the overrides of each job that not all jobs have, without the seed."""
    common = set(overrides[0]).intersection(*overrides)
    return [
        ",".join(one for one in job if one not in common and not _is_seed(one)) for job in overrides
    ]


def _variant_of(overrides: Sequence[str], varied: Sequence[str]) -> str:
    """Returns the overrides of a job whose keys vary, without the seed."""
    return ",".join(
        one
        for one in overrides
        if one.lstrip("+~").partition("=")[0] in varied and not _is_seed(one)
    )
