"""Trains with a loop written by hand in PyTorch, whose batches are gathered from memory.

PYTHON_WITH_TORCH -m scripts.contenders.torch_loop DATA.npz
"""

import torch
from scripts.contenders.common import EpochClock, make_task, task_parser
from scripts.contenders.torch_models import make_adam, make_model
from torch import nn
from torch.nn import functional


def main() -> None:
    """Trains, and prints the results."""
    task = make_task(task_parser(__doc__.splitlines()[0] if __doc__ else None).parse_args())
    arrays = {name: torch.from_numpy(array) for name, array in task.arrays.items()}
    # Cross-entropy of integer labels needs int64.
    inputs, targets = arrays["x_train"], arrays["y_train"].long()
    held_out = arrays["x_validation"], arrays["y_validation"].long()
    model = make_model(task)
    optimizer = make_adam(model, task.learning_rate)
    clock, train_loss, validation_loss = EpochClock(), 0.0, 0.0
    for _ in range(task.epochs):
        total = torch.zeros(())
        model.train()
        for batch in torch.randperm(len(inputs)).split(task.batch_size):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(inputs[batch]), targets[batch])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        train_loss = float(total) / task.steps_per_epoch
        validation_loss, _ = evaluate(model, *held_out)
        clock.end_epoch()
    clock.report(task, train_loss, validation_loss)


@torch.no_grad()
def evaluate(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    """Returns the loss and the accuracy of a split, which is one batch."""
    model.eval()
    logits = model(inputs)
    accuracy = (logits.argmax(1) == targets).float().mean()
    return float(functional.cross_entropy(logits, targets)), float(accuracy)


if __name__ == "__main__":
    main()
