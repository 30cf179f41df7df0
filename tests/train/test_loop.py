from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from expt.parts.data.synthetic import Linear
from expt.parts.losses import mse
from expt.parts.metrics import mae
from expt.parts.models.dense import linear
from expt.record.recorder import Image, Record, Scalars
from expt.record.run import Run, Status
from expt.train import loop
from expt.train.block import make_run_block
from expt.train.cadence import Cadence
from expt.train.evaluate import make_evaluate
from expt.train.loop import CAPACITY, NonFiniteLossError, train
from expt.train.order import batch_indices
from expt.train.plan import Plan
from expt.train.state import Best
from expt.train.step import make_train_step

STEPS_PER_EPOCH, BATCH_SIZE = 4, 5


class InMemory:
    """Keeps all that it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def open(self, run: Run) -> None:
        pass

    def write(self, record: Record) -> None:
        self.records.append(record)

    def close(self, status: Status) -> None:
        pass

    def rows(self, name: str) -> list[tuple[int, int, float]]:
        """Step, epoch and value of every record that has this metric."""
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


class Weights:
    """All that `Best` asks of a model."""

    def __init__(self) -> None:
        self._weights: list[Any] = []

    def get_weights(self) -> list[Any]:
        return [weights.copy() for weights in self._weights]

    def set_weights(self, weights: list[Any]) -> None:
        self._weights = weights


class Fake:
    """Trains and evaluates nothing, on a clock of its own; the weights are the step's number."""

    def __init__(
        self, plan: Plan, losses: Callable[[int], float], seconds: Callable[[int], float]
    ) -> None:
        self.plan, self.losses, self.seconds = plan, losses, seconds
        self.now, self.step = 1000.0, 0
        self.indices: list[NDArray[np.int32]] = []
        self.evaluated: list[int] = []
        self.model = Weights()
        self.best = Best(self.model)
        self.recorder = InMemory()

    def run_block(self, indices: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        self.indices.append(indices)
        losses: list[float] = []
        while len(losses) < len(indices) and np.isfinite(losses[-1:]).all():
            self.step += 1
            self.now += self.seconds(self.step)
            losses.append(self.losses(self.step))
        self.model.set_weights([np.array(self.step)])
        loss = np.array(losses, np.float32)
        return {"loss": loss, "grad_norm": loss * 2, "learning_rate": np.full_like(loss, 0.125)}

    def evaluate(self) -> tuple[dict[str, float], NDArray[np.float32]]:
        self.now += 100.0
        self.evaluated.append(self.step)
        loss = self.losses(self.step)
        return {"loss": loss, "mae": 2 * loss}, np.full((3, 1), self.step, np.float32)

    def draw(self, step: int, outputs: NDArray[np.float32]) -> Iterator[Image]:
        assert (outputs == step).all()
        yield Image(step, self.now, "val/picture", lambda: np.zeros((1, 1, 3), np.uint8))

    def train(self, check_signals: Callable[[], None] = lambda: None) -> dict[str, float]:
        return train(
            self.plan,
            self.run_block,
            self.evaluate,
            self.best,
            self.recorder,
            self.draw,
            check_signals,
        )

    def block_lengths(self) -> list[int]:
        return [len(indices) for indices in self.indices]


MakeFake = Callable[..., Fake]


@pytest.fixture
def make_fake(monkeypatch: pytest.MonkeyPatch) -> MakeFake:
    def make(
        eval_every: object = "1ep",
        image_every: object = None,
        total_steps: int = 10,
        losses: Callable[[int], float] = lambda step: 1 / step,
        seconds: Callable[[int], float] = lambda _: 0.0625,
    ) -> Fake:
        plan = Plan(
            seed=3,
            total_steps=total_steps,
            steps_per_epoch=STEPS_PER_EPOCH,
            num_examples=STEPS_PER_EPOCH * BATCH_SIZE + 2,
            batch_size=BATCH_SIZE,
            eval_every=Cadence.parse(eval_every),
            image_every=Cadence.parse(image_every),
        )
        fake = Fake(plan, losses, seconds)
        clock = SimpleNamespace(time=lambda: fake.now, perf_counter=lambda: fake.now)
        monkeypatch.setattr(loop, "time", clock)
        return fake

    return make


@pytest.mark.parametrize(
    ("eval_every", "image_every", "evaluations", "images"),
    [
        ("1ep", None, [4, 8, 10], []),
        (3, "2ep", [3, 6, 9, 10], [8, 10]),
        (None, 5, [10], [5, 10]),
        (None, None, [10], []),
        ("1ep", "1ep", [4, 8, 10], [4, 8, 10]),
        (1, 1000, list(range(1, 11)), [10]),
        (10, 10, [10], [10]),
    ],
)
def test_cadences_are_kept(
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


@pytest.mark.parametrize("seconds", [1e-6, 0.0625, 9.0])
@pytest.mark.parametrize("eval_every", [None, "1ep", 7])
def test_every_step_is_taken_and_recorded_once(
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
    order = batch_indices(3, 0, 30, fake.plan.num_examples, BATCH_SIZE)
    np.testing.assert_array_equal(np.concatenate(fake.indices), order)


def test_an_evaluation_has_its_steps_epoch(make_fake: MakeFake) -> None:
    fake = make_fake()
    fake.train()
    steps, epochs, errors = zip(*fake.recorder.rows("val/mae"), strict=True)
    assert (steps, epochs) == ((4, 8, 10), (1, 2, 3))
    assert errors == pytest.approx([2 / 4, 2 / 8, 2 / 10])


def test_times_are_spread_over_a_block(make_fake: MakeFake) -> None:
    fake = make_fake(total_steps=40)
    fake.train()
    times: list[float] = []
    for record in fake.recorder.records:
        if isinstance(record, Scalars) and "train/loss" in record.values:
            assert np.diff(record.times) == pytest.approx(0.0625)
            times += record.times.tolist()
    assert times == sorted(times)
    assert times[0] == pytest.approx(1000.0625)


def test_a_signal_is_heeded_between_blocks(make_fake: MakeFake) -> None:
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
    fake = make_fake(eval_every=None, total_steps=1600, seconds=lambda _: seconds)
    fake.train()
    lengths = fake.block_lengths()
    assert lengths[0] <= 8
    assert set(lengths[1:-1] or lengths[1:]) == {later}


def test_the_speed_is_that_since_the_last_evaluation_and_without_it(make_fake: MakeFake) -> None:
    fake = make_fake("1ep", total_steps=8, seconds=lambda step: 0.25 if step <= 4 else 0.125)
    fake.train()
    assert fake.recorder.rows("perf/steps_per_s") == [(4, 1, 4.0), (8, 2, 8.0)]
    assert fake.recorder.rows("perf/examples_per_s") == [(4, 1, 20.0), (8, 2, 40.0)]


def test_the_last_values_come_back(make_fake: MakeFake) -> None:
    last = make_fake().train()
    assert last == pytest.approx(
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
def test_a_loss_that_is_not_finite_stops_it_at_that_step(
    make_fake: MakeFake, bad: float, at: int
) -> None:
    fake = make_fake(losses=lambda step: 1 / step if step < at else bad)
    with pytest.raises(NonFiniteLossError) as caught:
        fake.train()
    epoch = (at - 1) // STEPS_PER_EPOCH + 1
    told = f"became {bad} at step {at} (epoch {epoch}; gradient norm {2 * bad}, learning rate 0.125"
    assert told in str(caught.value)
    assert "optimizer.learning_rate" in str(caught.value)
    rows = fake.recorder.rows("train/loss")
    assert [step for step, _, _ in rows] == list(range(1, at + 1))
    np.testing.assert_equal(rows[-1][2], bad)
    assert fake.recorder.steps("val/loss") == [step for step in (4, 8) if step < at]


@pytest.mark.parametrize(
    ("val_losses", "best_step"),
    [([3, 1, 2], 8), ([1, 2, 3], 4), ([np.nan, 2, 3], 8), ([3, 2, 1], 10), ([5, np.nan, 6], 4)],
)
def test_best_is_the_lowest_validation_loss(
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
    fake.best.restore()
    assert fake.model.get_weights() == [best_step]


def test_an_evaluation_for_images_alone_is_no_candidate(make_fake: MakeFake) -> None:
    fake = make_fake(eval_every=None, image_every=3, losses=lambda step: float(step))
    fake.train()
    assert fake.evaluated == [3, 6, 9, 10]
    assert fake.best.step == 10


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_it_finds_the_line_that_the_points_are_on(mode: str) -> None:
    dataset = Linear(
        weights=[1.477], bias=0.089, noise=0.01, num_examples=100, batch_size=10
    ).load()
    model = linear((1,), 1, keras.layers.ReLU)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, mse, optimizer, {"mae": mae})
    plan = Plan(0, 70, 7, 70, 10, Cadence.parse("2ep"), Cadence.parse(None))
    recorder, best = InMemory(), Best(model)
    last = train(
        plan,
        make_run_block(step, dataset.train, 10, CAPACITY, mode),
        make_evaluate(model, mse, {"mae": mae}, dataset.validation, mode),
        best,
        recorder,
        lambda _step, _outputs: [],
        lambda: None,
    )
    w, b = (weights.item() for weights in model.get_weights())
    assert (w, b) == pytest.approx((1.477, 0.089), abs=0.01)
    assert last["val/loss"] < 4e-4
    assert recorder.steps("train/loss") == list(range(1, 71))
    assert recorder.steps("val/mae") == [14, 28, 42, 56, 70]
