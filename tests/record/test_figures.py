import io

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image as PillowImage

from expt.record.figures import figure_to_pixels
from expt.record.recorder import Image


def test_five_by_five_subplots_become_a_png() -> None:
    figure = Figure(figsize=(5, 5), dpi=60)
    for index, axes in enumerate(figure.subplots(5, 5).flat):
        axes.set_title(str(index))
        axes.imshow(np.full((2, 2), index), vmin=0, vmax=24, cmap="gray")
        axes.axis("off")
    image = Image(1, 0.0, "val/figure", lambda: figure_to_pixels(figure))
    decoded = np.asarray(PillowImage.open(io.BytesIO(image.png())))
    assert decoded.shape == (300, 300, 3)
    np.testing.assert_array_equal(decoded, image.pixels())
    assert len(np.unique(decoded[..., 0])) > 20
    # pyplot would keep the figure in memory.
    assert not pyplot.get_fignums()
