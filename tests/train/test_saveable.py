import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.errors import UserError
from expt.train.backend import start_for
from expt.train.data_loading import DataLoader
from expt.train.input.pipeline import first_batch
from expt.train.program import make_program
from expt.train.saveable import check_saveable

_REGISTER = "@keras.saving.register_keras_serializable()"
REFUSED = {
    "unregistered": r"the layer unregistered.* \(Unregistered\): Could not locate class",
    "forgetful": r"other outputs; the layer forgetful.* \(Forgetful\) differs.*get_config",
    "demanding": r"can't be saved: the layer demanding.* \(Demanding\): .*get_config",
    "nameless": r"the layer demanding.* \(Demanding\) holds a lambda",
    "narrowing": r"can't be loaded: the layer narrowing.* \(Narrowing\): its weights have other sh",
    "keeping": r"its weights keeping.*/shift differ",
    "with_lambda": r"the layer double \(Lambda\) holds a lambda",
    "activation": r"the layer dense.* \(Dense\): Could not locate function 'scale'",
    "nameless_activation": r"the layer dense.* \(Dense\) holds a lambda",
    "regularizer": r"can't be saved: the layer dense.* \(Dense\): .*Penalty.* get_config",
    "initializer": r"the layer dense.* \(Dense\): .*missing 1 required .*: 'value'",
    "local": r"the layer local.* \(Local\): Could not locate class 'Local'",
    "subclassed": r"can't be saved: the layer subclassed.* \(Subclassed\): .*get_config",
}


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "unsaveable")


def job_of(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


def users(model: str) -> tuple[str, ...]:
    return "model=custom", f"model._target_=unsaveable.{model}"


@pytest.mark.parametrize("model", REFUSED)
def test_layer_that_can_not_be_saved_or_loaded_is_named(model: str) -> None:
    job = job_of(*users(model))
    start_for(job.config)
    with pytest.raises(UserError, match=f"^model: .*{REFUSED[model]}") as raised:
        make_program(job, DataLoader()(job)).check()
    assert _REGISTER in str(raised.value)


def random_state() -> Any:
    """Returns the state of NumPy's global generator in a form that can be compared."""
    state: Any = np.random.get_state()
    return state[1].tolist(), state[2:]


@pytest.mark.parametrize(
    "overrides",
    [
        *(users(model) for model in ("registered", "constraint", "noisy")),
        ["act._target_=unsaveable.Scaled", "+act.factor=0.5"],
        ["data=diabetes", "loss=mse", *users("registered")],  # between layers that standardize
        ["loop.precision=mixed_float16", *users("registered")],
    ],
)
def test_model_that_can_be_saved_is_unchanged(overrides: list[str]) -> None:
    job = job_of(*overrides)
    dataset = DataLoader()(job)
    start_for(job.config)
    model = make_program(job, dataset).learner.model
    before = [variable.numpy() for variable in model.variables]
    states = random.getstate(), random_state()
    check_saveable(model, job, first_batch(dataset).inputs)
    assert states == (random.getstate(), random_state())
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_users_activation_is_checked() -> None:
    job = job_of("act._target_=unsaveable.Unregistered")
    start_for(job.config)
    with pytest.raises(UserError, match=r"the layer .* \(Unregistered\): Could not locate class"):
        make_program(job, DataLoader()(job)).check()


def test_generator_is_checked_with_noise() -> None:
    job = job_of("model=gan", "loss=binary_crossentropy", "act._target_=unsaveable.Forgetful")
    start_for(job.config)
    with pytest.raises(UserError, match=r"the layer .* \(Forgetful\) differs"):
        make_program(job_of(*job.overrides, "+act.factor=5"), DataLoader()(job)).check()


def test_layer_of_a_package_that_is_not_allowed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = job_of(*users("registered"))
    dataset = DataLoader()(job)
    start_for(job.config)
    model = make_program(job, dataset).learner.model
    monkeypatch.setattr("expt.config.saved_layers._is_allowed", lambda _target: False)
    with pytest.raises(UserError, match=r"names unsaveable.Scaled, which is not allowed.*EXPT_AL"):
        check_saveable(model, job, first_batch(dataset).inputs)


def test_models_of_expt_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract tests save them, and saving large ones takes seconds."""
    job = job_of("model=cnn", "act=prelu")
    dataset = DataLoader()(job)
    start_for(job.config)
    model = make_program(job, dataset).learner.model
    monkeypatch.delattr("expt.train.saveable.load_model")
    check_saveable(model, job, first_batch(dataset).inputs)


def test_run_with_an_unsaveable_model_leaves_no_files(
    run_here: Callable[..., Any], tmp_path: Path
) -> None:
    done = run_here(*users("with_lambda"), folder=tmp_path)
    assert done.code == 2
    assert done.error.startswith("error: model: once saved, it can't be loaded: the layer double")
    assert not list(tmp_path.rglob("run.json"))
