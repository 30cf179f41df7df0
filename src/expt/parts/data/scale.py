"""Standardization: mean and standard deviation per feature."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VALUES_AT_ONCE = 2**22


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation per feature, channel or target value: (x - mean) / deviation.

    Both are float64, so that they are exact for values of any magnitude and for a small spread
    around a large mean, such as milliseconds since 1970.

    Attributes:
        mean: The means, float64 of shape [features].
        deviation: The standard deviations, float64 of shape [features], positive.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[Any]) -> "Scale":
        """Computes mean and (population) standard deviation over all axes but the last.

        Pass the train split only. The deviation of a constant feature is 1.

        Args:
            values: Shape [examples, ..., features].
        """
        step = max(1, _VALUES_AT_ONCE // max(1, math.prod(values.shape[1:])))
        starts = range(0, len(values), step)
        return cls.fit_chunks(lambda: (values[start : start + step] for start in starts))

    @classmethod
    def fit_chunks(cls, chunks: Callable[[], Iterator[NDArray[Any]]]) -> "Scale":
        """Computes what `fit` computes, for values that are read in pieces.

        Args:
            chunks: Returns a new iterator over all pieces at each call; it is called three times.
        """
        least, most, count, total = np.inf, -np.inf, 0, 0.0
        # Three passes: the values are scaled to -1 to 1 around their middle before they are
        # squared, since sums of raw squares cancel for a small spread around a large mean.
        for chunk in chunks():
            flat = _flat(chunk)
            least = np.minimum(least, flat.min(axis=0))
            most = np.maximum(most, flat.max(axis=0))
        # Halves, since most - least overflows for values near the limits of float64.
        reach = np.maximum(most / 2 - least / 2, np.finfo(np.float64).tiny)
        middle = least / 2 + most / 2
        for chunk in chunks():
            relative = (_flat(chunk) - middle) / reach
            count, total = count + len(relative), total + relative.sum(axis=0)
        mean, squares = total / count, 0.0
        for chunk in chunks():
            squares = squares + np.square((_flat(chunk) - middle) / reach - mean).sum(axis=0)
        # The computed deviation of a constant can be a rounding error instead of zero.
        deviation = np.where(least == most, 1.0, np.sqrt(squares / count) * reach)
        return cls(np.where(least == most, least, middle + mean * reach), deviation)

    def to_mapping(self) -> dict[str, list[float]]:
        """Returns the scale in JSON-compatible values."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Scale":
        """Restores a scale from the mapping that `to_mapping` returned."""
        return cls(*(np.asarray(mapping[key], np.float64) for key in ("mean", "deviation")))


def _flat(values: NDArray[Any]) -> NDArray[np.float64]:
    return values.reshape(-1, values.shape[-1]).astype(np.float64, copy=False)
