import copy
from pathlib import Path
from typing import Any

import pytest

from expt.config.checks import check, check_monitored_metric, check_task
from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.config.schema import Config
from expt.errors import UserError

DEFAULT = compose_jobs([], None, multirun=False)[0][0]
DELETED = object()


def job_with(**values: object) -> Job:
    """Returns the default job with other values; `loop__steps=3` sets `loop.steps`."""
    config = copy.deepcopy(DEFAULT.config.to_mapping())
    for key, value in values.items():
        *path, last = key.split("__")
        node: Any = config
        for name in path:
            node = node[name]
        if value is DELETED:
            del node[last]
        else:
            node[last] = value
    return Job(Config.from_mapping(config), DEFAULT.choices, ())


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model=linear", "data=linear", "loss=mse"],
        ["model=cnn", "recorder=[]", "metric=[]"],
    ],
)
def test_valid_options_pass(overrides: list[str]) -> None:
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    check(job)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("seed", [0, 2**32 - 1]),
        ("loop__epochs", [1]),
        ("loop__steps", [None, 1]),
        ("loop__eval_every", [None, 1, 500, "7", "1ep", "20ep"]),
        ("loop__image_every", [None, 1, 500, "7", "1ep", "20ep"]),
        ("loop__batches", [None, 1]),
        ("loop__patience", [None, 1, 30]),
        ("loop__min_change", [0, 0.0, 1e-4, 3]),
        ("loop__time_limit", [None, 90, 1.5, "90", "90s", "10min", "2h"]),
        ("loop__target_loss", [None, 0.5, 3]),
        ("loop__profile", [None, 1, 50]),
        ("optimizer__learning_rate", [1e-9, 0.1, 1, 50]),
        ("optimizer__clipnorm", [None, 1, 0.5, DELETED]),
        ("model__dropout", [0, 0.0, 0.999, DELETED]),
        ("model__units", [[], [1], [3, 4, 5], DELETED]),
        ("data__batch_size", [1, 10_000]),
    ],
)
def test_valid_values_pass(key: str, values: list[object]) -> None:
    for value in values:
        check(job_with(**{key: value}))


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("seed", [-1], r"seed=-1.*at least 0"),
        ("loop__epochs", [0, -3], r"loop\.epochs=.*at least 1"),
        ("loop__steps", [0, -1], r"loop\.steps=.*at least 1"),
        *(
            (
                f"loop__{key}",
                ["5min", "0", 0, "-1", -1, 1.5, True, "0ep", "ep", "1 ep", "1ep ", [1], ""],
                rf"loop\.{key}: .*is not a cadence.*500.*1ep.*null",
            )
            for key in ("eval_every", "image_every")
        ),
        *(
            (f"loop__{key}", [0, -1, 1.5, True, "3"], rf"loop\.{key}=.*at least 1")
            for key in ("batches", "patience", "profile")
        ),
        (
            "loop__min_change",
            [-1, -1e-9, float("nan"), float("inf")],
            r"loop\.min_change=.*at least 0",
        ),
        (
            "loop__target_loss",
            [float("nan"), float("inf")],
            r"loop\.target_loss=.*number",
        ),
        (
            "loop__time_limit",
            [0, -5, "5m", "0s", "", True, [1], float("nan"), float("inf")],
            r"loop\.time_limit: .*is not a duration.*90s, 10min, 2h",
        ),
        *(
            (f"optimizer__{key}", [0, -1.0, "1", True], rf"optimizer\.{key}=.*positive number")
            for key in ("clipnorm", "global_clipnorm", "clipvalue")
        ),
        (
            "optimizer__learning_rate",
            [0, 0.0, -0.1, float("nan"), float("inf"), "fast", True, None, [0.1]],
            r"optimizer\.learning_rate=.*positive number",
        ),
        (
            "model__dropout",
            [1.0, 1, 1.5, -0.1, float("nan"), "half", True, None],
            r"model\.dropout=.*of at least 0 and below 1",
        ),
        (
            "model__units",
            ["wide", 128, [-1], [0], [8, 1.5], [True], ["a"], None],
            r"model\.units=.*\[128, 128\]",
        ),
        (
            "data__batch_size",
            [0, -8, 1.5, "many", True, None],
            r"data\.batch_size=.*at least 1",
        ),
        ("metric__accuracy", [None], r"metric\.accuracy=null: expected one of the group's"),
        ("data__batch_size", [None], r"data\.batch_size=null: expected a whole number"),
        ("recorder__mlflow", [3, {}], r"recorder\.mlflow=.*mlflow.*tensorboard"),
        ("metric__mine", ["mae", None], r"metric\.mine=.*accuracy.*mae.*rmse"),
        ("act", [None, "relu", {}], r"act=.*gelu.*relu"),
        ("model___step_", ["os.system"], r"model\._step_\._target_=os\.system: not allowed"),
        ("model___step_", ["expt.train.trainer.train"], r"model\._step_.*not allowed"),
        ("act___target_", ["os.system"], r"act\._target_=os\.system: not allowed"),
        ("metric__mine", [{"_target_": "os.getcwd"}], r"metric\.mine\._target_=os\.getcwd: not"),
        ("model__units", [[{"_target_": "os.getcwd"}]], r"model\.units\.0\._target_=os\.getcwd"),
    ],
)
def test_error_names_invalid_value(key: str, values: list[object], message: str) -> None:
    for value in values:
        with pytest.raises(UserError, match=message):
            check(job_with(**{key: value}))


def test_seed_is_limited_to_32_bits() -> None:
    with pytest.raises(UserError, match="seed=4294967296"):
        check(job_with(seed=2**32))


@pytest.mark.parametrize("key", ["seed", "output_dir", "optimizer__learning_rate"])
def test_error_names_missing_required_key(key: str) -> None:
    """`~seed` would delete the key."""
    with pytest.raises(UserError, match=key.rpartition("__")[2]):
        check(job_with(**{key: DELETED}))


def test_path_in_home_of_unknown_user_is_rejected() -> None:
    check(job_with(data__path="~/data/mnist", data__data_dir="~"))
    for key in ("data.path", "data.data_dir", "output_dir"):
        with pytest.raises(UserError, match=f"{key}=~nobody-here/x: there is no user"):
            check(job_with(**{key.replace(".", "__"): "~nobody-here/x"}))


def test_file_as_output_dir_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for output_dir in (file, file / "deeper" / "still"):
        with pytest.raises(UserError, match=r"output_dir=.*file is a file"):
            check(job_with(output_dir=str(output_dir)))
    check(job_with(output_dir=str(tmp_path / "new" / "folders")))
    assert not (tmp_path / "new").exists()


def test_error_lists_losses_that_support_task() -> None:
    (job,), _ = compose_jobs(["data=diabetes"], None, multirun=False)
    with pytest.raises(UserError, match=r"loss=crossentropy.*regression.*data=diabetes.*mse"):
        check_task(job, "regression")
    check_task(DEFAULT, "classification")
    check_task(job_with(loss___tasks_=["regression"]), "regression")


def test_every_probe_supports_task() -> None:
    overrides = ["model=gan", "loss=binary_crossentropy", "probe=[weights,curvature]"]
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    expected = (
        r"probe=\[curvature\] .* generation, .* model=gan\. "
        r"Probes .*: activations, gradients, .*, weights\."
    )
    with pytest.raises(UserError, match=expected):
        check_task(job, "classification")
    (job,), _ = compose_jobs(["probe=[curvature]"], None, multirun=False)
    check_task(job, "classification")


def test_at_least_one_typed_metric_supports_task() -> None:
    def job(*overrides: str) -> Job:
        (job,), _ = compose_jobs(list(overrides), None, multirun=False)
        return job

    with pytest.raises(UserError, match=r"metric=\[rmse\]: .*classification.*accuracy"):
        check_task(job("metric=[rmse]"), "classification")
    check_task(job("metric=[rmse,accuracy]"), "classification")
    check_task(job("metric=[]"), "classification")


@pytest.mark.parametrize(
    "override",
    [
        "loop.batches=x",
        "loop.batches=0",
        "loop.precision=float64",
        "loop.precision=null",
        "loop.direction=up",
        "loop.watch=loss",
        "loop.watch=''",
        "loop.watch=[val/loss]",
        "loop.patience=0",
        "loop.patience=soon",
        "loop.patience=1.5",
        "loop.min_change=-1",
        "loop.min_change=null",
        "loop.time_limit=5m",
        "loop.time_limit=-5",
        "loop.target_loss=low",
        "loop.target_loss=nan",
        "loop.profile=0",
        "loop.profile=all",
    ],
)
def test_error_names_key_of_any_invalid_value(override: str) -> None:
    def compose_and_check() -> None:
        (job,), _ = compose_jobs([override], None, multirun=False)
        check(job)
        check_task(job, "classification")

    with pytest.raises(UserError, match=override.partition("=")[0].replace(".", r"\.")):
        compose_and_check()


def test_monitored_metric_must_be_reported() -> None:
    check_monitored_metric(DEFAULT, ["loss"])
    check_monitored_metric(job_with(loop__watch="val/distance"), ["loss", "distance"])
    with pytest.raises(UserError, match=r"watch=val/distanc:.*'val/distance'.*val/loss"):
        check_monitored_metric(job_with(loop__watch="val/distanc"), ["loss", "distance"])


def test_target_loss_can_be_negative() -> None:
    """The Poisson loss can be negative."""
    (job,), _ = compose_jobs(
        ["data=diabetes", "loss=poisson", "loop.target_loss=-300"], None, multirun=False
    )
    check(job)


@pytest.mark.parametrize("name", ["loss", "grad_norm", "learning_rate"])
def test_metric_name_of_logged_value_is_rejected(name: str) -> None:
    """The metric would replace the loss, by which the best model is chosen."""
    metric = {"_target_": "expt.parts.metrics.accuracy"}
    with pytest.raises(UserError, match=rf"metric\.{name}"):
        check(job_with(**{f"metric__{name}": metric}))


@pytest.mark.parametrize("value", ["two", "2.5", "1", "-2", "true"])
def test_invalid_accumulation_is_rejected(value: str) -> None:
    overrides = [f"optimizer.gradient_accumulation_steps={value}"]
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    with pytest.raises(UserError, match=r"^optimizer\.gradient_accumulation_steps="):
        check(job)


@pytest.mark.parametrize("name", ["", " ", "\n"])
def test_empty_name_or_folder_is_rejected(name: str) -> None:
    with pytest.raises(UserError, match=r"^name=\s*: expected the name of an MLflow experiment"):
        check(job_with(name=name))
    with pytest.raises(UserError, match=r"^output_dir=\s*: expected a path"):
        check(job_with(output_dir=name))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=resnet", "model.depth=21"], r"model\.depth=21: .* 6n \+ 2 layers; valid: 8, 14,"),
        (["model=resnet", "model.width=0"], r"model\.width=0: expected a whole number of at"),
        (["model=vit", "model.heads=5"], r"model\.heads=5: does not divide model\.width=64"),
        (["model=cnn", "model.filters=[0]"], r"model\.filters=\[0\]: expected a list of whole"),
        (["model=cnn", "model.normalization=layer"], r"model\.normalization=layer: Valid: batch"),
        (["model=mlp", "model.residual=no"], r"model\.residual=no: expected true or false"),
        (["model=mlp", "model.l2=-1"], r"model\.l2=-1: expected a number of at least 0"),
        (["model=autoencoder", "model.latent=0"], r"model\.latent=0: expected a whole number"),
        (["model=gan", "model.latent_size=x"], r"model\.latent_size=x: expected a whole number"),
    ],
)
def test_model_arguments_are_checked_before_model_is_built(
    overrides: list[str], message: str
) -> None:
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    with pytest.raises(UserError, match=message):
        check(job)
