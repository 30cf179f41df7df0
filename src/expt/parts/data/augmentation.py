"""Data augmentation: the options `data.augment.*` and their checks.

The changes themselves are made on the device, by the input pipeline in `train/input`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from expt.errors import UserError, hint
from expt.parts.numbers import is_number


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of training inputs, batch by batch. The defaults change nothing.

    All options but `mixup` require images. The changes depend on the run's seed and the step only;
    validation and test inputs are never changed.

    `shift` and `cutout` blank pixels. Blank pixels are the train split's mean of each channel if
    the model standardizes its inputs (0 after standardization, as in the papers), else 0, which is
    black.

    `shift` is also known as a random crop of the padded image. `crop` cuts out a rectangle of the
    image's proportions at a random place and resizes it to the image's size; the ratio of its sides
    to the image's is drawn uniformly from [`crop`, 1]. The center of a `cutout` square is any
    pixel, so part of the square may lie outside; source: T. DeVries, G. Taylor, arXiv:1708.04552.
    `mixup` draws the share of another example of the batch from Beta(α, α) and mixes the inputs and
    the losses, or, in a regression, the inputs and the targets. Training metrics use the label with
    the larger share. Source: H. Zhang et al., arXiv:1710.09412.

    Args:
        flip: Whether images are mirrored, left to right, with probability 1/2.
        shift: Largest shift in pixels along each axis, at least 0 and less than the shorter side.
        crop: Smallest fraction of the sides that a random crop keeps, above 0 and at most 1.
        cutout: Side in pixels of a blanked square, at least 0 and less than the longer side.
        mixup: α of mixup's Beta(α, α) distribution, at least 0; 0 mixes nothing.
    """

    flip: bool = False
    shift: int = 0
    crop: float = 1.0
    cutout: int = 0
    mixup: float = 0.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Augmentation":
        """Parses the value of `data.augment`.

        Raises:
            UserError: If a key is unknown or a value is out of range.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping):
            raise UserError(
                f"data.augment={values}: expected values of {', '.join(known)}, such as "
                "data.augment.flip=true."
            )
        for key, value in values.items():
            if key not in known:
                raise UserError(f"data.augment.{key}: there is no such key. {hint(key, known)}")
            # type(…) is int, since True is an int as well.
            is_right, expected = {
                "flip": (isinstance(value, bool), "true or false"),
                "crop": (is_number(value) and 0 < value <= 1, "a fraction above 0 and at most 1"),
                "mixup": (is_number(value) and 0 <= value < np.inf, "a number of at least 0"),
            }.get(
                key, (type(value) is int and 0 <= value < 10_000, "a whole number from 0 to 9999")
            )
            if not is_right:
                raise UserError(f"data.augment.{key}={value}: expected {expected}.")
        return cls(**values)

    @property
    def changes_images(self) -> bool:
        """Whether an option that requires images is on."""
        return replace(self, mixup=0.0) != Augmentation()

    def check(self, name: str, input_shape: tuple[int, ...], batch_size: int) -> None:
        """Checks that the options fit the inputs.

        Args:
            name: The name of the data set.
            input_shape: The shape of one input.
            batch_size: Examples per training step.

        Raises:
            UserError: If inputs are not images, could become blank as a whole, or come in batches
                of one, which leaves none to mix with.
        """
        # Checked before training: mixing an example with itself would change nothing, silently.
        if self.mixup > 0 and batch_size == 1:
            raise UserError(
                f"data.augment.mixup={self.mixup} mixes the examples of a batch; a batch of "
                "data.batch_size=1 has no other. Use data.batch_size=2 or more, or "
                "data.augment.mixup=0."
            )
        if not self.changes_images:
            return
        if not is_image(input_shape):
            raise UserError(
                f"data.augment: flip, shift, crop and cutout require images; inputs of "
                f"data={name} have the shape {input_shape}. mixup fits any shape."
            )
        height, width, _ = input_shape
        # A shift blanks all if it moves one axis by its length, a cutout only if it covers both.
        for key, pixels, side in (
            ("shift", self.shift, min(height, width)),
            ("cutout", self.cutout, max(height, width)),
        ):
            if pixels >= side:
                raise UserError(
                    f"data.augment.{key}={pixels} can blank whole images: those of data={name} "
                    f"have {height}x{width} pixels. Use data.augment.{key}={side - 1} or less."
                )


def is_image(input_shape: tuple[int, ...]) -> bool:
    """Whether an input is an image: height, width and one or three channels."""
    return len(input_shape) == 3 and input_shape[-1] in (1, 3)
