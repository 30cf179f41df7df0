"""Tests of plans of sweeps: writing, reading, damaged files, locks."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expt.config.job import ComposedJob
from expt.errors import UserError
from expt.runs.record_parts import JobStatus
from expt.runs.records import SWEEP_FILE
from expt.sweep.plan import SweepPlan
from expt.sweep.plan_reader import newest_plan, read_plan
from sweep.sweep_helpers import composed, planned

GIVEN = ("act=relu,tanh", "seed=0,1", "loop.epochs=2", "name=study")
LOCK_PLAN = """
import sys
from pathlib import Path
from expt.sweep.plan_reader import read_plan
with read_plan(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def jobs() -> Sequence[ComposedJob]:
    return composed(*GIVEN)


@pytest.fixture(scope="module")
def written(jobs: Sequence[ComposedJob], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("written") / "sweep"
    planned(directory, jobs)
    return directory


@pytest.fixture
def directory(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "sweep"))


def test_jobs_of_older_sweep_have_recorded_threads(directory: Path) -> None:
    places = [job.directory for job in read_plan(directory).jobs]
    for place in places:
        file = place / ".hydra" / "config.yaml"
        file.write_text(re.sub(r"\n +threads: \d+", "", file.read_text()))
    recorded = {
        "status": "KILLED",
        "started": 1.0,
        "environment": {"TF_NUM_INTRAOP_THREADS": "1"},
        "machine": {"cpus": 4},
    }
    (places[1] / "run.json").write_text(json.dumps(recorded))
    (places[2] / "run.json").write_text("{")  # reported only when the record is needed
    threads = [job.job.config.loop.threads for job in read_plan(directory).jobs]
    assert threads == [2, 1, 2, 2]


def test_written_plan_is_read_back(jobs: Sequence[ComposedJob], tmp_path: Path) -> None:
    plan = planned(tmp_path / "sweep", jobs)
    plan.set_status(plan.jobs[1], JobStatus.RUNNING)
    plan.set_status(plan.jobs[2], JobStatus.FAILED, "it diverged at step 3")
    plan.update(status="KILLED", ended=12.5)
    read = read_plan(tmp_path / "sweep")
    assert read.jobs == plan.jobs
    assert read.facts == plan.facts
    assert [job.job for job in read.jobs] == [one.job for one in jobs]
    assert [job.status for job in read.jobs] == ["PENDING", "RUNNING", "FAILED", "PENDING"]
    assert read.jobs[2].error == "it diverged at step 3"
    assert read.count(JobStatus.PENDING) == 2
    assert re.fullmatch(r"act(-\d+)?", read.name)
    assert read.experiment == "study"
    assert read.output_dir == Path("outputs").absolute()
    member = read.membership(read.jobs[3])
    assert (member.id, member.name, member.variant) == (plan.facts["id"], plan.name, "act=tanh")
    assert (member.varied, member.run_name) == (("act", "seed"), plan.jobs[3].run_name)


def test_configs_are_frozen_with_plan(directory: Path) -> None:
    """Later changes of `conf/` can't change a job."""
    job = read_plan(directory).jobs[2]
    assert job.directory.name == "2_act=tanh,seed=0"
    assert re.fullmatch(r"mlp-tanh-ep2-s0(-\d+)?", job.name)
    assert (job.job.choices["act"], job.job.config.loop.epochs) == ("tanh", 2)
    assert job.job.overrides == ("act=tanh", "seed=0", "loop.epochs=2", "name=study")
    config = job.directory / ".hydra/config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    # Only the frozen config is read.
    assert read_plan(directory).jobs[2].job.config.loop.epochs == 3


def test_nothing_is_written_before_freezing(jobs: Sequence[ComposedJob], tmp_path: Path) -> None:
    SweepPlan.make(tmp_path / "sweep", jobs, ["hash"] * len(jobs))
    assert list(tmp_path.iterdir()) == []


def test_readers_never_see_partial_file(directory: Path) -> None:
    plan, file, is_done = read_plan(directory), directory / SWEEP_FILE, threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not is_done.is_set():
            seen.add(json.loads(file.read_text())["jobs"][0]["status"])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        plan.set_status(plan.jobs[0], JobStatus.RUNNING if number % 2 else JobStatus.PENDING)
    is_done.set()
    reader.join()
    assert seen <= {"PENDING", "RUNNING"}  # a partial file would have raised an error in the thread
    assert seen
    assert not list(directory.glob("partial*"))


def test_failed_write_leaves_old_file(directory: Path) -> None:
    plan, before = read_plan(directory), (directory / SWEEP_FILE).read_bytes()
    # Not even root can open a folder for writing; permissions would not keep it from a file.
    (directory / f"partial-{SWEEP_FILE}").mkdir()
    with pytest.raises(OSError, match="partial"):
        plan.set_status(plan.jobs[0], JobStatus.RUNNING)
    assert (directory / SWEEP_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("overrides", "variants"),
    [
        (["act=relu seed=0", "act=relu seed=1", "act=elu seed=0"], ["act=relu"] * 2 + ["act=elu"]),
        (["seed=0", "seed=1"], ["", ""]),
        (["++seed=0 act=elu", "++seed=1 act=elu"], ["", ""]),
        (
            ["act=relu loss=mse x=1", "act=elu loss=mae x=1"],
            ["act=relu,loss=mse", "act=elu,loss=mae"],
        ),
        (
            ["model.units=[8] name=x", "model.units=[8,8] name=x"],
            ["model.units=[8]", "model.units=[8,8]"],
        ),
        (["act=relu"], [""]),
        ([""], [""]),
    ],
)
def test_variants_are_varied_overrides_without_seed(
    jobs: Sequence[ComposedJob], overrides: list[str], variants: list[str], tmp_path: Path
) -> None:
    made = [
        replace(one, job=replace(one.job, overrides=tuple(given.split())))
        for one, given in zip(jobs, overrides, strict=False)
    ]
    plan = SweepPlan.make(tmp_path, made, ["hash"] * len(made))
    assert [job.variant for job in plan.jobs] == variants


@pytest.mark.parametrize(
    ("subdirectories", "shown"),
    [
        (["0", "same", "same"], "same"),
        (["0", "a/../0"], "a/../0"),
        (["../0"], "../0"),
        (["/elsewhere/0"], "/elsewhere/0"),
        (["a/0"], "a/0"),
        (["."], "."),
        ([".."], ".."),
        ([""], ""),
    ],
)
def test_each_job_needs_a_different_directory_in_the_sweep(
    jobs: Sequence[ComposedJob], tmp_path: Path, subdirectories: list[str], shown: str
) -> None:
    made = [
        replace(one, subdirectory=place) for one, place in zip(jobs, subdirectories, strict=False)
    ]
    with pytest.raises(UserError, match=f"hydra.sweep.subdir={shown}: expected a different folder"):
        SweepPlan.make(tmp_path / "sweep", made, ["hash"] * len(made))
    assert list(tmp_path.iterdir()) == []


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Returns a change that sets a key of the content, or with `job.` of its second job."""

    def change(content: dict[str, Any]) -> None:
        *job, name = key.split(".")
        (content["jobs"][1] if job else content)[name] = value

    return change


def _drop(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["jobs"][1].pop(key)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_set("id", None), "'id'"),
        (_set("started", "yesterday"), "'started'"),
        (_set("status", "PENDING"), "'status'"),
        (_set("process", []), "'process'"),
        (_set("jobs", []), "'jobs'"),
        (_set("jobs", {}), "'jobs'"),
        (_set("job.directory", 3), "'jobs.1.directory'"),
        (_set("job.status", "DONE"), "'jobs.1.status'"),
        (_set("job.overrides", "act=relu"), "'jobs.1.overrides'"),
        (_set("job.overrides", [1]), "'jobs.1.overrides.0'"),
        (_set("job.choices", []), "'jobs.1.choices'"),
        (_set("job.error", 3), "'jobs.1.error'"),
        (_set("job.reused", 3), "'jobs.1.reused'"),
        (_drop("run_hash"), "'jobs.1.run_hash'"),
        (_drop("variant"), "'jobs.1.variant'"),
        (_drop("status"), "'jobs.1.status'"),
        (_set("job.directory", "../outside"), "../outside is outside the sweep"),
        (_set("job.directory", ".."), ".. is outside the sweep"),
        (_set("job.directory", ""), "is outside the sweep"),
        (_set("job.directory", "/etc"), "/etc is outside the sweep"),
        (_set("job.directory", "gone"), "gone/.hydra/config.yaml is missing"),
    ],
)
def test_damaged_plan_is_user_error(
    directory: Path, damage: Callable[[dict[str, Any]], Any], message: str
) -> None:
    file = directory / SWEEP_FILE
    content = json.loads(file.read_text())
    damage(content)
    file.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_plan(directory)
    assert message in str(caught.value)
    assert str(directory) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_invalid_file_is_user_error(directory: Path, content: bytes) -> None:
    (directory / SWEEP_FILE).write_bytes(content)
    with pytest.raises(UserError, match=SWEEP_FILE):
        read_plan(directory)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (".hydra/config.yaml", "seed: [", "config.yaml can't be read"),
        (".hydra/config.yaml", "seed: zero", "config.yaml can't be read"),
        ("run.json", "{", "run.json can't be read"),
        ("run.json", "[]", "run.json is not the record of a run"),
        ("run.json", '{"status": "DONE", "started": 1.0}', "'status' is missing or wrong"),
        ("run.json", '{"status": "KILLED"}', "'started' is missing or wrong"),
    ],
)
def test_damaged_job_is_user_error(directory: Path, name: str, content: str, message: str) -> None:
    (read_plan(directory).jobs[1].directory / name).write_text(content)
    with pytest.raises(UserError, match=message):
        [job.record() for job in read_plan(directory).jobs]


def test_job_that_has_not_started_has_no_record(directory: Path) -> None:
    assert [job.record() for job in read_plan(directory).jobs] == [None] * 4


def test_plan_is_locked_by_one_process(directory: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOCK_PLAN, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "locked\n"
        plan = read_plan(directory)
        with pytest.raises(UserError, match="sweep is locked by another process"), plan.locked():
            pass
        other.stdin.close()
        assert other.wait(60) == 0
    with plan.locked():
        pass


def test_newest_plan_has_largest_number(tmp_path: Path) -> None:
    assert newest_plan(tmp_path) is None
    places = {
        "sweeps/2026-01-10/08-00-00_b": {"started": 5.0},  # recorded by a version without numbers
        "sweeps/2026-01-10/07-59-59_c": {"started": 9.0, "number": 1},
        "elsewhere/mine": {"started": 2.0, "number": 3},
        "sweeps/2026-01-12/07-59-59_d": {"started": 3.0, "number": 2},
    }
    for name, record in places.items():
        (tmp_path / name).mkdir(parents=True)
        place = {"id": "here", "directory": name, "number": record.pop("number", None)}
        content = {"status": "FINISHED", **record, "place": place if place["number"] else None}
        (tmp_path / name / SWEEP_FILE).write_text(json.dumps(content))
    (tmp_path / "sweeps/2026-01-11/00-00-00_without").mkdir(parents=True)
    assert newest_plan(tmp_path) == tmp_path / "elsewhere/mine"
    shutil.rmtree(tmp_path / "elsewhere")
    assert newest_plan(tmp_path) == tmp_path / "sweeps/2026-01-12/07-59-59_d"


def test_passwords_are_redacted(tmp_path: Path) -> None:
    given = (
        "name='http://me:hidden@host/a','http://me:hidden@host/b'",
        "hydra.sweep.subdir=${hydra.job.num}",
    )
    planned(tmp_path / "sweep", composed(*given))
    text = (tmp_path / "sweep" / SWEEP_FILE).read_text()
    assert "hidden" not in text
    assert "http://***@host/a" in text
