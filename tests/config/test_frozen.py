import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from expt.config.compose import compose_jobs
from expt.config.frozen import read_frozen, with_data, with_overrides, write_frozen
from expt.config.job import Job
from expt.errors import UserError


@pytest.fixture(scope="module")
def job() -> Job:
    (composed,), _ = compose_jobs(["act=tanh", "model.units=[8]"], None, multirun=False)
    return composed


def record_of(job: Job, **more: Any) -> dict[str, Any]:
    return {"choices": job.choices, "overrides": list(job.overrides), **more}


def make_frozen(directory: Path, job: Job) -> None:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(job.config.to_mapping()))


def test_written_config_is_read_back(job: Job, tmp_path: Path) -> None:
    make_frozen(tmp_path, job)
    assert read_frozen(tmp_path, record_of(job)) == job


def test_unchanged_interpolations_are_kept(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "somewhere")
    make_frozen(tmp_path / "one", job)
    file = tmp_path / "one" / ".hydra" / "config.yaml"
    text = file.read_text().replace("name: expt", "name: ${oc.env:PLACE}")
    file.write_text(text.replace("output_dir: outputs", "output_dir: ${name}"))
    changed, _ = with_overrides(read_frozen(tmp_path / "one", record_of(job)), ["output_dir=new"])
    (tmp_path / "two").mkdir()
    write_frozen(tmp_path / "two", changed, tmp_path / "one")
    written = (tmp_path / "two" / ".hydra" / "config.yaml").read_text()
    assert "name: ${oc.env:PLACE}" in written
    assert "output_dir: new" in written
    assert read_frozen(tmp_path / "two", record_of(changed)) == changed


def test_changes_of_resumes_are_applied(job: Job, tmp_path: Path) -> None:
    make_frozen(tmp_path, job)
    resumed = [{"changes": {"loop.epochs": 40}}, {"changes": {}}, {"changes": {"loop.epochs": 60}}]
    assert read_frozen(tmp_path, record_of(job, resumed=resumed)).config.loop.epochs == 60


@pytest.mark.parametrize(
    ("recorded", "threads"),
    [
        ({"environment": {"TF_NUM_INTRAOP_THREADS": "1"}, "machine": {"cpus": 8}}, 1),
        ({"environment": {}, "machine": {"cpus": 8}}, 8),
        ({"environment": {"TF_NUM_INTRAOP_THREADS": "0"}, "machine": {"cpus": 8}}, 8),
        ({}, 2),
        ({"environment": 7, "machine": {"cpus": "many"}}, 2),
    ],
)
def test_threads_of_older_run_are_read_from_record(
    job: Job, tmp_path: Path, recorded: dict[str, Any], threads: int
) -> None:
    make_frozen(tmp_path, job)
    file = tmp_path / ".hydra" / "config.yaml"
    file.write_text(re.sub(r"\n +threads: \d+", "", file.read_text()))
    read = read_frozen(tmp_path, record_of(job, **recorded))
    assert read.config.loop == replace(job.config.loop, threads=threads)


@pytest.mark.parametrize(
    "damage",
    [
        {"choices": 7},
        {"overrides": None},
        {"resumed": [{}]},
        {"resumed": 3},
        {"resumed": [{"changes": {"nothing.there": 1}}]},
        {"resumed": [{"changes": {"seed.x": 1}}]},
    ],
)
def test_damaged_record_is_rejected(job: Job, tmp_path: Path, damage: dict[str, Any]) -> None:
    make_frozen(tmp_path, job)
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        read_frozen(tmp_path, record_of(job, **damage))


@pytest.mark.parametrize("text", ["a: [", "- 1", "7", "\x00", "a: ${nothing}", "b: ${oc.env:NONE}"])
def test_damaged_config_is_rejected(job: Job, tmp_path: Path, text: str) -> None:
    make_frozen(tmp_path, job)
    (tmp_path / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_frozen(tmp_path, record_of(job))


def test_values_and_options_are_changed(job: Job) -> None:
    changed, values = with_overrides(job, ["seed=3", "act=elu", "optimizer.learning_rate=0.5"])
    assert values == {"seed": 3, "optimizer.learning_rate": 0.5}
    assert changed.config.seed == 3
    assert changed.config.act["_target_"] == "keras.layers.ELU"
    assert changed.choices["act"] == "elu"
    assert changed.config.model == job.config.model
    assert changed.overrides == (*job.overrides, "seed=3", "act=elu", "optimizer.learning_rate=0.5")
    assert job.config.seed == 0


def test_text_outside_of_hydra_grammar_is_set_as_typed(job: Job) -> None:
    changed, values = with_overrides(job, ["name=Größe (cm)", "output_dir=~/a b", "+data.path=1e5"])
    assert values == {"name": "Größe (cm)", "output_dir": "~/a b", "data.path": "1e5"}
    assert changed.config.name == "Größe (cm)"
    again, _ = with_overrides(job, changed.overrides[len(job.overrides) :])
    assert again.config == changed.config


def test_nothing_is_changed_without_overrides(job: Job) -> None:
    changed, values = with_overrides(job, [])
    assert (changed.config, values) == (job.config, {})


def test_list_of_options_replaces_whole_group(job: Job) -> None:
    changed, _ = with_overrides(job, ["recorder=[tensorboard]", "metric=[accuracy]"])
    assert list(changed.config.recorder) == ["tensorboard"]
    assert list(changed.config.metric) == ["accuracy"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=1", "Did you mean 'learning_rate'"),
        ("lop.epochs=1", "there is no such key"),
        ("loop.epochs=many", r"loop\.epochs=many: expected a whole number"),
        ("loop.epochs=null", "expected a value"),
        ("act=none_such", "there is no such option"),
        ("seed=1,2", "KEY=VALUE with one value"),
        ("~seed", "keys can't be deleted"),
        ("nonsense", "not of the form key=value"),
        ("experiment=gan", "a preset can't be applied to a recorded config"),
        ("seed.x=1", "there is no such key"),
    ],
)
def test_invalid_overrides_are_rejected(job: Job, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_overrides(job, [override])


def test_missing_config_dir_is_rejected(job: Job) -> None:
    with pytest.raises(UserError, match="--config-dir nowhere: there is no such folder"):
        with_overrides(job, [], "nowhere")


def test_new_option_has_its_overridden_values(job: Job) -> None:
    changed, _ = with_overrides(job, ["data=npz", "data.path=mine.npz", "seed=3"])
    assert (changed.config.data["path"], changed.config.seed) == ("mine.npz", 3)


def test_with_data_changes_only_data(job: Job) -> None:
    assert with_data(job, ["data.split_seed=5"], None).config.data["split_seed"] == 5
    with pytest.raises(UserError, match="only the data of a recorded run"):
        with_data(job, ["seed=1"], None)
