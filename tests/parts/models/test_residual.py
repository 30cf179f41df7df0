from typing import Any

import keras
import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.models.residual import resnet
from parts.models.model_helpers import (
    Array,
    batch_normalized,
    dense,
    inputs_of,
    layers,
    randomize,
)


def tanh() -> Any:
    return keras.layers.Activation("tanh")


def convolved(images: Array, kernel: Array, strides: int) -> Array:
    """A convolution whose output has ⌈side / strides⌉ pixels a side."""
    size = kernel.shape[0]
    pads = []
    for side in images.shape[1:3]:
        total = max((-(-side // strides) - 1) * strides + size - side, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(images, [(0, 0), *pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.asarray(np.einsum("bhwcij,ijcd->bhwd", windows[:, ::strides, ::strides], kernel))


def counts(model: keras.Model) -> tuple[int, int]:
    """Numbers of trainable parameters: of the convolutions and logits, and of all."""
    weights = [
        w for w in model.trainable_weights if w.path.rpartition("/")[2] in ("kernel", "bias")
    ]
    return (
        sum(int(np.prod(w.shape)) for w in weights),
        sum(int(np.prod(w.shape)) for w in model.trainable_weights),
    )


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (7, 5, 2)])
def test_output_shapes(shape: tuple[int, ...]) -> None:
    model = resnet(shape, 10, keras.layers.ReLU, depth=8, width=4)
    assert model.input_shape == (None, *shape)
    assert model(inputs_of(shape)).shape == (3, 10)


def test_outputs_follow_the_formulas_of_the_paper() -> None:
    model = resnet([9, 8, 2], 3, tanh, depth=8, width=2)
    randomize(model)
    convolutions = layers(model, keras.layers.Conv2D)
    pointwise = [layer for layer in convolutions if layer.kernel_size == (1, 1)]
    wide = [layer for layer in convolutions if layer.kernel_size == (3, 3)]
    norms = layers(model, keras.layers.BatchNormalization)

    def applied(values: Array, layer: Any, strides: int = 1) -> Array:
        (norm,) = (norm for norm in norms if norm.input is layer.output)
        (kernel,) = layer.get_weights()
        return batch_normalized(convolved(values, kernel, strides), norm)

    inputs = inputs_of((9, 8, 2))
    hidden = np.tanh(applied(inputs.astype(np.float64), wide.pop(0)))
    for stage in range(3):
        strides = 1 if stage == 0 else 2
        shortcut = hidden if stage == 0 else applied(hidden, pointwise.pop(0), strides)
        hidden = np.tanh(applied(hidden, wide.pop(0), strides))
        hidden = np.tanh(applied(hidden, wide.pop(0)) + shortcut)
    assert wide == pointwise == []
    (last,) = layers(model, keras.layers.Dense)
    expected = dense(hidden.mean(axis=(1, 2)), last)
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-3, atol=1e-4)


def test_resnet_20_has_the_known_number_of_parameters() -> None:
    # 0.27 million, as in the paper: its table 6.
    model = resnet([32, 32, 3], 10, keras.layers.ReLU, depth=20, width=16)
    assert counts(model)[1] == 272_474


@pytest.mark.parametrize(("depth", "width", "channels"), [(8, 3, 1), (14, 4, 3)])
def test_parameters_follow_depth_and_width(depth: int, width: int, channels: int) -> None:
    model = resnet([8, 8, channels], 7, keras.layers.ReLU, depth=depth, width=width)
    n = (depth - 2) // 6
    a, b, c = width, 2 * width, 4 * width
    kernels = 9 * (channels * a + 2 * n * a * a)
    kernels += 9 * (a * b + (2 * n - 1) * b * b) + a * b
    kernels += 9 * (b * c + (2 * n - 1) * c * c) + b * c
    logits = c * 7 + 7
    norms = 2 * ((2 * n + 1) * a + (2 * n + 1) * b + (2 * n + 1) * c)
    assert counts(model) == (kernels + logits, kernels + logits + norms)
    # Two for each block and one at the start.
    assert len(layers(model, keras.layers.ReLU)) == 6 * n + 1
    assert layers(model, keras.layers.Conv2D)[0].filters == width


def test_penalty_is_on_all_kernels_and_nothing_else() -> None:
    model = resnet([8, 8, 1], 3, tanh, depth=8, width=2, l2=0.01)
    randomize(model)
    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 10  # seven, two shortcuts, the logits
    expected = 0.01 * sum((kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert resnet([8, 8, 1], 3, tanh, depth=8, width=2).losses == []


@pytest.mark.parametrize("depth", [2, 18, 21, 50 - 1, 101])
def test_depths_without_whole_blocks_are_refused(depth: int) -> None:
    with pytest.raises(UserError, match=rf"model\.depth={depth}: .* 8, 14, 20, .*32, .*44, .*56"):
        resnet([8, 8, 1], 10, keras.layers.ReLU, depth=depth)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": "20"}, r"model\.depth=20: expected a whole number"),
        ({"depth": -4}, r"model\.depth=-4"),
        ({"width": 0}, r"model\.width=0: expected a whole number of at least 1"),
        ({"width": 1.5}, r"model\.width=1\.5"),
        ({"l2": -1}, r"model\.l2=-1"),
    ],
)
def test_arguments_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resnet([8, 8, 1], 2, tanh, **option)


def test_inputs_that_are_not_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"model=resnet needs images .* \(64,\)"):
        resnet([64], 10, keras.layers.ReLU)
