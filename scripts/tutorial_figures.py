"""Draws the figures of docs/tutorial.md from the runs that its commands have made.

    python scripts/tutorial_figures.py [--outputs outputs] [--to figures]

The figures in docs/ were made with `--to docs`, in a folder where the page's commands had run.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SEEDS = (0, 1, 2)  # of the main sweeps; the repeated comparison has others
_EPOCHS = 10  # the quick start, whose runs may be in the same folder, trains fewer
_UNITS = [128, 128]
_DEEP = [128, 128, 128, 128]
_DOTS_PER_INCH = 110
_ADAM = {"optimizer": "adam", "optimizer.learning_rate": 0.001}
_SGD = {"optimizer": "sgd", "optimizer.learning_rate": 0.1}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        params: The values of its config by full key.
        rows: The rows of its journal, in the order of steps.
    """

    params: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]

    def curve(self, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the steps at which a metric was recorded, and its values."""
        found = [(row["step"], row[metric]) for row in self.rows if metric in row]
        steps, values = zip(*found, strict=True)
        return np.array(steps, np.float64), np.array(values, np.float64)


Draw = Callable[["Axes", Sequence[Run]], None]


def main() -> None:
    """Reads the runs and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the runs are")
    parser.add_argument("--to", type=Path, default=Path("figures"), help="where the figures go")
    arguments = parser.parse_args()
    mpl.use("agg")
    runs = read_runs(arguments.outputs)
    arguments.to.mkdir(parents=True, exist_ok=True)
    _draw(arguments.to / "tutorial-activations.png", runs, [_losses_of, _accuracies_of])
    _draw(arguments.to / "tutorial-sigmoid.png", runs, [_depths, _norms_of, _rates])
    _draw(arguments.to / "tutorial-losses.png", runs, [_loss_norms, _loss_accuracies])


def read_runs(outputs: Path) -> list[Run]:
    """Returns the finished jobs of all sweeps in a folder.

    A job that another sweep has reused is in its own sweep alone.
    """
    runs = []
    for record_file in sorted(outputs.glob("sweeps/*/*/*/run.json")):
        record = json.loads(record_file.read_text(encoding="utf-8"))
        journal = record_file.with_name("metrics.jsonl").read_text(encoding="utf-8")
        if record["status"] == "FINISHED":
            runs.append(Run(record["params"], [json.loads(line) for line in journal.splitlines()]))
    return runs


def select_runs(runs: Sequence[Run], values: Mapping[str, Any]) -> list[Run]:
    """Returns the runs with these values, and otherwise the defaults of the page."""
    fixed = {"loop.epochs": _EPOCHS, "act": "relu", "loss": "crossentropy", "model.units": _UNITS}
    wanted = {**fixed, **_ADAM, **values}
    found = [
        run
        for run in runs
        if run.params["seed"] in _SEEDS and all(run.params[key] == wanted[key] for key in wanted)
    ]
    if not found:
        raise SystemExit(f"No run has {wanted}; run the commands of docs/tutorial.md first.")
    return found


def _draw(file: Path, runs: Sequence[Run], draws: Sequence[Draw]) -> None:
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(1, len(draws), figsize=(4.2 * len(draws), 3.4), squeeze=False)
    for axes, draw in zip(all_axes[0], draws, strict=True):
        draw(axes, runs)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=_DOTS_PER_INCH)
    plt.close(figure)


def _plot(axes: "Axes", runs: Sequence[Run], metric: str, label: str, style: str = "-") -> None:
    """Plots the mean over seeds, and the range of all seeds as a band."""
    curves = [run.curve(metric) for run in runs]
    steps, values = curves[0][0], np.stack([values for _, values in curves])
    (line,) = axes.plot(steps, values.mean(axis=0), style, label=label)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _losses_of(axes: "Axes", runs: Sequence[Run]) -> None:
    for act in ("relu", "gelu", "tanh", "sigmoid"):
        _plot(axes, select_runs(runs, {"act": act}), "val/loss", act)
    axes.set(title="val/loss", yscale="log")


def _accuracies_of(axes: "Axes", runs: Sequence[Run]) -> None:
    for act in ("relu", "gelu", "tanh", "sigmoid"):
        _plot(axes, select_runs(runs, {"act": act}), "val/accuracy", act)
    axes.set(title="val/accuracy", ylim=(0, 1))


def _depths(axes: "Axes", runs: Sequence[Run]) -> None:
    for act in ("relu", "sigmoid"):
        for units, style in ((_UNITS, "-"), (_DEEP, "--")):
            found = select_runs(runs, {"act": act, "model.units": units, "seed": 0})
            _plot(axes, found, "val/accuracy", f"{act}, {len(units)} hidden layers", style)
    axes.set(title="val/accuracy by depth, seed 0", ylim=(0, 1))


def _norms_of(axes: "Axes", runs: Sequence[Run]) -> None:
    for act, style in (("relu", "C1"), ("sigmoid", "C3")):  # the colors of the chart by depth
        found = select_runs(runs, {"act": act, "model.units": _DEEP, "seed": 0})
        _plot(axes, found, "train/grad_norm", f"{act}, {len(_DEEP)} hidden layers", style)
    axes.set(title="train/grad_norm, seed 0", ylim=(0, 4))


def _rates(axes: "Axes", runs: Sequence[Run]) -> None:
    for rate in (0.001, 0.03):
        found = select_runs(runs, {"act": "sigmoid", "optimizer.learning_rate": rate})
        _plot(axes, found, "val/accuracy", f"sigmoid, learning rate {rate}")
    _plot(axes, select_runs(runs, {}), "val/accuracy", "relu, learning rate 0.001", "k--")
    axes.set(title="val/accuracy by learning rate", ylim=(0, 1))


def _loss_norms(axes: "Axes", runs: Sequence[Run]) -> None:
    for loss in ("crossentropy", "mse"):
        _plot(
            axes, select_runs(runs, {**_SGD, "loss": loss}), "train/grad_norm", f"{loss}, SGD 0.1"
        )
    axes.set(title="train/grad_norm", yscale="log")


def _loss_accuracies(axes: "Axes", runs: Sequence[Run]) -> None:
    for loss, optimizer, rate, style in (
        ("crossentropy", "sgd", 0.1, "-"),
        ("mse", "sgd", 0.1, "-"),
        ("mse", "sgd", 3, "-"),
        ("crossentropy", "adam", 0.001, "--"),
        ("mse", "adam", 0.001, "--"),
    ):
        values = {"loss": loss, "optimizer": optimizer, "optimizer.learning_rate": rate}
        label = f"{loss}, {'SGD' if optimizer == 'sgd' else 'Adam'} {rate}"
        _plot(axes, select_runs(runs, values), "val/accuracy", label, style)
    axes.set(title="val/accuracy", ylim=(0, 1))


if __name__ == "__main__":
    main()
