"""Figures and animations of the paths of optimizers, on the contours of their function."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from expt.derivatives.descent import NUM_STEPS, Path
from expt.derivatives.figures import Picture, new_figure, png
from expt.derivatives.problems import Problem
from expt.record.figures import figure_to_pixels

_COLUMNS = 4
_FRAMES = 40
_MILLISECONDS = 125  # a frame
_TRAIL = 12  # steps that an animation shows behind each optimizer
_COLORS = [matplotlib.colormaps["tab20"](index) for index in range(20)]


def draw_paths(problem: Problem, paths: Sequence[Path]) -> Picture:
    """Draws the path of each optimizer in its own panel, with the learning rate."""
    columns = min(_COLUMNS, len(paths))
    rows = -(-len(paths) // columns)
    figure = new_figure(2.6 * columns + 0.2, 2.35 * rows + 0.1)
    contours = _contour_image(problem)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, path in zip(panels, paths, strict=False):
        _draw_background(axes, problem, contours)
        axes.plot(*path.points.T, ".-", color="#c4442d", linewidth=1.3, markersize=3)
        axes.plot(*path.points[0], "o", color="black", markersize=4)
        title = f"{path.optimizer}, α = {path.learning_rate:g}\nf = {path.values[-1]:.2g}"
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in panels[len(paths) :]:
        axes.set_axis_off()
    caption = (
        f"{problem.formula}, {NUM_STEPS} steps from {_point(problem.start)} (black) to a minimum "
        "(star), a dot for each step; below the name, f after the last step. Each optimizer has "
        "the learning rate α, of 0.0001, 0.0002, 0.0005, …, 500, with which it comes closest to a "
        "minimum without a step of more than a tenth of the diagonal; its other options are the "
        "defaults. Contours are those of log f."
    )
    title = f"Optimizers on {problem.title}"
    return Picture(f"descent_{problem.name}.png", title, caption, png(figure))


def _point(point: tuple[float, float]) -> str:
    return f"({point[0]:g}, {point[1]:g})"


def animate_paths(problem: Problem, paths: Sequence[Path]) -> Picture:
    """Draws an animation of all optimizers on the same contours, as GIF."""
    figure = new_figure(6.4, 4.2)
    figure.set_dpi(85)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_background(axes, problem, _contour_image(problem))
    artists = [_moving(axes, path, _COLORS[i % len(_COLORS)]) for i, path in enumerate(paths)]
    axes.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False, handletextpad=0.2
    )
    axes.tick_params(labelsize=8)
    axes.set_title(problem.title, fontsize=10)
    counter = axes.text(0.02, 0.97, "", transform=axes.transAxes, va="top", fontsize=9)
    counter.set_animated(True)
    canvas.draw()  # all but the moving artists, once for all frames
    still = canvas.copy_from_bbox(figure.bbox)
    # More frames for the first steps, which are the fastest.
    steps = np.unique((np.linspace(0, 1, _FRAMES) ** 1.7 * NUM_STEPS).round().astype(int))
    frames = []
    for step in steps:
        canvas.restore_region(still)
        for (line, head), path in zip(artists, paths, strict=True):
            line.set_data(*path.points[max(0, step - _TRAIL) : step + 1].T)
            head.set_data(*path.points[step : step + 1].T)
            axes.draw_artist(line)
            axes.draw_artist(head)
        counter.set_text(f"step {step}")
        axes.draw_artist(counter)
        frames.append(Image.fromarray(np.array(canvas.buffer_rgba())[..., :3]))
    caption = (
        "All optimizers at once, with the learning rates of the figure above; each one's last "
        f"{_TRAIL} steps are shown as a line."
    )
    title = f"Optimizers on {problem.title}, step by step"
    return Picture(f"descent_{problem.name}.gif", title, caption, _gif(frames))


def _moving(axes: Axes, path: Path, color: Any) -> tuple[Line2D, Line2D]:
    """Returns the line and the marker of an optimizer, which are drawn anew for each frame."""
    (line,) = axes.plot([], [], "-", color=color, linewidth=1.6, animated=True)
    (head,) = axes.plot([], [], "o", color=color, markersize=6, markeredgecolor="white")
    head.set_label(path.optimizer)
    return line, head


def _gif(frames: Sequence[Image.Image]) -> bytes:
    buffer = io.BytesIO()
    # A common palette, so that colors do not flicker. The last frame stays for two seconds.
    palette = _with_swatches(frames[0]).quantize(192)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    times = [_MILLISECONDS] * len(others) + [2000]
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=times, loop=0)
    return buffer.getvalue()


def _with_swatches(frame: Image.Image) -> Image.Image:
    """Returns a frame with an area of each optimizer's color, so that the palette has them all."""
    swatches, side = frame.copy(), frame.height // len(_COLORS)
    for index, color in enumerate(_COLORS):
        rgb = tuple(round(255 * channel) for channel in color[:3])
        swatches.paste(rgb, (0, index * side, frame.width // 2, (index + 1) * side))
    return swatches


def _contour_image(problem: Problem) -> NDArray[np.uint8]:
    """Returns the contours as pixels, because a figure would draw them anew for each frame."""
    figure = Figure(figsize=(4, 3.6), dpi=120)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    left, right, bottom, top = problem.window
    x, y = np.meshgrid(np.linspace(left, right, 160), np.linspace(bottom, top, 160))
    logarithms = np.log10(problem.function(x, y) + 0.03)
    axes.contourf(x, y, logarithms, levels=14, cmap="Blues_r", alpha=0.75)
    axes.contour(x, y, logarithms, levels=14, colors="white", linewidths=0.5)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return figure_to_pixels(figure)


def _draw_background(axes: Axes, problem: Problem, contours: NDArray[np.uint8]) -> None:
    axes.imshow(contours, extent=problem.window, aspect="auto")
    axes.plot(*np.array(problem.minima).T, "*", color="#f2c230", markersize=9, markeredgecolor="k")
    axes.set(xlim=problem.window[:2], ylim=problem.window[2:])
