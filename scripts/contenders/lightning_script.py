"""Trains as a script with Lightning does, with its loggers for TensorBoard and MLflow.

    PYTHON_WITH_LIGHTNING -m scripts.contenders.lightning_script
    PYTHON_WITH_LIGHTNING -m scripts.contenders.lightning_script --act relu tanh --seed 0 1 2

Data, split, model, optimizer, losses, epochs and evaluations are those of expt's default config;
the libraries have their own defaults, checkpoints included. All jobs are trained in this process,
one after another. The records are in `logs/` and `mlflow.db` in the working directory.
"""

import argparse
import statistics
import warnings
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger
from scripts.contenders.common import print_results
from scripts.contenders.digits_jobs import NUM_CLASSES, DigitsJob, Split, load_splits, parse_jobs
from scripts.contenders.torch_models import make_adam, make_mlp
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    """The model of a job with its loss, metric and optimizer."""

    def __init__(self, job: DigitsJob, num_inputs: int) -> None:
        super().__init__()
        self.job = job
        self.model = make_mlp(job, num_inputs, NUM_CLASSES)

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """Returns the loss of a batch."""
        return self._measure(batch, "train", on_step=True)

    def validation_step(self, batch: Any, _: int) -> None:
        """Logs the loss and the accuracy of a batch."""
        self._measure(batch, "val", on_step=False)

    def test_step(self, batch: Any, _: int) -> None:  # noqa: PT019 (no test)
        """Logs the loss and the accuracy of a batch."""
        self._measure(batch, "test", on_step=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        return make_adam(self, self.job.learning_rate)

    def _measure(self, batch: Any, split: str, *, on_step: bool) -> torch.Tensor:
        inputs, targets = batch
        logits = self.model(inputs)
        if self.job.loss == "crossentropy":
            loss = functional.cross_entropy(logits, targets)
        else:
            one_hot = functional.one_hot(targets, NUM_CLASSES).float()
            loss = functional.mse_loss(logits.softmax(1), one_hot)
        accuracy = (logits.argmax(1) == targets).float().mean()
        self.log(f"{split}_loss", loss, on_step=on_step, on_epoch=True)
        self.log(f"{split}_accuracy", accuracy, on_step=on_step, on_epoch=True)
        return loss


def main() -> None:
    """Trains all jobs, and prints their number and mean losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    jobs, _ = parse_jobs(parser)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    losses = [_train(job) for job in jobs]
    train, validation = (statistics.mean(column) for column in zip(*losses, strict=True))
    print_results(jobs=len(jobs), train_loss=train, validation_loss=validation)


def _train(job: DigitsJob) -> tuple[float, float]:
    """Returns the losses of training and validation in the last epoch."""
    lightning.seed_everything(job.seed)
    train, validation, test = (_as_dataset(split) for split in load_splits())
    loggers = [
        TensorBoardLogger("logs", job.name),
        MLFlowLogger("sweep", job.name, tracking_uri="sqlite:///mlflow.db"),
    ]
    trainer = lightning.Trainer(max_epochs=job.epochs, logger=loggers)
    classifier = Classifier(job, num_inputs=64)
    trainer.fit(
        classifier,
        DataLoader(train, job.batch_size, shuffle=True),
        DataLoader(validation, job.batch_size),
    )
    values = trainer.callback_metrics
    losses = float(values["train_loss_epoch"]), float(values["val_loss"])
    trainer.test(classifier, DataLoader(test, job.batch_size))
    return losses


def _as_dataset(split: Split) -> TensorDataset:
    inputs, labels = split
    return TensorDataset(torch.from_numpy(inputs), torch.from_numpy(labels).long())


if __name__ == "__main__":
    main()
