"""Times the matrix products of an MLP's training step alone, in NumPy: a bound, not a contender.

    python -m scripts.contenders.matrix_products DATA.npz

A dense layer needs three products: forward x·W, and backward xᵀ·g for the gradient of its weights
and g·Wᵀ for that of its inputs, which the first layer does not need.
"""

import itertools
import math
import time

import numpy as np
from scripts.contenders.common import make_task, print_results, task_parser

_SECONDS = 2.0


def main() -> None:
    """Multiplies, and prints the number of steps and their seconds."""
    task = make_task(task_parser(__doc__.splitlines()[0] if __doc__ else None).parse_args())
    assert task.model == "mlp", f"model {task.model!r}; expected mlp"
    num_inputs = math.prod(task.arrays["x_train"].shape[1:])
    widths = [num_inputs, *task.sizes, task.num_classes]
    random = np.random.default_rng(0)
    values = [random.random((task.batch_size, width), np.float32) for width in widths]
    weights = [random.random(shape, np.float32) for shape in itertools.pairwise(widths)]

    def step() -> None:
        for number, weight in enumerate(weights):
            inputs, gradients = values[number], values[number + 1]
            inputs @ weight
            inputs.T @ gradients
            if number:
                gradients @ weight.T

    step()
    steps, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < _SECONDS:
        step()
        steps += 1
    print_results(steps=steps, seconds=seconds)


if __name__ == "__main__":
    main()
