"""Augmentation: random changes to training inputs, inside the step's graph.

All randomness is a pure function of (seed, step), so that a resumed run changes the same inputs in
the same way.
"""

import tensorflow as tf

from expt.parts.data.dataset import Augmentation
from expt.train.batch import Batch


def augmented(batch: Batch, how: Augmentation, seed: int, step: tf.Tensor) -> Batch:
    """Returns a batch changed as the data's config says.

    Args:
        batch: Images of shape [batch, height, width, channels], or for mixup anything.
        how: What to do.
        seed: The run's seed.
        step: The step's number, counted from 0, int32.
    """
    images, draw = batch.inputs, _Draw(seed, step)
    if how.crop < 1:
        images = _cropped(images, how.crop, draw)
    if how.flip:
        mirrored = draw.uniform((images.shape[0], 1, 1, 1)) < 0.5
        images = tf.where(mirrored, tf.reverse(images, axis=[2]), images)
    if how.shift > 0:
        images = _shifted(images, how.shift, draw)
    if how.cutout > 0:
        images = _cut_out(images, how.cutout, draw)
    batch = batch._replace(inputs=images)
    return _mixed(batch, how.mixup, draw) if how.mixup > 0 else batch


class _Draw:
    """Random numbers of one step; each call is a stream of its own."""

    def __init__(self, seed: int, step: tf.Tensor) -> None:
        self._seed = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
        self._calls = 0

    def _next_seed(self) -> tf.Tensor:
        self._calls += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._calls)

    def uniform(self, shape: tuple[int, ...], least: float = 0.0, below: float = 1.0) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, self._next_seed(), least, below)

    def whole(self, shape: tuple[int, ...], least: int, most: int) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, self._next_seed(), least, most + 1, tf.int32)

    def gamma(self, shape: tuple[int, ...], alpha: float) -> tf.Tensor:
        return tf.random.stateless_gamma(shape, self._next_seed(), alpha)


def _cropped(images: tf.Tensor, least: float, draw: _Draw) -> tf.Tensor:
    """Cuts out a part of `least` to all of the sides, and enlarges it, bilinearly."""
    count, height, width, _ = images.shape
    side = draw.uniform((count,), least, 1.0)
    top, left = (draw.uniform((count,)) * (1 - side) for _ in range(2))
    boxes = tf.stack([top, left, top + side, left + side], axis=1)
    return tf.image.crop_and_resize(images, boxes, tf.range(count), (height, width))


def _shifted(images: tf.Tensor, most: int, draw: _Draw) -> tf.Tensor:
    """Moves each image by up to `most` pixels along both axes; zeros move in."""
    count, height, width, _ = images.shape
    padded = tf.pad(images, [(0, 0), (most, most), (most, most), (0, 0)])
    rows = draw.whole((count, 1), 0, 2 * most) + tf.range(height)
    columns = draw.whole((count, 1), 0, 2 * most) + tf.range(width)
    return tf.gather(
        tf.gather(padded, rows, axis=1, batch_dims=1),
        tf.repeat(columns[:, None], height, axis=1),
        axis=2,
        batch_dims=2,
    )


def _cut_out(images: tf.Tensor, side: int, draw: _Draw) -> tf.Tensor:
    """Sets a square to 0; its centre is any pixel, so that it may stick out.

    Source: T. DeVries, G. Taylor, arXiv:1708.04552.
    """
    count, height, width, _ = images.shape
    inside = []
    for size in (height, width):
        first = draw.whole((count, 1), 0, size - 1) - side // 2
        places = tf.range(size)
        inside.append((places >= first) & (places < first + side))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return tf.where(square[..., None], tf.zeros_like(images), images)


def _mixed(batch: Batch, alpha: float, draw: _Draw) -> Batch:
    """Mixes each example with another one of its batch, which is in random order already."""
    one, other = (draw.gamma((batch.inputs.shape[0],), alpha) for _ in range(2))
    # Two gammas make a beta; with a tiny alpha both can underflow to 0.
    share = tf.math.divide_no_nan(one, one + other)
    if batch.weights is not None:  # what is masked is of no use to others either
        share = tf.where(tf.reverse(batch.weights, axis=[0]) > 0, share, tf.zeros_like(share))
    along = tf.reshape(share, (-1, *[1] * (len(batch.inputs.shape) - 1)))
    partners = tf.reverse(batch.inputs, axis=[0])
    return batch._replace(
        inputs=(1 - along) * batch.inputs + along * partners,
        mixed_targets=tf.reverse(batch.targets, axis=[0]),
        mixed_share=share,
    )
