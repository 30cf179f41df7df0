"""Curves of metrics by step, read from the journals and averaged over seeds.

A journal may have millions of lines, so it is thinned out while it is read.
"""

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

_POINTS = 200  # the least that a curve keeps, if it has them
_MOST_RUNS = 200  # of a variant; more seeds do not change a band visibly

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The steps and the values of one metric of one run, each of shape [points]."""


@dataclass(frozen=True)
class MetricCurve:
    """The mean of a variant's runs by step, with its 95 % interval.

    Attributes:
        steps: The steps, shape [points].
        mean: The mean over the runs that reached the step, shape [points].
        low: The lower end of the interval, shape [points]; NaN where fewer than two runs reached
            the step.
        high: The upper end of the interval, shape [points].
    """

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def curves(variant: Variant, metrics: Sequence[str]) -> dict[str, MetricCurve]:
    """Returns the curves of a variant's counted runs, for the metrics that any of them recorded."""
    paths = [run.directory / FILE_NAME for run in variant.counted[:_MOST_RUNS]]
    runs = [read_points(path, metrics) for path in paths]
    return {
        metric: average(points)
        for metric in metrics
        if (points := [found[metric] for found in runs if len(found[metric][0])])
    }


def read_points(path: Path, metrics: Sequence[str]) -> dict[str, Points]:
    """Reads the points of some metrics from a journal, evenly spaced ones if it is long.

    Lines that are damaged or hold a value that is not finite are skipped. A journal that can't be
    read yields no points.

    Args:
        path: The journal.
        metrics: The full names of the metrics.
    """
    # Parsing JSON takes most of the time, so lines are searched as bytes, and only those that are
    # kept are parsed.
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
    """Evenly spaced lines that contain a byte string, and the last such line.

    Whenever twice `_POINTS` lines are kept, every second one is dropped and the distance between
    kept lines doubles. The number of lines need not be known in advance, and memory is bounded.
    """

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
    # In order of the steps, as interpolation requires; of two records of a step the later counts.
    steps, values = np.array(sorted(dict(found).items()), np.float64).reshape(-1, 2).T
    return steps, values


def average(points: Sequence[Points]) -> MetricCurve:
    """Averages the runs of a variant, with a pointwise 95 % t-interval.

    At each step that n runs reached, the interval is x̄ ± t(0.975, n - 1) · s / √n, as in
    `statistics.summarize`.

    Args:
        points: The points of each run, at least one run with at least one point.

    Returns:
        The curve on the steps of the longest run; the values of the others are interpolated
        linearly.
    """
    # A run that stopped early has no value beyond its end: extending it would bias the mean.
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
