"""The probe that draws images: first-layer filters, feature maps, and saliency."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset
from expt.probes.probe import Pixels, ProbeMoment, Subject
from expt.record.drawn_text import BLUE, RED
from expt.record.grids import image_grid
from expt.record.images import as_pixels

_log = logging.getLogger(__name__)
_PER_ROW, _SHOWN = 5, 25
_SIDE = 112  # pixels: the side of an image in a grid
_FRAME = 0.85  # light gray
_FIRST_LAYERS = (keras.layers.Dense, keras.layers.Conv2D)
Floats = NDArray[np.floating[Any]]


class Pictures:
    """Draws what an image model looks at: its first filters, feature maps, and saliency.

    For other data, the probe only logs a warning.

    - `pictures/filters`: the first 25 filters of the first layer, red where a weight is positive
      and blue where it is negative. Filters with three channels are drawn as RGB, with gray for 0.
      The weights of a unit of a dense layer count as a filter of the size of the image. All filters
      have the same scale, so that a pale one is weak.
    - `pictures/feature_maps`: the first validation image, and its first 24 feature maps in the
      colors of the filters: the outputs of the first convolution.
    - `pictures/saliency`: for a classifier, the first 25 validation images, with the predicted
      class as title (red if wrong), and below each its saliency, from black (no influence) to
      white: how much the score of that class depends on each pixel.

    For an adversarial pair, the names begin with that of the network, as in
    `pictures/discriminator_filters`.
    """

    def __init__(self) -> None:
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._images: Floats | None = None

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records the images at the current weights."""
        dataset = subject.dataset
        if not dataset.has_images:
            if moment.step == 0:
                _log.warning(
                    "probe=[pictures] draws nothing: the inputs of data=%s are not images.",
                    dataset.name,
                )
            return
        if self._images is None:
            self._images = dataset.validation.first(_SHOWN)
        for network in subject.networks:
            prefix = f"pictures/{network.name}_" if len(subject.networks) > 1 else "pictures/"
            layer = first_layer(network)
            if layer is None or network.input_shape[1:] != dataset.input_shape:
                continue
            kernel = layer.kernel.numpy().astype(np.float64)
            filters = filters_of(kernel, dataset.input_shape)
            if filters is not None:
                moment.log_image(f"{prefix}filters", draw_filters(filters))
            if isinstance(layer, keras.layers.Conv2D):
                maps = self._call(subject, feature_maps, network, layer, self._images[:1])[0]
                image = as_pixels(dataset, self._images[:1])[0]
                moment.log_image(f"{prefix}feature_maps", draw_feature_maps(image, maps))
        if subject.model.output_shape == (None, len(dataset.class_names)):
            labels, found = self._call(subject, saliency, subject.model, self._images)
            moment.log_image(
                "pictures/saliency", draw_saliency(dataset, self._images, labels, found)
            )

    def _call(self, subject: Subject, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls `function(network, …, images)` as a graph, compiled once per function and network.

        Args:
            subject: Compiles the function.
            function: The function.
            arguments: A network, further arguments such as one of its layers, and images.
        """
        *networks, images = arguments
        key = f"{function.__name__} {networks[0].name}"
        if key not in self._compiled:
            self._compiled[key] = subject.compiled(lambda tensor: function(*networks, tensor))
        return tf.nest.map_structure(np.asarray, self._compiled[key](tf.constant(images)))


def first_layer(network: keras.Model) -> keras.layers.Layer | None:
    """Returns the first layer with trainable weights if it is dense or a convolution, else None."""
    first = network.trainable_variables[0]
    # Keras has no public function that lists nested layers; their order is not that of the calls.
    for layer in network._flatten_layers():
        if isinstance(layer, _FIRST_LAYERS) and layer.kernel is first:
            return layer
    return None


def filters_of(kernel: Floats, input_shape: tuple[int, ...]) -> Floats | None:
    """Returns the filters of a first layer as images, of shape [filters, height, width, channels].

    Args:
        kernel: That of a convolution, shape [height, width, channels, filters], or of a dense
            layer, shape [pixels, units].
        input_shape: The shape of an image: height, width, channels.

    Returns:
        None if a dense layer does not get the pixels of an image, or if a convolution has other
        channels than one or three.
    """
    if kernel.ndim == 2:
        if len(kernel) != np.prod(input_shape):
            return None
        kernel = kernel.reshape(*input_shape, -1)
    return np.moveaxis(kernel, -1, 0) if kernel.shape[2] in (1, 3) else None


def saliency(model: keras.Model, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how much the score of the predicted class depends on each pixel.

    It is max_c |∂s_k / ∂x_c| over the channels c of a pixel x, where s_k is the largest score,
    before a softmax. Source: K. Simonyan et al., arXiv:1312.6034, section 3.1.

    Args:
        model: Maps images to one score per class.
        images: Shape [examples, height, width, channels].

    Returns:
        The predicted labels k, shape [examples], and the saliency, shape [examples, height, width].
    """
    # Stateless, since some layers count calls or draw random numbers.
    with tf.GradientTape(watch_accessed_variables=False) as tape, keras.StatelessScope():
        tape.watch(images)
        scores = model(images, training=False)
        labels = tf.argmax(scores, axis=-1)
        largest = tf.gather(scores, labels, batch_dims=1)
    return labels, tf.reduce_max(tf.abs(tape.gradient(largest, images)), axis=-1)


def feature_maps(network: keras.Model, layer: keras.layers.Layer, images: tf.Tensor) -> tf.Tensor:
    """Returns the outputs of a layer of a network, shape [examples, height, width, channels].

    Args:
        network: A network.
        layer: One of its layers, however deeply nested, which is called once.
        images: Shape [examples, height, width, channels].
    """
    with _outputs_of(layer) as outputs, keras.StatelessScope():
        network(images, training=False)
    return outputs[0]


@contextmanager
def _outputs_of(layer: keras.layers.Layer) -> Iterator[list[tf.Tensor]]:
    """Yields a list of the outputs that a layer returns within the context."""
    # Not a model from the inputs to the layer: layers of a subclassed model have no graph.
    outputs, call = [], layer.call

    def recorded(*arguments: Any, **options: Any) -> tf.Tensor:
        outputs.append(call(*arguments, **options))
        return outputs[-1]

    layer.call = recorded
    try:
        yield outputs
    finally:
        del layer.call  # of the object, so that the method of its class is called again


def draw_filters(filters: Floats) -> Pixels:
    """Draws the first 25 filters, with their numbers.

    Args:
        filters: Shape [filters, height, width, 1 or 3].
    """
    shown = filters[:_SHOWN]
    titles = [str(number) for number in range(len(shown))]
    images = 0.5 + _scaled(shown) / 2 if shown.shape[-1] == 3 else _colored(shown)
    return image_grid(np.stack([*map(_framed, images)]), titles, [False] * len(shown))


def draw_feature_maps(image: Floats, maps: Floats) -> Pixels:
    """Draws an image, and its first 24 feature maps with the numbers of their filters.

    Args:
        image: Pixels from 0 to 1, shape [height, width, 1 or 3].
        maps: Shape [height, width, filters].
    """
    cells = _colored(np.moveaxis(maps, -1, 0)[: _SHOWN - 1, ..., None])
    images = np.stack([_framed(_rgb(each)) for each in (image, *cells)])
    titles = ["input", *(str(number) for number in range(len(cells)))]
    return image_grid(images, titles, [False] * len(images))


def draw_saliency(
    dataset: Dataset, images: Floats, labels: NDArray[np.integer[Any]], found: Floats
) -> Pixels:
    """Draws the first 25 validation images in rows of five, each above a row of their saliency.

    Args:
        dataset: The data set.
        images: The first validation images, shape [examples, height, width, channels].
        labels: The predicted labels, shape [examples].
        found: The saliency, shape [examples, height, width].
    """
    largest = found.max(axis=(1, 2), keepdims=True)
    shades = _rgb((found / np.where(largest > 0, largest, 1))[..., None])
    shown, targets = _rgb(as_pixels(dataset, images)), dataset.validation.targets
    cells: list[Floats] = []
    titles: list[str] = []
    marked: list[bool] = []
    for start in range(0, len(images), _PER_ROW):
        row = slice(start, start + _PER_ROW)
        blanks = [np.ones_like(shown[0])] * (_PER_ROW - len(shown[row]))
        cells += [*shown[row], *blanks, *shades[row], *blanks]
        titles += [dataset.class_names[label] for label in labels[row]] + [""] * len(blanks)
        marked += (labels[row] != targets[: len(images)][row]).tolist() + [False] * len(blanks)
        titles += ["saliency"] * len(labels[row]) + [""] * len(blanks)
        marked += [False] * _PER_ROW
    return image_grid(np.stack(cells), titles, marked)


def _scaled(values: Floats) -> Floats:
    """Returns values divided by the largest absolute value."""
    largest = np.abs(values).max()
    return values / largest if largest > 0 else values


def _colored(values: Floats) -> Floats:
    """Returns values of shape [..., 1] as colors: white for 0, red above and blue below."""
    shares = _scaled(values)
    ends = np.where(shares > 0, RED, BLUE) / 255
    colors: Floats = 1 + np.abs(shares) * (ends - 1)
    return colors


def _rgb(images: Floats) -> Floats:
    return np.broadcast_to(images, (*images.shape[:-1], 3))


def _framed(image: Floats) -> Floats:
    """Scales an image to the size of a grid cell, and adds a light frame.

    With the frame, an image with white borders stands out from the page.
    """
    rows, columns = (np.arange(_SIDE) * size // _SIDE for size in image.shape[:2])
    framed = np.full((_SIDE, _SIDE, 3), _FRAME)
    framed[1:-1, 1:-1] = image[rows[1:-1, None], columns[1:-1]]
    return framed
