"""Custom code that changes between the start of a run and the commands that use the run."""

import csv
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from expt.config import sources
from expt.train.checkpoint import checkpoint_files, read_checkpoint, write_checkpoint

PROJECT = {
    "changing/__init__.py": "",
    "changing/losses.py": (
        "import tensorflow as tf\n"
        "from changing.scale import FACTOR\n\n"
        "def loss(targets, outputs):\n"
        "    return FACTOR * tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)\n"
    ),
    "changing/scale.py": "FACTOR = 1.0\n",
}
QUICK = ("recorder=[]", "loop.image_every=null", "model.units=[8]", "loop.epochs=2")
LOSS = ("loss=mse", "loss._target_=changing.losses.loss")
Edit = Callable[[str, str], None]


def forget() -> None:
    """Forgets the imported project and its hashes, as if a new process had started."""
    sources._sources.clear()
    sources._hash_modules_cached.cache_clear()
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == "changing"]:
        del sys.modules[name]


def record_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EXPT_ALLOW", "changing")
    forget()
    yield
    forget()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, run_here: Command) -> Path:
    """A project with a finished run, in the folder `run`."""
    folder = tmp_path_factory.mktemp("trained")
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPT_ALLOW", "changing")
        forget()
        done = run_here(*QUICK, *LOSS, f"hydra.run.dir={folder}/run", folder=folder)
    assert done.code == 0, done.error
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "project"))


@pytest.fixture
def edit(project: Path) -> Edit:
    def write(name: str, text: str) -> None:
        (project / "changing" / name).write_text(text)
        forget()

    return write


def test_record_contains_the_code(project: Path) -> None:
    record = record_of(project / "run")
    assert set(record["code"]) == {"hash", "modules"}
    assert {"changing.losses", "changing.scale", "expt.train.step"} <= set(
        record["code"]["modules"]
    )


def test_changed_code_is_refused_and_no_file_changes(
    project: Path, edit: Edit, run_here: Command
) -> None:
    run = project / "run"
    edit("scale.py", "FACTOR = 2.0\n")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = run_here("run", "loop.epochs=3", folder=project, command="resume")
    assert done.code == 2
    assert "the code has changed since run began: changing.scale. Restore it" in done.error
    assert "python -m expt.resume run --allow-code-change\n" in done.error
    assert {path: path.read_bytes() for path in before} == before


def test_changed_comments_are_ignored(project: Path, edit: Edit, run_here: Command) -> None:
    edit("scale.py", '"""Scales."""\nFACTOR = 1.0  # none\n')
    done = run_here("run", "loop.epochs=3", folder=project, command="resume")
    assert done.code == 0, done.error
    assert "code:" not in done.out
    assert "code" not in record_of(project / "run")["resumed"][0]


def test_allowed_code_change_is_recorded_and_shown(
    project: Path, edit: Edit, run_here: Command
) -> None:
    first = record_of(project / "run")
    shutil.copytree(project / "run", project / "before")
    edit("scale.py", "FACTOR = 2.0\n")
    allow = ("run", "loop.epochs=3", "--allow-code-change")
    done = run_here(*allow, folder=project, command="resume")
    assert done.code == 0, done.error
    assert "code: continuing with changed code: changing.scale.\n" in done.out
    record = record_of(project / "run")
    (entry,) = record["resumed"]
    assert entry["code"] == {"from": first["code"]["hash"], "changed": ["changing.scale"]}
    # Its hashes differ from those of runs with either version of the code throughout.
    whole = run_here(
        *QUICK, *LOSS, "loop.epochs=3", f"hydra.run.dir={project}/whole", folder=project
    )
    assert whole.code == 0, whole.error
    new = record_of(project / "whole")
    assert record["code"]["modules"] == new["code"]["modules"]
    for key in ("run_hash", "variant_hash"):
        assert len({each[key] for each in (first, record, new)}) == 3
    # The next process compares with the code that the record contains now.
    again = run_here("run", "loop.epochs=4", folder=project, command="resume")
    assert again.code == 0, again.error
    assert record_of(project / "run")["code"] == record["code"]

    shown = run_here("run", "before", folder=project, command="diff").out
    assert "changing.scale" in shown
    assert f"changed at step {entry['step']}" in shown
    table = project / "table.csv"
    compared = run_here(
        "before", "run", "whole", "--csv", str(table), folder=project, command="compare"
    )
    assert compared.code == 0, compared.error
    assert "The runs used different code: changing.scale (2 versions)." in compared.out
    with table.open(newline="") as file:
        assert len({row["code"] for row in csv.DictReader(file)}) == 3


def test_a_run_recorded_without_its_code_continues_with_a_warning(
    project: Path, run_here: Command
) -> None:
    run = project / "run"
    record = record_of(run)
    recorded = record.pop("code")
    (run / "run.json").write_text(json.dumps(record))
    for file in list(checkpoint_files(run / "checkpoints")):
        checkpoint = read_checkpoint(file)
        of_run = {k: v for k, v in checkpoint.facts["identity"].items() if k != "code"}
        old = replace(checkpoint, facts={**checkpoint.facts, "identity": of_run})
        file.unlink()
        write_checkpoint(file.parent, old, lambda: None)
    extend = ("run", "loop.epochs=3")
    done = run_here(*extend, folder=project, command="resume")
    assert done.code == 0, done.error
    assert "code: the run has no record of its code, so" in done.out
    new = record_of(run)
    (entry,) = new["resumed"]
    assert (entry["step"], entry["code"]) == (38, {"from": None, "changed": []})
    # The modules are those of today. The hash must differ: the first steps may have had others.
    assert new["code"]["modules"] == recorded["modules"]
    assert new["code"]["hash"] != recorded["hash"]


def test_a_checkpoint_of_other_code_than_the_record_names_is_refused(
    project: Path, run_here: Command
) -> None:
    run = project / "run"
    record = record_of(run)
    record["code"]["hash"] = "0" * 16
    (run / "run.json").write_text(json.dumps(record))
    done = run_here("run", "loop.epochs=3", folder=project, command="resume")
    assert done.code == 2
    assert f"in the checkpoint, {'0' * 16} here" in done.error


def test_rerun_and_evaluate_show_what_has_changed(
    project: Path, edit: Edit, run_here: Command
) -> None:
    edit("scale.py", "FACTOR = 2.0\n")
    done = run_here("run", folder=project, command="evaluate")
    assert done.code == 0, done.error
    note = "changed since the run: changing.scale; results may differ from those of the run."
    assert f"code: {note}\n" in done.out
    (file,) = (project / "run/evaluations").iterdir()
    assert json.loads(file.read_text())["code"] == note
    done = run_here("--rerun", "run", "output_dir=others", folder=project)
    assert done.code == 0, done.error
    assert "code: changed since the recorded run: changing.scale.\n" in done.out


def test_syntax_error_is_reported_with_file_and_line(
    project: Path, edit: Edit, run_here: Command
) -> None:
    edit("scale.py", "FACTOR = (\n")
    done = run_here(*QUICK, *LOSS, folder=project)
    assert done.code == 2
    assert "scale.py, line 1: '(' was never closed. The run imports" in done.error
