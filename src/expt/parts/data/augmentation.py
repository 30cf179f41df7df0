"""How training inputs are changed at random, as the config says."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from expt.errors import UserError, hint
from expt.parts.numbers import is_number


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training inputs, batch by batch. The defaults change nothing.

    All but `mixup` are for images. They are drawn from the run's seed and the step alone;
    validation and test inputs are never changed.

    Pixels that `shift` and `cutout` blank get the train split's mean of each channel where the
    model standardises its inputs: 0 after standardisation, as in the sources. Without
    standardisation they are 0, which is black.

    Attributes:
        flip: Whether half of the images are mirrored, left to right.
        shift: The most pixels that an image is moved by along each axis; blank ones move in.
            Recipes call it a crop of the padded image.
        crop: The least fraction of the sides that is cut out, at a random place, and enlarged to
            the whole. The fraction is uniform between it and 1, and the same for both sides.
        cutout: The side in pixels of a square that is blanked; its centre is any pixel, so that it
            may stick out. Source: T. DeVries, G. Taylor, arXiv:1708.04552.
        mixup: α of the Beta(α, α) distribution of the share that another example of the batch has
            in an input and in its loss; 0 mixes nothing. Targets that are values are mixed
            themselves; metrics of training compare with the class of the larger share. Source: H.
            Zhang et al., arXiv:1710.09412.
    """

    flip: bool = False
    shift: int = 0
    crop: float = 1.0
    cutout: int = 0
    mixup: float = 0.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Augmentation":
        """Makes one of a config's values.

        Raises:
            UserError: A key is unknown or a value out of its range.
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
            is_right, expected = {
                "flip": (isinstance(value, bool), "true or false"),
                "crop": (is_number(value) and 0 < value <= 1, "a fraction above 0 and at most 1"),
                "mixup": (is_number(value) and 0 <= value < np.inf, "a number of at least 0"),
            }.get(key, (type(value) is int and 0 <= value < 10_000, "a whole number of pixels"))
            if not is_right:
                raise UserError(f"data.augment.{key}={value}: expected {expected}.")
        return cls(**values)

    @property
    def changes_images(self) -> bool:
        """Whether it does what only images can take."""
        return replace(self, mixup=0.0) != Augmentation()

    def check(self, name: str, input_shape: tuple[int, ...], batch_size: int) -> None:
        """Checks that inputs can be changed so, and that something is left of them.

        Args:
            name: The data's name.
            input_shape: The shape of one input.
            batch_size: Examples a step.

        Raises:
            UserError: They are no images, would be blank, or have none to be mixed with.
        """
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
                f"data.augment: flip, shift, crop and cutout are for images; inputs of "
                f"data={name} have the shape {input_shape}. mixup fits all."
            )
        height, width, _ = input_shape
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
