"""A dense model with faults to plant, for `model=custom`."""

from collections.abc import Callable, Sequence

import keras


def build(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    units: Sequence[int] = (64, 64),
    scale: float = 1.0,
    bias: float = 0.0,
    output_scale: float = 1.0,
    cut: bool = False,
) -> keras.Model:
    """Returns a multi-layer perceptron.

    Args:
        input_shape: Shape of one input, which is flattened.
        num_outputs: Number of outputs per input.
        act: Makes an activation layer.
        units: Widths of the hidden layers.
        scale: Factor of the standard deviation of the hidden kernels.
        bias: First value of the hidden biases.
        output_scale: Factor of the standard deviation of the last kernel.
        cut: Whether to multiply the output of the first hidden layer by zero on its way to the
            others, which see the inputs beside it.
    """
    inputs = keras.Input(input_shape)
    flat = hidden = keras.layers.Flatten()(inputs)
    for place, width in enumerate(units):
        hidden = keras.layers.Dense(
            width,
            kernel_initializer=_initializer(scale),
            bias_initializer=keras.initializers.Constant(bias),
        )(hidden)
        hidden = act()(hidden)
        if cut and place == 0:
            hidden = keras.layers.Concatenate()([keras.layers.Rescaling(0.0)(hidden), flat])
    outputs = keras.layers.Dense(num_outputs, kernel_initializer=_initializer(output_scale))(hidden)
    return keras.Model(inputs, outputs, name="faulty")


def _initializer(scale: float) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0 * scale**2, "fan_in", "truncated_normal")
