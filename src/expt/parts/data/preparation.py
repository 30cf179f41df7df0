"""How raw arrays become inputs: recorded by training, and used again by whatever follows it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

_VALUES_AT_ONCE = 2**22
_OTHER_SCALE = 10.0  # as many times the largest training value is another scale


@dataclass(frozen=True)
class Summary:
    """What the values of a raw array are like.

    Attributes:
        dtype: Their type, such as `uint8`.
        least: The smallest.
        most: The largest.
        is_whole: Whether all are whole numbers.
    """

    dtype: str
    least: float
    most: float
    is_whole: bool

    @classmethod
    def of(cls, pieces: Iterable[NDArray[Any]]) -> "Summary":
        """Summarizes an array that comes in pieces, of which there is at least one."""
        least, most, is_whole, dtype = np.inf, -np.inf, True, np.dtype(np.float32)
        for piece in pieces:
            dtype, least = piece.dtype, min(least, float(piece.min()))
            most = max(most, float(piece.max()))
            is_whole = is_whole and (dtype.kind != "f" or bool((piece % 1 == 0).all()))
        return cls(dtype.name, least, most, is_whole)

    @property
    def kind(self) -> str:
        """NumPy's letter for the type: b, i, u or f."""
        return np.dtype(self.dtype).kind

    @property
    def reach(self) -> float:
        """The largest absolute value."""
        return max(abs(self.least), abs(self.most))

    @property
    def are_bytes(self) -> bool:
        """Whether they may be pixels of 8 bits."""
        is_typical = self.dtype == "uint8" or self.most == 255
        return self.is_whole and self.least >= 0 and self.most > 1 and is_typical

    @property
    def are_fractions(self) -> bool:
        """Whether they may be pixels from 0 to 1."""
        return not self.is_whole and self.least >= 0 and self.most <= 1

    def __str__(self) -> str:
        return f"{self.dtype} from {self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class ArrayPreparation:
    """How a run's training made inputs of raw arrays: it divided them by a number.

    Arrays of another type or range are converted where their meaning is certain, and else refused:
    the same pixels are 0 to 255 in one file and 0 to 1 in another.

    Attributes:
        divisor: The raw value that became 1, such as 255 for 8-bit pixels; 1 for raw values that
            are inputs as they are.
        trained_on: The raw inputs of the training.
    """

    divisor: float
    trained_on: Summary

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "ArrayPreparation":
        """Makes the preparation of which these are the plain values.

        Raises:
            UserError: They are not such values.
        """
        try:
            trained_on = Summary(**mapping["trained_on"])
            np.dtype(trained_on.dtype)
            return cls(float(mapping["divisor"]), trained_on)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"run.json is damaged: its data.preparation has no {error}.") from error

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values, which JSON can hold."""
        return {"kind": "array", "divisor": self.divisor, "trained_on": asdict(self.trained_on)}

    def divisor_for(self, given: Summary, *, has_images: bool) -> float:
        """Returns the number by which other raw arrays are divided.

        Args:
            given: The other arrays.
            has_images: Whether an input is an image or has other axes beside one of features.
                Numbers of a table are taken as they are, unless they look like pixels in a row.

        Raises:
            UserError: What their values mean is not certain.
        """
        if self.divisor != 1:
            return self._for_levels(given)
        if has_images:
            self._check_numbers(given)
        else:
            self._check_rows(given)
        return 1.0

    def pixel_scale(self) -> float:
        """Returns the factor from pixels between 0 and 1 to the model's inputs.

        Raises:
            UserError: It is not certain what the training's inputs meant as pixels.
        """
        trained = self.trained_on
        if self.divisor != 1 or trained.are_fractions:
            return 1.0
        if trained.is_whole and trained.least >= 0 and 1 < trained.most <= 255:
            return 255.0
        raise UserError(
            f"the model was trained on arrays of {trained}, so that it is not certain what the "
            "pixels of an image file would be; give the same kind of array as a .npy file."
        )

    def _for_levels(self, given: Summary) -> float:
        """For raw inputs from 0 to `divisor`, which became 0 to 1."""
        trained, top = self.trained_on, self.divisor
        if given.dtype == "uint8" and given.most > top:
            return 255.0  # pixels of 8 bits, since levels can't be as high
        if given.least < 0 or given.most > top:
            raise self._refusal(given, f"values from 0 to {top:g}, or from 0 to 1")
        if given.kind == "f":
            if given.are_fractions:
                return 1.0
            if given.is_whole and (given.most > 1 or given.most == 0):
                return top
            raise self._refusal(given, f"whole numbers from 0 to {top:g}, or fractions up to 1")
        is_same = given.dtype == trained.dtype
        # A larger unsigned type is that of images with more levels: these may be dark ones.
        if not is_same and (given.kind == "b" or (given.kind == "u" and given.dtype != "uint8")):
            raise self._refusal(given, f"{trained.dtype} from 0 to {top:g}")
        return top

    def _check_numbers(self, given: Summary) -> None:
        """For raw inputs that were taken as they are."""
        trained = self.trained_on
        expected = str(trained)
        if given.reach > _OTHER_SCALE * trained.reach:
            raise self._refusal(given, expected)
        if trained.is_whole and trained.most > 1 and not given.is_whole and given.most <= 1:
            raise self._refusal(given, expected)
        if not trained.is_whole and given.kind != "f":
            raise self._refusal(given, expected)

    def _check_rows(self, given: Summary) -> None:
        """For rows of a table: they may be pixels, of bytes or of fractions of 255."""
        trained = self.trained_on
        is_mixed = (trained.are_bytes and given.are_fractions) or (
            trained.are_fractions and given.are_bytes
        )
        is_deeper = trained.dtype == "uint8" and given.kind == "u" and given.most > 255
        if is_mixed or is_deeper:
            raise self._refusal(given, str(trained))

    def _refusal(self, given: Summary, expected: str) -> UserError:
        return UserError(
            f"its inputs are {given}; the model was trained on {self.trained_on}, and what these "
            f"values mean is not certain. Expected {expected}: convert them."
        )


BYTES = ArrayPreparation(255.0, Summary("uint8", 0.0, 255.0, is_whole=True))
"""That of pixels of 8 bits, which become 0 to 1."""


def exact_float32(array: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Returns an array as float32 if that loses nothing, else as float64."""
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float32)
    return rounded if (rounded == array).all() else array.astype(np.float64)


def to_inputs(array: NDArray[Any], divisor: float) -> NDArray[np.floating[Any]]:
    """Returns an array as inputs.

    Args:
        array: Raw values, shape [examples, ...].
        divisor: The raw value that becomes 1: that of images, which get an axis of channels if
            they have none. 1 takes the values as they are.

    Returns:
        float32; or float64 where that would lose digits of values taken as they are.
    """
    if divisor == 1:
        return exact_float32(array)
    images: NDArray[Any] = array[..., None] if array.ndim == 3 else array
    pixels: NDArray[np.float32] = np.divide(images, np.float32(divisor), dtype=np.float32)
    return pixels


def summarize(array: NDArray[Any]) -> Summary:
    """Summarizes an array a piece at a time, since it may be mapped into memory."""
    return Summary.of(array[chunk] for chunk in chunks(array.shape, len(array)))


def chunks(shape: tuple[int, ...], count: int) -> Iterator[slice]:
    """Yields slices of so many examples, each small enough to be read at once."""
    step = max(1, _VALUES_AT_ONCE // math.prod(shape[1:]))
    return (slice(start, start + step) for start in range(0, count, step))
