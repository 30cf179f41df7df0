import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.config.compose import compose_jobs
from expt.parts.schedules import Plateau
from expt.train.backend import start_for
from expt.train.data_loading import DataLoader
from expt.train.executors import single
from expt.train.executors.divergence import NonFiniteLossError
from expt.train.executors.single import SingleExecutor
from expt.train.program import make_program

Values = dict[tuple[int, str], float]
SMALL = ("data=iris", "recorder=[]", "loop.epochs=30", "seed=3")
TIMING = ("perf/",)


def make_executor(given: Sequence[str]) -> SingleExecutor:
    (job,), _ = compose_jobs([*SMALL, *given], None, multirun=False)
    dataset = DataLoader()(job)
    start_for(job.config)
    return SingleExecutor(make_program(job, dataset))


def train_to_end(executor: SingleExecutor, until: int | None = None) -> tuple[Values, list[int]]:
    """Returns all values by step and name, and the steps at which segments ended."""
    found: Values = {}
    ends = []
    total = until or executor.program.timeline.total_steps
    progress = executor.state.progress
    while progress.step < total and progress.reason is None:
        for scalars in executor.run(total):
            for name, column in scalars.values.items():
                for step, value in zip(scalars.steps.tolist(), column.tolist(), strict=True):
                    assert (step, name) not in found
                    found[step, name] = value
        ends.append(progress.step)
    return found, ends


def without_timing(values: Values) -> Values:
    return {key: value for key, value in values.items() if not key[1].startswith(TIMING)}


def weights_of(executor: SingleExecutor) -> list[NDArray[Any]]:
    return [variable.numpy() for variable in executor.state.variables.values()]


def on_host(given: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> SingleExecutor:
    """Returns an executor that evaluates on the host."""
    with monkeypatch.context() as patch:
        patch.setattr(single, "make_validation", lambda *_: None)
        return make_executor(given)


CONFIGS: Mapping[str, Sequence[str]] = {
    "default": (),
    "patience": ("loop.patience=3", "optimizer.learning_rate=0.3"),
    "target": ("loop.target_loss=0.2",),
    "accuracy": ("loop.watch=val/accuracy",),
    "several evaluations an epoch": ("loop.eval_every=2",),
    "dropout": ("model.dropout=0.3",),
    "batch normalization": (
        *("data=digits", "model=resnet", "model.depth=8", "model.width=4"),
        *("loop.batches=3", "loop.epochs=4"),
    ),
    "reconstruction": ("data=digits", "model=autoencoder", "loss=mse", "loop.epochs=2"),
    "gan": ("data=digits", "model=gan", "loss=mse", "loop.steps=60"),
    "regression": ("data=diabetes", "loss=mse", "loop.epochs=6"),
    "half precision": ("loop.precision=mixed_float16",),
    "averages": ("optimizer.use_ema=true", "optimizer.ema_momentum=0.9"),
    "averages in half precision": (
        *("optimizer.use_ema=true", "optimizer.ema_momentum=0.9"),
        *("loop.precision=mixed_float16", "loop.epochs=6"),
    ),
    "plateau": ("schedule=plateau", "schedule.patience=1", "schedule.min_change=0.02"),
    "plateau of accuracy": ("schedule=plateau", "schedule.patience=2", "loop.watch=val/accuracy"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_evaluations_on_device_and_host_are_bitwise_equal(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = on_host(CONFIGS[name], monkeypatch)
    expected, host_ends = train_to_end(host)
    device = make_executor(CONFIGS[name])
    found, ends = train_to_end(device)
    assert without_timing(found) == without_timing(expected)
    assert len(ends) < len(host_ends)
    for one, other in zip(weights_of(device), weights_of(host), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (device.state.progress, device.state.best.step, device.state.best.values) == (
        *(host.state.progress, host.state.best.step, host.state.best.values),
    )
    for key, copy in host.state.best.arrays().items():
        np.testing.assert_array_equal(device.state.best.arrays()[key], copy)
    of_device, of_host = device.evaluate_validation(), host.evaluate_validation()
    assert of_device.values == of_host.values
    np.testing.assert_array_equal(of_device.predictions, of_host.predictions)
    speeds = [value for (_, each), value in found.items() if each == "perf/steps_per_s"]
    assert all(speed > 0 for speed in speeds)


def test_xla_agrees_with_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("loop.compile=xla", "loop.epochs=6")
    expected, _ = train_to_end(on_host(given, monkeypatch))
    found, _ = train_to_end(make_executor(given))
    assert {
        k: pytest.approx(v, rel=1e-4, abs=1e-6) for k, v in without_timing(expected).items()
    } == (without_timing(found))


class _UsersPlateau(Plateau):
    def consider(self, value: float, larger_is_better: bool) -> None:
        assert isinstance(value, float)
        super().consider(value, larger_is_better)


@pytest.mark.parametrize("given", [("loop.compile=eager",), ("schedule=plateau",)])
def test_segments_end_at_evaluations_that_need_the_host(
    given: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expt.parts.schedules.Plateau", _UsersPlateau)
    executor = make_executor((*given, "loop.epochs=4"))
    timeline = executor.program.timeline
    _, ends = train_to_end(executor)
    evaluated = [step for step in range(1, ends[-1] + 1) if timeline.evaluates_after(step)]
    assert set(evaluated) <= set(ends)


def test_weights_that_are_not_finite_end_the_segment() -> None:
    # relu turns NaN into 0, so that the loss stays finite.
    executor = make_executor(("act=relu",))
    until = 2 * executor.program.timeline.steps_per_epoch
    train_to_end(executor, until)
    best = executor.state.best.step
    kernel = executor.program.learner.networks[0].trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(NonFiniteLossError, match="have become NaN"):
        train_to_end(executor)
    assert executor.state.best.step == best
    assert all(np.isfinite(copy).all() for copy in executor.state.best.arrays().values())
    assert math.isfinite(executor.state.best.values["val/loss"])
