"""Augmentation: random changes to training inputs, computed inside the graph of the step.

All random numbers are a pure function of (seed, step), so that a resumed run changes the same
inputs in the same way. Inputs keep their type: float64 inputs may not fit in float32.
"""

import tensorflow as tf

from expt.parts.data.augmentation import Augmentation
from expt.train.input.batch import Batch


def augment(
    batch: Batch,
    augmentation: Augmentation,
    seed: int,
    step: tf.Tensor,
    fill: tf.Tensor | float = 0.0,
) -> Batch:
    """Returns a randomly changed batch.

    Args:
        batch: Images, shape [batch, height, width, channels]; for mixup alone, any inputs.
        augmentation: The changes, as the config of the data names them.
        seed: The seed of the run.
        step: The number of the step, counted from 0, int32.
        fill: The value of pixels that `shift` and `cutout` blank: one number, or one per channel.
    """
    images, draw = batch.inputs, _RandomNumbers(seed, step)
    # In a fixed order, as each call draws from the next stream: another order changes results.
    if augmentation.crop < 1:
        images = _crop(images, augmentation.crop, draw)
    if augmentation.flip:
        mirrored = draw.uniform((images.shape[0], 1, 1, 1)) < 0.5
        images = tf.where(mirrored, tf.reverse(images, axis=[2]), images)
    if augmentation.shift > 0:
        images = _shift(images, augmentation.shift, fill, draw)
    if augmentation.cutout > 0:
        images = _cut_out(images, augmentation.cutout, fill, draw)
    batch = batch._replace(inputs=images)
    return _mix(batch, augmentation.mixup, draw) if augmentation.mixup > 0 else batch


class _RandomNumbers:
    """The random numbers of one step; each call draws from a separate stream."""

    def __init__(self, seed: int, step: tf.Tensor) -> None:
        self._seed = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
        self._calls = 0

    def _next_seed(self) -> tf.Tensor:
        self._calls += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._calls)

    def uniform(
        self,
        shape: tuple[int, ...],
        least: float = 0.0,
        below: float = 1.0,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, self._next_seed(), least, below, dtype)

    def integers(self, shape: tuple[int, ...], least: int, most: int) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, self._next_seed(), least, most + 1, tf.int32)

    def beta(self, shape: tuple[int, ...], alpha: float) -> tf.Tensor:
        """Draws from Beta(α, α), float64, for any α > 0.

        A value is X / (X + Y) = sigmoid(log X - log Y) with X and Y from Gamma(α). Both underflow
        for small α, so log X = log G + log(U) / α is drawn instead, with G from Gamma(α + 1) and
        U uniform. Source: G. Marsaglia, W. W. Tsang, "A simple method for generating gamma
        variables", ACM TOMS 26 (2000), section 6.
        """
        gammas, powers = [], []
        for _ in range(2):
            shape_above_1 = tf.constant(alpha + 1, tf.float64)
            gamma = tf.random.stateless_gamma(
                shape, self._next_seed(), shape_above_1, dtype=tf.float64
            )
            gammas.append(tf.math.log(gamma))
            # 1 - U is in (0, 1], so that the logarithm is finite.
            powers.append(tf.math.log(1 - self.uniform(shape, dtype=tf.float64)))
        # TensorFlow's graph optimizer replaces a division by alpha with this product, whose bits
        # differ; eager mode would not. Limited, because 1 / alpha can overflow.
        inverse = min(1 / alpha, 1e300)
        return tf.sigmoid(gammas[0] - gammas[1] + (powers[0] - powers[1]) * inverse)


def _crop(images: tf.Tensor, least: float, draw: _RandomNumbers) -> tf.Tensor:
    """Crops a random fraction from `least` to 1 of both sides, and resizes it bilinearly."""
    count, height, width, _ = images.shape
    side = draw.uniform((count, 1), least, 1.0)
    for size in (height, width):
        start = draw.uniform((count, 1)) * (1 - side)
        positions = (start + side * tf.linspace(0.0, 1.0, size)) * (size - 1)
        # Along the second axis: that of the rows in the first round, of the columns in the second.
        images = tf.transpose(_interpolate(images, positions), (0, 2, 1, 3))
    return images


def _interpolate(images: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Interpolates images linearly between their rows.

    Args:
        images: Images, shape [batch, rows, columns, channels].
        positions: The positions of the new rows, in rows, float32 of shape [batch, positions].

    Returns:
        Images of the same type, shape [batch, positions, columns, channels].
    """
    # Not `tf.image.crop_and_resize`, which returns float32 for any input.
    last = images.shape[1] - 1
    above = tf.clip_by_value(tf.cast(tf.floor(positions), tf.int32), 0, last)
    below = tf.minimum(above + 1, last)
    fraction = tf.cast(positions - tf.cast(above, tf.float32), images.dtype)[..., None, None]
    first, second = (tf.gather(images, rows, axis=1, batch_dims=1) for rows in (above, below))
    return first + fraction * (second - first)


def _shift(
    images: tf.Tensor, most: int, fill: tf.Tensor | float, draw: _RandomNumbers
) -> tf.Tensor:
    """Shifts each image by up to `most` pixels along both axes, and fills the gap with `fill`.

    If `fill` is the mean, this is the zero padding of standardized images in S. Gross, M. Wilber,
    "Training and investigating residual nets" (fb.resnet.torch), 2016.
    """
    count, channels = images.shape[0], images.shape[3]
    for size in images.shape[1:3]:
        rows = draw.integers((count, 1), -most, most) + tf.range(size)
        # Rows from outside are taken from one row of `fill`, which is appended to each image.
        rows = tf.where((rows >= 0) & (rows < size), rows, size)
        blank = tf.broadcast_to(tf.cast(fill, images.dtype), (count, 1, images.shape[2], channels))
        images = tf.gather(tf.concat([images, blank], axis=1), rows, axis=1, batch_dims=1)
        images = tf.transpose(images, (0, 2, 1, 3))
    return images


def _cut_out(
    images: tf.Tensor, side: int, fill: tf.Tensor | float, draw: _RandomNumbers
) -> tf.Tensor:
    """Sets a square of each image to `fill`; the square may extend beyond the image.

    Source: T. DeVries, G. Taylor, arXiv:1708.04552. There, squares are set to 0 after the images
    have been standardized, which is the same as setting them to the mean before.
    """
    count, height, width, _ = images.shape
    inside = []
    for size in (height, width):
        first = draw.integers((count, 1), 0, size - 1) - side // 2
        places = tf.range(size)
        inside.append((places >= first) & (places < first + side))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return tf.where(square[..., None], tf.cast(fill, images.dtype), images)


def _mix(batch: Batch, alpha: float, draw: _RandomNumbers) -> Batch:
    """Applies mixup: mixes each example i with its predecessor j in the batch.

    Inputs become x = (1 - λ) x_i + λ x_j, and likewise targets that are values. For labels, the
    losses are mixed instead: (1 - λ) w_i l(y_i) + λ w_j l(y_j), with the weights w of the examples.
    An example of weight 0 is neither mixed with others nor into them.

    Source: H. Zhang et al., arXiv:1710.09412, section 2.
    """
    # The predecessor is a random example: the batch itself is in random order.
    share = draw.beta((batch.inputs.shape[0],), alpha)
    weights, share_in_loss = batch.weights, share
    if weights is not None:
        partners = _partners(weights)
        share = tf.where((weights > 0) & (partners > 0), share, tf.zeros_like(share))
        both = [tf.cast(w, tf.float64) * s for w, s in ((weights, 1 - share), (partners, share))]
        share_in_loss = tf.math.divide_no_nan(both[1], both[0] + both[1])
        weights = tf.cast(both[0] + both[1], weights.dtype)
    batch = batch._replace(inputs=_between(batch.inputs, share), weights=weights)
    if batch.targets.dtype.is_floating:
        return batch._replace(targets=_between(batch.targets, share))
    return batch._replace(
        mixed_targets=_partners(batch.targets), mixed_share=tf.cast(share_in_loss, tf.float32)
    )


def _partners(values: tf.Tensor) -> tf.Tensor:
    return tf.roll(values, shift=1, axis=0)


def _between(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns (1 - share) · values + share · partners' values, in the type of the values."""
    # Computed from the value with the larger share, so that a share of 0 or 1 changes no bit, and
    # neither does mixing equal values.
    own = tf.range(values.shape[0])
    is_own, others = share < 0.5, _partners(own)
    near = tf.gather(values, tf.where(is_own, own, others))
    far = tf.gather(values, tf.where(is_own, others, own))
    smaller = tf.reshape(tf.minimum(share, 1 - share), (-1, *[1] * (len(values.shape) - 1)))
    return near + tf.cast(smaller, values.dtype) * (far - near)
