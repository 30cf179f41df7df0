from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from expt.parts.data.augmentation import Augmentation
from expt.train.input.augment import augment
from expt.train.input.batch import Batch
from train.train_helpers import Array

SHAPES = [(8, 8, 1), (5, 9, 3), (9, 4, 3)]
ALL: dict[str, Any] = {"flip": True, "shift": 2, "crop": 0.7, "cutout": 3, "mixup": 0.4}
each_operation = pytest.mark.parametrize("how", [{key: value} for key, value in ALL.items()])


def make_images(shape: tuple[int, ...], size: int = 300) -> Array:
    """Returns images without pixels of 0, none of which equals its mirror image."""
    return np.random.default_rng(0).uniform(0.1, 1, (size, *shape)).astype(np.float32)


def changed(images: NDArray[Any], seed: int = 0, step: int = 0, **how: Any) -> Batch:
    targets = tf.range(len(images))
    batch = Batch(tf.constant(images), targets)
    return augment(batch, Augmentation(**how), seed, tf.constant(step))


def images_of(images: Array, seed: int = 0, step: int = 0, **how: Any) -> Array:
    found: Array = changed(images, seed, step, **how).inputs.numpy()
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    return found


def test_default_augmentation_changes_nothing() -> None:
    images = make_images((8, 8, 1))
    batch = changed(images, flip=False, shift=0, crop=1.0, cutout=0, mixup=0.0)
    np.testing.assert_array_equal(batch.inputs, images)
    assert batch.mixed_targets is None
    assert batch.mixed_share is None


@pytest.mark.parametrize("shape", SHAPES)
def test_flip_mirrors_half_of_the_images(shape: tuple[int, ...]) -> None:
    images = make_images(shape)
    mirrored = []
    for before, after in zip(images, images_of(images, flip=True), strict=True):
        mirrored.append((after == before[:, ::-1]).all())
        assert mirrored[-1] or (after == before).all()
    assert 0.4 < np.mean(mirrored) < 0.6


def shifted(image: Array, down: int, right: int) -> Array:
    """Returns an image shifted by up to two pixels and filled with zeros."""
    height, width, _ = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    return padded[2 - down : 2 - down + height, 2 - right : 2 - right + width]


@pytest.mark.parametrize("shape", SHAPES)
def test_shift_moves_images_along_both_axes_in_both_directions(shape: tuple[int, ...]) -> None:
    images, moves = make_images(shape), list(product(range(-2, 3), repeat=2))
    found = []
    for before, after in zip(images, images_of(images, shift=2), strict=True):
        fitting = [move for move in moves if (shifted(before, *move) == after).all()]
        assert len(fitting) == 1
        found += fitting
    assert set(found) == set(moves)


def test_shift_may_be_larger_than_the_image() -> None:
    found = images_of(make_images((3, 2, 1)), shift=5)
    assert np.isfinite(found).all()
    assert (found == 0).all(axis=(1, 2, 3)).any()


def ramps(shape: tuple[int, ...], size: int) -> Array:
    """Returns images whose channels are the row of a pixel, its column, and 1."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([rows, columns, np.ones(shape[:2])], axis=-1).astype(np.float32)
    return np.repeat(image[None], size, axis=0)


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (9, 4)])
@pytest.mark.parametrize("crop", [0.5, 0.8])
def test_crop_is_an_enlarged_part_of_the_image(shape: tuple[int, ...], crop: float) -> None:
    """A linear ramp stays linear; its slope is the side of the crop."""
    height, width = shape
    found = images_of(ramps(shape, 400), crop=crop)
    corners = [found[:, row, column, :2] for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1))]
    sides = (corners[3] - corners[0]) / [height - 1, width - 1]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], atol=1e-5)
    assert (sides > crop - 1e-5).all()
    assert (sides < 1 + 1e-5).all()
    assert sides.min() < crop + 0.03
    assert sides.max() > 0.97
    down, right = np.mgrid[:height, :width]
    for image, side, first in zip(found, sides, corners[0], strict=True):
        np.testing.assert_allclose(image[..., 0], first[0] + side[0] * down, atol=1e-4)
        np.testing.assert_allclose(image[..., 1], first[1] + side[1] * right, atol=1e-4)
    # The crop is anywhere in the image, and never extends beyond it.
    assert (found[..., 2] > 1 - 1e-5).all()
    room = (1 - sides) * [height - 1, width - 1]
    places = corners[0] / np.maximum(room, 1e-6)
    wide = room.min(axis=1) > 0.1
    assert (places[wide] > -1e-3).all()
    assert (places[wide] < 1 + 1e-3).all()
    assert (places[wide].min(axis=0) < 0.1).all()
    assert (places[wide].max(axis=0) > 0.9).all()
    assert abs(np.corrcoef(places[wide].T)[0, 1]) < 0.3


@pytest.mark.parametrize("shape", SHAPES)
def test_crop_has_no_values_outside_the_range_of_the_image(shape: tuple[int, ...]) -> None:
    images = make_images(shape)
    for before, after in zip(images, images_of(images, crop=0.5), strict=True):
        assert before.min() - 1e-6 <= after.min()
        assert after.max() <= before.max() + 1e-6


def squares(height: int, width: int, side: int) -> Iterator[tuple[tuple[int, int], Any]]:
    """Yields each pixel, and the mask of the square around it."""
    for row, column in product(range(height), range(width)):
        mask = np.zeros((height, width), bool)
        top, left = row - side // 2, column - side // 2
        mask[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = True
        yield (row, column), mask


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [1, 2, 3])
def test_cutout_is_a_square_around_any_pixel(shape: tuple[int, ...], side: int) -> None:
    images, centres = make_images(shape, size=600), set()
    masks = {mask.tobytes(): center for center, mask in squares(shape[0], shape[1], side)}
    for before, after in zip(images, images_of(images, cutout=side), strict=True):
        is_cut = (after == 0).all(axis=-1)
        centres.add(masks[is_cut.tobytes()])
        np.testing.assert_array_equal(after, np.where(is_cut[..., None], 0, before))
    assert len(centres) > 0.95 * shape[0] * shape[1]


MEAN, DEVIATION = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.3, 2.0])


@pytest.mark.parametrize("how", [*({key: value} for key, value in ALL.items()), ALL])
def test_augmentation_before_and_after_standardization_are_equal(how: dict[str, Any]) -> None:
    """The sources standardize first and then fill with zeros; here the model standardizes."""
    images, step = make_images((9, 7, 3), 50).astype(np.float64), tf.constant(4)

    def change(inputs: NDArray[np.float64], fill: Any) -> NDArray[np.float64]:
        batch = Batch(tf.constant(inputs), tf.range(50))
        found: NDArray[np.float64] = augment(batch, Augmentation(**how), 3, step, fill).inputs
        return np.asarray(found)

    after = (change(images, MEAN) - MEAN) / DEVIATION
    np.testing.assert_allclose(after, change((images - MEAN) / DEVIATION, 0.0), atol=1e-12)


def test_cutout_equals_that_of_its_source() -> None:
    """Compared with NumPy: standardized images with a square of zeros."""
    images = make_images((8, 6, 3), 100)
    batch = Batch(tf.constant(images), tf.range(100))
    fill = tf.constant(MEAN, tf.float32)
    found = augment(batch, Augmentation(cutout=4), 0, tf.constant(0), fill).inputs.numpy()
    masks = [mask for _, mask in squares(8, 6, 4)]
    for image, after in zip((images - MEAN) / DEVIATION, (found - MEAN) / DEVIATION, strict=True):
        expected = [np.where(mask[..., None], 0.0, image) for mask in masks]
        assert min(np.abs(after - one).max() for one in expected) < 1e-6


@pytest.mark.parametrize("key", ["shift", "cutout"])
def test_without_standardization_pixels_are_blanked_with_0(key: str) -> None:
    images = make_images((6, 7, 1), 50)
    found = images_of(images, **{key: 3})
    assert set(found[~np.isin(found, images)].tolist()) == {0.0}


@each_operation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 7, 1), (1, 5, 3), (4, 1, 1), (1, 1, 3)])
def test_inputs_keep_their_type_and_precision(
    how: dict[str, Any], dtype: Any, shape: tuple[int, ...]
) -> None:
    """The values would be equal in float32: 10^9 plus a thousandth of the other images."""
    images = make_images(shape, 30).astype(dtype)
    fill = tf.constant(np.full(shape[-1], 0.5), dtype)

    def change(inputs: Any, fill: Any) -> Any:
        batch = Batch(tf.constant(inputs), tf.range(30))
        return augment(batch, Augmentation(**how), 0, tf.constant(0), fill).inputs.numpy()

    found = change(images, fill)
    assert (found.dtype, found.shape) == (dtype, images.shape)
    if dtype == np.float64:
        shifted = change(1e9 + images / 1000, 1e9 + fill / 1000)
        np.testing.assert_allclose((shifted - 1e9) * 1000, found, atol=1e-3)


@each_operation
def test_batch_may_have_one_example(how: dict[str, Any]) -> None:
    assert np.isfinite(images_of(make_images((6, 7, 3), 1), **how)).all()


@pytest.mark.parametrize("side", [12, 17, 9999])
def test_cutout_may_be_larger_than_the_image(side: int) -> None:
    images = make_images((6, 7, 1), 60)
    found = images_of(images, cutout=side)
    assert ((found == 0) | (found == images)).all()
    assert (found == 0).all() == (side >= 14)


@pytest.mark.parametrize("shape", [(4,), (6, 5, 3)])
@pytest.mark.parametrize("size", [6, 7])
def test_mixup_mixes_inputs_and_pairs_their_targets(shape: tuple[int, ...], size: int) -> None:
    inputs = make_images(shape, size)
    batch = changed(inputs, mixup=0.4)
    assert batch.mixed_targets is not None
    assert batch.mixed_share is not None
    assert batch.targets.numpy().tolist() == list(range(size))
    shares = batch.mixed_share.numpy()
    assert shares.shape == (size,)
    for index, (partner, share) in enumerate(zip(batch.mixed_targets.numpy(), shares, strict=True)):
        expected = (1 - share) * inputs[index] + share * inputs[partner]
        np.testing.assert_allclose(batch.inputs[index], expected, rtol=1e-5)
    assert sorted(batch.mixed_targets.numpy().tolist()) == list(range(size))


def shares_of(alpha: float, size: int, step: int = 0) -> NDArray[np.float64]:
    """Returns the shares with which the examples of a batch are mixed."""
    shares = changed(np.zeros((size, 1), np.float32), step=step, mixup=alpha).mixed_share
    assert shares is not None
    found: NDArray[np.float64] = shares.numpy().astype(np.float64)
    return found


BOUNDS = [1e-30, 1e-6, 0.01, 0.1, 0.3, 0.4, 0.48, 0.5, 0.52, 0.6, 0.7, 0.9, 0.99, 1 - 1e-6]


@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 0.01, 0.1, 0.2, 1, 10, 1000])
def test_mixup_share_has_the_beta_distribution(alpha: float) -> None:
    """The fractions below some bounds, and between 0.4 and 0.6, are within five deviations.

    That of a fraction p of n draws is √(p(1 - p)/n): the seed is fixed, and of a million such
    comparisons of right draws one would fail.
    """
    size, expected = 40_000, stats.beta(alpha, alpha).cdf
    found = shares_of(alpha, size)
    counted = [(np.mean(found <= bound), expected(bound)) for bound in BOUNDS]
    middle = np.mean((found > 0.4) & (found < 0.6))
    counted.append((middle, expected(0.6) - expected(0.4)))
    for fraction, probability in counted:
        deviation = np.sqrt(probability * (1 - probability) / size)
        assert abs(fraction - probability) < 5 * deviation + 1 / size
    # Where float32 resolves the whole distribution: the Kolmogorov-Smirnov distance.
    if alpha >= 1:
        assert stats.kstest(found, expected).pvalue > 1e-3


def test_a_small_alpha_mixes_almost_nothing_half_and_half() -> None:
    found = shares_of(0.01, 20_000)
    assert np.mean((found > 0.4) & (found < 0.6)) < 0.006  # P = 0.0040
    assert np.mean((found < 0.01) | (found > 0.99)) > 0.94  # P = 0.955


@given(st.floats(5e-324, 1.7e308))
@settings(max_examples=40)
def test_every_alpha_yields_valid_shares(alpha: float) -> None:
    found = shares_of(alpha, 200)
    assert ((found >= 0) & (found <= 1)).all()
    assert abs(found.mean() - 0.5) < 0.2  # five deviations where all are 0 or 1


def test_alpha_may_be_an_integer() -> None:
    np.testing.assert_array_equal(shares_of(2, 50), shares_of(2.0, 50))


def test_steps_draw_independent_shares() -> None:
    one, other = shares_of(0.5, 4000, step=0), shares_of(0.5, 4000, step=1)
    for first, second in ((one, other), (one[1:], one[:-1])):
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("alpha", [1e-4, 0.3])
def test_mixing_equal_inputs_changes_no_bit(alpha: float) -> None:
    inputs = np.full((500, 1), 0.1, np.float32)
    np.testing.assert_array_equal(changed(inputs, mixup=alpha).inputs, inputs)


def test_share_of_1_yields_the_bits_of_the_partner() -> None:
    inputs = np.random.default_rng(0).standard_normal((300, 4)) * np.logspace(-20, 20, 300)[:, None]
    batch = changed(inputs, mixup=1e-6)
    assert batch.mixed_targets is not None
    assert batch.mixed_share is not None
    is_other = batch.mixed_share.numpy() == 1
    assert 0.3 < is_other.mean() < 0.7
    np.testing.assert_array_equal(batch.inputs[is_other], inputs[batch.mixed_targets[is_other]])
    np.testing.assert_array_equal(batch.inputs[~is_other], inputs[~is_other])


@pytest.mark.parametrize("size", [2, 3, 7])
def test_mixup_never_mixes_an_example_with_itself(size: int) -> None:
    batch = changed(make_images((4,), size), mixup=1.0)
    assert batch.mixed_targets is not None
    assert (batch.mixed_targets.numpy() != batch.targets.numpy()).all()


def test_mixup_mixes_targets_that_are_values() -> None:
    """As ỹ in the paper: a mix of two absolute errors has no minimum at the mixed target."""
    inputs = make_images((4,), 60)
    targets = np.stack([inputs.sum(axis=1), 1e12 * inputs[:, 0]], axis=1).astype(np.float64)
    batch = Batch(tf.constant(inputs.astype(np.float64)), tf.constant(targets))
    mixed = augment(batch, Augmentation(mixup=1.0), 0, tf.constant(0))
    assert mixed.targets.dtype == tf.float64
    assert mixed.mixed_targets is None
    assert mixed.mixed_share is None
    # The targets are linear in the inputs, also after mixing.
    found = mixed.inputs.numpy()
    assert not np.allclose(found, inputs)
    np.testing.assert_allclose(mixed.targets[:, 0], found.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(mixed.targets[:, 1], 1e12 * found[:, 0], rtol=1e-6)


def test_mixup_weights_each_target_as_its_example() -> None:
    """Σ (1 - λ) w_i l(y_i) + λ w_j l(y_j), over the weights, for a loss of 1 or 0."""
    inputs = np.arange(40, dtype=np.float32)[:, None]
    weights = np.random.default_rng(0).uniform(0.1, 10, 40).astype(np.float32)
    batch = Batch(tf.constant(inputs), tf.range(40), tf.constant(weights))
    mixed = augment(batch, Augmentation(mixup=1.0), 0, tf.constant(0))
    assert mixed.mixed_targets is not None
    assert mixed.mixed_share is not None
    assert mixed.weights is not None
    others, in_loss = mixed.mixed_targets.numpy(), mixed.mixed_share.numpy()
    share = (mixed.inputs.numpy()[:, 0] - np.arange(40)) / (others - np.arange(40))
    assert ((share > 0) & (share < 1)).all()
    np.testing.assert_allclose(mixed.weights * in_loss, share * weights[others], rtol=1e-3)
    np.testing.assert_allclose(mixed.weights * (1 - in_loss), (1 - share) * weights, rtol=1e-3)


def test_masked_examples_are_not_mixed_into_others() -> None:
    inputs, weights = np.ones((20, 3), np.float32), np.ones(20, np.float32)
    inputs[::3], weights[::3] = 1000, 0
    batch = Batch(tf.constant(inputs), tf.range(20), tf.constant(weights))
    mixed = augment(batch, Augmentation(mixup=1.0), 0, tf.constant(0))
    np.testing.assert_array_equal(mixed.inputs, inputs)
    np.testing.assert_array_equal(mixed.weights, weights)
    assert mixed.mixed_share is not None
    is_apart = (weights == 0) | (np.roll(weights, 1) == 0)
    np.testing.assert_array_equal(mixed.mixed_share.numpy() == 0, is_apart)


@each_operation
def test_augmentation_depends_only_on_seed_and_step(how: dict[str, Any]) -> None:
    images = make_images((6, 7, 3), size=40)
    first = images_of(images, 5, 9, **how)
    tf.random.set_seed(1)
    np.testing.assert_array_equal(images_of(images, 5, 9, **how), first)
    for seed, step in ((5, 10), (6, 9), (9, 5), (2**32 - 1, 9)):
        assert not np.array_equal(images_of(images, seed, step, **how), first)


@each_operation
def test_each_example_is_changed_differently(how: dict[str, Any]) -> None:
    image = make_images((6, 7, 3), size=1)
    batch = np.concatenate([np.repeat(image, 20, axis=0), np.repeat(image / 2, 20, axis=0)])
    found = images_of(batch, **how)
    assert len({one.tobytes() for one in found[:20]}) > 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", [*({key: value} for key, value in ALL.items()), ALL])
def test_graph_and_eager_augmentation_are_bit_equal(
    shape: tuple[int, ...], how: dict[str, Any]
) -> None:
    images = make_images(shape, size=10)

    def change(step: tf.Tensor) -> tf.Tensor:
        targets = tf.range(len(images))
        return augment(Batch(tf.constant(images), targets), Augmentation(**how), 3, step).inputs

    in_graph: Callable[[tf.Tensor], tf.Tensor] = tf.function(change)
    for step in (0, 1, 100_000):
        plain = images_of(images, 3, step, **how)
        np.testing.assert_array_equal(in_graph(tf.constant(step)), plain)


def test_operations_draw_independent_random_numbers() -> None:
    """The changes by one operation are independent of those by another."""
    images = make_images((8, 8, 1))
    flipped = images_of(images, flip=True)
    is_flipped = (flipped != images).any(axis=(1, 2, 3))
    both = images_of(images, flip=True, shift=1)
    moves = list(product(range(-1, 2), repeat=2))
    rights = [
        next(right for down, right in moves if (shifted(before, down, right) == after).all())
        for before, after in zip(flipped, both, strict=True)
    ]
    assert abs(np.corrcoef(is_flipped, rights)[0, 1]) < 0.2
