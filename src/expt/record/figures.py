"""Rendering of matplotlib figures, which takes tenths of a second; `grids` takes milliseconds."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def figure_to_pixels(figure: Figure) -> NDArray[np.uint8]:
    """Renders a figure, for use in an `Image` record's `draw`.

    Create the figure with `matplotlib.figure.Figure(figsize=…)` and `figure.subplots(5, 5)`.
    Unlike with pyplot, it is then freed once it is no longer used, and needs no display.

    Returns:
        The pixels: uint8, shape [height, width, 3].
    """
    # Agg draws in memory and is safe on a thread; pyplot's global state is not.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
