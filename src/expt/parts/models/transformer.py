"""Vision transformers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments, check_divides
from expt.parts.models.layers import add_dropout, check_image, make_initializer


def vit(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    patch_size: int = 4,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    mlp_ratio: int = 2,
    dropout: float = 0.0,
    initializer: Any = None,
) -> keras.Model:
    """Vision transformer: attention between the patches of an image.

    Each patch becomes a vector, x_p·E + e_p, where e_p is the learned embedding of its position.
    Each of `depth` blocks computes h ← h + attention(norm(h)) and h ← h + mlp(norm(h)), where the
    MLP has one hidden layer. A normalization, the mean over the patches and a dense layer follow.

    Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, section 3.1, with the
    mean in place of the class token (appendix D.3).

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Number of logits or values per image.
        act: Makes an activation layer; called once per block.
        patch_size: Side of a patch in pixels; must divide both sides of the image.
        width: Length of a patch's vector, at least 1.
        depth: Number of blocks, at least 1.
        heads: Number of attention heads; must divide `width`.
        mlp_ratio: Width of the MLPs' hidden layer as a multiple of `width`, at least 1.
        dropout: Fraction of the embeddings, attention weights, hidden activations and block
            outputs that is dropped in training; in [0, 1).
        initializer: Initializer of the MLPs' hidden kernels, a Keras name or object; null selects
            one that suits the activation.

    Returns:
        A model with outputs of shape [batch, num_outputs].

    Raises:
        UserError: The inputs are not images or cannot be cut into such patches, or an argument is
            out of its range.
    """
    check_image("vit", input_shape)
    sizes = {"patch_size": patch_size, "width": width, "depth": depth, "heads": heads}
    check_arguments("vit", {**sizes, "mlp_ratio": mlp_ratio, "dropout": dropout})
    size = f"an image of {input_shape[0]}x{input_shape[1]} pixels"
    check_divides("patch_size", patch_size, math.gcd(*input_shape[:2]), size)

    inputs = keras.Input(input_shape)
    hidden = add_dropout(_embedded(inputs, patch_size, width), dropout)
    for _ in range(depth):
        normed = keras.layers.LayerNormalization()(hidden)
        attention = keras.layers.MultiHeadAttention(heads, width // heads, dropout=dropout)
        attended = add_dropout(attention(normed, normed), dropout)
        hidden = keras.layers.Add()([hidden, attended])

        normed = keras.layers.LayerNormalization()(hidden)
        wide = keras.layers.Dense(
            width * mlp_ratio, kernel_initializer=make_initializer(act, initializer)
        )
        mixed = keras.layers.Dense(width)(add_dropout(act()(wide(normed)), dropout))
        hidden = keras.layers.Add()([hidden, add_dropout(mixed, dropout)])
    hidden = keras.layers.LayerNormalization()(hidden)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden), name="vit")


def _embedded(images: Any, patch_size: int, width: int) -> Any:
    """Cuts images into patches and embeds them: x_p·E + e_p, shape [batch, patches, width]."""
    rows, columns = images.shape[1] // patch_size, images.shape[2] // patch_size
    pixels = patch_size * images.shape[3]
    hidden = keras.layers.Reshape((rows, patch_size, columns, pixels))(images)
    hidden = keras.layers.Permute((1, 3, 2, 4))(hidden)
    hidden = keras.layers.Reshape((rows * columns, patch_size * pixels))(hidden)
    # The position embeddings are the bias of the projection, one per patch: without a custom layer,
    # a saved model loads with Keras alone.
    return keras.layers.EinsumDense(
        "bpi,io->bpo",
        (rows * columns, width),
        bias_axes="po",
        bias_initializer=keras.initializers.RandomNormal(stddev=0.02),
    )(hidden)
