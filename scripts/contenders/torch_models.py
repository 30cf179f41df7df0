"""The models of the PyTorch contenders, with the initial weights of expt's models."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from scripts.contenders.common import Task
from scripts.contenders.digits_jobs import DigitsJob
from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
}


def make_model(task: Task) -> nn.Module:
    """Returns the model of a task, for inputs with channels last; it returns logits.

    Raises:
        ValueError: The model is neither an MLP nor a CNN.
    """
    shape = task.arrays["x_train"].shape[1:]
    if task.model == "mlp":
        widths = [math.prod(shape), *task.sizes, task.num_classes]
        return nn.Sequential(nn.Flatten(), *_dense(widths, "relu"))
    if task.model == "cnn":
        return _make_cnn(shape, task.sizes, task.num_classes)
    raise ValueError(f"model {task.model!r}; expected mlp or cnn.")


def make_mlp(job: DigitsJob, num_inputs: int, num_classes: int) -> nn.Module:
    """Returns the MLP of a job of a whole script; it returns logits."""
    return nn.Sequential(nn.Flatten(), *_dense([num_inputs, *job.units, num_classes], job.act))


def make_adam(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Returns Adam with the constants of Keras."""
    return torch.optim.Adam(model.parameters(), learning_rate, eps=1e-7)


def _dense(widths: Sequence[int], act: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        is_last = number == len(widths) - 1
        layers.append(_initialized(nn.Linear(before, after), is_last=is_last or act == "tanh"))
        if not is_last:
            layers.append(ACTIVATIONS[act]())
    return layers


def _make_cnn(shape: Sequence[int], channels: Sequence[int], num_classes: int) -> nn.Module:
    height, width, depth = shape
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([depth, *channels]):
        convolution = _initialized(nn.Conv2d(before, after, 3, padding="same"), is_last=False)
        layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
        height, width = height // 2, width // 2
    num_features = height * width * channels[-1]
    dense = _dense([num_features, 128, num_classes], "relu")
    return nn.Sequential(_ChannelsFirst(), *layers, nn.Flatten(), *dense)


def _initialized(layer: nn.Linear | nn.Conv2d, *, is_last: bool) -> nn.Module:
    """Draws the weights as Keras does: `glorot_uniform` for the last layer, else `he_normal`."""
    if is_last:
        nn.init.xavier_uniform_(layer.weight)
    else:
        # Keras cuts the normal distribution at two deviations, then restores its variance.
        deviation = math.sqrt(2 / layer.weight[0].numel()) / 0.87962566
        nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class _ChannelsFirst(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.movedim(-1, 1)
