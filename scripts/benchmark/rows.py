"""The rows of the benchmark: what is trained, and which contenders train it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.contenders import Contender, Expt, Other, script
from scripts.benchmark.data import in_new_process, write_task
from scripts.benchmark.measurement import printed_results, run_process


@dataclass(frozen=True)
class Loop:
    """The training loop, with validation after every epoch.

    Compiling is left out for all. expt records with everything; the others record nothing.

    Attributes:
        overrides: For expt; the contenders train what they describe.
        epochs: The number of epochs.
        model: The model that the contenders make.
        sizes: See `scripts.contenders.common.Task`.
        learning_rate: Of Adam. Rows with many epochs have a small one, so that their final losses
            do not vanish.
    """

    overrides: Sequence[str]
    epochs: int
    model: str = "mlp"
    sizes: Sequence[int] = (128, 128)
    learning_rate: float = 0.001

    def contenders(self, folder: Path, torch: str | None) -> list[Contender]:
        """Returns the contenders, after writing their data and searching for `fit`'s best settings.

        Args:
            folder: The working directory, which has the sources of the data.
            torch: The interpreter that has PyTorch and Lightning; None leaves them out.
        """
        rate = f"optimizer.learning_rate={self.learning_rate}"
        overrides = [*self.overrides, rate, f"loop.epochs={self.epochs}"]
        task = self._write(folder)
        settings = _best_settings(task, folder)
        found: list[Contender] = [
            Expt(overrides),
            Other("Keras `fit`", script("keras_fit", *task)),
            Other(
                f"Keras `fit`, {_named(settings)}",
                script("keras_fit", *task, "--settings", settings),
            ),
            Other("`tf.function` of a step", script("tensorflow_loop", *task)),
        ]
        if torch is not None and self.model in ("mlp", "cnn"):
            found.append(Other("PyTorch, by hand", script("torch_loop", *task), torch))
            found.append(Other("Lightning", script("lightning_fit", *task), torch))
        if self.model == "mlp":
            products = script("matrix_products", *task)
            found.append(Other("matrix products alone", products, is_bound=True))
        return found

    def _write(self, folder: Path) -> list[str]:
        """Writes the data; returns the arguments of the scripts that train on it."""
        file = folder / f"{'-'.join([self.model, *map(str, self.sizes)])}.npz"
        batch_size = in_new_process(write_task, file, self.overrides, folder)
        return [
            *(str(file), "--model", self.model, "--sizes", *map(str, self.sizes)),
            *("--batch-size", str(batch_size), "--epochs", str(self.epochs)),
            *("--learning-rate", str(self.learning_rate)),
        ]


@dataclass(frozen=True)
class Whole:
    """Whole processes that start in empty folders, with the default config's training.

    Attributes:
        values: By config key, the values that are combined.
        num_jobs: The number of combinations.
        logs_models: Whether autologging logs the models of the Keras script.
    """

    values: Sequence[tuple[str, Sequence[str]]] = ()
    num_jobs: int = 1
    logs_models: bool = True

    def contenders(self, folder: Path, torch: str | None) -> list[Contender]:
        """Returns the contenders; the arguments are those of `Loop.contenders`."""
        del folder
        overrides = [f"{key}={','.join(values)}" for key, values in self.values]
        arguments = [
            argument
            for key, values in self.values
            for argument in (f"--{key.rpartition('.')[-1].replace('_', '-')}", *values)
        ]
        if self.num_jobs > 1:
            overrides.insert(0, "-m")
        only_keras = [] if self.logs_models else ["--without-models"]
        keras_script = script("keras_script", *arguments, *only_keras)
        found: list[Contender] = [
            Expt(overrides, "whole", self.num_jobs),
            Other("script with Keras and MLflow's autologging", keras_script),
        ]
        if torch is not None:
            name = "script with Lightning and its loggers"
            found.append(Other(name, script("lightning_script", *arguments), torch))
        return found


@dataclass(frozen=True)
class Start:
    """The time from the start of the process to the end of the first optimizer step."""

    def contenders(self, folder: Path, torch: str | None) -> list[Contender]:
        """Returns the contenders; the arguments are those of `Loop.contenders`."""
        del folder, torch
        return [
            Expt(measures="start"),
            Other("`import tensorflow` alone", ["-c", "import tensorflow"], is_bound=True),
        ]


@dataclass(frozen=True)
class Option:
    """The training loop of expt, with an option and without it.

    Attributes:
        overrides: With the option.
        against: Without the option.
        epochs: The number of epochs.
    """

    overrides: Sequence[str]
    against: Sequence[str]
    epochs: int

    def contenders(self, folder: Path, torch: str | None) -> list[Contender]:
        """Returns the contenders; the arguments are those of `Loop.contenders`."""
        del folder, torch
        length = f"loop.epochs={self.epochs}"
        name = f"expt, {' '.join(self.against) or 'defaults'}"
        return [Expt([*self.overrides, length]), Expt([*self.against, length], name=name)]


Row = Loop | Whole | Start | Option

_MNIST = ("data=mnist", "data.num_validation=1280")
_MNIST_MLP = (*_MNIST, "model.units=[256,256]")
_SEEN_MLP = ("data=mnist", "data.path=whole.npz", "model.units=[256,256]")
_SEEN_CNN = ("data=mnist", "data.path=whole.npz", "model=cnn")
_PROBES = "probe=[gradients,activations]"
_CIFAR = ("data=cifar10", "data.num_validation=1280")
_OF_FILES = ("model=cnn", "data.batch_size=128")
_SEEDS = ("seed", tuple("01234567"))
_RATES = ("0.0001", "0.0003", "0.001", "0.002", "0.003", "0.005", "0.007", "0.01")
IMAGE_FOLDER = "image-folder"
ROWS: dict[str, Row] = {
    "digits": Loop((), 500, learning_rate=0.0002),
    "mnist-mlp": Loop(_MNIST_MLP, 80, sizes=(256, 256), learning_rate=0.000125),
    "mnist-cnn": Loop((*_MNIST, "model=cnn"), 3, "cnn", (32, 64)),
    "cifar-resnet20": Loop((*_CIFAR, "model=resnet", "loop.batches=20"), 5, "resnet", ()),
    "cifar-vit": Loop((*_CIFAR, "model=vit"), 4, "vit", ()),
    "run": Whole(),
    "sweep-24": Whole(
        (
            ("act", ("relu", "tanh", "elu", "gelu")),
            ("loss", ("crossentropy", "mse")),
            ("seed", ("0", "1", "2")),
        ),
        num_jobs=24,
        logs_models=False,
    ),
    "sweep-64": Whole((("optimizer.learning_rate", _RATES), _SEEDS), 64, logs_models=False),
    "start": Start(),
    "digits-xla": Option((), ("loop.compile=graph",), 500),
    "mnist-mlp-xla": Option(_MNIST_MLP, (*_MNIST_MLP, "loop.compile=graph"), 40),
    "digits-unvalidated": Option(("loop.eval_every=null",), (), 100),
    IMAGE_FOLDER: Option(
        ("data=image_folder", "data.path=images", *_OF_FILES),
        ("data=npz", "data.path=images.npz", *_OF_FILES),
        3,
    ),
    "digits-saving": Option((), ("loop.save_every=null",), 200),
    "mnist-saving": Option(_MNIST_MLP, (*_MNIST_MLP, "loop.save_every=null"), 10),
    "mnist-mlp-probes": Option((*_SEEN_MLP, _PROBES), _SEEN_MLP, 20),
    "mnist-cnn-probes": Option((*_SEEN_CNN, _PROBES), _SEEN_CNN, 5),
    "mnist-mlp-curvature": Option((*_SEEN_MLP, "probe=[curvature]"), _SEEN_MLP, 20),
    "mnist-cnn-curvature": Option((*_SEEN_CNN, "probe=[curvature]"), _SEEN_CNN, 5),
    "mnist-mlp-doctor": Option(_SEEN_MLP, (*_SEEN_MLP, "doctor=false"), 20),
    "mnist-cnn-doctor": Option(_SEEN_CNN, (*_SEEN_CNN, "doctor=false"), 5),
}


def _best_settings(task: Sequence[str], folder: Path) -> str:
    """Returns the best settings of Keras' `fit` as JSON."""
    command = [sys.executable, *script("keras_fit", *task, "--search")]
    return json.dumps(printed_results(run_process(command, folder).printed)["settings"])


def _named(settings: str) -> str:
    """Returns the settings that are not off, for the name of a contender."""
    chosen = json.loads(settings).items()
    return " ".join(f"{key}={value}" for key, value in chosen if value is not False)
