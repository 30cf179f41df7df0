"""Tests of changed code between planning and training of jobs; nothing is trained."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from expt.config import sources
from expt.config.hashes import run_hash
from expt.config.job import ComposedJob
from expt.config.sources import Code, code_of
from expt.errors import UserError
from expt.sweep.code_changes import check_planned, use_current_code
from expt.sweep.finished_runs import reuse_finished
from expt.sweep.launchers import worker
from expt.sweep.plan import SweepPlan
from expt.sweep.plan_reader import read_plan
from sweep.sweep_helpers import composed

Change = Callable[[str], None]


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Change]:
    """A function that changes the module of a custom loss, and clears all caches of modules."""
    monkeypatch.setenv("EXPT_ALLOW", "planned_losses")
    monkeypatch.syspath_prepend(tmp_path)

    def forget() -> None:
        sources._sources.clear()
        sources._hash_modules_cached.cache_clear()
        importlib.invalidate_caches()
        sys.modules.pop("planned_losses", None)

    def write(text: str) -> None:
        (tmp_path / "planned_losses.py").write_text(text)
        forget()

    write("def loss(targets, outputs): return outputs\n")
    yield write
    forget()


@pytest.fixture
def made(change: Change) -> list[ComposedJob]:  # noqa: ARG001
    return composed("loss=mse,mae", "loss._target_=planned_losses.loss", "act=relu,tanh")


def make_plan(folder: Path, made: list[ComposedJob]) -> SweepPlan:
    hashes = [run_hash(one.job.config, "data", code_of(one.job.config).hash) for one in made]
    return SweepPlan.make(folder / "sweep", made, hashes)


def test_plan_stores_code_of_jobs(made: list[ComposedJob], tmp_path: Path) -> None:
    plan = make_plan(tmp_path, made)
    plan.freeze(made)
    codes = [job.code for job in read_plan(plan.directory).jobs]
    assert codes == [code_of(one.job.config) for one in made]
    written = json.loads((plan.directory / "sweep.json").read_text())
    assert len(written["codes"]) == 1  # each distinct code is stored once


def test_worker_with_changed_code_refuses_job(
    made: list[ComposedJob], change: Change, tmp_path: Path
) -> None:
    job = make_plan(tmp_path, made).jobs[0]
    check_planned(job.job, job.code)
    change("def loss(targets, outputs): return -outputs\n")
    with pytest.raises(UserError, match=r"since the sweep was planned: planned_losses\. .*--allow"):
        check_planned(job.job, job.code)
    checked = worker.check(job.job, False, job.code)
    assert (checked.is_users, "planned_losses" in str(checked.error)) == (True, True)
    check_planned(job.job, None)  # planned before code was recorded


def test_worker_ignores_edit_of_module_that_it_has_read(
    made: list[ComposedJob], tmp_path: Path
) -> None:
    job = make_plan(tmp_path, made).jobs[0]
    (tmp_path / "planned_losses.py").write_text("def loss(targets, outputs): return -outputs\n")
    check_planned(job.job, job.code)


class TestResume:
    CHANGED: ClassVar[str] = "def loss(targets, outputs): return -outputs\n"

    def test_changed_code_is_refused(
        self, made: list[ComposedJob], change: Change, tmp_path: Path
    ) -> None:
        plan = make_plan(tmp_path, made)
        before = [job.code for job in plan.jobs]
        assert use_current_code(plan, plan.jobs, allow=False) is None
        change(self.CHANGED)
        with pytest.raises(UserError, match=r"(?s)planned: planned_losses\. .*sweep --allow-code"):
            use_current_code(plan, plan.jobs, allow=False)
        assert use_current_code(plan, plan.jobs[:1], allow=True) == (
            "continuing with changed code: planned_losses."
        )
        assert plan.jobs[0].code == code_of(made[0].job.config) != before[0]
        assert [job.code for job in plan.jobs[1:]] == before[1:]
        plan.freeze(made)
        assert [job.code for job in read_plan(plan.directory).jobs] == [
            job.code for job in plan.jobs
        ]

    def test_changed_comment_is_accepted(
        self, made: list[ComposedJob], change: Change, tmp_path: Path
    ) -> None:
        plan = make_plan(tmp_path, made)
        change("# mine\ndef loss(targets, outputs):\n    return outputs\n")
        assert use_current_code(plan, plan.jobs, allow=False) is None

    def test_sweep_without_recorded_code_continues_with_note(
        self, made: list[ComposedJob], tmp_path: Path
    ) -> None:
        plan = make_plan(tmp_path, made)
        plan.freeze(made)
        file = plan.directory / "sweep.json"
        written = json.loads(file.read_text())
        del written["codes"]
        for job in written["jobs"]:
            del job["code"]
        file.write_text(json.dumps(written))
        old = read_plan(plan.directory)
        note = use_current_code(old, old.jobs, allow=False)
        assert note == (
            "the sweep has no record of its code, so changes since then can't be detected."
        )
        assert [job.code for job in old.jobs] == [job.code for job in plan.jobs]


def leave(folder: Path, **record: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": "FINISHED", "started": 100.0, **record}))


def test_runs_with_different_code_are_not_reused(made: list[ComposedJob], tmp_path: Path) -> None:
    config, now = made[0].job.config, code_of(made[0].job.config)
    outputs = tmp_path / "outputs"
    plan, data = make_plan(tmp_path, made), ["data"] * len(made)
    mixed, unknown = (now.after(code, 7) for code in (Code.of_modules({"a": "1"}), None))
    for name, code in {"mixed": mixed, "unknown": unknown}.items():
        leave(outputs / name, run_hash=run_hash(config, "data", code.hash), code=code.to_mapping())
    assert reuse_finished(plan.jobs, data, outputs) == ([], None)
    other = Code.of_modules({**now.modules, "planned_losses": "0" * 16})
    for number in (0, 1):
        hashed = run_hash(made[number].job.config, "data", other.hash)
        leave(outputs / f"other{number}", run_hash=hashed, code=other.to_mapping())
    reused, note = reuse_finished(plan.jobs, data, outputs)
    assert reused == []
    assert note == (
        "2 jobs have finished runs trained with different code, not reused: planned_losses changed "
        "since then. Restore that code to reuse them; otherwise these jobs are trained again."
    )
    leave(outputs / "same", run_hash=run_hash(config, "data", now.hash), code=now.to_mapping())
    reused, note = reuse_finished(plan.jobs, data, outputs)
    assert reused == [plan.jobs[0]]
    assert str(note).startswith("1 job has a finished run trained with different code")
