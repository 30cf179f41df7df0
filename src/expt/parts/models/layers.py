"""Layers that several models are built of, and the check of their inputs."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.errors import UserError, hint
from expt.parts.models.arguments import check_penalties

# Keras' 0.99 needs hundreds of steps before a model can be evaluated; runs here may be shorter.
_BATCH_MOMENTUM = 0.9

_INITIALIZERS = (
    *[f"{name}_{kind}" for name in ("glorot", "he", "lecun") for kind in ("normal", "uniform")],
    *("orthogonal", "random_normal", "random_uniform", "truncated_normal", "zeros"),
)


def make_initializer(act: Callable[[], keras.layers.Layer], initializer: Any) -> Any:
    """Returns a new initializer; each layer needs its own, for one gives equal shapes equal values.

    Args:
        act: Makes an activation layer; its attribute `initializer`, if any, names what suits it.
        initializer: A name or object of Keras; None takes what suits the activation.

    Raises:
        UserError: There is no initializer of that name.
    """
    if initializer is None:
        initializer = getattr(act, "initializer", "glorot_uniform")
    if isinstance(initializer, keras.initializers.Initializer):
        return initializer.clone()
    try:
        return keras.initializers.get(initializer)
    except ValueError as error:
        raise UserError(
            f"model.initializer={initializer}: Keras has none of that name. "
            f"{hint(str(initializer), _INITIALIZERS)}"
        ) from error


def make_regularizer(*, l1: float = 0.0, l2: float = 0.0) -> Any:
    """Returns the penalty l1·Σ|w| + l2·Σw² on a kernel, or None if both are zero.

    Raises:
        UserError: One of them is negative or no number.
    """
    check_penalties(l1=l1, l2=l2)
    return keras.regularizers.L1L2(l1, l2) if l1 or l2 else None


def normalized(hidden: Any, normalization: str | None) -> Any:
    """Adds a `batch` or `layer` normalisation, or nothing."""
    if normalization == "batch":
        return keras.layers.BatchNormalization(momentum=_BATCH_MOMENTUM)(hidden)
    if normalization == "layer":
        return keras.layers.LayerNormalization()(hidden)
    return hidden


def dropped(hidden: Any, dropout: float) -> Any:
    """Adds dropout, if its fraction is above zero."""
    return keras.layers.Dropout(dropout)(hidden) if dropout > 0 else hidden


def dense_layers(
    hidden: Any,
    act: Callable[[], keras.layers.Layer],
    units: Sequence[int],
    *,
    dropout: float = 0.0,
    normalization: str | None = None,
    residual: bool = False,
    regularizer: Any = None,
    initializer: Any = None,
) -> Any:
    """Adds a block for each width: dense layer, normalisation, activation, dropout, shortcut.

    Args:
        hidden: Keras tensor of shape [batch, features].
        act: Makes an activation layer; called once a block.
        units: Widths of the blocks.
        dropout: The fraction of each block's activations dropped in training.
        normalization: `batch`, `layer` or None.
        residual: Whether to add a block's input to its output; where their widths differ, the
            input goes through a linear map without bias first.
        regularizer: The penalty on each kernel.
        initializer: A name or object of Keras; None takes what suits the activation.

    Returns:
        Keras tensor of shape [batch, units[-1]].
    """
    for width in units:
        shortcut = hidden
        dense = keras.layers.Dense(
            width,
            use_bias=normalization != "batch",  # which would take any bias away again
            kernel_initializer=make_initializer(act, initializer),
            kernel_regularizer=regularizer,
        )
        hidden = dropped(act()(normalized(dense(hidden), normalization)), dropout)
        if residual:
            if shortcut.shape[-1] != width:
                projection = keras.layers.Dense(
                    width, use_bias=False, kernel_regularizer=regularizer
                )
                shortcut = projection(shortcut)
            hidden = keras.layers.Add()([hidden, shortcut])
    return hidden


def check_image(model: str, input_shape: Sequence[int]) -> None:
    """Raises a UserError unless inputs have the shape [height, width, channels]."""
    if len(input_shape) != 3:
        raise UserError(
            f"model={model} needs images (height, width, channels); the data's inputs have the "
            f"shape {tuple(input_shape)}. model=mlp takes any shape."
        )
