"""The conversion of raw arrays to model inputs.

A run records it as `data.preparation`, so that evaluation, prediction and serving convert new
arrays as training did.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

_VALUES_AT_ONCE = 2**22
_OTHER_SCALE = 10.0  # values this many times the largest training value are on another scale


@dataclass(frozen=True)
class Summary:
    """The dtype and the range of a raw array's values.

    Attributes:
        dtype: The name of the dtype, such as `uint8`.
        least: The smallest value.
        most: The largest value.
        is_whole: Whether all values are whole numbers.
    """

    dtype: str
    least: float
    most: float
    is_whole: bool

    @classmethod
    def of(cls, pieces: Iterable[NDArray[Any]]) -> "Summary":
        """Summarizes an array that is passed in one or more pieces."""
        least, most, is_whole, dtype = np.inf, -np.inf, True, np.dtype(np.float32)
        for piece in pieces:
            dtype, least = piece.dtype, min(least, float(piece.min()))
            most = max(most, float(piece.max()))
            is_whole = is_whole and (dtype.kind != "f" or bool((piece % 1 == 0).all()))
        return cls(dtype.name, least, most, is_whole)

    @property
    def kind(self) -> str:
        """The kind of the dtype: b, i, u or f, as in NumPy."""
        return np.dtype(self.dtype).kind

    @property
    def max_abs(self) -> float:
        """The largest absolute value."""
        return max(abs(self.least), abs(self.most))

    @property
    def are_bytes(self) -> bool:
        """Whether the values may be 8-bit pixels."""
        # Ages or counts are whole numbers below 256 too; only the type or a 255 suggests pixels.
        is_typical = self.dtype == "uint8" or self.most == 255
        return self.is_whole and self.least >= 0 and self.most > 1 and is_typical

    @property
    def are_fractions(self) -> bool:
        """Whether the values may be pixels from 0 to 1."""
        return not self.is_whole and self.least >= 0 and self.most <= 1

    def __str__(self) -> str:
        return f"{self.dtype} from {self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class ArrayPreparation:
    """The divisor by which training converted raw arrays to inputs.

    The same pixels are 0 to 255 in one file and 0 to 1 in another. Arrays whose dtype or range
    differs from training are converted if their meaning is unambiguous, and refused otherwise.

    Attributes:
        divisor: The raw value that becomes 1, such as 255 for 8-bit pixels; 1 if raw values are
            used unchanged.
        trained_on: The dtype and range of the raw inputs in training.
    """

    divisor: float
    trained_on: Summary

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "ArrayPreparation":
        """Restores a preparation from the mapping that `to_mapping` returned.

        Raises:
            UserError: If the mapping is damaged.
        """
        try:
            trained_on = Summary(**mapping["trained_on"])
            np.dtype(trained_on.dtype)
            return cls(float(mapping["divisor"]), trained_on)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"run.json is damaged: its data.preparation is invalid ({error!r})."
            ) from error

    def to_mapping(self) -> dict[str, Any]:
        """Returns the preparation in JSON-compatible values."""
        return {"kind": "array", "divisor": self.divisor, "trained_on": asdict(self.trained_on)}

    def divisor_for(self, given: Summary, *, has_images: bool) -> float:
        """Returns the divisor for other raw arrays.

        Args:
            given: The dtype and range of the other arrays.
            has_images: Whether inputs have more than one axis. Inputs with one axis, rows of a
                table, are used unchanged unless they look like flattened pixels.

        Raises:
            UserError: If the meaning of the values is ambiguous.
        """
        if self.divisor != 1:
            return self._for_levels(given)
        if has_images:
            self._check_numbers(given)
        else:
            self._check_rows(given)
        return 1.0

    def pixel_scale(self) -> float:
        """Returns the factor that converts pixels from 0 to 1 to the model's inputs.

        Raises:
            UserError: If the training inputs don't correspond to pixels unambiguously.
        """
        trained = self.trained_on
        if self.divisor != 1 or trained.are_fractions:
            return 1.0
        if trained.is_whole and trained.least >= 0 and 1 < trained.most <= 255:
            return 255.0
        raise UserError(
            f"the model was trained on arrays of {trained}, so it is ambiguous which of these "
            "values the pixels of an image file correspond to. Pass a .npy file with the same kind "
            "of array."
        )

    def _for_levels(self, given: Summary) -> float:
        """Returns the divisor for other arrays if training divided raw values by `divisor`."""
        trained, top = self.trained_on, self.divisor
        if given.dtype == "uint8" and given.most > top:
            return 255.0  # 8-bit pixels: values on the scale of training don't exceed `top`
        if given.least < 0 or given.most > top:
            raise self._refusal(given, f"values from 0 to {top:g}, or from 0 to 1")
        if given.kind == "f":
            if given.are_fractions:
                return 1.0
            # Whole floats up to 1 may be levels 0 and 1, or black and white: ambiguous.
            if given.is_whole and (given.most > 1 or given.most == 0):
                return top
            raise self._refusal(given, f"whole numbers from 0 to {top:g}, or fractions up to 1")
        is_same = given.dtype == trained.dtype
        # A larger unsigned type has more levels, so small values may just be a dark image.
        if not is_same and (given.kind == "b" or (given.kind == "u" and given.dtype != "uint8")):
            raise self._refusal(given, f"{trained.dtype} from 0 to {top:g}")
        return top

    def _check_numbers(self, given: Summary) -> None:
        """Raises an error for arrays on another scale, if training used raw values unchanged."""
        trained = self.trained_on
        expected = str(trained)
        # Each check refuses a typical mistake: bytes instead of fractions, and the reverse.
        if given.max_abs > _OTHER_SCALE * trained.max_abs:
            raise self._refusal(given, expected)
        if trained.is_whole and trained.most > 1 and not given.is_whole and given.most <= 1:
            raise self._refusal(given, expected)
        if not trained.is_whole and given.kind != "f":
            raise self._refusal(given, expected)

    def _check_rows(self, given: Summary) -> None:
        """Refuses rows that look like flattened pixels on another scale than in training."""
        # Ordinary columns may have any range in new data, so only pixel-like values are checked.
        trained = self.trained_on
        is_mixed = (trained.are_bytes and given.are_fractions) or (
            trained.are_fractions and given.are_bytes
        )
        is_deeper = trained.dtype == "uint8" and given.kind == "u" and given.most > 255
        if is_mixed or is_deeper:
            raise self._refusal(given, str(trained))

    def _refusal(self, given: Summary, expected: str) -> UserError:
        return UserError(
            f"its inputs are {given}, but the model was trained on {self.trained_on}: the meaning "
            f"of the values is ambiguous. Expected {expected}; convert them."
        )


BYTES = ArrayPreparation(255.0, Summary("uint8", 0.0, 255.0, is_whole=True))
"""The preparation of 8-bit pixels, which are divided by 255."""


def exact_float32(array: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Returns an array as float32 if that is exact, else as float64."""
    if array.dtype == np.float32:
        return array
    # Values beyond float32's range round to inf, which differs from the original: float64 then.
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float32)
    return rounded if (rounded == array).all() else array.astype(np.float64)


def to_inputs(array: NDArray[Any], divisor: float) -> NDArray[np.floating[Any]]:
    """Converts raw values to model inputs.

    Args:
        array: Raw values, shape [examples, ...].
        divisor: The raw value that becomes 1. A divisor other than 1 means images: a channel axis
            is added if there is none. 1 keeps values and shape.

    Returns:
        An array of float32; of float64 if values are kept that float32 would round.
    """
    if divisor == 1:
        return exact_float32(array)
    images: NDArray[Any] = array[..., None] if array.ndim == 3 else array
    # In float32 throughout: the hashes by which examples are recognized depend on these bits.
    pixels: NDArray[np.float32] = np.divide(images, np.float32(divisor), dtype=np.float32)
    return pixels


def summarize(array: NDArray[Any]) -> Summary:
    """Summarizes an array piece by piece, since it may be memory-mapped."""
    return Summary.of(array[chunk] for chunk in chunks(array.shape, len(array)))


def chunks(shape: tuple[int, ...], count: int) -> Iterator[slice]:
    """Yields slices that cover `count` examples, each small enough to be read at once.

    Args:
        shape: The shape of the array, of which the first axis is ignored.
        count: The number of examples.
    """
    step = max(1, _VALUES_AT_ONCE // math.prod(shape[1:]))
    return (slice(start, start + step) for start in range(0, count, step))
