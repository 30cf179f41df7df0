import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.parts import schedules
from expt.parts.horizon import HeldSchedule


@pytest.mark.parametrize("make", [schedules.cosine, schedules.exponential, schedules.one_cycle])
def test_rate_is_constant_after_the_last_step(make: object) -> None:
    schedule = make(0.3, 20)  # type: ignore[operator]
    held, rates = HeldSchedule(schedule, 19), [float(schedule(step)) for step in range(20)]
    iterations = keras.Variable(0, dtype="int64", trainable=False)
    found = []
    for step in range(25):
        iterations.assign(step)
        found.append(float(held(iterations)))
    np.testing.assert_allclose(found, [*rates, *[rates[-1]] * 5], rtol=1e-6)
    assert rates[-1] > 0


def test_optimizer_can_be_rebuilt_from_its_config() -> None:
    optimizer = keras.optimizers.SGD(HeldSchedule(schedules.cosine_warmup(0.1, 20), 19))
    again = keras.optimizers.SGD.from_config(dict(optimizer.get_config()))
    assert again.get_config() == optimizer.get_config()
    for step in (0, 7, 19, 30):
        number = tf.constant(step)
        assert float(again._learning_rate(number)) == float(optimizer._learning_rate(number))
