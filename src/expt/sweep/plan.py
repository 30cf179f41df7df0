"""The plan of a sweep: its jobs, composed and frozen before the first starts; sweep.json."""

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from expt.config.compose import Composed
from expt.config.frozen import CONFIG_FILE, read_frozen
from expt.config.sources import Code, code_of
from expt.errors import UserError
from expt.runs.directories import held
from expt.runs.environment import process
from expt.runs.find import folder_above, read_run
from expt.runs.kinds import read_json, wrong_place
from expt.runs.naming import distinctive, run_name, sweep_name, varying
from expt.runs.order import PLACE, newest, records_in
from expt.runs.place import claim
from expt.runs.planned import PLAN_FILE
from expt.runs.run import Membership
from expt.runs.secrets import redacted
from expt.runs.taken_names import take_names
from expt.sweep.jobs import JobStatus, PlannedJob

_KINDS: Mapping[str, Any] = {
    "id": str,
    "started": float,
    "status": {"RUNNING", "FINISHED", "FAILED", "KILLED"},
    "process": (None, dict),
    "sweep_name": (None, str),
    "varied": (None, [str]),
    "place": (None, PLACE),
    "codes": (None, {str: {str: str}}),
    "jobs": [
        {
            "directory": str,
            "run_name": (None, str),
            "run_hash": str,
            "code": (None, str),
            "variant": str,
            "overrides": [str],
            "choices": dict,
            "status": set(JobStatus),
            "error": (None, str),
            "reused": (None, str),
        }
    ],
}


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
    jobs: Sequence[PlannedJob]
    facts: dict[str, Any]

    @classmethod
    def make(
        cls, directory: Path, composed: Sequence[Composed], hashes: Sequence[str]
    ) -> "SweepPlan":
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
        partial = self.directory / f"partial-{PLAN_FILE}"
        codes = {job.code.hash: job.code.modules for job in self.jobs if job.code is not None}
        content = {**self.facts, "codes": codes, "jobs": jobs}
        text = json.dumps(content, indent=2, default=str)
        try:
            partial.write_text(text + "\n", encoding="utf-8")
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(self.directory / PLAN_FILE)


def read_plan(directory: Path) -> SweepPlan:
    """Reads the plan of a sweep.

    Args:
        directory: The sweep's.

    Raises:
        UserError: The plan, or the config of a job, is damaged.
    """
    content = read_content(directory)
    outputs, jobs = folder_above(directory.resolve(), content.get("place")), []
    codes = content.pop("codes", None) or {}
    for entry in content.pop("jobs"):
        place = directory / entry["directory"]
        if not _is_inside(place, directory):
            raise UserError(
                f"{directory / PLAN_FILE} is damaged: {entry['directory']} leads elsewhere."
            )
        jobs.append(
            PlannedJob(
                place,
                replace(read_frozen(place, {**_of_process(place), **entry}), moved_to=outputs),
                entry["run_hash"],
                entry["variant"],
                JobStatus(entry["status"]),
                entry["error"],
                entry["reused"],
                _code(entry.get("code"), codes),
                entry.get("run_name") or "",
            )
        )
    return SweepPlan(directory, jobs, content)


def _of_process(directory: Path) -> dict[str, Any]:
    """Returns what a job's run, if it has begun, recorded of the process that trained it."""
    try:
        record = read_json(directory / "run.json")
    except UserError:
        return {}
    keys = ("machine", "environment")
    return {key: record[key] for key in keys if key in record} if isinstance(record, dict) else {}


def _code(code: str | None, codes: Mapping[str, Mapping[str, str]]) -> Code | None:
    """Returns a job's code; the jobs of a sweep have a few among them."""
    return None if code is None or code not in codes else Code(code, codes[code])


def newest_plan(output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that was planned last, wherever in the folder it lies.

    Raises:
        UserError: A plan is damaged that may be newer.
    """
    file = newest(records_in(output_dir, PLAN_FILE), output_dir)
    return None if file is None else file.parent


def read_content(directory: Path) -> dict[str, Any]:
    """Reads what a sweep's file says, without the configs of its jobs.

    Raises:
        UserError: It is damaged.
    """
    file = directory / PLAN_FILE
    content = read_json(file)
    wrong = wrong_place(content, _KINDS)
    if wrong is None and not content["jobs"]:
        wrong = "jobs"
    if wrong is not None:
        raise UserError(f"{file} is damaged: {wrong!r} is missing or wrong.")
    return dict(content)


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
