"""A metric by step, from the journals: thinned while they are read, averaged over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from expt.analysis.statistics import CONFIDENCE
from expt.analysis.variants import Variant
from expt.record.journal import FILE_NAME

_POINTS = 200  # that a curve keeps at least, if it has them
_MOST_RUNS = 200  # of a variant; more seeds make a band no more precise to the eye

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps and values of one metric of one run, each of shape [points]."""


@dataclass(frozen=True)
class MetricCurve:
    """A variant's mean by step.

    Attributes:
        steps: Shape [points].
        mean: Over the runs that got as far, shape [points].
        low: The 95 % interval's lower end, shape [points]; NaN where a single run got as far.
        high: Its upper end.
    """

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def curves(variant: Variant, metrics: Sequence[str]) -> dict[str, MetricCurve]:
    """Returns the curves of a variant's counted runs, of the metrics that any of them recorded."""
    paths = [run.directory / FILE_NAME for run in variant.counted[:_MOST_RUNS]]
    runs = [read_points(path, metrics) for path in paths]
    return {
        metric: average(points)
        for metric in metrics
        if (points := [found[metric] for found in runs if len(found[metric][0])])
    }


def read_points(path: Path, metrics: Sequence[str]) -> dict[str, Points]:
    """Returns steps and values of some metrics, of a long journal some that are evenly spaced.

    Lines are searched as bytes, and only those that are kept are parsed. Damaged lines are left
    out.
    """
    thinned = {metric: _Thinned(f"{json.dumps(metric)}:".encode()) for metric in metrics}
    try:
        with path.open("rb") as file:
            for line in file:
                for lines in thinned.values():
                    lines.add(line)
    except OSError:
        return {metric: (np.empty(0), np.empty(0)) for metric in metrics}
    return {metric: _parsed(lines.all(), metric) for metric, lines in thinned.items()}


class _Thinned:
    """The lines with a needle: evenly spaced ones and the last, fewer than twice `_POINTS`."""

    def __init__(self, needle: bytes) -> None:
        self._needle = needle
        self._kept: list[bytes] = []
        self._stride, self._count, self._last = 1, 0, b""

    def add(self, line: bytes) -> None:
        if self._needle not in line:
            return
        self._last = line
        if self._count % self._stride == 0:
            self._kept.append(line)
            if len(self._kept) >= 2 * _POINTS:
                self._kept, self._stride = self._kept[::2], 2 * self._stride
        self._count += 1

    def all(self) -> list[bytes]:
        if self._last and self._kept[-1] is not self._last:
            return [*self._kept, self._last]
        return self._kept


def _parsed(lines: Sequence[bytes], metric: str) -> Points:
    found = []
    for line in lines:
        try:
            record = json.loads(line)
            point = float(record["step"]), float(record[metric])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if np.isfinite(point).all():
            found.append(point)
    steps, values = np.array(sorted(dict(found).items()), np.float64).reshape(-1, 2).T
    return steps, values


def average(points: Sequence[Points]) -> MetricCurve:
    """Averages runs on the steps of the longest; between its steps a run is interpolated."""
    grid = max((steps for steps, _ in points), key=lambda steps: (steps[-1], len(steps)))
    values = np.stack([np.interp(grid, *run, left=np.nan, right=np.nan) for run in points])
    there = np.isfinite(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0)
    mean = total.sum(axis=0) / np.maximum(count, 1)
    squares = np.where(there, (values - mean) ** 2, 0.0).sum(axis=0)
    freedom = np.maximum(count - 1, 1)
    half = stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt(
        squares / freedom / np.maximum(count, 1)
    )
    half = np.where(count > 1, half, np.nan)
    mean = np.where(count > 0, mean, np.nan)
    return MetricCurve(grid, mean, mean - half, mean + half)
