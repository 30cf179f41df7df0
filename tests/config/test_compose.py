from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from expt.config.compose import Composition, compose_jobs, is_multirun
from expt.config.hydra_setup import prepare_hydra
from expt.config.job import Job
from expt.errors import UserError


def compose_one(*overrides: str, config_dir: Path | None = None) -> Job:
    folder = None if config_dir is None else str(config_dir)
    (job,), _ = compose_jobs(list(overrides), folder, multirun=False)
    return job


def expand(*overrides: str) -> list[tuple[str, ...]]:
    jobs, hydra = compose_jobs(list(overrides), None, multirun=True)
    assert is_multirun(hydra)
    return [job.overrides for job in jobs]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("act=rellu", ["act=rellu", "mean 'relu'?", "hard_swish, leaky_relu", "tanh"]),
        ("data=nope", ["data=nope", "fashion_mnist, image_folder, iris, linear, mnist"]),
        ("loop=fast", ["loop=fast", "default"]),
        ("metric=[accurracy]", ["accurracy", "'accuracy'"]),
        (
            "optimizer.lr=1",
            ["optimizer.lr", "mean 'learning_rate'?", "amsgrad, beta_1, beta_2, clipnorm"],
        ),
        ("model.unit=[3]", ["model.unit", "mean 'units'?", "dropout"]),
        ("sede=1", ["sede", "mean 'seed'?", "act, data, doctor, hook, launcher, loop"]),
        ("acct=relu", ["acct", "mean 'act'?"]),
        ("loop.epoch=3", ["loop.epoch", "mean 'epochs'?", "compile", "eval_every", "steps"]),
        ("loop.epochs=abc", ["loop.epochs", "abc"]),
        ("loop.steps=1.5", ["loop.steps", "1.5"]),
        ("seed=true", ["seed", "True"]),
        ("loop.compile=grap", ["loop.compile", "grap", "graph", "xla", "eager"]),
        ("seed=null", ["seed"]),
        ("seed=???", ["seed"]),
        ("act=null", ["act"]),
        ("name=${nope}", ["name", "nope"]),
        ("act=[relu", ["act=[relu", "key=value"]),
        ("act", ["'act'", "key=value"]),
        ("~act", ["act"]),
        ("act=relu,tanh", ["act=relu,tanh", "with -m"]),
    ],
)
def test_error_names_mistake_and_valid_names(override: str, message: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        compose_one(override)
    assert [text for text in message if text not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize("multirun", [False, True])
def test_error_names_missing_config_dir(tmp_path: Path, multirun: bool) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(UserError, match=r"--config-dir .*nowhere"):
        compose_jobs([], str(missing), multirun)


def test_error_names_mistake_in_one_job_of_sweep() -> None:
    with pytest.raises(UserError, match=r"act=rellu.*'relu'"):
        expand("seed=0,1", "act=relu,rellu")
    with pytest.raises(UserError, match=r"seed.*abc"):
        expand("seed=0,abc")


@pytest.mark.parametrize(
    ("overrides", "expanded"),
    [
        ([], [()]),
        (["seed=3"], [("seed=3",)]),
        (
            ["act=tanh,relu", "name=x", "seed=1,0"],
            [
                ("act=tanh", "name=x", "seed=1"),
                ("act=tanh", "name=x", "seed=0"),
                ("act=relu", "name=x", "seed=1"),
                ("act=relu", "name=x", "seed=0"),
            ],
        ),
        (["seed=range(0,3)"], [("seed=0",), ("seed=1",), ("seed=2",)]),
        (
            ["act=glob(s*,exclude=soft*)"],
            [("act=selu",), ("act=sigmoid",), ("act=silu",), ("act=swish",)],
        ),
        (["model.units=[1],[2,3]"], [("model.units=[1]",), ("model.units=[2,3]",)]),
    ],
)
def test_sweep_expands_in_order_of_hydra(
    overrides: list[str], expanded: list[tuple[str, ...]]
) -> None:
    assert expand(*overrides) == expanded


def test_each_job_of_sweep_has_its_values() -> None:
    jobs, _ = compose_jobs(["act=relu,tanh", "seed=0,1"], None, multirun=True)
    composed = [(job.choices["act"], job.config.seed) for job in jobs]
    assert composed == [("relu", 0), ("relu", 1), ("tanh", 0), ("tanh", 1)]
    assert jobs[2].config.act["activation"] == "tanh"


def test_preset_can_start_sweep(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "seeds.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {seed: '4,5'}\n"
    )
    jobs, hydra = compose_jobs(["experiment=seeds"], str(tmp_path), multirun=False)
    assert is_multirun(hydra)
    assert [job.config.seed for job in jobs] == [4, 5]


def test_swept_values_of_preset_can_be_any_text(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "names.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params: {name: 'Größe (cm),1e5'}\n",
        encoding="utf-8",
    )
    jobs, _ = compose_jobs(["experiment=names"], str(tmp_path), multirun=True)
    assert [job.config.name for job in jobs] == ["Größe (cm)", "1e5"]


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my conf" / "act").mkdir(parents=True)
    (tmp_path / "my conf" / "act" / "größe.yaml").write_text(
        "_target_: keras.layers.Activation\nactivation: silu\n"
    )
    job = compose_one("act=größe", "output_dir=~/a b", config_dir=Path("~/my conf"))
    assert job.config.act["activation"] == "silu"
    assert (job.output_dir, job.config.output_dir) == (tmp_path / "a b", "~/a b")


def test_job_directories_have_no_quotes() -> None:
    _, second = Composition(["name=a,Größe (cm)"], None, multirun=True).jobs()
    assert second.subdirectory == "1_name=Größe__cm_"


def test_single_run_is_not_sweep() -> None:
    assert not is_multirun(compose_jobs([], None, multirun=False)[1])


@pytest.mark.parametrize("folder", ["my conf", "it's", "a,b=[c]"])
def test_config_dir_adds_options(tmp_path: Path, folder: str) -> None:
    own = tmp_path / folder
    (own / "act").mkdir(parents=True)
    (own / "act" / "my_act.yaml").write_text(
        "_target_: keras.layers.Activation\nactivation: silu\n"
    )
    job = compose_one("act=my_act", config_dir=own)
    assert job.config.act["activation"] == "silu"
    with pytest.raises(UserError, match=r"Did you mean 'my_act'\?.*my_act.*relu"):
        compose_one("act=my_akt", config_dir=own)


def test_option_of_user_replaces_option_of_same_name(tmp_path: Path) -> None:
    for group, option, text in (
        ("optimizer", "adam", "_target_: keras.optimizers.Adam\nlearning_rate: 0.5\n"),
        ("experiment", "mine", "# @package _global_\ndefaults: [{override /loss: mae}]\n"),
        ("loss", "mae", "_target_: expt.parts.losses.mse\n"),
    ):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{option}.yaml").write_text(text)
    job = compose_one("optimizer=adam", "experiment=mine", config_dir=tmp_path)
    assert job.config.optimizer == {
        "_target_": "keras.optimizers.Adam",
        "learning_rate": 0.5,
    }
    assert job.config.loss["_target_"] == "expt.parts.losses.mse"
    jobs, _ = compose_jobs(["optimizer=sgd,adam"], str(tmp_path), multirun=True)
    assert [job.config.optimizer["learning_rate"] for job in jobs] == [0.1, 0.5]
    assert compose_one("optimizer=adam").config.optimizer["learning_rate"] == 0.001


def test_config_dir_cannot_replace_primary_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 7\n")
    with pytest.raises(UserError, match=r"the folder has a config.yaml.*experiment/NAME.yaml"):
        compose_one(config_dir=tmp_path)


def test_options_of_user_need_config_dir() -> None:
    with pytest.raises(UserError, match="act=my_act"):
        compose_one("act=my_act")


def test_choices_are_chosen_options() -> None:
    job = compose_one("act=tanh", "loss=mse", "seed=3", "metric=[mae]")
    assert job.choices == {
        "data": "digits",
        "model": "mlp",
        "act": "tanh",
        "loss": "mse",
        "optimizer": "adam",
        "schedule": "constant",
        "loop": "default",
    }
    assert job.overrides == ("act=tanh", "loss=mse", "seed=3", "metric=[mae]")


def test_defaults_are_as_documented() -> None:
    config = compose_one().config
    assert (config.name, config.seed, config.output_dir) == ("expt", 0, "outputs")
    assert config.model["_target_"] == "expt.parts.models.dense.mlp"
    assert (config.model["units"], config.model["dropout"]) == ([128, 128], 0.0)
    loop = config.loop
    assert (loop.epochs, loop.steps, loop.compile) == (30, None, "auto")
    assert set(config.metric) == {"accuracy", "mae", "rmse"}
    assert set(config.recorder) == {"tensorboard", "mlflow"}


def test_job_has_plain_resolved_values() -> None:
    job = compose_one("name=seed-${seed}", "seed=7", "loop.compile=xla")
    assert job.config.name == "seed-7"
    assert job.config.loop.compile == "xla"
    values = job.config.to_mapping()
    assert type(values["loop"]["compile"]) is str
    assert all(type(node) in (dict, str, int, bool) for node in values.values())
    assert all(type(node) is dict for node in job.config.metric.values())
    assert "hydra" not in values
    for frozen, name in ((job, "config"), (job.config, "seed"), (job.config.loop, "epochs")):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, name, 3)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("act=relu,seed=0", "act=relu,seed=0"),
        ("model.units=[1,2]", "model.units=_1,2_"),
        ("data.path=/a b/c", "data.path=_a_b_c"),
        ("x" * 300, "x" * 100),
        ("价" * 300, "价" * 66),  # 200 bytes
    ],
)
def test_file_names_of_overrides_are_short(text: str, name: str) -> None:
    prepare_hydra(None)
    assert OmegaConf.create({"text": text, "name": "${expt_file_name:${text}}"}).name == name


@pytest.mark.parametrize(
    "text",
    [
        "handlers:\n  x:\n    (): os.system\n",
        "_target_: os.system\n",
    ],
)
def test_config_cannot_make_hydra_call_anything(text: str, tmp_path: Path) -> None:
    (tmp_path / "hydra/job_logging").mkdir(parents=True)
    (tmp_path / "hydra/job_logging/evil.yaml").write_text(f"# @package hydra.job_logging\n{text}")
    for multirun in (False, True):
        with pytest.raises(UserError, match="not allowed"):
            compose_jobs(["hydra/job_logging=evil"], str(tmp_path), multirun=multirun)
