"""From a matplotlib figure to pixels: for any figure, though slow (tenths of a second)."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def figure_to_pixels(figure: Figure) -> NDArray[np.uint8]:
    """Renders a figure, for an `Image` record's `draw`.

    It needs no display, and pyplot's list of open figures does not grow: make the figure with
    `matplotlib.figure.Figure(figsize=…)` and `figure.subplots(5, 5)`.

    Returns:
        uint8, shape [height, width, 3].
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
