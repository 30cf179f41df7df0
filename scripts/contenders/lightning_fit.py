"""Trains with Lightning's `Trainer.fit`, without loggers, checkpoints and progress bar.

PYTHON_WITH_LIGHTNING -m scripts.contenders.lightning_fit DATA.npz
"""

import warnings
from typing import Any

import lightning
import torch
from scripts.contenders.common import EpochClock, make_task, task_parser
from scripts.contenders.torch_models import make_adam, make_model
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    """A model with its loss, metric and optimizer.

    Args:
        model: Returns logits.
        learning_rate: Of Adam.
        clock: Times the epochs.
    """

    def __init__(self, model: torch.nn.Module, learning_rate: float, clock: EpochClock) -> None:
        super().__init__()
        self.model, self.learning_rate, self.clock = model, learning_rate, clock

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """Returns the loss of a batch."""
        inputs, targets = batch
        loss = functional.cross_entropy(self.model(inputs), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        """Logs the loss and the accuracy of a batch."""
        inputs, targets = batch
        logits = self.model(inputs)
        self.log("val_loss", functional.cross_entropy(logits, targets))
        self.log("val_accuracy", (logits.argmax(1) == targets).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        return make_adam(self, self.learning_rate)

    def on_train_epoch_end(self) -> None:
        """Marks the end of an epoch, after its validation."""
        self.clock.end_epoch()


def main() -> None:
    """Trains, and prints the results."""
    task = make_task(task_parser(__doc__.splitlines()[0] if __doc__ else None).parse_args())
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    splits = {
        name: TensorDataset(
            torch.from_numpy(task.arrays[f"x_{name}"]),
            torch.from_numpy(task.arrays[f"y_{name}"]).long(),
        )
        for name in ("train", "validation")
    }
    clock = EpochClock()
    classifier = Classifier(make_model(task), task.learning_rate, clock)
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        classifier,
        DataLoader(splits["train"], task.batch_size, shuffle=True),
        DataLoader(splits["validation"], task.batch_size),
    )
    values = trainer.callback_metrics
    clock.report(task, float(values["train_loss"]), float(values["val_loss"]))


if __name__ == "__main__":
    main()
