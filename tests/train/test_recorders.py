from collections.abc import Iterator

import pytest

from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.errors import UserError
from expt.train.recorders import Sinks, check_recorders


def compose_one(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


_UNKNOWN = "+recorder.tensorboard.folder=x"


class TestSinks:
    @pytest.fixture
    def sinks(self) -> Iterator[Sinks]:
        sinks = Sinks()
        yield sinks
        sinks.stop()

    def test_sinks_are_made_once(self, sinks: Sinks) -> None:
        first = sinks(compose_one("recorder=[tensorboard]"))
        again = sinks(compose_one("recorder=[tensorboard]", "seed=3"))
        assert len(first) == 3  # TensorBoard, images and histograms
        assert all(one is other for one, other in zip(first, again, strict=True))

    def test_images_and_histograms_are_always_recorded(self, sinks: Sinks) -> None:
        assert len(sinks(compose_one("recorder=[]"))) == 2

    def test_argument_that_is_not_accepted_is_named(self, sinks: Sinks) -> None:
        job = compose_one("recorder=[tensorboard]", _UNKNOWN)
        with pytest.raises(UserError, match=r"recorder\.tensorboard\.folder"):
            sinks(job)


def test_recorders_of_all_jobs_are_checked() -> None:
    good, wrong = (compose_one("recorder=[tensorboard]", *more) for more in ([], [_UNKNOWN]))
    check_recorders([good])
    with pytest.raises(UserError, match=r"recorder\.tensorboard\.folder"):
        check_recorders([good, wrong])


def test_arguments_of_mlflow_are_checked_without_its_process() -> None:
    check_recorders([compose_one("recorder.mlflow.max_points=null")])
    with pytest.raises(UserError, match=r"recorder\.mlflow: max_points=0: expected at least 1"):
        check_recorders([compose_one("recorder.mlflow.max_points=0")])
