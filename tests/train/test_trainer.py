from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.config.schema import Compile
from expt.parts.data.dataset import Dataset
from expt.parts.data.synthetic import Linear
from expt.parts.losses import mse
from expt.parts.metrics import mae
from expt.parts.models.dense import linear
from expt.record.recorder import Image, Record, Scalars
from expt.runs.run import Run, Status
from expt.train.compilation_rule import Compilation
from expt.train.executors import single
from expt.train.executors.block import Block, RunBlock
from expt.train.executors.divergence import NonFiniteLossError
from expt.train.executors.single import CAPACITY, SingleExecutor
from expt.train.hooks import Every, Moment
from expt.train.input.order import batch_indices
from expt.train.learners.supervised import Supervised
from expt.train.monitor import BestWeights, EarlyStopping, Monitor
from expt.train.objective import Objective, with_targets_cast
from expt.train.program import Program
from expt.train.state import Progress, State
from expt.train.timeline import Timeline
from expt.train.trainer import train
from train.train_helpers import built

STEPS_PER_EPOCH, BATCH_SIZE = 4, 5
LOSS = Monitor("val/loss")


class InMemory:
    """A recorder that keeps all records in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def open(self, run: Run) -> None:
        pass

    def write(self, record: Record) -> None:
        self.records.append(record)

    def close(self, status: Status) -> None:
        pass

    def rows(self, name: str) -> list[tuple[int, int, float]]:
        """Returns step, epoch and value of every record of a metric."""
        return [
            row
            for record in self.records
            if isinstance(record, Scalars) and name in record.values
            for row in zip(
                record.steps.tolist(),
                record.epochs.tolist(),
                record.values[name].tolist(),
                strict=True,
            )
        ]

    def steps(self, name: str) -> list[int]:
        return [step for step, _, _ in self.rows(name)]

    def image_steps(self) -> list[int]:
        return [record.step for record in self.records if isinstance(record, Image)]


class Weight:
    """A fake variable of a network, a scalar."""

    path, shape, dtype = "network/0", (), "float64"

    def __init__(self) -> None:
        self.value = tf.constant(0.0, tf.float64)

    def numpy(self) -> Any:
        return self.value.numpy()

    def assign(self, value: Any) -> None:
        self.value = tf.convert_to_tensor(value, tf.float64)


class Weights:
    """A fake network of one weight, with the members that training and `BestWeights` use."""

    def __init__(self) -> None:
        self.weights = self.variables = [Weight()]
        self.non_trainable_variables: list[Any] = []

    def get_weights(self) -> list[Any]:
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        for weight, value in zip(self.weights, weights, strict=True):
            weight.assign(value)


class Fake:
    """A fake program with a fake clock; its only weight is the number of the step."""

    def __init__(
        self, timeline: Timeline, losses: Callable[[int], float], seconds: Callable[[int], float]
    ) -> None:
        self.timeline, self.losses, self.seconds = timeline, losses, seconds
        self.now, self.step = 1000.0, 0
        self.indices: list[NDArray[np.int32]] = []
        self.evaluated: list[int] = []
        self.firsts: list[int] = []
        self.progress, self.saved = Progress(), list[int]()
        self.model, self.recorder = Weights(), InMemory()
        self.model.set_weights([np.array(0)])
        self.set_monitor(LOSS)
        self.schedules: list[Any] = []
        self.run: RunBlock = self.run_block
        self.image_every = self.save_every = Cadence(None)
        self.hooks: list[Every] = []

    def set_monitor(self, watch: Monitor, **stopping: Any) -> None:
        self.best = BestWeights([self.model], watch)
        self.stopping = EarlyStopping(watch, **stopping)

    def run_block(
        self, first: int, indices: NDArray[np.int32], due: NDArray[np.bool_] | None = None
    ) -> Block:
        del due
        assert first == self.step
        self.firsts.append(first)
        self.indices.append(indices)
        losses: list[float] = []
        # Ends at a loss that is not finite, as a compiled block does.
        while len(losses) < len(indices) and np.isfinite(losses[-1:]).all():
            self.step += 1
            self.now += self.seconds(self.step)
            losses.append(self.losses(self.step))
        self.model.set_weights([np.array(self.step)])
        loss = np.array(losses, np.float32)
        rate = np.full_like(loss, 0.125)
        return Block({"loss": loss, "grad_norm": loss * 2, "learning_rate": rate}, {})

    def evaluate(self) -> tuple[dict[str, float], NDArray[np.float32]]:
        # Long, so that a test fails if evaluations count as training time.
        self.now += 100.0
        self.evaluated.append(self.step)
        # The averages must be in place.
        assert self.model.get_weights() == [self.step + 0.5]
        loss = self.losses(self.step) if self.step else float("nan")
        return {"loss": loss, "mae": 2 * loss}, np.full((3, 1), self.step, np.float32)

    def draw(self, moment: Moment) -> None:
        assert (moment.evaluation.predictions == moment.step).all()
        pixels = np.zeros((1, 1, 3), np.uint8)
        moment.recorder.write(Image(moment.step, self.now, "val/picture", lambda: pixels))

    @contextmanager
    def averages(self, _networks: Any, _optimizers: Any) -> Iterator[None]:
        """A fake for weight averages: the trained weights plus a half."""
        trained = self.model.get_weights()
        self.model.set_weights([weights + 0.5 for weights in trained])
        yield
        self.model.set_weights(trained)

    def train(self, check_signals: Callable[[], None] = lambda: None) -> Progress:
        learner = SimpleNamespace(
            model=self.model, networks=[self.model], optimizers=[None], reported=["loss", "mae"]
        )
        program: Any = SimpleNamespace(
            timeline=self.timeline,
            monitor=self.best.monitor,
            schedules=self.schedules,
            learner=learner,
            dataset=SimpleNamespace(validation=None, test=None),
            job=SimpleNamespace(config=None),
            make_evaluate=lambda _split: lambda: self.evaluate(),
        )
        self.executor = SingleExecutor(program)
        hooks = [
            *self.hooks,
            Every(self.image_every, self.draw, at_start=True, at_end=True),
            Every(self.save_every, lambda moment: self.saved.append(moment.step)),
        ]
        train(self.executor, hooks, self.recorder, check_signals)
        return self.progress

    def block_lengths(self) -> list[int]:
        return [len(indices) for indices in self.indices]


MakeFake = Callable[..., Fake]


@pytest.fixture
def make_fake(monkeypatch: pytest.MonkeyPatch) -> MakeFake:
    def make(
        eval_every: object = "1ep",
        image_every: object = None,
        total_steps: int = 10,
        save_every: object = None,
        losses: Callable[[int], float] = lambda step: 1 / step,
        seconds: Callable[[int], float] = lambda _: 0.0625,
    ) -> Fake:
        timeline = Timeline(
            seed=3,
            total_steps=total_steps,
            steps_per_epoch=STEPS_PER_EPOCH,
            # Two examples are left over in each epoch.
            num_examples=STEPS_PER_EPOCH * BATCH_SIZE + 2,
            batch_size=BATCH_SIZE,
            eval_every=Cadence.parse(eval_every),
        )
        fake = Fake(timeline, losses, seconds)
        fake.image_every, fake.save_every = Cadence.parse(image_every), Cadence.parse(save_every)
        clock = SimpleNamespace(time=lambda: fake.now, perf_counter=lambda: fake.now)
        monkeypatch.setattr(single, "time", clock)
        monkeypatch.setattr(single, "compile_block", lambda *_: fake.run)
        monkeypatch.setattr(single, "averages_in_place", fake.averages)
        monkeypatch.setattr(
            single, "make_state", lambda _: State({}, fake.progress, fake.best, fake.stopping)
        )
        return fake

    return make


@pytest.mark.parametrize(
    ("eval_every", "image_every", "evaluations", "images"),
    [
        ("1ep", None, [4, 8, 10], []),
        (3, "2ep", [3, 6, 9, 10], [0, 8, 10]),
        (None, 5, [10], [0, 5, 10]),
        (None, None, [10], []),
        ("1ep", "1ep", [4, 8, 10], [0, 4, 8, 10]),
        (1, 1000, list(range(1, 11)), [0, 10]),
        (10, 10, [10], [0, 10]),
    ],
)
def test_hooks_and_evaluations_run_at_their_cadences(
    make_fake: MakeFake,
    eval_every: object,
    image_every: object,
    evaluations: list[int],
    images: list[int],
) -> None:
    fake = make_fake(eval_every, image_every)
    fake.train()
    assert fake.recorder.steps("val/loss") == evaluations
    assert fake.recorder.image_steps() == images
    assert fake.evaluated == sorted({*evaluations, *images})


@pytest.mark.parametrize("begun", [1, 3, 4])
def test_resumed_run_draws_no_images_before_its_first_step(make_fake: MakeFake, begun: int) -> None:
    fake = make_fake(image_every=100)
    fake.progress.step = fake.step = begun
    fake.model.set_weights([np.array(begun)])
    fake.train()
    assert fake.recorder.image_steps() == [10]


def test_evaluation_before_the_first_step_is_not_part_of_the_run(
    make_fake: MakeFake,
) -> None:
    """It may be NaN, is not recorded, and counts neither for the best step nor for patience."""
    # Rising losses: one at step 0, if it counted, would be the best.
    fake = make_fake(5, 100, total_steps=20, losses=lambda step: step + 1.0)
    fake.set_monitor(LOSS, patience=2)
    outcome = fake.train()
    assert outcome.step == 15
    assert (fake.best.step, fake.best.values["val/loss"]) == (5, 6.0)
    assert min(fake.recorder.steps("val/loss")) == 5
    assert fake.recorder.image_steps() == [0, 15]


@pytest.mark.parametrize(("save_every", "saved"), [(3, [3, 6, 9]), ("1ep", [4, 8]), (None, [])])
def test_checkpoint_is_saved_after_all_other_hooks(
    make_fake: MakeFake, save_every: object, saved: list[int]
) -> None:
    fake = make_fake(save_every=save_every, eval_every=1, image_every=1)
    fake.saved = Saved(fake)
    fake.train()
    assert fake.saved == saved


class Saved(list[int]):
    """A list of the steps of checkpoints; asserts that everything has been recorded by then."""

    def __init__(self, fake: "Fake") -> None:
        super().__init__()
        self._fake = fake

    def append(self, step: int) -> None:
        assert self._fake.recorder.steps("train/loss")[-1] == step
        assert self._fake.recorder.steps("val/loss")[-1] == step
        assert self._fake.recorder.image_steps()[-1] == step
        super().append(step)


@pytest.mark.parametrize("begun", [0, 3, 4, 9])
def test_training_starts_at_the_step_in_progress(make_fake: MakeFake, begun: int) -> None:
    fake = make_fake()
    fake.progress.step = fake.step = begun
    fake.train()
    assert fake.recorder.steps("train/loss") == list(range(begun + 1, 11))
    order = batch_indices(3, begun, 10 - begun, fake.timeline.num_examples, BATCH_SIZE)
    np.testing.assert_array_equal(np.concatenate(fake.indices), order)


@pytest.mark.parametrize("progress", [Progress(10), Progress(4, reason="enough")])
def test_finished_run_is_not_trained_further(make_fake: MakeFake, progress: Progress) -> None:
    fake = make_fake()
    fake.progress, reason = progress, progress.reason
    fake.train()
    assert fake.recorder.records == []
    assert progress.reason == reason


@pytest.mark.parametrize("seconds", [1e-6, 0.0625, 9.0])
@pytest.mark.parametrize("eval_every", [None, "1ep", 7])
def test_every_step_is_trained_and_recorded_once(
    make_fake: MakeFake, eval_every: object, seconds: float
) -> None:
    fake = make_fake(eval_every, total_steps=30, seconds=lambda _: seconds)
    fake.train()
    steps, epochs, losses = zip(*fake.recorder.rows("train/loss"), strict=True)
    assert steps == tuple(range(1, 31))
    assert epochs == tuple((step - 1) // STEPS_PER_EPOCH + 1 for step in steps)
    assert losses == pytest.approx([1 / step for step in steps])
    assert fake.recorder.steps("train/grad_norm") == list(range(1, 31))
    assert fake.recorder.steps("train/learning_rate") == list(range(1, 31))
    order = batch_indices(3, 0, 30, fake.timeline.num_examples, BATCH_SIZE)
    np.testing.assert_array_equal(np.concatenate(fake.indices), order)


def test_evaluation_has_the_epoch_of_its_step(make_fake: MakeFake) -> None:
    fake = make_fake()
    fake.train()
    steps, epochs, errors = zip(*fake.recorder.rows("val/mae"), strict=True)
    assert (steps, epochs) == ((4, 8, 10), (1, 2, 3))
    assert errors == pytest.approx([2 / 4, 2 / 8, 2 / 10])


def test_times_are_interpolated_within_a_block(make_fake: MakeFake) -> None:
    fake = make_fake(total_steps=40)
    fake.train()
    times: list[float] = []
    for record in fake.recorder.records:
        if isinstance(record, Scalars) and "train/loss" in record.values:
            assert np.diff(record.times) == pytest.approx(0.0625)
            times += record.times.tolist()
    assert times == sorted(times)
    assert times[0] == pytest.approx(1000.0625)


def test_signal_is_checked_between_blocks(make_fake: MakeFake) -> None:
    fake = make_fake()
    checks = 0

    def interrupt_the_third() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fake.train(interrupt_the_third)
    assert fake.block_lengths() == [4, 4]
    assert fake.recorder.steps("train/loss") == list(range(1, 9))
    assert fake.recorder.steps("val/loss") == [4, 8]


@pytest.mark.parametrize(
    ("seconds", "later"), [(1 / 512, 256), (0.125, 4), (0.4, 1), (5.0, 1), (1e-6, CAPACITY)]
)
def test_blocks_last_about_half_a_second(make_fake: MakeFake, seconds: float, later: int) -> None:
    fake = make_fake(eval_every=None, total_steps=3 * CAPACITY, seconds=lambda _: seconds)
    fake.train()
    lengths = fake.block_lengths()
    # The first block is short, since no speed is known; the last one is what is left.
    assert lengths[0] <= 8
    assert set(lengths[1:-1] or lengths[1:]) == {later}


def test_speed_excludes_evaluations(make_fake: MakeFake) -> None:
    fake = make_fake("1ep", total_steps=8, seconds=lambda step: 0.25 if step <= 4 else 0.125)
    fake.train()
    assert fake.recorder.rows("perf/steps_per_s") == [(4, 1, 4.0), (8, 2, 8.0)]
    assert fake.recorder.rows("perf/examples_per_s") == [(4, 1, 20.0), (8, 2, 40.0)]


def test_progress_has_the_last_values(make_fake: MakeFake) -> None:
    outcome = make_fake().train()
    assert (outcome.step, outcome.reason) == (10, None)
    assert outcome.values == pytest.approx(
        {
            "train/loss": 0.1,
            "train/grad_norm": 0.2,
            "train/learning_rate": 0.125,
            "val/loss": 0.1,
            "val/mae": 0.2,
        }
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [1, 5, 8, 10])
def test_loss_that_is_not_finite_ends_training_at_that_step(
    make_fake: MakeFake, bad: float, at: int
) -> None:
    fake = make_fake(losses=lambda step: 1 / step if step < at else bad)
    with pytest.raises(NonFiniteLossError) as caught:
        fake.train()
    epoch = (at - 1) // STEPS_PER_EPOCH + 1
    expected = f"train/loss became {bad} at step {at} (epoch {epoch}; grad_norm {2 * bad}, "
    assert expected in str(caught.value)
    assert "learning_rate 0.125)" in str(caught.value)
    assert "optimizer.learning_rate" in str(caught.value)
    rows = fake.recorder.rows("train/loss")
    assert [step for step, _, _ in rows] == list(range(1, at + 1))
    np.testing.assert_equal(rows[-1][2], bad)
    assert fake.recorder.steps("val/loss") == [step for step in (4, 8) if step < at]


@pytest.mark.parametrize(
    ("val_losses", "best_step"),
    [([3, 1, 2], 8), ([1, 2, 3], 4), ([np.nan, 2, 3], 8), ([3, 2, 1], 10), ([5, np.nan, 6], 4)],
)
def test_best_step_has_the_lowest_validation_loss(
    make_fake: MakeFake,
    monkeypatch: pytest.MonkeyPatch,
    val_losses: Sequence[float],
    best_step: int,
) -> None:
    fake = make_fake("1ep")
    by_step = dict(zip((4, 8, 10), val_losses, strict=True))
    monkeypatch.setattr(
        fake, "evaluate", lambda: ({"loss": by_step[fake.step]}, np.full((1, 1), fake.step))
    )
    fake.train()
    assert fake.best.step == best_step
    assert fake.best.values == {"val/loss": by_step[best_step]}
    # The evaluated averages are kept; training continues with the trained weights.
    assert fake.model.get_weights() == [10]
    fake.best.restore()
    assert fake.model.get_weights() == [best_step + 0.5]


def test_evaluation_for_images_does_not_count_for_the_best(make_fake: MakeFake) -> None:
    # Rising losses: the evaluations for images are better than that of the last step.
    fake = make_fake(eval_every=None, image_every=3, losses=lambda step: float(step))
    fake.train()
    assert fake.evaluated == [0, 3, 6, 9, 10]
    assert fake.best.step == 10


def falls_until(step_of_best: int) -> Callable[[int], float]:
    return lambda step: abs(step - step_of_best) + 1.0


def test_patience_ends_training_at_an_evaluation(make_fake: MakeFake) -> None:
    fake = make_fake(2, 3, total_steps=40, losses=falls_until(6))
    fake.set_monitor(LOSS, patience=3)
    outcome = fake.train()
    assert outcome.step == 12
    assert outcome.reason == "val/loss has not improved for 3 evaluations"
    assert fake.recorder.steps("train/loss") == list(range(1, 13))
    assert fake.recorder.steps("val/loss") == [2, 4, 6, 8, 10, 12]
    assert fake.best.step == 6
    assert outcome.values["val/loss"] == outcome.values["train/loss"] == 7.0
    assert fake.recorder.image_steps() == [0, 3, 6, 9, 12]


def test_other_metric_can_be_monitored_upwards(make_fake: MakeFake) -> None:
    fake = make_fake(2, None, total_steps=40, losses=lambda step: -abs(step - 6) + 9.0)
    fake.set_monitor(Monitor("val/mae", larger_is_better=True), patience=1)
    outcome = fake.train()
    assert (outcome.step, outcome.reason) == (8, "val/mae has not improved for 1 evaluations")
    assert fake.best.step == 6


@pytest.mark.parametrize("image_every", [None, 1000, 5])
def test_last_step_is_evaluated_and_drawn_after_an_early_stop(
    make_fake: MakeFake, image_every: object
) -> None:
    """Between two cadences; images are drawn unless their cadence is never."""
    fake = make_fake(None, image_every, total_steps=40, seconds=lambda _: 0.25)
    fake.set_monitor(LOSS, target_loss=0.15)
    outcome = fake.train()
    assert outcome.reason == "train/loss fell below 0.15"
    # 1 / 7 is below the target; the fake block does not end there, but at its length.
    assert 7 <= outcome.step < 12
    assert fake.recorder.steps("val/loss") == [outcome.step]
    drawn = {None: [], 1000: [0, outcome.step], 5: sorted({0, 5, outcome.step})}[image_every]  # type: ignore[index]
    assert fake.recorder.image_steps() == drawn
    assert fake.best.step == outcome.step
    assert fake.recorder.steps("train/loss") == list(range(1, outcome.step + 1))


def test_time_limit_ends_training(make_fake: MakeFake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = make_fake(None, None, total_steps=40, seconds=lambda _: 1.0)
    monkeypatch.setattr("expt.train.monitor.time.monotonic", lambda: fake.now)
    fake.set_monitor(LOSS, seconds=13.0, _started=fake.now)
    outcome = fake.train()
    assert (outcome.step, outcome.reason) == (13, "the time limit of 13 s was reached")
    assert fake.recorder.steps("val/loss") == [13]


@pytest.mark.parametrize(
    "stopping", [{"patience": 1}, {"target_loss": 0.101}, {"patience": 1, "target_loss": 0.101}]
)
def test_no_stop_reason_at_the_planned_end(make_fake: MakeFake, stopping: dict[str, Any]) -> None:
    losses: Callable[[int], float] = lambda step: 0.1 if step == 10 else 5.0  # noqa: E731
    fake = make_fake("10ep" if "target_loss" in stopping else 9, 10, losses=losses)
    fake.set_monitor(LOSS, **stopping)
    outcome = fake.train()
    assert (outcome.step, outcome.reason) == (10, None)
    assert fake.recorder.image_steps() == [0, 10]
    assert fake.recorder.steps("val/loss")[-1:] == [10]


def test_schedules_receive_the_monitored_metric(make_fake: MakeFake) -> None:
    received: list[tuple[float, bool]] = []

    class RecordingSchedule:
        variables = ()

        def consider(self, value: float, larger_is_better: bool) -> None:
            received.append((value, larger_is_better))

    fake = make_fake("1ep", 3)
    fake.set_monitor(Monitor("val/mae", larger_is_better=True))
    fake.schedules = [RecordingSchedule()]
    fake.train()
    values, directions = zip(*received, strict=True)
    assert values == pytest.approx((2 / 4, 2 / 8, 2 / 10))
    assert directions == (True, True, True)


@pytest.mark.parametrize("name", ["discriminator_loss", "loss"])
def test_each_loss_that_is_not_finite_is_named(make_fake: MakeFake, name: str) -> None:
    fake = make_fake()
    other = {"loss": "discriminator_loss", "discriminator_loss": "loss"}[name]

    def run(first: int, indices: NDArray[np.int32], due: NDArray[np.bool_] | None = None) -> Block:
        del due
        count = min(len(indices), 6 - first)
        numbers = np.arange(first + 1, first + 1 + count)
        bad = np.where(numbers == 6, np.nan, 1.0).astype(np.float32)
        fake.step, fake.now = fake.step + count, fake.now + count
        fake.model.set_weights([np.array(fake.step)])
        return Block({other: np.ones(count, np.float32), name: bad, "grad_norm": 2 * bad}, {})

    fake.run = run
    with pytest.raises(NonFiniteLossError) as caught:
        fake.train()
    assert str(caught.value).startswith(f"train/{name} became nan at step 6 (epoch 2; grad_norm")
    assert fake.recorder.steps(f"train/{name}") == [1, 2, 3, 4, 5, 6]
    assert fake.recorder.steps("val/loss") == [4]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named_if_the_loss_is_finite(
    make_fake: MakeFake, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    """This happens when an activation turns NaN into 0."""
    fake = make_fake()
    weights_of = fake.model.set_weights
    monkeypatch.setattr(
        fake.model,
        "set_weights",
        lambda weights: weights_of([bad if fake.step > 4 else weights[0]]),
    )
    monkeypatch.setattr(fake, "evaluate", lambda: ({"loss": 1.0}, np.zeros((1, 1))))
    with pytest.raises(NonFiniteLossError, match=r"network/0 .*NaN or infinite by step 8"):
        fake.train()
    assert fake.recorder.steps("val/loss") == [4]
    assert fake.best.step == 4


def test_hook_splits_blocks_without_losing_steps(make_fake: MakeFake) -> None:
    called: list[int] = []
    fake = make_fake("5ep", None, total_steps=40, seconds=lambda _: 0.03)
    fake.hooks = [Every(Cadence(3), lambda moment: called.append(moment.step))]
    fake.train()
    assert called == list(range(3, 40, 3))
    assert max(fake.block_lengths()) == 3
    assert fake.recorder.steps("train/loss") == list(range(1, 41))
    assert fake.recorder.steps("val/loss") == [20, 40]
    order = batch_indices(3, 0, 40, fake.timeline.num_examples, BATCH_SIZE)
    np.testing.assert_array_equal(np.concatenate(fake.indices), order)


@pytest.mark.parametrize("eval_every", [None, 5])
def test_step_at_which_a_hook_stops_is_evaluated_drawn_and_saved(
    make_fake: MakeFake, eval_every: object
) -> None:
    def stop(moment: Moment) -> None:
        if moment.values["train/loss"] < 0.15:
            moment.stop("low enough")
            # The first reason is kept.
            moment.stop("no second reason")

    fake = make_fake(eval_every, 100, total_steps=40, save_every=5)
    ends: list[int] = []
    fake.hooks = [
        Every(Cadence(100), lambda moment: ends.append(moment.step), at_end=True),
        Every(Cadence(5), stop),
    ]
    outcome = fake.train()
    assert (outcome.step, outcome.reason) == (10, "low enough")
    assert fake.recorder.steps("train/loss") == list(range(1, 11))
    assert fake.recorder.steps("val/loss") == ([10] if eval_every is None else [5, 10])
    assert fake.recorder.image_steps() == [0, 10]
    assert fake.saved == [5, 10]
    assert ends == [10]
    assert fake.best.step == 10


def test_stop_at_the_planned_end_has_no_effect(make_fake: MakeFake) -> None:
    fake = make_fake()
    fake.hooks = [Every(Cadence(10), lambda moment: moment.stop("too late"))]
    outcome = fake.train()
    assert (outcome.step, outcome.reason) == (10, None)


def test_hooks_share_one_evaluation_per_step(make_fake: MakeFake) -> None:
    """It is that of the run if one is due, else one that is not recorded."""
    seen: list[dict[str, float]] = []
    fake = make_fake("1ep", 6, total_steps=8)
    look = Every(Cadence(2), lambda moment: seen.append(dict(moment.evaluation.values)))
    fake.hooks = [look, look]
    fake.train()
    assert [values["val/loss"] for values in seen[::2]] == pytest.approx(
        [1 / 2, 1 / 4, 1 / 6, 1 / 8]
    )
    assert seen[::2] == seen[1::2]
    assert fake.evaluated == [0, 2, 4, 6, 8]
    assert fake.recorder.steps("val/loss") == [4, 8]


def test_hook_logs_scalars_and_images(make_fake: MakeFake) -> None:
    def log(moment: Moment) -> None:
        moment.log({"weights/norm": moment.step / 2})
        pixels = np.full((2, 3, 3), moment.step, np.uint8)
        moment.log_image("weights/all", pixels)
        # A hook may reuse its array.
        pixels[:] = 0

    fake = make_fake(None, None, total_steps=8)
    fake.hooks = [Every(Cadence.parse("1ep"), log)]
    fake.train()
    assert fake.recorder.rows("weights/norm") == [(4, 1, 2.0), (8, 2, 4.0)]
    images = [record for record in fake.recorder.records if isinstance(record, Image)]
    assert [(image.step, image.name) for image in images] == [
        (4, "weights/all"),
        (8, "weights/all"),
    ]
    assert [int(image.pixels().min()) for image in images] == [4, 8]
    # Otherwise the same hook could not log it again.
    assert "weights/norm" not in fake.progress.values


def test_value_that_is_not_yet_known_is_no_wrong_name(make_fake: MakeFake) -> None:
    fake = make_fake(None, None, total_steps=8)
    fake.hooks = [Every(Cadence(4), lambda moment: moment.values["val/mae"])]
    with pytest.raises(KeyError, match=r"^'val/mae' has no value before the first evaluation; "):
        fake.train()


@pytest.mark.parametrize(
    "name", ["norm", "/norm", "weights/", "train/loss", "val/mae", "test/loss", "perf/steps_per_s"]
)
def test_hook_can_not_log_metrics_of_the_run(make_fake: MakeFake, name: str) -> None:
    fake = make_fake()
    fake.hooks = [Every(Cadence(2), lambda moment: moment.log({name: 1.0}))]
    with pytest.raises(ValueError, match=f"'{name}'"):
        fake.train()


@pytest.mark.parametrize("pixels", [np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8)])
def test_hook_can_log_only_rgb_pixels_as_images(make_fake: MakeFake, pixels: Any) -> None:
    fake = make_fake()
    fake.hooks = [Every(Cadence(2), lambda moment: moment.log_image("weights/all", pixels))]
    with pytest.raises(ValueError, match=r"weights/all.*expected uint8"):
        fake.train()


def make_executor(settings: Mapping[str, Any], dataset: Dataset, learner: Any) -> SingleExecutor:
    """Returns an executor for a learner that is not made from a config."""
    loop = {
        "patience": None,
        "min_change": 0.0,
        "time_limit": None,
        "target_loss": None,
        **settings,
    }
    job: Any = SimpleNamespace(config=SimpleNamespace(loop=SimpleNamespace(**loop)))
    timeline = Timeline(0, 70, dataset.steps_per_epoch, 70, 10, Cadence.parse("2ep"))
    compilation = Compilation(Compile(loop["compile"]), "it is set")
    return SingleExecutor(
        Program(job, dataset, "regression", timeline, learner, LOSS, [], compilation)
    )


def make_line(mode: str, optimizer: Any) -> tuple[Any, InMemory, BestWeights]:
    """Fits a line to points; returns the model, the records, and the best weights."""
    dataset = Linear(
        weights=[1.477], bias=0.089, noise=0.01, num_examples=100, batch_size=10
    ).load()
    keras.utils.set_random_seed(0)
    model, recorder = linear((1,), 1, keras.layers.ReLU), InMemory()
    objective = Objective(
        with_targets_cast(mse), {"mae": with_targets_cast(mae)}, lambda outputs: outputs
    )
    learner = Supervised(model, objective, built(lambda: optimizer))
    executor = make_executor({"compile": mode}, dataset, learner)
    train(executor, [], recorder)
    assert executor.state.progress.values["val/loss"] == recorder.rows("val/loss")[-1][2]
    return model, recorder, executor.state.best


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_training_fits_a_line(mode: str) -> None:
    model, recorder, _ = make_line(mode, keras.optimizers.SGD(0.1))
    w, b = (weights.item() for weights in model.get_weights())
    assert (w, b) == pytest.approx((1.477, 0.089), abs=0.01)
    assert recorder.rows("val/loss")[-1][2] < 4e-4
    assert recorder.steps("train/loss") == list(range(1, 71))
    assert recorder.steps("val/mae") == [14, 28, 42, 56, 70]


class RandomInEvaluation(keras.layers.Layer):  # type: ignore[misc]
    """Adds noise also in evaluation, as a sampling layer does."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs: Any) -> Any:
        return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seeds)


def test_evaluation_for_images_does_not_change_random_layers() -> None:
    """`loop.image_every` is not part of a run's identity, so it must not change its results."""
    dataset = Linear(weights=[1.0], bias=0.0, noise=0.1, num_examples=20, batch_size=2).load()
    layer = RandomInEvaluation()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), layer])
    objective = Objective(with_targets_cast(mse), {}, lambda outputs: outputs)
    learner = Supervised(model, objective, built(lambda: keras.optimizers.SGD(0.1)))
    executor = make_executor({"compile": "graph"}, dataset, learner)
    state = layer.seeds.state.numpy()
    predictions = executor.evaluate_validation().predictions
    np.testing.assert_array_equal(layer.seeds.state.numpy(), state)
    # An evaluation of the run draws the same noise afterwards, and advances the state.
    _, recorded = learner.make_evaluate(dataset.validation, "graph")()
    np.testing.assert_array_equal(recorded, predictions)
    assert (layer.seeds.state.numpy() != state).any()


def test_weight_averages_do_not_change_training() -> None:
    plain, recorder, _ = make_line("graph", keras.optimizers.SGD(0.1))
    averaging = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.95)
    model, averaged, best = make_line("graph", averaging)
    assert averaged.rows("train/loss") == recorder.rows("train/loss")
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # The averages lag behind the weights.
    assert averaged.rows("val/loss")[0][2] > 2 * recorder.rows("val/loss")[0][2]
    best.restore()
    for found, average in zip(
        model.get_weights(), averaging._model_variables_moving_average, strict=True
    ):
        np.testing.assert_array_equal(found, average.numpy())
