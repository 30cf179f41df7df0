from typing import Any

import keras
import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.models.transformer import vit
from parts.models.model_helpers import Array, dense, inputs_of, layer_normalized, layers, randomize

SMALL: dict[str, Any] = {"width": 8, "depth": 2, "heads": 2}


def tanh() -> Any:
    return keras.layers.Activation("tanh")


def patches_of(images: Array, size: int) -> Array:
    """Cuts images [batch, height, width, channels] into flat patches, row by row."""
    rows, columns = images.shape[1] // size, images.shape[2] // size
    return np.stack(
        [
            images[:, i * size : (i + 1) * size, j * size : (j + 1) * size].reshape(len(images), -1)
            for i in range(rows)
            for j in range(columns)
        ],
        axis=1,
    )


def attended(values: Array, layer: Any) -> Array:
    """Softmax attention of A. Vaswani et al., 2017, one head after the other."""
    query, q, key, k, value, v, out, o = (np.asarray(w, np.float64) for w in layer.get_weights())
    result = np.zeros_like(values) + o
    for head in range(query.shape[1]):
        queries = values @ query[:, head] + q[head]
        keys = values @ key[:, head] + k[head]
        scores = np.exp(queries @ keys.transpose(0, 2, 1) / np.sqrt(query.shape[2]))
        weights = scores / scores.sum(-1, keepdims=True)
        result += weights @ (values @ value[:, head] + v[head]) @ out[head]
    return result


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (4, 12, 2)])
def test_output_shapes(shape: tuple[int, ...]) -> None:
    model = vit(shape, 10, keras.layers.ReLU, **SMALL)
    assert model.input_shape == (None, *shape)
    assert model(inputs_of(shape)).shape == (3, 10)


def test_outputs_follow_the_formulas_of_the_paper() -> None:
    model = vit([4, 6, 3], 5, tanh, patch_size=2, mlp_ratio=3, dropout=0.5, **SMALL)
    randomize(model)
    (embedding,) = layers(model, keras.layers.EinsumDense)
    norms = layers(model, keras.layers.LayerNormalization)
    attentions = layers(model, keras.layers.MultiHeadAttention)
    for attention in attentions:  # far from uniform, so that queries and keys matter
        attention.set_weights([4 * weights for weights in attention.get_weights()])
    *maps, last = layers(model, keras.layers.Dense)

    inputs = inputs_of((4, 6, 3))
    hidden = dense(patches_of(inputs.astype(np.float64), 2), embedding)
    for _ in range(2):
        hidden = hidden + attended(layer_normalized(hidden, norms.pop(0)), attentions.pop(0))
        wide = np.tanh(dense(layer_normalized(hidden, norms.pop(0)), maps.pop(0)))
        assert wide.shape == (3, 6, 24)
        hidden = hidden + dense(wide, maps.pop(0))
    hidden = layer_normalized(hidden, norms.pop(0))
    assert maps == norms == attentions == []
    expected = dense(hidden.mean(axis=1), last)
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-3, atol=1e-4)


def test_patch_position_matters_by_its_embedding_alone() -> None:
    model = vit([8, 8, 1], 3, tanh, **SMALL)
    images = inputs_of((8, 8, 1))
    exchanged = np.concatenate([images[:, 4:], images[:, :4]], axis=1)
    assert np.abs(model(images) - model(exchanged)).max() > 1e-4

    (embedding,) = layers(model, keras.layers.EinsumDense)
    kernel, positions = embedding.get_weights()
    # Random, and small compared with the contents of a patch.
    assert positions.shape == (4, 8)
    assert 0.01 < positions.std() < 0.03
    embedding.set_weights([kernel, np.zeros_like(positions)])
    np.testing.assert_allclose(model(images), model(exchanged), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "channels", "patch", "width", "depth", "heads", "ratio"),
    [(8, 1, 4, 64, 4, 4, 2), (32, 3, 4, 6, 1, 3, 4), (6, 2, 3, 5, 2, 1, 1)],
)
def test_parameters_follow_the_formula(
    side: int, channels: int, patch: int, width: int, depth: int, heads: int, ratio: int
) -> None:
    model = vit(
        [side, side, channels],
        7,
        keras.layers.ReLU,
        patch_size=patch,
        width=width,
        depth=depth,
        heads=heads,
        mlp_ratio=ratio,
    )
    norm, wide = 2 * width, ratio * width
    attention = 4 * (width * width + width)
    mlp = width * wide + wide + wide * width + width
    embedding = patch * patch * channels * width + (side // patch) ** 2 * width
    logits = width * 7 + 7
    expected = embedding + depth * (2 * norm + attention + mlp) + norm + logits
    assert model.count_params() == expected
    assert {layer.num_heads for layer in layers(model, keras.layers.MultiHeadAttention)} == {heads}
    assert len(layers(model, keras.layers.ReLU)) == depth


def test_dropout_is_in_all_places_if_set() -> None:
    images = inputs_of((8, 8, 1))
    without = vit([8, 8, 1], 3, tanh, **SMALL)
    np.testing.assert_array_equal(without(images, training=True), without(images, training=False))
    assert layers(without, keras.layers.Dropout) == []

    model = vit([8, 8, 1], 3, tanh, dropout=0.4, **SMALL)
    # The embeddings; in each block the attention output, the hidden layer and the MLP output.
    assert [layer.rate for layer in layers(model, keras.layers.Dropout)] == [0.4] * 7
    assert {a.dropout for a in layers(model, keras.layers.MultiHeadAttention)} == {0.4}
    assert np.abs(model(images, training=True) - model(images, training=True)).max() > 0


@pytest.mark.parametrize(
    ("shape", "patch_size", "message"),
    [
        ((10, 15, 1), 4, r"model\.patch_size=4: .* 10x15 pixels; these do: 1, 5\."),
        ((8, 8, 1), 3, r"model\.patch_size=3: .* 8x8 pixels; these do: 1, 2, 4, 8\."),
        ((8, 8, 1), 16, r"model\.patch_size=16: .* these do: 1, 2, 4, 8\."),
    ],
)
def test_patches_that_do_not_divide_an_image_are_refused(
    shape: tuple[int, int, int], patch_size: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        vit(shape, 10, keras.layers.ReLU, patch_size=patch_size)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"heads": 3}, r"model\.heads=3: does not divide model\.width=64; these do: 1, 2, 4, 8"),
        ({"heads": 0}, r"model\.heads=0: expected a whole number of at least 1"),
        ({"width": -64}, r"model\.width=-64"),
        ({"depth": 0}, r"model\.depth=0"),
        ({"depth": "4"}, r"model\.depth=4"),
        ({"patch_size": 0}, r"model\.patch_size=0"),
        ({"mlp_ratio": 0}, r"model\.mlp_ratio=0"),
        ({"dropout": 1.0}, r"model\.dropout=1\.0"),
    ],
)
def test_arguments_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        vit([8, 8, 1], 2, tanh, **option)


def test_inputs_that_are_not_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"model=vit needs images .* \(64,\)"):
        vit([64], 10, keras.layers.ReLU)
