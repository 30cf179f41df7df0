"""Layers that several models share, and the check that their inputs are images."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.errors import UserError, hint
from expt.parts.models.arguments import check_penalties

# With Keras' default of 0.99, evaluation is meaningful only after hundreds of steps, and a run may
# be shorter.
_BATCH_MOMENTUM = 0.9

_INITIALIZERS = (
    *[f"{name}_{kind}" for name in ("glorot", "he", "lecun") for kind in ("normal", "uniform")],
    *("orthogonal", "random_normal", "random_uniform", "truncated_normal", "zeros"),
)


def make_initializer(act: Callable[[], keras.layers.Layer], initializer: Any) -> Any:
    """Returns a new initializer for a layer's kernel.

    Args:
        act: Makes an activation layer; its attribute `initializer`, if any, is the default.
        initializer: A Keras name or object; None is the one that suits the activation.

    Raises:
        UserError: Keras has no initializer of that name.
    """
    if initializer is None:
        initializer = getattr(act, "initializer", "glorot_uniform")
    if isinstance(initializer, keras.initializers.Initializer):
        # An initializer returns equal values for equal shapes at each call, so that layers which
        # shared one would start alike.
        return initializer.clone()
    try:
        return keras.initializers.get(initializer)
    except ValueError as error:
        raise UserError(
            f"model.initializer={initializer}: Keras has no initializer of that name. "
            f"{hint(str(initializer), _INITIALIZERS)}"
        ) from error


def make_regularizer(*, l1: float = 0.0, l2: float = 0.0) -> Any:
    """Returns the penalty l1·Σ|w| + l2·Σw² on a kernel, or None if both factors are zero.

    Raises:
        UserError: A factor is negative or not a finite number.
    """
    check_penalties(l1=l1, l2=l2)
    return keras.regularizers.L1L2(l1, l2) if l1 or l2 else None


def add_normalization(hidden: Any, normalization: str | None) -> Any:
    """Adds `batch` or `layer` normalization, or nothing for None."""
    if normalization == "batch":
        return keras.layers.BatchNormalization(momentum=_BATCH_MOMENTUM)(hidden)
    if normalization == "layer":
        return keras.layers.LayerNormalization()(hidden)
    return hidden


def add_dropout(hidden: Any, dropout: float) -> Any:
    """Adds a dropout layer if the fraction is above 0."""
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
    """Adds a block per width: dense layer, normalization, activation, dropout, shortcut.

    Args:
        hidden: Keras tensor of shape [batch, features].
        act: Makes an activation layer; called once per block.
        units: Widths of the blocks.
        dropout: Fraction of each block's activations dropped in training.
        normalization: `batch`, `layer` or None.
        residual: Whether to add a block's input to its output; where their widths differ, a linear
            map without bias projects the input first.
        regularizer: Penalty on each kernel.
        initializer: Initializer of the kernels, a Keras name or object; None is the one that suits
            the activation.

    Returns:
        Keras tensor of shape [batch, units[-1]], or `hidden` if there are no widths.
    """
    for width in units:
        shortcut = hidden
        dense = keras.layers.Dense(
            width,
            # Batch normalization subtracts the mean over the batch, and any bias with it.
            use_bias=normalization != "batch",
            kernel_initializer=make_initializer(act, initializer),
            kernel_regularizer=regularizer,
        )
        hidden = add_dropout(act()(add_normalization(dense(hidden), normalization)), dropout)
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
