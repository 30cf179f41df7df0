import numpy as np
import pytest

from expt.config.options import compose_options
from expt.derivatives.descent import NUM_STEPS, best_paths, trace_paths
from expt.derivatives.problems import PROBLEMS, QUADRATIC_CURVATURES

NAMES = ("sgd", "muon")
JOBS = compose_options({"optimizer": NAMES})["optimizer"]


def test_gradient_descent_on_the_quadratic_is_its_closed_form(dtype: str, tolerance: float) -> None:
    """Each coordinate is multiplied by 1 - α c in a step, c being its curvature."""
    rate = 0.03125  # a power of 2, which float32 holds exactly
    ((quadratic, *_),) = trace_paths("sgd", JOBS["sgd"], [rate], dtype, num_steps=20)
    factors = 1 - rate * np.array(QUADRATIC_CURVATURES)
    expected = np.array(quadratic.problem.start) * factors ** np.arange(21)[:, None]
    np.testing.assert_allclose(quadratic.points, expected, rtol=tolerance, atol=tolerance)


def test_rates_do_not_influence_each_other() -> None:
    first, second = trace_paths("muon", JOBS["muon"], [0.1, 0.1], "float32", num_steps=5)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        assert np.ptp(one.points, axis=0).min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_best_paths_stay_in_the_figure_and_descend(name: str) -> None:
    paths = best_paths(name, JOBS[name])
    assert [path.problem.name for path in paths] == [problem.name for problem in PROBLEMS]
    for path in paths:
        left, right, bottom, top = path.problem.window
        assert path.points.shape == (NUM_STEPS + 1, 2)
        assert left <= path.points[:, 0].min() <= path.points[:, 0].max() <= right
        assert bottom <= path.points[:, 1].min() <= path.points[:, 1].max() <= top
        assert path.values[-1] < path.values[0] / 10


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_minima_and_start_are_in_the_window(problem: object) -> None:
    (known,) = (one for one in PROBLEMS if one is problem)
    left, right, bottom, top = known.window
    for x, y in (*known.minima, known.start):
        assert left < x < right
        assert bottom < y < top
    assert [known.function(x, y) for x, y in known.minima] == pytest.approx(
        [0] * len(known.minima), abs=1e-9
    )
