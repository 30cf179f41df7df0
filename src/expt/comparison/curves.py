"""A metric by step, from the journals: thinned while they are read, averaged over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from expt.comparison.statistics import CONFIDENCE
from expt.comparison.variants import Variant
from expt.record.journal import FILE_NAME

_POINTS = 200  # that a curve keeps at least, if it has them
_MOST_RUNS = 1000  # of a variant; more seeds make a band no more precise to the eye


@dataclass(frozen=True)
class Curve:
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


def curve(variant: Variant, metric: str) -> Curve | None:
    """Returns the curve of a variant's counted runs; None if none of them recorded the metric."""
    paths = [run.directory / FILE_NAME for run in variant.counted[:_MOST_RUNS]]
    points = [found for path in paths if len((found := read_points(path, metric))[0])]
    return average(points) if points else None


def read_points(path: Path, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns steps and values of one metric, of a long journal some that are evenly spaced.

    Lines are looked at as bytes, and only those that are kept are parsed. What can't be read is
    left out.
    """
    needle, kept, stride, last = f"{json.dumps(metric)}:".encode(), list[bytes](), 1, b""
    count = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if needle not in line:
                    continue
                last = line
                if count % stride == 0:
                    kept.append(line)
                    if len(kept) >= 2 * _POINTS:
                        kept, stride = kept[::2], 2 * stride
                count += 1
    except OSError:
        return np.empty(0), np.empty(0)
    if last and kept[-1] is not last:
        kept.append(last)
    found = []
    for line in kept:
        try:
            record = json.loads(line)
            point = float(record["step"]), float(record[metric])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if np.isfinite(point).all():
            found.append(point)
    steps, values = np.array(sorted(dict(found).items()), np.float64).reshape(-1, 2).T
    return steps, values


def average(points: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Curve:
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
    return Curve(grid, mean, mean - half, mean + half)
