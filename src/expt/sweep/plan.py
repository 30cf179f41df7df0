"""The plan of a sweep: its jobs, composed and frozen before the first starts; sweep.json."""

import os
import shlex
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.config.compose import Composed
from expt.config.frozen import ConfigWriter
from expt.config.sources import code_of
from expt.errors import UserError
from expt.runs.directories import held
from expt.runs.environment import process
from expt.runs.folder_identity import claim
from expt.runs.naming import distinctive, run_name, sweep_name, varying
from expt.runs.record_parts import JobStatus
from expt.runs.records import SweepRecord, read_run, write_sweep
from expt.runs.run import Membership
from expt.runs.secrets import redacted
from expt.runs.unique_names import take_names
from expt.sweep.jobs import ENDED_WELL, PlannedJob


@dataclass
class SweepPlan:
    """A sweep's jobs, kept in a file that is replaced atomically with each change.

    Attributes:
        directory: The sweep's.
        jobs: In the order in which they start.
        facts: The sweep's id and name, when it started, its status, which keys vary in it, which
            process trains it, and whether MLflow's copies are complete.
    """

    directory: Path
    jobs: list[PlannedJob]
    facts: dict[str, Any]

    @classmethod
    def make(
        cls,
        directory: Path,
        composed: Sequence[Composed],
        hashes: Sequence[str],
        varied: Sequence[str] | None = None,
    ) -> "SweepPlan":
        """Plans jobs; nothing is written yet.

        Args:
            directory: The sweep's.
            composed: The jobs.
            hashes: The run hash of each.
            varied: The keys that vary, if there are jobs to come; else the jobs show them.

        Raises:
            UserError: Two jobs have the same directory, or one is not directly in the sweep's.
        """
        overrides = [one.job.overrides for one in composed]
        facts = {
            "id": uuid.uuid4().hex,
            "name": redacted(str(composed[0].job.config.name)),
            "varied": varying(overrides) if varied is None else list(varied),
            "started": time.time(),
            "status": "RUNNING",
        }
        plan = cls(directory, [], {**facts, "process": process()})
        variants = _variants(overrides) if varied is None else None
        plan._plan_jobs(composed, hashes, variants)
        return plan

    def append(self, composed: Sequence[Composed], hashes: Sequence[str]) -> list[PlannedJob]:
        """Plans more jobs and returns them; nothing is written yet.

        Raises:
            UserError: As for `make`.
        """
        return self._plan_jobs(composed, hashes, None)

    def _plan_jobs(
        self, composed: Sequence[Composed], hashes: Sequence[str], variants: Sequence[str] | None
    ) -> list[PlannedJob]:
        """Adds jobs; without their variants, these are the values of the keys that vary."""
        if variants is None:
            variants = [_variant_of(one.job.overrides, self.facts["varied"]) for one in composed]
        places, first = {job.directory for job in self.jobs}, len(self.jobs)
        for one, run_hash, variant in zip(composed, hashes, variants, strict=True):
            place = self.directory / one.subdirectory
            if not is_inside(place, self.directory) or place in places:
                raise UserError(
                    f"hydra.sweep.subdir={one.subdirectory}: expected a folder in the sweep's for "
                    "each job alone; ${hydra.job.num} tells them apart."
                )
            places.add(place)
            code = code_of(one.job.config)
            self.jobs.append(PlannedJob(place, one.job, run_hash, variant, code=code))
        return self.jobs[first:]

    @property
    def name(self) -> str:
        """The sweep's name for people, such as `act-loss`."""
        return str(self.facts.get("sweep_name") or self.directory.name)

    @property
    def quoted(self) -> str:
        """The sweep's directory as an argument of a command line."""
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
        """Returns what a job's run records of the sweep."""
        varied = tuple(self.facts.get("varied") or ())
        return Membership(
            self.facts["id"], self.name, self.experiment, job.variant, varied, job.name
        )

    def count(self, *statuses: JobStatus) -> int:
        """Returns how many jobs have one of some statuses."""
        return sum(job.status in statuses for job in self.jobs)

    def to_do(self, *, retry_failed: bool) -> list[PlannedJob]:
        """Returns the jobs that have not ended yet, or are tried again."""
        done = ENDED_WELL if retry_failed else (*ENDED_WELL, JobStatus.FAILED)
        return [job for job in self.jobs if job.status not in done]

    def note(self, job: PlannedJob, status: JobStatus, error: str | None = None) -> None:
        """Changes the status of a job."""
        job.status, job.error = status, error
        self._write()

    def update(self, **facts: Any) -> None:
        """Changes facts of the sweep."""
        self.facts |= facts
        self._write()

    def freeze(self, composed: Sequence[Composed]) -> None:
        """Writes the configs of the last jobs into their directories, and the file.

        Args:
            composed: The jobs that the plan was made of, or those that were appended.
        """
        jobs = self.jobs[len(self.jobs) - len(composed) :]
        writer = ConfigWriter()
        for job, one in zip(jobs, composed, strict=True):
            writer.write(job.directory, one.config, one.job.overrides)
        if "place" not in self.facts:
            place = claim(self.output_dir, self.directory)
            names = [sweep_name(self.facts["varied"])]
            (self.facts["sweep_name"],) = take_names(self.output_dir, self.experiment, names)
            self.facts |= {"place": place, "output_dir": str(self.output_dir)}
        self._name(jobs)
        self._write()

    def _name(self, jobs: Sequence[PlannedJob]) -> None:
        """Gives jobs names; a job that is reused has its run's."""
        varied = self.facts["varied"]
        by_experiment: dict[str, list[PlannedJob]] = {}
        for job in jobs:
            if job.reused is None:
                by_experiment.setdefault(str(job.job.config.name), []).append(job)
            else:
                job.run_name = read_run(Path(job.reused)).run_name
        for experiment, named in by_experiment.items():
            wanted = [run_name(one.job, distinctive(one.job, varied), varied) for one in named]
            names = take_names(self.output_dir, experiment, wanted)
            for job, name in zip(named, names, strict=True):
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


def _is_seed(override: str) -> bool:
    return override.lstrip("+").startswith("seed=")


def is_inside(place: Path, directory: Path) -> bool:
    """Whether a job's directory is directly in the sweep's."""
    return place.parent == directory and place.name != ".."


def _variants(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Returns those of each job's overrides that not all have, but for the seed's."""
    common = set(overrides[0]).intersection(*overrides)
    return [
        ",".join(one for one in job if one not in common and not _is_seed(one)) for job in overrides
    ]


def _variant_of(overrides: Sequence[str], varied: Sequence[str]) -> str:
    """Returns those of a job's overrides whose key varies, but for the seed's."""
    return ",".join(
        one
        for one in overrides
        if one.lstrip("+~").partition("=")[0] in varied and not _is_seed(one)
    )
