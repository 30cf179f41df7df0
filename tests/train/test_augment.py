from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expt.parts.data.dataset import Augmentation
from expt.train.augment import augmented
from expt.train.batch import Batch
from train.train_helpers import Array

SHAPES = [(8, 8, 1), (5, 9, 3), (9, 4, 3)]
ALL: dict[str, Any] = {"flip": True, "shift": 2, "crop": 0.7, "cutout": 3, "mixup": 0.4}
each_operation = pytest.mark.parametrize("how", [{key: value} for key, value in ALL.items()])


def make_images(shape: tuple[int, ...], size: int = 300) -> Array:
    """No pixel is 0, and no image its own mirror image."""
    return np.random.default_rng(0).uniform(0.1, 1, (size, *shape)).astype(np.float32)


def changed(images: Array, seed: int = 0, step: int = 0, **how: Any) -> Batch:
    targets = tf.range(len(images))
    batch = Batch(tf.constant(images), targets)
    return augmented(batch, Augmentation(**how), seed, tf.constant(step))


def images_of(images: Array, seed: int = 0, step: int = 0, **how: Any) -> Array:
    found: Array = changed(images, seed, step, **how).inputs.numpy()
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    return found


def test_nothing_asked_for_changes_nothing() -> None:
    images = make_images((8, 8, 1))
    batch = changed(images, flip=False, shift=0, crop=1.0, cutout=0, mixup=0.0)
    np.testing.assert_array_equal(batch.inputs, images)
    assert batch.mixed_targets is None
    assert batch.mixed_share is None


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flip_mirrors_half_of_the_images(shape: tuple[int, ...]) -> None:
    images = make_images(shape)
    mirrored = []
    for before, after in zip(images, images_of(images, flip=True), strict=True):
        mirrored.append((after == before[:, ::-1]).all())
        assert mirrored[-1] or (after == before).all()
    assert 0.4 < np.mean(mirrored) < 0.6


def shifted(image: Array, down: int, right: int) -> Array:
    """An image moved by up to two pixels; zeros move in."""
    height, width, _ = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    return padded[2 - down : 2 - down + height, 2 - right : 2 - right + width]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shift_moves_along_both_axes_and_both_ways(shape: tuple[int, ...]) -> None:
    images, moves = make_images(shape), list(product(range(-2, 3), repeat=2))
    found = []
    for before, after in zip(images, images_of(images, shift=2), strict=True):
        fitting = [move for move in moves if (shifted(before, *move) == after).all()]
        assert len(fitting) == 1
        found += fitting
    assert set(found) == set(moves)


def test_a_shift_may_be_larger_than_the_image() -> None:
    found = images_of(make_images((3, 2, 1)), shift=5)
    assert np.isfinite(found).all()
    assert (found == 0).all(axis=(1, 2, 3)).any()


def ramps(shape: tuple[int, ...], size: int) -> Array:
    """Images whose three channels are a pixel's row, its column, and 1."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([rows, columns, np.ones(shape[:2])], axis=-1).astype(np.float32)
    return np.repeat(image[None], size, axis=0)


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (9, 4)])
@pytest.mark.parametrize("crop", [0.5, 0.8])
def test_a_crop_is_a_part_of_the_image_enlarged(shape: tuple[int, ...], crop: float) -> None:
    """What was linear stays linear: its slope is the side that was cut out."""
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
    # Its place is anywhere in the image and never outside.
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
def test_a_crop_has_no_values_that_the_image_has_not(shape: tuple[int, ...]) -> None:
    images = make_images(shape)
    for before, after in zip(images, images_of(images, crop=0.5), strict=True):
        assert before.min() - 1e-6 <= after.min()
        assert after.max() <= before.max() + 1e-6


def squares(height: int, width: int, side: int) -> Iterator[tuple[tuple[int, int], Any]]:
    """Each pixel as a centre, and the mask of the square about it."""
    for row, column in product(range(height), range(width)):
        mask = np.zeros((height, width), bool)
        top, left = row - side // 2, column - side // 2
        mask[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = True
        yield (row, column), mask


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_cutout_is_a_square_about_any_pixel(shape: tuple[int, ...], side: int) -> None:
    images, centres = make_images(shape, size=600), set()
    masks = {mask.tobytes(): centre for centre, mask in squares(shape[0], shape[1], side)}
    for before, after in zip(images, images_of(images, cutout=side), strict=True):
        is_cut = (after == 0).all(axis=-1)
        centres.add(masks[is_cut.tobytes()])
        np.testing.assert_array_equal(after, np.where(is_cut[..., None], 0, before))
    assert len(centres) > 0.95 * shape[0] * shape[1]


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


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_share_has_the_beta_distribution(alpha: float) -> None:
    shares = changed(np.zeros((4000, 1), np.float32), mixup=alpha).mixed_share
    assert shares is not None
    found = shares.numpy()
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.mean() == pytest.approx(0.5, abs=0.03)
    assert found.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_a_tiny_alpha_leaves_inputs_finite() -> None:
    batch = changed(np.ones((500, 1), np.float32), mixup=1e-4)
    np.testing.assert_allclose(batch.inputs, 1.0)


def test_masked_examples_are_mixed_into_no_others() -> None:
    inputs, weights = np.ones((20, 3), np.float32), np.ones(20, np.float32)
    inputs[::3], weights[::3] = 1000, 0
    batch = Batch(tf.constant(inputs), tf.range(20), tf.constant(weights))
    mixed = augmented(batch, Augmentation(mixup=1.0), 0, tf.constant(0)).inputs.numpy()
    np.testing.assert_allclose(mixed[weights > 0], 1.0, rtol=1e-6)


@each_operation
def test_seed_and_step_alone_decide(how: dict[str, Any]) -> None:
    images = make_images((6, 7, 3), size=40)
    first = images_of(images, 5, 9, **how)
    tf.random.set_seed(1)
    np.testing.assert_array_equal(images_of(images, 5, 9, **how), first)
    for seed, step in ((5, 10), (6, 9), (9, 5), (2**32 - 1, 9)):
        assert not np.array_equal(images_of(images, seed, step, **how), first)


@each_operation
def test_each_example_is_changed_in_its_own_way(how: dict[str, Any]) -> None:
    image = make_images((6, 7, 3), size=1)
    batch = np.concatenate([np.repeat(image, 20, axis=0), np.repeat(image / 2, 20, axis=0)])
    found = images_of(batch, **how)
    assert len({one.tobytes() for one in found[:20]}) > 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", [*({key: value} for key, value in ALL.items()), ALL])
def test_a_graph_gives_the_same_bits(shape: tuple[int, ...], how: dict[str, Any]) -> None:
    images = make_images(shape, size=10)

    def change(step: tf.Tensor) -> tf.Tensor:
        targets = tf.range(len(images))
        return augmented(Batch(tf.constant(images), targets), Augmentation(**how), 3, step).inputs

    in_graph: Callable[[tf.Tensor], tf.Tensor] = tf.function(change)
    for step in (0, 1, 100_000):
        plain = images_of(images, 3, step, **how)
        np.testing.assert_array_equal(in_graph(tf.constant(step)), plain)


def test_operations_draw_numbers_of_their_own() -> None:
    """What one does at a step says nothing of what another does."""
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
