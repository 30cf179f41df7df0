"""Architectures that Keras ships."""

import inspect
from collections.abc import Callable, Sequence

import keras

from expt.errors import UserError, hint
from expt.parts.models.arguments import check_counts, check_fractions
from expt.parts.models.layers import check_image

# In pixels: the `min_size` of each function in Keras, which raises a ValueError below it.
_LEAST_SIDES = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
_LEAST_SIDE = 32


def keras_application(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    name: str,
    resize_to: int | None = None,
    momentum: float | None = 0.9,
) -> keras.Model:
    """An architecture of keras.applications, untrained, with a dense layer for the outputs.

    Activations and initializers are those of the architecture. Pixels are passed as they are, from
    0 to 1, without the architecture's own preprocessing.

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Number of logits or values per image.
        act: Not used.
        name: A function of keras.applications, such as `ResNet50`.
        resize_to: Side in pixels to which images are resized, to squares; null does not resize.
        momentum: Momentum of batch normalization's moving averages, in [0, 1); null keeps
            the architecture's own.

    Returns:
        A model with outputs of shape [batch, num_outputs].

    Raises:
        UserError: There is no such architecture, the inputs are not images, or they are smaller
            than the architecture supports.
    """
    del act
    check_image("keras_application", input_shape)
    valid = [name for name in dir(keras.applications) if name[0].isupper()]
    if name not in valid:
        raise UserError(
            f"model.name={name}: Keras has no such application. {hint(str(name), valid)}"
        )
    if momentum is not None:
        check_fractions(momentum=momentum)
    _check_side(name, input_shape, resize_to)

    inputs = hidden = keras.Input(input_shape)
    if resize_to is not None:
        hidden = keras.layers.Resizing(resize_to, resize_to)(hidden)
    if name.startswith("EfficientNetB"):
        # These divide by 255 without an option to switch it off.
        hidden = keras.layers.Rescaling(255.0)(hidden)
    body = _body(name, hidden.shape[1:], momentum)
    outputs = keras.layers.Dense(num_outputs)(body(hidden))
    return keras.Model(inputs, outputs, name="keras_application")


def _body(name: str, input_shape: Sequence[int], momentum: float | None) -> keras.Model:
    """Returns the architecture up to its global average pooling, shape [batch, features]."""
    function = getattr(keras.applications, name)
    options = {}
    if "include_preprocessing" in inspect.signature(function).parameters:
        options["include_preprocessing"] = False
    body = function(
        input_shape=tuple(input_shape), weights=None, include_top=False, pooling="avg", **options
    )
    # The applications have no argument for it; layers read the attribute at each call.
    for layer in body.layers:
        if momentum is not None and isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    return body


def _check_side(name: str, input_shape: Sequence[int], resize_to: int | None) -> None:
    least = _LEAST_SIDES.get(name, _LEAST_SIDE)
    if resize_to is not None:
        check_counts(resize_to=resize_to)
        if resize_to < least:
            raise UserError(
                f"model.resize_to={resize_to}: {name} needs images of at least {least}x{least} "
                "pixels. Enlarge them: model.resize_to=96."
            )
    elif min(input_shape[:2]) < least:
        raise UserError(
            f"model.name={name} needs images of at least {least}x{least} pixels; the data's have "
            f"{input_shape[0]}x{input_shape[1]}. Enlarge them: model.resize_to=96."
        )
