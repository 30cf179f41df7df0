"""A real subject of probes, and a moment that keeps what a probe records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.config.compose import compose_jobs
from expt.train.backend import start_for
from expt.train.data_loading import DataLoader


def make_subject(overrides: Sequence[str]) -> Any:
    """Returns the subject of a job's program, before training."""
    given = ["recorder=[]", *overrides]
    (job,), _ = compose_jobs(given, None, multirun=False)
    dataset = DataLoader()(job)
    start_for(job.config)
    from expt.train.hooks.probes import ProgramSubject
    from expt.train.program import make_program

    return ProgramSubject(make_program(job, dataset))


class RecordedMoment:
    """A `ProbeMoment` that keeps scalars, histograms and images by name."""

    epoch, is_last = 0, False
    values: Mapping[str, float] = {}

    def __init__(self, step: int = 0) -> None:
        self.step = step
        self.scalars: dict[str, float] = {}
        self.histograms: dict[str, NDArray[Any]] = {}
        self.images: dict[str, NDArray[np.uint8]] = {}

    def log(self, values: Mapping[str, float]) -> None:
        self.scalars |= values

    def log_histogram(self, name: str, values: NDArray[Any]) -> None:
        self.histograms[name] = values

    def log_image(self, name: str, pixels: NDArray[np.uint8]) -> None:
        self.images[name] = pixels
